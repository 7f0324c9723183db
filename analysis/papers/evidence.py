"""What runs say about a paper: their scores, sorted into the settings that the paper speaks of.

A setting is one model on one benchmark with one number of demonstrations and one kind of
instruction. Its scores are in the benchmark's own unit: raw on Instruction Induction, the
normalised preferred metric on BIG-Bench, (raw - low) / (high - low), which is 0 at chance and may
be negative.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from promptlab.analysis.arrays import Array, Ints
from promptlab.analysis.pairing import Grid, grids
from promptlab.analysis.permuted import permuted_means
from promptlab.analysis.streams import threads_from
from promptlab.analysis.tables import check_scores
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["N_DRAWS", "Evidence", "Level", "Part", "Setting", "gather"]

N_DRAWS = 2000
"""Draws in which no prompt does anything."""

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
class Level:
    """Means over tasks: one number, or one for each draw under no effect.

    Attributes:
        original: of the prompt without a stimulus.
        average: mean over the stimuli.
        best: the best stimulus of each task.
    """

    original: Array
    average: Array
    best: Array


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One model, benchmark, number of demonstrations and kind of instruction.

    Attributes:
        grid: all scores, in the benchmark's unit; its first condition is the original.
        stimuli: the paper's stimuli that were asked, in the paper's order.
        controls: the matched neutral sentence of each stimulus that has one.
        methods: other prompting methods, by name.
    """

    model: str
    benchmark: str
    shots: int
    base: str
    temperature: float
    grid: Grid
    stimuli: tuple[str, ...]
    controls: Mapping[str, str]
    methods: tuple[str, ...]
    role: str = "main"
    seed: int = 0

    @property
    def label(self) -> str:
        """Short name for tables: `zero-shot, human`."""
        shots = "zero-shot" if self.shots == 0 else "few-shot"
        return f"{shots}, {'APE' if self.base == 'ape' else self.base}"

    @cached_property
    def contest(self) -> tuple[Array, Ints]:
        """(items x (original, stimuli), first item of each task): items that all of them have."""
        items, starts, _ = self.items(("original", *self.stimuli))
        return items, starts

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with at least one item under the original and every stimulus."""
        return self.items(("original", *self.stimuli))[2]

    def items(self, conditions: Sequence[str]) -> tuple[Array, Ints, tuple[str, ...]]:
        """(items x conditions, first item of each task, tasks) over items that all of them have."""
        columns = np.array([self._column(c) for c in conditions], np.int64)
        means, _ = self.grid.complete(columns)
        keep = np.flatnonzero(np.isfinite(means).all(axis=1))
        present, starts = np.unique(self.grid.item_task[keep], return_index=True)
        return means[keep], starts.astype(np.int64), tuple(self.grid.tasks[t] for t in present)

    def rows(self, conditions: Sequence[str]) -> dict[str, Array]:
        """Scores of every item that has all of the conditions, by task and item id."""
        items, starts, tasks = self.items(conditions)
        columns = np.array([self._column(c) for c in conditions], np.int64)
        kept = np.flatnonzero(np.isfinite(self.grid.complete(columns)[0]).all(axis=1))
        owner = np.repeat(np.arange(starts.size), np.diff(np.append(starts, items.shape[0])))
        return {
            f"{tasks[t]} {self.grid.items[i]}": row
            for t, i, row in zip(owner, kept, items, strict=True)
        }

    def _column(self, condition: str) -> int:
        return self.grid.conditions.index(
            self.grid.conditions[0] if condition == "original" else condition
        )

    def has(self, condition: str) -> bool:
        """Whether a condition was asked here."""
        return condition in self.grid.conditions

    def task_means(self, conditions: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
        """(tasks x conditions, tasks): mean scores over the items that all of them have."""
        items, starts, tasks = self.items(conditions)
        sizes = np.diff(np.append(starts, items.shape[0]))[:, None]
        if not starts.size:
            return np.empty((0, len(conditions))), ()
        return np.add.reduceat(items, starts, axis=0) / sizes, tasks

    @cached_property
    def observed(self) -> Level:
        """The setting's means as the papers compute them."""
        means, _ = self.task_means(("original", *self.stimuli))
        return _level(means.T[..., None])

    @cached_property
    def null(self) -> Level:
        """The same means in `N_DRAWS` draws in which no prompt does anything.

        Prompt labels are exchanged inside every item, as `promptlab.analysis.label_permutation`
        does.
        """
        items, starts = self.contest
        name = f"{self.model}|{self.benchmark}|{self.shots}|{self.base}|{self.temperature}"
        place, threads = zlib.crc32(name.encode()), threads_from(None)
        drawn = permuted_means(items, starts, N_DRAWS, self.seed, place, n_threads=threads)
        blocks = [_level(means) for means in drawn]
        return Level(
            original=np.concatenate([b.original for b in blocks]),
            average=np.concatenate([b.average for b in blocks]),
            best=np.concatenate([b.best for b in blocks]),
        )


def _level(means: Array) -> Level:
    """Means over tasks of prompts x tasks x draws."""
    stimuli = means[1:]
    return Level(
        original=means[0].mean(axis=0),
        average=stimuli.mean(axis=0).mean(axis=0),
        best=stimuli.max(axis=0).mean(axis=0),
    )


@dataclass(frozen=True)
class Evidence:
    """All settings of a paper's runs under one scoring protocol.

    Attributes:
        settings: in the order of the runs.
        library: the paper's library of stimuli.
        protocol: of scoring: `primary`, or the name of the second one.
        importance: shares of word importance by task, where they were computed.
    """

    settings: tuple[Setting, ...]
    library: str
    protocol: str
    importance: pd.DataFrame | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Labels of the models, in order."""
        return tuple(dict.fromkeys(s.model for s in self.settings))

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
        importance: shares of word importance by task.
        seed: of the draws under no effect.

    Raises:
        UserError: no part has scores.
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
                found += _settings(part, str(benchmark), rows, library, baseline, seed)
    if not found and protocol is None:
        raise UserError(
            f"no run has a score of '{baseline}' and of a stimulus of the library '{library}'"
        )
    return Evidence(tuple(found), library, protocol or "primary", importance)


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
            scores=pd.concat([p.scores for p in same], ignore_index=True),
            conditions=pd.concat([p.conditions for p in same]).drop_duplicates("condition"),
            tasks=pd.concat([p.tasks for p in same]).drop_duplicates("task"),
        )
        for same in kinds.values()
    ]


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
