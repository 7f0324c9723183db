"""The sentences: every number is that of the tables, and every limit is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from simulated import Simulated, simulate

from promptlab.report.findings import Finding, cell_losses, findings
from promptlab.report.inputs import Results, gather


def results_of(run: Simulated, **changes: object) -> Results:
    given = {
        "scores": run.scores,
        "contrasts": run.contrasts,
        "best": run.best,
        "conditions": run.conditions,
        "tasks": run.tasks,
        "sensitivity": run.sensitivity,
    }
    return gather(**(given | changes))  # type: ignore[arg-type]


def found(results: Results, topic: str) -> list[Finding]:
    return [f for f in findings(results, results.panels[0]) if f.topic == topic]


def test_verdicts_are_counted_and_named(run: Simulated) -> None:
    table = run.contrasts.copy()
    names = {"EP01": "better", "EP02": "better", "NP01": "worse", "NP02": "equivalent"}
    macro = table["level"] == "macro"
    table.loc[macro, "verdict"] = [
        names.get(c, "inconclusive") for c in table.loc[macro, "condition"]
    ]
    text = found(results_of(run, contrasts=table), "verdicts")[0].text
    assert text.startswith("Of 11 conditions compared with original on 12 tasks (")
    assert text.endswith(
        "2 are better (EP01 and EP02), 1 is worse (NP01), 1 is equivalent within ±2 points and "
        "7 are inconclusive."
    )


def test_nothing_found_is_not_called_no_effect() -> None:
    run = simulate(models=("m",), tasks=["a/b", "a/c", "a/d"], effects={}, items=20)
    texts = [f.text for f in findings(results_of(run), results_of(run).panels[0])]
    assert any("none is shown to be better or worse" in t for t in texts)
    assert not any("no effect" in t.replace("with no effect at all", "") for t in texts)


def test_the_largest_effect_comes_with_interval_p_and_a_caution(run: Simulated) -> None:
    results = results_of(run)
    macro = results.macro(results.panels[0]).set_index("condition")
    top = macro["difference"].abs().idxmax()
    text = found(results, "largest")[0].text
    assert text.startswith(str(top))
    assert f"{100 * macro.loc[top, 'difference']:+.1f}".replace("-", "−") in text
    assert "95 % interval [" in text
    assert "adjusted p " in text
    assert "As the largest of 11" in text


def test_too_few_tasks_for_any_finding_is_said() -> None:
    run = simulate(models=("m",), tasks=[f"a/t{i}" for i in range(5)])
    power = found(results_of(run), "detectable")
    assert power[0].caution
    assert "on 5 tasks a sign-flip test gives no p below .062" in power[0].text


def test_the_detectable_difference_is_that_of_the_table(run: Simulated) -> None:
    results = results_of(run)
    known = results.macro(results.panels[0])["detectable"].dropna()
    text = " ".join(f.text for f in found(results, "detectable"))
    assert f"between {100 * known.min():.1f} and {100 * known.max():.1f}" in text


def test_controls_that_move_the_score_as_much_are_said_to() -> None:
    effects = {"EP02": 0.2, "EP02-neutral": 0.2}
    conditions = ["original", "EP02", "EP02-neutral"]
    run = simulate(
        models=("m",), tasks=[f"a/t{i}" for i in range(9)], conditions=conditions, effects=effects
    )
    first, second = found(results_of(run), "controls")
    assert "Neutral sentences move the score as much as the emotional ones." in first.text
    assert first.caution
    assert "EP02 differs by" in second.text
    assert "inconclusive" in second.text


def test_controls_that_do_not_move_are_told_apart(run: Simulated) -> None:
    first, positive, negative = found(results_of(run), "controls")
    assert "as much as" not in first.text
    assert positive.text.endswith("better than the addition of a neutral sentence.")
    assert negative.text.startswith("Likewise, NP01 differs by")


def test_a_run_without_controls_is_told_so() -> None:
    run = simulate(models=("m",), tasks=["a/b"], conditions=["original", "EP02"])
    (only,) = found(results_of(run), "controls")
    assert only.text.startswith("No neutral sentence was run")
    assert only.caution


def test_scoring_that_decides_is_said(run: Simulated) -> None:
    table = run.sensitivity.copy()
    row = table["condition"] == "EP01"
    table["flips"] = False
    table.loc[row, ["reference_verdict", "verdict", "flips"]] = ["better", "worse", True]
    (one,) = found(results_of(run, sensitivity=table), "scoring")
    assert "1 of 11 verdicts changes (EP01 from better to worse)" in one.text
    assert one.caution


def test_losses_are_counted_by_kind() -> None:
    rows = pd.DataFrame(
        {
            "model": "m", "shots": 0, "task": "a/b", "condition": "original",
            "status": ["ok", "ok", "truncated", "error", "empty", "missing"],
            "score": [1.0, np.nan, 0.0, np.nan, np.nan, np.nan],
        }
    )  # fmt: skip
    row = cell_losses(rows).iloc[0]
    assert (row["planned"], row["failed"], row["truncated"]) == (6, 4, 1)
    assert row["share"] == pytest.approx(5 / 6)


def test_missing_answers_are_quantified(run: Simulated) -> None:
    (one,) = found(results_of(run), "missing")
    cells = cell_losses(run.scores[run.scores["primary"]])
    assert f"{cells['failed'].sum()} of 5,760 planned answers failed" in one.text
    assert "Counting missing answers as wrong moves differences by at most" in one.text


def test_failed_empty_refused_and_cut_off_answers_are_told_apart(run: Simulated) -> None:
    scores, primary = run.scores.copy(), run.scores["primary"]
    scores.loc[primary & (scores["status"] != "ok"), ["status", "score"]] = ["ok", 0.0]
    rows = scores.index[primary]

    def text(*statuses: str) -> str:
        lost = scores.copy()
        lost.loc[rows[: len(statuses)], "status"] = statuses
        lost.loc[rows[: len(statuses)], "score"] = np.nan
        return found(results_of(run, scores=lost), "missing")[0].text

    assert text("empty", "empty", "truncated").startswith(
        "2 of 5,760 planned answers were empty and 1 was cut off ("
    )
    assert text("error", "missing", "refused", "filtered").startswith(
        "2 of 5,760 planned answers failed, 1 was refused and 1 was filtered ("
    )


def test_one_condition_reads_as_a_sentence() -> None:
    run = simulate(models=("m",), tasks=["a/b"], conditions=["original", "EP02"], failed=0)
    results = results_of(run)
    texts = [f.text for f in findings(results, results.panels[0])]
    assert texts[0].startswith("EP02 is the only condition compared with original (1 task, 40 ")
    assert not any("Choosing the best" in t for t in texts)
