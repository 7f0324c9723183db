"""Repeated answers to the same prompt: item means hold, replicates counted as items do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptlab.analysis.calibration import naive
from promptlab.analysis.calibration.designs import (
    ACCURACY,
    NOISY,
    answer,
    item_chances,
    shift_logit,
)
from promptlab.analysis.calibration.tally import Tally

__all__ = ["DESIGNS", "Repeated", "simulate"]

_ITEMS = 100
_SPREAD = 0.5
"""Standard deviation, in log odds, of what a prompt does to a single item: it is 0 on average."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """100 items, each asked so many times under both prompts."""

    replicates: int


DESIGNS = {f"R={r}": Repeated(r) for r in (5, 20)}


def simulate(design: Repeated, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add what each procedure said."""
    p = item_chances(rng, ACCURACY, NOISY, (_ITEMS, simulations))
    shape = (design.replicates, _ITEMS, simulations)
    first, second = (
        answer(
            rng,
            np.broadcast_to(shift_logit(p, rng.normal(0.0, _SPREAD, p.shape)), shape),
        )
        for _ in range(2)
    )
    d = second - first
    tally.add("t of item means", "type I", naive.t_p(d.mean(axis=0)) <= 0.05, claim="valid")
    rows = d.reshape(-1, simulations)
    tally.add("t of replicates as items", "type I", naive.t_p(rows) <= 0.05, claim="naive")
