"""Intervals for one proportion, a paired difference of proportions, and a mean.

Gains are items that went from 0 to 1, losses from 1 to 0; every difference is variant - original.
The vector forms (`tango_limits`, `tango_z`) take arrays of any one shape and never warn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_counts, check_level, check_numbers
from promptlab.analysis.arrays import Array, as_vector, safe_divide
from promptlab.analysis.results import RIGHT, Difference, Result, Scale
from promptlab.errors import UserError

__all__ = [
    "PairedDifference",
    "Proportion",
    "StudentT",
    "beta_interval",
    "bonett_price",
    "clopper_pearson",
    "jeffreys",
    "newcombe",
    "t_interval",
    "tango",
    "tango_limits",
    "tango_z",
    "wilson",
]


@dataclass(frozen=True, kw_only=True, repr=False)
class Proportion(Result):
    """A share of right answers."""

    label: ClassVar[str] = "proportion"
    scale: ClassVar[Scale] = "percent"


@dataclass(frozen=True, kw_only=True, repr=False)
class PairedDifference(Difference):
    """Accuracy of the variant minus accuracy of the original, on the same items."""

    words: ClassVar[tuple[str, str, str]] = RIGHT


def critical_z(level: float) -> float:
    """Two-sided normal quantile of a confidence level."""
    check_level(level)
    return float(stats.norm.isf((1 - level) / 2))


def wilson(successes: int, n: int, *, level: float = 0.95) -> Proportion:
    """Wilson (1927) score interval of one proportion."""
    return _proportion(successes, n, level, "wilson", "Wilson score interval")


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Proportion:
    """Clopper and Pearson (1934) exact interval of one proportion."""
    return _proportion(successes, n, level, "exact", "Clopper-Pearson exact interval")


def _proportion(successes: int, n: int, level: float, how: str, method: str) -> Proportion:
    check_counts(n, successes=successes)
    critical_z(level)
    ci = stats.binomtest(int(successes), int(n)).proportion_ci(level, method=how)
    interval = (float(ci.low), float(ci.high))
    return Proportion(estimate=successes / n, interval=interval, n=n, method=method, level=level)


def beta_interval(successes: int, n: int, *, prior: float = 1.0, level: float = 0.95) -> Proportion:
    """Equal-tailed posterior interval of a proportion under a Beta(prior, prior) prior.

    The estimate is the observed proportion, not the posterior mean.
    """
    check_counts(n, successes=successes)
    critical_z(level)
    check_numbers(prior=prior)
    if prior <= 0:
        raise UserError(f"the prior must be above 0, not {prior}")
    a, b = successes + prior, n - successes + prior
    low, high = stats.beta.ppf([(1 - level) / 2, (1 + level) / 2], a, b)
    return Proportion(
        estimate=successes / n,
        interval=(float(low), float(high)),
        n=n,
        method=f"Beta({prior:g}, {prior:g}) posterior interval",
        level=level,
    )


def jeffreys(successes: int, n: int, *, level: float = 0.95) -> Proportion:
    """Jeffreys interval, Beta(1/2, 1/2), closed at 0 and 1 (Brown, Cai and DasGupta 2001)."""
    result = beta_interval(successes, n, prior=0.5, level=level)
    low = 0.0 if successes == 0 else result.interval[0]
    high = 1.0 if successes == n else result.interval[1]
    return Proportion(
        estimate=result.estimate, interval=(low, high), n=n, method="Jeffreys interval", level=level
    )


def tango_z(gains: Any, losses: Any, n: Any, difference: Any) -> Array:
    """Score statistic of H0: p(gain) - p(loss) = `difference` (Tango 1998, eq. 3).

    Plus or minus infinity where the null is impossible for the data, NaN for n = 0.
    """
    b, c, n, d = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (gains, losses, n, difference))
    )
    linear = -b - c + (2 * n - b + c) * d
    constant = -c * d * (1 - d)
    root = np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0))
    # The other form of the same root where this one would subtract nearly equal numbers.
    q = np.where(
        linear > 0,
        safe_divide(-2 * constant, root + linear),
        safe_divide(root - linear, 4 * n),
    )
    variance = n * (2 * q + d * (1 - d))
    top = b - c - n * d
    flat = (variance <= 0) & (n > 0)
    z = safe_divide(top, np.sqrt(np.where(variance > 0, variance, np.nan)))
    return np.where(flat, np.where(np.abs(top) < 1e-12, 0.0, np.copysign(np.inf, top)), z)


def tango_limits(gains: Any, losses: Any, n: Any, *, level: float = 0.95) -> tuple[Array, Array]:
    """Tango's score interval for many cells at once; NaN for cells without items."""
    b, c, n = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (gains, losses, n)))
    z = critical_z(level)
    middle = safe_divide(b - c, n)

    def solve(outer: float, target: float) -> Array:
        inside, outside = middle.copy(), np.full(middle.shape, outer)
        for _ in range(60):
            half = (inside + outside) / 2
            beyond = np.abs(tango_z(b, c, n, half)) > abs(target)
            outside = np.where(beyond, half, outside)
            inside = np.where(beyond, inside, half)
        return np.where(np.isnan(middle), np.nan, (inside + outside) / 2)

    return solve(-1.0, z), solve(1.0, z)


def tango(gains: int, losses: int, n: int, *, level: float = 0.95) -> PairedDifference:
    """Tango (1998) score interval of a paired difference of proportions: the default.

    Args:
        gains: items wrong in the original, right in the variant.
        losses: items right in the original, wrong in the variant.
        n: all pairs.
        level: confidence level.

    Examples:
        >>> tango(gains=18, losses=7, n=100)
        The variant was right 11.0 points more often than the original (95 % interval +1.3 to
        +21.0) on 100 items (Tango score interval).
    """
    check_counts(n, gains=gains, losses=losses)
    low, high = tango_limits(gains, losses, n, level=level)
    return PairedDifference(
        estimate=(gains - losses) / n,
        interval=(float(low), float(high)),
        n=n,
        method="Tango score interval",
        level=level,
    )


def bonett_price(gains: int, losses: int, n: int, *, level: float = 0.95) -> PairedDifference:
    """Bonett and Price (2012): Wald after adding one gain and one loss. The estimate is raw."""
    check_counts(n, gains=gains, losses=losses)
    up, down = (gains + 1) / (n + 2), (losses + 1) / (n + 2)
    half = critical_z(level) * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return PairedDifference(
        estimate=(gains - losses) / n,
        interval=(max(-1.0, up - down - half), min(1.0, up - down + half)),
        n=n,
        method="Bonett-Price adjusted Wald interval",
        level=level,
    )


def newcombe(
    both: int, gains: int, losses: int, neither: int, *, level: float = 0.95
) -> PairedDifference:
    """Newcombe (1998) method 10 for a paired difference: two Wilson intervals and phi.

    Args:
        both: right in both.
        gains: right in the variant only.
        losses: right in the original only.
        neither: wrong in both.
        level: confidence level.
    """
    check_counts(both=both, gains=gains, losses=losses, neither=neither)
    n = both + gains + losses + neither
    check_counts(n)
    variant = wilson(both + gains, n, level=level)
    original = wilson(both + losses, n, level=level)
    covariance = float(both * neither - gains * losses)
    if covariance > 0:
        covariance = max(covariance - n / 2, 0.0)
    margins = (both + gains) * (losses + neither) * (both + losses) * (gains + neither)
    phi = covariance / math.sqrt(margins) if margins else 0.0

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(up**2 - 2 * phi * up * down + down**2, 0.0))

    v, o = variant.estimate, original.estimate
    low = (v - o) - reach(v - variant.interval[0], original.interval[1] - o)
    high = (v - o) + reach(variant.interval[1] - v, o - original.interval[0])
    return PairedDifference(
        estimate=(gains - losses) / n,
        interval=(low, high),
        n=n,
        method="Newcombe interval, method 10",
        level=level,
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class StudentT(Result):
    """A mean with Student's t; `statistic` is t against 0."""

    statistic: float = math.nan

    label: ClassVar[str] = "mean"


def t_interval(values: Any, *, level: float = 0.95) -> StudentT:
    """Student's t interval and test of a mean (H0: mean 0).

    With one value, or values all alike, the interval is NaN or the point itself, and `note` says
    so.
    """
    x = as_vector(values)
    critical_z(level)
    mean, n = float(x.mean()), x.size
    if n < 2:
        return StudentT(
            estimate=mean, n=n, method="t interval", level=level, note="one value: no interval"
        )
    se = float(x.std(ddof=1)) / math.sqrt(n)
    if np.ptp(x) < 1e-12:
        return StudentT(
            estimate=mean,
            interval=(mean, mean),
            n=n,
            method="t interval",
            level=level,
            note="degenerate: zero variance",
        )
    half = float(stats.t.isf((1 - level) / 2, n - 1)) * se
    return StudentT(
        estimate=mean,
        interval=(mean - half, mean + half),
        pvalue=float(2 * stats.t.sf(abs(mean) / se, n - 1)),
        statistic=mean / se,
        n=n,
        method="t interval and test",
        level=level,
    )
