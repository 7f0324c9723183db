"""A judge on a finished run: replies in the store, statuses, scores that contrasts take."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from judge_kit import open_run, replying, shown

import promptlab as pl
from promptlab.errors import ProviderError, SpecError, UnknownName, UserError
from promptlab.judges import judge_report
from promptlab.judges.people import write_sheet
from promptlab.providers.mock import MockProvider
from promptlab.runs import Run

RATING = "judge:human_study.mean@mock/words"


@pytest.fixture
def run() -> Run:
    return open_run()


def rows(run: Run, statistic: str) -> pd.DataFrame:
    table = judge_report(run.path)
    return table[table["statistic"] == statistic]


def test_open_answers_wait_for_a_judge_and_then_decide() -> None:
    run = pl.run(
        {
            "name": "w",
            "models": ["mock/words"],
            "tasks": ["open_questions/ten_domains"],
            "conditions": ["original", "EP02"],
            "items": 3,
        }
    )
    assert run.status["state"] == "complete"
    assert "promptlab judge" in run.status["analysis"]
    assert set(run.scores()["status"]) == {"unjudged"}
    judging = run.judge("mock/words", analysis=False)
    assert judging.status["responses"] == {"ok": 18}
    scores = run.scores()
    assert len(scores) == 24  # three criteria and their mean
    assert set(scores.loc[scores["primary"], "protocol"]) == {RATING}
    wide = scores.pivot(index=["condition", "item_id"], columns="protocol", values="score")
    parts = wide.drop(columns=RATING)
    assert (wide[RATING] - parts.mean(axis=1)).abs().max() < 1e-12
    found = run.contrasts(baseline="original")
    assert set(found["protocol"]) == set(judging.protocols)


def test_again_is_free_and_gives_the_same_tables(run: Run) -> None:
    first = run.judge("mock/words", analysis=False)
    before = {p.name: p.read_bytes() for p in first.path.glob("*.parquet")}
    second = run.judge("mock/words", analysis=False)
    assert second.path == first.path
    assert first.status["asked"] == 0
    assert {p.name: p.read_bytes() for p in second.path.glob("*.parquet")} == before


def test_a_judge_is_never_told_the_condition(run: Run) -> None:
    judge = MockProvider("mock/words")
    run.judge("mock/words", provider=judge, analysis=False)
    stimuli = [text for text in run.conditions()["text"] if text]
    assert judge.history
    for request in judge.history:
        text = " ".join(m.content for m in request.messages)
        assert not any(stimulus in text for stimulus in stimuli)


def test_a_reply_without_a_verdict_is_a_status_and_not_a_score(run: Run) -> None:
    judging = run.judge("mock/constant:hm", by="text", analysis=False)
    assert judging.status["responses"] == {"unread": 54}
    assert judging.status["state"] == "complete"
    scores = judging.scores()
    assert set(scores["status"]) == {"unjudged"}
    assert scores["score"].isna().all()
    assert set(judging.judgements()["reply"]) == {"hm"}  # what it said is kept


def test_a_failed_judge_is_asked_again(run: Run) -> None:
    broken = replying(lambda prompt: "4")
    broken.enqueue([ProviderError("bad_request", "no")] * 5)
    first = run.judge("mock/words", by="text", provider=broken, analysis=False)
    assert first.status["responses"] == {"error": 5, "ok": 49}
    assert first.status["state"] == "incomplete"
    assert first.scores()["score"].isna().sum() > 5  # with the means that lack a part
    second = run.judge("mock/words", by="text", provider=replying(lambda _: "4"), analysis=False)
    assert second.status["responses"] == {"ok": 54}
    assert second.status["asked"] == 5
    assert set(second.scores()["score"]) == {0.75}


def test_a_budget_stops_a_judge_and_a_larger_one_goes_on(run: Run) -> None:
    few = {"id": "mock/words", "budget": {"requests": 20}, "concurrency": 1}
    first = run.judge(few, analysis=False)
    assert first.status["stopped"]["mock/words"]["kind"] == "budget"
    assert first.status["responses"]["ok"] == 20
    assert first.status["responses"]["missing"] == 34
    second = run.judge(few, set_values=["budget.requests=100"], analysis=False)
    assert second.status["responses"] == {"ok": 54}
    assert second.status["spent"]["mock/words"]["requests"] == 54


def test_answers_that_are_not_there_are_not_judged() -> None:
    run = open_run(models=["mock/constant:"], max_attempts=1)
    judging = run.judge("mock/words", analysis=False)
    assert set(judging.judgements()["status"]) == {"no_answer"}
    assert set(judging.scores()["status"]) == {"empty"}


def test_a_pair_is_asked_in_both_orders(run: Run) -> None:
    seen: Counter[tuple[str, str]] = Counter()

    def longest(prompt: str) -> str:
        first, second = shown(prompt)
        seen[first, second] += 1
        return "A" if first > second else "B"

    judging = run.judge(
        "mock/words", "pairwise", by="text", provider=replying(longest), analysis=False
    )
    assert all(seen[b, a] for a, b in seen)
    table = judging.judgements()
    assert Counter(table["order"]) == {"baseline_first": 12, "baseline_second": 12}
    answers = run.responses().set_index(["condition", "item_id"])["text"]
    scores = judging.scores().set_index(["condition", "item_id"])["score"]
    for (condition, item), score in scores.items():
        own, base = answers[condition, item], answers["original", item]
        assert score == (0.5 if condition == "original" else float(own > base))
    assert rows(run, "flip_rate")["estimate"].tolist() == [0]


def test_a_judge_that_goes_by_place_gives_ties_and_is_found_out(run: Run) -> None:
    judging = run.judge(
        "mock/words", "pairwise", by="text", provider=replying(lambda _: "A"), analysis=False
    )
    assert set(judging.scores()["score"]) == {0.5}
    (flips,) = rows(run, "flip_rate").to_dict("records")
    (first,) = rows(run, "first_preferred").to_dict("records")
    assert (flips["estimate"], flips["n"]) == (1, 12)
    assert (first["estimate"], first["n"]) == (1, 24)
    assert first["pvalue"] == pytest.approx(2 / 2**6)  # six items, each a cluster
    assert 0.5 < first["lower"] < 1


def test_a_judge_that_goes_by_length_is_found_out() -> None:
    run = open_run(models=["mock/echo"])
    # Make the answers unlike in length: each judge call sees its own.
    table = pd.read_parquet(run.path / "responses.parquet")
    extra = table["condition"].map({"original": "", "EP02": " more", "NP01": " and still more"})
    table["text"] = table["text"] + extra.astype(str)
    table.to_parquet(run.path / "responses.parquet", index=False)

    def by_length(prompt: str) -> str:
        return "5" if "and still more" in prompt else "4" if " more\n" in prompt else "3"

    run.judge("mock/words", by="text", provider=replying(by_length), analysis=False)
    found = rows(run, "longer_preferred")
    assert set(found["estimate"]) == {1}
    assert set(found["n"]) == {18}


def test_two_judges_agree_or_do_not(run: Run) -> None:
    run.judge({"id": "mock/words", "name": "a"}, analysis=False)
    run.judge({"id": "mock/words", "name": "b"}, analysis=False)
    alphas = rows(run, "krippendorff_alpha")
    assert alphas["estimate"].tolist() == [1, 1, 1]  # the same seed, the same verdicts
    run.judge({"id": "mock/words?seed=9", "name": "b"}, analysis=False)
    assert (rows(run, "krippendorff_alpha")["estimate"] < 0.7).all()
    protocols = set(run.scores()["protocol"])
    assert "judge:human_study.mean@a" in protocols
    assert "judge:human_study.mean@b" in protocols
    assert set(run.scores().query("primary")["protocol"]) == {"judge:human_study.mean@a"}


def test_people_rate_a_blinded_sheet(run: Run, tmp_path: Path) -> None:
    from promptlab.conclude import plan_of
    from promptlab.judges import load_rubric

    judging = run.judge("mock/words", analysis=False)
    sheet = tmp_path / "sheet.csv"
    rubric = load_rubric("human_study")
    n = write_sheet(plan_of(run), run.path / "responses.parquet", rubric, sheet)
    table = pd.read_csv(sheet)
    assert len(table) == n == 18
    assert set(table["task_instruction"]) == {"Answer the following question in a few sentences."}
    with pytest.raises(UserError, match=r"may hold ratings; name another file: --sheet .*-2\.csv"):
        write_sheet(plan_of(run), run.path / "responses.parquet", rubric, sheet)
    assert not {"condition", "model", "item_id"} & set(table.columns)
    answers = judging.judgements().query("criterion == 'performance'")
    from promptlab.judges.bias import PLACE
    from promptlab.judges.people import answer_id

    said = {
        answer_id(place): rating
        for place, rating in zip(
            answers[PLACE].itertuples(index=False, name=None), answers["rating"], strict=True
        )
    }
    filled = [
        table.assign(rater=rater, performance=(table["answer_id"].map(said) - milder).clip(lower=1))
        for rater, milder in (("ann", 0), ("bob", 1))
    ]
    pd.concat(filled).to_csv(sheet, index=False)
    found = judge_report(run.path, sheet).query("topic == 'people'")
    by_name = found.set_index(["judge", "statistic"])["estimate"]
    above = answers["rating"].gt(1).mean()  # bob is one milder where that is on the scale
    assert by_name["mock/words", "mean_difference"] == pytest.approx(0.5 * above)
    assert 0 < by_name["", "krippendorff_alpha"] < 1
    (tmp_path / "bad.csv").write_text("rater,answer_id,performance\nann,000000000000,3\n")
    with pytest.raises(UserError, match="no judge was asked about"):
        judge_report(run.path, tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("rater,answer_id,performance\nann,000000000000,good\n")
    with pytest.raises(UserError, match="a rating is a number, not 'good'"):
        judge_report(run.path, tmp_path / "bad.csv")


def test_what_cannot_be_judged_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'EP02'"):
        run.judge("mock/words", "pairwise", baseline="EP2")
    with pytest.raises(UnknownName, match="tasks: open_questions/ten_domains"):
        run.judge("mock/words", tasks=["bigbench/*"])
    with pytest.raises(SpecError, match="unknown key 'prise'"):
        run.judge({"id": "mock/words", "prise": 1})
    with pytest.raises(UserError, match="gives no log-probabilities"):
        run.judge("mock/words", by="logprob", provider=replying(lambda _: "4"))
    with pytest.raises(UserError, match="was not judged yet"):
        run.judgements()


def test_a_judge_of_other_tasks_adds_protocols_and_takes_nothing_away() -> None:
    run = open_run(tasks=["procedural/plural"], models=["mock/skilled?p=0.5"])
    before = run.scores()
    run.judge("mock/words", "truthfulqa", analysis=False)
    after = run.scores()
    assert set(after["protocol"]) > set(before["protocol"])
    primary = set(before.loc[before["primary"], "protocol"])
    assert set(after.loc[after["primary"], "protocol"]) == primary


def test_a_protocol_that_no_judge_gives_is_told() -> None:
    from promptlab.judges.handle import judge_warnings

    run = open_run(scoring={"protocol": "judge:human_study.meen"}, items=2)
    run.judge("mock/words", analysis=False)
    (warning,) = judge_warnings(run.path)
    assert "did you mean 'judge:human_study.mean'" in warning


def test_stale_verdicts_are_told(run: Run) -> None:
    from promptlab.judges.handle import judge_warnings

    run.judge("mock/words", analysis=False)
    assert judge_warnings(run.path) == []
    table = pd.read_parquet(run.path / "responses.parquet")
    table.loc[0, "text"] = "another answer"
    table.to_parquet(run.path / "responses.parquet", index=False)
    (warning,) = judge_warnings(run.path)
    assert "have changed since" in warning
