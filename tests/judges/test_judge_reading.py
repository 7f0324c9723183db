"""A verdict is read, or it is not; it is never guessed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.judges.reading import likeliest, read_reply

SCALE = ("1", "2", "3", "4", "5")
YES_NO = ("yes", "no")
SIDES = ("A", "B", "tie")


@pytest.mark.parametrize(
    ("reply", "labels", "label"),
    [
        ("4", SCALE, "4"),
        (" **4**.", SCALE, "4"),
        ("Rating: 4", SCALE, "4"),
        ("4/5", SCALE, "4"),
        ("4 out of 5", SCALE, "4"),
        ("The answer has 3 flaws.\nRating: 2", SCALE, "2"),
        ("5, because it names all causes", SCALE, "5"),
        ("I would rate this a 3", SCALE, "3"),
        ("4.5", SCALE, None),
        ("4-5", SCALE, None),
        ("6", SCALE, None),
        ("The answer has 3 flaws", SCALE, None),
        ("somewhere between 2 and 3", SCALE, None),
        ("", SCALE, None),
        ("Yes", YES_NO, "yes"),
        ("No, it is a myth.", YES_NO, "no"),
        ("True: yes", YES_NO, "yes"),
        ("I would say yes.", YES_NO, "yes"),
        ("There is no reason to doubt it", YES_NO, None),
        ("I know nothing about it", YES_NO, None),
        ("yes and no", YES_NO, None),
        ("[[B]]", SIDES, "B"),
        ("Better answer: A", SIDES, "A"),
        ("B is better than A", SIDES, "B"),
        ("It is a tie", SIDES, "tie"),
        ("A good answer is hard to find", SIDES, None),
        ("I prefer Answer B.", SIDES, "B"),
        ("It is not better than A", SIDES, None),
    ],
)
def test_replies(reply: str, labels: tuple[str, ...], label: str | None) -> None:
    assert read_reply(reply, labels) == label


@given(st.sampled_from([SCALE, YES_NO, SIDES]), st.data(), st.sampled_from(["", " ", "**", '"']))
def test_a_bare_label_is_read_whatever_stands_around_it(
    labels: tuple[str, ...], data: st.DataObject, mark: str
) -> None:
    label = data.draw(st.sampled_from(labels))
    for text in (label, label.upper(), f"{label}.", f"Verdict: {label}", f"{label}\n\nBecause."):
        assert read_reply(f"{mark}{text}{mark}", labels) == label


@given(st.text(max_size=40))
def test_any_text_is_read_as_a_label_or_not_at_all(text: str) -> None:
    assert read_reply(text, SCALE) in {*SCALE, None}


def test_by_log_probability() -> None:
    label, share = likeliest((math.log(0.3), math.log(0.1)), YES_NO)
    assert (label, share) == ("yes", pytest.approx(0.75))
    assert likeliest((-1.0, -1.0), YES_NO)[0] is None  # a tie is no verdict
    assert likeliest((-math.inf, -math.inf), YES_NO)[0] is None
    assert likeliest((math.nan, -1.0), YES_NO)[0] is None
    assert likeliest((-2000.0, -2001.0), YES_NO)[0] == "yes"
