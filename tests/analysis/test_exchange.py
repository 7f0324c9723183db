"""Label exchange: exact where it can be, and valid where sign-flips are not."""

from __future__ import annotations

import warnings
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.analysis import label_exchange, label_permutation, sign_flip
from promptlab.errors import UserError


@pytest.fixture(autouse=True)
def _no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def enumerated(table: np.ndarray, weights: np.ndarray) -> float:
    """P over every assignment of labels inside every item."""
    observed = abs((table @ weights).mean())
    orders = list(permutations(range(table.shape[1])))
    found = [
        abs(np.mean([row[list(order)] @ weights for row, order in zip(table, chosen, strict=True)]))
        for chosen in product(orders, repeat=table.shape[0])
    ]
    return float(np.mean(np.array(found) >= observed - 1e-9))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from([(-1.0, 0.5, 0.5), (1.0, -0.5, -0.5), (1.0, -1.0, 0.0)]),
)
def test_exact_is_every_assignment_of_labels(
    table: list[list[int]], weights: tuple[float, ...]
) -> None:
    scores, w = np.array(table, float), np.array(weights)
    used = w != 0
    found = label_exchange(scores, w)
    assert found.pvalue == pytest.approx(enumerated(scores[:, used], w[used]))
    assert found.n_resamples == 0
    assert found.estimate == pytest.approx((scores @ w).mean())


def test_drawn_labels_agree_with_the_exact_distribution() -> None:
    rng = np.random.default_rng(2)
    scores = (rng.uniform(size=(40, 5)) < [0.35, 0.6, 0.6, 0.5, 0.5]).astype(float)
    exact = label_exchange(scores)
    drawn = label_permutation(scores, statistic="mean", n_permutations=4000, seed=1)
    assert exact.estimate == pytest.approx(drawn.estimate)
    assert drawn.pvalue == pytest.approx(exact.pvalue, abs=4 * drawn.mc_error + 1e-3)
    nearly = label_exchange(scores * (1 - 1e-12), n_resamples=4000, seed=1)
    assert nearly.n_resamples == 4000
    assert nearly.pvalue == pytest.approx(exact.pvalue, abs=4 * nearly.mc_error + 1e-3)


def test_two_prompts_are_the_exact_sign_flip() -> None:
    rng = np.random.default_rng(3)
    scores = (rng.uniform(size=(60, 2)) < [0.5, 0.65]).astype(float)
    assert label_exchange(scores).pvalue == pytest.approx(
        sign_flip(scores[:, 1] - scores[:, 0]).pvalue
    )


def test_many_items_are_added_by_fft() -> None:
    rng = np.random.default_rng(4)
    scores = (rng.uniform(size=(6000, 11)) < 0.6).astype(float)
    found = label_exchange(scores)
    assert 0 < found.pvalue <= 1
    deviation = abs(found.estimate) / np.sqrt(
        ((scores[:, 1:].mean(axis=1) - scores[:, 0]) ** 2).mean() / 6000
    )
    assert found.pvalue == pytest.approx(2 * (1 - _phi(deviation)), abs=0.02)


def _phi(z: float) -> float:
    from scipy import stats

    return float(stats.norm.cdf(z))


def test_it_holds_its_level_near_the_ceiling_where_sign_flips_do_not() -> None:
    # Statistics of average stimulus against original, 20 items, 11 stimuli, success rate .93.
    rng = np.random.default_rng(5)
    labels, signs = [], []
    for _ in range(400):
        scores = (rng.uniform(size=(20, 12)) < 0.93).astype(float)
        labels.append(label_exchange(scores).pvalue <= 0.05)
        signs.append(sign_flip(scores[:, 1:].mean(axis=1) - scores[:, 0]).pvalue <= 0.05)
    assert np.mean(labels) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(signs) > 0.12


@pytest.mark.parametrize(
    ("scores", "weights", "message"),
    [
        ([[1.0]], None, "at least two prompts"),
        ([[1.0, np.nan]], None, "every item under every prompt"),
        ([[1.0, 0.0]], [1.0, -0.5], "sum to 1"),
        ([[1.0, 0.0]], [1.0], "2 prompts but 1 weights"),
    ],
)
def test_what_cannot_be_tested_is_refused(scores: Any, weights: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        label_exchange(scores, weights)


def test_nothing_moves() -> None:
    assert label_exchange(np.ones((5, 4))).pvalue == 1
    assert label_exchange(np.zeros((5, 4))).pvalue == 1
