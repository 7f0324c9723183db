"""All task x stimulus cells at once: 264 correlated tests, with and without true effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptlab.analysis.arrays import Array, Bools
from promptlab.analysis.calibration.designs import (
    ACCURACY,
    NOISY,
    answer,
    improve,
    item_chances,
)
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.multiplicity import Adjustment, adjust
from promptlab.analysis.paired import mcnemar_p

__all__ = ["DESIGNS", "Many", "simulate"]

_TASKS, _STIMULI, _ITEMS = 24, 11, 100
_EFFECT = 0.10
_METHODS: tuple[tuple[str, Adjustment, Claim], ...] = (
    ("raw", "none", "naive"),
    ("Holm", "holm", "valid"),
    ("BH", "BH", "valid"),
    ("BY", "BY", "valid"),
)


@dataclass(frozen=True, slots=True)
class Many:
    """24 tasks x 11 stimuli x 100 items; a share of the cells gains ten points."""

    share: float


DESIGNS = {"no effect": Many(0.0), "10 % of cells +10 points": Many(0.1)}


def simulate(design: Many, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add what each correction lets through."""
    for _ in range(simulations):
        true = rng.random((_TASKS, _STIMULI)) < design.share
        p = mcnemar_p(*_counts(true, rng)).ravel()
        for name, method, claim in _METHODS:
            found = adjust(p, method) <= 0.05
            if design.share:
                _effects(tally, name, found, true.ravel(), claim)
            else:
                control: Claim = "control" if method == "none" else claim
                tally.add(f"{name}, any cell", "type I", found.any(), claim=control)


def _counts(true: Bools, rng: np.random.Generator) -> tuple[Array, Array]:
    """Gains and losses of every cell."""
    p = item_chances(rng, ACCURACY, NOISY, (_TASKS, _ITEMS))
    original = answer(rng, p)[..., None]
    effect = np.where(true, _EFFECT, 0.0)[:, None, :]
    d = answer(rng, improve(p[..., None], ACCURACY, effect)) - original
    return (d > 0).sum(axis=1), (d < 0).sum(axis=1)


def _effects(tally: Tally, name: str, found: Bools, true: Bools, claim: Claim) -> None:
    false = int((found & ~true).sum())
    tally.add(name, "false discovery rate", false / max(int(found.sum()), 1), claim=claim)
    power = found[true].mean() if true.any() else np.nan
    tally.add(name, "power", power)
