"""Bayesian twins over tasks: a normal hierarchy by quadrature, and the signed rank with a ROPE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import optimize, stats

from promptlab.analysis.arguments import check_numbers, check_repeats
from promptlab.analysis.arrays import Array, Seed, as_vector, paired, rng_from
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import Resampled, Result, plural
from promptlab.errors import UserError

__all__ = ["BayesHierarchy", "BayesSignedRank", "bayes_hierarchy", "bayes_signed_rank"]

_GRID = 4000


@dataclass(frozen=True, kw_only=True, repr=False)
class BayesHierarchy(Result):
    """Posterior of the mean mu over tasks; the estimate is its mean.

    Attributes:
        sd: posterior standard deviation of mu.
        probability_positive: P(mu > 0).
        probability_equivalent: P(|mu| < margin).
        margin: of practical equivalence.
        tau: posterior median of the standard deviation between tasks.
        tau_interval: equal-tailed, at `level`.
        task_estimates: posterior mean of each task's own difference, shrunken towards mu; in the
            order given, NaN for a task that was left out.
        dropped: tasks with variance 0, left out.
    """

    sd: float
    probability_positive: float
    probability_equivalent: float
    margin: float
    tau: float
    tau_interval: tuple[float, float]
    task_estimates: tuple[float, ...]
    dropped: int

    label: ClassVar[str] = "posterior mean difference over tasks"
    unit: ClassVar[str] = "tasks"


def bayes_hierarchy(
    differences: Any,
    variances: Any,
    *,
    margin: float = 0.02,
    scale: float = 0.1,
    level: float = 0.95,
) -> BayesHierarchy:
    """Normal-normal hierarchy over tasks by quadrature (Gelman et al. 2013, sec. 5.4).

    delta_t ~ N(theta_t, variance_t), theta_t ~ N(mu, tau^2), mu flat, tau half-Cauchy(scale)
    (Gelman 2006). Given tau, mu is normal in closed form; tau is integrated on a grid that is
    uniform in the prior's own distribution function, so that no sampling is needed.

    Args:
        differences: one a task, in score units.
        variances: squared standard error of each; tasks with 0 are left out and counted.
        margin: of practical equivalence.
        scale: of the half-Cauchy prior on tau, in score units.
        level: of the intervals.

    Raises:
        UserError: fewer than two tasks with a variance above 0, or a negative variance.
    """
    critical_z(level)
    check_numbers(finite=False, scale=scale, margin=margin)
    if not (0 < scale < math.inf and 0 < margin < math.inf):
        raise UserError(f"scale and margin must be above 0, not {scale} and {margin}")
    every, error = paired(differences, variances)
    if (error < 0).any():
        raise UserError("variances are squared standard errors and cannot be negative")
    keep = error > 0
    y, v = every[keep], error[keep]
    if y.size < 2:
        raise UserError(
            f"the hierarchy needs two tasks with a variance above 0; there are {y.size}"
        )
    tau = scale * np.tan(math.pi / 2 * (np.arange(_GRID) + 0.5) / _GRID)
    spread = v + tau[:, None] ** 2
    precision = (1 / spread).sum(axis=1)
    centre = (y / spread).sum(axis=1) / precision
    logs = -0.5 * (
        np.log(precision)
        + np.log(spread).sum(axis=1)
        + ((y - centre[:, None]) ** 2 / spread).sum(axis=1)
    )
    mass = np.exp(logs - logs.max())
    mass /= mass.sum()
    sd_given = 1 / np.sqrt(precision)

    def cdf(x: float) -> float:
        return float(mass @ stats.norm.cdf((x - centre) / sd_given))

    mean = float(mass @ centre)
    sd = math.sqrt(float(mass @ (sd_given**2 + (centre - mean) ** 2)))
    reach = float(np.abs(centre).max() + 12 * sd_given.max())

    def quantile(q: float) -> float:
        return float(optimize.brentq(lambda x: cdf(x) - q, -reach, reach, xtol=1e-12))

    ends = (1 - level) / 2, (1 + level) / 2
    # Posterior mean of theta_t given tau is precision-weighted between its own value and mu.
    pull = v / spread
    shrunken = np.full(every.size, np.nan)
    shrunken[keep] = mass @ (y + pull * (centre[:, None] - y))
    dropped = int((~keep).sum())
    return BayesHierarchy(
        estimate=mean,
        interval=(quantile(ends[0]), quantile(ends[1])),
        n=y.size,
        method=f"normal hierarchy by quadrature, half-Cauchy({scale:g}) on tau",
        level=level,
        note=f"{plural(dropped, 'tasks')} without variance left out" if dropped else "",
        sd=sd,
        probability_positive=1 - cdf(0.0),
        probability_equivalent=cdf(margin) - cdf(-margin),
        margin=margin,
        tau=_weighted_quantile(tau, mass, 0.5),
        tau_interval=(
            _weighted_quantile(tau, mass, ends[0]),
            _weighted_quantile(tau, mass, ends[1]),
        ),
        task_estimates=tuple(float(value) for value in shrunken),
        dropped=dropped,
    )


def _weighted_quantile(values: Array, mass: Array, q: float) -> float:
    """Quantile of a sorted grid, each value in the middle of its mass."""
    return float(np.interp(q, np.cumsum(mass) - mass / 2, values))


@dataclass(frozen=True, kw_only=True, repr=False)
class BayesSignedRank(Resampled):
    """Bayesian signed-rank test; the estimate is the probability that the variant is better.

    Attributes:
        probability_worse: that it is practically worse.
        probability_equivalent: that the two are practically equivalent.
        margin: half width of the region of practical equivalence.
    """

    probability_worse: float
    probability_equivalent: float
    margin: float

    label: ClassVar[str] = "probability that the variant is practically better"
    unit: ClassVar[str] = "tasks"


def bayes_signed_rank(
    differences: Any,
    *,
    margin: float = 0.02,
    prior: float = 0.5,
    n_samples: int = 20_000,
    seed: Seed = 0,
) -> BayesSignedRank:
    """Bayesian signed-rank test with a region of practical equivalence.

    A Dirichlet process with one pseudo-difference of 0 of strength `prior`: weights w are drawn
    from Dirichlet(prior, 1, ..., 1), and the pairs with (z_i + z_j) / 2 above, inside and below
    +-margin get the mass w_i w_j. The probability of a region is the share of draws in which it
    has the most mass (Benavoli, Corani, Demsar and Zaffalon 2017, sec. 4.2; Benavoli et al. 2014).

    Args:
        differences: one a task.
        margin: half width of the region; 0 leaves only equality inside.
        prior: strength of the pseudo-difference.
        n_samples: draws of the weights.
        seed: of the draws.
    """
    d = as_vector(differences, "differences")
    check_numbers(finite=False, margin=margin, prior=prior)
    check_repeats(n_samples=n_samples)
    if not (0 <= margin < math.inf and 0 < prior < math.inf and n_samples >= 100):
        raise UserError("margin must not be negative, prior above 0, n_samples at least 100")
    z = np.append(0.0, d)
    middle = (z[:, None] + z[None, :]) / 2
    above = (middle > margin + 1e-12).astype(np.float64)
    below = (middle < -margin - 1e-12).astype(np.float64)
    rng = rng_from(seed)
    wins = np.zeros(3)
    for start in range(0, n_samples, 5000):
        w = rng.dirichlet(np.append(prior, np.ones(d.size)), min(5000, n_samples - start))
        up, down = (((w @ part) * w).sum(axis=1) for part in (above, below))
        regions = np.column_stack([down, 1 - up - down, up])
        top = regions >= regions.max(axis=1, keepdims=True) - 1e-12
        wins += (top / top.sum(axis=1, keepdims=True)).sum(axis=0)
    worse, inside, better = (float(v) for v in wins / n_samples)
    return BayesSignedRank(
        estimate=better,
        n=d.size,
        method=f"Bayesian signed rank, region +-{margin:g}, {n_samples} draws",
        n_resamples=n_samples,
        mc_error=math.sqrt(better * (1 - better) / n_samples),
        probability_worse=worse,
        probability_equivalent=inside,
        margin=margin,
    )
