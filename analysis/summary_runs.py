"""The noise of repeated runs: what the SDs of a summary are good for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Array, safe_divide
from promptlab.analysis.equivalence import tost_t_p
from promptlab.analysis.macro import Macro
from promptlab.analysis.ratio import fieller_limits

__all__ = ["RunNoise", "over_fixed_tasks", "run_noise"]


@dataclass(frozen=True)
class RunNoise:
    """Squared standard errors of run means; arrays are tasks x conditions, NaN = unknown.

    Attributes:
        baseline: s0^2 / n0, the same in every column.
        condition: s^2 / n.
        baseline_spread: (s0^2 / n0)^2 / (n0 - 1), for Satterthwaite's degrees of freedom.
        condition_spread: (s^2 / n)^2 / (n - 1).
    """

    baseline: Array
    condition: Array
    baseline_spread: Array
    condition_spread: Array

    @property
    def variance(self) -> Array:
        """Squared standard error of the unpaired difference."""
        return np.asarray(self.baseline + self.condition)

    @property
    def spread(self) -> Array:
        """Denominator of Satterthwaite's degrees of freedom."""
        return np.asarray(self.baseline_spread + self.condition_spread)

    def interval(self, difference: Array, alpha: float) -> tuple[Array, Array, Array]:
        """Lower end, upper end and two-sided p value of Welch (1947), for each cell."""
        return _welch(difference, self.variance, self.spread, alpha)

    def of_average(self) -> RunNoise:
        """The noise of (average condition - baseline), in one column; runs are independent."""
        count = self.condition.shape[1]
        return RunNoise(
            baseline=self.baseline[:, :1],
            condition=self.condition.sum(axis=1, keepdims=True) / count**2,
            baseline_spread=self.baseline_spread[:, :1],
            condition_spread=self.condition_spread.sum(axis=1, keepdims=True) / count**4,
        )


def run_noise(sds: Array, runs: Array) -> RunNoise:
    """Run noise from SDs and numbers of runs, tasks x conditions with the baseline first.

    An SD that is absent, or of fewer than two runs, is unknown.
    """
    known = np.isfinite(sds) & (runs > 1)
    n = np.where(known, runs, 2.0)
    square = np.where(known, np.where(known, sds, 0.0) ** 2 / n, np.nan)
    spread = square**2 / (n - 1)
    shape = sds[:, 1:].shape
    return RunNoise(
        baseline=np.broadcast_to(square[:, :1], shape),
        condition=square[:, 1:],
        baseline_spread=np.broadcast_to(spread[:, :1], shape),
        condition_spread=spread[:, 1:],
    )


def over_fixed_tasks(
    original: Array, variant: Array, noise: RunNoise, *, alpha: float, margin: float
) -> Macro:
    """Differences over these very tasks, with the noise of their runs.

    The error is sqrt(sum of squared errors) / T with Satterthwaite's (1946) degrees of freedom; for
    one task it is Welch's test.

    Args:
        original: means of the baseline, tasks x conditions.
        variant: means of the conditions.
        noise: of the runs.
        alpha: the intervals have level 1 - alpha.
        margin: of equivalence.
    """
    count = original.shape[0]
    x, y = original.mean(axis=0), variant.mean(axis=0)
    var_x, var_y = (v.sum(axis=0) / count**2 for v in (noise.baseline, noise.condition))
    variance, spread = var_x + var_y, noise.spread.sum(axis=0) / count**4
    low, high, p = _welch(y - x, variance, spread, alpha)
    df = np.where(variance > 0, safe_divide(variance**2, spread), 1.0)
    critical = np.where(variance > 0, stats.t.isf(alpha / 2, df), np.nan)
    columns = x.size
    method = np.full(columns, "Welch over runs, fixed tasks", object)
    method[~np.isfinite(p)] = "none"
    se = np.sqrt(np.where(np.isfinite(variance), variance, 0.0))
    return Macro(
        n_tasks=np.full(columns, count, np.int64),
        original=x,
        variant=y,
        difference=y - x,
        se=np.where(np.isfinite(variance), se, np.nan),
        pvalue=p,
        lower=low,
        upper=high,
        test_method=method,
        interval_method=method,
        equivalence=np.where(np.isfinite(p), tost_t_p(y - x, se, df, margin), np.nan),
        relative=fieller_limits(x, y, var_x, var_y, np.zeros(columns), critical),
        tasks="fixed",
    )


def _welch(
    difference: Array, variance: Array, spread: Array, alpha: float
) -> tuple[Array, Array, Array]:
    """Interval ends and p value; NaN where the error is unknown or zero."""
    usable = np.isfinite(variance) & (variance > 0)
    df = np.where(usable, safe_divide(variance**2, np.where(usable, spread, np.nan)), 1.0)
    se = np.sqrt(np.where(usable, variance, 1.0))
    half = np.where(usable, stats.t.isf(alpha / 2, df) * se, np.nan)
    p = np.where(usable, 2 * stats.t.sf(np.abs(difference) / se, df), np.nan)
    return difference - half, difference + half, p
