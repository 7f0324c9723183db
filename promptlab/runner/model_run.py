"""One model's part of a run: takes asks from a stream, looks them up, and has the rest asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from promptlab.errors import StoreError
from promptlab.runner.asks import Asks
from promptlab.runner.crew import Crew, Shared
from promptlab.runner.records import Ask
from promptlab.types import Response

__all__ = ["ModelRun"]

_MOST_WAITING = 4096


class ModelRun:
    """Takes asks from a stream as fast as the model answers them.

    What is open at any time is bounded, so memory does not grow with the plan.
    """

    def __init__(self, model: str, stream: Iterator[Ask], shared: Shared) -> None:
        self._stream, self._shared, self._options = stream, shared, shared.options
        self._asks = Asks(model, shared.outcome, shared.on_event, shared.on_log)
        self._waiting: dict[str, Ask] = {}
        """Asks that somebody else is getting an answer to."""
        self._polled = 0.0
        self._crew: Crew | None = None
        self._feeder: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until every ask of the stream has landed, has failed or was left out."""
        crew: Crew | None = None
        try:
            async with asyncio.TaskGroup() as group:
                crew = self._crew = Crew(self._asks, self._shared, group)
                self._feeder = group.create_task(self._feed(crew))
        finally:
            if crew is not None:
                await crew.close()

    def halt(self) -> None:
        """Send nothing more; what is in flight may land."""
        if self._crew is not None:
            self._crew.shut()
        if self._feeder is not None:
            self._feeder.cancel()

    async def _feed(self, crew: Crew) -> None:
        try:
            await self._feed_all(crew)
        except Exception:
            # Before it is told what went wrong, what is in flight and may be paid for lands.
            crew.shut()
            crew.dismiss()
            await crew.land(self._options.drain_s)
            raise
        except asyncio.CancelledError:
            crew.dismiss()
            raise
        crew.dismiss()

    async def _feed_all(self, crew: Crew) -> None:
        while True:
            crew.changed.clear()
            if self._waiting and time.monotonic() - self._polled >= self._options.poll_s:
                await self._poll(crew)
            batch = self._next_batch() if len(self._waiting) < _MOST_WAITING else []
            if batch:
                await self._look_up(batch, crew)
            elif self._waiting:
                await asyncio.sleep(self._options.poll_s)
            elif crew.sending:
                await crew.changed.wait()
            elif not self._asks.follow_ups:
                return

    def _next_batch(self) -> list[Ask]:
        ready, most = self._asks.follow_ups, self._options.look_up
        batch = [ready.popleft() for _ in range(min(most, len(ready)))]
        return batch or list(islice(self._stream, most))

    async def _look_up(self, batch: Sequence[Ask], crew: Crew) -> None:
        fresh = {ask.hash: ask for ask in batch if self._asks.take(ask)}
        found = await self._stored(list(fresh))
        misses = [ask for key, ask in fresh.items() if key not in found]
        if misses and self._shared.store.mode == "replay":
            raise StoreError(
                f"replay: the store {self._shared.store.path} has no answer to request "
                f"{misses[0].hash} of {self._asks.model}; run with 'store: use' to ask for it"
            )
        await self._send(misses, crew)

    async def _send(self, misses: Sequence[Ask], crew: Crew) -> None:
        """Claim and hand over, a little ahead of the workers and no more."""
        if misses:
            await crew.hire()
        start = 0
        while start < len(misses):
            await crew.wants()
            chunk = misses[start : start + max(1, crew.width)]
            start += len(chunk)
            if crew.stopped:
                self._asks.skip(ask.hash for ask in chunk)
            else:
                await self._claim({ask.hash: ask for ask in chunk}, crew)

    async def _claim(self, asks: Mapping[str, Ask], crew: Crew) -> None:
        claims = await self._shared.in_thread(self._shared.store.claim_many, list(asks))
        await self._stored([key for key in asks if key in claims.answered])
        for key, ask in asks.items():
            if key in claims.granted:
                self._waiting.pop(key, None)
                crew.give(ask)
            elif key in claims.busy:
                self._waiting[key] = ask

    async def _poll(self, crew: Crew) -> None:
        """Look again for answers that somebody else was getting."""
        self._polled = time.monotonic()
        failures = self._shared.outcome.failures
        for key in [key for key in self._waiting if key in failures]:
            del self._waiting[key]
            self._asks.fail(key, failures[key])
        if crew.stopped:
            left = list(self._waiting)
            found = await self._stored(left)
            self._waiting.clear()
            self._asks.skip(key for key in left if key not in found)
            return
        keys, width = list(self._waiting), max(1, 2 * crew.width)
        for start in range(0, len(keys), width):
            some = keys[start : start + width]
            await self._claim({k: self._waiting[k] for k in some if k in self._waiting}, crew)

    async def _stored(self, keys: list[str]) -> dict[str, Response]:
        """What the store has of these, landed."""
        if not keys:
            return {}
        found: dict[str, Response] = await self._shared.in_thread(self._shared.store.get_many, keys)
        for key, response in found.items():
            self._waiting.pop(key, None)
            self._asks.land(key, response, "hit")
        return found
