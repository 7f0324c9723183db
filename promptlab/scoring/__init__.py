"""From response to score: metrics by name, answer extraction, scoring protocols."""

from __future__ import annotations

from promptlab.scoring.extraction import check_how, extract
from promptlab.scoring.metrics import Metric, get_metric, metrics, register
from promptlab.scoring.score import score_response
from promptlab.scoring.truncation import complete

__all__ = [
    "Metric",
    "check_how",
    "complete",
    "extract",
    "get_metric",
    "metrics",
    "register",
    "score_response",
]


def _load_all() -> None:
    """Import the modules that register metrics."""
    from promptlab.scoring import (  # noqa: F401
        bigbench,
        induction,
        inside,
        judged,
        negativeprompt,
        truthfulqa,
    )
