"""The one door through which attempts at a model leave: each waits here until it may be sent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from promptlab.errors import ProviderError
from promptlab.providers.allowance import Allowance
from promptlab.runner.breaker import Breaker
from promptlab.runner.budget import Account
from promptlab.runner.limiter import Limiter
from promptlab.runner.needs import NOTHING, Need, Needs
from promptlab.runner.records import Stop
from promptlab.types import Request, Response

__all__ = ["Closed", "Gate", "Pass"]

_TROUBLE = frozenset({"server", "timeout", "connection"})
_WORTH_TELLING_S = 1.0


class Closed(Exception):
    """The model has stopped: nothing more is sent."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to send one attempt."""

    need: Need = NOTHING
    is_probe: bool = False
    number: int | None = None


@dataclass(slots=True)
class _Waiting:
    future: asyncio.Future[Pass]
    request: Request


class Gate:
    """Brings together what may hold a request back: limits, pauses, breaker, budgets.

    Whoever waits for a second attempt goes before those that wait for their first.

    Args:
        limiter: how fast the model may be asked.
        breaker: whether it answers at all.
        account: what it spends.
        needs: what its requests take.
        on_limit: told of a new limit (0 while the breaker is open) and why.
        on_stop: told why the model stops; closes the gate.

    Attributes:
        stopped: set when the gate is closed.
    """

    def __init__(
        self,
        limiter: Limiter,
        breaker: Breaker,
        account: Account,
        needs: Needs,
        *,
        on_limit: Callable[[int, str], None],
        on_stop: Callable[[Stop], None],
    ) -> None:
        self._limiter, self.breaker, self._account, self._needs = limiter, breaker, account, needs
        self._on_limit, self._on_stop = on_limit, on_stop
        self._again: deque[_Waiting] = deque()
        self._first: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.stopped = asyncio.Event()

    @property
    def limit(self) -> int:
        """Most requests in flight at present."""
        return self._limiter.limit

    def close(self) -> None:
        """Let nobody through any more; who waits is turned away."""
        self.stopped.set()
        self._cancel_timer()
        for queue in (self._again, self._first):
            while queue:
                future = queue.popleft().future
                if not future.done():
                    future.set_exception(Closed)

    async def enter(self, request: Request, *, again: bool = False) -> Pass:
        """Wait until a request may be sent.

        Args:
            request: the request.
            again: whether an attempt at it has failed before.

        Raises:
            Closed: the model has stopped.
        """
        if self.stopped.is_set():
            raise Closed
        if not self._first and not self._again:
            need, now = self._need(request), time.monotonic()
            if self._wait(need, now) == 0:
                return self._admit(need, now)
            if self.stopped.is_set():
                raise Closed
        waiting = _Waiting(asyncio.get_running_loop().create_future(), request)
        (self._again if again else self._first).append(waiting)
        self.wake()
        try:
            return await waiting.future
        except asyncio.CancelledError:
            if waiting.future.done() and not waiting.future.cancelled():
                self.dropped(waiting.future.result())
            raise

    def wake(self) -> None:
        """Let through whoever may go by now."""
        self._cancel_timer()
        while queue := self._again or self._first:
            waiting = queue[0]
            if waiting.future.done():
                queue.popleft()
                continue
            need, now = self._need(waiting.request), time.monotonic()
            wait = self._wait(need, now)
            if self.stopped.is_set():
                return
            if wait is None:
                return
            if wait > 0:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(wait, self.wake)
                return
            queue.popleft()
            waiting.future.set_result(self._admit(need, now))

    def answered(self, leave: Pass, response: Response, allowance: Allowance | None) -> None:
        """An attempt got an answer."""
        now = time.monotonic()
        changed = self._limiter.answered(now)
        if self.breaker.success():
            changed = changed or "the endpoint answers again"
        if leave.need is not NOTHING:
            self._needs.learn(leave.need, response)
        self._landed(leave, response, allowance, changed, now)

    def failed(
        self,
        leave: Pass,
        error: ProviderError,
        allowance: Allowance | None,
        *,
        gave_up: bool,
        stop: Stop | None = None,
    ) -> None:
        """An attempt failed.

        Args:
            leave: what it was sent with.
            error: what it met.
            allowance: what the endpoint says it lets through.
            gave_up: whether it was the last attempt at its request.
            stop: why the model stops after such an error, if it does.
        """
        now = time.monotonic()
        changed = None
        if error.kind == "rate_limit":
            changed = self._limiter.limited(error.retry_after, now)
        elif error.kind in _TROUBLE:
            changed = self._limiter.troubled(now)
        else:
            self._limiter.dropped(now)
        if error.retry_after is not None:
            longer = self._limiter.pause(error.retry_after, now)
            if longer >= _WORTH_TELLING_S:
                pause = f"the provider asks to wait {error.retry_after:.0f} s"
                changed = f"{changed}; {pause}" if changed else pause
        was_open = self.breaker.is_open
        dead = self.breaker.failure(
            error, now, is_probe=leave.is_probe, gave_up=gave_up, number=leave.number
        )
        if (reason := stop or dead) is not None:
            self._on_stop(reason)
        if self.breaker.is_open and not was_open:
            changed = f"{self.breaker.why}; trying one request now and then"
        elif was_open and not self.breaker.is_open:
            changed = "the endpoint answers again"
        self._landed(leave, None, allowance, changed, now)

    def dropped(self, leave: Pass) -> None:
        """An attempt was given up before anything came of it."""
        now = time.monotonic()
        self._limiter.dropped(now)
        self.breaker.dropped(leave.is_probe)
        self._landed(leave, None, None, None, now)

    def _landed(
        self,
        leave: Pass,
        response: Response | None,
        allowance: Allowance | None,
        changed: str | None,
        now: float,
    ) -> None:
        tokens, usd = 0, 0.0
        if response is not None:
            tokens = (response.prompt_tokens or 0) + (response.completion_tokens or 0)
            usd = self._needs.usd(response)
        if leave.need is not NOTHING:
            self._limiter.used(leave.need.tokens, tokens)
        if allowance is not None:
            self._limiter.allowed(allowance, now)
        self._account.settle(leave.need, tokens, usd)
        if changed is not None:
            self._on_limit(0 if self.breaker.is_open else self._limiter.limit, changed)
        if self._again or self._first:
            self.wake()

    def _need(self, request: Request) -> Need:
        counts = self._account.purses or self._limiter.counts_tokens
        return self._needs.of(request) if counts else NOTHING

    def _wait(self, need: Need, now: float) -> float | None:
        """Seconds until an attempt may go, 0 for now, or None: until another one lands."""
        wait = self.breaker.wait(now) if self.breaker.is_open else 0.0
        if wait == 0:
            wait = self._limiter.wait(need.tokens, now)
        if need.is_guess and self._limiter.in_flight and self._limiter.counts_tokens:
            return None  # the first answer shows how long answers are
        if wait == 0 and self._account.purses:
            purse = self._account.without_room(need)
            if purse is not None:
                if not purse.in_flight:
                    self._on_stop(Stop("budget", purse.used_up(need)))
                    return None
                purse.waiting.add(self.wake)
                return None
        return wait

    def _admit(self, need: Need, now: float) -> Pass:
        self._limiter.sent(need.tokens, now)
        self._account.take(need)
        is_probe = self.breaker.sent()
        return Pass(need, is_probe, self.breaker.number)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
