from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.analysis import CONTRAST_COLUMNS, contrasts, count_pairs, mcnemar, t_interval
from promptlab.errors import UnknownName, UnpairedScores, UserError

ANSWERS = {
    ("a", "original"): [0, 0, 1, 1, 1, 0, 1, 0, 1, 1],
    ("a", "EP01"): [1, 1, 1, 1, 0, 1, 1, 0, 1, 1],
    ("b", "original"): [0, 0, 0, 1, 1, 0],
    ("b", "EP01"): [0, 1, 0, 1, 1, 1],
    ("c", "original"): [1, 1, 1, 0],
    ("c", "EP01"): [1, 0, 1, 0],
}


@pytest.fixture(autouse=True)
def _no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def row(found: pd.DataFrame, level: str = "macro", **where: Any) -> pd.Series:
    part = found[found["level"] == level]
    for column, value in where.items():
        part = part[part[column] == value]
    assert len(part) == 1
    return part.iloc[0]


def test_columns_are_those_promised(make_table: Any) -> None:
    found = contrasts(make_table(ANSWERS))
    assert tuple(found.columns) == CONTRAST_COLUMNS
    assert len(found) == 1 + 3


def test_macro_by_hand(make_table: Any) -> None:
    found = row(contrasts(make_table(ANSWERS)))
    deltas = [0.2, 2 / 6, -0.25]
    assert found["difference"] == pytest.approx(np.mean(deltas))
    assert found["mean_baseline"] == pytest.approx(np.mean([0.6, 2 / 6, 0.75]))
    t = t_interval(deltas)
    assert (found["lower"], found["upper"]) == pytest.approx(t.interval)
    # Of 8 sign patterns, 0.2 + 0.333 - 0.25 is reached or passed by 4.
    assert found["pvalue"] == pytest.approx(0.75)
    assert found["relative_gain"] == pytest.approx(
        found["mean_condition"] / found["mean_baseline"] - 1
    )
    assert (found["n_tasks"], found["n_items"]) == (3, 20)
    assert (found["gained"], found["lost"]) == (5, 2)
    assert found["family"] == "confirmatory"
    assert found["verdict"] == "inconclusive"


def test_cell_is_mcnemar_and_tango(make_table: Any) -> None:
    found = row(contrasts(make_table(ANSWERS)), "cell", task="a")
    alone = mcnemar(count_pairs(ANSWERS["a", "original"], ANSWERS["a", "EP01"]))
    assert found["pvalue"] == pytest.approx(alone.pvalue)
    assert (found["lower"], found["upper"]) == pytest.approx(alone.interval)
    assert found["test_method"] == "McNemar mid-p"
    assert found["interval_method"] == "Tango"
    assert found["family_size"] == 3
    assert found["adjust_method"] == "BH"


def test_rows_in_any_order_give_the_same_table(make_scores: Any) -> None:
    scores = make_scores(graded=True)
    shuffled = scores.sample(frac=1, random_state=3)
    first = contrasts(scores).set_index(["level", "task", "condition"]).sort_index()
    second = contrasts(shuffled).set_index(["level", "task", "condition"]).sort_index()
    pd.testing.assert_frame_equal(first, second)


def test_the_seed_decides(make_scores: Any) -> None:
    scores = make_scores(graded=True, n_items=60)
    pd.testing.assert_frame_equal(contrasts(scores, seed=5), contrasts(scores, seed=5))
    other = contrasts(scores, seed=6)
    assert not other["lower"].equals(contrasts(scores, seed=5)["lower"])


def test_an_effect_is_found_and_a_null_is_not(make_scores: Any) -> None:
    scores = make_scores(12, 80, ("EP01", "NP01"), effect={"EP01": 0.25, "NP01": -0.25})
    found = contrasts(scores)
    assert row(found, condition="EP01")["verdict"] == "better"
    assert row(found, condition="NP01")["verdict"] == "worse"
    same = scores.copy()
    base = same.loc[same["condition"] == "original", "score"].to_numpy()
    same.loc[same["condition"] == "EP01", "score"] = base
    unchanged = row(contrasts(same), condition="EP01")
    assert unchanged["pvalue"] == 1
    assert unchanged["equivalence_pvalue"] == pytest.approx(0.98**960)
    assert unchanged["verdict"] == "equivalent"  # none of 960 items moved


def test_unchanged_scores_of_few_items_are_inconclusive(make_table: Any) -> None:
    values = {(t, c): [1, 0, 1] for t in "ab" for c in ("original", "EP01")}
    found = row(contrasts(make_table(values)))
    assert found["equivalence_pvalue"] == pytest.approx(0.98**6)
    assert found["verdict"] == "inconclusive"


def test_equivalence_needs_a_small_interval_and_is_never_said_of_a_cell(make_scores: Any) -> None:
    found = contrasts(make_scores(40, 200, ("EP01",)), margin=0.04)
    macro = row(found)
    assert macro["verdict"] == "equivalent"
    assert macro["equivalence_pvalue"] <= 0.05
    assert "equivalent" not in set(found.loc[found["level"] == "cell", "verdict"])


def test_confirmatory_family(make_scores: Any) -> None:
    names = ("EP01", "EP02", "EP03", "NP01")
    scores = make_scores(8, 20, names)
    found = contrasts(scores, confirmatory=["EP02", "EP03"])
    macro = found[found["level"] == "macro"].set_index("condition")
    assert macro.loc["EP02", "family"] == "confirmatory"
    assert macro.loc["EP01", "family"] == "exploratory"
    assert set(macro["family_size"]) == {2}
    assert macro.loc["EP02", "adjust_method"] == "max-T"
    assert macro.loc["NP01", "adjust_method"] == "BH"
    with pytest.raises(UnknownName, match="did you mean 'EP0"):
        contrasts(scores, confirmatory=["EPO2"])


def test_conditions_table_gives_valence_and_the_default_family(make_scores: Any) -> None:
    scores = make_scores(8, 20, ("EP01", "zero_shot_cot"))
    about = pd.DataFrame(
        {
            "condition": ["original", "EP01", "zero_shot_cot"],
            "method": ["original", "stimulus", "zero_shot_cot"],
            "valence": ["none", "positive", "none"],
        }
    )
    macro = contrasts(scores, about).query("level == 'macro'").set_index("condition")
    assert macro.loc["EP01", "valence"] == "positive"
    assert macro.loc["EP01", "family"] == "confirmatory"
    assert macro.loc["zero_shot_cot", "family"] == "exploratory"


def test_what_is_missing_is_counted_and_shown(make_table: Any) -> None:
    scores = make_table(
        {
            ("a", "original"): [1, 1, None, 0, 1],
            ("a", "EP01"): [1, None, 1, None, 0],
        }
    )
    scores["status"] = ["ok", "ok", "error", "ok", "ok", "ok", "truncated", "ok", "error", "ok"]
    found = row(contrasts(scores), "cell")
    assert found["n_items"] == 2
    assert found["difference"] == pytest.approx(-0.5)
    counts = found[["planned", "scored", "failed", "truncated", "unpaired"]]
    assert counts.tolist() == [5, 3, 1, 1, 3]
    # As wrong: original 1 1 0 0 1, EP01 1 0 1 0 0.
    assert found["missing_as_wrong"] == pytest.approx(-0.2)
    wrong = row(contrasts(scores, missing="as_wrong"), "cell")
    assert wrong["difference"] == pytest.approx(-0.2)
    assert wrong["n_items"] == 5
    assert wrong["unpaired"] == 0


def test_items_that_one_side_lacks_are_unpaired(make_table: Any) -> None:
    scores = make_table({("a", "original"): [1, 0, 1, 1], ("a", "EP01"): [1, 1]})
    found = row(contrasts(scores), "cell")
    assert (found["n_items"], found["planned"], found["unpaired"]) == (2, 2, 2)
    assert found["missing_as_wrong"] == pytest.approx(-0.25)


def test_a_model_that_never_answered_is_described(make_table: Any) -> None:
    scores = make_table({("a", "original"): [1, 0, 1], ("a", "EP01"): [None] * 3})
    for level in ("macro", "cell"):
        found = row(contrasts(scores), level)
        assert found["verdict"] == "descriptive"
        assert np.isnan(found["difference"])
        assert found["failed"] == 3
        assert found["missing_as_wrong"] == pytest.approx(-2 / 3)


def test_replicates_are_averaged_and_never_counted_as_items(make_table: Any) -> None:
    first = make_table({("a", "original"): [1, 0, 1, 0], ("a", "EP01"): [1, 1, 1, 0]})
    second = make_table({("a", "original"): [1, 0, 0, None], ("a", "EP01"): [1, 1, 0, 1]})
    scores = pd.concat([first.assign(replicate=0), second.assign(replicate=1)])
    found = row(contrasts(scores), "cell")
    assert found["n_items"] == 4
    # Item differences 0, 1, 0 and 0: the last from its one complete replicate.
    assert found["difference"] == pytest.approx(0.25)
    assert found["unpaired"] == 1
    assert found["test_method"].startswith("sign-flip")


def test_graded_scores(make_scores: Any) -> None:
    found = contrasts(make_scores(3, 50, ("EP01",), graded=True, effect={"EP01": 0.1}))
    cells = found[found["level"] == "cell"]
    assert set(cells["interval_method"]) == {"BCa"}
    assert cells["test_method"].str.startswith("sign-flip").all()
    assert ((cells["lower"] < cells["difference"]) & (cells["difference"] < cells["upper"])).all()
    few = contrasts(make_scores(3, 12, ("EP01",), graded=True)).query("level == 'cell'")
    assert set(few["interval_method"]) == {"t"}


def test_graded_scores_with_gaps_use_the_pairs_that_are_there(make_scores: Any) -> None:
    scores = make_scores(1, 60, ("EP01", "EP02"), graded=True)
    gone = (scores["condition"] == "EP02") & scores["item_id"].isin([f"i{i}" for i in range(20)])
    scores.loc[gone, "score"] = np.nan
    found = contrasts(scores).query("level == 'cell'").set_index("condition")
    assert found["n_items"].to_dict() == {"EP01": 60, "EP02": 40}
    assert set(found["interval_method"]) == {"BCa"}


def test_one_task_uses_its_items_and_says_so(make_table: Any) -> None:
    part = {key: value for key, value in ANSWERS.items() if key[0] == "a"}
    found = contrasts(make_table(part))
    macro, cell = row(found), row(found, "cell")
    assert macro["pvalue"] == cell["pvalue"]
    assert macro["lower"] == cell["lower"]
    assert "one task" in macro["interval_method"]
    assert "one task" in macro["test_method"]
    assert macro["detectable"] == pytest.approx(cell["detectable"])


@pytest.mark.parametrize(
    ("original", "variant", "note", "p"),
    [
        ([1, 1, 1], [1, 1, 1], "", 1.0),  # all ones, no discordant pair
        ([0, 0, 0], [0, 0, 0], "undefined", 1.0),
        ([0, 0, 0], [1, 0, 1], "undefined", 0.25),  # zero baseline
        ([1], [0], "unbounded", 0.5),  # one item
        ([0.5, 0.5], [0.5, 0.5], "", 1.0),  # graded, all ties
        ([0.5, 0.25], [0.75, 0.5], "unbounded", 0.5),  # zero variance of the difference
    ],
)
def test_degenerate_cells(
    make_table: Any, original: list[float], variant: list[float], note: str, p: float
) -> None:
    found = row(
        contrasts(make_table({("a", "original"): original, ("a", "EP01"): variant})), "cell"
    )
    assert found["pvalue"] == pytest.approx(p)
    assert found["relative_note"] == note
    assert found["verdict"] == "inconclusive"
    if note == "undefined":
        assert np.isnan(found["relative_gain"])
        assert np.isnan(found["relative_lower"])


def test_zero_variance_over_tasks(make_table: Any) -> None:
    cells = {(t, c): s for t in "abcdefgh" for c, s in (("original", [1, 0]), ("EP01", [1, 1]))}
    found = row(contrasts(make_table(cells)))
    assert found["difference"] == 0.5
    assert found["interval_method"] == "degenerate"
    assert found["lower"] == found["upper"] == 0.5
    assert found["pvalue"] == pytest.approx(2 / 2**8)
    assert found["verdict"] == "better"
    assert np.isnan(found["detectable"])


def test_too_few_tasks_for_the_family_cannot_detect_anything(make_scores: Any) -> None:
    found = contrasts(make_scores(5, 30, ("EP01",)))
    assert np.isnan(row(found)["detectable"])
    assert np.isfinite(row(contrasts(make_scores(6, 30, ("EP01",))))["detectable"])


def test_fixed_tasks_have_a_shorter_interval_when_tasks_differ(make_scores: Any) -> None:
    scores = pd.concat(
        [
            make_scores(6, 200, ("EP01",), effect={"EP01": 0.3}, seed=1),
            make_scores(6, 200, ("EP01",), effect={"EP01": -0.2}, seed=2).assign(
                task=lambda f: "x" + f["task"]
            ),
        ]
    )
    random, fixed = row(contrasts(scores)), row(contrasts(scores, tasks="fixed"))
    assert fixed["difference"] == pytest.approx(random["difference"])
    assert fixed["upper"] - fixed["lower"] < random["upper"] - random["lower"]
    assert fixed["interval_method"] == "z, fixed tasks"


def test_tasks_that_only_one_condition_has_are_left_out(make_table: Any) -> None:
    scores = make_table({**ANSWERS, ("d", "original"): [1, 1]})
    found = contrasts(scores)
    assert row(found)["n_tasks"] == 3
    assert row(found)["unpaired"] == 2
    assert "d" not in set(found["task"])


def test_groups_are_apart(make_table: Any) -> None:
    one = make_table(ANSWERS)
    scores = pd.concat(
        one.assign(model=m, shots=s, protocol=p, primary=p == "induction")
        for m in ("m1", "m2")
        for s in (0, 5)
        for p in ("induction", "negativeprompt")
    )
    found = contrasts(scores)
    macro = found[found["level"] == "macro"]
    assert len(macro) == 8
    assert macro.groupby("protocol")["primary"].first().to_dict() == {
        "induction": True,
        "negativeprompt": False,
    }
    assert macro["difference"].nunique() == 1


def test_duplicates_are_refused(make_table: Any) -> None:
    scores = make_table(ANSWERS)
    with pytest.raises(UnpairedScores, match="more than once"):
        contrasts(pd.concat([scores, scores.head(1)]))


@pytest.mark.parametrize("column", ["method", "metric"])
def test_two_ways_of_reading_are_refused(make_table: Any, column: str) -> None:
    scores = make_table(ANSWERS, **{column: "text"})
    scores.loc[(scores["task"] == "b") & (scores["condition"] == "EP01"), column] = "logprob"
    with pytest.raises(UnpairedScores, match=r"task b.*'original'.*'EP01'.*cannot be compared"):
        contrasts(scores)


def test_disjoint_items_are_refused(make_table: Any) -> None:
    scores = make_table(ANSWERS)
    mine = (scores["condition"] == "EP01") & (scores["task"] == "b")
    scores.loc[mine, "item_id"] = "other-" + scores.loc[mine, "item_id"]
    with pytest.raises(UnpairedScores, match=r"task b: 'EP01' and 'original' have no item"):
        contrasts(scores)


def test_no_task_in_common_is_refused(make_table: Any) -> None:
    scores = make_table({("a", "original"): [1, 0], ("b", "EP01"): [1, 0]})
    with pytest.raises(UnpairedScores, match="no task in common"):
        contrasts(scores)


def test_baseline_must_be_there(make_table: Any) -> None:
    scores = make_table(ANSWERS)
    with pytest.raises(UnknownName, match="did you mean 'original'"):
        contrasts(scores, baseline="orignal")
    with pytest.raises(UnpairedScores, match="only the baseline"):
        contrasts(scores[scores["condition"] == "original"])
    scores["model"] = "m"
    other = scores[scores["condition"] == "EP01"].assign(model="other")
    with pytest.raises(UnpairedScores, match=r"model other.*no row of the baseline"):
        contrasts(pd.concat([scores, other]))


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"margin": 2.0}, {"missing": "zero"}, {"tasks": "some"}]
)
def test_wrong_arguments(make_table: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        contrasts(make_table(ANSWERS), **wrong)


SCORE = st.one_of(st.none(), st.sampled_from([0.0, 1.0]), st.sampled_from([0.25, 0.4, 1 / 3]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(SCORE, min_size=6, max_size=12), min_size=1, max_size=4),
    st.sampled_from(["drop_pair", "as_wrong"]),
    st.sampled_from(["random", "fixed"]),
)
def test_any_table_gives_defined_numbers_or_a_note(
    tasks: list[list[float | None]], missing: Any, unit: Any
) -> None:
    rows = [
        {"task": f"t{t}", "condition": c, "item_id": i // 2, "replicate": i % 2, "score": score}
        for t, scores in enumerate(tasks)
        for k, c in enumerate(("original", "A", "B"))
        for i, score in enumerate(scores[k::3])
    ]
    table = pd.DataFrame(rows).astype({"score": float})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = contrasts(table, missing=missing, tasks=unit)
    tested = found[found["n_items"] > 0]
    assert tested["difference"].between(-1, 1).all()
    assert np.isnan(found.loc[found["n_items"] == 0, "difference"]).all()
    gain, note = tested["relative_gain"], tested["relative_note"]
    assert (gain.notna() | (note == "undefined")).all()
    assert (tested["relative_lower"].notna() | note.isin(["undefined", "unbounded"])).all()
    assert (tested["p_adjusted"].isna() | (tested["p_adjusted"] >= tested["pvalue"] - 1e-12)).all()
    assert (found["scored"] + found["failed"] == found["planned"]).all()
    assert (tested["lower"].isna() | (tested["lower"] <= tested["difference"] + 1e-9)).all()


def test_difference_does_not_depend_on_which_condition_is_the_baseline(make_scores: Any) -> None:
    scores = make_scores(7, 25, ("EP01",))
    there, back = row(contrasts(scores)), row(contrasts(scores, baseline="EP01"))
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["pvalue"] == pytest.approx(back["pvalue"])
    assert (there["lower"], there["upper"]) == pytest.approx((-back["upper"], -back["lower"]))
