"""Coverage of the macro difference when true effects differ from task to task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Array, safe_divide
from promptlab.analysis.bootstrap import count_matrix
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.macro import macro_statistics

__all__ = ["DESIGNS", "OverTasks", "simulate"]

_ITEMS = 100
_SPREAD = 0.04
_DISCORDANCE = 0.25
_RESAMPLES = 1999
_SHARED = 25
"""Experiments that share one count matrix of the bootstrap."""


@dataclass(frozen=True, slots=True)
class OverTasks:
    """So many tasks of 100 items; the true effects have mean 0 and standard deviation .04."""

    tasks: int


DESIGNS = {f"T={tasks}": OverTasks(tasks) for tasks in (8, 24, 45)}


def simulate(design: OverTasks, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add which intervals hold 0, the mean over all tasks."""
    shape = (design.tasks, simulations)
    effect = np.clip(rng.normal(0.0, _SPREAD, shape), -_DISCORDANCE, _DISCORDANCE)
    gain, loss = (_DISCORDANCE + effect) / 2, (_DISCORDANCE - effect) / 2
    drawn = rng.multinomial(_ITEMS, np.stack([gain, loss, 1 - gain - loss], axis=-1))
    b, c = drawn[..., 0], drawn[..., 1]
    delta = (b - c) / _ITEMS
    variance = ((b + c) / _ITEMS - delta**2) / (_ITEMS - 1)

    pooled = delta.mean(axis=0)
    n = design.tasks * _ITEMS
    se = np.sqrt(((b + c).sum(axis=0) / n - pooled**2) / (n - 1))
    z = float(stats.norm.isf(0.025))
    _covers(tally, "pooled items z", pooled - z * se, pooled + z * se, "naive")

    original = np.full(shape, 0.5)
    zero = np.zeros(shape)
    fixed = macro_statistics(
        original, original + delta, moments=(zero, variance, zero), tasks="fixed"
    )
    _covers(tally, "fixed tasks z", fixed.lower, fixed.upper, "other")
    over = macro_statistics(original, original + delta, seed=rng)
    half = z * over.se
    _covers(tally, "z over tasks", pooled - half, pooled + half, "shown")
    _covers(tally, "t over tasks", over.lower, over.upper, "valid")
    tally.add("sign-flip over tasks", "type I", over.pvalue <= 0.05, claim="valid")
    for start in range(0, simulations, _SHARED):
        _bootstraps(delta[:, start : start + _SHARED], rng, tally)


def _bootstraps(delta: Array, rng: np.random.Generator, tally: Tally) -> None:
    """Whole tasks are resampled; bootstrap-t studentises every resample."""
    tasks = delta.shape[0]
    counts = count_matrix(tasks, _RESAMPLES, rng)
    means = counts @ delta / tasks
    squares = counts @ delta**2 / tasks
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    _covers(tally, "task percentile bootstrap", low, high, "shown")
    estimate = delta.mean(axis=0)
    se = delta.std(axis=0, ddof=1) / np.sqrt(tasks)
    errors = np.sqrt(np.maximum(squares - means**2, 0.0) / (tasks - 1))
    t = safe_divide(means - estimate, errors)
    t = np.where(np.isnan(t), np.where(means >= estimate, np.inf, -np.inf), t)
    t.sort(axis=0)
    last = round(0.025 * (_RESAMPLES + 1)) - 1
    _covers(
        tally,
        "task bootstrap-t",
        estimate - t[_RESAMPLES - 1 - last] * se,
        estimate - t[last] * se,
        "valid",
    )


def _covers(tally: Tally, name: str, low: Array, high: Array, claim: Claim) -> None:
    tally.add(name, "coverage", (low <= 0) & (high >= 0), claim=claim)
