"""A paper's claims as data, and what runs say of each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CLAIM_COLUMNS", "Claim", "Finding", "Verdict", "claims_frame"]

Verdict = Literal["reproduced", "not reproduced", "cannot tell"]
Unit = Literal["percent", "points", "tasks"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of a paper.

    Attributes:
        id: short name.
        title: what it is about, in a few words, for tables; the id unless given.
        statement: in the paper's sense, as a sentence.
        statistic: name in `STATISTICS`.
        published: the published value, in `unit`.
        unit: `percent` (relative), `points` (of 100) or `tasks` (a count).
        how: how the paper computed it, as far as that is known.
        status: of the published value (CONFIRMED, CONFIRMED_SECONDARY, UNCONFIRMED_RECALLED).
        source: where it was read.
        benchmark: suite; `instruction_induction`, `bigbench`, `truthfulqa`, `open_questions`.
        shots: `zero`, `few`, or both.
        base: kinds of instruction, `human` and `ape`.
        method: condition to compare with, where that is not the original.
        of: how many tasks a count is out of.
        scale: of the published scores, where a relative gain depends on it.
        protocol: scoring protocol that the claim is about, where it is not the primary one.
        needs: what has to be run for it, for a reader who has not.
    """

    id: str
    statement: str
    statistic: str
    published: float
    unit: Unit
    how: str
    status: str
    source: str
    benchmark: str = "instruction_induction"
    shots: tuple[str, ...] = ("zero", "few")
    base: tuple[str, ...] = ("human", "ape")
    method: str = ""
    of: int = 0
    scale: tuple[float, float] = (0, 1)
    protocol: str = ""
    needs: str = ""
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the runs say of a claim; numbers in the claim's unit, NaN where there is none.

    Attributes:
        claim: the claim.
        verdict: `reproduced`, `not reproduced` or `cannot tell`.
        why: one sentence.
        as_published: our number, computed as the paper does.
        chance: mean of that number if no prompt did anything.
        chance_upper: its 95th percentile then.
        chance_pvalue: how often no effect gives as much.
        estimate: our estimate without choosing and measuring on the same items.
        lower: end of its 95 % interval, over tasks.
        upper: end of its 95 % interval, over tasks.
        control: stimuli minus their matched neutral sentences, in points; of a claim about the best
            stimulus of each task, minus the best neutral sentence.
        control_lower: end of its 95 % interval, over tasks.
        control_upper: end of its 95 % interval, over tasks.
        estimand: what `estimate` is.
        settings: what was averaged over.
        n_settings: how many.
        n_tasks: tasks.
        n_items: items, over settings.
    """

    claim: Claim
    verdict: Verdict
    why: str
    as_published: float = math.nan
    chance: float = math.nan
    chance_upper: float = math.nan
    chance_pvalue: float = math.nan
    estimate: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    control: float = math.nan
    control_lower: float = math.nan
    control_upper: float = math.nan
    estimand: str = ""
    settings: str = ""
    n_settings: int = 0
    n_tasks: int = 0
    n_items: int = 0


CLAIM_COLUMNS = (
    *("id", "title", "statement", "benchmark", "unit", "published", "status", "source", "how"),
    *("as_published", "chance", "chance_upper", "chance_pvalue", "estimand"),
    *("estimate", "lower", "upper", "control", "control_lower", "control_upper"),
    *("verdict", "why", "settings", "n_tasks", "n_items"),
)


def claims_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a claim; the columns are `CLAIM_COLUMNS`."""
    import pandas as pd

    rows = [{**asdict(f), **asdict(f.claim)} for f in findings]
    return pd.DataFrame(rows).reindex(columns=list(CLAIM_COLUMNS))
