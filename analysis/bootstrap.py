"""Bootstrap intervals of a mean: one count matrix for many columns, and BCa without pitfalls.

z0 takes half of the ties (Efron and Tibshirani 1993, ch. 14, with a mid-rank for the lattice of a
mean of few values); quantiles interpolate linearly. Data without variation give the point itself
and the note `degenerate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_level, check_repeats
from promptlab.analysis.arrays import TIE, Array, Seed, as_vector, product, safe_divide
from promptlab.analysis.results import Resampled
from promptlab.analysis.streams import count_matrix
from promptlab.errors import UserError

__all__ = [
    "Bootstrap",
    "acceleration",
    "bca_alphas",
    "bca_limits",
    "bootstrap_mean",
    "count_matrix",
    "interval_from_replicates",
    "midtie_z0",
    "sorted_quantile",
    "z0_of_share",
]

Kind = Literal["bca", "percentile", "basic", "normal"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Bootstrap(Resampled):
    """A bootstrap interval of a mean.

    Attributes:
        se: standard deviation of the replicates.
        z0: bias correction (mid-tie).
        acceleration: skewness correction from the jackknife.
        alphas: the two probabilities at which quantiles were taken.
    """

    se: float
    z0: float
    acceleration: float
    alphas: tuple[float, float]

    label: ClassVar[str] = "mean"


def acceleration(columns: Array) -> Array:
    """Jackknife acceleration of the mean of each column: sum L^3 / (6 (sum L^2)^1.5).

    For the mean the jackknife influence L is proportional to x - mean, and the factor cancels.
    NaN = the item is not in that column. Columns without variation get 0.
    """
    there = np.isfinite(columns)
    means = safe_divide(np.where(there, columns, 0.0).sum(axis=0), there.sum(axis=0))
    influence = np.where(there, columns - means, 0.0)
    cubes, squares = (influence**3).sum(axis=0), (influence**2).sum(axis=0)
    flat = squares < 1e-20
    return np.where(flat, 0.0, safe_divide(cubes, 6 * np.where(flat, 1.0, squares) ** 1.5))


def midtie_z0(replicates: Array, estimate: Any) -> Array:
    """Bias correction: normal quantile of P(t* < t) + P(t* = t) / 2, by column."""
    gap = replicates - np.asarray(estimate)
    below = (gap < -TIE).mean(axis=0) + (np.abs(gap) <= TIE).mean(axis=0) / 2
    return z0_of_share(below, replicates.shape[0])


def z0_of_share(below: Any, n_resamples: int) -> Array:
    """Bias correction from the share of replicates below the estimate; never infinite."""
    least = 0.5 / n_resamples
    return np.asarray(stats.norm.ppf(np.clip(below, least, 1 - least)), dtype=np.float64)


def bca_alphas(z0: Any, a: Any, level: float = 0.95) -> tuple[Array, Array]:
    """The probabilities at which BCa takes its quantiles."""
    ends = []
    for z in (stats.norm.ppf((1 - level) / 2), stats.norm.ppf((1 + level) / 2)):
        shifted = np.asarray(z0, dtype=np.float64) + z
        bent = safe_divide(shifted, 1 - np.asarray(a) * shifted)
        ends.append(np.asarray(stats.norm.cdf(z0 + bent), dtype=np.float64))
    return ends[0], ends[1]


def bca_limits(columns: Array, counts: Array, *, level: float = 0.95) -> tuple[Array, Array]:
    """BCa intervals of the means of many columns with one count matrix.

    Args:
        columns: items x columns, without NaN.
        counts: resamples x items, from `count_matrix`.
        level: confidence level.

    Returns:
        Lower and upper ends; the mean itself for a column without variation.
    """
    means = columns.mean(axis=0)
    replicates = product(columns.T, counts.T).T / columns.shape[0]
    low, high = bca_alphas(midtie_z0(replicates, means), acceleration(columns), level)
    replicates.sort(axis=0)
    flat = np.ptp(columns, axis=0) < 1e-12
    lower = sorted_quantile(replicates, low)
    upper = sorted_quantile(replicates, high)
    return np.where(flat, means, lower), np.where(flat, means, upper)


def sorted_quantile(replicates: Array, q: Array) -> Array:
    """Linear quantile of each sorted column, at a probability of its own."""
    place = np.clip(q, 0, 1) * (replicates.shape[0] - 1)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, replicates.shape[0] - 1)
    column = np.arange(replicates.shape[1])
    share = place - below
    found = (1 - share) * replicates[below, column] + share * replicates[above, column]
    return np.asarray(found, dtype=np.float64)


def interval_from_replicates(
    values: Any, replicates: Any, *, kind: Kind = "bca", level: float = 0.95
) -> Bootstrap:
    """Interval of a mean from bootstrap replicates that are already there.

    Args:
        values: the items.
        replicates: bootstrap means.
        kind: `bca`, `percentile`, `basic` (2 t - percentile), `normal` (t +- z SE - bias).
        level: confidence level.
    """
    check_level(level)
    x = as_vector(values)
    stars = as_vector(replicates, "replicates", least=2)
    if kind not in ("bca", "percentile", "basic", "normal"):
        raise UserError(f"unknown bootstrap interval '{kind}'")
    mean = float(x.mean())
    z0 = float(midtie_z0(stars[:, None], mean)[0])
    a = float(acceleration(x[:, None])[0])
    se = float(stars.std(ddof=1))
    alphas = ((1 - level) / 2, (1 + level) / 2)
    note = ""
    if np.ptp(x) < 1e-12:
        interval, note = (mean, mean), "degenerate: zero variance"
    elif kind == "normal":
        centre, half = 2 * mean - float(stars.mean()), float(stats.norm.ppf(alphas[1])) * se
        interval = (centre - half, centre + half)
    else:
        if kind == "bca":
            low, high = bca_alphas(z0, a, level)
            alphas = (float(low), float(high))
        first, second = (float(v) for v in np.quantile(stars, alphas))
        interval = (2 * mean - second, 2 * mean - first) if kind == "basic" else (first, second)
    return Bootstrap(
        estimate=mean,
        interval=interval,
        n=x.size,
        method=f"{'BCa' if kind == 'bca' else kind} bootstrap, {stars.size} resamples",
        level=level,
        note=note,
        n_resamples=stars.size,
        se=se,
        z0=z0,
        acceleration=a,
        alphas=alphas,
    )


def bootstrap_mean(
    values: Any,
    *,
    kind: Kind = "bca",
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> Bootstrap:
    """Bootstrap interval of a mean (of paired differences, usually).

    For right/wrong answers use `tango`: the bootstrap covers too little there. For fewer than
    about 30 items use `t_interval`.

    Examples:
        >>> differences = np.linspace(-0.2, 0.3, 40)
        >>> bootstrap_mean(differences, n_resamples=2000, seed=0)
        The mean is 0.05 (95 % interval 0.002564 to 0.09391) on 40 items (BCa bootstrap, 2000
        resamples).
    """
    check_level(level)
    check_repeats(n_resamples=n_resamples)
    x = as_vector(values)
    replicates = count_matrix(x.size, n_resamples, seed) @ x / x.size
    return interval_from_replicates(x, replicates, kind=kind, level=level)
