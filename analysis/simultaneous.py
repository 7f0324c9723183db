"""Bounds that hold for all contrasts at once, and so for the one that was picked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_repeats
from promptlab.analysis.arrays import Array, Seed, rng_from
from promptlab.analysis.bootstrap import count_matrix
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.several import Several
from promptlab.analysis.studentized import studentized
from promptlab.errors import UnknownName, UserError

__all__ = ["SimultaneousBounds", "simultaneous_bounds"]

Side = Literal["lower", "two-sided"]
_BLOCK = 2000


@dataclass(frozen=True, kw_only=True, repr=False)
class SimultaneousBounds(Several):
    """Simultaneous bounds of several mean differences.

    Attributes:
        se: standard error of each mean over the units.
        critical: c; the bounds are estimate -+ c SE.
        n_resamples: of the bootstrap over units.
    """

    se: Array
    critical: float
    n_resamples: int

    label: ClassVar[str] = "differences with simultaneous bounds"
    unit: ClassVar[str] = "units"
    columns: ClassVar[tuple[str, ...]] = ("se",)

    @property
    def best(self) -> int:
        """Position of the largest difference."""
        return int(np.argmax(self.estimate.round(12)))

    @property
    def best_interval(self) -> tuple[float, float]:
        """Bounds of the largest difference; valid although it was chosen by looking."""
        return float(self.interval[0][self.best]), float(self.interval[1][self.best])


def simultaneous_bounds(
    differences: Any,
    *,
    names: Sequence[str] | None = None,
    side: Side = "lower",
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> SimultaneousBounds:
    """Simultaneous bounds Delta_k - c SE_k from the studentised max-T bootstrap over units.

    Whole units are drawn; c is the quantile of max_k (mean*_k - mean_k) / SE*_k over the
    resamples (of its absolute value for `two-sided`), so that all bounds hold together with
    probability `level` (Romano and Wolf 2005, sec. 3; Chernozhukov, Chetverikov and Kato 2013).
    The bound of the largest difference is therefore an honest statement about the winner. c is
    never below the t quantile of a single contrast, which matters for a handful of units.

    Args:
        differences: units x contrasts, variant - original: tasks, or items of one task.
        names: of the contrasts; `0`, `1`, ... or the columns of a DataFrame if not given.
        side: `lower` leaves the upper ends infinite.
        level: that all bounds hold.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        UserError: missing values, or fewer than three units.
    """
    check_repeats(n_resamples=n_resamples)
    if side not in ("lower", "two-sided"):
        raise UnknownName("side", str(side), ("lower", "two-sided"))
    critical_z(level)
    d, titles = _table(differences, names)
    n, k = d.shape
    mean = d.mean(axis=0)
    off = d - mean
    se = np.sqrt((off**2).sum(axis=0) / (n - 1) / n)
    varies = se > 1e-12
    note = ""
    if not varies.any():
        critical, note = 0.0, "degenerate: zero variance"
    else:
        rng = rng_from(seed)
        largest = np.concatenate(
            [
                _largest(
                    count_matrix(n, min(_BLOCK, n_resamples - start), rng), off[:, varies], side
                )
                for start in range(0, n_resamples, _BLOCK)
            ]
        )
        # The largest of several deviations cannot be less variable than a single one.
        single = level if side == "lower" else (1 + level) / 2
        critical = float(np.quantile(largest, level, method="higher"))
        critical = max(critical, float(stats.t.ppf(single, n - 1)))
        if not math.isfinite(critical):
            note = (
                f"among {n} units resampled, one of the differences often does not vary at all: no "
                "joint bound at this level"
            )
        elif not varies.all():
            note = (
                f"{int((~varies).sum())} difference(s) without variation: their bound is the point"
            )
    half = np.zeros(k)
    half[varies] = critical * se[varies]
    upper = mean + half if side == "two-sided" else np.full(k, np.inf)
    t = np.where(varies, mean / np.where(varies, se, 1.0), 0.0)
    raw = np.where(varies, stats.t.sf(t, n - 1), np.nan)
    if side == "two-sided":
        raw = np.where(varies, 2 * stats.t.sf(np.abs(t), n - 1), np.nan)
    adjusted = raw if not varies.any() else _adjusted(t, raw, varies, largest, side)
    return SimultaneousBounds(
        names=titles,
        estimate=mean,
        interval=(mean - half, upper),
        pvalue=adjusted,
        n=n,
        method=f"max-T bootstrap over units, {side}, {n_resamples} resamples, c = {critical:.3g}",
        level=level,
        note=note,
        se=se,
        critical=critical,
        n_resamples=n_resamples,
    )


def _adjusted(t: Array, raw: Array, varies: Array, largest: Array, side: Side) -> Array:
    """Single-step p values that belong to the bounds; NaN for a difference without variation."""
    ranked = np.abs(t) if side == "two-sided" else t
    reached = (largest[:, None] >= ranked - 1e-12).sum(axis=0)
    return np.where(varies, np.maximum((1 + reached) / (largest.size + 1), raw), np.nan)


def _largest(counts: Array, off: Array, side: Side) -> Array:
    """The largest studentised deviation of each resample."""
    t = studentized(counts, off)[0]
    return np.asarray((np.abs(t) if side == "two-sided" else t).max(axis=1), dtype=np.float64)


def _table(differences: Any, names: Sequence[str] | None) -> tuple[Array, tuple[str, ...]]:
    columns = getattr(differences, "columns", None)
    try:
        d = np.asarray(differences, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError("differences must be numbers, units x contrasts") from None
    if d.ndim == 1:
        d = d[:, None]
    if d.ndim != 2 or d.shape[0] < 3 or d.shape[1] < 1:
        raise UserError("simultaneous bounds need units x contrasts with at least three units")
    if not np.isfinite(d).all():
        raise UserError("every unit is needed in every contrast; leave incomplete units out")
    titles = tuple(
        str(v)
        for v in (
            names if names is not None else columns if columns is not None else range(d.shape[1])
        )
    )
    if len(titles) != d.shape[1]:
        raise UserError(f"{d.shape[1]} contrasts but {len(titles)} names")
    return d, titles
