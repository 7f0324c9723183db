"""When a stimulus leaves a race: the rules, on arrays, for one race or thousands at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_counts, check_numbers
from promptlab.analysis.arrays import Array, Bools, Ints
from promptlab.analysis.confidence_sequences import Bets, Side, plan_bets
from promptlab.errors import UnknownName, UserError

__all__ = ["GOALS", "LEFT", "Evidence", "Goal", "RaceRules", "judge"]

Goal = Literal["both", "best", "differ"]
GOALS: tuple[Goal, ...] = ("both", "best", "differ")

LEFT = ("", "better", "worse", "equivalent", "not best", "futile", "best")
"""Why a stimulus left, by the code of `judge`; 0 = it is still running."""

_BETTER, _WORSE, _EQUIVALENT, _NOT_BEST, _FUTILE, _BEST = range(1, 7)


@dataclass(frozen=True, slots=True)
class RaceRules:
    """What is asked, and how much error is allowed.

    Attributes:
        stimuli: how many are compared; they share alpha equally.
        planned: items of the full design.
        goal: `differ`: a stimulus runs until its difference from the original is decided. `best`:
            until it can no longer be the best. `both`: as `differ`, but one that is shown to be
            better runs on while it may be the best.
        alpha: probability that any stimulus is wrongly called better or worse; likewise wrongly
            called equivalent; likewise that the truly best one is called not the best.
        margin: differences inside plus or minus this are called equivalent.
        futility: a stimulus leaves when the probability that its difference will be decided at the
            end has fallen below this; 0 never does so. It costs power and no error.
    """

    stimuli: int
    planned: int
    goal: Goal = "both"
    alpha: float = 0.05
    margin: float = 0.02
    futility: float = 0.05

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise UnknownName("goal", str(self.goal), GOALS, f"known: {', '.join(GOALS)}")
        check_counts(stimuli=self.stimuli, planned=self.planned)
        check_numbers(alpha=self.alpha, margin=self.margin, futility=self.futility)
        if self.stimuli < 1 or self.planned < 1:
            raise UserError("a race needs at least one stimulus and one planned item")
        if self.goal == "best" and self.stimuli < 2:
            raise UserError("one stimulus alone is the best; race it with goal 'differ'")
        if not 0 < self.alpha < 0.5:
            raise UserError(f"alpha must lie between 0 and 0.5, not {self.alpha}")
        if not 0 < self.margin < 1:
            raise UserError(f"margin must lie between 0 and 1 (0.02 = 2 points), not {self.margin}")
        if not 0 <= self.futility < 1:
            raise UserError(f"futility is a probability, from 0 to below 1, not {self.futility}")

    @property
    def error(self) -> float:
        """Of one side of one stimulus' interval (Bonferroni)."""
        return self.alpha / (2 * self.stimuli)

    @property
    def need(self) -> float:
        """Log wealth that shows a stimulus better (or worse) than the original."""
        return math.log(1 / self.error)

    @property
    def need_equivalent(self) -> float:
        """Log wealth against each end of the margin that shows equivalence."""
        return math.log(self.stimuli / self.alpha)

    @property
    def need_beaten(self) -> float:
        """Log wealth of one stimulus against another that shows the latter not to be the best."""
        return math.log(max(self.stimuli - 1, 1) / self.alpha)

    @property
    def nulls(self) -> tuple[tuple[float, Side], ...]:
        """What is bet against for each stimulus: the mean, and on which side of it."""
        m = self.margin
        return ((0.0, "above"), (0.0, "below"), (-m, "above"), (m, "below"))

    def detectable(self, second_moment: float, *, power: float = 0.8) -> float:
        """The true difference that is found in the end with this power, approximately.

        Args:
            second_moment: mean squared difference of an item: the share of items that differ,
                for right or wrong answers.
            power: the probability of finding it, without leaving as futile before.
        """
        bets, n = self.bets(), self.planned
        needed = (self.need - np.log(bets.shares)) / (bets.stakes * n)
        least = float((needed + bets.stakes * second_moment / 2).min())
        return least + float(stats.norm.ppf(power)) * math.sqrt(second_moment / n)

    def bets(self) -> Bets:
        """Stakes of all comparisons."""
        return plan_bets(self.planned, error=self.error)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known after a block; arrays are ... x stimuli, those of bettors ... x stimuli x bets.

    Attributes:
        largest: log wealth at its largest so far, 4 x ... x stimuli, of who bets that the
            difference is above 0, below 0, above minus the margin, and below the margin (`nulls`).
        beaten: that some other stimulus is better than this one.
        each: log growth of each bettor now, for the same four.
        n: items compared.
        estimate: difference from the original.
        second_moment: mean squared difference of an item.
    """

    largest: Array
    beaten: Array
    each: Sequence[Array]
    n: Array
    estimate: Array
    second_moment: Array


def judge(rules: RaceRules, bets: Bets, evidence: Evidence, running: Bools, planned: Array) -> Ints:
    """Which stimuli leave now, and why.

    Args:
        rules: of the race.
        bets: as `RaceRules.bets` gives them.
        evidence: after this block.
        running: which stimuli were asked in it.
        planned: items of each stimulus in the full design.

    Returns:
        Codes into `LEFT`; 0 for those that go on, and for those that had left before.
    """
    above, below, low, high = evidence.largest
    better, worse = above >= rules.need, below >= rules.need
    equivalent = np.minimum(low, high) >= rules.need_equivalent
    out = np.zeros(running.shape, np.int64)
    if rules.futility and rules.goal != "best":
        futile = _chance(rules, bets, evidence, planned) < rules.futility
        out[futile & ~better & ~worse & (evidence.n > 0)] = _FUTILE
    if rules.goal != "best":
        out[equivalent] = _EQUIVALENT
    if rules.goal == "differ":
        out[better] = _BETTER
    else:
        beaten = evidence.beaten >= rules.need_beaten
        out[beaten if rules.goal == "best" else beaten & better] = _NOT_BEST
    out[worse] = _WORSE
    out[~running] = 0
    if rules.goal != "differ":
        on = running & (out == 0)
        last = on & (on.sum(axis=-1, keepdims=True) == 1)
        # Nobody is left who could be better than this one.
        out[last if rules.goal == "best" else last & better] = _BEST
    return out


def _chance(rules: RaceRules, bets: Bets, evidence: Evidence, planned: Array) -> Array:
    """Probability that the difference will be decided when all items have been asked.

    Predictive, with a flat prior on the difference: the mean of the r items that are left is
    normal around the estimate with variance s^2 (1/n + 1/r). A bettor with stake s gains about
    s x - s^2 q / 2 an item, x the mean and q the second moment of what is left.
    """
    left = np.maximum(planned - evidence.n, 0.0)
    some = np.maximum(left, 1.0)
    q = evidence.second_moment
    center = np.where(evidence.n > 0, evidence.estimate, 0.0)
    variance = np.maximum(q - center**2, q / 4)
    scale = np.sqrt(variance * (1 / np.maximum(evidence.n, 1.0) + 1 / some))

    def needed(each: Array, need: float) -> Array:
        lacking = (need - np.log(bets.shares) - each) / (bets.stakes * some[..., None])
        return np.asarray((lacking + bets.stakes * q[..., None] / 2).min(axis=-1))

    above, below, low, high = evidence.each
    up = stats.norm.sf((needed(above, rules.need) - center) / scale)
    down = stats.norm.sf((needed(below, rules.need) + center) / scale)
    floor = needed(low, rules.need_equivalent) - rules.margin
    ceiling = rules.margin - needed(high, rules.need_equivalent)
    inside = stats.norm.cdf((ceiling - center) / scale) - stats.norm.cdf((floor - center) / scale)
    return np.where(left > 0, up + down + np.maximum(inside, 0.0), 0.0)
