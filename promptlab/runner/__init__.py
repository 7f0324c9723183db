"""The runner: plan minus store -> providers -> store.

`execute` takes one lazy stream of asks for each model and returns when every ask has an answer in
the store, has failed, or was left out because its model stopped. It holds no more than a bounded
look-ahead in memory, so a plan of a million requests costs what a plan of a thousand does.
"""

from __future__ import annotations

from promptlab.runner.engine import execute
from promptlab.runner.log import JsonlLog
from promptlab.runner.records import (
    Ask,
    Budget,
    Counts,
    Event,
    EventKind,
    LimitChange,
    Outcome,
    Rate,
    RunnerOptions,
    Spent,
    Stop,
)

__all__ = [
    "Ask",
    "Budget",
    "Counts",
    "Event",
    "EventKind",
    "JsonlLog",
    "LimitChange",
    "Outcome",
    "Rate",
    "RunnerOptions",
    "Spent",
    "Stop",
    "execute",
]
