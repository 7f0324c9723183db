"""What is estimated: macro and micro differences over tasks, and the normalised metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import as_numbers
from promptlab.analysis.arrays import Array, paired, safe_divide
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.macro import Generalize
from promptlab.analysis.results import NO_INTERVAL, Difference
from promptlab.analysis.several import labels_of
from promptlab.errors import UnknownName, UserError

__all__ = ["MacroDifference", "macro_difference", "normalized"]


@dataclass(frozen=True, kw_only=True, repr=False)
class MacroDifference(Difference):
    """Mean over tasks of the per-task mean differences; every task counts the same.

    Attributes:
        tasks: names, sorted.
        task_original: mean score of the original in each task.
        task_variant: mean score of the variant in each task.
        task_difference: their differences.
        task_items: items of each task.
        task_variance: variance of the item differences of each task; NaN for one item.
        micro: the item-weighted difference.
        se_random: sd over tasks / sqrt(T): for new tasks.
        se_fixed: sqrt(sum of s^2 / n) / T: for new items of these tasks.
    """

    tasks: tuple[str, ...]
    task_original: Array
    task_variant: Array
    task_difference: Array
    task_items: Array
    task_variance: Array
    micro: float
    se_random: float
    se_fixed: float

    label: ClassVar[str] = "macro difference"
    unit: ClassVar[str] = "tasks"

    @property
    def task_error_variance(self) -> Array:
        """Squared standard error of each task's difference."""
        return self.task_variance / self.task_items


def macro_difference(
    tasks: Any,
    original: Any,
    variant: Any,
    *,
    generalize: Generalize = "random",
    level: float = 0.95,
) -> MacroDifference:
    """Macro difference with a t interval over tasks, or a normal one for fixed tasks.

    Args:
        tasks: the task of each item.
        original: item scores.
        variant: item scores of the same items.
        generalize: `random` to new tasks, `fixed` to new items of these tasks.
        level: of the interval.
    """
    x, y = paired(original, variant)
    critical_z(level)
    labels = labels_of(tasks, x.size, "task")
    if generalize not in ("random", "fixed"):
        raise UnknownName("unit of generalisation", generalize, ("random", "fixed"))
    names, group = np.unique(labels, return_inverse=True)
    size = np.bincount(group).astype(np.float64)
    mean_x, mean_y = (np.bincount(group, weights=v) / size for v in (x, y))
    delta = mean_y - mean_x
    off = (y - x) - delta[group]
    variance = safe_divide(np.bincount(group, weights=off**2), np.where(size > 1, size - 1, np.nan))
    count = names.size
    se_fixed = math.sqrt(float((variance / size).sum())) / count
    se_random = float(delta.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    se = se_random if generalize == "random" else se_fixed
    estimate, interval, p = float(delta.mean()), NO_INTERVAL, math.nan
    law: Any = stats.t(count - 1) if generalize == "random" and count > 1 else stats.norm
    if se > 1e-12:
        half = float(law.isf((1 - level) / 2)) * se
        interval, p = (estimate - half, estimate + half), float(2 * law.sf(abs(estimate) / se))
    note = (
        "" if se > 1e-12 else "one task: no interval" if count < 2 else "degenerate: zero variance"
    )
    if count < 2 and not note:
        note = "one task: nothing is known about other tasks"
    if (size < 2).any():
        single = "a task has one item: its variance is unknown"
        note = single if generalize == "fixed" or not note else f"{note}; {single}"
    return MacroDifference(
        estimate=estimate,
        interval=interval,
        pvalue=p,
        n=count,
        method="t over tasks" if generalize == "random" else "normal, fixed tasks",
        level=level,
        note=note,
        tasks=tuple(str(name) for name in names),
        task_original=mean_x,
        task_variant=mean_y,
        task_difference=delta,
        task_items=size,
        task_variance=variance,
        micro=float((y - x).mean()),
        se_random=se_random,
        se_fixed=se_fixed,
    )


def normalized(raw: Any, low: Any, high: Any) -> Array:
    """BIG-Bench's normalised preferred metric: 100 (raw - low) / (high - low).

    Differences and their tests are only multiplied by 100 / (high - low); a relative gain on this
    scale means nothing when the original is near `low`.

    A missing score stays NaN.

    Raises:
        UserError: low equals high.
    """
    raw, low, high = (as_numbers(v, "raw, low and high") for v in (raw, low, high))
    if (high == low).any():
        raise UserError("low and high of a metric must differ")
    return np.asarray(100 * (raw - low) / (high - low))
