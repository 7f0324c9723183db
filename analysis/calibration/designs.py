"""Simulated answers: right or wrong, item by item, under as many prompts as a design has.

An item is answered rightly with probability p_i ~ Beta(mu c, (1 - mu) c), independently under every
prompt given the item. The larger c, the more often an answer changes from prompt to prompt.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.errors import UserError

__all__ = [
    "ACCURACY",
    "NOISY",
    "STABLE",
    "TASK_ACCURACIES",
    "answer",
    "concentration_of",
    "discordance_of",
    "improve",
    "item_chances",
    "shift_logit",
]

NOISY = 3.0
"""Answers as at a temperature above 0: two prompts disagree about .37 of the items."""
STABLE = 0.5
"""Answers that mostly stay: two prompts disagree about .165 of the items."""
ACCURACY = 0.55
"""Of one task; with it the two models disagree about .371 and .165 of the items."""
TASK_ACCURACIES = np.linspace(0.3, 0.85, 24)
"""Of 24 tasks, easy and hard ones. The reference does not state its own; these were chosen because
they give its gains in points and in per cent together."""


def discordance_of(accuracy: float, concentration: float) -> float:
    """Expected share of items whose answers differ under two prompts that do not differ."""
    return 2 * accuracy * (1 - accuracy) * concentration / (concentration + 1)


def concentration_of(accuracy: float, discordance: float) -> float:
    """The c of the answer model with that accuracy and discordance.

    Raises:
        UserError: the accuracy allows no such discordance.
    """
    if not 0 < accuracy < 1:
        raise UserError(f"the accuracy must lie between 0 and 1, not {accuracy}")
    most = 2 * accuracy * (1 - accuracy)
    if not 0 < discordance < most:
        raise UserError(
            f"with an accuracy of {accuracy:g} two prompts without any effect disagree about more "
            f"than 0 and less than {most:.3g} of the items; {discordance:g} is not possible"
        )
    share = discordance / most
    return share / (1 - share)


def item_chances(
    rng: np.random.Generator, accuracy: Any, concentration: float, shape: tuple[int, ...]
) -> Array:
    """Probability of a right answer for every item.

    Args:
        rng: source of randomness.
        accuracy: mean of the items, broadcast to `shape`.
        concentration: c of the Beta distribution; infinity makes all items alike.
        shape: of the result; items on the last axis.
    """
    mean = np.broadcast_to(np.asarray(accuracy, np.float64), shape)
    if math.isinf(concentration):
        return np.array(mean)
    return rng.beta(mean * concentration, (1 - mean) * concentration)


def answer(rng: np.random.Generator, chances: Array) -> Array:
    """Right (1) or wrong (0), each independently."""
    return (rng.random(chances.shape) < chances).astype(np.float64)


def improve(chances: Array, accuracy: Any, effect: Any) -> Array:
    """Chances after a true effect on the mean accuracy, in score units.

    A gain turns a share of the wrong answers of every item into right ones, a loss a share of the
    right ones into wrong ones. Effects beyond 0 or 1 are cut to what is possible.
    """
    mean = np.asarray(accuracy, np.float64)
    d = np.asarray(effect, np.float64)
    up = np.clip(d / (1 - mean), 0.0, 1.0)
    down = np.clip(-d / mean, 0.0, 1.0)
    return np.asarray((chances + up * (1 - chances)) * (1 - down))


def shift_logit(chances: Array, shift: Any) -> Array:
    """Chances after a shift of their log odds."""
    p = np.clip(chances, 1e-12, 1 - 1e-12)
    return np.asarray(1 / (1 + (1 - p) / p * np.exp(-np.asarray(shift))))
