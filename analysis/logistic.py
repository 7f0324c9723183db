"""Logistic models of right/wrong answers, as a second opinion on paired comparisons.

A random intercept for every item by adaptive Gauss-Hermite quadrature (the integral is one
dimensional) or Laplace, generalised estimating equations with independence, and conditional
logistic regression. Formulas: Pinheiro and Chao (2006) for the quadrature, Liang and Zeger (1986)
for the sandwich, Breslow and Day (1980, ch. 7) for the conditional likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special, stats

from promptlab.analysis.arrays import Array, Ints, as_vector
from promptlab.analysis.results import plural
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LogisticModel", "conditional_logit", "gee_logit", "random_intercept_logit"]


@dataclass(frozen=True, repr=False)
class LogisticModel:
    """Coefficients on the log-odds scale.

    Attributes:
        names: of the coefficients; conditions are compared with the reference.
        coef: estimates.
        se: standard errors.
        n: rows.
        groups: items that were used.
        method: the model.
        sd_item: standard deviation of the random intercepts; NaN for models without.
        loglik: maximised log-likelihood; NaN for estimating equations.
    """

    names: tuple[str, ...]
    coef: Array
    se: Array
    n: int
    groups: int
    method: str
    sd_item: float = math.nan
    loglik: float = math.nan

    def to_frame(self) -> pd.DataFrame:
        """One row a coefficient with a normal interval and p value."""
        import pandas as pd

        z = self.coef / self.se
        return pd.DataFrame(
            {
                "name": self.names,
                "estimate": self.coef,
                "se": self.se,
                "lower": self.coef - stats.norm.ppf(0.975) * self.se,
                "upper": self.coef + stats.norm.ppf(0.975) * self.se,
                "pvalue": 2 * stats.norm.sf(np.abs(z)),
            }
        )

    def __repr__(self) -> str:
        changes = " and ".join(
            f"by {round(b, 3) + 0.0:+.3f} (standard error {s:.3f}) under {name}"
            for name, b, s in zip(self.names, self.coef, self.se, strict=True)
            if name != "intercept"
        )
        return (
            f"Compared with the reference, the log odds of a right answer change {changes}, from "
            f"{plural(self.n, 'answers')} to {plural(self.groups, 'items')} ({self.method})."
        )


@dataclass(frozen=True)
class _Design:
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


def _design(items: Any, conditions: Any, correct: Any, reference: str | None) -> _Design:
    y = as_vector(correct, "correct", least=2)
    labels, what = np.asarray(items), np.asarray(conditions).astype(str)
    if labels.shape != y.shape or what.shape != y.shape:
        raise UserError("items, conditions and correct must be equally long")
    if not np.isin(y, (0, 1)).all():
        raise UserError("logistic models need answers of 0 and 1")
    if np.ptp(y) == 0:
        raise UserError("all answers are equal: the log odds are infinite")
    names = sorted(set(what))
    base = names[0] if reference is None else reference
    if base not in names or len(names) < 2:
        raise UserError(f"two conditions are needed, one of them '{base}'; found {names}")
    others = [name for name in names if name != base]
    x = np.column_stack([np.ones(y.size), *((what == name).astype(float) for name in others)])
    for name in names:
        if np.ptp(y[what == name]) == 0:
            raise UserError(f"all answers under '{name}' are equal: its log odds are infinite")
    group = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return _Design(("intercept", *others), x, y, group)


def random_intercept_logit(
    items: Any,
    conditions: Any,
    correct: Any,
    *,
    reference: str | None = None,
    quadrature: int = 25,
) -> LogisticModel:
    """Logistic regression with a normal random intercept for every item.

    Args:
        items: the item of each row.
        conditions: the condition of each row.
        correct: 0 or 1.
        reference: condition to compare with; the first in sorted order if not given.
        quadrature: points of adaptive Gauss-Hermite. 1 is Laplace's approximation as R's lme4
            computes it, for comparison with published fits: with few answers an item it is less
            accurate, and its curvature is that of the last but one iteration.
    """
    design = _design(items, conditions, correct, reference)
    if quadrature < 1:
        raise UserError(f"quadrature needs at least one point, not {quadrature}")
    if quadrature == 1:
        start, loss = _laplace(design)
    else:
        start = np.append(_fixed_effects(design), 1.0)
        nodes, weights = np.polynomial.hermite_e.hermegauss(quadrature)

        def loss(parameters: Array) -> float:
            return -_marginal(design, parameters[:-1], parameters[-1], nodes, weights)

    best = _minimize(loss, start)
    covariance = np.linalg.inv(_hessian(loss, best))
    return LogisticModel(
        names=design.names,
        coef=best[:-1],
        se=np.sqrt(np.diag(covariance)[:-1]),
        n=design.y.size,
        groups=design.groups,
        method="random intercept an item, "
        + ("Laplace" if quadrature == 1 else f"{quadrature}-point adaptive Gauss-Hermite"),
        sd_item=abs(float(best[-1])),
        loglik=-loss(best),
    )


def _laplace(design: _Design) -> tuple[Array, Callable[[Array], float]]:
    """Start and loss of lme4's Laplace fit (Bates et al. 2015; glmer with nAGQ = 1).

    First the variance is fitted with coefficients and intercepts at their joint mode (nAGQ = 0).
    From that linear predictor on, each evaluation runs penalised iteratively reweighted least
    squares until the deviance changes by less than 1e-7 of itself, and takes the determinant of
    the last system solved: the weights are those before the last step.
    """

    def joint(sigma: float) -> tuple[Array, Array]:
        beta, u = _fixed_effects(design), np.zeros(design.groups)
        for _ in range(200):
            eta = design.x @ beta + sigma * u[design.group]
            p = special.expit(eta)
            w = p * (1 - p)
            cross = sigma * design.sums(design.x * w[:, None])
            d = 1 + sigma**2 * design.sums(w)
            slope_u = sigma * design.sums(design.y - p) - u
            system = design.x.T @ (design.x * w[:, None]) - cross.T @ (cross / d[:, None])
            step = np.linalg.solve(system, design.x.T @ (design.y - p) - cross.T @ (slope_u / d))
            move = (slope_u - cross @ step) / d
            beta, u = beta + step, u + move
            if max(float(np.abs(step).max()), float(np.abs(move).max())) < 1e-12:
                break
        return beta, design.x @ beta + sigma * u[design.group]

    def deviance(beta: Array, sigma: float, predictor: Array) -> float:
        fixed, eta, before = design.x @ beta, predictor, math.inf
        for _ in range(100):
            p = special.expit(eta)
            w = p * (1 - p)
            d = 1 + sigma**2 * design.sums(w)
            u = sigma * design.sums(w * (eta - fixed) + design.y - p) / d
            eta = fixed + sigma * u[design.group]
            penalized = 2 * float((np.logaddexp(0, eta) - design.y * eta).sum()) + float(u @ u)
            if abs(before - penalized) < 1e-7 * penalized:
                break
            before = penalized
        return penalized + float(np.log(d).sum())

    first = optimize.minimize_scalar(
        lambda sigma: deviance(joint(sigma)[0], sigma, joint(sigma)[1]),
        bounds=(1e-3, 10.0),
        method="bounded",
    )
    beta, predictor = joint(float(first.x))

    def loss(parameters: Array) -> float:
        return deviance(parameters[:-1], float(parameters[-1]), predictor) / 2

    return np.append(beta, first.x), loss


def _marginal(design: _Design, beta: Array, sigma: float, nodes: Array, weights: Array) -> float:
    """Log-likelihood with the intercepts integrated out, all items at once."""
    fixed = design.x @ beta
    u, information = np.zeros(design.groups), np.ones(design.groups)
    for _ in range(100):
        p = special.expit(fixed + sigma * u[design.group])
        slope = sigma * design.sums(design.y - p) - u
        information = 1 + sigma**2 * design.sums(p * (1 - p))
        step = slope / information
        u = u + np.clip(step, -2, 2)
        if float(np.abs(step).max()) < 1e-12:
            break
    spread = 1 / np.sqrt(information)
    points = u[:, None] + spread[:, None] * nodes[None, :]
    eta = fixed[:, None] + sigma * points[design.group]
    rows = design.y[:, None] * eta - np.logaddexp(0, eta)
    logs = design.sums(rows) - points**2 / 2 + nodes[None, :] ** 2 / 2 + np.log(weights)[None, :]
    constant = np.log(spread) - math.log(2 * math.pi) / 2
    return float((special.logsumexp(logs, axis=1) + constant).sum())


def gee_logit(
    items: Any, conditions: Any, correct: Any, *, reference: str | None = None
) -> LogisticModel:
    """Population-averaged logistic regression: independence, sandwich error clustered by item."""
    design = _design(items, conditions, correct, reference)
    beta = _fixed_effects(design)
    p = special.expit(design.x @ beta)
    bread = np.linalg.inv(design.x.T @ (design.x * (p * (1 - p))[:, None]))
    scores = design.sums(design.x * (design.y - p)[:, None])
    covariance = bread @ scores.T @ scores @ bread
    return LogisticModel(
        names=design.names,
        coef=beta,
        se=np.sqrt(np.diag(covariance)),
        n=design.y.size,
        groups=design.groups,
        method="GEE, independence, robust errors",
    )


def conditional_logit(
    items: Any, conditions: Any, correct: Any, *, reference: str | None = None
) -> LogisticModel:
    """Exact conditional logistic regression within items; items always right or wrong drop out."""
    design = _design(items, conditions, correct, reference)
    members = [np.flatnonzero(design.group == g) for g in range(design.groups)]
    informative = [m for m in members if 0 < design.y[m].sum() < m.size]
    if not informative:
        raise UserError("no item is right under one condition and wrong under another")
    x = design.x[:, 1:]

    def loss(beta: Array) -> float:
        eta = x @ beta
        total = 0.0
        for rows in informative:
            right = int(design.y[rows].sum())
            total -= float(design.y[rows] @ eta[rows]) - _log_symmetric(eta[rows], right)
        return total

    best = _minimize(loss, np.zeros(x.shape[1]))
    covariance = np.linalg.inv(_hessian(loss, best))
    return LogisticModel(
        names=design.names[1:],
        coef=best,
        se=np.sqrt(np.diag(covariance)),
        n=sum(m.size for m in informative),
        groups=len(informative),
        method="conditional logit, exact",
        loglik=-loss(best),
    )


def _log_symmetric(eta: Array, size: int) -> float:
    """Log of the elementary symmetric polynomial of exp(eta): the sum over subsets of that size."""
    shift = float(eta.max())
    sums = np.zeros(size + 1)
    sums[0] = 1.0
    for value in np.exp(eta - shift):
        sums[1:] = sums[1:] + value * sums[:-1]
    return math.log(float(sums[size])) + size * shift


def _fixed_effects(design: _Design) -> Array:
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


def _minimize(loss: Callable[[Array], float], start: Array) -> Array:
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    polished = optimize.minimize(
        loss, found.x, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-11}
    )
    return np.asarray(polished.x, dtype=np.float64)


def _hessian(loss: Callable[[Array], float], at: Array) -> Array:
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
