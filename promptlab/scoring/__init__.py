"""From response to score: metrics by name, answer extraction, scoring protocols."""

from __future__ import annotations

from functools import cache

from promptlab.plugins import plugins
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


@cache
def _load_all() -> None:
    """Import the modules that register metrics, and those of installed packages.

    Raises:
        UserError: what a package brings is no metric, or has a name that is taken.
    """
    from promptlab.scoring import (  # noqa: F401
        bigbench,
        induction,
        inside,
        judged,
        negativeprompt,
        truthfulqa,
    )

    for plugin in plugins("metric"):
        metric = plugin.load()
        if not isinstance(metric, Metric):
            raise plugin.error("is no promptlab.scoring.Metric")
        try:
            register(metric)
        except ValueError as error:
            raise plugin.error(f"cannot be added: {error}") from None
