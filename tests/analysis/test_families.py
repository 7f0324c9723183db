"""Who shares an error rate with whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.analysis import adjust, contrasts, max_t, sign_flip
from promptlab.analysis.families import adjust_together, over_models
from promptlab.errors import UnknownName

P = st.floats(1e-6, 1.0)


@settings(max_examples=100)
@given(st.lists(P, min_size=1, max_size=6))
def test_models_with_one_test_each_are_holm(pvalues: list[float]) -> None:
    found = over_models([np.array([p]) for p in pvalues])
    np.testing.assert_allclose(np.concatenate(found), adjust(pvalues, "holm"))


@settings(max_examples=100)
@given(st.lists(st.lists(P, min_size=1, max_size=4), min_size=1, max_size=4))
def test_models_lie_between_the_raw_and_the_bonferroni_value(families: list[list[float]]) -> None:
    arrays = [np.array(f) for f in families]
    for before, after in zip(arrays, over_models(arrays), strict=True):
        assert (after >= np.minimum(1, before) - 1e-12).all()
        assert (after <= np.minimum(1, len(arrays) * before) + 1e-12).all()


def test_a_model_gives_its_share_only_when_all_its_tests_are_rejected() -> None:
    done, half = np.array([0.001, 0.002]), np.array([0.03, 0.6])
    first, second = over_models([done, half])
    assert first == pytest.approx([0.002, 0.004])
    assert second == pytest.approx([0.03, 0.6])  # the other model is done at .004
    first, second = over_models([half, half])
    assert first == pytest.approx([0.06, 1.0])


def test_a_model_without_a_test_is_not_counted() -> None:
    first, second = over_models([np.array([0.02]), np.array([np.nan])])
    assert first == pytest.approx([0.02])
    assert np.isnan(second).all()


def test_over_models_the_error_rate_holds_when_some_hypotheses_are_false() -> None:
    # Three models, each with one true and one false hypothesis: no share may be given away.
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(4000):
        families = [np.array([1e-9, rng.uniform()]) for _ in range(3)]
        wrong += any(p[1] <= 0.05 for p in over_models(families))
    assert wrong / 4000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_max_t_is_that_of_the_tasks() -> None:
    d = np.random.default_rng(1).normal(0.2, 1, (9, 4))
    p = np.array([sign_flip(column).pvalue for column in d.T])
    found, method = adjust_together(p, d)
    assert method == "max-T"
    np.testing.assert_allclose(found, np.maximum(max_t(d).step_down, p))
    assert adjust_together(p, d, correction="holm")[1] == "Holm"
    np.testing.assert_allclose(adjust_together(p, d, correction="holm")[0], adjust(p, "holm"))


@pytest.mark.parametrize(
    ("differences", "tasks", "why"),
    [
        (np.ones((5, 2)), "fixed", "random tasks"),
        (np.ones((1, 2)), "random", "two tasks"),
        (np.array([[1, np.nan], [0.2, 0.1], [0.3, 0.4]]), "random", "every condition"),
    ],
)
def test_holm_where_max_t_cannot_be(differences: Any, tasks: str, why: str) -> None:
    p = np.array([0.01, 0.04])
    found, method = adjust_together(p, differences, tasks=tasks)
    assert method.startswith("Holm, as max-T needs")
    assert why in method
    np.testing.assert_allclose(found, adjust(p, "holm"))


def test_a_contrast_without_a_test_is_left_out() -> None:
    d = np.column_stack([np.random.default_rng(1).normal(0.2, 1, (9, 2)), np.full(9, np.nan)])
    found, method = adjust_together(np.array([0.1, 0.2, np.nan]), d)
    assert method == "max-T"
    assert np.isnan(found[2])


def test_the_table_says_which_family_and_how_many_tests(make_scores: Any) -> None:
    names = ("EP01", "EP02", "EP03")
    one = make_scores(8, 20, names)
    both = pd.concat([one.assign(model="a"), one.assign(model="b")])
    macro = contrasts(both).query("level == 'macro'")
    assert set(macro["adjust_method"]) == {"max-T, 2 models by Holm"}
    assert set(macro["family_size"]) == {6}
    alone = contrasts(one).query("level == 'macro'")
    doubled = np.minimum(1, 2 * alone["p_adjusted"].to_numpy())
    found = macro.query("model == 'a'")["p_adjusted"].to_numpy()
    assert (found <= doubled + 1e-12).all()
    holm = contrasts(one, correction="holm").query("level == 'macro'")
    np.testing.assert_allclose(holm["p_adjusted"], adjust(holm["pvalue"], "holm"))
    with pytest.raises(UnknownName, match="did you mean 'max_t'"):
        contrasts(one, correction="maxt")  # type: ignore[arg-type]


def test_a_condition_missing_on_a_task_falls_back_to_holm(make_scores: Any) -> None:
    scores = make_scores(8, 20, ("EP01", "EP02"))
    gone = (scores["condition"] == "EP02") & (scores["task"] == scores["task"].iloc[0])
    macro = contrasts(scores[~gone]).query("level == 'macro'")
    assert set(macro["adjust_method"]) == {"Holm, as max-T needs every condition on every task"}


def test_max_t_finds_with_few_tasks_what_holm_cannot(make_scores: Any) -> None:
    names = tuple(f"EP{i:02d}" for i in range(1, 9))
    scores = make_scores(7, 200, names, effect=dict.fromkeys(names, 0.25))
    together = contrasts(scores).query("level == 'macro'")
    apart = contrasts(scores, correction="holm").query("level == 'macro'")
    assert (together["verdict"] == "better").any()
    assert together["detectable"].notna().all()
    assert not (apart["verdict"] == "better").any()  # 8 x 2^-6 > .05
    assert apart["detectable"].isna().all()
