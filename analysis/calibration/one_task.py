"""One task, K stimuli, no effect: tests of the best and of the average stimulus.

Tests of the best are one-sided at 5 %, those of the average two-sided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from promptlab.analysis.best import label_permutation
from promptlab.analysis.calibration import naive
from promptlab.analysis.calibration.designs import ACCURACY, NOISY, STABLE, answer, item_chances
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.maxt import max_t
from promptlab.analysis.paired import mcnemar_p
from promptlab.analysis.signflip import sign_flip_p

__all__ = ["DESIGNS", "OneTask", "simulate"]

_PERMUTATIONS = 99
_SIGNS = 499
_CEILING = 0.93


@dataclass(frozen=True, slots=True)
class OneTask:
    """`n` items, `stimuli` prompts besides the original."""

    n: int
    stimuli: int
    accuracy: float
    concentration: float

    @property
    def ceiling(self) -> bool:
        """Whether nearly all answers are right: differences are then skewed."""
        return self.accuracy > 0.9


_KINDS = {
    "mid noisy": (ACCURACY, NOISY),
    "mid stable": (ACCURACY, STABLE),
    "ceiling homogeneous": (_CEILING, math.inf),
}
DESIGNS = {
    f"n={n} K={k} {kind}": OneTask(n, k, *_KINDS[kind])
    for n in (20, 100)
    for k in (10, 11, 21)
    for kind in _KINDS
    if k > 10 or kind == "mid noisy"
}


def simulate(design: OneTask, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add what each procedure said."""
    shape = (simulations, design.n)
    p = item_chances(rng, design.accuracy, design.concentration, shape)
    scores = answer(rng, np.broadcast_to(p[..., None], (*shape, design.stimuli + 1)))
    d = scores[..., 1:] - scores[..., :1]
    # The differences of one item share the original's draw, so joint sign flips are only
    # asymptotically right; at the ceiling they are not, and nothing is claimed.
    joint: Claim = "shown" if design.ceiling else "valid"
    # An item without any difference changes no ranking of (studentised) sums. With it there are
    # more than 20 items, and max_t draws signs instead of going through all 2^20 of them.
    padded = np.concatenate([d, np.zeros((simulations, 1, design.stimuli))], axis=1)
    statistics: tuple[tuple[str, Literal["t", "mean"]], ...] = (
        ("studentised", "t"),
        ("mean", "mean"),
    )
    for name, statistic in statistics:
        found = [
            max_t(one, statistic=statistic, side="upper", n_resamples=_SIGNS, seed=rng)
            for one in padded
        ]
        rejected = [f.single_step.min() <= 0.05 for f in found]
        tally.add(f"max: sign-flip max-T, {name}", "type I", rejected, claim=joint)
    labels: tuple[tuple[str, Literal["max", "mean"]], ...] = (("max", "max"), ("average", "mean"))
    for name, which in labels:
        rejected = [
            label_permutation(one, statistic=which, n_permutations=_PERMUTATIONS, seed=rng).pvalue
            <= 0.05
            for one in scores
        ]
        tally.add(f"{name}: label permutation", "type I", rejected, claim="valid")
    gains, losses = (d > 0).sum(axis=1), (d < 0).sum(axis=1)
    cells = mcnemar_p(gains, losses, alternative="greater").min(axis=1)
    tally.add("max: Bonferroni mid-p", "type I", design.stimuli * cells <= 0.05, claim="valid")
    average = d.mean(axis=2).T
    claim: Claim = "naive" if design.ceiling else "shown"
    tally.add("average: t over items", "type I", naive.t_p(average) <= 0.05, claim=claim)
    pvalues, _ = sign_flip_p(average, seed=rng)
    tally.add("average: sign-flip over items", "type I", pvalues <= 0.05, claim=claim)
