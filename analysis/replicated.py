"""The bootstrap of one task for many columns: replicates, and intervals from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from promptlab.analysis.arguments import check_counts, check_repeats
from promptlab.analysis.arrays import Array, Bools, Floats, Ints, product, safe_divide, whole_seed
from promptlab.analysis.bootstrap import acceleration, bca_alphas, sorted_quantile, z0_of_share
from promptlab.analysis.signflip import common_steps
from promptlab.analysis.streams import block_sizes, draw_counts, stream

__all__ = ["Bootstrapped", "Moments", "bootstrap_columns", "resampling_counts"]

_COUNTS = 0
"""First word of the place of a stream."""
_BINS = 1 << 21
"""Histograms up to this size; longer grids are sorted."""
_EXACT = 1 << 24
"""Whole numbers below this are exact in 32-bit floats."""


def resampling_counts(
    n_items: int, *, task: int = 0, n_resamples: int = 10_000, seed: int = 0
) -> Ints:
    """How often each item was drawn in each resample, as `resample_cells` draws them.

    Args:
        n_items: items of the task.
        task: its position among the tasks.
        n_resamples: bootstrap samples.
        seed: as given to `resample_cells`.

    Returns:
        Resamples x items; every row sums to n_items.

    Raises:
        UserError: no item, no resample, or something that is no count.
    """
    check_counts(task=task)
    check_repeats(n_items=n_items, n_resamples=n_resamples)
    whole_seed(seed)
    parts = [
        draw_counts(stream(seed, _COUNTS, task, number), n_items, size)
        for number, _, size in block_sizes(n_resamples)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Moments:
    """A task's differences, made ready for both kinds of resampling.

    Attributes:
        values: items x columns, NaN = no pair.
        there: which items a column has.
        steps: the values as 32-bit floats, 0 where there are none: whole numbers if the task is
            on a grid.
        step: what one of these is worth.
        gridded: whether they are whole numbers.
    """

    values: Array
    there: Bools
    steps: Floats
    step: float
    gridded: bool

    @classmethod
    def of(cls, values: Array) -> Moments:
        """Find the grid of a task, if it has one."""
        there = np.isfinite(values)
        filled = np.where(there, values, 0.0)
        whole = common_steps(filled)
        if whole is not None and len(values) * int(np.abs(whole).max()) >= _EXACT:
            whole = None
        step = 1.0
        if whole is not None and whole.any():
            largest = np.unravel_index(np.argmax(np.abs(whole)), whole.shape)
            step = float(filled[largest] / whole[largest])
        steps = (filled if whole is None else whole).astype(np.float32)
        return cls(values, there, steps, step, whole is not None)

    @property
    def signed(self) -> Floats:
        """The steps with NaN where there is no pair."""
        return np.where(self.there, self.steps, np.float32(np.nan))


@dataclass(frozen=True)
class Bootstrapped:
    """One task's cells; arrays have an entry a column, replicates are columns x resamples."""

    n: Ints
    estimate: Array
    lower: Array
    upper: Array
    bca: tuple[Array, Array] | None
    note: Any
    replicates: Floats

    def without_replicates(self) -> Bootstrapped:
        """The same, light enough to keep."""
        return replace(self, replicates=np.empty((0, 0), np.float32))


def bootstrap_columns(
    moments: Moments, *, entropy: int, task: int, n_resamples: int, level: float, bca: bool
) -> Bootstrapped:
    """Percentile and BCa intervals of the mean of each column, with one count matrix.

    A column that lacks items is resampled together with the others: its replicate is the mean of
    those of its items that were drawn.
    """
    steps, there = moments.steps, moments.there
    n = there.sum(axis=0)
    whole = bool(there.all())
    low, high = int(steps.min()) * len(steps), int(steps.max()) * len(steps)
    histogram = None
    if whole and moments.gridded and (high - low + 1) * n.size <= _BINS:
        histogram = _Histogram(n.size, low, high)
    centre = steps.sum(axis=0, dtype=np.float64)
    if not whole:
        centre = safe_divide(centre, n)
    sums = np.empty((n.size, n_resamples), np.float32)
    for number, start, size in block_sizes(n_resamples):
        rng = stream(entropy, _COUNTS, task, number)
        counts = draw_counts(rng, len(steps), size).astype(np.float32)
        part = product(steps.T, counts.T)
        if not whole:
            present = product(there.T.astype(np.float32), counts.T)
            part = np.where(
                present > 0, part / np.maximum(present, 1), centre[:, None].astype(np.float32)
            )
        sums[:, start : start + size] = part
        if histogram is not None:
            histogram.add(part)

    distribution = histogram or _Sorted(sums)
    worth = moments.step / (len(steps) if whole else 1)
    estimate = safe_divide(np.where(there, moments.values, 0.0).sum(axis=0), n)
    spread = np.where(there, moments.values, -np.inf).max(axis=0) - np.where(
        there, moments.values, np.inf
    ).min(axis=0)
    flat = spread < 1e-12

    def interval(first: Array, second: Array) -> tuple[Array, Array]:
        ends = (distribution.quantile(q) * worth for q in (first, second))
        low, high = (np.where(n == 0, np.nan, np.where(flat, estimate, v)) for v in ends)
        return low, high

    tail = np.full(n.size, (1 - level) / 2)
    lower, upper = interval(tail, 1 - tail)
    bent = None
    if bca:
        z0 = z0_of_share(distribution.below(centre), n_resamples)
        bent = interval(*bca_alphas(z0, acceleration(moments.values), level))
    note = np.where(flat, "degenerate: zero variance", "").astype(object)
    note[n == 1] = "degenerate: one item"
    note[n == 0] = "no paired item"
    return Bootstrapped(n, estimate, lower, upper, bent, note, sums * np.float32(worth))


class _Histogram:
    """Counts of whole-number sums, columns x values from `low` to `high`."""

    def __init__(self, columns: int, low: int, high: int) -> None:
        self._low, self._width = low, high - low + 1
        self._counts = np.zeros((columns, self._width), np.int64)
        self._first = (np.arange(columns) * self._width - low)[:, None].astype(np.float32)

    def add(self, sums: Floats) -> None:
        place = (sums + self._first).astype(np.int64).ravel()
        found = np.bincount(place, minlength=self._counts.size)
        self._counts += found.reshape(self._counts.shape)

    def quantile(self, q: Array) -> Array:
        """Linear quantile of each column."""
        upto = self._counts.cumsum(axis=1)
        place = np.clip(q, 0, 1) * (upto[:, -1] - 1)
        below = np.floor(place)
        above = np.minimum(below + 1, upto[:, -1] - 1)
        first, second = ((upto <= rank[:, None]).sum(axis=1) for rank in (below, above))
        share = place - below
        return np.asarray((1 - share) * first + share * second + self._low, np.float64)

    def below(self, centre: Array) -> Array:
        """Share below each column's own value, with half of the ties."""
        at = np.round(centre).astype(np.int64) - self._low
        column = np.arange(at.size)
        upto = self._counts.cumsum(axis=1)[column, at]
        return safe_divide(upto - self._counts[column, at] / 2, self._counts.sum(axis=1))


class _Sorted:
    """Sums that lie on no grid, sorted."""

    def __init__(self, sums: Floats) -> None:
        self._sums = np.sort(sums, axis=1)

    def quantile(self, q: Array) -> Array:
        """Linear quantile of each column."""
        return sorted_quantile(self._sums.T, q)

    def below(self, centre: Array) -> Array:
        """Share below each column's own value, with half of the ties."""
        tie = 1e-6 * np.maximum(np.abs(self._sums[:, 0]), np.abs(self._sums[:, -1]))
        ends = [
            [np.searchsorted(row, value - slack), np.searchsorted(row, value + slack, "right")]
            for row, value, slack in zip(self._sums, centre, tie, strict=True)
        ]
        return np.asarray(np.mean(ends, axis=1) / self._sums.shape[1], np.float64)
