"""The papers' arithmetic, and what it gives when nothing works.

Both papers report `max`: the best stimulus of each task, chosen and measured on the same items,
averaged over tasks and models (the tables of arXiv 2307.11760). EmotionPrompt's headline is the
mean over settings of (average of max / average of original - 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.crossfit import CrossFit, cross_fit
from promptlab.analysis.papers.evidence import Level, Setting

__all__ = [
    "Chance",
    "TaskMeans",
    "as_published",
    "chosen_on_one_task",
    "task_means",
    "task_means_against",
]

Of = Literal["best", "average"]
Scale = Literal["relative", "points"]
Sides = Callable[[Setting], tuple[Sequence[str], Sequence[str]]]


@dataclass(frozen=True)
class Chance:
    """A number as the paper computes it, beside what it is with no effect at all.

    Attributes:
        value: of these answers.
        mean: its mean with no effect.
        upper: its 95th percentile with no effect.
        pvalue: how often no effect gives as much; it speaks of `all prompts are alike`.
    """

    value: float
    mean: float
    upper: float
    pvalue: float


def as_published(settings: Sequence[Setting], of: Of, scale: Scale) -> Chance:
    """A paper's gain over the original.

    Args:
        settings: those that the number is averaged over: models first, then kinds of setting.
        of: the best stimulus of each task, or the average stimulus.
        scale: `relative`, the mean over settings of the ratio of averages less 1, or `points`,
            the mean difference; both as shares (0.08 = 8 %).
    """
    value = float(_gain(settings, lambda s: s.observed, of, scale)[0])
    null = _gain(settings, lambda s: s.null, of, scale)
    null = null[np.isfinite(null)]
    if not null.size:
        return Chance(value, np.nan, np.nan, np.nan)
    p = (1 + int((null >= value - 1e-12).sum())) / (null.size + 1)
    return Chance(value, float(null.mean()), float(np.quantile(null, 0.95)), p)


def _gain(
    settings: Sequence[Setting], level: Callable[[Setting], Level], of: Of, scale: Scale
) -> Array:
    gains = []
    for group in _by_kind(settings):
        levels = [level(s) for s in group]
        original = np.mean([v.original for v in levels], axis=0)
        reached = np.mean([getattr(v, of) for v in levels], axis=0)
        if scale == "points":
            gains.append(reached - original)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                gains.append(np.where(original > 0, reached / original - 1, np.nan))
    return np.asarray(np.mean(gains, axis=0))


def _by_kind(settings: Iterable[Setting]) -> list[list[Setting]]:
    kinds: dict[tuple[str, bool, str], list[Setting]] = {}
    for s in settings:
        kinds.setdefault((s.benchmark, s.shots > 0, s.base), []).append(s)
    return list(kinds.values())


@dataclass(frozen=True)
class TaskMeans:
    """Two sides of a comparison, one pair of means a unit.

    Attributes:
        units: names of the tasks; of the items, where there is one task.
        original: mean score of the side that is compared with, over settings.
        variant: of the side that is compared.
        n_tasks: tasks.
        n_items: items that entered, over settings.
    """

    units: tuple[str, ...]
    original: Array
    variant: Array
    n_tasks: int
    n_items: int


def task_means(settings: Sequence[Setting], of: Of, *, seed: int = 0) -> TaskMeans:
    """The original and the stimuli by task, averaged over settings, without chosen noise.

    With `best`, the stimulus of a task is chosen on four fifths of its items and measured on the
    rest (`promptlab.analysis.cross_fit`), so that no item both chooses and counts.
    """
    if of == "average":
        return task_means_against(settings, lambda s: (("original",), s.stimuli))
    rows = []
    for setting in settings:
        items, starts = setting.contest
        ends = np.append(starts[1:], items.shape[0])
        found = {}
        for task, first, end in zip(setting.tasks, starts, ends, strict=True):
            own = items[first:end]
            if end - first > 1:
                original = float(own[:, 0].mean())
                gain = cross_fit(own[:, 0], own[:, 1:], n_resamples=0, seed=seed).estimate
                found[task] = (original, original + gain)
        rows.append((found, items.shape[0]))
    means = _averaged(rows)
    return replace(means, n_tasks=len(means.units))


def task_means_against(settings: Sequence[Setting], sides: Sides) -> TaskMeans:
    """Means of two groups of conditions by task, averaged over the settings that have both.

    Where all settings have one and the same task, its items are the units.

    Args:
        settings: any.
        sides: of a setting, (conditions of the original side, conditions of the variant side).
    """
    named = [(s, *sides(s)) for s in settings]
    both = [(s, first, second) for s, first, second in named if first and second]
    tasks = {t for s, first, second in both for t in s.items((*first, *second))[2]}
    rows = []
    for setting, first, second in both:
        conditions, cut = (*first, *second), len(first)
        if len(tasks) == 1:
            by_unit = setting.rows(conditions)
        else:
            means, names = setting.task_means(conditions)
            by_unit = dict(zip(names, means, strict=True))
        found = {u: (float(r[:cut].mean()), float(r[cut:].mean())) for u, r in by_unit.items()}
        rows.append((found, setting.items(conditions)[0].shape[0]))
    averaged = _averaged(rows)
    return replace(averaged, n_tasks=min(len(tasks), len(averaged.units)))


def chosen_on_one_task(settings: Sequence[Setting], *, seed: int = 0) -> CrossFit:
    """Cross-fit gain of the best stimulus of a single task, with an interval over its items.

    Args:
        settings: settings with that task alone and the same stimuli; an item's score is its mean
            over them.
        seed: of the folds and of the bootstrap.
    """
    tables = [s.rows(("original", *settings[0].stimuli)) for s in settings]
    shared = [u for u in tables[0] if all(u in t for t in tables)]
    scores = np.mean([[t[u] for u in shared] for t in tables], axis=0)
    return cross_fit(scores[:, 0], scores[:, 1:], seed=seed)


def _averaged(rows: Sequence[tuple[dict[str, tuple[float, float]], int]]) -> TaskMeans:
    """Means over settings of the units that all of them have."""
    if not rows:
        return TaskMeans((), np.empty(0), np.empty(0), 0, 0)
    shared = [u for u in rows[0][0] if all(u in found for found, _ in rows)]
    table = np.array([[found[u] for u in shared] for found, _ in rows]).reshape(len(rows), -1, 2)
    mean = table.mean(axis=0)
    return TaskMeans(tuple(shared), mean[:, 0], mean[:, 1], 0, sum(n for _, n in rows))
