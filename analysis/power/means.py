"""Power of the paired t test over items or tasks."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from scipy import optimize, stats

from promptlab.analysis.arguments import as_numbers, check_numbers
from promptlab.analysis.arrays import Array
from promptlab.analysis.power.levels import check_levels
from promptlab.errors import UserError

__all__ = ["detectable_t", "power_t", "t_n"]


def _tail(nc: float, df: float, alpha: float) -> float:
    """Power of a two-sided t test with noncentrality nc, both tails."""
    t = float(stats.t.isf(alpha / 2, df))
    upper = float(stats.nct.sf(t, df, nc))
    lower = float(stats.nct.cdf(-t, df, nc))
    return (upper if math.isfinite(upper) else 1.0) + (lower if math.isfinite(lower) else 0.0)


def power_t(n: float, delta: float, sd: float, *, alpha: float = 0.05) -> float:
    """Power of the paired, two-sided t test, both tails counted.

    Args:
        n: pairs (items or tasks), at least 2.
        delta: true mean difference.
        sd: standard deviation of the differences.
        alpha: level.
    """
    check_levels(alpha, 0.999)
    check_numbers(n=n, sd=sd, delta=delta)
    if n < 2 or sd <= 0:
        raise UserError(f"the t test needs n >= 2 and sd > 0, not n = {n}, sd = {sd}")
    return _tail(math.sqrt(n) * abs(delta) / sd, n - 1, alpha)


@functools.lru_cache(maxsize=8192)
def _noncentrality(df: float, alpha: float, power: float) -> float:
    high = 1.0
    while _tail(high, df, alpha) < power:
        high *= 2
        if high > 1e5:
            return math.nan
    return float(optimize.brentq(lambda nc: _tail(nc, df, alpha) - power, 0, high, xtol=1e-10))


def detectable_t(n: int, sd: Any, *, alpha: float = 0.05, power: float = 0.8) -> Array:
    """Smallest mean difference that the paired t test finds, for one or many sd.

    NaN for fewer than 2 values, or a standard deviation of 0 (nothing is known then).
    """
    check_levels(alpha, power)
    check_numbers(n=n)
    sd = as_numbers(sd, "sd")
    if n < 2:
        return np.full(sd.shape, np.nan)
    factor = _noncentrality(float(n - 1), alpha, power) / math.sqrt(n)
    return np.where(sd > 0, factor * sd, np.nan)


def t_n(delta: float, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Number of pairs (tasks or items) for the t test, as a real number; round it up."""
    check_levels(alpha, power)
    check_numbers(delta=delta, sd=sd)
    if delta == 0 or sd <= 0:
        raise UserError("a difference other than 0 and a standard deviation above 0 are needed")
    high = 4.0
    while power_t(high, delta, sd, alpha=alpha) < power:
        high *= 2
    if power_t(2.0, delta, sd, alpha=alpha) >= power:
        return 2.0
    return float(
        optimize.brentq(lambda n: power_t(n, delta, sd, alpha=alpha) - power, 2, high, xtol=1e-9)
    )
