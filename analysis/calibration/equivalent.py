"""Equivalence of two prompts on one task: error at the margin, and power at no difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptlab.analysis.calibration.tally import Tally
from promptlab.analysis.equivalence import tost_t_p, tost_tango_p

__all__ = ["DESIGNS", "Equivalent", "simulate"]

_DISCORDANCE = 0.15
_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Equivalent:
    """`n` pairs of which 15 % differ, and a true difference in score units."""

    n: int
    difference: float


DESIGNS = {
    "n=100 at the margin": Equivalent(100, _MARGIN),
    **{f"n={n} no difference": Equivalent(n, 0.0) for n in (100, 400, 1000)},
}


def simulate(design: Equivalent, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add how often equivalence is claimed."""
    gain = (_DISCORDANCE + design.difference) / 2
    drawn = rng.multinomial(design.n, [gain, _DISCORDANCE - gain, 1 - _DISCORDANCE], simulations)
    gains, losses = drawn[:, 0], drawn[:, 1]
    mean = (gains - losses) / design.n
    se = np.sqrt(((gains + losses) / design.n - mean**2) / (design.n - 1))
    for name, p in (
        ("TOST by Tango's score", tost_tango_p(gains, losses, design.n, _MARGIN)),
        ("TOST by t", tost_t_p(mean, se, design.n - 1, _MARGIN)),
    ):
        if design.difference:
            tally.add(name, "type I", p <= 0.05, claim="valid")
        else:
            tally.add(name, "power", p <= 0.05)
