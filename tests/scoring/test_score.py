"""What becomes of each kind of response."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_cases import answers, item, replies

from promptlab.errors import UnknownName
from promptlab.scoring import get_metric, metrics, score_response
from promptlab.types import Response, Score

BOTH = {"induction": "exact_match", "negativeprompt": "np_sentiment"}
GOLD = item("positive")
CHOICE = item("Yes", choices=("Yes", "No"), scores=(1.0, 0.0), best="Yes")
NAMES = {
    *("exact_match", "exact_set", "contains", "f1", "gold_inside", "exact_str_match"),
    *("np_sentiment", "np_sentence_similarity", "np_larger_animal", "np_substring", "np_letter"),
    *("np_cause_and_effect", "np_letters_list", "np_starts_with", "np_word_in_context"),
    *("np_taxonomy", "np_rhymes", "np_exact", "np_contains", "np_f1"),
    *("multiple_choice_grade", "mc1", "mc2"),
}


def one(response: Response, metric: str = "exact_match", extract: str = "whole") -> Score:
    thing = CHOICE if get_metric(metric).score_logprobs else GOLD
    (score,) = score_response(thing, response, {"p": metric}, extract)
    assert (score.protocol, score.metric) == ("p", metric)
    return score


def test_every_metric_is_there() -> None:
    assert set(metrics()) >= NAMES
    with pytest.raises(UnknownName, match="did you mean 'exact_match'"):
        score_response(GOLD, Response("ok", "a"), {"p": "exact_mach"})


def test_one_score_for_each_protocol() -> None:
    scores = score_response(GOLD, Response("ok", " It is positive "), BOTH)
    assert scores == [
        Score("induction", "exact_match", "text", 0.0, "ok", "It is positive"),
        Score("negativeprompt", "np_sentiment", "text", 1.0, "ok", "It is positive"),
    ]


@pytest.mark.parametrize("status", ["empty", "refused", "filtered", "error", "truncated"])
def test_a_failed_response_is_not_a_wrong_answer(status: str) -> None:
    score = one(Response(status, "positive"))  # type: ignore[arg-type]
    assert (score.value, score.status, score.answer) == (None, status, "")


def test_blanks_are_no_answer() -> None:
    assert one(Response("ok", " \n")).status == "empty"
    assert one(Response("ok", " \n")).value is None


def test_a_truncated_answer_counts_where_it_was_complete() -> None:
    response = Response("truncated", "Positive.\nThe film", finish_reason="length")
    exact, whole_reply = score_response(GOLD, response, BOTH)
    assert (exact.value, exact.status) == (1.0, "ok")
    assert (whole_reply.value, whole_reply.status) == (None, "truncated")


def test_incomplete_answers_can_be_scored_as_they_stand() -> None:
    for response, value in (
        (Response("truncated", "positive and so", finish_reason="length"), 1.0),
        (Response("empty", ""), 0.0),
        (Response("ok", " "), 0.0),
    ):
        (skipped,) = score_response(GOLD, response, {"np": "np_sentiment"})
        (scored,) = score_response(GOLD, response, {"np": "np_sentiment"}, incomplete="score")
        assert (skipped.value, skipped.status) == (None, response.status.replace("ok", "empty"))
        assert (scored.value, scored.status) == (value, "ok")
    failed = Response("error", "", error="no line")
    assert one(failed).status == "error"
    (score,) = score_response(GOLD, failed, {"np": "np_sentiment"}, incomplete="score")
    assert (score.value, score.status) == (None, "error")


def test_other_extractions_of_a_truncated_answer() -> None:
    response = Response("truncated", "The answer is positive.\nThe film")
    assert one(response, extract="after_answer_cue").status == "truncated"
    assert one(response, "np_sentiment", extract="first_line").value == 1
    assert one(Response("truncated", "posit"), extract="first_line").status == "truncated"


def test_extraction_comes_before_the_metric() -> None:
    response = Response("ok", "Such fun. The answer is: positive")
    assert one(response).value == 0
    score = one(response, extract="after_answer_cue")
    assert (score.value, score.answer) == (1.0, "positive")
    nothing = one(response, extract=r"regex:\d")
    assert (nothing.value, nothing.status, nothing.answer) == (0.0, "ok", "")


def test_choices_by_logprob_and_by_text() -> None:
    by_logprob = one(Response("ok", choice_logprobs=(-1.0, -2.0)), "multiple_choice_grade")
    assert by_logprob == Score("p", "multiple_choice_grade", "logprob", 1.0, "ok", "Yes")
    by_text = one(Response("ok", "I say no"), "multiple_choice_grade")
    assert by_text == Score("p", "multiple_choice_grade", "text", 0.0, "ok", "No")
    neither = one(Response("ok", "I cannot say"), "multiple_choice_grade")
    assert (neither.value, neither.status, neither.answer) == (0.0, "ok", "")


def test_logprobs_are_no_use_to_a_metric_of_text() -> None:
    score = one(Response("ok", choice_logprobs=(-1.0, -2.0)))
    assert (score.method, score.value, score.status) == ("text", None, "empty")


def test_mc2_from_text_is_not_scored() -> None:
    assert one(Response("ok", choice_logprobs=(-1.0, -1.0)), "mc2").value == pytest.approx(0.5)
    score = one(Response("ok", "Yes"), "mc2")
    assert (score.value, score.status, score.answer) == (None, "empty", "Yes")
    assert one(Response("ok", "Yes"), "mc1").value == 1


def test_broken_logprobs() -> None:
    score = one(Response("ok", choice_logprobs=(math.nan, -1.0)), "mc1")
    assert (score.value, score.status, score.method) == (None, "error", "logprob")
    assert one(Response("error", choice_logprobs=(-1.0, -2.0)), "mc1").status == "error"
    with pytest.raises(ValueError, match="2 choices"):
        one(Response("ok", choice_logprobs=(-1.0,)), "mc1")


@given(st.sampled_from(sorted(NAMES)), answers, replies)
def test_a_value_is_there_exactly_when_the_status_is_ok(name: str, gold: str, text: str) -> None:
    thing = item("dog", gold, choices=("dog", "cod"), scores=(1.0, 0.0), cause_first=True)
    for status in ("ok", "truncated"):
        (score,) = score_response(thing, Response(status, text), {"p": name})  # type: ignore[arg-type]
        assert (score.value is not None) == (score.status == "ok")
        assert score.value is None or 0 <= score.value <= 1
