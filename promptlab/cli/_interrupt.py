"""Ctrl-C and SIGTERM end a run in order, whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

__all__ = ["Interruption", "interruptible"]

_TERMINATED_WITHIN_S = 9.0
_AT_ONCE_S = 1.5
_LOOK_S = 0.25


class Interruption:
    """What becomes of a signal.

    While requests are in flight the run's task is cancelled: it sends nothing more, gives them a
    moment to land and saves. Anywhere else the signal is a `KeyboardInterrupt`, at once. A second
    signal ends the draining, and a process that still does not end is ended.
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._loop: AbstractEventLoop | None = None
        self._task: Task[Any] | None = None
        self._ends_at = float("inf")
        self.over = False

    @property
    def came(self) -> bool:
        """Whether there was a signal."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self._signal or signal.SIGINT)

    def stage(self, name: str) -> None:
        """A stage of the run begins; called in the task that carries it out."""
        import asyncio

        if self._signal is not None:
            raise KeyboardInterrupt  # it came when there was nothing left to cancel
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task() if name == "asking" else None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        first = self._signal is None
        if first:
            self._signal = number
        # Only plain assignments: a signal can come while this thread holds any lock.
        if number == signal.SIGTERM or not first:
            within = _TERMINATED_WITHIN_S if first else _AT_ONCE_S
            self._ends_at = min(self._ends_at, time.monotonic() + within)
        if self._task is not None and self._loop is not None and not self._task.done():
            self._loop.call_soon_threadsafe(self._task.cancel)
        else:
            raise KeyboardInterrupt

    def enforce(self) -> None:
        """End the process if a signal has not ended it in time; runs in a thread of its own."""
        while not self.over:
            time.sleep(_LOOK_S)
            if time.monotonic() >= self._ends_at:
                if sys.stderr.isatty():
                    os.write(2, b"\x1b[?25h\n")  # a live table hides the cursor
                os._exit(self.exit_code)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Handle Ctrl-C and SIGTERM in the block, unless whoever started the program ignores them."""
    interruption = Interruption()
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)
    }
    for number in before:
        signal.signal(number, interruption.handle)
    threading.Thread(target=interruption.enforce, name="promptlab-end", daemon=True).start()
    try:
        yield interruption
        interruption.over = True
    except KeyboardInterrupt:
        raise SystemExit(interruption.exit_code) from None
    finally:
        for number, handler in before.items():
            # One more signal, while the process ends of an earlier one, would change its exit code.
            signal.signal(number, signal.SIG_IGN if interruption.came else handler)
