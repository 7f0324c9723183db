"""The best condition per task of a summary, beside what it would be if no condition did anything.

Without the items the labels cannot be exchanged inside them (`label_permutation`). What is left is
the noise of the runs: if all conditions of a task have one expected mean, their observed means
differ by that noise alone, and the best of K still lies above the baseline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from promptlab.analysis.arguments import as_numbers, check_repeats
from promptlab.analysis.arrays import TIE, Array, Seed, rng_from, safe_divide
from promptlab.analysis.results import Resampled
from promptlab.errors import UserError

__all__ = ["BestOfMeans", "best_of_means"]

_BLOCK = 2_000_000
"""Normal numbers drawn at once."""


@dataclass(frozen=True, kw_only=True, repr=False)
class BestOfMeans(Resampled):
    """Mean over tasks of (best condition minus baseline), and its null by simulation.

    Attributes:
        mean_of_max: mean over tasks of the best condition's score.
        relative: mean_of_max over the mean of the baseline, minus 1.
        null_mean: what the estimate is on average if no condition differs.
        null_upper: its 95th percentile then.
        n_conditions: conditions besides the baseline.
    """

    mean_of_max: float
    relative: float
    null_mean: float
    null_upper: float
    n_conditions: int

    label: ClassVar[str] = "best condition per task minus baseline"
    unit: ClassVar[str] = "tasks"


def best_of_means(
    baseline: Any,
    conditions: Any,
    *,
    sd: Any = None,
    runs: Any = None,
    n_simulations: int = 10_000,
    seed: Seed = 0,
) -> BestOfMeans:
    """The per-task maximum of a summary, with a parametric null from the SDs over runs.

    Under the null every mean of task t is drawn from a normal law with one expectation and the
    error s_t / sqrt(n), where s_t^2 pools the variances over runs of all conditions of the task,
    weighted by n - 1. Differences do not depend on the expectation. Scores are not cut at 0 and 1.
    The draw of items and demonstrations that all runs of a condition share is not in the SDs, so
    the null is too small rather than too large where conditions saw different ones.

    Args:
        baseline: one mean a task.
        conditions: tasks x conditions.
        sd: SDs over runs, tasks x (1 + conditions), the baseline first; no null without them.
        runs: number of runs, likewise.
        n_simulations: p = (1 + exceedances) / (n_simulations + 1), one-sided.
        seed: of the simulation.

    Raises:
        UserError: shapes that do not fit, missing means, or a negative SD.
    """
    check_repeats(n_simulations=n_simulations)
    x, y = as_numbers(baseline, "baseline"), as_numbers(conditions, "conditions")
    if x.ndim != 1 or y.ndim != 2 or y.shape[0] != x.size or 0 in y.shape:
        raise UserError("one baseline mean a task and tasks x conditions are needed")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UserError("every task needs a mean under every condition; leave the others out")
    gain = float((y.max(axis=1) - x).mean())
    best = float(y.max(axis=1).mean())
    error, note = _errors(sd, runs, (x.size, 1 + y.shape[1]))
    relative = float(safe_divide(best, x.mean())) - 1
    if math.isnan(relative):
        note = f"{note}; ".lstrip("; ") + "no relative gain: the baseline's mean is 0"
    p = null_mean = null_upper = math.nan
    if error is not None:
        null = _null(error, n_simulations, rng_from(seed))
        p = (1 + int((null >= gain - TIE).sum())) / (n_simulations + 1)
        null_mean, null_upper = float(null.mean()), float(np.quantile(null, 0.95))
    return BestOfMeans(
        estimate=gain,
        pvalue=p,
        n=x.size,
        method=f"simulation from the SDs over runs, {n_simulations} times",
        note=note,
        n_resamples=0 if error is None else n_simulations,
        mc_error=math.nan if error is None else math.sqrt(p * (1 - p) / n_simulations),
        mean_of_max=best,
        relative=relative,
        null_mean=null_mean,
        null_upper=null_upper,
        n_conditions=y.shape[1],
    )


def _errors(sd: Any, runs: Any, shape: tuple[int, int]) -> tuple[Array | None, str]:
    """Standard error of every mean if all conditions of a task are alike; or why there is none."""
    if sd is None or runs is None:
        return None, "no null without the SDs and numbers of runs"
    s, n = (_fitted(v, what, shape) for v, what in ((sd, "sd"), (runs, "runs")))
    if (s < 0).any():
        raise UserError("sd: a standard deviation is negative")
    known = np.isfinite(s) & np.isfinite(n) & (n > 1)
    if not known.any(axis=1).all():
        return None, "no null: a task has no SD over at least two runs"
    if not (np.isfinite(n) & (n >= 1)).all():
        return None, "no null: a number of runs is missing"
    weight = np.where(known, n - 1, 0.0)
    pooled = (weight * np.where(known, s, 0.0) ** 2).sum(axis=1) / weight.sum(axis=1)
    if not (pooled > 0).any():
        return None, "degenerate: no SD is above 0"
    return np.sqrt(pooled)[:, None] / np.sqrt(n), ""


def _fitted(values: Any, what: str, shape: tuple[int, int]) -> Array:
    """One number for each mean; a single number is that of all."""
    array = as_numbers(values, what)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise UserError(
            f"{what} must be {shape[0]} tasks x {shape[1]} conditions (the baseline first), "
            f"not shape {array.shape}"
        ) from None


def _null(error: Array, n_simulations: int, rng: np.random.Generator) -> Array:
    """The statistic in so many experiments in which no condition differs."""
    out = np.empty(n_simulations)
    block = max(1, _BLOCK // error.size)
    for start in range(0, n_simulations, block):
        size = min(block, n_simulations - start)
        means = rng.standard_normal((size, *error.shape)) * error
        out[start : start + size] = (means[:, :, 1:].max(axis=2) - means[:, :, 0]).mean(axis=1)
    return out
