"""What a judge is asked: the task's instruction, pairs, and what is refused before it is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from judge_kit import open_run, read, replying

from promptlab.errors import SpecError, UserError
from promptlab.judges import judge_report
from promptlab.judges.handle import judge_warnings
from promptlab.providers.mock import MockProvider
from promptlab.runs import Run

OWN = """\
name: human_study
version: 9
source: made up for a test
criteria:
  - name: performance
    prompt: "{{ instruction }} / {{ question }} / {{ answer }} Rating:"
    scale: {low: 1, high: 5}
"""
TWO_TASKS = ["procedural/plural", "procedural/last_word"]


def prompts(run: Run, rubric: str) -> list[str]:
    judge = MockProvider("mock/words")
    run.judge("mock/words", rubric, provider=judge, analysis=False)
    return [read(request) for request in judge.history]


def change(run: Run, condition: str, text: str | None) -> None:
    """Give every answer of a condition this text, or take its answers away."""
    table = pd.read_parquet(run.path / "responses.parquet")
    if text is None:
        table = table[table["condition"] != condition]
    else:
        table.loc[table["condition"] == condition, "text"] = text
    table.to_parquet(run.path / "responses.parquet", index=False)


@pytest.mark.parametrize("rubric", ["human_study", "pairwise"])
def test_a_judge_sees_what_the_task_asks_for(rubric: str) -> None:
    run = open_run(tasks=["procedural/plural"], items=2)
    (instruction,) = {d.task.card.instruction for d in _draws(run)}
    for prompt in prompts(run, rubric):
        assert prompt.startswith(f"Task: {instruction}\n\nInput: ")


@pytest.mark.parametrize("rubric", ["human_study", "pairwise"])
def test_a_question_stands_for_itself(rubric: str) -> None:
    for prompt in prompts(open_run(items=2), rubric):
        assert prompt.startswith("Question: ")
        assert "Task:" not in prompt


def _draws(run: Run) -> list[Any]:
    from promptlab.conclude import plan_of

    return list(plan_of(run).draws.values())


def test_equal_texts_are_a_tie_that_nobody_is_asked_about() -> None:
    run = open_run()
    change(run, "original", "the same")
    change(run, "EP02", " the same\n")
    judge = replying(lambda _: "A")
    judging = run.judge("mock/words", "pairwise", by="text", provider=judge, analysis=False)
    assert judging.status["responses"] == {"equal": 12, "ok": 12}
    assert judging.status["state"] == "complete"
    assert len(judge.history) == 12
    assert set(judging.scores()["score"]) == {0.5}
    assert judge_warnings(run.path) == []
    report = judge_report(run.path).set_index("statistic")
    assert report.loc["flip_rate", "n"] == 6  # of NP01 alone
    assert "12 about equal texts" in report.loc["read", "sentence"]


def test_an_answer_without_one_of_the_baseline_is_counted() -> None:
    run = open_run()
    table = pd.read_parquet(run.path / "responses.parquet")
    gone = (table["condition"] == "original") & (table["item_id"] == table["item_id"].iloc[0])
    table[~gone].to_parquet(run.path / "responses.parquet", index=False)
    judging = run.judge("mock/words", "pairwise", analysis=False)
    assert judging.status["responses"] == {"no_baseline": 4, "ok": 20}
    assert set(judging.judgements()["baseline"]) == {"original"}
    assert set(judging.scores()["status"]) == {"ok", "unjudged"}
    (warning,) = judge_warnings(run.path)
    assert "4 comparisons lack an answer of 'original'" in warning


def test_pairs_without_any_baseline_are_refused() -> None:
    run = open_run()
    change(run, "original", None)
    with pytest.raises(UserError, match=r"choose another condition: --baseline"):
        run.judge("mock/words", "pairwise", analysis=False)
    assert run.judgings() == []


def test_a_baseline_is_refused_where_nothing_is_compared() -> None:
    run = open_run(items=2)
    with pytest.raises(UserError, match="rates each answer for itself and has no baseline"):
        run.judge("mock/words", "human_study", baseline="original")


def test_a_rubric_that_does_not_fit_leaves_nothing_and_says_where_it_fits(tmp_path: Path) -> None:
    run = open_run(tasks=["open_questions/ten_domains", *TWO_TASKS], items=2)
    path = tmp_path / "aspects.yaml"
    shows = OWN.replace("human_study", "own").replace("{{ question }}", "{{ fields.aspects }}")
    path.write_text(shows)
    with pytest.raises(SpecError, match=r"procedural/.*add --task 'open_questions/\*'"):
        run.judge("mock/words", path, analysis=False)
    assert run.judgings() == []
    done = run.judge("mock/words", path, tasks=["open_questions/*"], analysis=False)
    assert done.status["state"] == "complete"
    nowhere = tmp_path / "nowhere.yaml"
    nowhere.write_text(shows.replace("aspects", "nothing").replace("name: own", "name: other"))
    with pytest.raises(SpecError, match="'other' fits no task of"):
        run.judge("mock/words", nowhere, analysis=False)


def test_tasks_that_are_judged_later_join_the_earlier_ones() -> None:
    run = open_run(tasks=TWO_TASKS, items=2)
    first = run.judge("mock/words", tasks=[TWO_TASKS[0]], analysis=False)
    assert set(first.scores()["task"]) == {TWO_TASKS[0]}
    second = run.judge("mock/words", tasks=[TWO_TASKS[1]], analysis=False)
    assert second.path == first.path
    assert set(second.scores()["task"]) == set(TWO_TASKS)
    assert second.facts["tasks"] == second.facts["holds"]["tasks"] == sorted(TWO_TASKS)
    assert second.status["from_store"] > 0


def test_another_rubric_of_the_same_name_does_not_take_the_scores_away(tmp_path: Path) -> None:
    run = open_run(items=2)
    first = run.judge("mock/words", analysis=False)
    before = first.scores()
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    with pytest.raises(UserError, match=r"another rubric 'human_study'.*Change 'name'.*rm -r"):
        run.judge("mock/words", own, analysis=False)
    with pytest.raises(UserError, match=r"read by logprob, and now by text.*Add --by logprob"):
        run.judge("mock/words", by="text", analysis=False)
    pd.testing.assert_frame_equal(run.judgings()[0].scores(), before)
    other = run.judge("mock/words", by="text", set_values=["name=typed"], analysis=False)
    assert other.path != first.path


def test_a_judging_that_did_not_come_to_its_end_is_stale() -> None:
    run = open_run(tasks=TWO_TASKS, items=2)
    run.judge("mock/words", tasks=[TWO_TASKS[0]], analysis=False)
    (judging,) = run.judgings()
    assert not judging.is_stale

    def stop(_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run.judge("mock/words", tasks=[TWO_TASKS[1]], analysis=False, on_event=stop)
    (judging,) = run.judgings()
    assert judging.is_stale
    assert set(judging.scores()["task"]) == {TWO_TASKS[0]}  # what it held is still there
    (warning,) = judge_warnings(run.path)
    assert "not complete" in warning
    facts = json.loads((judging.path / "judging.json").read_text())
    assert facts["holds"]["tasks"] == [TWO_TASKS[0]]
    run.judge("mock/words", tasks=[TWO_TASKS[1]], analysis=False)
    assert judge_warnings(run.path) == []


def test_a_judging_that_never_wrote_is_incomplete_and_not_stale() -> None:
    run = open_run(items=2)

    def stop(_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run.judge("mock/words", analysis=False, on_event=stop)
    (judging,) = run.judgings()
    assert not judging.is_stale
    assert "not complete" in judge_warnings(run.path)[0]
