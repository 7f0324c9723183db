"""How much of the variation is between items, how much between replicates of one item."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from promptlab.analysis.arrays import as_vector
from promptlab.analysis.results import Result
from promptlab.analysis.several import labels_of
from promptlab.errors import UserError

__all__ = ["VarianceComponents", "variance_components"]


@dataclass(frozen=True, kw_only=True, repr=False)
class VarianceComponents(Result):
    """One-way random-effects analysis of variance; the estimate is the mean of the item means.

    Attributes:
        grand_mean: mean of all rows.
        ms_between: mean square between items.
        ms_within: mean square within items.
        n0: effective replicates an item.
        var_between: variance between items, truncated at 0.
        var_within: variance between replicates of an item.
        icc1: share of a single score's variance that is between items.
        se: standard error of the mean of item means.
    """

    grand_mean: float
    ms_between: float
    ms_within: float
    n0: float
    var_between: float
    var_within: float
    icc1: float
    se: float

    label: ClassVar[str] = "mean of item means"

    def _remark(self) -> str:
        total = self.var_between + self.var_within
        if not total > 0:
            return "the scores do not vary"
        return (
            f"{100 * self.var_between / total:.0f} % of the variance of a single score is between "
            "items, the rest between replicates of an item"
        )

    def standard_error(self, n_items: int, replicates: int) -> float:
        """Standard error of a mean with so many items and replicates each."""
        return math.sqrt((self.var_between + self.var_within / replicates) / n_items)


def variance_components(items: Any, scores: Any) -> VarianceComponents:
    """Variance components of replicated scores (of one condition, or of paired differences).

    Args:
        items: the item of each row.
        scores: one a row.

    Raises:
        UserError: fewer than two items, or no item with two replicates.
    """
    y = as_vector(scores, "scores", least=2)
    labels = labels_of(items, y.size, "item")
    group = np.unique(labels, return_inverse=True)[1].reshape(-1)
    size = np.bincount(group).astype(np.float64)
    count, rows = size.size, y.size
    if count < 2 or rows == count:
        raise UserError("variance components need two items, and an item with two replicates")
    means = np.bincount(group, weights=y) / size
    grand = float(y.mean())
    between = float(size @ (means - grand) ** 2) / (count - 1)
    within = float(((y - means[group]) ** 2).sum()) / (rows - count)
    n0 = (rows - float((size**2).sum()) / rows) / (count - 1)
    var_between = max(0.0, (between - within) / n0)
    denominator = between + (n0 - 1) * within
    return VarianceComponents(
        estimate=float(means.mean()),
        n=count,
        method="one-way random-effects ANOVA",
        note="" if denominator > 0 else "degenerate: zero variance",
        grand_mean=grand,
        ms_between=between,
        ms_within=within,
        n0=n0,
        var_between=var_between,
        var_within=within,
        icc1=(between - within) / denominator if denominator > 0 else math.nan,
        se=float(means.std(ddof=1)) / math.sqrt(count),
    )
