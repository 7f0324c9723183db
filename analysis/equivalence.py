"""Equivalence: two one-sided tests (Schuirmann 1987) against a margin in score units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_counts, check_numbers
from promptlab.analysis.arrays import Array, as_vector, safe_divide
from promptlab.analysis.intervals import tango_limits, tango_z
from promptlab.analysis.results import Difference, format_p
from promptlab.errors import UserError

__all__ = ["Tost", "tost_t", "tost_t_p", "tost_tango", "tost_tango_p"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Tost(Difference):
    """Two one-sided tests; `pvalue` is the larger, the interval has level 1 - 2 alpha.

    Attributes:
        margin: differences inside +-margin are equivalent.
        p_lower: of H0: difference <= -margin.
        p_upper: of H0: difference >= +margin.
        z_lower: statistic of the first (t or z).
        z_upper: statistic of the second.
    """

    margin: float
    p_lower: float
    p_upper: float
    z_lower: float
    z_upper: float

    unit: ClassVar[str] = "pairs"

    def _test(self) -> str:
        return f"{format_p(self.pvalue)} for equivalence within {100 * self.margin:g} points"


def _check(margin: float, alpha: float) -> None:
    check_numbers(margin=margin, alpha=alpha)
    if margin <= 0:
        raise UserError(f"margin must be above 0, in units of the scores, not {margin}")
    if not 0 < alpha < 0.5:
        raise UserError(f"alpha must lie between 0 and 1/2, not {alpha}")


def tost_t_p(mean: Any, se: Any, df: Any, margin: float) -> Array:
    """P values of the t-based TOST for many means; NaN where se is 0 or NaN."""
    mean, se = np.asarray(mean, np.float64), np.asarray(se, np.float64)
    low = stats.t.sf(safe_divide(mean + margin, se), df)
    high = stats.t.cdf(safe_divide(mean - margin, se), df)
    return np.asarray(np.maximum(low, high), dtype=np.float64)


def tost_t(differences: Any, margin: float, *, alpha: float = 0.05) -> Tost:
    """Equivalence of a mean difference (of tasks, or of graded items) by t.

    Undefined, with a note, for one value or values without variation.

    Examples:
        >>> tost_t([0.004, -0.003, 0.006, 0.001, -0.005, 0.002], margin=0.02)
        The variant scored 0.1 points higher than the original (90 % interval -0.3 to +0.4) on 6
        pairs, p < 0.0001 for equivalence within 2 points (TOST by t).
    """
    _check(margin, alpha)
    d = as_vector(differences, "differences")
    n, mean = d.size, float(d.mean())
    se = float(d.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    common: dict[str, Any] = {
        "estimate": mean,
        "n": n,
        "method": "TOST by t",
        "level": 1 - 2 * alpha,
        "margin": margin,
    }
    if not se > 1e-15:
        note = "one value: no test" if n < 2 else "degenerate: zero variance"
        return Tost(
            **common,
            note=note,
            p_lower=math.nan,
            p_upper=math.nan,
            z_lower=math.nan,
            z_upper=math.nan,
        )
    low, high = (mean + margin) / se, (mean - margin) / se
    p_lower, p_upper = float(stats.t.sf(low, n - 1)), float(stats.t.cdf(high, n - 1))
    half = float(stats.t.isf(alpha, n - 1)) * se
    return Tost(
        **common,
        interval=(mean - half, mean + half),
        pvalue=max(p_lower, p_upper),
        p_lower=p_lower,
        p_upper=p_upper,
        z_lower=low,
        z_upper=high,
    )


def tost_tango_p(gains: Any, losses: Any, n: Any, margin: float) -> Array:
    """P values of the score TOST for many cells; NaN for n = 0."""
    low = stats.norm.sf(tango_z(gains, losses, n, -margin))
    high = stats.norm.cdf(tango_z(gains, losses, n, margin))
    return np.asarray(np.maximum(low, high), dtype=np.float64)


def tost_tango(gains: int, losses: int, n: int, margin: float, *, alpha: float = 0.05) -> Tost:
    """Equivalence of paired proportions: Tango's score statistic at both margins."""
    _check(margin, alpha)
    if margin >= 1:
        raise UserError(f"margin must lie between 0 and 1 in score units, not {margin}")
    check_counts(n, gains=gains, losses=losses)
    z_lower = float(tango_z(gains, losses, n, -margin))
    z_upper = float(tango_z(gains, losses, n, margin))
    p_lower, p_upper = float(stats.norm.sf(z_lower)), float(stats.norm.cdf(z_upper))
    low, high = tango_limits(gains, losses, n, level=1 - 2 * alpha)
    return Tost(
        estimate=(gains - losses) / n,
        interval=(float(low), float(high)),
        pvalue=max(p_lower, p_upper),
        n=n,
        method="TOST by Tango's score",
        level=1 - 2 * alpha,
        margin=margin,
        p_lower=p_lower,
        p_upper=p_upper,
        z_lower=z_lower,
        z_upper=z_upper,
    )
