"""Positive words: those EmotionPrompt names, and ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from promptlab.documents import load_document, validate
from promptlab.errors import UnknownName

__all__ = ["positive_words"]

Source = Literal["all", "paper", "ours"]


class _PositiveWords(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    paper: tuple[str, ...]
    ours: tuple[str, ...]


@cache
def positive_words(source: Source = "all") -> frozenset[str]:
    """Positive words, in lower case and without punctuation.

    Args:
        source: `paper` for the four words EmotionPrompt names as examples, read in a transcription;
            its whole list is not established. `ours` for our reading of the eleven stimuli; `all`
            for both.

    Raises:
        UnknownName: another source.
    """
    if source not in get_args(Source):
        raise UnknownName("source of positive words", source, get_args(Source))
    document = load_document(Path(__file__).with_name("positive_words.yaml"))
    words = validate(_PositiveWords, document)
    chosen = {"paper": words.paper, "ours": words.ours, "all": (*words.paper, *words.ours)}
    return frozenset(chosen[source])
