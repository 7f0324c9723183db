"""Which words of a prompt are its stimulus', and which its method's: read off the rendering.

A prompt is rendered once more with marks around the stimulus' sentences. Without the marks it must
be the same text; then what stands between them is the stimulus, wherever the layout, a method or a
template put it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from promptlab.methods import method_of
from promptlab.types import Condition
from promptlab.whitebox.words import added_words, split_words

__all__ = ["find_words", "marked", "method_words", "stimulus_words"]

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Characters for private use: no text has them, and no template takes them for white space."""


def marked(condition: Condition) -> Condition:
    """The condition with marks around every sentence that it adds."""
    stimuli = tuple(replace(s, text=f"{_OPEN}{s.text}{_CLOSE}") for s in condition.stimuli)
    return replace(condition, stimuli=stimuli)


def stimulus_words(text: str, rendered: str, sentence: str) -> frozenset[int]:
    """Positions of the stimulus' words in a prompt.

    A word that is glued to its neighbour counts as the stimulus' if half of its characters are.

    Args:
        text: the prompt.
        rendered: the same with marks.
        sentence: what was added. Where a template changes the text by its content (cuts it, say),
            marks cannot tell; then its words are looked for.
    """
    plain: list[str] = []
    inside: list[bool] = []
    depth = 0
    for character in rendered:
        if character in (_OPEN, _CLOSE):
            depth += 1 if character == _OPEN else -1
        else:
            plain.append(character)
            inside.append(depth > 0)
    if "".join(plain) == text:
        return frozenset(
            word.position
            for word in split_words(text)
            if 2 * sum(inside[word.start : word.end]) >= len(word.text)
        )
    starts = find_words(text.split(), sentence.split())
    return frozenset(i for start in starts for i in range(start, start + len(sentence.split())))


def method_words(
    text: str, stimulus: frozenset[int], original: str, condition: Condition
) -> frozenset[int]:
    """Positions of the words that the condition's method added or changed.

    Args:
        text: the prompt.
        stimulus: positions of the stimulus' words in it.
        original: the prompt of the same item under `original`.
        condition: how the prompt was built.
    """
    if condition.method in ("original", "stimulus"):
        return frozenset()
    words = text.split()
    others = [i for i in range(len(words)) if i not in stimulus]
    added = added_words(
        [words[i] for i in others],
        original.split(),
        one_stretch=method_of(condition).replaces_instruction,
    )
    return frozenset(others[i] for i in added)


def find_words(words: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where the wanted words stand one after the other; nowhere if none is wanted."""
    if not wanted:
        return []
    last = len(words) - len(wanted)
    return [i for i in range(last + 1) if list(words[i : i + len(wanted)]) == list(wanted)]
