"""Ratings where every item has several raters and every rater several items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Seed, as_vector
from promptlab.analysis.clusters import cluster_sign_flip, clustered_mean
from promptlab.analysis.results import NO_INTERVAL, Result

__all__ = ["CrossedRatings", "crossed_ratings"]


@dataclass(frozen=True, kw_only=True, repr=False)
class CrossedRatings(Result):
    """A mean whose error allows for raters and for items, one at a time.

    Attributes:
        se_raters: CR1 error with raters as clusters.
        se_items: CR1 error with items as clusters.
        se: the larger of the two; the interval uses it.
        p_raters: sign flips of whole raters.
        p_items: sign flips of whole items.
        raters: how many.
        items: how many.
    """

    se_raters: float
    se_items: float
    se: float
    p_raters: float
    p_items: float
    raters: int
    items: int

    label: ClassVar[str] = "mean difference"
    unit: ClassVar[str] = "ratings"


def crossed_ratings(
    values: Any,
    raters: Any,
    items: Any,
    *,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: Seed = 0,
) -> CrossedRatings:
    """Mean of paired ratings with raters and items crossed, by the more careful of two errors.

    Both one-way cluster errors are reported; interval and p value are those of the clustering
    with the larger one, and `pvalue` is never the smaller p. The sum of both (Cameron, Gelbach
    and Miller 2011) needs many of each and may be negative; the larger one is never.

    Args:
        values: differences, one a rating.
        raters: the rater of each value.
        items: the item of each value.
        level: of the t interval, with one degree of freedom less than there are clusters.
        n_resamples: of the sign flips, where they are not exact.
        seed: of the sign flips.
    """
    x = as_vector(values)
    by_rater = clustered_mean(x, raters, level=level)
    by_item = clustered_mean(x, items, level=level)
    options: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
    p_raters = cluster_sign_flip(x, raters, **options).pvalue
    p_items = cluster_sign_flip(x, items, **options).pvalue
    known = [found for found in (by_rater, by_item) if not math.isnan(found.se_cr1)]
    notes = [
        f"{name}: {found.note}"
        for name, found in (("raters", by_rater), ("items", by_item))
        if found.note
    ]
    interval, se, which = NO_INTERVAL, math.nan, "none"
    if known:
        largest = max(known, key=lambda found: found.se_cr1)
        se, which = largest.se_cr1, "raters" if largest is by_rater else "items"
        if se > 1e-12:
            half = float(stats.t.isf((1 - level) / 2, largest.clusters - 1)) * se
            interval = (largest.estimate - half, largest.estimate + half)
    return CrossedRatings(
        estimate=float(np.mean(x)),
        interval=interval,
        pvalue=max(p_raters, p_items),
        n=x.size,
        method=f"larger of two cluster errors ({which}), sign flips of whole clusters",
        level=level,
        note="; ".join(notes),
        se_raters=by_rater.se_cr1,
        se_items=by_item.se_cr1,
        se=se,
        p_raters=p_raters,
        p_items=p_items,
        raters=by_rater.clusters,
        items=by_item.clusters,
    )
