"""Linear mixed model over tasks and items, fitted by statsmodels (an extra)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Array, as_vector
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.several import Several, labels_of
from promptlab.errors import UserError

__all__ = ["MixedModel", "linear_mixed"]


@dataclass(frozen=True, kw_only=True, repr=False)
class MixedModel(Several):
    """Fixed effects of a linear mixed model, in score units.

    Attributes:
        se: standard errors.
        tasks: groups of the random effects.
        sd_task: standard deviation of the tasks' intercepts.
        sd_slopes: standard deviation of each condition's effect between tasks; empty without
            random slopes.
        sd_item: standard deviation between items of a task; NaN without items.
        sd_residual: what is left.
        loglik: maximised (restricted) log-likelihood.
        converged: what the optimiser says.
    """

    se: Array
    tasks: int
    sd_task: float
    sd_slopes: tuple[float, ...]
    sd_item: float
    sd_residual: float
    loglik: float
    converged: bool

    label: ClassVar[str] = "coefficients of the linear mixed model"
    unit: ClassVar[str] = "rows"
    columns: ClassVar[tuple[str, ...]] = ("se",)


def linear_mixed(
    tasks: Any,
    conditions: Any,
    scores: Any,
    *,
    items: Any = None,
    reference: str | None = None,
    slopes: bool = True,
    reml: bool = True,
    level: float = 0.95,
) -> MixedModel:
    """Score ~ condition + (1 + condition | task) + (1 | item), by statsmodels' MixedLM.

    A sensitivity check beside the macro difference. Intervals and p values are normal, and short
    for few tasks; `note` says when the optimiser did not converge or a variance is at 0.

    Args:
        tasks: the task of each row.
        conditions: the condition of each row.
        scores: one a row.
        items: the item of each row, within its task; no item effect if not given.
        reference: condition to compare with; the first in sorted order if not given.
        slopes: let the effect of each condition differ between tasks.
        reml: restricted maximum likelihood.
        level: of the intervals.

    Raises:
        UserError: statsmodels is not installed; fewer than two tasks or conditions; scores
            without variation.
    """
    critical_z(level)
    y = as_vector(scores, "scores", least=4)
    group = labels_of(tasks, y.size, "task").astype(str)
    what = labels_of(conditions, y.size, "condition").astype(str)
    names = sorted({str(name) for name in what})
    base = names[0] if reference is None else str(reference)
    if base not in names or len(names) < 2:
        raise UserError(f"two conditions are needed, one of them '{base}'; found {names}")
    if np.unique(group).size < 2:
        raise UserError("a model over tasks needs at least two of them")
    if np.ptp(y) < 1e-12:
        raise UserError("all scores are equal: there is nothing to model")
    model = _statsmodels()
    others = [name for name in names if name != base]
    x = np.column_stack([np.ones(y.size), *((what == name).astype(float) for name in others)])
    order = np.argsort(group, kind="stable")
    y, x, group = y[order], x[order], group[order]
    random = x if slopes else x[:, :1]
    components = None
    if items is not None:
        inside = labels_of(items, order.size, "item")[order]
        components = _items(model, group, inside)
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = model.MixedLM(y, x, groups=group, exog_re=random, exog_vc=components).fit(
                reml=reml, method=["lbfgs", "bfgs", "powell"]
            )
            se = np.asarray(fit.bse_fe, dtype=np.float64)
            loglik = float(fit.llf)
        except (np.linalg.LinAlgError, ValueError) as error:
            raise UserError(
                f"the mixed model cannot be fitted to these scores ({error}); leave out items or "
                "use slopes=False"
            ) from error
    converged = bool(fit.converged)
    if not converged:
        notes.append("the fit did not converge")
    elif any("boundary" in str(w.message) or "singular" in str(w.message) for w in caught):
        notes.append("a variance is at 0")
    if not np.isfinite(se).all():
        notes.append("standard errors are undefined")
    coef = np.asarray(fit.fe_params, dtype=np.float64)
    z = float(stats.norm.isf((1 - level) / 2))
    spread = np.sqrt(np.maximum(np.diag(np.atleast_2d(np.asarray(fit.cov_re))), 0.0))
    ratio = np.divide(coef, se, out=np.full(coef.shape, np.nan), where=se > 0)
    return MixedModel(
        names=("intercept", *others),
        estimate=coef,
        interval=(coef - z * se, coef + z * se),
        pvalue=np.asarray(2 * stats.norm.sf(np.abs(ratio))),
        n=y.size,
        method="linear mixed model (statsmodels MixedLM, "
        + f"{'REML' if reml else 'ML'}{', random slopes' if slopes else ''})",
        level=level,
        note="; ".join(notes),
        se=se,
        tasks=int(np.unique(group).size),
        sd_task=float(spread[0]),
        sd_slopes=tuple(float(v) for v in spread[1:]),
        sd_item=math.sqrt(max(float(fit.vcomp[0]), 0.0)) if components is not None else math.nan,
        sd_residual=math.sqrt(float(fit.scale)),
        loglik=loglik,
        converged=converged,
    )


def _statsmodels() -> Any:
    """The module, imported late: it is an extra and slow to import."""
    try:
        from statsmodels.regression import mixed_linear_model
    except ImportError:
        raise UserError(
            "linear_mixed needs statsmodels; install it with: "
            "pip install 'promptlab-experiments[models]'"
        ) from None
    return mixed_linear_model


def _items(model: Any, group: Any, items: Any) -> Any:
    """Indicators of the items of every task, as a variance component."""
    matrices, columns = [], []
    for task in np.unique(group):
        own = items[group == task]
        names = np.unique(own)
        matrices.append((own[:, None] == names).astype(np.float64))
        columns.append([str(name) for name in names])
    return model.VCSpec(["item"], [columns], [matrices])
