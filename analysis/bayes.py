"""Posterior statements about one cell of right/wrong answers, without sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import optimize, stats

from promptlab.analysis.arguments import check_counts, check_numbers
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import RIGHT, Difference, number
from promptlab.errors import UserError

__all__ = ["PosteriorDifference", "dirichlet_difference", "probability_of_gain"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def probability_of_gain(gains: int, losses: int, *, prior: float = 1.0) -> float:
    """P(p_gain > p_loss | data) under a Dirichlet(prior, ...) on the four kinds of pairs.

    The share of gains among discordant pairs is then Beta(gains + prior, losses + prior), whatever
    the concordant pairs were.
    """
    check_counts(gains=gains, losses=losses)
    _check_prior(prior)
    return float(stats.beta.sf(0.5, gains + prior, losses + prior))


def _check_prior(prior: float) -> None:
    check_numbers(prior=prior)
    if prior <= 0:
        raise UserError(f"the prior must be above 0, not {prior}")


@dataclass(frozen=True, kw_only=True, repr=False)
class PosteriorDifference(Difference):
    """Posterior of p_gain - p_loss; the estimate is the observed difference.

    Attributes:
        mean: of the posterior.
        probability_better: P(difference > 0).
        probability_equivalent: P(|difference| < margin); NaN without a margin.
        margin: of practical equivalence.
    """

    mean: float
    probability_better: float
    probability_equivalent: float
    margin: float

    words: ClassVar[tuple[str, str, str]] = RIGHT

    def _remark(self) -> str:
        return f"the probability that the variant is better is {number(self.probability_better)}"


def dirichlet_difference(
    gains: int,
    losses: int,
    n: int,
    *,
    prior: float = 1.0,
    margin: float | None = None,
    level: float = 0.95,
) -> PosteriorDifference:
    """Posterior interval of a paired difference of proportions under a Dirichlet prior.

    With a Dirichlet(a, a, a, a) on (both, gain, loss, neither), the discordant share s is
    Beta(b + c + 2a, n - b - c + 2a), and independently of it the share of gains u is
    Beta(b + a, c + a); the difference is s (2u - 1). Its distribution function is one integral
    over s, and the equal-tailed interval inverts it.

    Args:
        gains: items wrong in the original, right in the variant.
        losses: items right in the original, wrong in the variant.
        n: all pairs.
        prior: a, the same for the four kinds of pairs; 1 is uniform.
        margin: of practical equivalence, between 0 and 1.
        level: of the interval.

    Raises:
        UserError: impossible counts, prior or margin.
    """
    critical_z(level)
    check_counts(n, gains=gains, losses=losses)
    _check_prior(prior)
    if margin is not None:
        check_numbers(margin=margin)
    if margin is not None and not 0 < margin < 1:
        raise UserError(f"margin must lie between 0 and 1, not {margin}")
    discordant, total = gains + losses, n + 4 * prior
    share = stats.beta(discordant + 2 * prior, n - discordant + 2 * prior)
    first, last = (float(v) for v in share.ppf([1e-14, 1 - 1e-14]))

    def cdf(x: float) -> float:
        # The integrand has a corner where |x| = s: integrate the two sides on their own.
        corner = min(max(abs(x), first), last)
        mass = 0.0
        for low, high in ((first, corner), (corner, last)):
            if high - low > 1e-15:
                s = (low + high) / 2 + (high - low) / 2 * _NODES
                below = stats.beta.cdf(
                    np.clip((1 + x / s) / 2, 0.0, 1.0), gains + prior, losses + prior
                )
                mass += float((high - low) / 2 * _WEIGHTS @ (share.pdf(s) * below))
        return mass

    def quantile(q: float) -> float:
        return float(optimize.brentq(lambda x: cdf(x) - q, -1.0, 1.0, xtol=1e-12))

    return PosteriorDifference(
        estimate=(gains - losses) / n,
        interval=(quantile((1 - level) / 2), quantile((1 + level) / 2)),
        n=n,
        method=f"Dirichlet({prior:g}) posterior interval",
        level=level,
        mean=(gains - losses) / total,
        probability_better=probability_of_gain(gains, losses, prior=prior),
        probability_equivalent=math.nan if margin is None else cdf(margin) - cdf(-margin),
        margin=math.nan if margin is None else margin,
    )
