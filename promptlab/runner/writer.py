"""Saves answers as they come, in a thread, so that neither the loop nor the disk waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from promptlab.store import Store, Stored

__all__ = ["InThread", "Writer"]

InThread = Callable[..., Awaitable[Any]]
"""Calls a function with arguments in a worker thread."""

_BEAT_S = 20.0
_SPACING_S = 0.1
_COMPANY = 512
_MOST_UNSAVED = 4096


class Writer:
    """The one place that adds to the store during a run.

    An answer is noted in the store's journal when it comes, so that a process that is killed loses
    nothing but what it had in flight. It is saved at once after a quiet moment, and together with
    others while many come: a transaction for each would cost more than the asking.
    """

    def __init__(self, store: Store, in_thread: InThread) -> None:
        self._store, self._in_thread = store, in_thread
        self._journal = store.journal()
        self._rows: list[Stored] = []
        self._release: list[str] = []
        self._noted = 0
        """How many of the rows are in the journal."""
        self._saving = 0
        self._wake = asyncio.Event()
        self._enough = asyncio.Event()
        self._next_at = 0.0
        self._room = asyncio.Event()
        self._finishing = False
        self._last_beat = time.monotonic()

    @property
    def unsaved(self) -> int:
        """Answers that have arrived and are not in the store yet."""
        return len(self._rows) + self._saving

    @property
    def is_full(self) -> bool:
        """Whether the disk is behind: time to wait for `room`."""
        return len(self._rows) + self._saving >= _MOST_UNSAVED

    def add(self, row: Stored) -> None:
        """Note an answer, and save it soon."""
        if self._journal is not None and len(self._rows) == self._noted:
            asyncio.get_running_loop().call_soon(self._note)
        self._rows.append(row)
        self._wake.set()
        if len(self._rows) >= _COMPANY:
            self._enough.set()

    def _note(self) -> None:
        """Note what has come in this turn of the loop."""
        rows, self._noted = self._rows[self._noted :], len(self._rows)
        if rows and self._journal is not None:
            self._journal.add(rows)

    def release(self, key: str) -> None:
        """Give up the claim on a request that got no answer."""
        self._release.append(key)
        self._wake.set()

    async def room(self) -> None:
        """Wait until the disk has caught up."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    async def run(self) -> None:
        """Save until told to finish.

        Raises:
            StoreError: a batch could not be saved; it counts as unsaved.
        """
        while not self._finishing:
            await _within(_BEAT_S, self._wake)
            if (spacing := self._next_at - time.monotonic()) > 0:
                await _within(spacing, self._enough)
            self._next_at = time.monotonic() + _SPACING_S
            self._wake.clear()
            self._enough.clear()
            await self.flush()
            if time.monotonic() - self._last_beat >= _BEAT_S:
                self._last_beat = time.monotonic()
                await self._in_thread(self._store.heartbeat)

    def finish(self) -> None:
        """Let `run` save what there is and return."""
        self._finishing = True
        self._wake.set()
        self._enough.set()

    async def flush(self) -> None:
        """Save everything that has arrived."""
        while self._rows or self._release:
            self._note()
            rows, self._rows, self._noted = self._rows, [], 0
            release, self._release = self._release, []
            self._saving = len(rows)
            if self._journal is not None:
                self._journal.turn()
            try:
                await self._in_thread(_save, self._store, rows, release)
            except BaseException:
                self._rows, self._noted = rows + self._rows, len(rows) + self._noted
                self._release = release + self._release
                raise
            finally:
                self._saving = 0
            if self._journal is not None:
                self._journal.saved()
            self._room.set()

    async def release_claims(self) -> None:
        """Give up all claims of this process."""
        await self._in_thread(self._store.release_all)

    def close(self) -> None:
        """Nothing more is saved; what could not be is left to whoever opens the store next."""
        if self._journal is not None:
            self._note()
            self._journal.close(keep=self.unsaved > 0)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _save(store: Store, rows: list[Stored], release: list[str]) -> None:
    store.put_many(rows, release=release)
