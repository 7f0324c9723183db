"""Asking a race: the next block's requests, as soon as the last block has its answers.

The runner takes asks from an iterator until it ends, and looks again as long as something is in
flight. The iterator of a race ends where a block ends and goes on when it has been judged, so one
call of the runner, with its limits and budgets, asks the whole race.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from promptlab.asking import as_ask
from promptlab.plan import Plan, Planned
from promptlab.racing import Panel, panels_of
from promptlab.runner import Ask, Event
from promptlab.scoring import score_response
from promptlab.types import Cell, Item, Response

__all__ = ["RaceAsks"]

_ENDS = frozenset({"hit", "answer", "failed"})
_CONTINUED = frozenset({"ok", "truncated"})


class RaceAsks:
    """The asks of all races of a plan, and what becomes of them.

    Args:
        plan: the plan of the full design.
        on_dropped: told of requests that will not be sent, by model label and number.
        on_message: takes a line whenever stimuli leave.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        on_dropped: Callable[[str, int], None] = lambda label, requests: None,
        on_message: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._plan, self._on_dropped, self._on_message = plan, on_dropped, on_message
        self._panels = panels_of(plan)
        self._values: dict[Panel, dict[tuple[str, str, str], list[float]]] = {
            p: {} for p in self._panels
        }
        self._due = dict.fromkeys(self._panels, 0)
        self._open: dict[tuple[Cell, str], list[tuple[Panel, Item]]] = {}
        self._place = {(p.model, task, p.shots): p for p in self._panels for task in p.tasks}

    def streams(self) -> Mapping[str, Iterator[Ask]]:
        """The asks of each model, by label."""
        return {m.label: _Blocks(self, m.label) for m in self._plan.models}

    def is_asked(self, planned: Planned) -> bool:
        """Whether a request of the full design was sent, or would be next."""
        cell = planned.cell
        panel = self._place[cell.model, cell.task, cell.shots]
        return panel.is_asked(cell.task, cell.condition, planned.item.item_id)

    def heard(self, event: Event) -> None:
        """Take note of an answer, or that there is none."""
        ask, response = event.ask, event.response
        if event.kind not in _ENDS or ask is None:
            return
        if response is None:
            response = Response("error", error=event.message)
        waiting = self._open[ask.tag, ask.hash]
        panel, item = waiting.pop()
        if not waiting:
            del self._open[ask.tag, ask.hash]
        if ask.follow_up is not None and response.status in _CONTINUED:
            return  # the second call decides, and has taken its place
        metrics, primary = self._plan.protocols(ask.tag.task)
        incomplete = self._plan.spec.experiment.scoring.incomplete
        (score,) = score_response(
            item, response, {primary: metrics[primary]}, incomplete=incomplete
        )
        value = math.nan if score.value is None else score.value
        key = (ask.tag.task, ask.tag.condition, item.item_id)
        self._values[panel].setdefault(key, []).append(value)
        self._due[panel] -= 1

    def next_block(self, label: str) -> list[Ask]:
        """The asks of the next blocks of a model; none while answers are awaited."""
        return [
            ask
            for panel in self._panels
            if panel.model == label and not self._due[panel] and self._goes_on(panel)
            for ask in self._asks(panel)
        ]

    def _goes_on(self, panel: Panel) -> bool:
        """Judge the block that is complete; whether another one follows."""
        values = self._values[panel]
        if values:
            leaving = panel.judge(values)
            values.clear()
            if leaving or panel.over:
                self._on_dropped(panel.model, panel.left_out(panel.dropped(list(leaving))))
                self._on_message(_left_words(panel, leaving))
        return not panel.over

    def _asks(self, panel: Panel) -> Iterator[Ask]:
        for planned in panel.requests():
            self._due[panel] += 1
            yield self._noted(panel, planned)

    def _noted(self, panel: Panel, planned: Planned) -> Ask:
        """The ask of a request, remembered until it ends; so is its second call."""
        ask = as_ask(planned, then=lambda second: self._noted(panel, second))
        self._open.setdefault((ask.tag, ask.hash), []).append((panel, planned.item))
        return ask


class _Blocks:
    """Ends where a block ends, and goes on when it has been judged."""

    def __init__(self, asks: RaceAsks, label: str) -> None:
        self._asks, self._label = asks, label
        self._ready: Iterator[Ask] = iter(())

    def __iter__(self) -> _Blocks:
        return self

    def __next__(self) -> Ask:
        for ask in self._ready:
            return ask
        self._ready = iter(self._asks.next_block(self._label))
        return next(self._ready)


def _left_words(panel: Panel, leaving: Mapping[str, Any]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, why in leaving.items():
        by_reason.setdefault(why, []).append(name)
    left = ", ".join(f"{' '.join(names)} {why}" for why, names in by_reason.items())
    running = len(panel.race.running)
    state = "the race is over" if panel.over else f"{running} still running"
    return (
        f"race of {panel.title}, block {panel.block} of {panel.n_blocks}: "
        + (f"left: {left}; " if left else "")
        + state
    )
