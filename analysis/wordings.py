"""A difference over items and wordings of the instruction, both of them random.

Every item is asked under every wording, so a task's differences are a table of items x wordings. A
test over items alone treats the wordings that happened to be tried as the only ones there are: it
is the fallacy of the fixed effect (Clark 1973). The mean's variance has three parts,

    var(mean) = s2_item / n + s2_wording / W + s2_residual / (n W),

and the one between wordings does not shrink with more items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import as_numbers, check_level
from promptlab.analysis.arrays import TIE, Array, safe_divide
from promptlab.analysis.results import NO_INTERVAL, Result
from promptlab.errors import UserError

__all__ = ["Crossed", "CrossedMean", "crossed_mean", "crossed_moments"]


@dataclass(frozen=True)
class Crossed:
    """Moments of tables of items x wordings; all arrays have one entry a table.

    Attributes:
        mean: mean over items of an item's mean over its wordings.
        n: items with a value.
        w: wordings with a value.
        item: variance component of the items, not truncated; likewise `wording`, `residual`.
        items_only: squared standard error of the mean with the wordings held fixed.
        by_items: share of the mean's variance that its items and its cells bring.
        by_wordings: likewise its wordings and its cells.
        by_cells: its cells alone; the variance is by_items + by_wordings - by_cells.
        df_cells: degrees of freedom of the residual.
    """

    mean: Array
    n: Array
    w: Array
    item: Array
    wording: Array
    residual: Array
    items_only: Array
    by_items: Array
    by_wordings: Array
    by_cells: Array
    df_cells: Array

    def at(self, index: Any) -> Crossed:
        """The moments of some of the tables."""
        return Crossed(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def inverse_df(self) -> Array:
        """Sum of squares of the three parts, each over its degrees of freedom (Satterthwaite)."""
        return np.asarray(
            safe_divide(self.by_items**2, self.n - 1)
            + safe_divide(self.by_wordings**2, self.w - 1)
            + np.where(self.df_cells > 0, safe_divide(self.by_cells**2, self.df_cells), 0.0)
        )


def crossed_moments(differences: Array) -> Crossed:
    """Moments of many tables at once.

    Variance components by Henderson's method 1 (Henderson 1953, Biometrics 9, 226-252; Searle,
    Casella and McCulloch 1992, Variance Components, ch. 5), which is the usual analysis of variance
    where no value is missing, and is unbiased where some are.

    Args:
        differences: items x wordings x tables; NaN = missing.
    """
    there = np.isfinite(differences)
    n_i, n_w, total = there.sum(axis=1), there.sum(axis=0), there.sum(axis=(0, 1))
    x = np.where(there, differences, 0.0)
    x = np.where(
        there, x - safe_divide(x.sum(axis=(0, 1)), total), 0.0
    )  # for exact sums of squares
    n, w = (n_i > 0).sum(axis=0), (n_w > 0).sum(axis=0)
    rows, columns = x.sum(axis=1), x.sum(axis=0)
    t_mean = safe_divide(x.sum(axis=(0, 1)) ** 2, total)
    t_item, t_wording = (
        np.nansum(safe_divide(sums**2, sizes), axis=0)
        for sums, sizes in ((rows, n_i), (columns, n_w))
    )
    t_all = (x**2).sum(axis=(0, 1))
    c_item, c_wording = (
        safe_divide((sizes.astype(np.float64) ** 2).sum(axis=0), total) for sizes in (n_i, n_w)
    )
    df_cells = total - n - w + 1
    known = (n > 1) & (w > 1) & (df_cells > 0)
    equations = np.empty((*total.shape, 3, 3))
    for line, coefficients in enumerate(
        (
            (total - c_item, n - c_wording, n - 1),
            (w - c_item, total - c_wording, w - 1),
            (c_item - w, c_wording - n, df_cells),
        )
    ):
        for column, values in enumerate(coefficients):
            equations[..., line, column] = np.where(known, values, float(line == column))
    with np.errstate(all="ignore"):
        known &= np.abs(np.linalg.det(equations)) > TIE
    equations[~known] = np.eye(3)
    sums = np.stack([t_item - t_mean, t_wording - t_mean, t_all - t_item - t_wording + t_mean], -1)
    solved = np.linalg.solve(equations, np.where(known[..., None], sums, 0.0)[..., None])[..., 0]
    item, wording, residual = (np.where(known, solved[..., i], np.nan) for i in range(3))
    # The weight of each value in the mean of the items' means.
    weights = np.where(there, safe_divide(1.0, n * np.maximum(n_i, 1))[:, None], 0.0)
    to_item, to_wording = safe_divide(1.0, n), (weights.sum(axis=0) ** 2).sum(axis=0)
    by_cells = (weights**2).sum(axis=(0, 1)) * residual
    item_means = safe_divide(np.where(there, differences, 0.0).sum(axis=1), n_i)
    mean = safe_divide(np.nansum(item_means, axis=0), n)
    off = np.where(n_i > 0, item_means - mean, 0.0)
    return Crossed(
        mean=mean,
        n=n.astype(np.float64),
        w=w.astype(np.float64),
        item=item,
        wording=wording,
        residual=residual,
        items_only=safe_divide((off**2).sum(axis=0), np.where(n > 1, n * (n - 1), np.nan)),
        by_items=to_item * item + by_cells,
        by_wordings=to_wording * wording + by_cells,
        by_cells=by_cells,
        df_cells=df_cells.astype(np.float64),
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class CrossedMean(Result):
    """A mean difference over items and wordings; `n` counts the items.

    Attributes:
        n_wordings: wordings of the instruction.
        se: standard error with items and wordings random.
        df: its degrees of freedom.
        items_interval: what a test over items alone says: for these very wordings.
        var_item: variance between items, truncated at 0.
        var_wording: variance between wordings, truncated at 0.
        var_residual: what is left, truncated at 0.
        wording_means: mean difference under each wording.
        share_opposite: share of the wordings whose difference has the other sign.
    """

    n_wordings: int
    se: float
    df: float
    items_interval: tuple[float, float]
    var_item: float
    var_wording: float
    var_residual: float
    wording_means: Array
    share_opposite: float

    label: ClassVar[str] = "mean difference"


def crossed_mean(differences: Any, *, level: float = 0.95) -> CrossedMean:
    """Mean difference of one task with items and wordings as crossed random factors.

    Two-way random-effects analysis of variance without replication. The squared standard error is
    (MS_items + MS_wordings - MS_residual) / (n W), Clark's quasi-F (Clark 1973, Journal of Verbal
    Learning and Verbal Behavior 12, 335-359), never less than that of the items alone; degrees of
    freedom after Satterthwaite (1946, Biometrics Bulletin 2, 110-114), at least min(n, W) - 1. With
    two wordings they are 1: Satterthwaite's would then cover too little.

    Args:
        differences: items x wordings; NaN where a pair is missing.
        level: of the intervals.

    Returns:
        The estimate is the mean over items of an item's mean over its wordings. Without interval
        for one item or one wording, with a note.

    Raises:
        UserError: another shape, an infinite value, or no value at all.
    """
    check_level(level)
    d = as_numbers(differences, "differences")
    if d.ndim != 2:
        raise UserError(f"differences: a table of items x wordings is needed, not shape {d.shape}")
    if np.isinf(d).any():
        raise UserError("differences: a value is infinite")
    d = d[np.isfinite(d).any(axis=1)]
    d = d[:, np.isfinite(d).any(axis=0)]
    if not d.size:
        raise UserError("differences: there is no value")
    found = crossed_moments(d[:, :, None])
    estimate, n, w = float(found.mean[0]), int(found.n[0]), int(found.w[0])
    variance, df = (float(v) for v in error_of(found))
    interval, items_interval, p = NO_INTERVAL, NO_INTERVAL, math.nan
    se = math.sqrt(variance) if variance >= 0 else math.nan
    if variance > TIE**2:
        half = float(stats.t.isf((1 - level) / 2, df)) * se
        interval = (estimate - half, estimate + half)
        p = float(2 * stats.t.sf(abs(estimate) / se, df))
    if found.items_only[0] > TIE**2:
        half = float(stats.t.isf((1 - level) / 2, n - 1)) * math.sqrt(found.items_only[0])
        items_interval = (estimate - half, estimate + half)
    means = np.nanmean(d, axis=0)
    return CrossedMean(
        estimate=estimate,
        interval=interval,
        pvalue=p,
        n=n,
        method=f"items x {w} wordings, both random, t with {df:.1f} degrees of freedom"
        if df == df
        else "items x wordings",
        level=level,
        note=_note(n, w, variance, float(found.items_only[0])),
        n_wordings=w,
        se=se,
        df=df,
        items_interval=items_interval,
        var_item=max(0.0, float(found.item[0])),
        var_wording=max(0.0, float(found.wording[0])),
        var_residual=max(0.0, float(found.residual[0])),
        wording_means=means,
        share_opposite=float(np.mean(means * estimate < -(TIE**2))),
    )


def _note(n: int, w: int, variance: float, items_only: float) -> str:
    if w < 2:
        return "one wording: how much wordings differ is unknown"
    if n < 2:
        return "one item: how much items differ is unknown"
    if variance != variance:
        return "too few pairs for three variance components"
    if variance <= TIE**2:
        return "degenerate: zero variance"
    return "" if items_only > TIE**2 else "no interval over items alone: all items are the same"


def error_of(found: Crossed) -> tuple[Array, Array]:
    """(variance, degrees of freedom) of the mean of several tables' means; NaN where unknown.

    Args:
        found: moments whose last axis is that of the tables.
    """
    count = found.mean.shape[-1]
    parts = (found.by_items + found.by_wordings - found.by_cells).sum(axis=-1)
    total = np.maximum(parts, found.items_only.sum(axis=-1))
    least = np.minimum(found.n, found.w).min(axis=-1) - 1
    df = np.maximum(safe_divide(total**2, found.inverse_df.sum(axis=-1)), least)
    # Two wordings of one task leave too little for Satterthwaite's approximation.
    df = np.where((total > TIE**2) & ~((least == 1) & (count == 1)), df, least)
    return total / count**2, np.where(np.isfinite(total), df, np.nan)
