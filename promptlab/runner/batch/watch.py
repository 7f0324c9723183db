"""Looking at the batches that a provider works on, and collecting those that have ended."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from promptlab.errors import ProviderError
from promptlab.providers.batch_api import RemoteBatch
from promptlab.runner.batch.desk import Desk, stop_after
from promptlab.runner.batch.handing import Handing
from promptlab.runner.batch.results import Collected, Collector
from promptlab.runner.batch.state import KnownBatch, Requests
from promptlab.runner.batch.work import Halted, Work
from promptlab.runner.records import Stop

__all__ = ["Watch"]

_LOOKS_AT_ONCE = 8
_FIRST_LOOK_S = 1.0
_SLOWER = 1.5
_SILENT_S = 3600.0
"""Seconds without any good reply to a look, after which the provider counts as gone."""


class Watch:
    """Waits for the batches of one model.

    Args:
        work: what is in hand.
        desk: talks to the provider.
        handing: knows which batches there are.
    """

    def __init__(self, work: Work, desk: Desk, handing: Handing) -> None:
        self._work, self._desk, self._handing = work, desk, handing
        self._live = handing.live
        self._collector = Collector(work, desk)
        self._remote: dict[int, RemoteBatch] = {}
        self._collected: dict[int, Collected] = {}
        self._torn: Counter[int] = Counter()
        self._heard = time.monotonic()
        self._created = 0
        self._interval = _FIRST_LOOK_S
        self._succeeded = False

    async def pause(self, most: float | None) -> None:
        """Until it is time to look: soon after a batch was created, and then less and less often.

        Args:
            most: seconds, at most; None for no such limit.

        Raises:
            Halted: the run was interrupted.
        """
        longest = self._work.shared.settings.poll_s
        if self._created != self._handing.created:
            self._created = self._handing.created
            self._heard = time.monotonic()
            self._interval = _FIRST_LOOK_S
        await self._desk.pause(min(self._interval, longest, most or longest))
        self._interval = min(self._interval * _SLOWER, longest)

    async def look(self) -> None:
        """Look at every batch, and collect those that have ended."""
        if not self._live:
            return
        gate = asyncio.Semaphore(_LOOKS_AT_ONCE)
        live = list(self._live.values())
        looks = await asyncio.gather(*(self._look_at(batch, gate) for batch in live))
        asks = self._work.asks
        asks.log(
            "batches",
            batches=len(live),
            requests=sum(batch.requests for batch in live),
            completed=sum(r.completed + r.failed for r in looks if r is not None),
        )
        for batch, remote in zip(live, looks, strict=True):
            if remote is not None and remote.ended and batch.number in self._live:
                if self._work.halted.is_set():
                    raise Halted
                await self._collect(batch, remote)
        if self._live and time.monotonic() - self._heard > _SILENT_S:
            hours = _SILENT_S / 3600
            self._work.stop(Stop("endpoint", f"no reply from the provider for {hours:g} hours"))
            for batch in list(self._live.values()):
                await self._abandon(batch)

    async def _look_at(self, batch: KnownBatch, gate: asyncio.Semaphore) -> RemoteBatch | None:
        assert batch.id is not None
        try:
            async with gate:
                remote = await self._desk.api.look(batch.id)
        except ProviderError as error:
            self._work.asks.log("look failed", batch=batch.id, error=str(error))
            if error.stops_model:
                await self._lose_sight(batch, error)
            return self._remote.get(batch.number)
        self._heard = time.monotonic()
        self._remote[batch.number] = remote
        return remote

    async def _lose_sight(self, batch: KnownBatch, error: ProviderError) -> None:
        reason = f"batch {batch.id} cannot be collected: {error}"
        if error.kind == "not_found":
            reason += (
                "; is the key of the same account? If the batch is gone, delete its entry in "
                f"{self._work.shared.state.path} to have its requests sent, and paid for, once more"
            )
        self._work.stop(Stop("refused", reason))
        await self._abandon(batch)

    async def _abandon(self, batch: KnownBatch) -> None:
        """Wait for it no longer; a later run collects it."""
        self._drop(batch.number)
        await self._work.give_up(batch, forget=False)

    def _drop(self, number: int) -> None:
        self._live.pop(number, None)
        self._remote.pop(number, None)
        self._collected.pop(number, None)
        self._torn.pop(number, None)

    # --- collecting ---------------------------------------------------------------------------

    async def _collect(self, batch: KnownBatch, remote: RemoteBatch) -> None:
        so_far = self._collected.setdefault(batch.number, Collected())
        work = self._work
        with await work.requests(batch) as requests:
            try:
                await self._collector.read(batch, remote, requests, so_far)
            except ProviderError as error:
                work.asks.log("collecting failed", batch=batch.id, error=str(error))
                if error.stops_model:
                    await self._lose_sight(batch, error)
                    return
                self._torn[batch.number] += 1
                most = work.shared.options.max_attempts
                if error.kind != "malformed" or self._torn[batch.number] < most:
                    return  # the next look leads here again
            too_much = [fault.message for fault in remote.faults if fault.too_much_out]
            if remote.status == "failed" and too_much:
                await self._handing.park(batch, too_much[0])
                self._drop(batch.number)
                return
            self._settle_rest(batch, remote, requests, so_far)
            await self._collector.saved(so_far)
            self._let_go(batch, remote, requests, so_far)
        await work.shared.in_thread(work.shared.state.forgotten(batch.number))
        self._handing.ended(batch)
        self._drop(batch.number)
        work.asks.log("batch collected", batch=batch.id, status=remote.status)

    def _settle_rest(
        self, batch: KnownBatch, remote: RemoteBatch, requests: Requests, so_far: Collected
    ) -> None:
        """What becomes of the requests of an ended batch that it has no line for."""
        if remote.status == "completed":
            self._collector.missing(
                requests, so_far, "malformed", "the batch ended without an answer to it"
            )
        elif remote.status == "expired":
            self._collector.missing(
                requests, so_far, "timeout", "the batch expired before its turn"
            )
        elif remote.status == "cancelled":
            self._work.stop(
                Stop(
                    "refused",
                    f"batch {batch.id} was cancelled at the provider; what it had completed is "
                    "kept, and running again hands in the rest",
                )
            )
        else:
            self._collector.refused(remote, requests, so_far)

    def _let_go(
        self, batch: KnownBatch, remote: RemoteBatch, requests: Requests, so_far: Collected
    ) -> None:
        """Send again what is to be, and leave out what was never sent."""
        work = self._work
        work.not_out(batch.number, requests)
        unsent = len(requests if remote.status == "failed" else so_far.unsent)
        work.settle(batch, unsent=unsent, tokens=so_far.tokens, usd=so_far.usd)
        work.send_again(so_far.again)
        self._succeeded = self._succeeded or bool(so_far.kept)
        if so_far.stops is not None:
            work.stop(stop_after(so_far.stops, work.shared.options))
        elif so_far.refused >= work.shared.options.breaker and not self._succeeded:
            work.stop(
                Stop(
                    "refused",
                    f"all {so_far.refused} requests of batch {batch.id} were refused, the last "
                    f"with {so_far.last_error}",
                )
            )
        again = {key for key, _, _ in so_far.again}
        work.leave_out(k for k in requests if k not in so_far.seen and k not in again)
