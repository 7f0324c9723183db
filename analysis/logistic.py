"""Logistic models of right/wrong answers, as a second opinion on paired comparisons.

Generalised estimating equations with independence, and conditional logistic regression; the model
with a random intercept is in `intercepts`. Formulas: Liang and Zeger (1986) for the sandwich,
Breslow and Day (1980, ch. 7) for the conditional likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import optimize, special, stats

from promptlab.analysis.arrays import Array, Ints, as_vector
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import as_sentences, format_p, number, plural, unnested
from promptlab.analysis.several import Several, labels_of
from promptlab.errors import UserError

__all__ = [
    "Design",
    "LogisticModel",
    "conditional_logit",
    "curvature",
    "design_of",
    "fitted",
    "fixed_effects",
    "gee_logit",
    "minimize",
]


@dataclass(frozen=True, kw_only=True, repr=False)
class LogisticModel(Several):
    """Coefficients on the log-odds scale; conditions are compared with the reference.

    Attributes:
        se: standard errors.
        groups: items, or clusters, that were used.
        sd_item: standard deviation of the random intercepts; NaN for models without.
        loglik: maximised log-likelihood; NaN for estimating equations.
    """

    se: Array
    groups: int
    sd_item: float = math.nan
    loglik: float = math.nan

    label: ClassVar[str] = "log odds"
    unit: ClassVar[str] = "rows"
    columns: ClassVar[tuple[str, ...]] = ("se",)

    @property
    def coef(self) -> Array:
        """The estimates under their usual name."""
        return self.estimate

    def __repr__(self) -> str:
        low, high = self.interval
        changes = " and ".join(
            f"by {number(self.estimate[k])} ({100 * self.level:.6g} % interval {number(low[k])} to "
            f"{number(high[k])}, {format_p(self.pvalue[k])}) under {name}"
            for k, name in enumerate(self.names)
            if name != "intercept"
        )
        said = (
            f"Compared with the reference, the log odds of a right answer change {changes}, from "
            f"{plural(self.n, 'answers')} ({unnested(self.method)})"
        )
        return as_sentences(said, self.note)


def fitted(
    names: tuple[str, ...],
    coef: Array,
    se: Array,
    *,
    n: int,
    groups: int,
    method: str,
    level: float,
    df: float = math.inf,
    note: str = "",
    sd_item: float = math.nan,
    loglik: float = math.nan,
) -> LogisticModel:
    """A model with the intervals and p values of normal (or t) statistics."""
    law: Any = stats.norm if math.isinf(df) else stats.t(df)
    half = float(law.isf((1 - level) / 2)) * se
    return LogisticModel(
        names=names,
        estimate=coef,
        interval=(coef - half, coef + half),
        pvalue=2 * law.sf(np.abs(coef / se)),
        n=n,
        method=method,
        level=level,
        note=note,
        se=se,
        groups=groups,
        sd_item=sd_item,
        loglik=loglik,
    )


@dataclass(frozen=True)
class Design:
    """Rows of a logistic model: an intercept, one column a condition, and the group of each row."""

    names: tuple[str, ...]
    x: Array
    y: Array
    group: Ints

    @property
    def groups(self) -> int:
        """Number of items."""
        return int(self.group.max()) + 1

    def sums(self, rows: Array) -> Array:
        """Sums of the rows of each item."""
        out = np.zeros((self.groups, *rows.shape[1:]))
        np.add.at(out, self.group, rows)
        return out


def design_of(items: Any, conditions: Any, correct: Any, reference: str | None) -> Design:
    """The checked rows of a model.

    Raises:
        UserError: answers that are not 0 and 1, one condition only, or log odds that are infinite.
    """
    y = as_vector(correct, "correct", least=2)
    labels = labels_of(items, y.size, "item")
    what = labels_of(conditions, y.size, "condition").astype(str)
    if not np.isin(y, (0, 1)).all():
        raise UserError("logistic models need answers of 0 and 1")
    if np.ptp(y) == 0:
        raise UserError("all answers are equal: the log odds are infinite")
    names = sorted({str(name) for name in what})
    base = names[0] if reference is None else str(reference)
    if base not in names or len(names) < 2:
        raise UserError(f"two conditions are needed, one of them '{base}'; found {names}")
    others = [name for name in names if name != base]
    x = np.column_stack([np.ones(y.size), *((what == name).astype(float) for name in others)])
    for name in names:
        if np.ptp(y[what == name]) == 0:
            raise UserError(f"all answers under '{name}' are equal: its log odds are infinite")
    group = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return Design(("intercept", *others), x, y, group)


def gee_logit(
    items: Any,
    conditions: Any,
    correct: Any,
    *,
    clusters: Any = None,
    reference: str | None = None,
    level: float = 0.95,
) -> LogisticModel:
    """Population-averaged logistic regression: independence, sandwich error of whole clusters.

    Args:
        items: the item of each row; the clusters, if no others are given.
        conditions: the condition of each row.
        correct: 0 or 1.
        clusters: the cluster of each row, for instance its task. Whole tasks as clusters are right
            for new tasks; there should be ten or more, and `note` says so where there are not.
        reference: condition to compare with; the first in sorted order if not given.
        level: of the normal intervals.
    """
    critical_z(level)
    design = design_of(items if clusters is None else clusters, conditions, correct, reference)
    beta = fixed_effects(design)
    p = special.expit(design.x @ beta)
    bread = np.linalg.inv(design.x.T @ (design.x * (p * (1 - p))[:, None]))
    scores = design.sums(design.x * (design.y - p)[:, None])
    if design.groups < design.x.shape[1] + 1:
        raise UserError(
            f"{design.groups} cluster(s) say nothing about the error of {design.x.shape[1]} "
            "coefficients; give more clusters, or leave them out to use the items"
        )
    covariance = bread @ scores.T @ scores @ bread
    variance = np.diag(covariance)
    if (variance < 1e-24).any():
        raise UserError("the answers do not vary between clusters: the errors are unknown")
    what = "items" if clusters is None else "clusters"
    return fitted(
        design.names,
        beta,
        np.sqrt(variance),
        n=design.y.size,
        groups=design.groups,
        method=f"GEE, independence, robust errors of {design.groups} {what}",
        level=level,
        note="" if design.groups >= 10 else f"only {design.groups} {what}: the errors are rough",
    )


def conditional_logit(
    items: Any,
    conditions: Any,
    correct: Any,
    *,
    reference: str | None = None,
    level: float = 0.95,
) -> LogisticModel:
    """Exact conditional logistic regression within items; items always right or wrong drop out.

    Args:
        items: the item of each row.
        conditions: the condition of each row.
        correct: 0 or 1.
        reference: condition to compare with; the first in sorted order if not given.
        level: of the normal intervals.

    Raises:
        UserError: no item tells conditions apart, or one condition is never wrong where they
            differ (its log odds are infinite).
    """
    critical_z(level)
    design = design_of(items, conditions, correct, reference)
    order = np.argsort(design.group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(design.group[order])) + 1)
    informative = [m for m in members if 0 < design.y[m].sum() < m.size]
    x = design.x[:, 1:]
    informative = [m for m in informative if np.ptp(x[m], axis=0).any()]
    if not informative:
        raise UserError("no item is right under one condition and wrong under another")

    def loss(beta: Array) -> float:
        eta = x @ beta
        total = 0.0
        for rows in informative:
            right = int(design.y[rows].sum())
            total -= float(design.y[rows] @ eta[rows]) - _log_symmetric(eta[rows], right)
        return total

    best = minimize(loss, np.zeros(x.shape[1]))
    if float(np.abs(best).max()) > 15:
        raise UserError("a condition wins, or loses, every item: its conditional odds are infinite")
    covariance = np.linalg.inv(curvature(loss, best))
    return fitted(
        design.names[1:],
        best,
        np.sqrt(np.diag(covariance)),
        n=sum(m.size for m in informative),
        groups=len(informative),
        method=f"conditional logit, exact, {len(informative)} items that differ",
        level=level,
        loglik=-loss(best),
    )


def _log_symmetric(eta: Array, size: int) -> float:
    """Log of the elementary symmetric polynomial of exp(eta): the sum over subsets of that size."""
    shift = float(eta.max())
    sums = np.zeros(size + 1)
    sums[0] = 1.0
    for value in np.exp(eta - shift):
        sums[1:] = sums[1:] + value * sums[:-1]
    return math.log(max(float(sums[size]), 1e-300)) + size * shift


def fixed_effects(design: Design) -> Array:
    """Plain logistic regression by Newton's method."""
    beta = np.zeros(design.x.shape[1])
    for _ in range(100):
        p = special.expit(design.x @ beta)
        step = np.linalg.solve(
            design.x.T @ (design.x * (p * (1 - p))[:, None]), design.x.T @ (design.y - p)
        )
        beta = beta + step
        if float(np.abs(step).max()) < 1e-12:
            break
    return beta


def minimize(loss: Callable[[Array], float], start: Array) -> Array:
    """The minimum by BFGS, polished by Nelder and Mead's simplex."""
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    polished = optimize.minimize(
        loss, found.x, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-11}
    )
    return np.asarray(polished.x, dtype=np.float64)


def curvature(loss: Callable[[Array], float], at: Array) -> Array:
    """Second derivatives by central differences."""
    k, h = at.size, 1e-4
    out = np.empty((k, k))
    unit = np.eye(k) * h
    for i in range(k):
        for j in range(i, k):
            out[i, j] = out[j, i] = (
                loss(at + unit[i] + unit[j])
                - loss(at + unit[i] - unit[j])
                - loss(at - unit[i] + unit[j])
                + loss(at - unit[i] - unit[j])
            ) / (4 * h**2)
    return out
