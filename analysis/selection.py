"""The winner, told honestly: what was picked, what picking alone gives, and what is left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from promptlab.analysis.arguments import check_repeats
from promptlab.analysis.arrays import Array, as_vector
from promptlab.analysis.best import label_permutation
from promptlab.analysis.crossfit import cross_fit
from promptlab.analysis.maxt import max_t
from promptlab.analysis.results import Result, Scale, number, plural
from promptlab.analysis.several import labels_of
from promptlab.analysis.simultaneous import simultaneous_bounds
from promptlab.errors import UserError

__all__ = ["Winner", "winner"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Winner(Result):
    """The best of several stimuli; estimate and interval are cross-fit, free of selection.

    Attributes:
        best: position of the stimulus with the largest mean difference.
        name: its name.
        naive: its mean difference, biased upwards by the choice.
        null_mean: what the largest difference is on average if no prompt differs from another.
        null_upper: its 95th percentile then.
        shrunken: naive - null_mean, a conservative correction.
        lower: simultaneous lower bound of this stimulus' own difference; NaN if there are too few
            units.
        p_all_equal: label permutation of `all prompts are equivalent`.
        shares: how often cross-fitting chose each stimulus.
        average: mean difference of the average stimulus.
        n_stimuli: that competed.
    """

    best: int
    name: str
    naive: float
    null_mean: float
    null_upper: float
    shrunken: float
    lower: float
    p_all_equal: float
    shares: tuple[float, ...]
    average: float
    n_stimuli: int

    label: ClassVar[str] = "cross-fit gain of the best stimulus"
    scale: ClassVar[Scale] = "points"

    def _counted(self) -> str:
        return plural(self.n, "tasks" if "over tasks" in self.method else "items")

    def _remark(self) -> str:
        naive, null, lower = (
            number(v, self.scale) for v in (self.naive, self.null_mean, self.lower)
        )
        bound = "" if math.isnan(self.lower) else f"; its own simultaneous lower bound is {lower}"
        return (
            f"the largest gain is that of '{self.name}', {naive} points; without any effect the "
            f"largest of {self.n_stimuli} would be {null} on average{bound}"
        )


def winner(
    original: Any,
    variants: Any,
    *,
    tasks: Any = None,
    names: Sequence[str] | None = None,
    n_folds: int = 5,
    n_splits: int = 20,
    n_permutations: int = 2000,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Winner:
    """The stimulus with the best mean, with everything that its naive value hides.

    - naive maximum, and its expectation under label permutation within items (`label_permutation`);
    - cross-fit value of `pick the best`, with a t interval (`cross_fit`): the estimate;
    - p value of `some stimulus helps`: one-sided max-T over tasks (`max_t`); over the items of one
      task, where max-T holds its level only roughly, that of the label permutation;
    - simultaneous lower bound of the winner (`simultaneous_bounds`).

    Args:
        original: item scores of the original.
        variants: items x stimuli.
        tasks: the task of each item; every task counts the same. One task if not given.
        names: of the stimuli; the columns of a DataFrame, or `0`, `1`, ... if not given.
        n_folds: of cross-fitting.
        n_splits: random splits that are averaged.
        n_permutations: of the labels.
        n_resamples: of max-T and of the bootstrap.
        level: of the interval and the bound.
        seed: of all random steps.

    Raises:
        UserError: missing scores, or lengths that differ.
    """
    check_repeats(n_permutations=n_permutations, n_resamples=n_resamples)
    fit = cross_fit(
        original,
        variants,
        tasks=tasks,
        n_folds=n_folds,
        n_splits=n_splits,
        level=level,
        seed=seed,
    )
    x, y = as_vector(original, "original"), np.asarray(variants, dtype=np.float64)
    titles = _names(variants, names, y.shape[1])
    d, weights = _units(y - x[:, None], tasks)
    # The mean of rows weighted by n w is the mean over tasks: one `task` for the permutation.
    scaled = np.column_stack([x, y]) * (weights * x.size)[:, None]
    equal = label_permutation(scaled, n_permutations=n_permutations, seed=seed)
    p, method = equal.pvalue, "label permutation within items"
    if tasks is not None and d.shape[0] > 1:
        test = max_t(d, side="upper", n_resamples=n_resamples, seed=seed)
        p, method = float(test.single_step.min()), "max-T over tasks"
    lower, note = math.nan, fit.note
    if d.shape[0] > 2:
        bounds = simultaneous_bounds(d, level=level, n_resamples=n_resamples, seed=seed)
        lower = float(bounds.interval[0][fit.naive_best])
        note = "; ".join(text for text in (note, bounds.note) if text)
    else:
        note = "; ".join(text for text in (note, "too few units for a bound") if text)
    return Winner(
        estimate=fit.estimate,
        interval=fit.interval,
        pvalue=p,
        n=fit.n,
        method=f"{fit.method}; p by {method}, one-sided",
        level=level,
        note=note,
        best=fit.naive_best,
        name=titles[fit.naive_best],
        naive=fit.naive,
        null_mean=equal.null_mean,
        null_upper=equal.null_upper,
        shrunken=fit.naive - equal.null_mean,
        lower=lower,
        p_all_equal=equal.pvalue,
        shares=fit.shares,
        average=fit.average,
        n_stimuli=y.shape[1],
    )


def _names(variants: Any, names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    given = names if names is not None else getattr(variants, "columns", range(count))
    titles = tuple(str(name) for name in given)
    if len(titles) != count:
        raise UserError(f"{count} stimuli but {len(titles)} names")
    return titles


def _units(d: Array, tasks: Any) -> tuple[Array, Array]:
    """Units x stimuli (task means, or the items themselves), and the weight of each item."""
    n = d.shape[0]
    if tasks is None:
        return d, np.full(n, 1 / n)
    group = np.unique(labels_of(tasks, n, "task"), return_inverse=True)[1].reshape(-1)
    size = np.bincount(group)
    means = np.zeros((size.size, d.shape[1]))
    np.add.at(means, group, d)
    return means / size[:, None], 1 / (size[group] * size.size)
