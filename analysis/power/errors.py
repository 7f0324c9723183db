"""What a significant result of a weak design is worth: type S and type M errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from scipy import optimize, stats

from promptlab.analysis.arguments import check_numbers
from promptlab.analysis.power.levels import check_levels
from promptlab.analysis.results import Result
from promptlab.errors import UserError

__all__ = ["DesignErrors", "design_errors", "exaggeration"]


@dataclass(frozen=True, kw_only=True, repr=False)
class DesignErrors(Result):
    """Gelman and Carlin (2014); the estimate is the exaggeration ratio (type M).

    Attributes:
        power: probability of a significant result.
        type_s: probability that a significant result has the wrong sign.
        delta: true difference that was assumed.
        se: standard error of its estimate.
    """

    power: float
    type_s: float
    delta: float
    se: float

    label: ClassVar[str] = "exaggeration of a significant result"
    unit: ClassVar[str] = "degrees of freedom"


def design_errors(
    delta: float, se: float, *, alpha: float = 0.05, df: float = math.inf
) -> DesignErrors:
    """Power, type S and type M error of a two-sided test (Gelman and Carlin 2014).

    The estimate is delta + se times a t variable with `df` degrees of freedom, as in their
    `retrodesign`. For the normal the three numbers are closed forms (Lu, Qiu and Deng 2019); for t
    the mean of the tail is integrated.

    Args:
        delta: true difference, not the observed one.
        se: standard error of the estimate.
        alpha: level of the test.
        df: of the t test; infinite for a normal one.

    Raises:
        UserError: delta or se of 0, or at most one degree of freedom (no mean exists then).
    """
    check_levels(alpha, 0.999)
    check_numbers(delta=delta, se=se)
    check_numbers(df=df, finite=False)
    if delta == 0 or se <= 0:
        raise UserError(f"delta must differ from 0 and se be above 0, not {delta} and {se}")
    if not df > 1:
        raise UserError(f"more than one degree of freedom is needed, not {df}")
    law = stats.norm if math.isinf(df) else stats.t(df)
    critical, shift = float(law.isf(alpha / 2)), abs(delta) / se
    up, down = critical - shift, -critical - shift
    right, wrong = float(law.sf(up)), float(law.cdf(down))
    power = right + wrong
    # E[|T + shift|; significant]; E[T; T > u] and E[T; T < u] differ in their sign only.
    total = _upper_mean(up, df) + shift * right + _upper_mean(down, df) - shift * wrong
    return DesignErrors(
        estimate=total / power / shift,
        n=0 if math.isinf(df) else int(df),
        method=f"{'normal' if math.isinf(df) else 't'} test at alpha {alpha:g}, "
        f"power {power:.2g}, wrong sign {wrong / power:.2g}",
        power=power,
        type_s=wrong / power,
        delta=float(delta),
        se=float(se),
    )


def _upper_mean(u: float, df: float) -> float:
    """E[T; T > u] of a t variable (a normal one for infinite df), in closed form."""
    if math.isinf(df):
        return float(stats.norm.pdf(u))
    return float((df + u**2) / (df - 1) * stats.t.pdf(u, df))


def exaggeration(power: float, *, alpha: float = 0.05, df: float = math.inf) -> float:
    """By which factor a significant result overstates the effect, on average, at that power.

    Args:
        power: above alpha; 0.8 gives 1.12, 0.2 gives 2.3.
        alpha: level of the test.
        df: of the t test; infinite for a normal one.
    """
    check_levels(alpha, power)

    def gap(shift: float) -> float:
        return design_errors(shift, 1.0, alpha=alpha, df=df).power - power

    high = 1.0
    while gap(high) < 0:
        high *= 2
    shift = float(optimize.brentq(gap, 1e-9, high, xtol=1e-12))
    return design_errors(shift, 1.0, alpha=alpha, df=df).estimate
