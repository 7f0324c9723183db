"""The papers' arithmetic, and what it gives when nothing works.

Both papers report `max`: the best stimulus of each task, chosen and measured on the same items,
averaged over tasks and models (the tables of arXiv 2307.11760). EmotionPrompt's headline is the
mean over settings of (average of max / average of original - 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.crossfit import cross_fit
from promptlab.analysis.papers.evidence import Level, Setting

__all__ = ["Chance", "TaskMeans", "as_published", "task_means", "task_means_against"]

Of = Literal["best", "average"]
Scale = Literal["relative", "points"]


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
    """Two sides of a comparison, one pair of means a task.

    Attributes:
        tasks: names.
        original: mean score of the side that is compared with, over settings.
        variant: of the side that is compared.
        n_items: items that entered, over settings.
    """

    tasks: tuple[str, ...]
    original: Array
    variant: Array
    n_items: int


def task_means(settings: Sequence[Setting], of: Of, *, seed: int = 0) -> TaskMeans:
    """The original and the stimuli by task, averaged over settings, without chosen noise.

    With `best`, the stimulus of a task is chosen on four fifths of its items and measured on the
    rest (`promptlab.analysis.cross_fit`), so that no item both chooses and counts.
    """
    rows = []
    for setting in settings:
        items, starts = setting.contest
        ends = np.append(starts[1:], items.shape[0])
        found = {}
        for task, first, end in zip(setting.tasks, starts, ends, strict=True):
            own = items[first:end]
            original = float(own[:, 0].mean())
            if of == "average":
                found[task] = (original, float(own[:, 1:].mean()))
            elif end - first > 1:
                gain = cross_fit(own[:, 0], own[:, 1:], n_resamples=0, seed=seed).estimate
                found[task] = (original, original + gain)
        rows.append((found, items.shape[0]))
    return _averaged(rows)


def task_means_against(
    settings: Sequence[Setting], sides: Callable[[Setting], tuple[Sequence[str], Sequence[str]]]
) -> TaskMeans:
    """Means of two groups of conditions by task, averaged over the settings that have both.

    Args:
        settings: any.
        sides: of a setting, (conditions of the original side, conditions of the variant side).
    """
    rows = []
    for setting in settings:
        original, variant = sides(setting)
        if not original or not variant:
            continue
        items, _, _ = setting.items((*original, *variant))
        means, tasks = setting.task_means((*original, *variant))
        cut = len(original)
        found = {
            task: (float(row[:cut].mean()), float(row[cut:].mean()))
            for task, row in zip(tasks, means, strict=True)
        }
        rows.append((found, items.shape[0]))
    return _averaged(rows)


def _averaged(rows: Sequence[tuple[dict[str, tuple[float, float]], int]]) -> TaskMeans:
    """Means over settings of the tasks that all of them have."""
    if not rows:
        return TaskMeans((), np.empty(0), np.empty(0), 0)
    shared = [t for t in rows[0][0] if all(t in found for found, _ in rows)]
    table = np.array([[found[t] for t in shared] for found, _ in rows]).reshape(len(rows), -1, 2)
    mean = table.mean(axis=0)
    return TaskMeans(tuple(shared), mean[:, 0], mean[:, 1], sum(n for _, n in rows))
