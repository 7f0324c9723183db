"""Relative gains over tasks: of the macro means, of every task, and on a normalised metric."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Array, paired, safe_divide
from promptlab.analysis.estimands import normalized
from promptlab.analysis.intervals import critical_z, t_interval
from promptlab.analysis.macro import Generalize
from promptlab.analysis.ratio import RelativeGain, fieller, fieller_limits
from promptlab.analysis.several import Several, labels_of
from promptlab.errors import UnknownName, UserError

__all__ = [
    "MacroRelativeGain",
    "TaskGains",
    "macro_relative_gain",
    "normalized_relative_gain",
    "task_relative_gains",
]


@dataclass(frozen=True, kw_only=True, repr=False)
class MacroRelativeGain(RelativeGain):
    """Ratio of the macro means, minus 1."""

    label: ClassVar[str] = "macro relative gain"
    unit: ClassVar[str] = "tasks"


@dataclass(frozen=True, kw_only=True, repr=False)
class TaskGains(Several):
    """Relative gain of every task, with what is wrong with it.

    Attributes:
        g: Fieller's g of each task.
        flags: `` (fine), `undefined` (the original is 0), `unbounded` (g >= 1), `unstable`
            (g >= 0.2) or `one item`.
        mean_original: the denominators.
        mean_variant: the numerators.
        items: of each task.
    """

    g: Array
    flags: tuple[str, ...]
    mean_original: Array
    mean_variant: Array
    items: Array

    label: ClassVar[str] = "relative gains"
    unit: ClassVar[str] = "tasks"
    columns: ClassVar[tuple[str, ...]] = ("g", "flags", "mean_original", "mean_variant", "items")

    def flagged(self, flag: str) -> tuple[str, ...]:
        """Names of the tasks with that flag."""
        return tuple(name for name, own in zip(self.names, self.flags, strict=True) if own == flag)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Means, squared errors of the means and their covariance, by task; NaN for one item."""

    names: tuple[str, ...]
    size: Array
    x: Array
    y: Array
    var_x: Array
    var_y: Array
    cov: Array


def _moments(tasks: Any, original: Any, variant: Any) -> _Moments:
    x, y = paired(original, variant)
    labels, group = np.unique(labels_of(tasks, x.size, "task"), return_inverse=True)
    group = group.reshape(-1)
    size = np.bincount(group).astype(np.float64)
    mean_x, mean_y = (np.bincount(group, weights=v) / size for v in (x, y))
    off_x, off_y = x - mean_x[group], y - mean_y[group]
    dof = np.where(size > 1, (size - 1) * size, np.nan)
    var_x, var_y, cov = (
        safe_divide(np.bincount(group, weights=v), dof) for v in (off_x**2, off_y**2, off_x * off_y)
    )
    names = tuple(str(label) for label in labels)
    return _Moments(names, size, mean_x, mean_y, var_x, var_y, cov)


def macro_relative_gain(
    tasks: Any,
    original: Any,
    variant: Any,
    *,
    generalize: Generalize = "random",
    level: float = 0.95,
) -> MacroRelativeGain:
    """Rho = mean over tasks of the variant / mean over tasks of the original - 1: the primary one.

    Args:
        tasks: the task of each item.
        original: item scores.
        variant: item scores of the same items.
        generalize: `random` to new tasks (Fieller by t over the task means), `fixed` to new items
            of these tasks (Fieller by the normal, errors within tasks).
        level: of the interval.

    Returns:
        The interval is NaN, and `note` says why, where it does not exist; see `fieller`.
    """
    if generalize not in ("random", "fixed"):
        raise UnknownName("unit of generalisation", str(generalize), ("random", "fixed"))
    z = critical_z(level)
    m = _moments(tasks, original, variant)
    if generalize == "random":
        found = fieller(m.x, m.y, level=level)
        return MacroRelativeGain(
            estimate=found.estimate,
            interval=found.interval,
            n=found.n,
            method="ratio of macro means, Fieller interval, t over tasks",
            level=level,
            note=found.note.replace("one pair", "one task"),
            mean_original=found.mean_original,
            mean_variant=found.mean_variant,
            g=found.g,
            roots=found.roots,
        )
    count = m.size.size
    var_x, var_y, cov = (float(v.sum()) / count**2 for v in (m.var_x, m.var_y, m.cov))
    limits = fieller_limits(m.x.mean(), m.y.mean(), var_x, var_y, cov, z)
    note = str(limits.note)
    if not note and (m.size < 2).any():
        note = "a task has one item: its variance is unknown"
    return MacroRelativeGain(
        estimate=float(limits.gain),
        interval=(float(limits.lower), float(limits.upper)),
        n=count,
        method="ratio of macro means, Fieller interval, normal, fixed tasks",
        level=level,
        note=note,
        mean_original=float(m.x.mean()),
        mean_variant=float(m.y.mean()),
        g=float(limits.g),
        roots=(float(limits.roots[0]), float(limits.roots[1])),
    )


def task_relative_gains(
    tasks: Any, original: Any, variant: Any, *, level: float = 0.95
) -> TaskGains:
    """Relative gain of every task with Fieller's interval and a flag; no task is dropped.

    A task whose original is 0 has no relative gain: it stays in the table as `undefined`.

    Args:
        tasks: the task of each item.
        original: item scores.
        variant: item scores of the same items.
        level: of the intervals.
    """
    critical_z(level)
    m = _moments(tasks, original, variant)
    critical = np.where(m.size > 1, stats.t.isf((1 - level) / 2, np.maximum(m.size - 1, 1)), np.nan)
    found = fieller_limits(m.x, m.y, m.var_x, m.var_y, m.cov, critical)
    single = (m.size < 2) & (found.note == "")
    flags = tuple(str(v) for v in np.where(single, "one item", found.note))
    counted = {
        flag: flags.count(flag) for flag in ("undefined", "unbounded", "unstable", "one item")
    }
    return TaskGains(
        names=m.names,
        estimate=found.gain,
        interval=(found.lower, found.upper),
        n=m.size.size,
        method="Fieller interval in each task, t, paired covariance",
        level=level,
        note=", ".join(f"{count} {flag}" for flag, count in counted.items() if count),
        g=found.g,
        flags=flags,
        mean_original=m.x,
        mean_variant=m.y,
        items=m.size,
    )


def normalized_relative_gain(
    original: Any, variant: Any, low: Any, high: Any, *, level: float = 0.95
) -> RelativeGain:
    """Relative gain on the normalised metric 100 (raw - low) / (high - low), if it means anything.

    The ratio is not invariant to `low`: near chance its denominator is noise around 0.

    Args:
        original: raw scores (items of a task, or task means).
        variant: raw scores of the same items.
        low: score of chance: one number, or one a pair.
        high: best score: one number, or one a pair.
        level: of both intervals.

    Raises:
        UserError: the interval of the normalised original does not lie above 0; report the
            difference in points instead.
    """
    x, y = paired(original, variant)
    first, second = normalized(x, low, high), normalized(y, low, high)
    if first.shape != x.shape:
        raise UserError(f"low and high must be one number, or one for each of {x.size} pairs")
    baseline = t_interval(first, level=level)
    if not baseline.interval[0] > 0:
        text = (
            f"{baseline.interval[0]:.3g} to {baseline.interval[1]:.3g}"
            if not math.isnan(baseline.interval[0])
            else "unknown"
        )
        raise UserError(
            f"the normalised original is {baseline.estimate:.3g} (interval {text}), which does not "
            "lie above 0: a relative gain means nothing there; report the difference in points"
        )
    found = fieller(first, second, level=level)
    return replace(found, method=f"{found.method}, normalised metric")
