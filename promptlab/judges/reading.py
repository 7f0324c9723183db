"""Reading a judge's reply: a label of the criterion, or none.

Tried in this order, the first that settles it wins: the whole reply is a label; what follows the
last cue (`Rating: 4`, `[[A]]`) is or begins with one; the reply begins with one ("Yes, because
..."); it ends with one and names no other. A reply in which no label is found so is not read: that
is a status, and never a score. Better not read than read wrongly ("there is no reason to doubt").
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["likeliest", "read_reply"]

_CUE = re.compile(
    r"\b(?:rating|score|verdict|judge?ment|grade|answer|winner|choice|true|helpful)\b"
    r"[*_\"']*\s*(?:is\b|:|=)|\[\[",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\bnot|n't|\bnever|\bthan|\bno)\s+(?:an?\s+|the\s+|answer\s+)?[\"'(*]*$", re.I
)
_EDGE = " \t\r\n\"'`*_.,;:!?()[]{}"
_OF = re.compile(r"(?<![\d.])(\d+)\s*(?:/|out of|of)\s*(\d+)(?![\d.])", re.IGNORECASE)


def read_reply(text: str, labels: Sequence[str]) -> str | None:
    """The label that a reply gives; None if it gives none, or more than one.

    Args:
        text: the reply.
        labels: what a judge may reply: words, or the numbers of a scale.
    """
    names = tuple(labels)
    text = _OF.sub(lambda m: m[1] if m[2] == names[-1] else m[0], text)  # "4/5" on a scale to 5
    for segment in (text, *_after_cue(text)):
        if (whole := _fold(segment)) in (known := _known(names)):
            return known[whole]
    for segment in (*_after_cue(text), text):
        if match := _leading(names).match(_bare(segment)):
            return _known(names)[match[1].casefold()]
    found = list(_anywhere(names).finditer(text))
    if len({m.group().casefold() for m in found}) != 1:
        return None
    last = found[-1]
    ends = not text[last.end() :].strip(_EDGE) and not _DENIED.search(text, 0, last.start())
    return _known(names)[last.group().casefold()] if ends else None


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


def _after_cue(text: str) -> list[str]:
    cues = list(_CUE.finditer(text))
    rest = text[cues[-1].end() :].strip(_EDGE) if cues else ""
    return [rest.splitlines()[0]] if rest else []


def _bare(segment: str) -> str:
    return segment.lstrip(_EDGE)


def _fold(segment: str) -> str:
    return segment.strip(_EDGE).casefold()


@lru_cache(maxsize=256)
def _known(labels: tuple[str, ...]) -> dict[str, str]:
    return {label.casefold(): label for label in labels}


def _alternatives(labels: tuple[str, ...]) -> str:
    return "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))


@lru_cache(maxsize=256)
def _leading(labels: tuple[str, ...]) -> re.Pattern[str]:
    # Not "4.5", "4-5", "no-one" or "A good answer": what follows must end the label.
    end = r"(?=[\"'*_`)\]]*(?:\s*(?:[,;:!?)]|\.(?!\d)|-\s|–|—|\n|$)|\s+(?:is|was|wins)\b))"
    return re.compile(rf"({_alternatives(labels)}){end}", re.IGNORECASE)


@lru_cache(maxsize=256)
def _anywhere(labels: tuple[str, ...]) -> re.Pattern[str]:
    # A single letter is a word of its own in English ("a good answer"), so its case counts.
    parts = [
        re.escape(label) if len(label) == 1 else f"(?i:{re.escape(label)})"
        for label in sorted(labels, key=len, reverse=True)
    ]
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(parts)})(?![\w-]|\.\d)")
