from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from promptlab.analysis import BEST_COLUMNS, best_of_stimuli, label_permutation

STIMULI = tuple(f"EP{k:02d}" for k in range(1, 11))


def test_the_naive_maximum_stands_beside_its_null(make_scores: Any) -> None:
    found = best_of_stimuli(make_scores(10, 60, STIMULI), n_permutations=200)
    assert tuple(found.columns) == BEST_COLUMNS
    row = found.iloc[0]
    assert row["mean_of_max"] > 0.03
    assert row["null_mean"] == pytest.approx(row["mean_of_max"], abs=0.04)
    assert row["null_mean"] < row["null_upper"]
    assert row["relative"] > 0.05
    assert row["relative_null_mean"] > 0.05
    assert (row["n_tasks"], row["n_stimuli"]) == (10, 10)


def test_it_is_the_label_permutation_test(make_scores: Any) -> None:
    scores = make_scores(4, 30, STIMULI[:4], effect={"EP02": 0.2})
    found = best_of_stimuli(scores, n_permutations=400).iloc[0]
    wide = scores.pivot(index=["task", "item_id"], columns="condition", values="score")
    wide = wide[["original", *STIMULI[:4]]]
    tasks = wide.index.get_level_values("task")
    alone = label_permutation(wide.to_numpy(), tasks, n_permutations=400)
    assert found["mean_of_max"] == pytest.approx(alone.estimate)
    assert found["null_mean"] == pytest.approx(alone.null_mean, abs=0.005)


def test_tasks_with_a_zero_baseline_are_left_out_of_the_ratio_and_counted(make_table: Any) -> None:
    scores = make_table(
        {
            ("a", "original"): [0, 0], ("a", "EP01"): [1, 0], ("a", "EP02"): [0, 0],
            ("b", "original"): [1, 0], ("b", "EP01"): [1, 1], ("b", "EP02"): [1, 0],
        }
    )  # fmt: skip
    row = best_of_stimuli(scores, n_permutations=50).iloc[0]
    assert row["mean_of_max"] == pytest.approx(0.5)
    assert row["relative"] == pytest.approx(1.0)
    assert row["excluded_tasks"] == 1


def test_all_ones_and_nothing_scored(make_table: Any) -> None:
    ones = {(t, c): [1, 1] for t in "ab" for c in ("original", "EP01", "EP02")}
    row = best_of_stimuli(make_table(ones), n_permutations=20).iloc[0]
    assert (row["mean_of_max"], row["null_mean"], row["pvalue"]) == (0, 0, 1)
    gone = {("a", c): [None] for c in ("original", "EP01")}
    row = best_of_stimuli(make_table(gone), n_permutations=20).iloc[0]
    assert np.isnan(row["mean_of_max"])
    assert row["n_tasks"] == 0


def test_who_takes_part(make_scores: Any) -> None:
    scores = make_scores(3, 10, ("EP01", "EP02", "EP01-neutral", "zero_shot_cot"))
    about = pd.DataFrame(
        {
            "condition": ["EP01", "EP02", "EP01-neutral", "zero_shot_cot"],
            "method": ["stimulus", "stimulus", "stimulus", "zero_shot_cot"],
            "valence": ["positive", "positive", "neutral", "none"],
        }
    )
    assert best_of_stimuli(scores, about, n_permutations=20)["n_stimuli"].tolist() == [2]
    assert best_of_stimuli(scores, n_permutations=20)["n_stimuli"].tolist() == [4]


def test_the_seed_decides(make_scores: Any) -> None:
    scores = make_scores(3, 20)
    first = best_of_stimuli(scores, n_permutations=100, seed=1)
    pd.testing.assert_frame_equal(first, best_of_stimuli(scores, n_permutations=100, seed=1))


def permuted(table: np.ndarray, n: int, starts: tuple[int, ...] = (0,), **options: Any) -> Any:
    from promptlab.analysis.permuted import permuted_means

    blocks = permuted_means(table, np.array(starts), n, 3, **options)
    return np.concatenate(list(blocks), axis=2)


@pytest.mark.parametrize("listed", [True, False])
def test_every_choice_of_labels_is_equally_likely(
    listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One item with 2 right answers among 4 prompts: 6 outcomes, each a sixth of the time."""
    from promptlab.analysis import permuted as module

    if not listed:
        monkeypatch.setattr(module, "_LISTED", 0)
    means = permuted(np.array([[1.0, 1.0, 0.0, 0.0]]), 6000)[:, 0]
    assert (means.sum(axis=0) == 2).all()
    _, counts = np.unique(means.T, axis=0, return_counts=True)
    assert counts.size == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # chi-squared with 5 df, p = .001


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("items", [40, 300])
def test_items_of_every_kind_keep_their_scores(
    items: int, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptlab.analysis import permuted as module

    if not listed:
        monkeypatch.setattr(module, "_LISTED", 0)
    rng = np.random.default_rng(2)
    table = (rng.random((2 * items, 10)) < 0.5).astype(float)
    table[:7] = rng.random((7, 10))
    table[9], table[10] = 0.25, 1.0
    means = permuted(table, 400, (0, items))
    rows = table.reshape(2, items, 10)
    assert means.sum(axis=0) == pytest.approx(np.tile(rows.mean(axis=1).sum(axis=1), (400, 1)).T)
    spread = rows.var(axis=2).sum(axis=1) / items**2
    assert means.var(axis=2).mean(axis=0) == pytest.approx(spread, rel=0.1)
    assert means.mean(axis=2) == pytest.approx(np.tile(rows.mean(axis=(1, 2)), (10, 1)), abs=0.02)
    same = permuted(table, 400, (0, items), n_threads=2)
    assert np.array_equal(means, same)


def test_more_prompts_than_can_be_listed() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random((60, 30)) < 0.5).astype(float)
    found = label_permutation(scores, n_permutations=300)
    assert found.n_stimuli == 29
    assert found.null_mean == pytest.approx(found.estimate, abs=0.1)
