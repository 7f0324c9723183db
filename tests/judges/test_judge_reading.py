"""A verdict is read, or it is not; it is never guessed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.judges.reading import cue_of, likeliest, read_reply

SCALE = ("1", "2", "3", "4", "5")
YES_NO = ("yes", "no")
SIDES = ("A", "B", "tie")


@pytest.mark.parametrize(
    ("reply", "labels", "label"),
    [
        ("4", SCALE, "4"),
        (" **4**.", SCALE, "4"),
        ("Rating: 4", SCALE, "4"),
        ("**Rating:** 4", SCALE, "4"),
        ("Rating: **4**", SCALE, "4"),
        ("Rating: 4. It is clear.", SCALE, "4"),
        ("Rating: 4 (good)", SCALE, "4"),
        ("The rating is 4.", SCALE, "4"),
        ("My final rating: 4/5", SCALE, "4"),
        ("4/5", SCALE, "4"),
        ("4 / 5", SCALE, "4"),
        ("4 of 5", SCALE, "4"),
        ("4 out of 5", SCALE, "4"),
        ("Rating: 4 out of 5.", SCALE, "4"),
        ("The answer has 3 flaws.\nRating: 2", SCALE, "2"),
        ("It names 2 of 3 causes.\nRating: 4", SCALE, "4"),
        ("Let me see.\n\n4", SCALE, "4"),
        ("5, because it names all causes", SCALE, "5"),
        ("5 because it names 2 causes", SCALE, "5"),
        ("4 - good", SCALE, "4"),
        ("I would rate this a 3", SCALE, "3"),
        ("I would rate this answer a 3.", SCALE, "3"),
        ("I'd give it a 4 out of 5", SCALE, "4"),
        ("Yes", YES_NO, "yes"),
        ("yes.", YES_NO, "yes"),
        ("No, it is a myth.", YES_NO, "no"),
        ("No. It is a myth.", YES_NO, "no"),
        ("Yes, there is no false statement in it.", YES_NO, "yes"),
        ("I would say yes.", YES_NO, "yes"),
        ("Verdict: no", YES_NO, "no"),
        ("[[B]]", SIDES, "B"),
        ("Final verdict: [[B]]", SIDES, "B"),
        ("Better answer: A", SIDES, "A"),
        ("Answer B", SIDES, "B"),
        ("B is better than A", SIDES, "B"),
        ("B is better than A.", SIDES, "B"),
        ("A is clearly the better answer.", SIDES, "A"),
        ("Answer B was better", SIDES, "B"),
        ("B wins.", SIDES, "B"),
        ("B, because A is wrong", SIDES, "B"),
        ("The winner is B", SIDES, "B"),
        ("The better one is B", SIDES, "B"),
        ("It is a tie", SIDES, "tie"),
        ("Tie. Both are right.", SIDES, "tie"),
        ("I prefer Answer B.", SIDES, "B"),
    ],
)
def test_a_reply_that_states_a_verdict_is_read(
    reply: str, labels: tuple[str, ...], label: str
) -> None:
    assert read_reply(reply, labels) == label


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        # decimals, words, ratios
        *[(reply, SCALE) for reply in ("4.5", "4-5", "6", "-3", "2,5", "2½", "4?", "4+", "")],
        *[(reply, SCALE) for reply in ("2.5/5", "1.5/5", "2½/5", "three/5", "4/10", "0/5")],
        *[(f"Rating: {reply}", SCALE) for reply in ("3.5 out of 5", "2½/5", "4.5", "2,5/5")],
        ("I give it three out of 5", SCALE),
        ("three out of five", SCALE),
        ("I would say 2.5 of 5", SCALE),
        ("4, out of 10", SCALE),
        ("Rating: 4 out of 10", SCALE),
        ("out of 5", SCALE),
        ("a number of 5", SCALE),
        # ranges and lists
        *[(reply, SCALE) for reply in ("3 - 4", "Score: 4 - 5", "4 or 5", "3 – 4", "4, 5")],
        ("Rating: 4, maybe 5", SCALE),
        ("Rating: 4\nRating: 5", SCALE),
        ("1\n2", SCALE),
        ("1. Performance: 4", SCALE),
        ("1. Performance: 4\n2. Truthfulness: 3", SCALE),
        ("1. The answer is clear.", SCALE),
        ("1) The answer is clear.", SCALE),
        ("5 is the best, this is 3", SCALE),
        ("A: 3, B: 4", SCALE),
        ("A: 3, B: 4", SIDES),
        ("A: short. B: complete. B wins", SIDES),
        ("A. It is short. B. It is complete.", SIDES),
        ("A, B", SIDES),
        ("A or B", SIDES),
        # what is said of it is not that it is better
        ("A is worse than B.", SIDES),
        ("A is incorrect; B is right.", SIDES),
        ("A is not better", SIDES),
        ("A is no better than B", SIDES),
        ("A is less good", SIDES),
        ("A was wrong", SIDES),
        ("Better answer: A is not", SIDES),
        ("Better answer: not A", SIDES),
        ("The worse one is B", SIDES),
        ("The worse answer: B", SIDES),
        ("The loser is B", SIDES),
        ("Loser: B", SIDES),
        ("A is better, but B is more complete", SIDES),
        ("I would not choose B", SIDES),
        ("A good answer is hard to find", SIDES),
        ("It is not better than A", SIDES),
        # refusals and prose
        ("I can't say yes", YES_NO),
        ("It would be wrong to say yes", YES_NO),
        ("I would never say yes", YES_NO),
        ("No, I would say yes.", YES_NO),
        ("yes and no", YES_NO),
        ("Yes, no.", YES_NO),
        ("There is no reason to doubt it", YES_NO),
        ("I know nothing about it", YES_NO),
        ("The answer has 3 flaws", SCALE),
        ("somewhere between 2 and 3", SCALE),
    ],
)
def test_a_reply_that_leaves_a_doubt_is_not_read(reply: str, labels: tuple[str, ...]) -> None:
    assert read_reply(reply, labels) is None


@pytest.mark.parametrize(
    ("reply", "cue", "label"),
    [
        ("True: yes", "True", "yes"),
        ("True: yes\nHelpful: no", "True", "yes"),
        ("True: yes\nHelpful: no", "Helpful", "no"),
        ("yes\nHelpful: no", "True", "yes"),
        ("yes\nHelpful: no", "Helpful", None),  # which of the two?
        ("Helpful: no", "True", None),
        ("Helpful: no", "", None),
        ("yes\nTrue: hard to say", "True", None),
        ("Verdict: yes", "True", "yes"),
    ],
)
def test_only_the_cue_of_the_prompt_is_followed(reply: str, cue: str, label: str | None) -> None:
    assert read_reply(reply, YES_NO, cue) == label


def test_the_cue_of_a_prompt_is_what_it_ends_with() -> None:
    assert cue_of("Q: {{ question }}\nA: {{ answer }}\nTrue:") == "True"
    assert cue_of("Reply with A, B or tie.\nBetter answer:\n") == "Better answer"
    assert cue_of("Answer: {{ answer }}\nReply with yes or no.") == ""
    assert cue_of("") == ""


@given(st.sampled_from([SCALE, YES_NO, SIDES]), st.data(), st.sampled_from(["", " ", "**", '"']))
def test_a_bare_label_is_read_whatever_stands_around_it(
    labels: tuple[str, ...], data: st.DataObject, mark: str
) -> None:
    label = data.draw(st.sampled_from(labels))
    for text in (label, label.upper(), f"{label}.", f"Verdict: {label}", f"{label}\n\nBecause."):
        assert read_reply(f"{mark}{text}{mark}", labels) == label


@given(st.text(max_size=40), st.sampled_from(["", "Rating"]))
def test_any_text_is_read_as_a_label_or_not_at_all(text: str, cue: str) -> None:
    assert read_reply(text, SCALE, cue) in {*SCALE, None}


@given(st.sampled_from(SCALE), st.sampled_from(SCALE), st.sampled_from([".", ",", "-", " - ", "/"]))
def test_two_numbers_side_by_side_are_no_verdict(a: str, b: str, between: str) -> None:
    expected = a if between == "/" and b == "5" else None
    assert read_reply(f"{a}{between}{b}", SCALE) == expected


def test_by_log_probability() -> None:
    label, share = likeliest((math.log(0.3), math.log(0.1)), YES_NO)
    assert (label, share) == ("yes", pytest.approx(0.75))
    assert likeliest((-1.0, -1.0), YES_NO)[0] is None  # a tie is no verdict
    assert likeliest((-math.inf, -math.inf), YES_NO)[0] is None
    assert likeliest((math.nan, -1.0), YES_NO)[0] is None
    assert likeliest((-2000.0, -2001.0), YES_NO)[0] == "yes"
