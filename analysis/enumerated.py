"""The bootstrap without resampling: every resample of a few items, with its probability."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_level
from promptlab.analysis.arrays import TIE, Array, as_vector
from promptlab.analysis.bootstrap import acceleration, bca_alphas
from promptlab.analysis.results import Result
from promptlab.errors import UserError

__all__ = ["IdealBootstrap", "ideal_bootstrap"]

_MOST = 12


@dataclass(frozen=True, kw_only=True, repr=False)
class IdealBootstrap(Result):
    """The exact bootstrap distribution of a mean; the interval is BCa.

    Attributes:
        n_compositions: distinct resamples.
        se: standard deviation of the distribution.
        z0: bias correction, half of the ties counted.
        z0_strict: the same counting only smaller means.
        acceleration: from the jackknife.
        alphas: probabilities of the BCa quantiles.
        percentile: percentile interval; quantiles are the smallest mean with CDF >= q.
        basic: basic interval.
    """

    n_compositions: int
    se: float
    z0: float
    z0_strict: float
    acceleration: float
    alphas: tuple[float, float]
    percentile: tuple[float, float]
    basic: tuple[float, float]

    label: ClassVar[str] = "mean"


def ideal_bootstrap(values: Any, *, level: float = 0.95) -> IdealBootstrap:
    """Enumerate all resamples of at most twelve values.

    Raises:
        UserError: more than twelve values.
    """
    check_level(level)
    x = as_vector(values, least=2)
    n, mean = x.size, float(x.mean())
    if n > _MOST:
        raise UserError(f"all resamples of {n} values are too many; use bootstrap_mean")
    if np.ptp(x) < 1e-12:
        raise UserError("values without variation have no bootstrap distribution")
    means, mass = _distribution(x)
    below, at = (
        float(mass[means < mean - TIE].sum()),
        float(mass[np.abs(means - mean) <= TIE].sum()),
    )
    z0, strict = (float(v) for v in stats.norm.ppf([below + at / 2, below]))
    a = float(acceleration(x[:, None])[0])
    low, high = (float(v) for v in bca_alphas(z0, a, level))
    cumulative = np.cumsum(mass)

    def quantile(q: float) -> float:
        return float(means[min(int(np.searchsorted(cumulative, q - 1e-13)), means.size - 1)])

    percentile = quantile((1 - level) / 2), quantile((1 + level) / 2)
    return IdealBootstrap(
        estimate=mean,
        interval=(quantile(low), quantile(high)),
        n=n,
        method="BCa on the ideal bootstrap distribution",
        level=level,
        n_compositions=means.size,
        se=math.sqrt(float(mass @ (means - mass @ means) ** 2)),
        z0=z0,
        z0_strict=strict,
        acceleration=a,
        alphas=(low, high),
        percentile=percentile,
        basic=(2 * mean - percentile[1], 2 * mean - percentile[0]),
    )


def _distribution(x: Array) -> tuple[Array, Array]:
    """Sorted means of all resamples and their probabilities."""
    n = x.size
    # Stars and bars: the gaps between n - 1 bars among 2 n - 1 places are the counts.
    bars = itertools.chain.from_iterable(itertools.combinations(range(2 * n - 1), n - 1))
    places = np.fromiter(bars, np.int8).reshape(-1, n - 1).astype(np.int64)
    counts = np.diff(places, axis=1, prepend=-1, append=2 * n - 1) - 1
    logs = np.array([math.lgamma(i + 1) for i in range(n + 1)])
    mass = np.exp(logs[n] - logs[counts].sum(axis=1) - n * math.log(n))
    means = counts @ x / n
    order = np.argsort(means, kind="stable")
    return means[order], mass[order]
