"""Those who ask one model: workers for first attempts, and a task for each further course."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from promptlab.errors import ProviderError, UserError
from promptlab.keys import canonical_request
from promptlab.providers.base import Provider
from promptlab.runner.asks import Asks
from promptlab.runner.attempts import Attempts, Course, FirstFailed, GaveUp
from promptlab.runner.breaker import Breaker
from promptlab.runner.budget import Account
from promptlab.runner.concurrency import AUTO_CEILING, AUTO_START
from promptlab.runner.gate import Closed, Gate
from promptlab.runner.limiter import Limiter
from promptlab.runner.needs import Needs
from promptlab.runner.records import Ask, Event, LimitChange, Log, Outcome, RunnerOptions, Stop
from promptlab.runner.stops import with_rest
from promptlab.runner.writer import InThread, Writer
from promptlab.store import COMPLETE, Store
from promptlab.types import Response

__all__ = ["Crew", "Shared"]

_RETRYING_FOR_ONE = 4
_MOST_LIMITS = 1000
_CLOSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What the models of a run have in common."""

    store: Store
    writer: Writer
    provider_for: Callable[[str], Provider]
    options: RunnerOptions
    outcome: Outcome
    accounts: Mapping[str, Account]
    in_thread: InThread
    on_event: Callable[[Event], None] | None
    on_log: Log | None


class Crew:
    """Asks what it is given, as fast as the model allows.

    There are as many workers as requests may be in flight, each making the first attempt at one
    request after the other. A request that has to be asked again leaves its worker free. Of those
    that wait for another attempt there are at most four times as many as may be in flight, or as
    many as it takes to open the breaker.

    Args:
        asks: the model's asks, told how each of them ends.
        shared: what the models of the run have in common.
        group: where its tasks belong.

    Attributes:
        stopped: nothing more is sent.
        sending: asks given and not ended.
        width: number of workers; 0 before `hire`.
        changed: set when nothing is left to send, or an answer has made a further ask.
    """

    def __init__(self, asks: Asks, shared: Shared, group: asyncio.TaskGroup) -> None:
        self._asks, self._shared, self._group = asks, shared, group
        self._options, self._outcome = shared.options, shared.outcome
        self._queue: asyncio.Queue[Ask | None] = asyncio.Queue()
        self._wanted = asyncio.Event()
        self._provider: Provider | None = None
        self._attempts: Attempts | None = None
        self._gate: Gate | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._retries: set[asyncio.Task[None]] = set()
        self._fewer_retries = asyncio.Event()
        self.stopped = False
        self.sending = 0
        self.width = 0
        self.changed = asyncio.Event()

    # --- from outside -----------------------------------------------------------------------

    async def hire(self) -> None:
        """Make the provider and the first workers, if there are none and the model has not stopped.

        Making a provider can import a large library or load a model, so a thread does it.
        """
        if self._provider is not None or self.stopped:
            return
        options, model = self._options, self._asks.model
        try:
            provider: Provider = await self._shared.in_thread(self._shared.provider_for, model)
        except (UserError, ProviderError) as error:
            self.stop(Stop("refused", str(error)))
            return
        self._provider = provider
        if self.stopped:
            return
        wanted = options.concurrency_of.get(model, options.concurrency)
        start, ceiling = (AUTO_START, AUTO_CEILING) if wanted == "auto" else (wanted, wanted)
        limiter = Limiter(
            start,
            min(ceiling, provider.max_concurrency or ceiling),
            time.monotonic(),
            rate=options.rate_of.get(model),
            longest_pause_s=options.max_wait_s,
        )
        self._gate = Gate(
            limiter,
            Breaker(options),
            self._shared.accounts[model],
            Needs(options.price_of.get(model)),
            on_limit=self._on_limit,
            on_stop=self.stop,
        )
        self._attempts = Attempts(
            *(provider, self._gate, options, self._asks.counts, self._on_failure)
        )
        self._on_limit(limiter.limit, "at the beginning")

    def give(self, ask: Ask) -> None:
        """Have a claimed request answered."""
        self.sending += 1
        self._queue.put_nowait(ask)

    async def wants(self) -> None:
        """Wait until the workers want more than they have been given."""
        while self._queue.qsize() >= max(1, self.width) and not self.stopped:
            self._wanted.clear()
            await self._wanted.wait()

    def stop(self, stop: Stop) -> None:
        """Send nothing more, and say why."""
        if self.stopped:
            return
        self._outcome.stopped[self._asks.model] = stop
        self.shut()
        self._asks.log("stopped", kind=stop.kind, reason=stop.reason)
        self._asks.tell("stopped", None, message=stop.reason)

    def shut(self) -> None:
        """Send nothing more; what is in flight may land."""
        self.stopped = True
        self._fewer_retries.set()
        self._wanted.set()
        if self._gate is not None:
            self._gate.close()

    def dismiss(self) -> None:
        """Tell the workers to go home when they have done what they are at."""
        if self.stopped:
            while not self._queue.empty():
                ask = self._queue.get_nowait()
                if ask is not None:
                    self._leave_out(ask)
        for _ in self._workers:
            self._queue.put_nowait(None)

    async def land(self, seconds: float) -> None:
        """Wait for what is in flight, at most so long."""
        if pending := {*self._workers, *self._retries}:
            await asyncio.wait(pending, timeout=seconds)

    async def close(self) -> None:
        """Release the provider, and say what a stop has left."""
        model, stop = self._asks.model, self._outcome.stopped.get(self._asks.model)
        if stop is not None:
            self._outcome.stopped[model] = with_rest(stop, self._asks.counts.skipped)
        if self._provider is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._provider.close()

    # --- workers ----------------------------------------------------------------------------

    async def _work(self, attempts: Attempts, gate: Gate) -> None:
        queue, writer, retries = self._queue, self._shared.writer, self._retries
        enough = self._options.breaker  # so that one failure of each shows a dead endpoint
        while (ask := await queue.get()) is not None:
            if queue.qsize() < self.width:
                self._wanted.set()
            try:
                self._answered(ask, await attempts.first(ask))
            except FirstFailed as failed:
                self._ask_again(ask, failed.course, attempts)
            except GaveUp as gave_up:
                self._end_without_answer(ask, gave_up)
            except Closed:
                self._leave_out(ask)
            if writer.is_full:
                await writer.room()
            while len(retries) >= max(_RETRYING_FOR_ONE * gate.limit, enough) and not self.stopped:
                self._fewer_retries.clear()
                await self._fewer_retries.wait()

    def _ask_again(self, ask: Ask, course: Course, attempts: Attempts) -> None:
        task = self._group.create_task(self._retry(ask, course, attempts))
        self._retries.add(task)
        task.add_done_callback(self._retried)

    def _retried(self, task: asyncio.Task[None]) -> None:
        self._retries.discard(task)
        self._fewer_retries.set()

    async def _retry(self, ask: Ask, course: Course, attempts: Attempts) -> None:
        try:
            self._answered(ask, await attempts.again(ask, course))
        except GaveUp as gave_up:
            self._end_without_answer(ask, gave_up)
        except Closed:
            self._leave_out(ask)

    # --- what happens to them ---------------------------------------------------------------

    def _answered(self, ask: Ask, response: Response) -> None:
        self._asks.count_paid(response)
        if response.status in COMPLETE:
            canonical = ask.canonical or canonical_request(ask.request)
            self._shared.writer.add((ask.hash, canonical, response))
            self._asks.land(ask.hash, response, "answer")
        else:
            self._shared.writer.release(ask.hash)
            self._asks.fail(ask.hash, response)
        self._ended()

    def _end_without_answer(self, ask: Ask, gave_up: GaveUp) -> None:
        if self.stopped:
            # Not this request's fault: the model stopped, and its reason has been told.
            self._leave_out(ask)
            return
        error = gave_up.error
        response = Response(
            "error", error=str(error), attempts=gave_up.attempts, created=round(time.time(), 3)
        )
        self._shared.writer.release(ask.hash)
        self._asks.fail(ask.hash, response, failure=error.kind)
        self._ended()

    def _leave_out(self, ask: Ask) -> None:
        self._shared.writer.release(ask.hash)
        self._asks.skip([ask.hash])
        self._ended()

    def _ended(self) -> None:
        self.sending -= 1
        if not self.sending or self._asks.follow_ups:
            self.changed.set()

    def _on_failure(self, ask: Ask, error: ProviderError, gave_up: bool) -> None:
        self._asks.counts.failed_attempts[error.kind] += 1
        self._asks.log("attempt failed", request=ask.hash, error=str(error), last=gave_up)
        if not gave_up and not self.stopped:
            self._asks.tell("retry", ask, message=str(error), failure=error.kind)

    def _on_limit(self, limit: int, reason: str) -> None:
        history = self._outcome.limits.setdefault(self._asks.model, [])
        if len(history) >= _MOST_LIMITS:
            del history[_MOST_LIMITS // 2]
        history.append(LimitChange(round(time.time(), 3), limit, reason))
        self._asks.log("limit", limit=limit, reason=reason)
        self._asks.tell("limit", None, message=reason, limit=limit)
        if limit <= self.width or self.stopped:
            return
        assert self._attempts is not None
        assert self._gate is not None
        for _ in range(self.width, limit):
            work = self._work(self._attempts, self._gate)
            self._workers.append(self._group.create_task(work))
        self.width = limit
        self._wanted.set()
