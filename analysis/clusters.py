"""Means of items that come in clusters (a shared passage, a family of templates)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Seed, as_vector
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import NO_INTERVAL, Result, plural
from promptlab.analysis.several import labels_of
from promptlab.analysis.signflip import Alternative, SignFlip, sign_flip

__all__ = ["ClusteredMean", "cluster_sign_flip", "clustered_mean"]


@dataclass(frozen=True, kw_only=True, repr=False)
class ClusteredMean(Result):
    """A mean whose error allows for clusters.

    Attributes:
        clusters: number of clusters G.
        se_independent: sd / sqrt(n), as if there were no clusters.
        se_miller: Miller (2024): the usual variance plus the cross products inside clusters.
        se_cr0: root of the sum of squared cluster sums, over n.
        se_cr1: CR0 times sqrt(G / (G - 1)); the interval uses it with t(G - 1).
        design_effect: variance ratio of CR1 to independent items.
    """

    clusters: int
    se_independent: float
    se_miller: float
    se_cr0: float
    se_cr1: float
    design_effect: float

    label: ClassVar[str] = "mean"

    def _counted(self) -> str:
        return f"{plural(self.n, self.unit)} in {plural(self.clusters, 'clusters')}"


def clustered_mean(values: Any, clusters: Any, *, level: float = 0.95) -> ClusteredMean:
    """Mean (of paired differences, usually) with cluster-robust errors.

    With one cluster nothing is known about the error: it is NaN. With fewer than ten the interval
    is rough, and `note` says so.

    Args:
        values: one an item.
        clusters: the cluster of each item.
        level: of the interval.
    """
    critical_z(level)
    x = as_vector(values)
    labels = labels_of(clusters, x.size, "cluster")
    group = np.unique(labels, return_inverse=True)[1].reshape(-1)
    n, count = x.size, int(group.max()) + 1
    mean = float(x.mean())
    off = x - mean
    sums = np.bincount(group, weights=off)
    own = np.bincount(group, weights=off**2)
    cr0 = math.sqrt(float((sums**2).sum())) / n
    cr1 = cr0 * math.sqrt(count / (count - 1)) if count > 1 else math.nan
    variance = float(x.var(ddof=1)) if n > 1 else math.nan
    independent = math.sqrt(variance / n) if n > 1 else math.nan
    cross = float((sums**2 - own).sum()) / n**2
    miller = math.sqrt(max(variance / n + cross, 0.0)) if count > 1 else math.nan
    interval, p = NO_INTERVAL, math.nan
    note = "" if count >= 10 else f"only {count} clusters: the interval is rough"
    if count < 2:
        note = "one cluster: the error is unknown"
    elif cr1 > 1e-12:
        half = float(stats.t.isf((1 - level) / 2, count - 1)) * cr1
        interval = (mean - half, mean + half)
        p = float(2 * stats.t.sf(abs(mean) / cr1, count - 1))
    else:
        note = "degenerate: zero variance"
    return ClusteredMean(
        estimate=mean,
        interval=interval,
        pvalue=p,
        n=n,
        method=f"cluster-robust (CR1), t with {max(count - 1, 0)} df",
        level=level,
        note=note,
        clusters=count,
        se_independent=independent,
        se_miller=miller,
        se_cr0=cr0 if count > 1 else math.nan,
        se_cr1=cr1,
        design_effect=cr1**2 / variance * n if count > 1 and variance > 0 else math.nan,
    )


def cluster_sign_flip(
    values: Any,
    clusters: Any,
    *,
    alternative: Alternative = "two-sided",
    n_resamples: int = 9999,
    seed: Seed = 0,
) -> SignFlip:
    """Sign-flip test of a mean whose items come in clusters: whole clusters change sign.

    The statistic is the sum over items, that is, the sign-flip test of the cluster sums. With few
    clusters the smallest possible p value is 2 / 2^G.

    Args:
        values: paired differences, one an item.
        clusters: the cluster of each item.
        alternative: `greater` means that the variant is better.
        n_resamples: where the test is not exact.
        seed: where the test is not exact.
    """
    x = as_vector(values)
    labels = labels_of(clusters, x.size, "cluster")
    group = np.unique(labels, return_inverse=True)[1].reshape(-1)
    sums = np.bincount(group, weights=x)
    found = sign_flip(sums, alternative=alternative, n_resamples=n_resamples, seed=seed)
    return replace(
        found,
        estimate=float(x.mean()),
        n=x.size,
        method=f"{found.method}, {sums.size} whole clusters",
    )
