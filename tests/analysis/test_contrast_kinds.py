"""What is compared with what: weightings over conditions, and those that have names."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.analysis import (
    contrast_of,
    contrasts,
    label_exchange,
    matched_pairs,
    named_contrasts,
    sentences,
)
from promptlab.errors import UnknownName, UserError

CONDITIONS = pd.DataFrame(
    [
        ("original", "original", "none", "", ""),
        ("EP1", "stimulus", "positive", "", "esteem"),
        ("EP2", "stimulus", "positive", "", "esteem, coping"),
        ("EP1@system", "stimulus", "positive", "", "esteem"),
        ("NP1", "stimulus", "negative", "", "coping"),
        ("EP1-n", "stimulus", "neutral", "EP1", ""),
        ("EP2-n", "stimulus", "neutral", "EP2", ""),
        ("EP1-n@system", "stimulus", "neutral", "EP1", ""),
        ("cot", "cot", "none", "", ""),
    ],
    columns=["condition", "method", "valence", "matched_to", "theory"],
)
NAMES = list(CONDITIONS["condition"])


@pytest.fixture(autouse=True)
def _no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def weights_of(kinds: Any, present: list[str] = NAMES) -> dict[tuple[str, str], dict[str, float]]:
    found = named_contrasts(kinds, CONDITIONS, present)
    return {(c.condition, c.baseline): dict(c.weights) for c in found}


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.floats(-5, 5).filter(lambda w: abs(w) > 1e-3), min_size=2
    ).filter(lambda w: min(w.values()) < 0 < max(w.values()))
)
def test_each_side_sums_to_one(weights: dict[str, float]) -> None:
    found = contrast_of("mine", weights)
    values = np.array(list(found.weights.values()))
    assert values[values > 0].sum() == pytest.approx(1)
    assert values[values < 0].sum() == pytest.approx(-1)
    assert all(np.sign(found.weights[c]) == np.sign(w) for c, w in weights.items())


def test_labels_say_both_sides() -> None:
    career = contrast_of("career", {"EP1": 1, "EP2": 1, "EP1-n": -2, "EP2-n": -2})
    assert (career.condition, career.baseline) == ("EP1, EP2", "EP1-n, EP2-n")
    assert contrast_of("mine", {"EP1": 3, "EP2": 1, "x": -1}).condition == "75 % EP1, 25 % EP2"


@pytest.mark.parametrize("weights", [{"EP1": 1}, {"EP1": -1, "EP2": 0}, {}, {"a": 1, "b": np.nan}])
def test_a_contrast_has_two_sides(weights: dict[str, float]) -> None:
    with pytest.raises(UserError, match="contrast 'mine'"):
        contrast_of("mine", weights)


def test_matched_pairs_keep_the_position() -> None:
    assert matched_pairs(CONDITIONS) == {
        "EP1": "EP1-n",
        "EP2": "EP2-n",
        "EP1@system": "EP1-n@system",
    }
    assert matched_pairs(CONDITIONS[["condition"]]) == {}


def test_controls_are_compared_one_by_one_and_by_valence() -> None:
    found = weights_of(["vs_control"])
    assert found["EP1@system", "EP1-n@system"] == {"EP1@system": 1, "EP1-n@system": -1}
    assert found["positive stimuli", "matched controls"] == {
        "EP1": 0.5, "EP2": 0.5, "EP1-n": -0.5, "EP2-n": -0.5
    }  # fmt: skip
    assert len(found) == 4
    assert weights_of(None) == found  # the default, where there are controls
    assert weights_of(None, ["original", "EP1"]) == {}


def test_valences_are_compared_at_the_same_place() -> None:
    found = weights_of(["valence"])
    assert found["positive stimuli", "negative stimuli"] == {"EP1": 0.5, "EP2": 0.5, "NP1": -1}
    assert found["negative stimuli", "neutral sentences"] == {
        "NP1": 1, "EP1-n": -0.5, "EP2-n": -0.5
    }  # fmt: skip
    average = found["all emotional stimuli", "original"]
    assert average == pytest.approx({"EP1": 1 / 3, "EP2": 1 / 3, "NP1": 1 / 3, "original": -1})
    assert found["positive stimuli@system", "neutral sentences@system"] == {
        "EP1@system": 1, "EP1-n@system": -1
    }  # fmt: skip


def test_theories_come_with_their_controls() -> None:
    found = weights_of(["theory"])
    assert found["coping", "original"] == {"EP2": 0.5, "NP1": 0.5, "original": -1}
    assert found["coping", "matched controls"] == {"EP2": 1, "EP2-n": -1}
    assert found["esteem@system", "original"] == {"EP1@system": 1, "original": -1}


def test_mistakes_are_told() -> None:
    with pytest.raises(UnknownName, match="did you mean 'valence'"):
        named_contrasts(["valance"], CONDITIONS, NAMES)
    with pytest.raises(UnknownName, match="did you mean 'EP1'"):
        named_contrasts(
            [{"name": "mine", "weights": {"EP11": 1, "original": -1}}], CONDITIONS, NAMES
        )
    with pytest.raises(UserError, match="the name is taken"):
        named_contrasts([{"name": "EP1", "weights": {"EP2": 1, "NP1": -1}}], CONDITIONS, NAMES)
    with pytest.raises(UserError, match="no condition is the matched neutral control"):
        named_contrasts(["vs_control"], None, NAMES)
    with pytest.raises(UserError, match="listed twice"):
        named_contrasts(["valence", "valence"], CONDITIONS, NAMES)


def scores_of(tasks: int = 6, items: int = 30, graded: bool = False, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for t in range(tasks):
        latent = rng.uniform(size=items)
        for name in NAMES:
            move = rng.uniform(size=items) < 0.3
            u = np.where(move, rng.uniform(size=items), latent)
            score = u if graded else (u < 0.5).astype(float)
            cell = {"task": f"t{t}", "item_id": np.arange(items).astype(str), "condition": name}
            frames.append(pd.DataFrame(cell | {"score": score}))
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("graded", [False, True])
def test_weights_by_hand(graded: bool) -> None:
    scores = scores_of(graded=graded)
    mine = {"name": "mine", "weights": {"EP1": 3, "NP1": 1, "EP1-n": -1, "EP2-n": -1}}
    found = contrasts(scores, CONDITIONS, contrasts=["vs_control", mine]).set_index(
        ["contrast", "level", "task"]
    )
    wide = scores.pivot_table(index="task", columns="condition", values="score")
    deltas = 0.75 * wide["EP1"] + 0.25 * wide["NP1"] - (wide["EP1-n"] + wide["EP2-n"]) / 2
    row = found.loc[("mine", "macro", "*")]
    assert row["difference"] == pytest.approx(deltas.mean())
    assert row["mean_baseline"] == pytest.approx((wide["EP1-n"] + wide["EP2-n"]).mean() / 2)
    assert row["verdict"] in ("inconclusive", "better", "worse", "equivalent")
    assert (row["n_tasks"], row["n_items"], row["planned"]) == (6, 180, 360)
    assert found.loc[("mine", "cell", "t2"), "difference"] == pytest.approx(deltas["t2"])
    assert "label permutation" in found.loc[("mine", "cell", "t2"), "test_method"]


def test_a_control_as_baseline_gives_the_same_row() -> None:
    scores = scores_of()
    named = contrasts(scores, CONDITIONS).query("contrast == 'vs_control' and condition == 'EP1'")
    plain = contrasts(scores, baseline="EP1-n").query("condition == 'EP1'")
    same = ["difference", "lower", "upper", "pvalue", "relative_gain", "gained", "lost", "n_items"]
    np.testing.assert_allclose(named[same].to_numpy(float), plain[same].to_numpy(float))


def test_every_condition_against_the_original_stays_as_it_was() -> None:
    scores = scores_of()
    alone = contrasts(scores, CONDITIONS, contrasts=[])
    assert set(alone["contrast"]) == {"vs_original"}
    every = contrasts(scores, CONDITIONS, contrasts=["vs_control", "valence", "theory"])
    kept = every[every["contrast"] == "vs_original"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, alone)


def test_an_item_takes_part_if_all_conditions_have_it() -> None:
    scores = scores_of(tasks=2, items=10)
    missing = (scores["condition"] == "NP1") & (scores["item_id"] == "3")
    scores.loc[missing, "score"] = np.nan
    plan: list[Any] = [{"name": "mine", "weights": {"EP1": 1, "NP1": 1, "EP1-n": -1}}]
    row = contrasts(scores, CONDITIONS, contrasts=plan).query(
        "contrast == 'mine' and level == 'macro'"
    )
    assert (row["n_items"].item(), row["unpaired"].item(), row["failed"].item()) == (18, 2, 2)
    filled = scores.fillna({"score": 0.0})
    wrong = contrasts(filled, CONDITIONS, contrasts=plan).query(
        "contrast == 'mine' and level == 'macro'"
    )
    assert row["missing_as_wrong"].item() == pytest.approx(wrong["difference"].item())
    policy = contrasts(scores, CONDITIONS, contrasts=plan, missing="as_wrong").query(
        "contrast == 'mine' and level == 'macro'"
    )
    assert policy["difference"].item() == pytest.approx(wrong["difference"].item())


def test_one_task_is_tested_by_labels() -> None:
    scores = scores_of(tasks=1)
    row = contrasts(scores, CONDITIONS, contrasts=["valence"]).query(
        "condition == 'all emotional stimuli' and level == 'macro'"
    )
    wide = scores.pivot(index="item_id", columns="condition", values="score")
    alone = label_exchange(wide[["original", "EP1", "EP2", "NP1"]])
    assert row["pvalue"].item() == pytest.approx(alone.pvalue)
    assert row["test_method"].item() == "label permutation (exact) over items of one task"


def test_contrasts_can_be_confirmatory() -> None:
    scores = scores_of()
    found = contrasts(
        scores, CONDITIONS, contrasts=["valence", "vs_control"], confirmatory=["EP1", "vs_control"]
    ).query("level == 'macro'")
    own = found[found["family"] == "confirmatory"]
    assert sorted(zip(own["contrast"], own["condition"], strict=True)) == [
        ("vs_control", "EP1"),
        ("vs_control", "EP1@system"),
        ("vs_control", "EP2"),
        ("vs_control", "positive stimuli"),
        ("vs_original", "EP1"),
    ]
    assert set(own["family_size"]) == {5}
    assert set(own["adjust_method"]) == {"max-T"}
    with pytest.raises(UserError, match="add it to 'contrasts'"):
        contrasts(scores, CONDITIONS, confirmatory=["theory"])


def test_sentences_name_both_sides() -> None:
    said = sentences(contrasts(scores_of(), CONDITIONS, contrasts=["vs_control", "valence"]))
    assert any(s.startswith("EP1 against its neutral control (EP1-n): ") for s in said)
    assert any(s.startswith("positive stimuli against their matched controls: ") for s in said)
    assert any(s.startswith("positive stimuli against negative stimuli: ") for s in said)
