"""The best of K stimuli over 24 tasks when no stimulus does anything: the false-positive machine.

Tests of a maximum are one-sided at 5 %. Procedures that resample inside one task are tried on the
first four tasks of an experiment, and their share counts as one outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Array
from promptlab.analysis.best import label_permutation
from promptlab.analysis.calibration import naive
from promptlab.analysis.calibration.designs import (
    NOISY,
    STABLE,
    TASK_ACCURACIES,
    answer,
    item_chances,
    shift_logit,
)
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.crossfit import cross_fit
from promptlab.analysis.macro import macro_statistics
from promptlab.analysis.maxt import max_t
from promptlab.analysis.multiplicity import adjust
from promptlab.analysis.paired import mcnemar_p

__all__ = ["DESIGNS", "BestOf", "simulate"]

_ITEMS = 100
_LOOKED_AT = (0, 8, 16, 23)
"""Tasks of an experiment, from hard to easy, in which what resamples items is tried."""
_PERMUTATIONS = 99
"""Exact at 5 %: p = (1 + exceedances) / 100."""
_SIGNS = 999
_SPLITS = 2
_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class BestOf:
    """`stimuli` against one original; effects that differ from task to task, with mean zero."""

    stimuli: int
    concentration: float
    spread: float = 0.0
    """Standard deviation of a stimulus' effect over tasks, in log odds."""


DESIGNS = {
    "K=10 noisy": BestOf(10, NOISY),
    "K=11 noisy": BestOf(11, NOISY),
    "K=21 noisy": BestOf(21, NOISY),
    "K=10 stable": BestOf(10, STABLE),
    "K=11 stable": BestOf(11, STABLE),
    "K=10 task effects": BestOf(10, NOISY, 0.5),
}


def simulate(design: BestOf, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add what each procedure said."""
    for _ in range(simulations):
        scores = _scores(design, rng)
        # No stimulus helps on average, but in each task some do: a test inside the task is right
        # to say so, and `all prompts are the same` is false.
        same = not design.spread
        _per_task(scores, same, rng, tally)
        _mean_of_max(scores, same, rng, tally)
        _best_overall(scores, same, rng, tally)
        _average(scores, tally)


def _scores(design: BestOf, rng: np.random.Generator) -> Array:
    """Tasks x items x prompts; the first prompt is the original."""
    tasks, prompts = TASK_ACCURACIES.size, design.stimuli + 1
    p = item_chances(rng, TASK_ACCURACIES[:, None], design.concentration, (tasks, _ITEMS))
    chances = np.broadcast_to(p[..., None], (tasks, _ITEMS, prompts))
    if design.spread:
        shift = rng.normal(0.0, design.spread, (tasks, 1, prompts))
        shift[..., 0] = 0.0
        chances = shift_logit(chances, shift)
    return answer(rng, chances)


def _differences(scores: Array) -> Array:
    """Tasks x stimuli: the mean difference from the original."""
    means = scores.mean(axis=1)
    return np.asarray(means[:, 1:] - means[:, :1])


def _per_task(scores: Array, same: bool, rng: np.random.Generator, tally: Tally) -> None:
    delta = _differences(scores)
    items = scores[..., 1:] - scores[..., :1]
    p = mcnemar_p((items > 0).sum(axis=1), (items < 0).sum(axis=1))
    best = delta.argmax(axis=1)
    tasks, k = delta.shape
    winner = p[np.arange(tasks), best]
    ahead = delta.max(axis=1) > 0
    valid: Claim = "valid" if same else "other"
    tally.add("per task: best stimulus above the original", "share of tasks", ahead.mean())
    wins = (p <= 0.05) & (delta > 0)
    naive_claim: Claim = "naive" if same else "other"
    for name, p_winner, claim in (
        ("per task: best stimulus, naive mid-p", winner, naive_claim),
        ("per task: best stimulus, Bonferroni", k * winner, valid),
    ):
        tally.add(name, "type I", (ahead & (p_winner <= 0.05)).mean(), claim=claim)
    by_signs = [
        max_t(items[t], side="upper", n_resamples=_SIGNS, seed=rng).single_step.min() <= 0.05
        for t in _LOOKED_AT
    ]
    by_labels = [
        label_permutation(scores[t], n_permutations=_PERMUTATIONS, seed=rng).pvalue <= 0.05
        for t in _LOOKED_AT
    ]
    # Inside one task the sign-flip max-T holds only nearly, so nothing is claimed of it.
    shown: Claim = "shown" if same else "other"
    tally.add("per task: sign-flip max-T", "type I", np.mean(by_signs), claim=shown)
    tally.add("per task: label permutation", "type I", np.mean(by_labels), claim=valid)
    any_claim: Claim = "control" if same else "other"
    tally.add("any task x stimulus: naive mid-p", "type I", wins.any(), claim=any_claim)
    tally.add("any task x stimulus: naive mid-p", "wins", wins.sum(), claim="naive")


def _mean_of_max(scores: Array, same: bool, rng: np.random.Generator, tally: Tally) -> None:
    delta = _differences(scores)
    gain = delta.max(axis=1)
    original = scores[..., 0].mean(axis=1)
    control: Claim = "control" if same else "other"
    name = "mean of per-task maxima"
    by_t = float(naive.t_p(gain[:, None], "greater")[0])
    tally.add(f"{name}: naive t", "type I", by_t <= 0.05, claim=control)
    by_rank = stats.wilcoxon(gain, alternative="greater").pvalue
    tally.add(f"{name}: naive Wilcoxon", "type I", by_rank <= 0.05, claim=control)
    tasks, items, prompts = scores.shape
    by_labels = label_permutation(
        scores.reshape(-1, prompts),
        np.repeat(np.arange(tasks), items),
        n_permutations=_PERMUTATIONS,
        seed=rng,
    )
    valid: Claim = "valid" if same else "other"
    tally.add(f"{name}: label permutation", "type I", by_labels.pvalue <= 0.05, claim=valid)
    tally.add(name, "points", 100 * gain.mean(), claim="naive")
    tally.add(name, "relative gain (%)", 100 * (gain / original).mean(), claim="naive")
    fits = [
        cross_fit(s[:, 0], s[:, 1:], n_splits=_SPLITS, n_resamples=0, seed=rng).estimate
        for s in scores
    ]
    units = np.array(fits)[:, None]
    name = "per-task winner, cross-fit"
    tally.add(f"{name}: t over tasks", "type I", naive.t_p(units)[0] <= 0.05, claim=valid)
    tally.add(name, "points", 100 * units.mean())


def _best_overall(scores: Array, same: bool, rng: np.random.Generator, tally: Tally) -> None:
    delta = _differences(scores)
    k = delta.shape[1]
    best = int(delta.mean(axis=0).argmax())
    column = delta[:, best]
    tasks, items, prompts = scores.shape
    pooled = (scores[..., best + 1] - scores[..., 0]).reshape(-1, 1)
    one_sided = naive.t_p(delta, "greater")
    name = "best overall stimulus"
    for how, p in (
        ("naive t", one_sided[best]),
        ("naive Wilcoxon", stats.wilcoxon(column, alternative="greater").pvalue),
        ("pooled items z", naive.z_p(pooled, "greater")[0]),
    ):
        tally.add(f"{name}: {how}", "type I", p <= 0.05, claim="naive")
    by_signs = max_t(delta, side="upper", n_resamples=_SIGNS, seed=rng).step_down.min()
    tally.add(f"{name}: sign-flip max-T over tasks", "type I", by_signs <= 0.05, claim="valid")
    tally.add(f"{name}: Bonferroni t", "type I", k * one_sided[best] <= 0.05, claim="valid")
    # Every task has as many items, so the mean over items is the mean over tasks.
    flat = scores.reshape(-1, prompts)
    by_labels = label_permutation(flat, n_permutations=_PERMUTATIONS, seed=rng).pvalue
    valid: Claim = "valid" if same else "other"
    tally.add(f"{name}: label permutation", "type I", by_labels <= 0.05, claim=valid)
    fit = cross_fit(
        flat[:, 0],
        flat[:, 1:],
        tasks=np.repeat(np.arange(tasks), items),
        n_splits=_SPLITS,
        n_resamples=_RESAMPLES,
        seed=rng,
    )
    # Chosen and measured on the same tasks: with task effects the winner does suit these tasks.
    tally.add(f"{name}: cross-fit, t over tasks", "type I", fit.pvalue <= 0.05, claim=valid)
    # With the error sd / sqrt(tasks) instead: the folds share what was chosen.
    simple = cross_fit(
        flat[:, 0],
        flat[:, 1:],
        tasks=np.repeat(np.arange(tasks), items),
        n_splits=_SPLITS,
        n_resamples=0,
        seed=rng,
    )
    without = f"{name}: cross-fit, error without the choice"
    tally.add(without, "type I", simple.pvalue <= 0.05, claim="naive")
    tally.add(name, "points", 100 * column.mean(), claim="naive")


def _average(scores: Array, tally: Tally) -> None:
    """The average stimulus, and what `contrasts` does with a family of K stimuli."""
    delta = _differences(scores)
    average = naive.t_p(delta.mean(axis=1)[:, None])[0]
    tally.add("stimulus average: t over tasks", "type I", average <= 0.05, claim="valid")
    means = scores.mean(axis=1)
    over = macro_statistics(np.broadcast_to(means[:, :1], delta.shape), means[:, 1:])
    family = adjust(over.pvalue, "holm").min() <= 0.05
    tally.add("family of K: sign-flip over tasks, Holm", "type I", family, claim="valid")
    covered = ((over.lower <= 0) & (over.upper >= 0)).mean()
    tally.add("each of K: t interval over tasks", "coverage", covered, claim="valid")
