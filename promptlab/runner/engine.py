"""`execute`: all models at once, one writer, and an orderly end whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

from promptlab.errors import StoreDamaged, StoreError
from promptlab.providers.base import Provider
from promptlab.runner.budget import accounts_of
from promptlab.runner.crew import Shared
from promptlab.runner.model_run import ModelRun
from promptlab.runner.records import Ask, Event, Log, Outcome, RunnerOptions
from promptlab.runner.writer import InThread, Writer
from promptlab.store import Store

__all__ = ["Running", "conduct", "execute"]

_THREADS = 4
_CLOSE_S = 2.5
_SAVE_S = 3.0
_RELEASE_S = 1.0
"""Seconds that each step of an early end may take: with `drain_s` not quite ten."""


async def execute(
    streams: Mapping[str, Iterable[Ask]],
    *,
    store: Store,
    provider_for: Callable[[str], Provider],
    options: RunnerOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_log: Log | None = None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Get an answer to every ask, from the store or from its model.

    Models run side by side, each with a limit of its own. A request is sent only if the store
    has no answer, and only once, however many asks and processes want it. Cancelling (Ctrl-C)
    stops sending, gives what is in flight a moment to land, saves, and is raised again; running
    again goes on from there.

    Args:
        streams: asks by model label; advanced as they are needed, in the loop's thread.
        store: where answers are looked up and kept; stays open.
        provider_for: makes the provider of a label when a request has to be sent (called in a
            worker thread, never for a model whose answers are all stored); closed at the end.
        options: limits; the defaults unless given.
        on_event: told of everything that happens, in the loop's thread; should be quick.
        on_log: takes records of the debug log.
        outcome: filled in place, so that it can be watched; a new one unless given.

    Returns:
        Counts, failed requests, and the models that stopped early.

    Raises:
        StoreError: the store failed, or mode `replay` lacks an answer. Says how many answers
            that had arrived could not be saved.
        UserError: a budget in US dollars, and a model without a price.
    """
    options = options or RunnerOptions()
    outcome = Outcome() if outcome is None else outcome
    accounts = accounts_of(streams, options, outcome)

    def runs(writer: Writer, in_thread: InThread) -> list[ModelRun]:
        shared = Shared(
            *(store, writer, provider_for, options, outcome),
            *(accounts, in_thread, on_event, on_log),
        )
        return [ModelRun(model, iter(stream), shared) for model, stream in streams.items()]

    await conduct(runs, store=store, options=options)
    return outcome


class Running(Protocol):
    """One model's part of a run."""

    async def run(self) -> None:
        """Until every ask of the model has landed, has failed or was left out."""

    def halt(self) -> None:
        """Send nothing more; what is in flight may land."""


async def conduct(
    make_runs: Callable[[Writer, InThread], Sequence[Running]],
    *,
    store: Store,
    options: RunnerOptions,
) -> None:
    """Run the models side by side with one writer, to an orderly end whatever happens.

    Args:
        make_runs: makes the models' parts, given what saves answers and what calls threads.
        store: where answers are kept; stays open.
        options: limits.

    Raises:
        StoreError: see `execute`.
    """
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="promptlab-store")

    async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
        return await loop.run_in_executor(pool, function, *args)

    writer = Writer(store, in_thread)
    try:
        runs = make_runs(writer, in_thread)
        writing = asyncio.create_task(writer.run())
        asking = [asyncio.create_task(run.run()) for run in runs]
        try:
            await _until_done(asking, writing)
        except BaseException as error:
            await _end_early(runs, asking, writing, writer, options.drain_s, error)
            raise _plain(error) from None
        writer.finish()
        try:
            await writing
            await writer.release_claims()
        except StoreError as error:
            raise _with_unsaved(error, writer.unsaved) from error
    finally:
        writer.close()
        pool.shutdown(wait=False)


async def _until_done(asking: list[asyncio.Task[None]], writing: asyncio.Task[None]) -> None:
    """Until all models are done; raises what the first of them, or the writer, raises."""
    left = set(asking)
    while left:
        done, _ = await asyncio.wait({*left, writing}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        left -= done


async def _end_early(
    runs: Sequence[Running],
    asking: list[asyncio.Task[None]],
    writing: asyncio.Task[None],
    writer: Writer,
    drain_s: float,
    error: BaseException,
) -> None:
    """Stop sending, let what is in flight land, save it; each for a bounded time.

    Raises:
        StoreError: answers could not be saved.
    """
    cannot_save = writing.done()
    try:
        for run in runs:
            run.halt()
        if asking and not cannot_save:
            await asyncio.wait(asking, timeout=drain_s)
    finally:
        await _cancelled(asking)
        writer.finish()
        try:
            await _saved(writing, writer)
        except StoreError as late:
            raise _with_unsaved(late, writer.unsaved) from error
        finally:
            if writing.done():
                with suppress(StoreError, TimeoutError):  # claims end with the process, at last
                    async with asyncio.timeout(_RELEASE_S):
                        await writer.release_claims()


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """End these, which close their connections as they go."""
    for task in tasks:
        task.cancel()
    if tasks:
        done, late = await asyncio.wait(tasks, timeout=_CLOSE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*done, return_exceptions=True)


async def _saved(writing: asyncio.Task[None], writer: Writer) -> None:
    await asyncio.wait([writing], timeout=_SAVE_S)
    if not writing.done():
        unsaved = writer.unsaved
        writing.cancel()
        if unsaved:
            raise StoreError(f"the store did not take what had arrived within {_SAVE_S:g} s")
        return
    await asyncio.gather(writing, return_exceptions=True)
    await writer.flush()


def _with_unsaved(error: StoreError, unsaved: int) -> StoreError:
    if not unsaved:
        return error
    answers = (
        "1 answer that had arrived was"
        if unsaved == 1
        else (f"{unsaved} answers that had arrived were")
    )
    message = (
        f"{error}. {answers} not saved; the next run takes over what could be noted of them and "
        "asks for the rest again"
    )
    if isinstance(error, StoreDamaged):
        return StoreDamaged(message, error.file)
    return StoreError(message)


def _plain(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups that task groups raise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
