"""A setting of a paper: one model on one benchmark, its scores, and what chance makes of them."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from promptlab.analysis.arrays import Array, Ints
from promptlab.analysis.pairing import Grid
from promptlab.analysis.permuted import permuted_means
from promptlab.analysis.streams import threads_from

__all__ = ["N_DRAWS", "Answers", "Level", "Setting"]

N_DRAWS = 2000
"""Draws in which no prompt does anything."""


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


@dataclass(frozen=True)
class Answers:
    """What became of the answers of a setting.

    Attributes:
        planned: answers asked for.
        scored: those with a score.
        cut_off: without one, because the token limit cut them off.
        items: items asked.
        items_counted: items that have a score under the original and every stimulus.
    """

    planned: int
    scored: int
    cut_off: int
    items: int
    items_counted: int


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
        means, kept = self._complete(conditions)
        present, starts = np.unique(self.grid.item_task[kept], return_index=True)
        return means, starts.astype(np.int64), tuple(self.grid.tasks[t] for t in present)

    def rows(self, conditions: Sequence[str]) -> dict[str, Array]:
        """Scores of every item that has all of the conditions, by task and item id."""
        means, kept = self._complete(conditions)
        tasks = self.grid.item_task
        return {
            f"{self.grid.tasks[tasks[i]]} {self.grid.items[i]}": row
            for i, row in zip(kept, means, strict=True)
        }

    def _complete(self, conditions: Sequence[str]) -> tuple[Array, Ints]:
        """Scores of the items that all of the conditions have, and their places in the grid."""
        columns = np.array([self._column(c) for c in conditions], np.int64)
        means, _ = self.grid.complete(columns)
        kept = np.flatnonzero(np.isfinite(means).all(axis=1))
        return means[kept], kept

    def only(self, tasks: Collection[str]) -> Setting:
        """The same setting without the other tasks."""
        if set(self.tasks) <= set(tasks):
            return self
        return replace(self, grid=self.grid.only(tasks))

    def scaled(self, low: float, high: float) -> Setting:
        """The same setting with scores from `low` to `high` instead of 0 to 1."""
        if (low, high) == (0, 1):
            return self
        return replace(self, grid=replace(self.grid, scores=low + (high - low) * self.grid.scores))

    @property
    def answers(self) -> Answers:
        """What became of the answers under the original and the stimuli."""
        columns = [self._column(c) for c in ("original", *self.stimuli)]
        planned, scored = self.grid.planned[:, columns], np.isfinite(self.grid.scores[:, columns])
        return Answers(
            planned=int(planned.sum()),
            scored=int(scored.sum()),
            cut_off=int((self.grid.truncated[:, columns] & ~scored).sum()),
            items=self.grid.item_starts.size,
            items_counted=self.contest[0].shape[0],
        )

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
