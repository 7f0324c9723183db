"""Power of max-T over tasks, which has no formula: by simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import TIE, Array, Seed, as_vector, rng_from, safe_divide
from promptlab.analysis.power.levels import check_levels, check_n, check_sd
from promptlab.analysis.results import Result, Scale
from promptlab.errors import UserError

__all__ = ["MaxTPower", "power_max_t"]


@dataclass(frozen=True, kw_only=True, repr=False)
class MaxTPower(Result):
    """Simulated power of single-step max-T; the estimate is that of finding any true effect.

    The interval is the Monte-Carlo error of the estimate (Wilson).

    Attributes:
        each: power for every stimulus, in the order given; the level for one without effect.
        false_positive: probability of calling any stimulus without effect; NaN if all have one.
        n_simulations: experiments that were simulated.
    """

    each: tuple[float, ...]
    false_positive: float
    n_simulations: int

    label: ClassVar[str] = "power of max-T"
    scale: ClassVar[Scale] = "percent"
    unit: ClassVar[str] = "tasks"


def power_max_t(
    effects: Any,
    n_tasks: int,
    *,
    sd_task: float = 0.04,
    n_items: float = 100,
    discordance: float = 0.2,
    correlation: float = 0.5,
    alpha: float = 0.05,
    n_simulations: int = 1000,
    n_resamples: int = 999,
    seed: Seed = 0,
) -> MaxTPower:
    """Power of the sign-flip max-T over tasks, two-sided, for several stimuli and one original.

    A task's observed difference is normal around effect + task effect, with variance
    discordance / n_items; the errors of the stimuli are correlated because they share the
    original.

    Args:
        effects: true macro difference of every stimulus; 0 for those that do nothing.
        n_tasks: tasks.
        sd_task: standard deviation of the true differences between tasks.
        n_items: items a task.
        discordance: share of items whose answer changes.
        correlation: of the errors of two stimuli in one task; 1/2 for one shared original.
        alpha: family-wise level.
        n_simulations: experiments.
        n_resamples: sign patterns; all experiments share them.
        seed: of everything.
    """
    check_levels(alpha, 0.999)
    mu = as_vector(effects, "effects")
    check_n(n_tasks, "n_tasks", least=2)
    check_n(n_items, "n_items")
    check_n(n_simulations, "n_simulations", least=10)
    check_n(n_resamples, "n_resamples", least=19)
    check_sd(sd_task=sd_task)
    if not (0 <= discordance <= 1 and 0 <= correlation <= 1):
        raise UserError("discordance and correlation must lie between 0 and 1")
    if sd_task == 0 and discordance == 0:
        raise UserError("sd_task and discordance are both 0: nothing varies")
    rng = rng_from(seed)
    tasks, k = int(n_tasks), mu.size
    signs = rng.integers(0, 2, size=(n_resamples, tasks)) * 2.0 - 1.0
    noise = math.sqrt(discordance / n_items)
    found = np.zeros((n_simulations, k), dtype=np.bool_)
    for i in range(n_simulations):
        shared, own = rng.standard_normal((tasks, 1)), rng.standard_normal((tasks, k))
        error = noise * (math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)
        d = mu + sd_task * rng.standard_normal((tasks, k)) + error
        observed = np.abs(_t(d.sum(axis=0)[None, :], d)[0])
        largest = np.abs(_t(signs @ d, d)).max(axis=1)
        hits = (largest[:, None] >= observed - TIE).sum(axis=0)
        found[i] = (1 + hits) / (n_resamples + 1) <= alpha
    real = np.abs(mu) > TIE
    hits = int(found[:, real].any(axis=1).sum()) if real.any() else 0
    ci = stats.binomtest(hits, n_simulations).proportion_ci(method="wilson")
    return MaxTPower(
        estimate=hits / n_simulations if real.any() else math.nan,
        interval=(float(ci.low), float(ci.high)) if real.any() else (math.nan, math.nan),
        n=tasks,
        method=f"max-T over tasks at alpha {alpha:g}, {n_simulations} simulated experiments",
        note=""
        if real.any() and not real.all()
        else "every stimulus has an effect: there is no false positive"
        if real.any()
        else "no stimulus has an effect: see false_positive",
        each=tuple(float(v) for v in found.mean(axis=0)),
        false_positive=math.nan if real.all() else float(found[:, ~real].any(axis=1).mean()),
        n_simulations=n_simulations,
    )


def _t(sums: Array, d: Array) -> Array:
    """Paired t values from signed sums; the squares do not change with the signs."""
    n = d.shape[0]
    means = sums / n
    variance = np.maximum((d**2).sum(axis=0) - n * means**2, 0.0) / (n - 1)
    t = safe_divide(means, np.sqrt(variance / n))
    return np.where(np.isnan(t), np.inf, t)
