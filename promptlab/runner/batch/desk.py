"""Handing batches in: again and again where that is safe, and never the same one twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from promptlab.errors import ProviderError, UserError
from promptlab.providers.batch_api import BatchApi, RemoteBatch
from promptlab.providers.failures import Unreachable
from promptlab.runner.batch.state import KnownBatch
from promptlab.runner.batch.work import Halted, Work
from promptlab.runner.records import RunnerOptions, Stop
from promptlab.runner.stops import stop_for

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Desk", "Untraceable", "stop_after", "too_much_out"]

_T = TypeVar("_T")

_LONGEST_WAIT_S = 60.0
_LOOKS_FOR_LOST = 4
_A_DAY_S = 86_400.0
_UNSURE = frozenset({"timeout", "connection", "malformed", "server"})
"""Kinds of failure after which the batch may have been created all the same."""


class Untraceable(ProviderError):
    """A batch may have been created, and its provider's list cannot tell."""


class Desk:
    """Uploads files and creates batches of one model.

    Args:
        work: whose batches they are.
    """

    def __init__(self, work: Work) -> None:
        self._work, self._state = work, work.shared.state
        self._options, self._asks = work.shared.options, work.asks
        self._api: BatchApi | None = None

    @property
    def api(self) -> BatchApi:
        """The provider's batches, once `open` has made them."""
        assert self._api is not None
        return self._api

    async def open(self) -> bool:
        """Make the batch API; whether there is one (else the model has stopped)."""
        if self._api is None:
            work = self._work
            try:
                # Making it can import a large library: not in the loop's thread.
                self._api = await work.shared.in_thread(work.shared.batch_api_for, work.model)
            except (UserError, ProviderError) as error:
                work.stop(Stop("refused", str(error)))
        return self._api is not None

    async def close(self) -> None:
        """Close the provider's connections."""
        if self._api is not None:
            await self._api.close()

    async def upload(self, file: Path) -> str:
        """Hand in a file; returns its id.

        Raises:
            ProviderError: the provider does not take it, after all attempts.
            Halted: the run was interrupted; nothing is lost, as no batch was made of the file.
        """
        return await self._again("upload", lambda: self._or_halted(self.api.upload(file)))

    async def create(self, batch: KnownBatch) -> RemoteBatch:
        """Make the batch of an uploaded file, or find the one that was made of it.

        Raises:
            ProviderError: the provider does not take it, after all attempts.
            Untraceable: it may have been made, and cannot be looked for.
            Halted: the run was interrupted.
        """

        async def once() -> RemoteBatch:
            try:
                return await self.api.create(
                    batch.file,
                    url=batch.url,
                    window=self._work.shared.settings.window,
                    metadata={"name": self._state.name_of(batch)},
                )
            except ProviderError as error:
                if error.kind in _UNSURE and not isinstance(error, Unreachable):
                    found = await self.find(batch)
                    if found is not None:
                        return found
                raise

        return await self._again("create", once)

    async def find(self, batch: KnownBatch) -> RemoteBatch | None:
        """The batch in its provider's list, by its name or its file; None if it was never made.

        Raises:
            Untraceable: the list cannot be had.
            Halted: the run was interrupted.
        """
        for look in range(_LOOKS_FOR_LOST):
            if look:  # what was just made may not be listed yet
                await self.pause(self._options.first_wait_s * 2.0**look)
            try:
                found = await self._again("list", lambda: self._listed(batch))
            except ProviderError as error:
                raise Untraceable(error.kind, error.message) from None
            if found is not None:
                self._asks.log("batch found", batch=found.id, number=batch.number)
                return found
        return None

    async def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            Halted: the run was interrupted.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._work.halted.wait()
        if self._work.halted.is_set():
            raise Halted

    def untraceable(self, batch: KnownBatch, error: ProviderError) -> Stop:
        """What the model stops with when a batch cannot be looked for."""
        return Stop(
            "endpoint",
            f"a batch of file {batch.file} may have been created, and the provider's list of "
            f"batches cannot be had ({error}); run again when it can, or look there: if there is "
            f"no such batch, delete its entry in {self._state.path}",
        )

    async def _listed(self, batch: KnownBatch) -> RemoteBatch | None:
        name = self._state.name_of(batch)
        async for remote in self.api.recent(batch.made - _A_DAY_S):
            ours = remote.metadata.get("name") == name or remote.input_file == batch.file
            if ours and remote.id not in batch.refused:
                return remote
        return None

    async def _again(self, what: str, once: Callable[[], Awaitable[_T]]) -> _T:
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        async def attempt() -> _T:
            return await once()

        def log(state: RetryCallState) -> None:
            assert state.outcome is not None
            self._asks.log(f"{what} failed", error=str(state.outcome.exception()))

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._goes_on),
            stop=stop_after_attempt(self._options.max_attempts),
            wait=self._wait,
            before_sleep=log,
            sleep=self.pause,
            reraise=True,
        )
        return await retrying(attempt)

    def _goes_on(self, error: BaseException) -> bool:
        return (
            isinstance(error, ProviderError)
            and not isinstance(error, Untraceable)
            and error.retryable
            and (error.retry_after or 0) <= self._options.max_wait_s
            and not too_much_out(error)
        )

    def _wait(self, state: RetryCallState) -> float:
        assert state.outcome is not None
        error = state.outcome.exception()
        if isinstance(error, ProviderError) and error.retry_after is not None:
            return error.retry_after
        doubled = self._options.first_wait_s * 2.0 ** (state.attempt_number - 1)
        return min(doubled, _LONGEST_WAIT_S) * random.uniform(0.5, 1.5)

    async def _or_halted(self, call: Awaitable[_T]) -> _T:
        work = asyncio.ensure_future(call)
        halted = asyncio.ensure_future(self._work.halted.wait())
        try:
            await asyncio.wait({work, halted}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Halted
            return work.result()
        finally:
            halted.cancel()
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)


def too_much_out(error: ProviderError) -> bool:
    """Whether the provider would take the batch if less of ours were waiting there."""
    return "enqueued token" in error.message.lower() or "token_limit_exceeded" in error.message


def stop_after(error: ProviderError, options: RunnerOptions) -> Stop:
    """What a model stops with after the provider would not take a batch, or not answer at all."""
    stop = stop_for(error, options.max_wait_s)
    if stop is None:
        stop = Stop("refused" if error.kind == "bad_request" else "endpoint", str(error))
    return stop
