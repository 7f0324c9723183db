"""Logistic regression with a random intercept for every item.

By adaptive Gauss-Hermite quadrature (the integral is one dimensional; Pinheiro and Chao 2006), or
by Laplace's approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize, special

from promptlab.analysis.arrays import Array
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.logistic import (
    Design,
    LogisticModel,
    curvature,
    design_of,
    fitted,
    fixed_effects,
    minimize,
)
from promptlab.errors import UserError

__all__ = ["random_intercept_logit"]


def random_intercept_logit(
    items: Any,
    conditions: Any,
    correct: Any,
    *,
    reference: str | None = None,
    quadrature: int = 25,
    level: float = 0.95,
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
        level: of the normal intervals.
    """
    critical_z(level)
    design = design_of(items, conditions, correct, reference)
    right, rows = design.sums(design.y), design.sums(np.ones(design.y.size))
    if ((right == 0) | (right == rows)).all():
        raise UserError(
            "every item is always right or always wrong: the spread of the items is infinite"
        )
    if quadrature < 1:
        raise UserError(f"quadrature needs at least one point, not {quadrature}")
    if quadrature == 1:
        start, loss = _laplace(design)
    else:
        start = np.append(fixed_effects(design), 1.0)
        nodes, weights = np.polynomial.hermite_e.hermegauss(quadrature)

        def loss(parameters: Array) -> float:
            return -_marginal(design, parameters[:-1], parameters[-1], nodes, weights)

    best = minimize(loss, start)
    covariance = np.linalg.inv(curvature(loss, best))
    sd_item = abs(float(best[-1]))
    how = "Laplace" if quadrature == 1 else f"{quadrature}-point adaptive Gauss-Hermite"
    return fitted(
        design.names,
        best[:-1],
        np.sqrt(np.diag(covariance)[:-1]),
        n=design.y.size,
        groups=design.groups,
        method=f"random intercept for each of {design.groups} items, {how}",
        level=level,
        note="" if sd_item > 0.01 else "the items do not differ beyond chance: SD of items is 0",
        sd_item=sd_item,
        loglik=-loss(best),
    )


def _laplace(design: Design) -> tuple[Array, Callable[[Array], float]]:
    """Start and loss of lme4's Laplace fit (Bates et al. 2015; glmer with nAGQ = 1).

    First the variance is fitted with coefficients and intercepts at their joint mode (nAGQ = 0).
    From that linear predictor on, each evaluation runs penalised iteratively reweighted least
    squares until the deviance changes by less than 1e-7 of itself, and takes the determinant of
    the last system solved: the weights are those before the last step.
    """

    def joint(sigma: float) -> tuple[Array, Array]:
        beta, u = fixed_effects(design), np.zeros(design.groups)
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


def _marginal(design: Design, beta: Array, sigma: float, nodes: Array, weights: Array) -> float:
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
