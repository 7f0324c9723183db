"""Over tasks, by resampling: for these tasks, for new tasks, and max-T over tasks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arrays import Array, Ints, safe_divide
from promptlab.analysis.bootstrap import sorted_quantile
from promptlab.analysis.flips import EXACT_UNITS, Side, Statistic, flip_tests
from promptlab.analysis.streams import block_sizes, draw_counts, stream

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEAST_TASKS", "MacroResampling", "bootstrap_t", "over_tasks"]

_TASKS, _FLIPS = 2, 3
"""First words of the places of streams."""
LEAST_TASKS = 5
"""With fewer tasks too many resamples have no variation, and a bootstrap-t means nothing."""

Strings = np.ndarray[Any, np.dtype[np.object_]]


@dataclass(frozen=True, repr=False)
class MacroResampling:
    """Mean differences over tasks; every task counts the same. Arrays have an entry a column.

    Attributes:
        columns: their labels.
        n_tasks: tasks with a pair.
        estimate: mean over tasks.
        lower: lower end for new tasks like these: bootstrap-t over tasks.
        upper: its upper end.
        fixed_lower: lower end for new items of these very tasks: items drawn within tasks.
        fixed_upper: its upper end.
        pvalue: sign-flip test over tasks, of each column alone.
        single_step: adjusted by the largest of its family.
        step_down: adjusted by successive maxima.
        note: why something is NaN; empty where there is nothing to say.
        exact: whether all sign patterns were used.
    """

    columns: tuple[Hashable, ...]
    n_tasks: Ints
    estimate: Array
    lower: Array
    upper: Array
    fixed_lower: Array
    fixed_upper: Array
    pvalue: Array
    single_step: Array
    step_down: Array
    note: Strings
    exact: bool

    def to_frame(self) -> pd.DataFrame:
        """One row a column."""
        import pandas as pd

        named = pd.Series([*self.columns], dtype="object")
        names = (
            "n_tasks estimate lower upper fixed_lower fixed_upper pvalue single_step step_down note"
        )
        return pd.DataFrame(
            {"column": named, **{name: getattr(self, name) for name in names.split()}}
        )

    def __repr__(self) -> str:
        best = int(np.nanargmax(self.estimate)) if np.isfinite(self.estimate).any() else 0
        return (
            f"{self.estimate.size} columns over {int(self.n_tasks.max())} tasks: the largest mean "
            f"difference is {self.estimate[best]:.4g} (95 % interval {self.lower[best]:.4g} to "
            f"{self.upper[best]:.4g}), adjusted p = {self.step_down[best]:.2g}"
        )


def over_tasks(
    differences: Array,
    replicates: Array,
    columns: tuple[Hashable, ...],
    families: Sequence[Ints],
    *,
    statistic: Statistic,
    side: Side,
    level: float,
    n_resamples: int,
    entropy: int,
) -> MacroResampling:
    """Intervals and tests of the mean over tasks.

    Args:
        differences: tasks x columns, NaN = the task is not in that column.
        replicates: bootstrap means over tasks with items drawn within tasks, columns x resamples.
        columns: labels.
        families: columns that are adjusted together.
        statistic: of max-T.
        side: of max-T.
        level: of the intervals.
        n_resamples: of the bootstrap over tasks, and of the signs above 20 tasks.
        entropy: of the streams.
    """
    there = np.isfinite(differences)
    count = there.sum(axis=0)
    estimate = safe_divide(np.where(there, differences, 0.0).sum(axis=0), count)
    blocks = (
        draw_counts(stream(entropy, _TASKS, number), len(differences), size)
        for number, _, size in block_sizes(n_resamples)
    )
    lower, upper = bootstrap_t(differences, np.concatenate([*blocks]), level=level)
    tail = np.full(count.size, (1 - level) / 2)
    ranked = np.sort(replicates, axis=1).T
    raw, single, down = flip_tests(
        differences,
        families,
        statistic=statistic,
        side=side,
        n_resamples=n_resamples,
        rng=stream(entropy, _FLIPS),
    )
    note = np.full(count.size, "", object)
    note[np.isnan(lower)] = f"fewer than {LEAST_TASKS} tasks: no interval for new tasks"
    note[lower == upper] = "degenerate: zero variance"
    note[count == 0] = "no paired item"

    def found(values: Array) -> Array:
        return np.where(count > 0, values, np.nan)

    return MacroResampling(
        columns=columns,
        n_tasks=count.astype(np.int64),
        estimate=estimate,
        lower=lower,
        upper=upper,
        fixed_lower=found(sorted_quantile(ranked, tail)),
        fixed_upper=found(sorted_quantile(ranked, 1 - tail)),
        pvalue=found(raw),
        single_step=found(single),
        step_down=found(down),
        note=note,
        exact=len(differences) <= EXACT_UNITS,
    )


def bootstrap_t(differences: Array, counts: Ints, *, level: float = 0.95) -> tuple[Array, Array]:
    """Bootstrap-t interval of the mean of each column (Efron and Tibshirani 1993, section 12.5).

    Args:
        differences: units x columns, NaN = absent.
        counts: how often each unit was drawn, resamples x units.
        level: of the interval.

    Returns:
        Lower and upper ends; NaN for fewer than `LEAST_TASKS` units, the mean itself without
        variation. Resamples without variation are left out.
    """
    there = np.isfinite(differences)
    n = there.sum(axis=0)
    # Differences from the mean: squares of small numbers do not cancel.
    mean = safe_divide(np.where(there, differences, 0.0).sum(axis=0), n)
    off = np.where(there, differences - mean, 0.0)
    drawn = counts.astype(np.float64)
    m = drawn @ there
    shift = safe_divide(drawn @ off, m)
    variance = safe_divide(drawn @ off**2, m) - shift**2
    t = safe_divide(shift, np.sqrt(np.where(m > 1, np.maximum(variance, 0.0), 0.0)))
    t *= np.sqrt(np.maximum(m - 1, 0))
    t[variance <= 1e-12 * (off**2).max(axis=0, initial=0.0)] = np.nan
    se = np.sqrt(safe_divide((off**2).sum(axis=0), n * np.maximum(n - 1.0, 1.0)))
    lower, upper = np.full(n.size, np.nan), np.full(n.size, np.nan)
    flat = (n > 1) & (se < 1e-12)
    lower[flat] = upper[flat] = mean[flat]
    usable = (n >= LEAST_TASKS) & ~flat & np.isfinite(t).any(axis=0)
    if usable.any():
        first, second = np.nanquantile(
            t[:, usable], [(1 - level) / 2, (1 + level) / 2], axis=0, overwrite_input=False
        )
        lower[usable] = mean[usable] - second * se[usable]
        upper[usable] = mean[usable] - first * se[usable]
    return lower, upper
