"""Who is asking for what: two processes with the same plan must not both pay for an answer.

A process claims a request before it sends it. Whoever finds a request claimed waits for the
answer. A claim is void when its process has died (seen at once on the same machine), or has given
no sign of life for `LEASE_S`.

No clock of one process is ever compared with a clock of another, so it does not matter what the
time of day is, on how many machines, or whether it is set forward or back: a sign of life is a
number that grows, and the lease is the time for which the one who waits has seen it stand still.
A process on another machine that died is therefore given up `LEASE_S` after it was first met.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["LEASE_S", "Claims", "Owner", "Process", "grant"]

LEASE_S = 120.0
"""Seconds without a sign of life after which a process's claims are void."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What became of an attempt to claim requests; each is in one of the three sets.

    Attributes:
        granted: ours to send.
        answered: the answer is in the store by now.
        busy: being asked for by somebody; look again later.
    """

    granted: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)


class Owner:
    """This process as an owner of claims, and what it has seen of others.

    Its methods run inside a transaction that writes.
    """

    def __init__(self) -> None:
        self.id: int | None = None
        self._seen: dict[int, tuple[int, float]] = {}
        """Last sign of life of other owners, and when we first saw that one."""

    def beat(self, connection: sqlite3.Connection) -> int:
        """Give a sign of life; returns the owner's id."""
        if self.id is not None:
            found = connection.execute("UPDATE owners SET beat = beat + 1 WHERE id = ?", (self.id,))
            if found.rowcount:
                return self.id
        row = connection.execute(
            "INSERT INTO owners(machine, pid, started, beat) VALUES (?, ?, ?, 0)", Process.this()
        )
        self.id = row.lastrowid
        assert self.id is not None
        return self.id

    def leave(self, connection: sqlite3.Connection) -> None:
        """Give up every claim."""
        if self.id is not None:
            _forget(connection, self.id)
            self.id = None

    def finds_alive(self, connection: sqlite3.Connection, other: int) -> bool:
        """Whether another owner lives, as far as one can know."""
        row = connection.execute(
            "SELECT machine, pid, started, beat FROM owners WHERE id = ?", (other,)
        ).fetchone()
        if row is None or Process(*row[:3]).is_known_dead:
            return False
        beat, now = row[3], time.monotonic()
        last, since = self._seen.get(other, (beat, now))
        if last != beat:
            since = now
        self._seen[other] = beat, since
        return bool(now - since <= LEASE_S)


def grant(
    connection: sqlite3.Connection, owner: Owner, keys: Sequence[bytes], newer_than: int
) -> tuple[set[bytes], set[bytes], set[bytes], bool]:
    """(granted, answered, busy) of these requests, and whether the claims of a dead process went.

    In one transaction of the caller.

    Args:
        connection: inside a transaction that writes.
        owner: who claims.
        keys: a few thousand at most.
        newer_than: answers up to this id do not count.
    """
    me = owner.beat(connection)
    marks = ",".join("?" * len(keys))
    answered: set[bytes] = {
        row[0]
        for row in connection.execute(
            f"SELECT key FROM responses WHERE key IN ({marks}) AND id > ?", (*keys, newer_than)
        )
    }
    held: dict[bytes, int] = dict(
        connection.execute(f"SELECT key, owner FROM claims WHERE key IN ({marks})", keys).fetchall()
    )
    dead = {o for o in set(held.values()) - {me} if not owner.finds_alive(connection, o)}
    for other in dead:
        _forget(connection, other)
    held = {key: holder for key, holder in held.items() if holder not in dead}
    busy = held.keys() - answered
    granted = set(keys) - answered - busy
    connection.executemany(
        "INSERT INTO claims(key, owner) VALUES (?, ?)", [(key, me) for key in granted]
    )
    return granted, answered, busy, bool(dead)


def _forget(connection: sqlite3.Connection, owner: int) -> None:
    connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))
    connection.execute("DELETE FROM owners WHERE id = ?", (owner,))


class Process(NamedTuple):
    """A process of some machine; its number alone is given to others after it."""

    machine: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        """The one that asks."""
        pid = os.getpid()
        return cls(machine(), pid, _started(pid))

    @property
    def is_of_this_machine(self) -> bool:
        """Whether it can be seen from here, if it runs."""
        return self.machine == machine()

    @property
    def is_known_dead(self) -> bool:
        """Whether it is of this machine and runs no more."""
        return self.is_of_this_machine and not _runs(self.pid, self.started)


@cache
def machine() -> str:
    """One boot of one machine (or container): where a process id means one process."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _runs(pid: int, started: str) -> bool:
    if os.name == "nt":
        return True  # there, asking whether a process lives can end it: the lease decides
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process, so it lives
        return _started(pid) == started
    # A process id is given again: it is the same process if it also began at the same moment.
    return _started(pid) == started


def _started(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A killed process whose parent has not noticed yet is listed, but does nothing.
    return "" if fields[0] in "ZX" else fields[19]
