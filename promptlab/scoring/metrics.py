"""The registry of metrics: how an answer becomes a number in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from promptlab.errors import UnknownName
from promptlab.types import Item, ScoreStatus

__all__ = ["Metric", "get_metric", "metrics", "register"]

ScoreText = Callable[[Item, str], float]
ScoreLogprobs = Callable[[Item, Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """A named rule from (item, answer) to a score in [0, 1].

    Attributes:
        name: as written in a task card.
        description: one line for `promptlab list metrics`.
        score_text: scores the text of an answer.
        score_logprobs: scores the choices' log-probabilities, if the metric has that form.
        ends: strings at which the scored part of an answer ends; an answer cut off by the token
            limit after one of them is complete.
        unscored: status of an answer that `score_text` gives NaN.
    """

    name: str
    description: str
    score_text: ScoreText
    score_logprobs: ScoreLogprobs | None = None
    ends: tuple[str, ...] = ()
    unscored: ScoreStatus = "empty"


_METRICS: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Add a metric; two of one name are a mistake."""
    if metric.name in _METRICS:
        raise ValueError(f"metric '{metric.name}' is registered twice")
    _METRICS[metric.name] = metric
    return metric


def metrics() -> dict[str, Metric]:
    """All metrics by name."""
    from promptlab.scoring import _load_all

    _load_all()
    return dict(sorted(_METRICS.items()))


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UnknownName: with the nearest names.
    """
    known = metrics()
    if name not in known:
        raise UnknownName("metric", name, known)
    return known[name]
