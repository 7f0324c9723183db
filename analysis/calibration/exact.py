"""Exact coverage of intervals for a paired difference: every outcome, with its probability.

Nothing is simulated here: of n pairs, b gains and c losses have a trinomial distribution, and the
bootstrap distribution of a mean of steps -1, 0, 1 is a convolution power.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from promptlab.analysis.arrays import TIE, Array, Bools, Ints, safe_divide
from promptlab.analysis.bootstrap import bca_alphas
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.intervals import bonett_price, critical_z, tango_limits

__all__ = ["DESIGNS", "Pairs", "coverage", "simulate"]

_LEVEL = 0.95
_LEAST = 1e-15
"""Outcomes less probable than this are left out: together they do not change the tenth digit."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """`n` pairs of which a share `discordance` differ, and the difference of the accuracies."""

    n: int
    discordance: float
    difference: float

    @property
    def shares(self) -> tuple[float, float]:
        """Probability of a gain and of a loss."""
        return (
            (self.discordance + self.difference) / 2,
            (self.discordance - self.difference) / 2,
        )


DESIGNS = {
    f"n={n} discordance {psi:.2f} difference {d:.2f}": Pairs(n, psi, d)
    for n, psi, d in (
        (20, 0.10, 0.05),
        (20, 0.06, 0.04),
        (50, 0.10, 0.0),
        (100, 0.25, 0.0),
        (100, 0.06, 0.04),
    )
}


def simulate(design: Pairs, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Add the exact coverage of every interval; needs no randomness."""
    del simulations, rng
    for name, (share, claim) in coverage(design).items():
        tally.add_exact(name, "coverage", share, claim=claim)


def coverage(design: Pairs) -> dict[str, tuple[float, Claim]]:
    """Coverage of each interval at nominal 95 %, and what is claimed of it."""
    n, d = design.n, design.difference
    gain, loss = design.shares
    b, c = (v.ravel() for v in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    possible = b + c <= n
    b, c = b[possible], c[possible]
    logs = special.gammaln(n + 1) - sum(special.gammaln(k + 1) for k in (b, c, n - b - c))
    rest = special.xlog1py(n - b - c, -gain - loss)
    mass = np.exp(logs + special.xlogy(b, gain) + special.xlogy(c, loss) + rest)
    likely = mass > _LEAST
    b, c, mass = b[likely], c[likely], mass[likely]
    out: dict[str, tuple[float, Claim]] = {}
    for name, inside, claim in _covered(b, c, n, d):
        out[name] = (float(mass[inside].sum()), claim)
    return out


def _covered(b: Ints, c: Ints, n: int, d: float) -> Iterator[tuple[str, Bools, Claim]]:
    """For each interval, whether it holds the true difference `d`, by outcome."""

    def holds(low: Array, high: Array) -> Bools:
        return np.asarray((low <= d + TIE) & (high >= d - TIE))

    mean = (b - c) / n
    variance = (b + c) / n - mean**2
    z = critical_z(_LEVEL)
    for name, half in (
        ("Wald", z * np.sqrt(variance / n)),
        ("t", float(stats.t.isf(0.025, n - 1)) * np.sqrt(variance / (n - 1))),
    ):
        yield name, holds(mean - half, mean + half), "naive"
    percentile, bca = _bootstrap(b, c, n)
    yield "percentile bootstrap", holds(*percentile), "shown"
    yield "BCa bootstrap", holds(*bca), "shown"
    yield "Tango", holds(*tango_limits(b, c, np.full(b.size, n))), "valid"
    ends = [bonett_price(int(i), int(j), n).interval for i, j in zip(b, c, strict=True)]
    low, high = np.array(ends).T
    yield "Bonett-Price", holds(low, high), "valid"
    below = _dirichlet_cdf(b, c, n, d)
    yield "Dirichlet", np.asarray((below >= 0.025) & (below <= 0.975)), "valid"


def _bootstrap(b: Ints, c: Ints, n: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Percentile and BCa ends from the exact bootstrap distribution of b* - c*.

    Quantiles are the smallest value whose cumulative probability reaches q. z0 takes half of the
    tie, as `promptlab.analysis.bootstrap` does.
    """
    size = 2 * n + 1
    steps = np.zeros((b.size, size))
    steps[:, 0], steps[:, 1], steps[:, 2] = c / n, 1 - (b + c) / n, b / n
    mass = np.fft.irfft(np.fft.rfft(steps, axis=1) ** n, size, axis=1)  # the sum, from -n to n
    mass = np.maximum(mass, 0.0)
    cumulative = np.cumsum(mass, axis=1)
    rows, at = np.arange(b.size), b - c + n
    tie = mass[rows, at]
    z0 = stats.norm.ppf(np.clip(cumulative[rows, at] - tie / 2, 1e-12, 1 - 1e-12))
    mean = (b - c) / n
    cubes = b * (1 - mean) ** 3 - c * (1 + mean) ** 3 - (n - b - c) * mean**3
    squares = b * (1 - mean) ** 2 + c * (1 + mean) ** 2 + (n - b - c) * mean**2
    a = np.nan_to_num(safe_divide(cubes, 6 * squares**1.5))

    def quantile(q: Array | float) -> Array:
        target = np.broadcast_to(np.asarray(q, np.float64), b.shape)[:, None]
        return np.asarray((np.argmax(cumulative >= target - 1e-10, axis=1) - n) / n)

    low, high = bca_alphas(z0, a, _LEVEL)
    flat = squares < TIE
    bca = tuple(np.where(flat, mean, quantile(q)) for q in (low, high))
    return (quantile(0.025), quantile(0.975)), (bca[0], bca[1])


def _dirichlet_cdf(b: Ints, c: Ints, n: int, d: float) -> Array:
    """P(p_gain - p_loss <= d | data) under a Dirichlet(1, 1, 1, 1) prior on the kinds of pairs.

    p_gain + p_loss = s is Beta(b + c + 2, n - b - c + 2), the share of gains in it
    Beta(b + 1, c + 1); the integral over s is Gauss-Legendre's on its quantiles.
    """
    nodes, weights = np.polynomial.legendre.leggauss(120)
    u, w = (nodes + 1) / 2, weights / 2
    s = stats.beta.ppf(u, (b + c + 2)[:, None], (n - b - c + 2)[:, None])
    share = np.clip((1 + d / s) / 2, 0.0, 1.0)
    return np.asarray(special.betainc((b + 1)[:, None], (c + 1)[:, None], share) @ w)
