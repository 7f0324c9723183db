"""`execute_batches`: the same asks, store and counts as `execute`, through batches of a provider.

What the store does not have is written to a file, handed in as a batch, looked at now and then,
and collected when it has ended. The provider works on while no process of ours lives; what is
needed to find its work again is on disk before it begins (see `state`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.errors import ProviderError, StoreError
from promptlab.keys import canonical_request
from promptlab.providers.batch_api import BatchApi
from promptlab.runner.batch.desk import Desk, Untraceable
from promptlab.runner.batch.handing import Handing
from promptlab.runner.batch.state import BatchState, Chunk, request_from
from promptlab.runner.batch.watch import Watch
from promptlab.runner.batch.work import Halted, Shared, Work, take_up
from promptlab.runner.budget import Account, accounts_of
from promptlab.runner.engine import conduct
from promptlab.runner.records import Ask, Event, Log, Outcome, RunnerOptions, Spent, Stop
from promptlab.runner.writer import InThread, Writer
from promptlab.store import Store
from promptlab.types import Request, Response

if TYPE_CHECKING:
    from promptlab.spec_sending import BatchRunner

__all__ = ["MOST_BYTES", "execute_batches", "still_out"]

MOST_BYTES = 200_000_000
"""Size of the largest file that providers take."""

_MOST_WAITING = 4096
_CLAIMED_AT_ONCE = 4096


async def execute_batches(
    streams: Mapping[str, Iterable[Ask]],
    *,
    store: Store,
    batch_api_for: Callable[[str], BatchApi],
    state: Path,
    settings: BatchRunner,
    options: RunnerOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_log: Log | None = None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Get an answer to every ask, from the store or from a batch of its model's provider.

    Cancelling (Ctrl-C) leaves the batches with the provider; running again with the same `state`
    collects them. No request is handed in again that is in a batch not yet collected.

    Args:
        streams: asks by model label; advanced as they are needed.
        store: where answers are looked up and kept; stays open.
        batch_api_for: makes the batch API of a label when it is needed (called in a worker
            thread, never for a model whose answers are all stored); closed at the end.
        state: folder where the run keeps what it has handed in; made when needed.
        settings: time between looks, size of batches, and the time a provider is given.
        options: attempts, budget and prices; the rest is for the other runner.
        on_event: told of everything that happens, in the loop's thread; should be quick.
        on_log: takes records of the debug log; at each look one with the event `batches`, how
            many are out, and how many of their requests are completed.
        outcome: filled in place, so that it can be watched; a new one unless given.

    Returns:
        Counts, failed requests, and the models that stopped early.

    Raises:
        StoreError: see `execute`.
        UserError: what is kept in `state` cannot be read, or a budget in US dollars lacks a
            price.
    """
    options = options or RunnerOptions()
    outcome = Outcome() if outcome is None else outcome
    known = BatchState(state)
    accounts = _accounts(streams, options, outcome, known)

    def runs(writer: Writer, in_thread: InThread) -> list[BatchRun]:
        shared = Shared(
            *(store, writer, in_thread, batch_api_for, known, settings, options, outcome),
            *(accounts, on_event, on_log),
        )
        return [BatchRun(model, iter(stream), shared) for model, stream in streams.items()]

    if store.mode != "replay":
        known.tidy()
    await conduct(runs, store=store, options=options)
    return outcome


def still_out(state: Path) -> dict[str, tuple[int, int]]:
    """(batches, requests) by model label that were handed in and not collected.

    Args:
        state: the folder given to `execute_batches`.

    Raises:
        UserError: it cannot be read.
    """
    found: dict[str, tuple[int, int]] = {}
    for batch in BatchState(state).batches.values():
        batches, requests = found.get(batch.model, (0, 0))
        found[batch.model] = (batches + 1, requests + batch.requests)
    return found


def _accounts(
    labels: Collection[str], options: RunnerOptions, outcome: Outcome, state: BatchState
) -> dict[str, Account]:
    """What each model spends, and the budgets it is paid from; batches that are out may take more.

    Their requests are counted as sent already, and are counted again as they are taken up.
    """
    taken_up = [batch for batch in state.batches.values() if batch.model in labels]
    out = Counter[str]()
    for batch in taken_up:
        out[batch.model] += batch.requests
    before = {}
    for label in {*options.spent, *state.spent}:
        # Both are written while a run goes on; the one that is further is nearer to the truth.
        told, kept = options.spent.get(label, Spent()), state.spent.get(label, Spent())
        before[label] = Spent(
            max(told.usd, kept.usd),
            max(told.tokens, kept.tokens),
            max(told.requests, kept.requests) - out[label],
        )
    accounts = accounts_of(labels, replace(options, spent=before), outcome)
    for batch in taken_up:
        take_up(accounts[batch.model], batch)
    state.spent = outcome.spent
    return accounts


class BatchRun:
    """One model's part of a run: fills files, hands them in, looks, collects, and over again."""

    def __init__(self, model: str, stream: Iterator[Ask], shared: Shared) -> None:
        self._stream, self._shared = stream, shared
        self._in_thread = shared.in_thread
        self._work = Work(model, shared)
        self._asks = self._work.asks
        self._desk = Desk(self._work)
        self._handing = Handing(self._work, self._desk)
        self._watch = Watch(self._work, self._desk, self._handing)
        self._chunk: Chunk | None = None
        """Is being filled."""
        self._poor = False
        """Whether a budget has no room until something lands."""
        self._waiting: dict[str, Ask] = {}
        """Asks that another process is getting an answer to."""

    async def run(self) -> None:
        """Until every ask of the stream has landed, has failed or was left out."""
        try:
            if self._shared.store.mode != "replay":
                await self._resume()
            while True:
                await self._feed()
                if not self._asks and not self._asks.follow_ups:
                    return
                await self._watch.pause(self._shared.options.poll_s if self._waiting else None)
                await self._look_for_others()
                await self._watch.look()
        except Halted:
            self._take_leave()
        finally:
            self._work.say_what_is_left()
            if self._chunk is not None:
                self._handing.full.append(self._chunk)
            self._handing.close()
            await self._desk.close()

    def halt(self) -> None:
        """Hand in nothing more, and leave what is out with the provider."""
        self._work.halted.set()

    async def _resume(self) -> None:
        """Take up the batches of an earlier process, and collect those that have ended."""
        work, state = self._work, self._shared.state
        known = state.of_model(work.model)
        if not known or not await self._desk.open():
            return
        for batch in known:
            if batch.id is None:
                try:
                    found = await self._desk.find(batch)
                except Untraceable as error:
                    work.stop(self._desk.untraceable(batch, error))
                    continue
                if found is None:
                    work.not_taken(batch)
                    await self._in_thread(state.forgotten(batch.number))
                    continue
                batch.id = found.id
                await self._in_thread(state.saved())
            self._handing.live[batch.number] = batch
            with await work.requests(batch) as requests:
                work.out.update(dict.fromkeys(requests, batch.number))
        keys = list(work.out)
        for start in range(0, len(keys), _CLAIMED_AT_ONCE):
            # So that another process with the same store waits for these answers.
            some = keys[start : start + _CLAIMED_AT_ONCE]
            await self._in_thread(self._shared.store.claim_many, some)
        await self._watch.look()

    # --- from asks to files -------------------------------------------------------------------

    async def _feed(self) -> None:
        """Take up asks and hand them in, until there are none or the provider wants no more.

        Raises:
            Halted: the run was interrupted.
        """
        work, handing = self._work, self._handing
        self._poor = False
        await handing.hand_in()
        while not handing.full:
            if work.halted.is_set():
                raise Halted
            if work.again and not self._poor:
                for _ in range(min(len(work.again), self._shared.options.look_up)):
                    key, canonical, attempt = work.again.popleft()
                    self._put(key, canonical, request_from(canonical), attempt)
            elif asks := [] if self._poor else self._next_asks():
                await self._look_up(asks)
            elif self._chunk is not None and (work.stopped or not handing.held):
                handing.full.append(self._chunk)
                self._chunk = None
            else:
                return
            await handing.hand_in()

    def _next_asks(self) -> list[Ask]:
        if len(self._waiting) >= _MOST_WAITING:
            return []
        most, ready = self._shared.options.look_up, self._asks.follow_ups
        asks = [ready.popleft() for _ in range(min(most, len(ready)))]
        return asks or list(islice(self._stream, most))

    async def _look_up(self, asks: Sequence[Ask]) -> None:
        work = self._work
        fresh = {ask.hash: ask for ask in asks if self._asks.take(ask)}
        found = await self._land_stored(list(fresh))
        misses = [ask for key, ask in fresh.items() if key not in found]
        if misses and self._shared.store.mode == "replay":
            raise StoreError(
                f"replay: the store {self._shared.store.path} has no answer to request "
                f"{misses[0].hash} of {work.model}; run with 'store: use' to ask for it"
            )
        wanted = {}
        for ask in misses:
            if ask.hash in work.out:
                self._asks.lighten(ask.hash)
            else:
                wanted[ask.hash] = ask
        if wanted and (work.stopped or not await self._desk.open()):
            self._asks.skip(wanted)
        elif wanted:
            await self._claim(wanted)

    async def _land_stored(self, keys: list[str]) -> dict[str, Response]:
        if not keys:
            return {}
        found: dict[str, Response] = await self._in_thread(self._shared.store.get_many, keys)
        for key, response in found.items():
            self._waiting.pop(key, None)
            self._asks.land(key, response, "hit")
        return found

    async def _claim(self, asks: Mapping[str, Ask]) -> None:
        claims = await self._in_thread(self._shared.store.claim_many, list(asks))
        await self._land_stored([key for key in asks if key in claims.answered])
        for key, ask in asks.items():
            if key in claims.granted:
                self._waiting.pop(key, None)
                canonical = ask.canonical or canonical_request(ask.request)
                self._put(key, canonical, ask.request, self._work.attempt.pop(key, 1))
            elif key in claims.busy:
                self._waiting[key] = ask

    def _put(self, key: str, canonical: bytes, request: Request, attempt: int) -> None:
        """Write a request to the file that is being filled, if a budget has room for it."""
        work, chunk = self._work, self._chunk
        need = work.need(request)
        purse = None if work.stopped else work.account.without_room(need)
        if purse is not None and not purse.in_flight:
            work.stop(Stop("budget", purse.used_up(need)))
        if work.stopped:
            work.leave_out([key])
            return
        if purse is not None or self._poor:
            self._poor = True
            self._asks.lighten(key)
            work.again.append((key, canonical, attempt))
            return
        try:
            line, url = self._desk.api.request_line(key, request)
        except ProviderError as error:
            self._shared.writer.release(key)
            failed = Response("error", error=str(error), created=round(time.time(), 3))
            self._asks.fail(key, failed, request, error.kind)
            return
        if chunk is not None and (
            chunk.url != url
            or len(chunk.keys) >= self._handing.largest
            or chunk.bytes + len(line) >= MOST_BYTES
        ):
            self._handing.full.append(chunk)
            chunk = None
        if chunk is None:
            chunk = Chunk(self._shared.state, url)
        self._chunk = chunk
        work.written(need)
        chunk.add(key, attempt, canonical, line, need)
        work.out[key] = chunk.number
        self._asks.lighten(key)

    # --- others and the end -------------------------------------------------------------------

    async def _look_for_others(self) -> None:
        """Look again for answers that somebody else was getting."""
        failures = self._shared.outcome.failures
        for key in [key for key in self._waiting if key in failures]:
            del self._waiting[key]
            self._asks.fail(key, failures[key])
        waiting = dict(self._waiting)
        if waiting and self._work.stopped:
            found = await self._land_stored(list(waiting))
            self._waiting.clear()
            self._asks.skip(key for key in waiting if key not in found)
        elif waiting:
            await self._claim(waiting)

    def _take_leave(self) -> None:
        """Say what stays with the provider."""
        out = self._handing.live.values()
        if out:
            requests = sum(batch.requests for batch in out)
            self._asks.log("left", batches=len(out), requests=requests)
            self._asks.tell(
                "stopped",
                None,
                message=f"{_number(len(out), 'batch', 'batches')} of "
                f"{_number(requests, 'request', 'requests')} left with the provider, which works "
                "on; the same command collects them",
            )


def _number(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
