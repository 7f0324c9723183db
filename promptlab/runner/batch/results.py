"""Reading a batch that has ended: every line becomes an answer, another attempt or a failure."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from promptlab.errors import FailureKind, ProviderError
from promptlab.providers.batch_api import CHAT, Line, RemoteBatch, read_line
from promptlab.runner.asks import tokens_of
from promptlab.runner.batch.desk import Desk
from promptlab.runner.batch.state import KnownBatch, Requests, request_from
from promptlab.runner.batch.work import Work
from promptlab.store import COMPLETE
from promptlab.types import Response

__all__ = ["Collected", "Collector"]

_SAVED_S = 0.01


@dataclass(slots=True)
class Collected:
    """What came of a batch; goes on growing where its files have to be fetched again.

    Attributes:
        seen: keys of the requests of which it is known what became of them.
        kept: keys of the answers that belong into the store.
        again: (key, canonical request, attempt) of the requests that are to be sent again.
        refused: number of requests that the provider will never answer.
        stops: an error that no other request to the model could do better with.
        last_error: of the requests, the last that failed.
        unsent: keys of the requests that the provider says the model was never asked.
        tokens: paid for.
        usd: paid.
    """

    seen: set[str] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)
    again: list[tuple[str, bytes, int]] = field(default_factory=list)
    refused: int = 0
    stops: ProviderError | None = None
    last_error: ProviderError | None = None
    unsent: set[str] = field(default_factory=set)
    tokens: int = 0
    usd: float = 0.0


class Collector:
    """Reads the files of batches of one model.

    Args:
        work: what is in hand.
        desk: talks to the provider.
    """

    def __init__(self, work: Work, desk: Desk) -> None:
        self._work, self._desk, self._asks = work, desk, work.asks
        self._writer = work.shared.writer
        self._most_attempts = work.shared.options.max_attempts

    async def read(
        self, batch: KnownBatch, remote: RemoteBatch, requests: Requests, so_far: Collected
    ) -> None:
        """Take in both files of a batch; what `so_far` has seen is passed over.

        Raises:
            ProviderError: a file could not be had, or not all of it; what came is in `so_far`.
        """
        api, torn = self._desk.api, None
        for file_id in (remote.output_file, remote.error_file):
            if file_id is None:
                continue
            now = round(time.time(), 3)
            async for raw in api.lines(file_id):
                try:
                    chat = batch.url == CHAT
                    line = read_line(raw, chat=chat, created=now, secrets=api.secrets)
                except ProviderError as error:
                    torn = error
                    continue
                if line.key not in requests:
                    self._asks.log("unknown line", batch=batch.id, custom_id=line.key[:100])
                elif not line.sent:
                    so_far.unsent.add(line.key)
                elif line.key not in so_far.seen:
                    self._take(line, requests, so_far)
                    if self._writer.is_full:
                        await self._writer.room()
        if torn is not None:
            raise torn

    def missing(
        self, requests: Requests, so_far: Collected, kind: FailureKind, message: str
    ) -> None:
        """The batch has ended without a line for these requests: an attempt that failed."""
        for key in requests:
            if key not in so_far.seen:
                self._take(Line(key, ProviderError(kind, message)), requests, so_far)

    def refused(self, remote: RemoteBatch, requests: Requests, so_far: Collected) -> None:
        """The provider would not take the batch: because of some lines, or altogether."""
        wrong = {
            key: fault.error
            for fault in remote.faults
            if fault.line is not None and (key := requests.key_of_line(fault.line)) is not None
        }
        for key, error in wrong.items():
            self._take(Line(key, error), requests, so_far)
        if not wrong:
            unsaid = ProviderError("bad_request", "the provider refused the batch without a word")
            so_far.stops = remote.faults[0].error if remote.faults else unsaid
            return
        rest = [key for key in requests if key not in so_far.seen]
        so_far.again += [(k, requests.canonical(k), requests.attempt(k)) for k in rest]

    async def saved(self, so_far: Collected) -> None:
        """Wait until every answer is in the store: only then the batch may be forgotten."""
        shared, left = self._work.shared, so_far.kept
        while left:
            stored = await shared.in_thread(shared.store.contains_many, left)
            left = [key for key in left if key not in stored]
            if left:
                await asyncio.sleep(_SAVED_S)

    def _take(self, line: Line, requests: Requests, so_far: Collected) -> None:
        key, attempt = line.key, requests.attempt(line.key)
        so_far.seen.add(key)
        if isinstance(line.answer, ProviderError):
            self._take_error(key, line.answer, attempt, requests, so_far)
            return
        response = replace(line.answer, attempts=attempt)
        so_far.tokens += tokens_of(response)
        so_far.usd += self._work.needs.usd(response)
        self._asks.count_paid(response)
        if response.status not in COMPLETE:
            self._fail(key, response, requests)
            return
        canonical = requests.canonical(key)
        self._writer.add((key, canonical, response))
        so_far.kept.append(key)
        if key in self._asks:
            request = request_from(canonical)
            self._work.needs.learn(self._work.need(request), response)
            self._asks.land(key, response, "answer", request)

    def _take_error(
        self, key: str, error: ProviderError, attempt: int, requests: Requests, so_far: Collected
    ) -> None:
        self._asks.counts.failed_attempts[error.kind] += 1
        so_far.last_error = error
        last = attempt >= self._most_attempts or not error.retryable
        self._asks.log("attempt failed", request=key, error=str(error), last=last)
        if error.stops_model:
            # Not this request's fault: it is left out, to be asked when that is mended.
            so_far.stops = error
            self._work.leave_out([key])
        elif last:
            so_far.refused += not error.retryable
            failed = Response(
                "error", error=str(error), attempts=attempt, created=round(time.time(), 3)
            )
            self._fail(key, failed, requests, error.kind)
        else:
            canonical = requests.canonical(key)
            so_far.again.append((key, canonical, attempt + 1))
            if key in self._asks:
                self._asks.retry(key, str(error), error.kind, request_from(canonical))

    def _fail(
        self, key: str, response: Response, requests: Requests, kind: FailureKind | None = None
    ) -> None:
        self._writer.release(key)
        request = request_from(requests.canonical(key)) if key in self._asks else None
        self._asks.fail(key, response, request, kind)
