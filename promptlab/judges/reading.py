"""Reading a judge's reply: a label of the criterion, or none.

A verdict is never guessed. It is read where a reply states it in one of these ways:

- the whole reply is a label, or its last line is;
- it begins with one: `Yes, because ...`, `B is better than A`;
- a cue gives it: the words that the prompt ends with (`True:`), or words that mean a verdict
  whatever was asked (`Rating: 4`, `The winner is B`);
- its last sentence says no more than that: `I would say yes.`, `It is a tie`.

Two of them that disagree, another label beside the first, a range, a decimal, `4 of 10`, a numbered
list, "not", "worse": such a reply is not read. That is a status, and never a score.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

__all__ = ["cue_of", "folded", "likeliest", "read_reply"]

_EDGE = " \t\r\n\"'`*_.,;:!()[]{}“”‘’"
_OPEN = r"[\s\"'`*_#>(\[{“‘]*"
_CLOSE = r"[\"'`*_)\]}”’]*"
_NUMBER = r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)"
_RATIO = re.compile(
    rf"([^\s,(]+?)[\s,(]*(?:/|\bout\s+of\b)\s*({_NUMBER})\b"
    rf"|((?:\d[\d.,½¼¾]*|{_NUMBER}))[\s,(]+of\s+({_NUMBER})\b",
    re.IGNORECASE,
)
_NEUTRAL = r"rating|score|verdict|judge?ment|grade|winner|choice|(?:better|best|final|my) answer"
_BEFORE_CUE = r"(?:(?:the|my|your|final|overall|so|thus)\s+){0,3}"
_FRAME = (
    r"(?:(?:so|thus|overall|therefore|hence)\s*,?\s+)?"
    r"(?:i(?:['’]d|\s+would|\s+will)?"
    r"\s+(?:rate|grade|score|say|choose|pick|prefer|select|give|judge|call)"
    r"(?:\s+(?:it|this|that)(?:\s+(?:answer|one))?)?"
    r"|it(?:['’]s|\s+is)|this\s+is|the\s+(?:better|best)\s+(?:one|answer|response)\s+is)"
    r"\s+(?:(?:as|an?|the|at|answer|option|response)\s+)*"
)
_WINS = (
    r"(?:\s+wins|\s+(?:is|was)\s+(?:(?:the|a|an|clearly|much|far|slightly|somewhat|overall)\s+)*"
    r"(?:better|best|winner|superior|preferable)(?:\s+(?:answer|one|response))?)"
)
_BECAUSE = re.compile(r"[\s,;(–—-]*(?:because|since)\b[^.;\n]*", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|never|worse|neither)\b|n['’]t\b", re.IGNORECASE)
_CUE_AT_END = re.compile(r"([A-Za-z][A-Za-z_-]*(?: [A-Za-z][A-Za-z_-]*){0,2})\s*[:=]\s*$")


def cue_of(prompt: str) -> str:
    """The words that a prompt ends with before a colon, as in `Rating:`; empty if there are none.

    Args:
        prompt: the prompt, or the template of one.
    """
    lines = prompt.rstrip().splitlines()
    found = _CUE_AT_END.search(lines[-1]) if lines else None
    return found[1] if found else ""


def folded(label: str) -> str:
    """A label as it is compared: without capitals, or punctuation around it."""
    return label.strip(_EDGE).casefold()


def read_reply(text: str, labels: Sequence[str], cue: str = "") -> str | None:
    """The label that a reply gives; None if it gives none, or leaves a doubt.

    Args:
        text: the reply.
        labels: what a judge may reply: words, or the numbers of a scale.
        cue: what the prompt ends with (`cue_of`); other criteria's cues are not followed.
    """
    known = _labels(tuple(labels))
    plain = known.without_ratios(text.strip())
    if plain is None:
        return None
    whole = known.whole(plain)
    if whole is not None:
        return whole
    lines = [line for line in plain.splitlines() if line.strip(_EDGE)]
    if not lines:
        return None
    found = [known.leading(lines[0], cued=False), known.whole(lines[-1])]
    for rest, is_own in _after_cues(plain, cue):
        said = known.leading(rest, cued=True)
        if said is None and is_own:
            return None
        found.append(said)
    verdicts = {label for label in found if label is not None}
    if not verdicts:
        return known.in_last_sentence(plain)
    return verdicts.pop() if len(verdicts) == 1 else None


def likeliest(logprobs: Sequence[float], labels: Sequence[str]) -> tuple[str | None, float]:
    """The likeliest label and its share of the labels' probability; None where two lead.

    Args:
        logprobs: of each label, as the continuation of the prompt.
        labels: what a judge may reply.
    """
    top = max(logprobs, default=-math.inf)
    if not math.isfinite(top) or any(map(math.isnan, logprobs)) or len(logprobs) != len(labels):
        return None, math.nan
    share = 1 / sum(math.exp(lp - top) for lp in logprobs)
    leaders = [label for label, lp in zip(labels, logprobs, strict=True) if lp == top]
    return (leaders[0] if len(leaders) == 1 else None), share


def _after_cues(text: str, own: str) -> Iterator[tuple[str, bool]]:
    """What follows each cue on its line, and whether it is the prompt's own, with a colon."""
    for match in _cues(own).finditer(text):
        rest = text[match.end() :].splitlines()
        if rest and rest[0].strip(_EDGE):
            said = " ".join(match["cue"].split()).casefold()
            yield rest[0], bool(own) and said.endswith(own.casefold()) and match["sign"] in ":="


@lru_cache(maxsize=256)
def _cues(own: str) -> re.Pattern[str]:
    words = rf"{re.escape(own)}|{_NEUTRAL}" if own else _NEUTRAL
    return re.compile(
        rf"(?:^|(?<=[.!?])[ \t]){_OPEN}{_BEFORE_CUE}(?P<cue>{words})"
        rf"{_CLOSE}\s*(?P<sign>:|=|is\b:?){_CLOSE}",
        re.IGNORECASE | re.MULTILINE,
    )


@lru_cache(maxsize=256)
def _labels(names: tuple[str, ...]) -> _Labels:
    return _Labels(names)


@dataclass(frozen=True)
class _Labels:
    """The labels of a criterion, and where they stand in a text."""

    names: tuple[str, ...]

    @cached_property
    def known(self) -> dict[str, str]:
        return {folded(name): name for name in self.names}

    @cached_property
    def numeric(self) -> bool:
        return all(name.isdecimal() for name in self.names)

    @cached_property
    def pattern(self) -> str:
        # A single letter is a word of its own in English ("a good answer"), so its case counts.
        parts = [
            re.escape(name) if len(name) == 1 else f"(?i:{re.escape(name)})"
            for name in sorted(self.names, key=len, reverse=True)
        ]
        return "|".join(parts)

    @cached_property
    def alone(self) -> re.Pattern[str]:
        """A label that is a word of its own."""
        return re.compile(rf"(?<![\w./-])(?:{self.pattern})(?![\w/½¼¾-]|[.,]\d)")

    @cached_property
    def first(self) -> re.Pattern[str]:
        noun = "" if self.numeric else r"(?:(?i:answer|option|response)\s+)?"
        wins = "" if self.numeric else f"(?P<wins>(?i:{_WINS}))?"
        return re.compile(
            rf"{_OPEN}{noun}{_OPEN}(?P<label>{self.pattern}){_CLOSE}{wins}(?P<rest>.*)"
        )

    @cached_property
    def last(self) -> re.Pattern[str]:
        return re.compile(rf"(?i:{_FRAME}){_OPEN}(?P<label>{self.pattern})[\s.!)\]}}\"'`*_”’]*")

    def without_ratios(self, text: str) -> str | None:
        """With `4/5` as `4` on a scale to 5; None where such a number is none of the scale's.

        A ratio to another number stays, in one word: it is no label.
        """
        if not self.numeric:
            return text
        out, end = [], 0
        for match in _RATIO.finditer(text):
            share, of = match[1] or match[3], match[2] or match[4]
            share = share.strip(_EDGE)
            if share not in self.names:
                return None
            whole = share if of == self.names[-1] else f"{share}/{of}"
            start = match.start(1 if match[1] else 3)
            out += [text[end:start], text[start : match.end()].split(share)[0], whole]
            end = match.end()
        return "".join([*out, text[end:]])

    def whole(self, text: str) -> str | None:
        """The label that is all of a text."""
        return self.known.get(folded(text))

    def leading(self, line: str, *, cued: bool) -> str | None:
        """The label that a line begins with, where nothing after it speaks against it."""
        if (whole := self.whole(line)) is not None:
            return whole
        match = self.first.match(line)
        if match is None:
            return None
        label, rest = self.known[folded(match["label"])], match["rest"]
        if match.groupdict().get("wins"):
            than = re.match(rf"\s+than\s+(?:answer\s+)?(?:{self.pattern})(?!\w)", rest)
            rest = rest[than.end() :] if than else rest
            if _DENIED.search(rest):
                return None
        if because := _BECAUSE.match(rest):
            rest = rest[because.end() :]
        elif not self._ends(rest, listed=not cued and (self.numeric or len(label) == 1)):
            return None
        return None if self._names_another(rest, label) else label

    def _ends(self, rest: str, *, listed: bool) -> bool:
        """Whether the label ends before the rest of its line.

        "4. It is clear" is a verdict after a cue; without one it may be the fourth of a list.
        """
        point = "" if listed else "."
        ends = rf"[{point},;!]\s|\s*\(|\s+[-–—]\s|\s*—"
        return not rest.strip(_EDGE) or re.match(ends, rest) is not None

    def _names_another(self, text: str, label: str) -> bool:
        """Whether a text names another: any number, a letter anywhere, a word that ends a clause.

        "There is no error" names no verdict, "but I would say no" does.
        """
        if self.numeric:
            return re.search(r"\d", text) is not None
        for match in self.alone.finditer(text):
            other = self.known[folded(match.group())]
            if other != label and (
                len(other) == 1 or re.match(r"\W*(?:$|[.,;:!?])", text[match.end() :])
            ):
                return True
        return False

    def in_last_sentence(self, text: str) -> str | None:
        """The label of a reply that names one and whose last sentence only says it."""
        found = {self.known[folded(m.group())] for m in self.alone.finditer(text)}
        if len(found) != 1:
            return None
        sentence = re.split(r"(?<=[.!?])\s+(?=\S)|\n+", text.rstrip(_EDGE))[-1].strip()
        match = self.last.fullmatch(sentence.lstrip("\"'`*_“‘("))
        return found.pop() if match else None
