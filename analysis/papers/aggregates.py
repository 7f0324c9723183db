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
from promptlab.analysis.gains import macro_relative_gain
from promptlab.analysis.intervals import t_interval
from promptlab.analysis.papers.settings import Level, Setting
from promptlab.analysis.results import Result

__all__ = [
    "Chance",
    "TaskMeans",
    "as_published",
    "by_kind",
    "chosen_on_one_task",
    "control_means",
    "mean_gain",
    "mean_relative_gain",
    "shared_tasks",
    "shared_units",
    "shots_means",
    "task_means",
    "task_means_against",
]

Of = Literal["best", "average"]
Scale = Literal["relative", "points"]
Sides = Callable[[Setting], tuple[Sequence[str], Sequence[str]]]

_LEAST = 0.005
"""An original at or below this has no relative gain."""


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

    Returns:
        NaN where an original is below half a point, observed or with no effect: a ratio to it is
        noise.
    """
    value = float(_gain(settings, lambda s: s.observed, of, scale)[0])
    null = _gain(settings, lambda s: s.null, of, scale)
    if not (np.isfinite(value) and np.isfinite(null).all()):
        return Chance(value, np.nan, np.nan, np.nan)
    p = (1 + int((null >= value - 1e-12).sum())) / (null.size + 1)
    return Chance(value, float(null.mean()), float(np.quantile(null, 0.95)), p)


def _gain(
    settings: Sequence[Setting], level: Callable[[Setting], Level], of: Of, scale: Scale
) -> Array:
    gains = []
    for group in by_kind(settings):
        levels = [level(s) for s in group]
        original = np.mean([v.original for v in levels], axis=0)
        reached = np.mean([getattr(v, of) for v in levels], axis=0)
        if scale == "points":
            gains.append(reached - original)
        else:
            ratio = reached / np.where(original > _LEAST, original, np.nan)
            gains.append(ratio - 1)
    return np.asarray(np.mean(gains, axis=0))


def by_kind(settings: Iterable[Setting]) -> list[list[Setting]]:
    """Settings by benchmark, with or without demonstrations, and kind of instruction."""
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

    def only(self, units: Sequence[str]) -> TaskMeans:
        """The same comparison over some of its units."""
        places = {unit: i for i, unit in enumerate(self.units)}
        at = [places[u] for u in units]
        return replace(
            self, units=tuple(units), original=self.original[at], variant=self.variant[at]
        )


def shared_units(means: Sequence[TaskMeans]) -> tuple[str, ...]:
    """The units that all comparisons have, in the order of the first."""
    common = set.intersection(*(set(m.units) for m in means))
    return tuple(u for u in means[0].units if u in common)


def mean_gain(kinds: Sequence[TaskMeans]) -> Result:
    """Mean over kinds of setting of the difference of means, with its t interval over units.

    Args:
        kinds: with the same units in the same order.
    """
    return t_interval(np.mean([m.variant - m.original for m in kinds], axis=0))


def mean_relative_gain(kinds: Sequence[TaskMeans]) -> Result:
    """Mean over kinds of setting of (mean of the variant / mean of the original - 1).

    One kind has Fieller's interval (`macro_relative_gain`). Of several, which share their units,
    each ratio is linearised at its estimate (delta method) and the mean has a t interval.

    Args:
        kinds: with the same units in the same order, and originals above 0.
    """
    if len(kinds) == 1:
        return macro_relative_gain(kinds[0].units, kinds[0].original, kinds[0].variant)
    ratios = [m.variant.mean() / m.original.mean() for m in kinds]
    moved = [
        (m.variant - ratio * m.original) / m.original.mean() + ratio - 1
        for m, ratio in zip(kinds, ratios, strict=True)
    ]
    return t_interval(np.mean(moved, axis=0))


def shared_tasks(settings: Sequence[Setting]) -> list[Setting]:
    """The settings with the tasks that all of them have; empty where there is none."""
    if not settings:
        return []
    shared = set.intersection(*(set(s.tasks) for s in settings))
    return [s.only(shared) for s in settings] if shared else []


def task_means(settings: Sequence[Setting], of: Of, *, seed: int = 0) -> TaskMeans:
    """The original and the stimuli by task, averaged over settings, without chosen noise.

    With `best`, the stimulus of a task is chosen on four fifths of its items and measured on the
    rest (`promptlab.analysis.cross_fit`), so that no item both chooses and counts.
    """
    if of == "average":
        return task_means_against(settings, lambda s: (("original",), s.stimuli))
    return _best_means(settings, lambda s: (("original",), s.stimuli), seed)


def control_means(settings: Sequence[Setting], of: Of, *, seed: int = 0) -> TaskMeans:
    """The matched neutral sentences and their stimuli by task, averaged over settings.

    With `best`, the best of the stimuli against the best of as many neutral sentences, each chosen
    on other items: the best of any sentences differs from the original.
    """
    if of == "average":
        return task_means_against(settings, _matched)
    return _best_means(settings, _matched, seed)


def _matched(setting: Setting) -> tuple[Sequence[str], Sequence[str]]:
    return tuple(setting.controls.values()), tuple(setting.controls)


def _best_means(settings: Sequence[Setting], sides: Sides, seed: int) -> TaskMeans:
    """The best of either side by task, chosen and measured on different items."""
    rows = []
    for setting in settings:
        groups = sides(setting)
        if not all(groups):
            continue
        items, starts, tasks = setting.items(("original", *groups[0], *groups[1]))
        ends, cut = np.append(starts[1:], items.shape[0]), 1 + len(groups[0])
        found = {
            task: (
                _reached(items[first:end, 0], items[first:end, 1:cut], seed),
                _reached(items[first:end, 0], items[first:end, cut:], seed),
            )
            for task, first, end in zip(tasks, starts, ends, strict=True)
            if end - first > 1
        }
        rows.append((found, items.shape[0]))
    means = _averaged(rows)
    return replace(means, n_tasks=len(means.units))


def _reached(original: Array, prompts: Array, seed: int) -> float:
    """What the best prompt of a task scores on the items that did not choose it."""
    if prompts.shape[1] == 1:
        return float(prompts.mean())
    gain = cross_fit(original, prompts, n_resamples=0, seed=seed).estimate
    return float(original.mean()) + gain


def shots_means(settings: Sequence[Setting]) -> TaskMeans:
    """Gain of the average stimulus by task without (`original`) and with demonstrations."""
    zero = task_means([s for s in settings if not s.shots], "average")
    few = task_means([s for s in settings if s.shots], "average")
    shared = shared_units([zero, few])
    zero, few = zero.only(shared), few.only(shared)
    gains = (zero.variant - zero.original, few.variant - few.original)
    n_tasks = min(zero.n_tasks, few.n_tasks, len(shared))
    return TaskMeans(shared, *gains, n_tasks, zero.n_items + few.n_items)


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
        settings: settings with that task alone; an item's score is its mean over them, and only
            stimuli that all of them have can be chosen.
        seed: of the folds and of the bootstrap.

    Raises:
        UserError: the settings have fewer than two items in common.
    """
    stimuli = [c for c in settings[0].stimuli if all(c in s.stimuli for s in settings)]
    tables = [s.rows(("original", *stimuli)) for s in settings]
    shared = [u for u in tables[0] if all(u in t for t in tables)]
    scores = np.mean([[t[u] for u in shared] for t in tables], axis=0)
    return cross_fit(scores[:, 0], scores[:, 1:], seed=seed)


def _averaged(rows: Sequence[tuple[dict[str, tuple[float, float]], int]]) -> TaskMeans:
    """Means over settings of the units that all of them have."""
    if not rows:
        return TaskMeans((), np.empty(0), np.empty(0), 0, 0)
    shared = [u for u in rows[0][0] if all(u in found for found, _ in rows)]
    if not shared:
        return TaskMeans((), np.empty(0), np.empty(0), 0, sum(n for _, n in rows))
    table = np.array([[found[u] for u in shared] for found, _ in rows])
    mean = table.mean(axis=0)
    return TaskMeans(tuple(shared), mean[:, 0], mean[:, 1], 0, sum(n for _, n in rows))
