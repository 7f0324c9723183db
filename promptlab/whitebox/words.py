"""Words of a prompt, and which pieces of a tokenizer make each of them up.

A word is a run of characters without white space; punctuation that touches it belongs to it, so
`sure?` is one word. That is what `Stimulus.words` counts and what the papers' pictures shade. A
word is identified by its position: the same word twice is two words with values of their own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["Word", "added_words", "bare", "pieces_to_words", "split_words", "without"]

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stands.

    Attributes:
        position: 0-based number of the word in the prompt; its identity.
        text: as it is written, with the punctuation that touches it.
        start: character where it begins.
        end: character after its last.
        line: 0-based line of the prompt.
    """

    position: int
    text: str
    start: int
    end: int
    line: int


def split_words(text: str, spans: Sequence[Span] | None = None) -> tuple[Word, ...]:
    """The words of a text, in order.

    Args:
        text: the text.
        spans: only inside these pieces of it, in order (the contents of a chat's messages).
    """
    found: list[Word] = []
    line = 0
    for start, end in [(0, len(text))] if spans is None else spans:
        at = start
        for match in re.compile(r"\S+").finditer(text, start, end):
            line += text.count("\n", at, match.start())
            at = match.start()
            found.append(Word(len(found), match[0], match.start(), match.end(), line))
        line += 1  # what follows in another message stands on another line
    return tuple(found)


def bare(word: str) -> str:
    """A word in lower case, without punctuation around it: `"Sure?"` is `sure`."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", word.casefold())


def without(text: str, word: Word) -> str:
    """The text with a word deleted, and one blank with it.

    The blank before the word goes, or the one after it where none is before; line breaks stay. What
    is left is the text somebody would have written without the word.
    """
    start, end = word.start, word.end
    if text[start - 1 : start] == " ":
        start -= 1
    elif text[end : end + 1] == " ":
        end += 1
    return text[:start] + text[end:]


def pieces_to_words(words: Sequence[Word], offsets: Sequence[Span]) -> list[int | None]:
    """The word of each piece, by the characters they share; None for white space and marks.

    A piece that reaches into several words (a tokenizer that merges across blanks) counts for the
    word that it shares most characters with, and for the first of equals.

    Args:
        words: from `split_words`.
        offsets: first and last character of each piece, as a fast tokenizer gives them; empty for
            marks such as the end of a sequence.
    """
    starts = [word.start for word in words]
    found: list[int | None] = []
    for start, end in offsets:
        best, most = None, 0
        for i in range(max(bisect_right(starts, start) - 1, 0), len(words)):
            if words[i].start >= end:
                break
            shared = min(end, words[i].end) - max(start, words[i].start)
            if shared > most:
                best, most = i, shared
        found.append(best)
    return found


def added_words(
    words: Sequence[str], original: Sequence[str], *, one_stretch: bool = True
) -> frozenset[int]:
    """Positions of the words that a prompt has beyond the original one.

    What both begin with and what both end with is common; the rest is added.

    Args:
        words: of the prompt.
        original: words of the original one.
        one_stretch: take all of the rest as added, as where an instruction is replaced; otherwise
            words of the original that stand in it are common, too.
    """
    shorter = min(len(words), len(original))
    first = 0
    while first < shorter and words[first] == original[first]:
        first += 1
    last = 0
    while last < shorter - first and words[-1 - last] == original[-1 - last]:
        last += 1
    rest = set(range(first, len(words) - last))
    if not one_stretch:
        between = list(original[first : len(original) - last])
        aligned = SequenceMatcher(None, list(words[first : len(words) - last]), between, False)
        for block in aligned.get_matching_blocks():
            rest -= set(range(first + block.a, first + block.a + block.size))
    return frozenset(rest)
