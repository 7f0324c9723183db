"""The asks of one model that have been taken up, and how each of them ends."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from promptlab.errors import FailureKind
from promptlab.runner.records import Ask, Counts, Event, EventKind, Log, Outcome
from promptlab.types import Request, Response

__all__ = ["CONTINUED", "Asks"]

CONTINUED = frozenset({"ok", "truncated"})
"""Statuses of answers with something in them that a second call can go on from."""

_NO_REQUEST = Request("")


class Asks:
    """Who waits for which request, counted and told of.

    An ask is open from the moment it is taken up until it has landed, failed or was left out;
    equal asks that come in between join it.

    Args:
        model: label of the model.
        outcome: where it is counted.
        on_event: told of everything that happens.
        on_log: takes records of the debug log.
    """

    def __init__(
        self,
        model: str,
        outcome: Outcome,
        on_event: Callable[[Event], None] | None = None,
        on_log: Log | None = None,
    ) -> None:
        self.model = model
        self.counts = outcome.models.setdefault(model, Counts())
        self.follow_ups: deque[Ask] = deque()
        """Next calls of methods of several calls, made from answers that landed."""
        self._failures = outcome.failures
        self._served = outcome.served.setdefault(model, Counter())
        self._open: dict[str, list[Ask]] = {}
        self._light: dict[str, Any] = {}
        """Tags of open asks that were made light."""
        self._on_event, self._on_log = on_event, on_log

    def __contains__(self, key: str) -> bool:
        return key in self._open or key in self._light

    def __len__(self) -> int:
        return len(self._open) + len(self._light)

    def take(self, ask: Ask) -> bool:
        """Take up an ask; whether somebody has to find its answer (False: that is under way)."""
        self.counts.planned += 1
        if ask.hash in self._open:
            self._open[ask.hash].append(ask)
        elif ask.hash in self._light:
            self._open[ask.hash] = [*self._pop(ask.hash), ask]
        elif (failure := self._failures.get(ask.hash)) is not None:
            self._count_failed(ask, failure)
        else:
            self._open[ask.hash] = [ask]
            return True
        return False

    def lighten(self, key: str) -> None:
        """Let go of an open ask but for its tag and its next call: a million of them may be open.

        Whoever does so gives the request back when it lands or fails.
        """
        asks = self._open.get(key, ())
        if len(asks) == 1 and asks[0].follow_up is None:
            self._light[key] = asks[0].tag
            del self._open[key]
        elif asks:
            self._open[key] = [
                replace(ask, request=_NO_REQUEST, shared_prefix="", canonical=None) for ask in asks
            ]

    def land(
        self, key: str, response: Response, kind: EventKind, request: Request | None = None
    ) -> None:
        """There is an answer.

        Args:
            key: of the request.
            response: the answer.
            kind: `answer` if it was paid for now, `hit` otherwise.
            request: the request of asks that were made light.
        """
        counts = self.counts
        for i, ask in enumerate(self._pop(key)):
            if i:
                counts.shared += 1
                kind = "hit"
            elif kind == "hit":
                counts.from_store += 1
            else:
                counts.answered += 1
            counts.statuses[response.status] += 1
            tokens = tokens_of(response) if kind == "answer" else 0
            self.tell(kind, _with(ask, request), response, tokens=tokens)
            if ask.follow_up is not None and response.status in CONTINUED:
                following = ask.follow_up(response)
                if following is not None:
                    self.follow_ups.append(following)

    def fail(
        self,
        key: str,
        response: Response,
        request: Request | None = None,
        failure: FailureKind | None = None,
    ) -> None:
        """There is none, and there will be none in this run.

        Args:
            key: of the request.
            response: with status `error` or `empty`.
            request: the request of asks that were made light.
            failure: kind of the last failed attempt.
        """
        self._failures[key] = response
        for i, ask in enumerate(self._pop(key)):
            tokens = 0 if i else tokens_of(response)
            self._count_failed(_with(ask, request), response, tokens=tokens, failure=failure)

    def retry(
        self, key: str, message: str, failure: FailureKind, request: Request | None = None
    ) -> None:
        """An attempt failed and another one follows."""
        if key in self:
            asks = self._open[key] = self._pop(key)
            self.tell("retry", _with(asks[0], request), message=message, failure=failure)

    def skip(self, keys: Iterable[str]) -> None:
        """These are left out, because the model stopped."""
        for key in keys:
            self.counts.skipped += len(self._pop(key))

    def count_paid(self, response: Response) -> None:
        """An answer that was paid for now: what it cost, and who gave it."""
        if response.served_model is not None:
            self._served[response.served_model] += 1
        self.counts.prompt_tokens += response.prompt_tokens or 0
        self.counts.completion_tokens += response.completion_tokens or 0

    def tell(
        self,
        kind: EventKind,
        ask: Ask | None,
        response: Response | None = None,
        *,
        tokens: int = 0,
        message: str = "",
        failure: FailureKind | None = None,
        limit: int | None = None,
    ) -> None:
        """An event."""
        if self._on_event is not None:
            event = Event(self.model, kind, ask, response, tokens, message, failure, limit)
            self._on_event(event)

    def log(self, event: str, **more: object) -> None:
        """A record of the debug log."""
        if self._on_log is not None:
            self._on_log({"event": event, "model": self.model, **more})

    def _pop(self, key: str) -> list[Ask]:
        if key in self._light:
            return [Ask(self.model, _NO_REQUEST, key, tag=self._light.pop(key))]
        return self._open.pop(key, [])

    def _count_failed(
        self,
        ask: Ask,
        response: Response,
        tokens: int = 0,
        failure: FailureKind | None = None,
    ) -> None:
        self.counts.failed += 1
        self.counts.statuses[response.status] += 1
        message = response.error or response.status
        self.tell("failed", ask, response, tokens=tokens, message=message, failure=failure)


def tokens_of(response: Response) -> int:
    """Prompt and completion tokens, where the provider says."""
    return (response.prompt_tokens or 0) + (response.completion_tokens or 0)


def _with(ask: Ask, request: Request | None) -> Ask:
    return ask if request is None else replace(ask, request=request)
