"""A plain-language sentence on every condition whose wordings of the instruction were crossed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.contrast_words import points

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["wording_sentence", "wording_sentences"]


def wording_sentences(wordings: pd.DataFrame, *, alpha: float = 0.05) -> list[str]:
    """A sentence for every macro row of a table of `wording_sensitivity`."""
    rows = wordings[wordings["level"] == "macro"]
    return [wording_sentence(row, alpha=alpha) for row in rows.to_dict("records")]


def wording_sentence(row: Mapping[Any, Any], *, alpha: float = 0.05) -> str:
    """One macro row of a table of `wording_sensitivity` as one to three sentences.

    Args:
        row: of level `macro` or `task`.
        alpha: level of the table's intervals.
    """
    tasks, wordings = int(row["n_tasks"]), int(row["n_wordings"])
    where = f"{tasks} tasks" if tasks > 1 else "1 task"
    text = (
        f"{row['condition']} changed the score by {points(row['difference'])} points over {where} "
        f"under {wordings} wordings"
    )
    level, said = f"{100 * (1 - alpha):g} % interval ", []
    for scope, words in (
        ("items", "for new items under these very wordings"),
        ("wordings", "for other wordings too"),
        ("tasks", "for other tasks too"),
    ):
        lower, upper = float(row[f"{scope}_lower"]), float(row[f"{scope}_upper"])
        if np.isfinite(lower):
            ends = f"{level}{points(lower)} to {points(upper)}"
            said.append(f"{row[f'{scope}_verdict']} {words} ({ends})")
            level = ""
    text += f": {', '.join(said)}." if said else ": no test was possible."
    if tasks > 1:
        text += (
            f" With one wording a task, as is usual, the difference would lie between "
            f"{points(row['one_lower'])} and {points(row['one_upper'])} points"
        )
    else:
        text += (
            f" Under single wordings it lies between {points(row['one_lower'])} and "
            f"{points(row['one_upper'])} points"
        )
    text += f"; {100 * float(row['opposite']):.0f} % of the wordings have the other sign."
    if bool(row["flips"]):
        text += f" The conclusion depends on the wording: {row['why']}."
    return text
