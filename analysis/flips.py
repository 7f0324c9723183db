"""The kernel of sign-flip tests: sums under flipped signs in, exceedances of many columns out.

A paired t is a monotone function of S / sqrt(n Q), with S the signed sum and Q the sum of squares,
which no sign changes. Comparing that ratio is the same test as comparing t, without a division.
Columns are rows here: maxima over columns are then maxima of long vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from promptlab.analysis.arrays import Array, Floats, Ints, product, safe_divide
from promptlab.analysis.streams import block_sizes, draw_signs

__all__ = ["EXACT_UNITS", "Side", "Statistic", "Tally", "flip_tests", "studentised"]

Side = Literal["abs", "upper"]
Statistic = Literal["t", "mean"]

EXACT_UNITS = 20
"""Up to this many units all sign patterns are used."""
_SLACK = {4: 1e-6, 8: 1e-10}
"""Relative width of a tie, by bytes of a float: more than rounding, less than a step of a grid."""


class Tally:
    """Counts how often sums under random signs reach the observed ones.

    Attributes:
        raw: exceedances of each column by itself.
        single: by the largest of its family.
        successive: by the largest of itself and the less significant ones of its family.
    """

    def __init__(
        self,
        differences: Floats,
        families: Sequence[Ints],
        *,
        statistic: Statistic = "t",
        side: Side = "abs",
    ) -> None:
        """Prepare the comparison.

        Args:
            differences: units x columns, NaN = the unit is not in that column.
            families: columns that are tested together; maxima are taken within a family.
            statistic: `t` studentises, `mean` does not.
            side: `abs` for any change, `upper` for gains.
        """
        n = np.isfinite(differences).sum(axis=0)
        d = np.nan_to_num(differences)
        squares = (d.astype(np.float64) ** 2).sum(axis=0)
        root = np.sqrt(n * squares) if statistic == "t" else n.astype(np.float64)
        scale = np.nan_to_num(safe_divide(1.0, root))
        self._side = side
        self._scale = scale.astype(d.dtype)[:, None]
        self._degrees = np.maximum(n - 1, 0)[:, None]
        # The ratio orders like t among columns of one size only.
        alike = statistic == "mean" or n.min() == n.max()
        self._unlike = [] if alike else [f for f in families if np.ptp(n[f]) > 0]
        observed = self._values(d.sum(axis=0)[:, None])[:, 0]
        largest = 1.0 if statistic == "t" else (np.abs(d).sum(axis=0) * scale).max(initial=0.0)
        width = _SLACK[d.dtype.itemsize] * np.maximum(np.abs(observed), 0.01 * largest)
        self._reach = (observed - width).astype(d.dtype)[:, None]
        self._families = [f[np.argsort(observed[f], kind="stable")] for f in families]
        self.raw, self.single, self.successive = (np.zeros(n.size, np.int64) for _ in range(3))

    def add(self, sums: Floats) -> None:
        """Count a block of sums, columns x sign patterns."""
        values = self._values(sums)
        hits = np.array([np.count_nonzero(row) for row in values >= self._reach])
        self.raw += hits
        for family in self._families:
            running = values[family[0]]
            for k in family[1:]:
                running = np.maximum(running, values[k], out=values[k])
                hits[k] = np.count_nonzero(running >= self._reach[k])
            if family.size > 1:
                running.sort()
                self.single[family] += running.size - np.searchsorted(
                    running, self._reach[family, 0]
                )
            else:
                self.single[family] += hits[family]
        self.successive += hits

    def pvalues(self, tried: int, *, exact: bool = False) -> tuple[Array, Array, Array]:
        """Raw, single-step and step-down p values after so many sign patterns.

        Step-down values are made monotone: no column has a smaller one than a more significant
        column of its family (Westfall and Young 1993, algorithm 4.1).
        """
        raw, single, down = (
            hits / tried if exact else (1 + hits) / (tried + 1)
            for hits in (self.raw, self.single, self.successive)
        )
        for family in self._families:
            order = family[::-1]
            down[order] = np.maximum.accumulate(down[order])
        return raw, single, down

    def _values(self, sums: Floats) -> Floats:
        """What is compared: S / sqrt(n Q), or t = sqrt(n - 1) r / sqrt(1 - r^2) where sizes differ.

        A column of one unit has no t; it is given 0.
        """
        values: Floats = sums * self._scale
        if self._side == "abs":
            np.abs(values, out=values)
        for family in self._unlike:
            ratio = values[family]
            room = np.sqrt(np.maximum(1 - ratio**2, 1e-12))
            values[family] = np.sqrt(self._degrees[family]) * ratio / room
        return values


def flip_tests(
    differences: Array,
    families: Sequence[Ints],
    *,
    statistic: Statistic = "t",
    side: Side = "abs",
    n_resamples: int = 10_000,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Raw, single-step and step-down p values: all sign patterns up to 20 units, else random ones.

    Args:
        differences: units x columns, NaN = the unit is not in that column.
        families: columns that are adjusted together.
        statistic: `t` studentises, `mean` does not.
        side: `abs` for any change, `upper` for gains.
        n_resamples: random sign patterns.
        rng: of the patterns.
    """
    n = differences.shape[0]
    tally = Tally(differences, families, statistic=statistic, side=side)
    d = np.nan_to_num(differences).T
    if n > EXACT_UNITS:
        for _, _, size in block_sizes(n_resamples):
            tally.add(product(d, draw_signs(rng, n, size)))
        return tally.pvalues(n_resamples)
    for signs in _all_signs(n):
        sums = product(d, signs)
        tally.add(sums)
        if side == "upper":  # a pattern and its mirror image have the same absolute sums
            tally.add(-sums)
    return tally.pvalues(2**n if side == "upper" else 2 ** (n - 1), exact=True)


def _all_signs(n: int, *, size: int = 1 << 15) -> Iterator[Array]:
    """Blocks of all sign patterns whose first sign is +, n x patterns; the rest are mirrored."""
    places = np.arange(n - 1)[:, None]
    for start in range(0, 2 ** (n - 1), size):
        bits = (np.arange(start, min(start + size, 2 ** (n - 1))) >> places) & 1
        yield np.vstack([np.ones(bits.shape[1]), 1.0 - 2.0 * bits])


def studentised(differences: Array) -> Array:
    """Paired t of each column: infinite where all differences are alike, 0 where all are 0."""
    n = np.isfinite(differences).sum(axis=0)
    d = np.nan_to_num(differences)
    means = safe_divide(d.sum(axis=0), n)
    squares = (d**2).sum(axis=0)
    variance = safe_divide(np.maximum(squares - n * means**2, 0.0), n - 1)
    flat = ~(variance > 1e-15 * np.maximum(squares, 1e-300))
    t = safe_divide(means, np.sqrt(safe_divide(np.where(flat, 1.0, variance), n)))
    infinite = np.where(np.abs(means) < 1e-15, 0.0, np.copysign(np.inf, means))
    return np.where(np.isnan(means), np.nan, np.where(flat, infinite, t))
