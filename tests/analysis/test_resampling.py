from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from promptlab.analysis import (
    bootstrap_mean,
    cross_fit,
    ideal_bootstrap,
    interval_from_replicates,
    label_permutation,
    max_t,
    sign_flip,
)
from promptlab.analysis.bootstrap import bca_limits, count_matrix
from promptlab.errors import UserError


def test_counts_sum_to_n_and_follow_the_seed() -> None:
    counts = count_matrix(13, 200, 3)
    assert counts.shape == (200, 13)
    assert (counts.sum(axis=1) == 13).all()
    assert (counts == count_matrix(13, 200, 3)).all()


def test_many_columns_at_once_are_the_single_ones() -> None:
    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.random(40) ** 3, rng.normal(size=40), np.full(40, 0.25)])
    counts = count_matrix(40, 3000, 1)
    low, high = bca_limits(columns, counts)
    for k in range(2):
        alone = interval_from_replicates(columns[:, k], counts @ columns[:, k] / 40)
        assert (low[k], high[k]) == pytest.approx(alone.interval)
    assert low[2] == high[2] == 0.25


def test_bca_agrees_with_scipy() -> None:
    x = np.random.default_rng(5).random(60) ** 2
    ours = bootstrap_mean(x, n_resamples=20_000, seed=1).interval
    theirs = stats.bootstrap((x,), np.mean, n_resamples=20_000, rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_degenerate_data_give_the_point() -> None:
    found = bootstrap_mean([0.5] * 10, n_resamples=100)
    assert found.interval == (0.5, 0.5)
    assert found.degenerate
    with pytest.raises(UserError):
        ideal_bootstrap([0.5] * 5)
    with pytest.raises(UserError, match="bootstrap_mean"):
        ideal_bootstrap(np.arange(13))
    with pytest.raises(UserError, match="unknown"):
        bootstrap_mean([0.1, 0.2], kind="nothing")


def test_resampling_approaches_the_ideal_bootstrap() -> None:
    x = np.array([0.1, 0.4, 0.35, 0.8, 0.75, 0.2])
    ideal, drawn = ideal_bootstrap(x), bootstrap_mean(x, n_resamples=50_000)
    assert ideal.n_compositions == math.comb(11, 5)
    assert drawn.se == pytest.approx(ideal.se, rel=0.02)
    assert drawn.interval == pytest.approx(ideal.interval, abs=0.03)


@given(st.integers(2, 8), st.integers(1, 4), st.integers(0, 100))
def test_max_t_orders_its_p_values(n: int, k: int, seed: int) -> None:
    d = np.random.default_rng(seed).integers(-4, 5, (n, k)) / 4
    found = max_t(d, statistic="mean")
    assert (found.pvalue <= found.step_down + 1e-12).all()
    assert (found.step_down <= found.single_step + 1e-12).all()
    for j in range(k):
        assert found.pvalue[j] == pytest.approx(sign_flip(d[:, j]).pvalue)


def test_max_t_edges() -> None:
    assert (max_t(np.zeros((5, 3))).pvalue == 1).all()
    assert np.isinf(max_t(np.full((5, 1), 0.25)).statistic[0])
    drawn = max_t(np.random.default_rng(0).normal(size=(30, 3)), n_resamples=500)
    assert drawn.n_resamples == 500
    assert list(drawn.to_frame()) == [
        "estimate", "statistic", "pvalue", "single_step", "step_down",
    ]  # fmt: skip
    assert repr(drawn).startswith("Of 3 contrasts over ")
    with pytest.raises(UserError, match="two units"):
        max_t(np.zeros((1, 3)))
    with pytest.raises(UserError, match="incomplete"):
        max_t([[np.nan], [1.0]])


def test_label_permutation_of_identical_prompts() -> None:
    scores = np.repeat(np.random.default_rng(0).random((20, 1)), 4, axis=1)
    found = label_permutation(scores, n_permutations=100)
    assert found.estimate == 0
    assert found.pvalue == 1
    assert found.null_mean == 0


def test_label_permutation_finds_an_effect_and_names_its_null() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(1.5, 1.5, 200)
    scores = (rng.random((200, 6)) < p[:, None]).astype(float)
    tasks = np.repeat(np.arange(4), 50)
    null = label_permutation(scores, tasks, n_permutations=300)
    assert 0.02 < null.null_mean < 0.2
    assert null.pvalue > 0.05
    scores[:, 3] = np.maximum(scores[:, 3], rng.random(200) < 0.6)
    assert label_permutation(scores, tasks, n_permutations=300).pvalue < 0.01
    average = label_permutation(scores, statistic="mean", n_permutations=300)
    assert abs(average.null_mean) < 0.02


@pytest.mark.parametrize("bad", [[[1.0]], [1.0, 2.0], [[np.nan, 1.0]]])
def test_label_permutation_refuses(bad: object) -> None:
    with pytest.raises(UserError):
        label_permutation(bad)


def test_cross_fit_is_free_of_selection_bias() -> None:
    rng = np.random.default_rng(0)
    estimates, naive = [], []
    for _ in range(60):
        p = rng.random(40)
        scores = (rng.random((40, 11)) < p[:, None]).astype(float)
        found = cross_fit(scores[:, 0], scores[:, 1:], n_splits=3, seed=rng)
        estimates.append(found.estimate)
        naive.append(found.naive)
    assert np.mean(naive) > 0.05
    assert abs(np.mean(estimates)) < 4 * np.std(estimates) / math.sqrt(60)


def test_cross_fit_over_tasks_and_edges() -> None:
    rng = np.random.default_rng(2)
    scores, tasks = rng.random((60, 3)), np.repeat(["a", "b", "c"], 20)
    found = cross_fit(scores[:, 0], scores[:, 1:], tasks=tasks, n_splits=4)
    assert found.n == 3
    assert sum(found.shares) == pytest.approx(1)
    flat = cross_fit(np.zeros(6), np.zeros((6, 2)))
    assert flat.degenerate
    with pytest.raises(UserError, match="two folds"):
        cross_fit([0, 1], [[1], [1]], folds=[0, 0])
    with pytest.raises(UserError, match="without missing"):
        cross_fit([0, 1], [[1], [np.nan]])
