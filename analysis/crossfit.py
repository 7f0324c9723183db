"""The winner, honestly: choose the best stimulus on some items, measure it on the others.

The folds of a split share their choice: where it falls on another stimulus, all of them move. The
spread of the cross-fit differences over tasks (or items) does not see that, and a t test with it
finds a winner among equals in about 10 % of experiments. So the error is a bootstrap over tasks (or
items) that makes every choice anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import as_numbers, check_counts, check_repeats
from promptlab.analysis.arrays import Array, Bools, Ints, Seed, as_vector, product, rng_from
from promptlab.analysis.bootstrap import count_matrix
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import NO_INTERVAL, Result, Scale, number, plural
from promptlab.analysis.several import labels_of
from promptlab.errors import UserError

__all__ = ["CrossFit", "cross_fit"]


@dataclass(frozen=True, kw_only=True, repr=False)
class CrossFit(Result):
    """Value of the procedure `pick the best stimulus`, free of selection bias.

    Attributes:
        se: standard error of the estimate, by bootstrap; the larger of it and the formula's.
        selected: position of the stimulus chosen for each fold of the first split.
        shares: how often each stimulus was chosen, over all folds and splits.
        naive: the largest mean difference on all items (biased upwards).
        naive_best: position of that stimulus.
        average: the average stimulus minus the original.
        n_splits: random splits that were averaged; 1 when folds were given.
        n_resamples: of the bootstrap of the error; 0 = sd / sqrt(n).
    """

    se: float
    selected: tuple[int, ...]
    shares: tuple[float, ...]
    naive: float
    naive_best: int
    average: float
    n_splits: int
    n_resamples: int

    label: ClassVar[str] = "cross-fit gain of the best stimulus"
    scale: ClassVar[Scale] = "points"

    def _counted(self) -> str:
        return plural(self.n, "tasks" if "over tasks" in self.method else "items")

    def _remark(self) -> str:
        gain = number(self.naive, self.scale)
        return f"chosen and measured on the same items, the best would show {gain} points"


def cross_fit(
    original: Any,
    variants: Any,
    *,
    folds: Any = None,
    tasks: Any = None,
    n_folds: int = 5,
    n_splits: int = 20,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: Seed = 0,
) -> CrossFit:
    """Choose on all folds but one, score the chosen stimulus on that one; repeat and average.

    The value is that of choosing on these very tasks: a stimulus that happens to suit them is
    rewarded. Whether a stimulus helps on new tasks is a question for `max_t` over tasks.

    Args:
        original: item scores of the original.
        variants: items x stimuli; ties go to the first stimulus.
        folds: the fold of each item, for one given split; random folds otherwise. The error is
            then sd / sqrt(n), which is too small where stimuli are alike.
        tasks: the task of each item: folds are drawn within tasks, every task counts the same in
            the choice and in the estimate, and tasks are resampled for the error. One task, whose
            items are resampled, if not given.
        n_folds: folds of a random split.
        n_splits: random splits.
        n_resamples: of the bootstrap that makes every choice anew for the error; 0 = sd / sqrt(n).
        level: of the t interval.
        seed: of the splits and the bootstrap.

    Raises:
        UserError: missing scores, lengths that differ, fewer than two folds.

    Examples:
        Ten stimuli that do nothing:

        >>> rng = np.random.default_rng(0)
        >>> original, variants = rng.random(200) < 0.6, rng.random((200, 10)) < 0.6
        >>> cross_fit(original, variants, n_splits=5, seed=0)
        The cross-fit gain of the best stimulus is +9.0 points (95 % interval -4.3 to +22.3) on 200
        items, p = 0.18 (cross-fit winner, 5 splits, t over items, error by 1000 bootstrap
        resamples). Chosen and measured on the same items, the best would show +12.0 points.
    """
    check_repeats(n_splits=n_splits)
    check_counts(n_resamples=n_resamples)
    x = as_vector(original, "original", least=2)
    y = as_numbers(variants, "variants")
    critical_z(level)
    if y.ndim != 2 or y.shape[0] != x.size or y.shape[1] < 1 or not np.isfinite(y).all():
        raise UserError(f"variants must be {x.size} items x stimuli without missing scores")
    d = y - x[:, None]
    rng = rng_from(seed)
    groups = np.zeros(x.size, np.int64)
    if tasks is not None:
        groups = np.unique(labels_of(tasks, x.size, "task"), return_inverse=True)[1].reshape(-1)
    if folds is not None:
        given = labels_of(folds, x.size, "fold")
        splits = [np.unique(given, return_inverse=True)[1].reshape(-1)]
        n_resamples = 0
    else:
        splits = [_random_folds(groups, min(n_folds, x.size), rng) for _ in range(n_splits)]
    weights = 1.0 / np.bincount(groups)[groups]
    totals = np.zeros(x.size)
    chosen: list[int] = []
    for split in splits:
        if int(split.max()) < 1:
            raise UserError("cross-fitting needs at least two folds")
        for fold in range(int(split.max()) + 1):
            inside = split == fold
            best = int(np.argmax(_means(d[~inside], groups[~inside]).round(12)))
            chosen.append(best)
            totals[inside] += d[inside, best]
    units = totals / len(splits)
    if tasks is not None:
        units = np.asarray(np.bincount(groups, weights=units * weights), np.float64)
    n = units.size
    se = float(units.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    if n_resamples and se > 0:
        se = max(se, _resampled_error(d, groups, splits, tasks is not None, n_resamples, rng))
    theta, interval, p = float(units.mean()), NO_INTERVAL, math.nan
    if se > 0:
        half = float(stats.t.isf((1 - level) / 2, n - 1)) * se
        interval, p = (theta - half, theta + half), float(2 * stats.t.sf(abs(theta) / se, n - 1))
    overall = _means(d, groups)
    over = "items" if tasks is None else "tasks"
    error = f", error by {n_resamples} bootstrap resamples" if n_resamples and se > 0 else ""
    return CrossFit(
        estimate=theta,
        interval=interval,
        pvalue=p,
        n=n,
        method=f"cross-fit winner, {plural(len(splits), 'splits')}, t over {over}{error}",
        level=level,
        note="" if se > 0 else "degenerate: zero variance" if n > 1 else "one task: no interval",
        se=se,
        selected=tuple(chosen[: int(splits[0].max()) + 1]),
        shares=tuple(float(v) for v in np.bincount(chosen, minlength=d.shape[1]) / len(chosen)),
        naive=float(overall.max()),
        naive_best=int(np.argmax(overall.round(12))),
        average=float(overall.mean()),
        n_splits=len(splits),
        n_resamples=n_resamples,
    )


def _resampled_error(
    d: Array,
    groups: Ints,
    splits: list[Ints],
    by_task: bool,
    n_resamples: int,
    rng: np.random.Generator,
) -> float:
    """Standard deviation of the estimate over resampled units, every choice made anew."""
    n = int(groups.max()) + 1 if by_task else groups.size
    drawn = count_matrix(n, n_resamples, rng)
    sizes = np.bincount(groups) if by_task else np.ones(n)
    owner = groups if by_task else np.arange(n)

    def sums(use: Bools) -> tuple[Array, Array]:
        count: Array = np.bincount(owner, weights=use, minlength=n).astype(np.float64)
        total = np.zeros((n, d.shape[1]))
        np.add.at(total, owner[use], d[use])
        return total, count

    estimates = np.zeros(n_resamples)
    for split in splits:
        for fold in range(int(split.max()) + 1):
            inside, _ = sums(split == fold)
            outside, count = sums(split != fold)
            if by_task:  # every task counts the same, whatever is left of it
                outside = outside / np.maximum(count, 1)[:, None]
            chosen = product(drawn, outside).round(12).argmax(axis=1)
            gains = product(drawn, inside / sizes[:, None]) / n
            estimates += gains[np.arange(n_resamples), chosen]
    return float(estimates.std(ddof=1)) / len(splits)


def _means(d: Array, groups: Ints) -> Array:
    """Mean over tasks of task means, of each stimulus."""
    counts = np.bincount(groups)
    weights = 1.0 / counts[groups]
    return np.asarray((d * weights[:, None]).sum(axis=0) / np.count_nonzero(counts))


def _random_folds(groups: Ints, n_folds: int, rng: np.random.Generator) -> Ints:
    """Folds of nearly equal size within every task."""
    folds = np.empty(groups.size, np.int64)
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        first = rng.integers(n_folds)
        folds[rng.permutation(members)] = (np.arange(members.size) + first) % n_folds
    return np.unique(folds, return_inverse=True)[1].reshape(-1).astype(np.int64)
