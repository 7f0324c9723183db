"""What runs say about a paper: their scores, sorted into the settings that the paper speaks of.

A setting is one model on one benchmark with one number of demonstrations and one kind of
instruction. Its scores are in the benchmark's own unit: raw on Instruction Induction, the
normalised preferred metric on BIG-Bench, (raw - low) / (high - low), which is 0 at chance and may
be negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from promptlab.analysis.pairing import Grid, Missing, grids
from promptlab.analysis.papers.settings import Setting
from promptlab.analysis.tables import check_scores
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Evidence", "Part", "gather"]

_NORMALISED = frozenset({"bigbench"})


@dataclass(frozen=True, kw_only=True)
class Part:
    """One run of a recipe.

    Attributes:
        name: of the part, as the recipe has it.
        scores: one row an item, condition and protocol.
        conditions: condition, method, valence, library, matched_to.
        tasks: task, low, high.
        role: `main`, or the name of a table of its own (`combinations`, `temperature`).
        base: kind of instruction: `human` or `ape`.
        temperature: of sampling.
    """

    name: str
    scores: pd.DataFrame
    conditions: pd.DataFrame
    tasks: pd.DataFrame
    role: str = "main"
    base: str = "human"
    temperature: float = 0.0


@dataclass(frozen=True)
class Evidence:
    """All settings of a paper's runs under one scoring protocol.

    Attributes:
        settings: in the order of the runs.
        library: the paper's library of stimuli.
        protocol: of scoring: `primary`, or the name of the second one.
        incomplete: settings in which no item has a score under the original and every stimulus.
        importance: shares of word importance by task, where they were computed.
    """

    settings: tuple[Setting, ...]
    library: str
    protocol: str
    incomplete: tuple[Setting, ...] = ()
    importance: pd.DataFrame | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Labels of the models, in order."""
        return tuple(dict.fromkeys(s.model for s in (*self.settings, *self.incomplete)))

    def where(
        self,
        benchmark: str | None = None,
        *,
        role: str = "main",
        base: Iterable[str] | None = None,
        model: str | None = None,
    ) -> tuple[Setting, ...]:
        """The settings of a role that fit what is given."""
        kinds = None if base is None else set(base)
        return tuple(
            s
            for s in self.settings
            if s.role == role
            and (benchmark is None or s.benchmark == benchmark)
            and (kinds is None or s.base in kinds)
            and (model is None or s.model == model)
        )


def gather(
    parts: Sequence[Part],
    library: str,
    *,
    baseline: str = "original",
    protocol: str | None = None,
    missing: Missing = "drop_pair",
    importance: pd.DataFrame | None = None,
    seed: int = 0,
) -> Evidence:
    """Sort the scores of a paper's runs into settings.

    Args:
        parts: the runs.
        library: name of the paper's library of stimuli (`emotionprompt`).
        baseline: the condition without a stimulus.
        protocol: a scoring protocol, of judges without `@JUDGE`; the one that decides for each
            task unless given.
        missing: what an answer without a score counts: its item does not (`drop_pair`), or it is
            wrong (`as_wrong`).
        importance: shares of word importance by task.
        seed: of the draws under no effect.

    Raises:
        UserError: no part has scores, or two have the same setting at two temperatures.
    """
    found: list[Setting] = []
    for part in _merged(parts):
        given = part.scores if protocol is None else _under(part.scores, protocol)
        if given.empty:
            continue
        scores = check_scores(given, source=f"the scores of {part.name}")
        scores = scores if protocol else scores[scores["primary"]]
        scores = scores.assign(protocol=protocol or "primary")
        suites = scores["task"].str.partition("/")[0]
        for benchmark in dict.fromkeys(suites):
            rows = scores[suites == benchmark]
            if rows["score"].notna().any() and baseline in set(rows["condition"]):
                rows = rows if missing == "drop_pair" else _wrong(rows)
                found += _settings(part, str(benchmark), rows, library, baseline, seed)
    if not found and protocol is None:
        raise UserError(
            f"no run has a score of '{baseline}' and of a stimulus of the library '{library}'"
        )
    _one_temperature(found)
    whole = tuple(s for s in found if s.tasks)
    incomplete = tuple(s for s in found if not s.tasks)
    return Evidence(whole, library, protocol or "primary", incomplete, importance)


def _wrong(scores: pd.DataFrame) -> pd.DataFrame:
    """Answers without a score as wrong ones; what only a judge can score stays open."""
    lacking = scores["score"].isna() & (scores["status"] != "unjudged")
    return scores.assign(score=scores["score"].mask(lacking, 0.0))


def _one_temperature(settings: Iterable[Setting]) -> None:
    """A setting of the main table is one experiment; two temperatures are two."""
    seen: dict[tuple[str, ...], float] = {}
    for s in settings:
        place = (s.model, s.benchmark, s.label)
        if s.role == "main" and seen.setdefault(place, s.temperature) != s.temperature:
            raise UserError(
                f"{' '.join(place)} was asked at temperature {seen[place]:g} and at "
                f"{s.temperature:g}; write a dossier of each"
            )


def _under(scores: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Rows of the protocol; of several judges by one rubric, those of the first."""
    names = list(dict.fromkeys(scores["protocol"])) if "protocol" in scores else []
    chosen = [n for n in names if protocol in (n, str(n).rpartition("@")[0])]
    return scores[scores["protocol"].isin(chosen[:1])] if chosen else scores[:0]


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Parts of one kind as one: the tasks of a setting may have been asked in several runs."""
    import pandas as pd

    kinds: dict[tuple[str, str, float], list[Part]] = {}
    for part in parts:
        kinds.setdefault((part.role, part.base, part.temperature), []).append(part)
    return [
        replace(
            same[0],
            name=", ".join(p.name for p in same),
            scores=_once(pd.concat([p.scores for p in same], ignore_index=True)),
            conditions=pd.concat([p.conditions for p in same]).drop_duplicates("condition"),
            tasks=pd.concat([p.tasks for p in same]).drop_duplicates("task"),
        )
        for same in kinds.values()
    ]


def _once(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of several runs, such as a first look and the whole of it, as the last has them."""
    keys = ("model", "task", "condition", "shots", "instruction", "replicate", "item_id")
    given = [c for c in (*keys, "protocol") if c in scores]
    return scores.drop_duplicates(given, keep="last", ignore_index=True)


def _settings(
    part: Part, benchmark: str, rows: pd.DataFrame, library: str, baseline: str, seed: int
) -> list[Setting]:
    table = part.conditions
    stimuli = table[(table["method"] == "stimulus") & (table["valence"] != "neutral")]
    single = ~stimuli["condition"].str.contains("+", regex=False)
    wanted = (stimuli["library"] == library) & (single | (part.role == "combinations"))
    own = [str(c) for c in stimuli.loc[wanted, "condition"]]
    matched = table[table["matched_to"].fillna("") != ""]
    pairs = zip(matched["condition"], matched["matched_to"], strict=True)
    controls = {str(original): str(control) for control, original in pairs}
    methods = [
        str(c)
        for c, m in zip(table["condition"], table["method"], strict=True)
        if m not in ("stimulus", "original")
    ]
    order = [str(c) for c in table["condition"]]
    found = []
    if not set(own) & set(rows["condition"]):
        return []
    for grid in grids(rows, baseline, order=order):
        known = set(grid.conditions)
        found.append(
            Setting(
                model=grid.model,
                benchmark=benchmark,
                shots=grid.shots,
                base=part.base,
                temperature=part.temperature,
                grid=_in_unit(grid, part.tasks) if benchmark in _NORMALISED else grid,
                stimuli=tuple(c for c in own if c in known),
                controls={
                    c: controls[_plain(c)]
                    for c in own
                    if _plain(c) in controls and {c, controls[_plain(c)]} <= known
                },
                methods=tuple(m for m in methods if m in known),
                role=part.role,
                seed=seed,
            )
        )
    return [s for s in found if s.stimuli]


def _plain(condition: str) -> str:
    """A condition's stimulus without its place."""
    return condition.partition("@")[0]


def _in_unit(grid: Grid, tasks: pd.DataFrame) -> Grid:
    """Scores as the normalised preferred metric, of which the means are those of the suite."""
    span = tasks.set_index("task")[["low", "high"]].astype(float)
    low = span["low"].reindex(grid.tasks).fillna(0.0).to_numpy()
    high = span["high"].reindex(grid.tasks).fillna(1.0).to_numpy()
    rows = np.repeat(
        np.arange(len(grid.tasks)), np.diff(np.append(grid.task_rows, grid.scores.shape[0]))
    )
    return replace(grid, scores=(grid.scores - low[rows, None]) / (high - low)[rows, None])
