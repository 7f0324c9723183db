"""What one model's part of a run has in hand, for those who fill, hand in and collect batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptlab.providers.batch_api import BatchApi
from promptlab.runner.asks import Asks
from promptlab.runner.batch.state import BatchState, Chunk, KnownBatch, Requests
from promptlab.runner.budget import Account
from promptlab.runner.needs import NOTHING, Need, Needs
from promptlab.runner.records import Event, Log, Outcome, RunnerOptions, Stop
from promptlab.runner.stops import with_rest
from promptlab.runner.writer import InThread, Writer
from promptlab.store import Store
from promptlab.types import Request

if TYPE_CHECKING:
    from promptlab.spec_sending import BatchRunner

__all__ = ["Halted", "Shared", "Work", "take_up"]


class Halted(Exception):
    """The run is being interrupted."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the models of a run have in common."""

    store: Store
    writer: Writer
    in_thread: InThread
    batch_api_for: Callable[[str], BatchApi]
    state: BatchState
    settings: BatchRunner
    options: RunnerOptions
    outcome: Outcome
    accounts: Mapping[str, Account]
    on_event: Callable[[Event], None] | None
    on_log: Log | None


class Work:
    """Where each request of one model is: in a file, in a batch, to be sent again, or at an end.

    Attributes:
        model: its label.
        shared: what the models have in common.
        asks: who waits for which request.
        halted: set when the run is interrupted.
        stopped: whether nothing more is handed in, because the model stopped.
        out: number of the file or batch that a request is in.
        again: key, canonical request and attempt of what is to be sent (once more).
        attempt: the next attempt at requests whose ask has not come yet.
    """

    def __init__(self, model: str, shared: Shared) -> None:
        self.model, self.shared = model, shared
        self.account = shared.accounts[model]
        self.needs = Needs(shared.options.price_of.get(model))
        self.asks = Asks(model, shared.outcome, shared.on_event, shared.on_log)
        self.halted = asyncio.Event()
        self.stopped = False
        self.out: dict[str, int] = {}
        self.again: deque[tuple[str, bytes, int]] = deque()
        self.attempt: dict[str, int] = {}

    def stop(self, stop: Stop) -> None:
        """Hand in nothing more; what is out is still collected."""
        if self.stopped:
            return
        self.stopped = True
        self.shared.outcome.stopped[self.model] = stop
        self.asks.log("stopped", kind=stop.kind, reason=stop.reason)
        self.asks.tell("stopped", None, message=stop.reason)

    def say_what_is_left(self) -> None:
        """Add to the reason of a stop how many requests it leaves."""
        stopped = self.shared.outcome.stopped
        if self.stopped:
            stopped[self.model] = with_rest(stopped[self.model], self.asks.counts.skipped)

    def need(self, request: Request) -> Need:
        """What a request may take; nothing where no budget depends on it."""
        return self.needs.of(request) if self.account.purses else NOTHING

    def written(self, need: Need) -> None:
        """A request was written to a file; it counts as sent when that is handed in."""
        self.account.take(need)
        self.account.spent.requests -= 1

    def not_handed_in(self, chunk: Chunk) -> None:
        """A file came to nothing."""
        _settle(self.account, chunk, len(chunk.keys))
        for purse in self.account.purses:
            purse.unsend(len(chunk.keys))

    def not_taken(self, batch: KnownBatch) -> None:
        """A batch was never made, or refused as a whole."""
        self.settle(batch, unsent=batch.requests)

    def settle(self, batch: KnownBatch, *, unsent: int, tokens: int = 0, usd: float = 0.0) -> None:
        """A batch has ended, never got to some of its requests, and took so much."""
        _settle(self.account, batch, batch.requests, tokens, usd)
        self.account.unsend(unsent)

    def send_again(self, items: Iterable[tuple[str, bytes, int]]) -> None:
        """Requests (key, canonical, attempt) that come into another batch, if they are wanted."""
        for key, canonical, attempt in items:
            if key in self.asks:
                self.again.append((key, canonical, attempt))
            else:  # nobody has asked for it yet, or will
                self.attempt[key] = attempt
                self.shared.writer.release(key)

    def leave_out(self, keys: Iterable[str]) -> None:
        """Requests that are not handed in, or not waited for, because the model stopped."""
        for key in keys:
            self.out.pop(key, None)
            self.asks.skip([key])
            self.shared.writer.release(key)

    def not_out(self, number: int, keys: Iterable[str]) -> None:
        """A batch is no longer there."""
        for key in keys:
            if self.out.get(key) == number:
                del self.out[key]

    async def requests(self, batch: KnownBatch) -> Requests:
        """The requests of a batch; to be closed."""
        path = self.shared.state.requests_path(batch.number)
        opened: Requests = await self.shared.in_thread(Requests, path)
        return opened

    async def give_up(self, batch: KnownBatch, *, forget: bool) -> None:
        """Wait for a batch no longer.

        Args:
            batch: which.
            forget: it was never made; else a later run collects it.
        """
        with await self.requests(batch) as requests:
            self.leave_out(requests)
        if forget:
            self.not_taken(batch)
            await self.shared.in_thread(self.shared.state.forgotten(batch.number))


def take_up(account: Account, batch: KnownBatch) -> None:
    """A batch of an earlier process is out: what it may take is not to be spent twice."""
    for _ in range(batch.requests):
        account.take(_share(batch, batch.requests))


def _settle(
    account: Account, files: KnownBatch | Chunk, requests: int, tokens: int = 0, usd: float = 0.0
) -> None:
    share = _share(files, requests)
    for _ in range(requests):
        account.settle(share, tokens, usd)
        tokens, usd = 0, 0.0


def _share(files: KnownBatch | Chunk, requests: int) -> Need:
    return Need(files.tokens / requests, files.usd / requests)
