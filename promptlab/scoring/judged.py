"""The metric of open answers: no rule scores them, a judge does.

Its protocol holds a place in the table of scores until `promptlab judge` adds the judge's own.
"""

from __future__ import annotations

import math

from promptlab.scoring.metrics import Metric, register
from promptlab.types import Item

__all__ = ["JUDGED", "judged"]

JUDGED = "judged"
"""Name of the metric, as a card writes it."""


def judged(item: Item, text: str) -> float:
    """NaN: the answer waits for a judge."""
    del item, text
    return math.nan


register(
    Metric(
        JUDGED,
        "scored by a judge: promptlab judge RUN --judge MODEL",
        judged,
        unscored="unjudged",
    )
)
