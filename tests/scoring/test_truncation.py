"""An answer is complete exactly when nothing that follows can change its score."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_cases import answers, item, replies

from promptlab.scoring import complete, get_metric, metrics

ALL = sorted(metrics())


@given(st.sampled_from(ALL), answers, replies, replies)
def test_nothing_changes_the_score_of_a_complete_answer(
    name: str, gold: str, text: str, more: str
) -> None:
    metric = get_metric(name)
    if complete(metric, text):
        for golds in ((gold,), ("dog",), ("the dog barked",), ("positive",), ("dog!",)):
            thing = item(*golds, cause_first=True)
            assert metric.score_text(thing, text) == metric.score_text(thing, text + more)


@given(st.sampled_from(ALL), replies, replies)
def test_complete_stays_complete(name: str, text: str, more: str) -> None:
    metric = get_metric(name)
    assert not complete(metric, text) or complete(metric, text + more)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("exact_match", "dog", False),
        ("exact_match", "dog.", True),
        ("exact_match", "dog\n", True),
        ("exact_match", "dog \n", False),
        ("exact_match", "dog \n.", True),
        ("exact_match", "\n\ndog", False),
        ("exact_match", "Sentence 1:\ndog", False),
        ("exact_match", "", False),
        ("exact_str_match", "dog. And", False),
        ("exact_str_match", "dog\nAnd", True),
        ("np_substring", "dog. And", True),
        ("np_sentiment", "positive.\n", False),
        ("np_larger_animal", "dog.\n", False),
        ("gold_inside", "dog.\n", False),
        ("multiple_choice_grade", "Yes.\n", False),
    ],
)
def test_complete(name: str, text: str, expected: bool) -> None:
    assert complete(get_metric(name), text) is expected
