"""From files to batches: what is handed in, what the provider holds back, what it never takes."""

from __future__ import annotations

import time
from collections import deque

from promptlab.errors import ProviderError
from promptlab.runner.batch.desk import Desk, Untraceable, stop_after, too_much_out
from promptlab.runner.batch.state import Chunk, KnownBatch
from promptlab.runner.batch.work import Halted, Work
from promptlab.runner.records import Stop

__all__ = ["Handing"]


class Handing:
    """Hands in the full files of one model, one after the other.

    A provider may limit what waits there at once. What is above that is held back until one of
    our batches has ended, or is handed in in smaller parts if none of ours is there.

    Args:
        work: what there is to do.
        desk: talks to the provider.

    Attributes:
        full: files to be handed in.
        parked: batches to be created from files that the provider has.
        live: batches that the provider works on.
        largest: most requests in one batch.
        created: number of batches created, by which others see that there are new ones.
    """

    def __init__(self, work: Work, desk: Desk) -> None:
        self._work, self._desk = work, desk
        self._state, self._in_thread = work.shared.state, work.shared.in_thread
        self.full: deque[Chunk] = deque()
        self.parked: deque[KnownBatch] = deque()
        self.live: dict[int, KnownBatch] = {}
        self.largest = work.shared.settings.max_requests
        self.created = 0
        self._refused = False
        self._not_alone: set[int] = set()
        """Batches that were created while others of ours were out."""

    @property
    def held(self) -> bool:
        """Whether the provider wants no more until one of our batches has ended."""
        return self._refused and bool(self.live)

    def ended(self, batch: KnownBatch) -> None:
        """The provider has done with a batch: there may be room for another."""
        self.live.pop(batch.number, None)
        self._refused = False

    async def hand_in(self) -> None:
        """Hand in what is full, as far as the provider takes it.

        Raises:
            Halted: the run was interrupted.
        """
        while (self.full or self.parked) and (self._work.stopped or not self.held):
            if self._work.halted.is_set():
                raise Halted
            if self.parked:
                await self._create(self.parked.popleft())
            else:
                await self._upload(self.full.popleft())

    async def park(self, batch: KnownBatch, said: str) -> None:
        """The provider wants less of ours at once: wait, or hand it in in smaller parts.

        Args:
            batch: that it did not take.
            said: its words.
        """
        if batch.id is not None:
            batch.refused.append(batch.id)
            batch.id = None
            await self._in_thread(self._state.saved())
        self.live.pop(batch.number, None)
        asks = self._work.asks
        if self.live or batch.number in self._not_alone:
            self._refused = True
            self.parked.append(batch)
            asks.log("held back", number=batch.number, requests=batch.requests)
            return
        if batch.requests == 1:
            self._work.stop(Stop("quota", f"the provider takes not one more request: {said}"))
            await self._work.give_up(batch, forget=True)
            return
        self.largest = batch.requests // 2
        asks.log("too large a batch", requests=batch.requests, most=self.largest)
        self._work.not_taken(batch)
        with await self._work.requests(batch) as requests:
            self._work.not_out(batch.number, requests)
            self._work.send_again(
                (key, requests.canonical(key), requests.attempt(key)) for key in requests
            )
        await self._in_thread(self._state.forgotten(batch.number))

    def close(self) -> None:
        """Close files that were not handed in; nobody was asked for them."""
        while self.full:
            chunk = self.full.popleft()
            chunk.close()
            self._work.not_handed_in(chunk)

    async def _upload(self, chunk: Chunk) -> None:
        work = self._work
        await self._in_thread(chunk.close)
        path = self._state.lines_path(chunk.number)
        file_id = None
        if not work.stopped:
            try:
                file_id = await self._desk.upload(path)
            except Halted:
                work.not_handed_in(chunk)
                raise
            except ProviderError as error:
                work.stop(stop_after(error, work.shared.options))
        if file_id is None:
            work.not_handed_in(chunk)
            work.leave_out(chunk.keys)
            await self._in_thread(self._state.forgotten(chunk.number))
            return
        batch = KnownBatch(
            *(chunk.number, work.model, chunk.url, len(chunk.keys), chunk.tokens, chunk.usd),
            *(time.time(), file_id),
        )
        work.account.spent.requests += batch.requests
        await self._in_thread(self._state.added(batch))
        path.unlink()
        await self._create(batch)

    async def _create(self, batch: KnownBatch) -> None:
        work = self._work
        if work.stopped:
            await work.give_up(batch, forget=True)
            return
        try:
            remote = await self._desk.create(batch)
        except Untraceable as error:
            work.stop(self._desk.untraceable(batch, error))
            await work.give_up(batch, forget=False)
        except ProviderError as error:
            if too_much_out(error):
                await self.park(batch, error.message)
                return
            work.stop(stop_after(error, work.shared.options))
            await work.give_up(batch, forget=True)
        else:
            batch.id = remote.id
            await self._in_thread(self._state.saved())
            if self.live:
                self._not_alone.add(batch.number)
            else:
                self._not_alone.discard(batch.number)
            self.live[batch.number] = batch
            self.created += 1
            if not batch.refused:
                work.asks.counts.attempts += batch.requests
            work.asks.log("batch created", batch=batch.id, requests=batch.requests)
