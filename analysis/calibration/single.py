"""One comparison of two prompts on one task: type-I error, coverage and power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.bootstrap import count_matrix
from promptlab.analysis.calibration import naive
from promptlab.analysis.calibration.designs import (
    ACCURACY,
    NOISY,
    STABLE,
    answer,
    improve,
    item_chances,
)
from promptlab.analysis.calibration.tally import Tally
from promptlab.analysis.intervals import tango_limits
from promptlab.analysis.paired import mcnemar_p

__all__ = ["DESIGNS", "Comparison", "simulate"]

_RESAMPLES = 1000
_SHARED = 50
"""Experiments that share one count matrix of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two prompts, `n` items, a true difference in score units."""

    n: int
    concentration: float
    effect: float = 0.0


DESIGNS = {
    "n=20 noisy": Comparison(20, NOISY),
    "n=20 stable": Comparison(20, STABLE),
    "n=100 noisy": Comparison(100, NOISY),
    "n=100 stable": Comparison(100, STABLE),
} | {
    f"n={n} {kind} +{points}": Comparison(n, c, points / 100)
    for n in (100, 300)
    for kind, c in (("noisy", NOISY), ("stable", STABLE))
    for points in (5, 10)
}


def simulate(design: Comparison, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add what each procedure said."""
    p = item_chances(rng, ACCURACY, design.concentration, (design.n, simulations))
    original = answer(rng, p)
    variant = answer(rng, improve(p, ACCURACY, design.effect))
    d = variant - original
    gains, losses = (d > 0).sum(axis=0), (d < 0).sum(axis=0)
    midp = mcnemar_p(gains, losses) <= 0.05
    unpaired = naive.unpaired_z_p(original.mean(axis=0), variant.mean(axis=0), design.n) <= 0.05
    if design.effect:
        tally.add("McNemar mid-p", "power", midp)
        tally.add("unpaired z", "power", unpaired, claim="naive")
    else:
        exact = mcnemar_p(gains, losses, variant="exact") <= 0.05
        tally.add("McNemar exact", "type I", exact, claim="valid")
        tally.add("McNemar mid-p", "type I", midp, claim="valid")
        for name, corrected in (("chi2", False), ("chi2 corrected", True)):
            p_chi2 = naive.chi2_p(gains, losses, corrected=corrected)
            tally.add(name, "type I", p_chi2 <= 0.05)
        tally.add("paired t", "type I", naive.t_p(d) <= 0.05)
        tally.add("unpaired z", "type I", unpaired, claim="naive")
        _bootstraps(d[:, : max(1, simulations // 10)], rng, tally)
    low, high = tango_limits(gains, losses, np.full(simulations, design.n))
    covered = (low <= design.effect) & (high >= design.effect)
    tally.add("Tango", "coverage", covered, claim="valid")


def _bootstraps(d: Array, rng: np.random.Generator, tally: Tally) -> None:
    """A tenth of the experiments: these cost more."""
    for start in range(0, d.shape[1], _SHARED):
        counts = count_matrix(d.shape[0], _RESAMPLES, rng)
        found = naive.bootstrap_rejections(d[:, start : start + _SHARED], counts)
        for name, rejected in found.items():
            tally.add(name, "type I", rejected)
