"""Random-effects pooling of per-task differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import optimize, stats

from promptlab.analysis.arrays import Array, paired
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import NO_INTERVAL, Result, plural
from promptlab.errors import UnknownName, UserError

__all__ = ["Pooled", "random_effects"]

Estimator = Literal["DL", "PM"]
_METHODS = {"DL": "DerSimonian-Laird", "PM": "Paule-Mandel"}


@dataclass(frozen=True, kw_only=True, repr=False)
class Pooled(Result):
    """Random-effects pooling; estimate and interval are those of the mean over tasks.

    Attributes:
        se: of the random-effects mean.
        fixed: inverse-variance mean without heterogeneity.
        se_fixed: its standard error.
        q: Cochran's Q of heterogeneity.
        p_q: its p value.
        tau2: variance between tasks, truncated at 0.
        i2: share of the variation that is heterogeneity, truncated at 0.
        prediction: interval for the true difference of a new task; NaN below three tasks.
        dropped: tasks without variance, left out.
    """

    se: float
    fixed: float
    se_fixed: float
    q: float
    p_q: float
    tau2: float
    i2: float
    prediction: tuple[float, float] = NO_INTERVAL
    dropped: int

    label: ClassVar[str] = "pooled difference"
    unit: ClassVar[str] = "estimates"
    notes: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"fewer than two tasks with a variance": "fewer than two estimates have a variance"}
    )

    def _remark(self) -> str:
        if math.isnan(self.tau2):
            return ""
        if self.tau2 == 0:
            return "no variation of the true differences is seen"
        return f"the true differences vary with a standard deviation of {self.tau2**0.5:.2g}"


def random_effects(
    differences: Any,
    variances: Any,
    *,
    estimator: Estimator = "DL",
    hartung_knapp: bool = False,
    level: float = 0.95,
) -> Pooled:
    """Pool task differences with known error variances; tasks with variance 0 are left out.

    Args:
        differences: one a task.
        variances: squared standard error of each.
        estimator: of the variance between tasks: `DL` (DerSimonian and Laird 1986), or `PM`
            (Paule and Mandel 1982), which solves Q(tau^2) = k - 1. Both are truncated at 0.
        hartung_knapp: t interval with k - 1 degrees of freedom and the weighted variance around
            the mean (Hartung and Knapp 2001), instead of the normal one, which is short for few
            tasks.
        level: of the intervals. The prediction interval is mu +- t(k - 2) sqrt(tau^2 + SE^2)
            (Higgins, Thompson and Spiegelhalter 2009).

    Raises:
        UserError: a negative variance.
        UnknownName: another estimator.
    """
    if estimator not in _METHODS:
        raise UnknownName("estimator", str(estimator), tuple(_METHODS))
    z = critical_z(level)
    y, v = paired(differences, variances)
    if (v < 0).any():
        raise UserError("variances are squared standard errors and cannot be negative")
    keep = v > 0
    dropped = int((~keep).sum())
    y, v = y[keep], v[keep]
    k, nan = y.size, math.nan
    if k < 2:
        only, error = (float(y[0]), math.sqrt(float(v[0]))) if k else (nan, nan)
        return Pooled(
            estimate=only,
            n=k,
            method=_METHODS[estimator],
            note="fewer than two tasks with a variance",
            level=level,
            se=error,
            fixed=only,
            se_fixed=error,
            q=nan,
            p_q=nan,
            tau2=nan,
            i2=nan,
            dropped=dropped,
        )
    w = 1 / v
    fixed = float(w @ y / w.sum())
    q = _q(0.0, y, v)
    if estimator == "DL":
        tau2 = max(0.0, (q - (k - 1)) / float(w.sum() - (w**2).sum() / w.sum()))
    else:
        tau2 = _paule_mandel(y, v)
    w = 1 / (v + tau2)
    mu, se = float(w @ y / w.sum()), math.sqrt(1 / float(w.sum()))
    law: Any = stats.norm
    critical, notes = z, list[str]()
    if dropped:
        notes.append(f"{plural(dropped, 'estimates')} without variance left out")
    if hartung_knapp:
        law = stats.t(k - 1)
        critical = float(law.isf((1 - level) / 2))
        se = math.sqrt(float(w @ (y - mu) ** 2) / (k - 1) / float(w.sum()))
    interval, p = NO_INTERVAL, nan
    if se > 0:
        interval = (mu - critical * se, mu + critical * se)
        p = float(2 * law.sf(abs(mu) / se))
    else:
        notes.append("degenerate: the tasks do not differ at all")
    prediction = NO_INTERVAL
    if k > 2:
        half = float(stats.t.isf((1 - level) / 2, k - 2)) * math.sqrt(tau2 + se**2)
        prediction = (mu - half, mu + half)
    else:
        notes.append("two tasks: no prediction interval")
    return Pooled(
        estimate=mu,
        interval=interval,
        pvalue=p,
        n=k,
        method=_METHODS[estimator] + (", Hartung-Knapp" if hartung_knapp else ""),
        level=level,
        note="; ".join(notes),
        se=se,
        fixed=fixed,
        se_fixed=math.sqrt(1 / float(np.sum(1 / v))),
        q=q,
        p_q=float(stats.chi2.sf(q, k - 1)),
        tau2=tau2,
        i2=max(0.0, (q - (k - 1)) / q) if q > 0 else 0.0,
        prediction=prediction,
        dropped=dropped,
    )


def _q(tau2: float, y: Array, v: Array) -> float:
    """Generalised Q: the weighted squares around the weighted mean."""
    w = 1 / (v + tau2)
    return float(w @ (y - float(w @ y / w.sum())) ** 2)


def _paule_mandel(y: Array, v: Array) -> float:
    """The root of Q(tau^2) = k - 1, which falls in tau^2; 0 if Q is small already."""
    target = y.size - 1
    if _q(0.0, y, v) <= target:
        return 0.0
    high = float(np.ptp(y)) ** 2 + float(v.max())
    while _q(high, y, v) > target:
        high *= 2
    return float(
        optimize.brentq(lambda tau2: _q(tau2, y, v) - target, 0.0, high, xtol=1e-18, rtol=1e-14)
    )
