"""A paper's claims as data, and what runs say of each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from promptlab.analysis.gains import macro_relative_gain
from promptlab.analysis.intervals import t_interval
from promptlab.analysis.papers.aggregates import (
    Chance,
    TaskMeans,
    as_published,
    chosen_on_one_task,
    task_means,
    task_means_against,
)
from promptlab.analysis.papers.evidence import Evidence, Setting
from promptlab.analysis.results import Result
from promptlab.errors import UnknownName

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CLAIM_COLUMNS", "STATISTICS", "Claim", "Finding", "Verdict", "claims_frame", "judge"]

Verdict = Literal["reproduced", "not reproduced", "cannot tell"]
Unit = Literal["percent", "points", "tasks"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of a paper.

    Attributes:
        id: short name.
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
    protocol: str = ""
    needs: str = ""


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
        control: stimuli minus their matched neutral sentences, in points.
        control_lower: end of its 95 % interval, over tasks.
        control_upper: end of its 95 % interval, over tasks.
        estimand: what `estimate` is.
        settings: what was averaged over.
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
    n_tasks: int = 0
    n_items: int = 0


def judge(claim: Claim, evidence: Evidence, *, seed: int = 0) -> Finding:
    """What the evidence says of a claim.

    The verdict is read off the interval of an estimate that chooses no stimulus on the items that
    it is measured on. *Reproduced*: the interval lies above 0, and so does that of the stimuli
    minus their matched neutral sentences, where those were asked. *Not reproduced*: the interval
    lies below the published value, so that an effect of that size is ruled out. *Cannot tell*:
    neither, or nothing of the kind was run.

    Args:
        claim: the claim.
        evidence: settings under the scoring protocol that decides.
        seed: of the folds in which a stimulus is chosen.

    Raises:
        UnknownName: the claim's statistic is not known.
    """
    if claim.statistic not in STATISTICS:
        raise UnknownName("statistic", claim.statistic, STATISTICS)
    return STATISTICS[claim.statistic](claim, evidence, seed)


def _settings(claim: Claim, evidence: Evidence) -> tuple[Setting, ...]:
    found = evidence.where(claim.benchmark, base=claim.base)
    return tuple(s for s in found if ("few" if s.shots else "zero") in claim.shots)


def _not_run(claim: Claim) -> Finding:
    shots = " or ".join(f"{s}-shot" for s in claim.shots)
    base = " or ".join("APE" if b == "ape" else b for b in claim.base)
    why = claim.needs or f"it takes {claim.benchmark}, {shots}, with {base} instructions"
    return Finding(claim=claim, verdict="cannot tell", why=f"Not run: {why}.")


def _gain(claim: Claim, evidence: Evidence, seed: int, of: Literal["best", "average"]) -> Finding:
    settings = _settings(claim, evidence)
    if not settings:
        return _not_run(claim)
    relative = claim.unit == "percent"
    chance = as_published(settings, of, "relative" if relative else "points")
    if of == "best" and len({t for s in settings for t in s.tasks}) == 1:
        return _concluded(_with_chance(_of_one_task(claim, settings, seed), chance), settings)
    means = task_means(settings, of, seed=seed)
    chosen = "the stimulus of each task chosen on other items" if of == "best" else "mean stimulus"
    found = _with_estimate(claim, means, f"{chosen}, against the original", relative=relative)
    return _concluded(_with_chance(found, chance), settings)


def _of_one_task(claim: Claim, settings: Sequence[Setting], seed: int) -> Finding:
    """The best stimulus of the benchmark's only task, chosen and measured on different items."""
    found = Finding(
        claim=claim,
        verdict="cannot tell",
        why="",
        estimand="the stimulus chosen on other items, against the original; interval over items",
        n_tasks=1,
        n_items=sum(s.contest[0].shape[0] for s in settings),
    )
    if claim.unit == "percent":
        why = "A relative gain of the best stimulus of a single task has no interval here."
        return replace(found, why=why)
    if found.n_items < 2 * len(settings):
        return replace(found, why="One item has no interval.")
    fitted = chosen_on_one_task(settings, seed=seed)
    lower, upper = fitted.interval
    return replace(
        found,
        estimate=100 * fitted.estimate,
        lower=100 * lower,
        upper=100 * upper,
        why=_why(fitted),
    )


def _why(found: Result) -> str:
    return f"No interval: {found.note}." if found.note else ""


def _gain_of_best(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    return _gain(claim, evidence, seed, "best")


def _gain_of_average(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    return _gain(claim, evidence, seed, "average")


def _over_method(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    """The mean stimulus against another prompting method."""
    del seed
    settings = tuple(s for s in _settings(claim, evidence) if claim.method in s.methods)
    if not settings:
        return _not_run(claim)
    means = task_means_against(settings, lambda s: ((claim.method,), s.stimuli))
    found = _with_estimate(claim, means, f"mean stimulus, against {claim.method}", relative=False)
    return _concluded(replace(found, as_published=found.estimate), settings, controlled=False)


def _few_shot_advantage(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    """How much more the mean stimulus gains with demonstrations than without."""
    del seed
    settings = _settings(claim, evidence)
    few = task_means([s for s in settings if s.shots], "average")
    zero = task_means([s for s in settings if not s.shots], "average")
    shared = [t for t in few.units if t in zero.units]
    if not shared:
        return _not_run(claim)
    gains = [
        np.array([(m.variant - m.original)[m.units.index(t)] for t in shared]) for m in (zero, few)
    ]
    n_items = zero.n_items + few.n_items
    means = TaskMeans(tuple(shared), gains[0], gains[1], len(shared), n_items)
    found = _with_estimate(
        claim, means, "gain of the mean stimulus, few-shot minus zero-shot", relative=False
    )
    return _concluded(replace(found, as_published=found.estimate), settings, controlled=False)


def _tasks_with_larger_share(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    """In how many tasks positive words have more than half of the importance."""
    del seed
    table = evidence.importance
    if table is None or not len(table):
        return _not_run(claim)
    above = int((table["lower"] > 0.5).sum())
    below = int((table["upper"] < 0.5).sum())
    count = int((table["share"] > 0.5).sum())
    wanted = round(claim.published)
    if above >= wanted:
        verdict: Verdict = "reproduced"
        why = f"the interval of the share lies above one half in {above} of {len(table)} tasks"
    elif len(table) - below < wanted:
        verdict = "not reproduced"
        why = f"the interval of the share lies below one half in {below} of {len(table)} tasks"
    else:
        verdict = "cannot tell"
        why = f"{above} of {len(table)} intervals lie above one half, {below} below it"
    return Finding(
        claim=claim,
        verdict=verdict,
        why=f"{why[0].upper()}{why[1:]}.",
        as_published=count,
        estimate=count,
        lower=above,
        upper=len(table) - below,
        estimand="tasks in which positive words have more than half of the importance",
        n_tasks=len(table),
    )


STATISTICS: Mapping[str, Callable[[Claim, Evidence, int], Finding]] = {
    "gain_of_best": _gain_of_best,
    "gain_of_average": _gain_of_average,
    "over_method": _over_method,
    "few_shot_advantage": _few_shot_advantage,
    "tasks_with_larger_share": _tasks_with_larger_share,
}
"""What a claim may be about."""


def _with_estimate(claim: Claim, means: TaskMeans, estimand: str, *, relative: bool) -> Finding:
    """The estimate with its interval over tasks; no verdict yet."""
    found = Finding(
        claim=claim,
        verdict="cannot tell",
        why="",
        estimand=estimand if means.n_tasks != 1 else f"{estimand}; interval over items",
        n_tasks=means.n_tasks,
        n_items=means.n_items,
    )
    if not means.units:
        return replace(found, why="No item was answered under every prompt.")
    if relative:
        level = t_interval(means.original)
        if not level.interval[0] > 0:
            return replace(
                found,
                why=f"The original scores {100 * level.estimate:.1f} points, whose interval does "
                "not lie above 0: a relative gain means nothing there.",
            )
        gain = macro_relative_gain(means.units, means.original, means.variant)
        if gain.note in ("undefined", "unbounded"):
            why = "No interval: the original cannot be told from 0, so a ratio to it has none."
            found = replace(found, why=why)
        estimate, (lower, upper) = gain.estimate, gain.interval
    else:
        difference = t_interval(means.variant - means.original)
        found = replace(found, why=_why(difference))
        estimate, (lower, upper) = difference.estimate, difference.interval
    return replace(found, estimate=100 * estimate, lower=100 * lower, upper=100 * upper)


def _with_chance(found: Finding, chance: Chance) -> Finding:
    return replace(
        found,
        as_published=100 * chance.value,
        chance=100 * chance.mean,
        chance_upper=100 * chance.upper,
        chance_pvalue=chance.pvalue,
    )


def _concluded(found: Finding, settings: Sequence[Setting], *, controlled: bool = True) -> Finding:
    """Add the contrast with the matched neutral sentences, and the verdict."""
    names = [f"{s.model} {s.label}" for s in settings]
    found = replace(found, settings="; ".join(dict.fromkeys(names)))
    if controlled:
        against = task_means_against(
            settings, lambda s: (tuple(s.controls.values()), tuple(s.controls))
        )
        if len(against.units) > 1:
            d = t_interval(against.variant - against.original)
            found = replace(
                found,
                control=100 * d.estimate,
                control_lower=100 * d.interval[0],
                control_upper=100 * d.interval[1],
            )
    if found.why:
        return found
    verdict, why = _verdict(found)
    return replace(found, verdict=verdict, why=why)


def _verdict(found: Finding) -> tuple[Verdict, str]:
    claim = found.claim
    unit = " %" if claim.unit == "percent" else " points"
    interval = f"{found.lower:+.1f} to {found.upper:+.1f}{unit}"
    published = f"{claim.published:+g}{unit}"
    if math.isnan(found.lower) or math.isnan(found.upper):
        return "cannot tell", "The answers allow no interval."
    if found.lower > 0:
        if not math.isnan(found.control_lower) and found.control_lower <= 0:
            return (
                "cannot tell",
                f"The stimuli score higher than the original ({interval}), but are not shown to "
                "score higher than neutral sentences of the same length "
                f"({found.control_lower:+.1f} to {found.control_upper:+.1f} points).",
            )
        size = "smaller than published" if found.upper < claim.published else "above 0"
        return "reproduced", f"The effect is {size}: {interval}, published {published}."
    if found.upper < claim.published:
        return (
            "not reproduced",
            f"An effect of the published size ({published}) is ruled out: {interval}.",
        )
    return (
        "cannot tell",
        f"The interval ({interval}) holds both no effect and the published {published}.",
    )


CLAIM_COLUMNS = (
    *("id", "statement", "benchmark", "unit", "published", "status", "source", "how"),
    *("as_published", "chance", "chance_upper", "chance_pvalue", "estimand"),
    *("estimate", "lower", "upper", "control", "control_lower", "control_upper"),
    *("verdict", "why", "settings", "n_tasks", "n_items"),
)


def claims_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a claim; the columns are `CLAIM_COLUMNS`."""
    import pandas as pd

    rows = [{**asdict(f), **asdict(f.claim)} for f in findings]
    return pd.DataFrame(rows).reindex(columns=list(CLAIM_COLUMNS))
