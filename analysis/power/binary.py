"""Power of McNemar's test, and how many items it needs."""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_numbers
from promptlab.analysis.arrays import Ints
from promptlab.analysis.paired import mcnemar_p
from promptlab.analysis.power.levels import check_levels, check_n
from promptlab.errors import UserError

__all__ = [
    "check_rates",
    "connor_n",
    "detectable_mcnemar",
    "mcnemar_n",
    "miller_n",
    "normal_power",
    "power_mcnemar",
    "size_mcnemar",
]

Test = Literal["midp", "exact"]


def check_rates(p_gain: float, p_loss: float) -> None:
    """Refuse shares that cannot be."""
    check_numbers(p_gain=p_gain, p_loss=p_loss)
    if not (min(p_gain, p_loss) >= 0 and p_gain + p_loss <= 1 + 1e-12):
        raise UserError(f"p_gain {p_gain} and p_loss {p_loss} must be shares that sum to at most 1")


_TABLE = 1 << 12
"""Up to this many discordant pairs the critical counts are kept."""


def _critical(totals: Ints, alpha: float, test: Test) -> Ints:
    """For so many discordant pairs: the largest smaller count that rejects, or -1."""
    last = int(totals[-1])
    if last > _TABLE:
        return _solve(totals, alpha, test)
    return _critical_table(max(64, 1 << last.bit_length()), alpha, test)[totals]


@functools.lru_cache(maxsize=64)
def _critical_table(n: int, alpha: float, test: Test) -> Ints:
    return _solve(np.arange(n + 1), alpha, test)


def _solve(totals: Ints, alpha: float, test: Test) -> Ints:
    """The binomial quantile, or its neighbour: p grows with the smaller count."""
    start = stats.binom.ppf(alpha / 2, totals, 0.5).astype(np.int64)
    out = np.full(totals.shape, -1, np.int64)
    for step in (-2, -1, 0, 1):
        count = np.clip(start + step, 0, totals)
        fits = (start + step >= 0) & (2 * count < totals)
        p = mcnemar_p(count, totals - count, variant=test)
        out = np.where(fits & (p <= alpha), count, out)
    return out


def power_mcnemar(
    n: int, p_gain: float, p_loss: float, *, alpha: float = 0.05, test: Test = "midp"
) -> float:
    """Unconditional power of two-sided McNemar: a binomial mixture over discordant pairs.

    Args:
        n: pairs.
        p_gain: probability that an item goes from wrong to right.
        p_loss: probability that it goes from right to wrong.
        alpha: level of the test.
        test: `midp` or `exact`.

    With `p_gain == p_loss` this is the size of the test.
    """
    check_levels(alpha, 0.999)
    check_rates(p_gain, p_loss)
    check_n(n)
    psi = min(1.0, p_gain + p_loss)
    if psi == 0:
        return 0.0
    likely = stats.binom.ppf([1e-16, 1 - 1e-16], n, psi)
    totals = np.arange(max(0, int(likely[0])), int(likely[1]) + 1)
    critical = _critical(totals, alpha, test)
    share = p_gain / psi
    gains = stats.binom.cdf(critical, totals, share)
    losses = stats.binom.cdf(critical, totals, 1 - share)
    return float(stats.binom.pmf(totals, n, psi) @ np.where(critical >= 0, gains + losses, 0.0))


def size_mcnemar(
    n: int, p_gain: float, p_loss: float, *, alpha: float = 0.05, test: Test = "midp"
) -> float:
    """Rejection rate without any effect, at the discordance p_gain + p_loss."""
    check_rates(p_gain, p_loss)
    half = (p_gain + p_loss) / 2
    return power_mcnemar(n, half, half, alpha=alpha, test=test)


def detectable_mcnemar(
    n: int, discordance: float, *, alpha: float = 0.05, power: float = 0.8, test: Test = "midp"
) -> float:
    """Smallest difference that McNemar's test finds with the given power.

    Args:
        n: pairs.
        discordance: share of items whose answer changes; where a difference needs more, all
            changes go one way.
        alpha: level of the test.
        power: wanted.
        test: `midp` or `exact`.

    Returns:
        The difference, or NaN if not even 1 is found with n items.
    """
    check_levels(alpha, power)
    check_numbers(n=n, discordance=discordance)
    if not 0 <= discordance <= 1:
        raise UserError(f"discordance must lie between 0 and 1, not {discordance}")
    return _detectable(int(n), float(discordance), alpha, power, test)


@functools.lru_cache(maxsize=8192)
def _detectable(n: int, discordance: float, alpha: float, power: float, test: Test) -> float:
    def found(d: float) -> float:
        psi = min(1.0, max(discordance, d))
        return power_mcnemar(n, (psi + d) / 2, (psi - d) / 2, alpha=alpha, test=test)

    if n < 1 or found(1.0) < power:
        return math.nan
    low, high = 0.0, 1.0
    while high - low > 1e-5:
        half = (low + high) / 2
        low, high = (low, half) if found(half) >= power else (half, high)
    return high


def mcnemar_n(
    p_gain: float,
    p_loss: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    test: Test = "midp",
) -> int:
    """Smallest number of pairs with the power, also at the next two sizes (power is a saw)."""
    check_levels(alpha, power)
    check_rates(p_gain, p_loss)
    if p_gain == p_loss:
        raise UserError("no number of items finds a difference of 0")

    @functools.cache
    def enough(n: int) -> bool:
        return power_mcnemar(n, p_gain, p_loss, alpha=alpha, test=test) >= power

    # Connor's number is near; begin where none of three sizes is enough.
    n = connor_n(p_gain, p_loss, alpha=alpha, power=power)
    while n > 2 and any(enough(max(1, n - step)) for step in (0, 1, 2)):
        n = max(2, int(0.98 * n) - 10)
    while not all(enough(n + step) for step in (0, 1, 2)):
        n += 1
    return n


def connor_n(p_gain: float, p_loss: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs needed by the normal approximation of Connor (1987)."""
    check_levels(alpha, power)
    psi, d = _rates(p_gain, p_loss)
    za, zb = stats.norm.isf(alpha / 2), stats.norm.isf(1 - power)
    root = float(za * math.sqrt(psi) + zb * math.sqrt(max(psi - d**2, 0.0)))
    return math.ceil(root**2 / d**2)


def miller_n(p_gain: float, p_loss: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs needed by the formula of Miller (2024): (z + z)^2 variance / d^2."""
    check_levels(alpha, power)
    psi, d = _rates(p_gain, p_loss)
    z = float(stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power))
    return max(1, math.ceil(z**2 * (psi - d**2) / d**2))


def normal_power(n: int, p_gain: float, p_loss: float, *, alpha: float = 0.05) -> float:
    """Power that belongs to Connor's formula."""
    check_levels(alpha, 0.999)
    check_n(n)
    psi, d = _rates(p_gain, p_loss)
    if psi - d**2 <= 0:
        return 1.0  # every item gains, or every item loses: nothing varies
    z = (abs(d) * math.sqrt(n) - stats.norm.isf(alpha / 2) * math.sqrt(psi)) / math.sqrt(psi - d**2)
    return float(stats.norm.cdf(z))


def _rates(p_gain: float, p_loss: float) -> tuple[float, float]:
    check_rates(p_gain, p_loss)
    if p_gain == p_loss:
        raise UserError("no number of items finds a difference of 0")
    return min(1.0, p_gain + p_loss), p_gain - p_loss
