"""Word importance: which words of a prompt a local model's gold answer hangs on.

    from promptlab import whitebox
    model = whitebox.load("local/smollm2-135m")
    found = whitebox.word_importance(model, "experiment.yaml", limit=5)

Names are imported when first used; torch and transformers only when a model is opened. Shares of
word groups with intervals are `promptlab.analysis.word_shares`; the picture for a paper is
`promptlab.analysis.figures.words`, that for a notebook is `highlight`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptlab.whitebox.examples import Example, example, examples_of
    from promptlab.whitebox.highlighting import Highlight, highlight
    from promptlab.whitebox.importance import (
        IMPORTANCE_COLUMNS,
        stream_importance,
        word_importance,
    )
    from promptlab.whitebox.measures import MEASURES
    from promptlab.whitebox.model import Saliency, Unreadable, WhiteboxModel
    from promptlab.whitebox.opening import load
    from promptlab.whitebox.positive import positive_words
    from promptlab.whitebox.words import Word, split_words, without

__all__ = [
    "IMPORTANCE_COLUMNS",
    "MEASURES",
    "Example",
    "Highlight",
    "Saliency",
    "Unreadable",
    "WhiteboxModel",
    "Word",
    "example",
    "examples_of",
    "highlight",
    "load",
    "positive_words",
    "split_words",
    "stream_importance",
    "without",
    "word_importance",
]

_HOMES = {
    "examples": "Example example examples_of",
    "highlighting": "Highlight highlight",
    "importance": "IMPORTANCE_COLUMNS stream_importance word_importance",
    "measures": "MEASURES",
    "model": "Saliency Unreadable WhiteboxModel",
    "opening": "load",
    "positive": "positive_words",
    "words": "Word split_words without",
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'promptlab.whitebox' has no attribute '{name}'")
    return getattr(import_module(f"promptlab.whitebox.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
