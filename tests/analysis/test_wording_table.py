"""Conclusions that depend on the wording of the instruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from promptlab.analysis import (
    WORDING_COLUMNS,
    analyze_scores,
    check_scores,
    contrasts,
    crossed_mean,
    figures,
    tost_t,
    wording_sensitivity,
    wording_sentences,
)
from promptlab.analysis.pairing import grids
from promptlab.errors import UnpairedScores, UserError


def scored(
    effects: Mapping[str, Any],
    *,
    n: int = 40,
    wordings: int = 4,
    tasks: int = 3,
    seed: int = 0,
    noise: float = 0.1,
) -> pd.DataFrame:
    """Graded scores; `effects` maps a condition to tasks x wordings of true differences."""
    rng = np.random.default_rng(seed)
    rows = []
    names = ["own", *(f"w{j:02d}" for j in range(1, wordings))]
    for t in range(tasks):
        base = rng.uniform(0.3, 0.7, n)
        for condition in ("original", *effects):
            shift = np.broadcast_to(effects.get(condition, 0.0), (tasks, wordings))
            for j, name in enumerate(names):
                scores = np.clip(base + shift[t, j] + noise * rng.normal(size=n), 0, 1)
                rows.append(
                    pd.DataFrame(
                        {
                            "task": f"s/t{t}",
                            "condition": condition,
                            "instruction": name,
                            "item_id": [f"i{i}" for i in range(n)],
                            "score": scores,
                        }
                    )
                )
    return pd.concat(rows, ignore_index=True)


def macro(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["level"] == "macro"].set_index("condition")


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return scored(
        {
            "steady": 0.1,
            "nothing": 0.0,
            # A different effect under each wording, none on average.
            "fickle": np.array([0.15, -0.05, -0.14, 0.12]) + rng.normal(0, 0.01, (3, 4)),
            # What the usual instruction alone would have shown.
            "own_only": np.array([0.2, -0.07, -0.07, -0.06]),
        }
    )


def test_columns_and_levels(scores: pd.DataFrame) -> None:
    found = wording_sensitivity(scores)
    assert tuple(found.columns) == WORDING_COLUMNS
    assert found["level"].value_counts().to_dict() == {"wording": 48, "task": 12, "macro": 4}
    assert set(found.loc[found["level"] == "wording", "instruction"]) == {
        "own",
        "w01",
        "w02",
        "w03",
    }


def test_what_depends_on_the_wording_is_flagged(scores: pd.DataFrame) -> None:
    found = macro(wording_sensitivity(scores))
    steady = found.loc["steady"]
    assert steady["verdict"] == steady["items_verdict"] == steady["wordings_verdict"] == "better"
    assert not steady["flips"]
    assert steady["why"] == ""
    assert steady["opposite"] == 0
    assert 0.5 < steady["one_same"] <= 1
    nothing = macro(wording_sensitivity(scores, margin=0.1)).loc["nothing"]
    assert nothing["verdict"] == "equivalent"
    fickle = found.loc["fickle"]
    assert fickle["wordings_verdict"] == "inconclusive"
    assert fickle["items_verdict"] in ("better", "equivalent")
    assert fickle["flips"]
    assert "for these wordings only" in fickle["why"]
    assert fickle["opposite"] == pytest.approx(0.5, abs=0.1)
    own = found.loc["own_only"]
    assert own["own_verdict"] == "better"
    assert own["own_difference"] == pytest.approx(0.2, abs=0.03)
    assert own["flips"]
    assert "better under the own instruction alone" in own["why"]
    assert found.loc["fickle", "var_wording"] > 20 * found.loc["steady", "var_wording"]


def test_one_task_is_the_crossed_mean(scores: pd.DataFrame) -> None:
    found = wording_sensitivity(scores, tasks="random")
    for task in ("s/t0", "s/t1"):
        rows = scores[scores["task"] == task]
        wide = {
            c: rows[rows["condition"] == c].pivot(
                index="item_id", columns="instruction", values="score"
            )
            for c in ("original", "fickle")
        }
        one = crossed_mean((wide["fickle"] - wide["original"]).to_numpy())
        row = found.query("level == 'task' and task == @task and condition == 'fickle'").iloc[0]
        assert row["difference"] == pytest.approx(one.estimate)
        assert (row["wordings_lower"], row["wordings_upper"]) == pytest.approx(one.interval)
        assert (row["items_lower"], row["items_upper"]) == pytest.approx(one.items_interval)
        assert row["var_wording"] == pytest.approx(one.var_wording)
        assert row["opposite"] == one.share_opposite
        single = found.query("level == 'wording' and task == @task and condition == 'fickle'")
        assert list(single["difference"]) == pytest.approx(list(one.wording_means))
        assert row["one_lower"] >= single["difference"].min()
        assert row["without_lower"] < row["difference"] < row["without_upper"]


def test_differences_are_those_of_the_contrasts(scores: pd.DataFrame) -> None:
    """Over tasks at random the t interval is the contrasts' own: it carries the wordings."""
    found = macro(wording_sensitivity(scores))
    whole = contrasts(scores)
    other = whole[whole["level"] == "macro"].set_index("condition")
    for c in found.index:
        assert found.loc[c, "difference"] == pytest.approx(other.loc[c, "difference"])
        assert found.loc[c, "tasks_lower"] == pytest.approx(other.loc[c, "lower"])
        assert other.loc[c, "n_items"] == 120  # wordings are not items
        assert other.loc[c, "planned"] == 480


def test_equivalence_is_the_two_one_sided_tests(scores: pd.DataFrame) -> None:
    for margin in (0.01, 0.02, 0.03, 0.05):
        table = wording_sensitivity(scores, margin=margin)
        means = table.query("level == 'task' and condition == 'nothing'")["difference"]
        inside = tost_t(means, margin).pvalue <= 0.05
        verdict = macro(table).loc["nothing", "tasks_verdict"]
        assert verdict == ("equivalent" if inside else "inconclusive")


def test_fixed_tasks_judge_by_wordings(scores: pd.DataFrame) -> None:
    found = macro(wording_sensitivity(scores, tasks="fixed"))
    assert (found["verdict"] == found["wordings_verdict"]).all()
    alone = macro(wording_sensitivity(scores[scores["task"] == "s/t0"]))
    assert (alone["verdict"] == alone["wordings_verdict"]).all()
    assert alone["tasks_lower"].isna().all()
    assert (alone["tasks_verdict"] == "descriptive").all()


def test_verdicts_hold_under_the_null() -> None:
    """Effects that differ by wording, 0 on average: items alone claim them, wordings do not."""
    rng = np.random.default_rng(8)
    effects = {f"c{k:03d}": rng.normal(0, 0.05, (2, 4)) for k in range(60)}
    found = macro(wording_sensitivity(scored(effects, tasks=2, n=30, seed=9), tasks="fixed"))
    claimed = {
        scope: float(found[f"{scope}_verdict"].isin(["better", "worse"]).mean())
        for scope in ("items", "wordings")
    }
    assert claimed["wordings"] <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
    assert claimed["items"] > 0.3
    flagged = found["items_verdict"].isin(["better", "worse"]) & (
        found["items_verdict"] != found["wordings_verdict"]
    )
    assert found.loc[flagged, "flips"].all()


def test_one_wording_is_nothing_to_compare(scores: pd.DataFrame) -> None:
    one = scores[scores["instruction"] == "own"]
    for given in (one, one.drop(columns="instruction")):
        found = wording_sensitivity(given)
        assert found.empty
        assert tuple(found.columns) == WORDING_COLUMNS
        assert analyze_scores(given, n_permutations=20).wordings is not None
    # A condition with one wording, and a task with one, are left out; the others are not.
    keep = (scores["condition"] != "fickle") | (scores["instruction"] == "own")
    keep &= (scores["task"] != "s/t2") | (scores["instruction"] == "w01")
    found = macro(wording_sensitivity(scores[keep]))
    assert sorted(found.index) == ["nothing", "own_only", "steady"]
    assert (found["n_tasks"] == 2).all()
    assert (found["n_wordings"] == 8).all()


def test_missing_answers_and_replicates(scores: pd.DataFrame) -> None:
    holes = scores.copy()
    holes.loc[np.random.default_rng(1).random(len(holes)) < 0.1, "score"] = np.nan
    drop, wrong = (macro(wording_sensitivity(holes, missing=m)) for m in ("drop_pair", "as_wrong"))
    assert drop.loc["steady", "verdict"] == "better"
    assert drop.loc["steady", "difference"] == pytest.approx(0.1, abs=0.03)
    assert wrong.loc["steady", "n_items"] == 120
    twice = pd.concat([scores.assign(replicate=r) for r in (0, 1)])
    again, once = macro(wording_sensitivity(twice)), macro(wording_sensitivity(scores))
    pd.testing.assert_frame_equal(again, once)


def test_rows_pair_on_the_wording(scores: pd.DataFrame) -> None:
    apart = scores.copy()
    apart.loc[apart["condition"] == "original", "instruction"] = "another"
    with pytest.raises(UnpairedScores):
        contrasts(apart)
    doubled = scores[scores["condition"].isin(["original", "steady"])].drop(columns="instruction")
    with pytest.raises(UnpairedScores, match="more than once"):
        check_scores(doubled)
    with pytest.raises(UserError, match="'instruction' is empty"):
        check_scores(scores.assign(instruction=None))


def test_a_grid_by_wording_has_the_same_rows(scores: pd.DataFrame) -> None:
    grid = next(grids(check_scores(scores), "original"))
    by_wording = grid.by_wording()
    assert grid.item_starts.size == 120
    assert by_wording.item_starts.size == 480
    assert by_wording.task_rows.tolist() == grid.task_rows.tolist()
    means, parts = grid.pairs(), by_wording.pairs()
    assert np.nanmean(means.variant, axis=0) == pytest.approx(np.nanmean(parts.variant, axis=0))


def test_sentences(scores: pd.DataFrame) -> None:
    said = wording_sentences(wording_sensitivity(scores))
    steady = next(s for s in said if s.startswith("steady"))
    assert (
        "over 3 tasks under 12 wordings: better for new items under these very wordings" in steady
    )
    assert "With one wording a task, as is usual, the difference would lie between +" in steady
    assert "0 % of the wordings have the other sign." in steady
    fickle = next(s for s in said if s.startswith("fickle"))
    assert "The conclusion depends on the wording: " in fickle
    single = wording_sentences(wording_sensitivity(scores[scores["task"] == "s/t0"]))
    assert "over 1 task under 4 wordings" in single[0]
    assert any(
        "depends on the wording" in s for s in analyze_scores(scores, n_permutations=20).sentences()
    )


def test_the_figure_shows_every_wording(scores: pd.DataFrame) -> None:
    import matplotlib.pyplot as plt

    table = wording_sensitivity(scores)
    axes = figures.wordings(table)
    dots = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in ("o", "x"))
    assert dots == 48
    assert axes.get_xlabel() == "Difference from the baseline (points)"
    with pytest.raises(UserError, match="there is one of each instruction"):
        figures.wordings(table[:0])
    with pytest.raises(UserError, match="a figure shows one panel"):
        figures.wordings(pd.concat([table, table.assign(model="other")]))
    plt.close("all")


def test_the_same_scores_give_the_same_table(scores: pd.DataFrame) -> None:
    shuffled = scores.sample(frac=1, random_state=3)
    order = list(dict.fromkeys(scores["condition"]))
    about = pd.DataFrame({"condition": order, "valence": "none"})
    pd.testing.assert_frame_equal(
        wording_sensitivity(scores, about), wording_sensitivity(shuffled, about)
    )
