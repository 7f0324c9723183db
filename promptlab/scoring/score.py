"""From a response to its scores: the one entry point of the engine.

What becomes of a response that is not plain text with an answer:

* A failed, refused or filtered response is not scored: value None, status as it came.
* One cut off by the token limit is not scored, unless the part that the metric reads was complete
  (`promptlab.scoring.truncation`); then it counts like any other, with status `ok`.
* A reply of nothing but blanks is `empty`, whatever the provider called it.
* Where incomplete answers are to be scored, these two are, as they stand, with status `ok`.
* A reply in which no answer is found, such as no choice or several, is an answer, and a wrong one:
  value 0, status `ok`. It says something about the model, not about the line to it.
* A metric that this reply cannot be scored under (MC2 without log-probabilities) gives value None
  and status `empty`: the response has nothing that the metric reads. An open answer that only a
  judge can score has status `unjudged`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from promptlab.scoring.extraction import extract as extract_answer
from promptlab.scoring.metrics import Metric, get_metric
from promptlab.scoring.options import option_index
from promptlab.scoring.truncation import complete
from promptlab.types import Item, Response, Score, Status

__all__ = ["score_response"]

_metric = lru_cache(maxsize=None)(get_metric)


def score_response(
    item: Item,
    response: Response,
    protocols: Mapping[str, str],
    extract: str = "whole",
    incomplete: Literal["skip", "score"] = "skip",
) -> list[Score]:
    """Scores of one response, one for each protocol, in the order of `protocols`.

    Log-probabilities are used where the response has them and the metric can; text otherwise.

    Args:
        item: the item that was asked.
        response: what came back.
        protocols: metric's name by protocol.
        extract: how the answer is read out of the text (`promptlab.scoring.extraction.HOWS`).
        incomplete: what becomes of a text that was cut off, or is empty.

    Raises:
        UnknownName: no such metric or way of extraction.
        UserError: the item lacks what a metric needs.
        ValueError: there are not as many log-probabilities as choices.
    """
    scores = []
    for protocol, name in protocols.items():
        metric = _metric(name)
        if response.choice_logprobs and metric.score_logprobs is not None:
            scores.append(_by_logprob(item, response, protocol, metric))
        else:
            scores.append(_by_text(item, response, protocol, metric, extract, incomplete))
    return scores


def _by_text(
    item: Item, response: Response, protocol: str, metric: Metric, how: str, incomplete: str
) -> Score:
    status = _status(response, metric, how)
    if incomplete == "score" and status in ("truncated", "empty"):
        status = "ok"
    if status != "ok":
        return Score(protocol, metric.name, "text", None, status, "")
    answer = extract_answer(response.text, how, item) or ""
    value = metric.score_text(item, answer)
    if metric.score_logprobs is not None:  # a metric of choices: show the choice
        index = option_index(answer, item)
        answer = "" if index is None else item.choices[index]
    if math.isnan(value):
        return Score(protocol, metric.name, "text", None, metric.unscored, answer.strip())
    return Score(protocol, metric.name, "text", value, "ok", answer.strip())


def _status(response: Response, metric: Metric, how: str) -> Status:
    text = response.text
    if response.status == "truncated":
        if how == "whole" and complete(metric, text):
            return "ok"
        # A first line is whole once another has begun; other answers may still have come.
        return "ok" if how == "first_line" and "\n" in text.lstrip() else "truncated"
    if response.status == "ok" and not text.strip():
        return "empty"
    return response.status


def _by_logprob(item: Item, response: Response, protocol: str, metric: Metric) -> Score:
    logprobs = response.choice_logprobs
    if len(logprobs) != len(item.choices):
        raise ValueError(
            f"item {item.item_id} has {len(item.choices)} choices, "
            f"its response {len(logprobs)} log-probabilities"
        )
    # What was generated does not matter here, so neither does a token limit.
    status: Status = "ok" if response.status in ("ok", "truncated", "empty") else response.status
    value = math.nan
    if status == "ok" and metric.score_logprobs and not any(map(math.isnan, logprobs)):
        value = metric.score_logprobs(item, logprobs)
    if math.isnan(value):
        status = "error" if status == "ok" else status
        return Score(protocol, metric.name, "logprob", None, status, "")
    likeliest = item.choices[max(range(len(logprobs)), key=logprobs.__getitem__)]
    return Score(protocol, metric.name, "logprob", value, "ok", likeliest)
