"""The winner and its bounds: what selection alone does, and that it is seen through."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import promptlab.analysis as pa
from promptlab.errors import UnknownName, UserError


def null_experiment(
    seed: int, n_tasks: int = 12, n_items: int = 40, k: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(1.5, 1.5, (n_tasks * n_items, 1))
    scores = (rng.random((n_tasks * n_items, k + 1)) < p) * 1.0
    return scores[:, 0], scores[:, 1:], np.repeat(np.arange(n_tasks), n_items)


def test_the_winner_of_nothing_has_no_effect() -> None:
    x, y, tasks = null_experiment(1)
    found = pa.winner(x, y, tasks=tasks, n_permutations=300, n_resamples=2000)
    assert found.naive > 0.005, "picking alone gives a gain"
    assert abs(found.shrunken) < found.naive + found.null_mean
    assert found.lower < 0 < found.null_mean < found.null_upper
    assert found.pvalue > 0.05
    assert found.p_all_equal > 0.05
    assert found.interval[0] < found.estimate < found.interval[1]
    assert found.n == 12
    assert sum(found.shares) == pytest.approx(1)
    assert "without any effect" in repr(found)


def test_a_real_winner_is_found_and_named() -> None:
    x, y, tasks = null_experiment(2)
    rng = np.random.default_rng(3)
    y[:, 4] = np.maximum(y[:, 4], rng.random(y.shape[0]) < 0.3)
    frame = pd.DataFrame(y, columns=[f"EP{i:02d}" for i in range(1, 9)])
    found = pa.winner(x, frame, tasks=tasks, n_permutations=200, n_resamples=2000)
    assert (found.best, found.name) == (4, "EP05")
    assert found.pvalue < 0.01
    assert found.p_all_equal < 0.01
    assert found.lower > 0.03
    assert found.estimate == pytest.approx(found.naive, abs=0.02)


def test_the_null_of_the_winner_is_that_of_the_macro_mean() -> None:
    """Unequal tasks count the same: scaling the rows gives the mean over tasks."""
    rng = np.random.default_rng(4)
    scores = rng.random((30, 4))
    tasks = np.repeat([0, 1, 2], [3, 7, 20])
    found = pa.winner(scores[:, 0], scores[:, 1:], tasks=tasks, n_permutations=2000)
    means = np.array([scores[tasks == t].mean(axis=0) for t in range(3)]).mean(axis=0)
    assert found.naive == pytest.approx(means[1:].max() - means[0])
    stars = []
    for _ in range(2000):
        mixed = rng.permuted(scores, axis=1)
        m = np.array([mixed[tasks == t].mean(axis=0) for t in range(3)]).mean(axis=0)
        stars.append(m[1:].max() - m[0])
    assert found.null_mean == pytest.approx(np.mean(stars), abs=6 * np.std(stars) / 44)


def test_names_and_tasks_are_checked() -> None:
    x, y, tasks = null_experiment(5, n_tasks=3, n_items=10, k=2)
    with pytest.raises(UserError, match="2 stimuli but 3 names"):
        pa.winner(x, y, names=["a", "b", "c"])
    with pytest.raises(UserError, match="30 items but 4 task labels"):
        pa.winner(x, y, tasks=tasks[:4])


def test_simultaneous_bounds_hold_together() -> None:
    """Over 200 experiments with 12 correlated contrasts all bounds hold in about 95 %."""
    rng = np.random.default_rng(6)
    truth = np.linspace(-0.02, 0.03, 12)
    together, single = 0, 0
    for seed in range(200):
        shared = rng.normal(size=(20, 1))
        d = truth + 0.05 * (shared + rng.normal(size=(20, 12)))
        found = pa.simultaneous_bounds(d, n_resamples=300, seed=seed)
        together += bool((found.interval[0] <= truth).all())
        naive = d.mean(axis=0) - 1.729 * d.std(axis=0, ddof=1) / math.sqrt(20)
        single += bool((naive <= truth).all())
    assert together >= 200 * 0.95 - 3 * math.sqrt(200 * 0.05 * 0.95)
    assert single < 200 * 0.8, "bounds for one contrast do not hold for twelve"


def test_bounds_of_one_contrast_are_bootstrap_t() -> None:
    rng = np.random.default_rng(7)
    d = rng.normal(0.1, 1, 15)
    two = pa.simultaneous_bounds(d, n_resamples=20_000)
    one = pa.bootstrap_t(d, level=0.9, n_resamples=20_000)
    plain = pa.t_interval(d, level=0.9).interval[0]
    assert two.interval[0][0] == pytest.approx(min(one.interval[0], plain), abs=0.02)
    assert two.interval[1][0] == math.inf
    both = pa.simultaneous_bounds(d, side="two-sided", n_resamples=2000)
    assert both.interval[0][0] < two.interval[0][0] < d.mean() < both.interval[1][0]


def test_bounds_as_a_table() -> None:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.normal(size=(9, 3)), columns=["a", "b", "c"])
    frame["c"] = 0.0
    found = pa.simultaneous_bounds(frame, n_resamples=500)
    table = found.to_frame()
    assert table["name"].tolist() == ["a", "b", "c"]
    assert table["lower"][2] == 0.0
    assert "1 difference(s) without variation" in found.note
    assert found.best_interval == (table["lower"][found.best], math.inf)
    with pytest.raises(UnknownName, match="unknown side"):
        pa.simultaneous_bounds(frame, side="upper")  # type: ignore[arg-type]


def test_few_units_are_never_more_certain_than_t() -> None:
    d = np.array([[0.1], [0.2], [0.3]])
    found = pa.simultaneous_bounds(d, n_resamples=500)
    assert found.interval[0][0] <= pa.t_interval(d[:, 0], level=0.9).interval[0] + 1e-12
    assert found.pvalue[0] >= pa.t_interval(d[:, 0]).pvalue / 2
    sparse = np.zeros((6, 1))
    sparse[0] = 1.0
    assert pa.simultaneous_bounds(sparse, n_resamples=500).interval[0][0] < 0
