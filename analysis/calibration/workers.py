"""Independent pieces of work in several processes; the answers come in the order of the pieces."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["in_processes"]

T = TypeVar("T")
R = TypeVar("R")


def in_processes(work: Callable[[T], R], pieces: Sequence[T], processes: int) -> Iterator[R]:
    """Apply `work` to every piece.

    Args:
        work: a function of a module; its answer depends on the piece alone.
        pieces: what to work on.
        processes: 1 works in this process. If the caller stops listening, or is interrupted, the
            others are ended.
    """
    if processes <= 1 or len(pieces) < 2:
        yield from map(work, pieces)
        return
    # Not a fork: the caller may have threads, such as those that draw a progress bar.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(processes, len(pieces)), initializer=_leave_signals) as pool:
        yield from pool.imap(work, pieces)


def _leave_signals() -> None:
    """Ctrl-C reaches every process of a terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
