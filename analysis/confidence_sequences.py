"""Intervals and tests that stay valid however often one looks, for paired differences of scores.

A bettor who starts with 1 and stakes a share of it on every item cannot get rich while the
hypothesis is true: wealth is a non-negative supermartingale, so it ever reaches 1/alpha with
probability at most alpha (Ville 1939). What the bettor got rich against is rejected, at any time
(Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 86, 2024,
section 4). Nothing is asymptotic: it holds for five items, and next to the ceiling.

Tasks are fixed and count the same. Items are independent draws from their tasks, whose means may
differ. If a round has one item of each of T tasks and the mean of the tasks' differences is at
most m, the expected product of 1 + s (d_t - m) is at most (1 + s (Delta - m))^T <= 1, because a
geometric mean is no larger than the arithmetic one. A task with fewer items in a block has a
larger stake on each of them, so that every task has the same stake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq

from promptlab.analysis.arguments import check_level, check_repeats
from promptlab.analysis.arrays import Array, Ints, paired
from promptlab.analysis.results import NO_INTERVAL, Difference, plural
from promptlab.errors import UserError

__all__ = [
    "Bets",
    "ConfidenceSequence",
    "Side",
    "Wealth",
    "blocks_of",
    "confidence_sequence",
    "growth",
    "plan_bets",
]

Side = Literal["above", "below"]
"""`above` bets that the mean is larger than the hypothesis."""

_MOST = 0.97
"""Largest stake: a bettor who stakes everything is out after one loss."""
_FIRST, _RATIO, _DECAY = 0.9, 2.0, 0.4
_DISCORDANCE = 0.25
"""Share of items that differ, on which the stakes are planned; any other is as valid."""


@dataclass(frozen=True, slots=True)
class Bets:
    """Stakes of several bettors and their shares of the first wealth.

    Attributes:
        stakes: shares of the wealth put on each item, between 0 and 1.
        shares: what each bettor starts with; they sum to 1.
    """

    stakes: Array
    shares: Array

    def log_wealth(self, each: Array) -> Array:
        """Log of all bettors' wealth together, from the log growth of each (last axis)."""
        logs = each + np.log(self.shares)
        top = logs.max(axis=-1, keepdims=True)
        return np.asarray(top[..., 0] + np.log(np.exp(logs - top).sum(axis=-1)))


def plan_bets(planned: int, *, error: float) -> Bets:
    """Stakes that do well around the end of an experiment, and for larger effects before.

    The stake that is best for an effect which is just found at the end is
    sqrt(2 log(1 / error) / (n v)), v the variance of a difference; the bettors take a little
    less and multiples from there (a mixture: Robbins 1970). Any stakes are valid.

    Args:
        planned: items that there will be in the end.
        error: the probability at which a bettor's hypothesis is rejected.
    """
    best = math.sqrt(2 * math.log(1 / error) / (max(planned, 1) * _DISCORDANCE))
    stakes = [min(_FIRST * best, _MOST)]
    while stakes[-1] * _RATIO < _MOST:
        stakes.append(stakes[-1] * _RATIO)
    if stakes[-1] < _MOST:
        stakes.append(_MOST)
    shares = _DECAY ** np.arange(len(stakes))
    return Bets(np.array(stakes), shares / shares.sum())


def growth(
    differences: Any, counts: Any, bets: Bets, *, null: float, side: Side, tilt: Any = 1.0
) -> Array:
    """Log growth of each bettor's wealth.

    Args:
        differences: the values v that items can have, in [-1, 1].
        counts: ... x v, how many items have them.
        bets: the bettors.
        null: the mean that they bet against.
        side: which way they bet.
        tilt: of each value, its stake over the mean stake.

    Returns:
        ... x bettors.
    """
    sign = 1.0 if side == "above" else -1.0
    room = 1.0 + max(sign * null, 0.0)
    tilt = np.broadcast_to(np.asarray(tilt, np.float64), np.shape(differences))
    most = _MOST / (room * max(float(tilt.max(initial=1.0)), 1.0))
    stakes = np.minimum(bets.stakes, most)
    gain = sign * (np.asarray(differences, np.float64) - null) * tilt
    return np.asarray(np.asarray(counts, np.float64) @ np.log1p(np.outer(gain, stakes)))


def blocks_of(sizes: Sequence[int], block: int) -> list[Ints]:
    """The block of every task's items, in their order.

    The largest task gives `block` items to each; every task is spread evenly over as many blocks,
    and has an item in each, so a task with few items makes the blocks larger.

    Args:
        sizes: items of each task.
        block: items of the largest task in a block.
    """
    if block < 1 or not sizes or min(sizes) < 1:
        raise UserError("a block has at least one item, and so has a task")
    blocks = max(1, min(-(-max(sizes) // block), min(sizes)))
    return [np.asarray(np.arange(n) * blocks // n, np.int64) for n in sizes]


_Round = tuple[Array, Array, Array]
"""Differences, their tilt, and how many items have them."""


class Wealth:
    """The bettors of one comparison, fed block by block.

    Args:
        bets: their stakes.
        tasks: the tasks that the mean is over. Items wait until there is one of every task.
    """

    def __init__(self, bets: Bets, tasks: Any) -> None:
        self.bets = bets
        self._tasks = np.unique(np.asarray(tasks, object).astype(str))
        self._waiting: list[tuple[Array, Ints]] = []
        self._rounds: list[_Round] = []
        self._together: dict[float, _Round] = {}
        """All rounds of one largest tilt as one: what is bet on them has the same limit."""
        self._sums, self._counts = np.zeros(self._tasks.size), np.zeros(self._tasks.size)
        self._squares = 0.0
        self._kept: dict[tuple[float, Side], tuple[int, Array]] = {}

    @property
    def n(self) -> int:
        """Items that have been bet on."""
        return int(self._counts.sum())

    @property
    def waiting(self) -> int:
        """Items that wait for one of another task."""
        return sum(d.size for d, _ in self._waiting)

    @property
    def estimate(self) -> float:
        """Mean over tasks of the mean difference; NaN before the first block."""
        return float((self._sums / self._counts).mean()) if self.n else math.nan

    @property
    def second_moment(self) -> float:
        """Mean squared stake-weighted difference, with one item that differs added."""
        return (self._squares + 1.0) / (self.n + 1.0)

    @property
    def variance(self) -> float:
        """Squared standard error of the estimate, from the second moment."""
        spread = max(self.second_moment - self.estimate**2, self.second_moment / 4)
        return spread / self.n if self.n else math.nan

    def add(self, differences: Array, tasks: Any) -> None:
        """Bet on a block; missing differences (NaN) are left out."""
        there = np.isfinite(differences)
        codes = np.searchsorted(self._tasks, np.asarray(tasks, object).astype(str))
        codes = codes.astype(np.int64)
        self._waiting.append((differences[there], codes[there]))
        d = np.concatenate([d for d, _ in self._waiting])
        of = np.concatenate([t for _, t in self._waiting])
        counts = np.bincount(of, minlength=self._tasks.size)
        if not counts.all():
            return
        self._waiting.clear()
        tilt = d.size / (self._tasks.size * counts[of])
        played = _counted(d, tilt, np.ones(d.size))
        self._rounds.append(played)
        most = float(tilt.max())
        before = self._together.get(most)
        if before is not None:
            played = _counted(*(np.concatenate(p) for p in zip(before, played, strict=True)))
        self._together[most] = played
        self._sums += np.bincount(of, weights=d, minlength=self._tasks.size)
        self._counts += counts
        self._squares += float(((d * tilt) ** 2).sum())

    def each(self, null: float, side: Side) -> Array:
        """Log growth of each bettor who bets against a mean, over all blocks so far."""
        done, total = self._kept.get((null, side), (0, np.zeros(self.bets.stakes.size)))
        for values, tilt, times in self._rounds[done:]:
            total = total + growth(values, times, self.bets, null=null, side=side, tilt=tilt)
        self._kept[null, side] = (len(self._rounds), total)
        return total

    def log_wealth(self, null: float, side: Side) -> float:
        """Log of the wealth of all who bet against a mean: a log e-value."""
        return float(self.bets.log_wealth(self.each(null, side)))

    def bound(self, side: Side, error: float, outer: float) -> float:
        """One end of the interval: the hypotheses beyond it are rejected.

        Args:
            side: `above` gives the lower end.
            error: probability of missing the mean on this side, over all times.
            outer: the end so far, beyond which the new one cannot lie.
        """
        need = math.log(1 / error)

        def over(null: float) -> float:
            total = np.zeros(self.bets.stakes.size)
            for values, tilt, times in self._together.values():
                total = total + growth(values, times, self.bets, null=null, side=side, tilt=tilt)
            return float(self.bets.log_wealth(total)) - need

        inner = self.estimate
        inside = (inner > outer) if side == "above" else (inner < outer)
        if not self.n or not inside or over(outer) <= 0:
            return outer
        return float(brentq(over, outer, inner, xtol=1e-7))


def _counted(values: Array, tilt: Array, times: Array) -> _Round:
    """Equal items counted together."""
    key = values + 4.0 * np.round(tilt, 9) if tilt.size else values  # values lie in [-1, 1]
    _, first, where = np.unique(key, return_index=True, return_inverse=True)
    counts = np.bincount(where.reshape(-1), weights=times).astype(np.float64)
    return values[first], tilt[first], counts


@dataclass(frozen=True, kw_only=True, repr=False)
class ConfidenceSequence(Difference):
    """A mean difference whose interval and p value hold at every look.

    Attributes:
        e_value: the evidence against no difference after the last look: the mean wealth of the two
            sides. 1 is none; under no difference it reaches 20 with probability 0.05 at most.
        lowers: lower end after every block.
        uppers: upper end after every block.
        waiting: items not used, because a task had no item in the last block.
    """

    e_value: float
    lowers: tuple[float, ...]
    uppers: tuple[float, ...]
    waiting: int = 0


def confidence_sequence(
    original: Any,
    variant: Any,
    *,
    tasks: Any = None,
    blocks: Any = None,
    planned: int | None = None,
    level: float = 0.95,
) -> ConfidenceSequence:
    """The interval of a paired difference that may be looked at after every block.

    Args:
        original: item scores in [0, 1].
        variant: scores of the same items in the same order.
        tasks: the task of each item; each counts the same. One task unless given.
        blocks: the block of each item, 0, 1, ...: it is looked at after each. All at once unless
            given.
        planned: items that were planned; the stakes are chosen for it.
        level: probability that the interval holds the mean at all looks together.

    Returns:
        The result after the last block; `.lowers` and `.uppers` have all looks. The interval is
        the intersection of those of all looks, so it never grows.

    Raises:
        UserError: missing scores, scores outside [0, 1], or lengths that differ.
    """
    check_level(level)
    if planned is not None:
        check_repeats(planned=planned)
    x, y = paired(original, variant)
    if min(x.min(), y.min()) < 0 or max(x.max(), y.max()) > 1:
        raise UserError("a confidence sequence by betting needs scores in [0, 1]")
    of = np.zeros(x.size, np.int64) if tasks is None else np.asarray(tasks)
    when = np.zeros(x.size, np.int64) if blocks is None else np.asarray(blocks)
    if of.shape != x.shape or when.shape != x.shape:
        raise UserError("tasks and blocks must name one task and one block for each item")
    error = (1 - level) / 2
    wealth = Wealth(plan_bets(planned or x.size, error=error), of)
    best, now, lowers, uppers = 0.0, np.zeros(2), [-1.0], [1.0]
    for block in np.unique(when):
        members = when == block
        wealth.add((y - x)[members], of[members])
        now = np.array([wealth.log_wealth(0.0, "above"), wealth.log_wealth(0.0, "below")])
        best = max(best, float(now.max()))
        lowers.append(wealth.bound("above", error, lowers[-1]))
        uppers.append(wealth.bound("below", error, uppers[-1]))
    return ConfidenceSequence(
        estimate=wealth.estimate,
        interval=(lowers[-1], uppers[-1]) if wealth.n else NO_INTERVAL,
        pvalue=min(1.0, 2 * math.exp(-best)) if wealth.n else math.nan,
        n=wealth.n,
        method=f"confidence sequence by betting, {plural(len(lowers) - 1, 'looks')}",
        level=level,
        note="" if wealth.n else "undefined: a task has no item",
        e_value=float(np.exp(now).mean()),
        lowers=tuple(lowers[1:]),
        uppers=tuple(uppers[1:]),
        waiting=wealth.waiting,
    )
