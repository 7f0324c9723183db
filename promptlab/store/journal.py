"""Answers that have arrived and are not in the store yet, where a killed process leaves them.

A write to a file outlives the process at once and costs microseconds; a transaction costs
milliseconds. So an answer is noted here when it comes, and is in the store a moment later. Whoever
opens the store next takes over what a dead process has left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import orjson

from promptlab.keys import key_of
from promptlab.store.claims import Process
from promptlab.store.codec import decode_response, encode_response, joined
from promptlab.store.rows import Stored

__all__ = ["Journal", "left_behind"]

_GONE_S = 3600.0
"""Seconds without a change after which a file of another machine belongs to nobody."""

_numbers = count()
_open: set[Path] = set()


class Journal:
    """The notes of one process. Two files take turns: one is saved while the other is written.

    A file that cannot be written is not written any more: notes are a help, and the store says
    what is wrong with the disk.

    Args:
        store: path of the store.
    """

    def __init__(self, store: Path) -> None:
        stem = f"{store.name}.arrived-{os.getpid()}-{next(_numbers)}"
        self._paths = [store.with_name(f"{stem}-{turn}") for turn in (0, 1)]
        self._files: list[int] = []
        self._turn = self._signature = 0
        self._works = True

    def add(self, rows: Iterable[Stored]) -> None:
        """Note answers."""
        if not self._works:
            return
        notes = [joined(canonical, encode_response(response)) for _, canonical, response in rows]
        try:
            if not self._files:
                self._begin()
            os.write(self._files[self._turn], b"\n".join([*notes, b""]))
        except OSError:
            self._works = False

    def turn(self) -> None:
        """What was noted so far is about to be saved."""
        self._turn = 1 - self._turn

    def saved(self) -> None:
        """What was noted before the turn is in the store."""
        if self._files:
            os.ftruncate(self._files[1 - self._turn], self._signature)

    def close(self, *, keep: bool) -> None:
        """Close the files.

        Args:
            keep: not everything noted was saved: the next to open the store takes it over.
        """
        files, self._files, self._works = self._files, [], False
        for file, path in zip(files, self._paths, strict=False):
            os.close(file)
            _open.discard(path)
            if not keep:
                path.unlink(missing_ok=True)

    def _begin(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._files = [os.open(path, flags, 0o600) for path in self._paths]
        _open.update(self._paths)
        owner = orjson.dumps(list(Process.this())) + b"\n"
        self._signature = len(owner)
        for file in self._files:
            os.write(file, owner)


def left_behind(store: Path) -> Iterator[tuple[Path, list[Stored]]]:
    """Files of processes that are gone, each with the answers in it; to be saved and deleted.

    Args:
        store: path of the store.
    """
    for path in sorted(store.parent.glob(f"{store.name}.arrived-*")):
        with suppress(FileNotFoundError):  # another process was quicker
            if path not in _open and _is_left(path):
                yield path, list(_rows(path))


def _is_left(path: Path) -> bool:
    with path.open("rb") as file:
        signed = file.readline()
    try:
        owner = Process(*orjson.loads(signed))
    except (orjson.JSONDecodeError, TypeError):
        owner = None
    if owner is not None and owner.is_of_this_machine:
        return owner == Process.this() or owner.is_known_dead
    return time.time() - path.stat().st_mtime > _GONE_S


def _rows(path: Path) -> Iterator[Stored]:
    lines = path.read_bytes().split(b"\n")[1:]
    for canonical, response in zip(lines[::2], lines[1::2], strict=False):
        try:
            orjson.loads(canonical)
            yield key_of(canonical), canonical, decode_response(response)
        except (ValueError, TypeError):
            return  # the process was killed while it wrote this
