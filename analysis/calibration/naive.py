"""What is done without pairing or without correction, for many experiments at once.

These are here to be shown beside the procedures of `promptlab.analysis`, not to be used.
Arrays have one column an experiment.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import TIE, Array, safe_divide
from promptlab.analysis.bootstrap import bca_limits

__all__ = ["berg_kirkpatrick_p", "bootstrap_rejections", "chi2_p", "t_p", "unpaired_z_p", "z_p"]

Side = Literal["two-sided", "greater"]


def chi2_p(gains: Array, losses: Array, *, corrected: bool) -> Array:
    """McNemar's chi-squared, without or with the continuity correction |b - c| - 1."""
    gap = np.maximum(np.abs(gains - losses) - corrected, 0.0)
    statistic = np.nan_to_num(safe_divide(gap**2, gains + losses), nan=0.0)
    return np.asarray(stats.chi2.sf(statistic, 1))


def unpaired_z_p(original: Array, variant: Array, n: int) -> Array:
    """The z test of two independent proportions with a pooled variance; arrays are accuracies."""
    pooled = (original + variant) / 2
    se = np.sqrt(pooled * (1 - pooled) * 2 / n)
    return np.asarray(2 * stats.norm.sf(np.abs(np.nan_to_num(safe_divide(variant - original, se)))))


def t_p(differences: Array, side: Side = "two-sided") -> Array:
    """Student's t of each column; 1 where the differences are all 0."""
    n = differences.shape[0]
    statistic = _studentized(differences)
    if side == "greater":
        return np.asarray(stats.t.sf(statistic, n - 1))
    return np.asarray(2 * stats.t.sf(np.abs(statistic), n - 1))


def z_p(differences: Array, side: Side = "two-sided") -> Array:
    """The same with the normal distribution."""
    statistic = _studentized(differences)
    if side == "greater":
        return np.asarray(stats.norm.sf(statistic))
    return np.asarray(2 * stats.norm.sf(np.abs(statistic)))


def _studentized(differences: Array) -> Array:
    mean = differences.mean(axis=0)
    se = differences.std(axis=0, ddof=1) / np.sqrt(differences.shape[0])
    flat = se < 1e-12
    infinite = np.where(np.abs(mean) < TIE, 0.0, np.copysign(np.inf, mean))
    return np.where(flat, infinite, safe_divide(mean, np.where(flat, 1.0, se)))


def bootstrap_rejections(differences: Array, counts: Array) -> dict[str, Array]:
    """Whether percentile and BCa intervals exclude 0, and Berg-Kirkpatrick's test rejects.

    Args:
        differences: items x experiments.
        counts: resamples x items, from `count_matrix`.
    """
    replicates = counts @ differences / differences.shape[0]
    low, high = np.quantile(replicates, [0.025, 0.975], axis=0)
    bca_low, bca_high = bca_limits(differences, counts)
    p = berg_kirkpatrick_p(replicates, differences.mean(axis=0))
    return {
        "percentile bootstrap": (low > TIE) | (high < -TIE),
        "BCa bootstrap": (bca_low > TIE) | (bca_high < -TIE),
        "Berg-Kirkpatrick": p <= 0.05,
    }


def berg_kirkpatrick_p(replicates: Array, estimate: Array) -> Array:
    """The bootstrap test of Berg-Kirkpatrick, Burkett and Klein (2012), doubled for both sides.

    How often the better prompt leads by at least twice its observed lead in a resample.
    """
    ahead = np.where(estimate >= 0, 1.0, -1.0)
    far = replicates * ahead >= 2 * np.abs(estimate) - TIE
    return np.asarray(np.minimum(1.0, 2 * (1 + far.sum(axis=0)) / (replicates.shape[0] + 1)))
