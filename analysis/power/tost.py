"""Power of the equivalence tests."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats

from promptlab.analysis.arguments import check_numbers
from promptlab.analysis.arrays import Array
from promptlab.analysis.equivalence import tost_tango_p
from promptlab.analysis.power.binary import check_rates
from promptlab.analysis.power.levels import check_levels, check_n
from promptlab.errors import UserError

__all__ = ["power_tost", "power_tost_tango", "tost_n"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def power_tost(
    n: float, sd: float, margin: float, *, delta: float = 0.0, alpha: float = 0.05
) -> float:
    """Exact power of the paired TOST by t: the chance to call a difference of `delta` equivalent.

    Given the observed spread, the mean must fall inside +-(margin - t SE); that normal probability
    is integrated over the chi distribution of the spread (Phillips 1990).

    Args:
        n: pairs (items or tasks).
        sd: standard deviation of the differences.
        margin: of equivalence, in score units.
        delta: true difference.
        alpha: level of each of the two tests.
    """
    check_levels(alpha, 0.999)
    check_n(n, least=2)
    check_numbers(sd=sd, margin=margin, delta=delta)
    if min(sd, margin) <= 0:
        raise UserError(f"sd and margin must be above 0, not {sd} and {margin}")
    df, se = n - 1, sd / math.sqrt(n)
    widest = margin / (float(stats.t.isf(alpha, df)) * se)
    # The ratio of observed to true spread: beyond `widest` no mean is inside.
    first, last = (math.sqrt(float(stats.chi2.ppf(q, df)) / df) for q in (1e-13, 1 - 1e-13))
    last = min(last, widest)
    if last <= first:
        return 0.0
    ratio = (first + last) / 2 + (last - first) / 2 * _NODES
    density = stats.chi.pdf(ratio * math.sqrt(df), df) * math.sqrt(df)
    reach = margin - float(stats.t.isf(alpha, df)) * ratio * se
    inside = stats.norm.cdf((reach - delta) / se) - stats.norm.cdf((-reach - delta) / se)
    return float(np.clip((last - first) / 2 * _WEIGHTS @ (density * inside), 0.0, 1.0))


def tost_n(
    sd: float, margin: float, *, delta: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Smallest number of pairs with which the TOST by t has the power.

    Args:
        sd: standard deviation of the differences.
        margin: of equivalence; `delta` must lie inside it.
        delta: true difference.
        alpha: level of each of the two tests.
        power: wanted.
    """
    check_levels(alpha, power)
    check_numbers(sd=sd, margin=margin, delta=delta)
    if not abs(delta) < margin:
        raise UserError(f"a difference of {delta} is not inside the margin {margin}")

    def gap(n: float) -> float:
        return power_tost(n, sd, margin, delta=delta, alpha=alpha) - power

    high = 4.0
    while gap(high) < 0:
        high *= 2
    if gap(2.0) >= 0:
        return 2
    return math.ceil(float(optimize.brentq(gap, 2.0, high, xtol=1e-6)) - 1e-5)


def power_tost_tango(
    n: int, p_gain: float, p_loss: float, margin: float, *, alpha: float = 0.05
) -> float:
    """Exact power of the score TOST of right/wrong answers: all gains and losses enumerated.

    Args:
        n: pairs.
        p_gain: probability that an item goes from wrong to right.
        p_loss: probability that it goes from right to wrong.
        margin: of equivalence, between 0 and 1.
        alpha: level of each of the two tests.
    """
    check_levels(alpha, 0.999)
    check_rates(p_gain, p_loss)
    check_n(n)
    check_numbers(margin=margin)
    if not 0 < margin < 1:
        raise UserError(f"margin must lie between 0 and 1, not {margin}")
    size = int(n)
    gains = _likely(size, p_gain)
    losses = _likely(size, p_loss)
    rest = 1 - p_gain
    share = p_loss / rest if rest > 0 else 0.0
    b, c = (grid.ravel() for grid in np.meshgrid(gains, losses, indexing="ij"))
    possible = b + c <= size
    b, c = b[possible], c[possible]
    mass = stats.binom.pmf(b, size, p_gain) * stats.binom.pmf(c, size - b, min(1.0, share))
    return float(np.clip(mass @ (tost_tango_p(b, c, size, margin) <= alpha), 0.0, 1.0))


def _likely(n: int, p: float) -> Array:
    """The counts that together have all but 1e-12 of the probability."""
    low, high = stats.binom.ppf([1e-12, 1 - 1e-12], n, p)
    return np.arange(max(0, int(low) - 1), min(n, int(high) + 1) + 1, dtype=np.float64)
