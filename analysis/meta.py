"""Random-effects pooling of per-task differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import paired
from promptlab.analysis.results import NO_INTERVAL, Result, plural

__all__ = ["Pooled", "random_effects"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Pooled(Result):
    """DerSimonian and Laird (1986) pooling; estimate and interval are those of random effects.

    Attributes:
        se: of the random-effects mean.
        fixed: inverse-variance mean without heterogeneity.
        se_fixed: its standard error.
        q: Cochran's Q of heterogeneity.
        p_q: its p value.
        tau2: variance between tasks, truncated at 0.
        i2: share of the variation that is heterogeneity, truncated at 0.
        dropped: tasks without variance, left out.
    """

    se: float
    fixed: float
    se_fixed: float
    q: float
    p_q: float
    tau2: float
    i2: float
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


def random_effects(differences: Any, variances: Any, *, level: float = 0.95) -> Pooled:
    """Pool task differences with known error variances; tasks with variance 0 are left out.

    Args:
        differences: one a task.
        variances: squared standard error of each.
        level: of the normal interval.
    """
    y, v = paired(differences, variances)
    keep = v > 0
    dropped = int((~keep).sum())
    y, v = y[keep], v[keep]
    k, nan = y.size, math.nan
    if k < 2:
        return Pooled(
            estimate=float(y.mean()) if k else nan,
            n=k,
            method="DerSimonian-Laird",
            note="fewer than two tasks with a variance",
            se=math.sqrt(float(v[0])) if k else nan,
            fixed=float(y.mean()) if k else nan,
            se_fixed=math.sqrt(float(v[0])) if k else nan,
            q=nan,
            p_q=nan,
            tau2=nan,
            i2=nan,
            dropped=dropped,
            level=level,
            interval=NO_INTERVAL,
        )
    w = 1 / v
    fixed = float(w @ y / w.sum())
    q = float(w @ (y - fixed) ** 2)
    tau2 = max(0.0, (q - (k - 1)) / float(w.sum() - (w**2).sum() / w.sum()))
    w = 1 / (v + tau2)
    mu, se = float(w @ y / w.sum()), math.sqrt(1 / float(w.sum()))
    half = float(stats.norm.isf((1 - level) / 2)) * se
    return Pooled(
        estimate=mu,
        interval=(mu - half, mu + half),
        pvalue=float(2 * stats.norm.sf(abs(mu) / se)),
        n=k,
        method="DerSimonian-Laird",
        level=level,
        note=f"{plural(dropped, 'estimates')} without variance left out" if dropped else "",
        se=se,
        fixed=fixed,
        se_fixed=math.sqrt(1 / float(np.sum(1 / v))),
        q=q,
        p_q=float(stats.chi2.sf(q, k - 1)),
        tau2=tau2,
        i2=max(0.0, (q - (k - 1)) / q) if q > 0 else 0.0,
        dropped=dropped,
    )
