from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promptlab.whitebox.words import added_words, bare, pieces_to_words, split_words, without

TEXTS = st.text(st.sampled_from("ab ?'\n\té"), max_size=30)


def test_words_have_positions_characters_and_lines() -> None:
    text = "Are you sure?\n\nInput: sure"
    words = split_words(text)
    assert [w.text for w in words] == ["Are", "you", "sure?", "Input:", "sure"]
    assert [w.position for w in words] == [0, 1, 2, 3, 4]
    assert [w.line for w in words] == [0, 0, 0, 2, 2]
    assert [text[w.start : w.end] for w in words] == [w.text for w in words]


@given(TEXTS)
def test_words_are_what_splitting_at_white_space_gives(text: str) -> None:
    words = split_words(text)
    assert [w.text for w in words] == text.split()
    assert [w.line for w in words] == [text[: w.start].count("\n") for w in words]


@given(TEXTS)
def test_deleting_a_word_leaves_the_other_words(text: str) -> None:
    words = split_words(text)
    for word in words:
        left = without(text, word)
        assert left.count("\n") == text.count("\n")
        others = [w.text for w in words if w is not word]
        assert "".join(left.split()) == "".join(others)
        if " " in text and "\n" not in text and "\t" not in text:
            assert left.split() == others


def test_one_blank_goes_with_a_word() -> None:
    text = "one two\nthree four"
    assert [without(text, w) for w in split_words(text)] == [
        "two\nthree four",
        "one\nthree four",
        "one two\nfour",
        "one two\nthree",
    ]
    assert without("only", split_words("only")[0]) == ""


def test_words_of_a_chat_are_those_of_its_messages() -> None:
    text = "<s>system\nBe kind.\n<s>user\nHello you"
    spans = [(10, 18), (27, 36)]
    words = split_words(text, spans)
    assert [w.text for w in words] == ["Be", "kind.", "Hello", "you"]
    assert words[0].line < words[2].line


def test_bare() -> None:
    assert [bare(w) for w in ('"Sure?"', "SUCCESS.", "You'd", "0-1", "...", "_x_")] == [
        *("sure", "success", "you'd", "0-1", "", "x"),
    ]


@given(TEXTS.filter(str.split), st.integers(1, 4))
def test_pieces_without_white_space_belong_to_the_word_around_them(text: str, size: int) -> None:
    words = split_words(text)
    pieces, owners = [], []
    for word in words:
        for start in range(word.start, word.end, size):
            pieces.append((start, min(start + size, word.end)))
            owners.append(word.position)
    assert pieces_to_words(words, pieces) == owners


def test_pieces_of_white_space_and_marks_belong_to_no_word() -> None:
    words = split_words("ab  cd\n")
    assert pieces_to_words(words, [(0, 0), (2, 4), (6, 7), (7, 7), (2, 6)]) == [
        *(None, None, None, None, 1),
    ]
    # Across two words: the one it shares more with, the first of equals.
    assert pieces_to_words(words, [(1, 6), (1, 5)]) == [1, 0]


def test_added_words_are_what_the_original_does_not_have() -> None:
    original = ["Write", "it.", "Input:", "x", "Output:"]
    assert added_words(original, original) == frozenset()
    stimulated = ["Write", "it.", "Are", "you", "sure?", "Input:", "x", "Output:"]
    assert added_words(stimulated, original) == {2, 3, 4}
    triggered = [*original, "Think", "step"]
    assert added_words(triggered, original) == {5, 6}
    replaced = ["Say", "its", "plural.", "Input:", "x", "Output:"]
    assert added_words(replaced, original) == {0, 1, 2}
    repeated = ["Write", "it.", "Write", "it.", "Input:", "x", "Output:"]
    assert len(added_words(repeated, original)) == 2


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")), st.data())
def test_taking_the_added_words_away_gives_the_original(
    original: list[str], stimulus: list[str], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(original)))
    words = [*original[:place], *stimulus, *original[place:]]
    added = added_words(words, original)
    assert len(added) == len(stimulus)
    assert [w for i, w in enumerate(words) if i not in added] == original


def test_words_of_the_original_between_added_ones_are_common_where_it_is_not_one_stretch() -> None:
    original = ["Write", "it.", "Input:", "x"]
    words = ["Please", "write:", "Write", "it.", "Q:", "x", "A:"]
    assert added_words(words, original, one_stretch=False) == {0, 1, 4, 6}
    assert added_words(words, original) == set(range(7))
