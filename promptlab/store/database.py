"""The store: canonical request -> response, in one SQLite file that several processes share."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import zstandard

from promptlab.errors import StoreError
from promptlab.store import sqlite
from promptlab.store.claims import Claims, Owner, Process, grant
from promptlab.store.codec import COMPLETE, Packer, encode_response, joined
from promptlab.store.journal import Journal, left_behind
from promptlab.store.rows import KEY_DIGITS, Decoder, Stored, Unreadable, dictionary_of
from promptlab.types import Response

__all__ = ["Mode", "Store", "StoreStats", "Stored"]

T = TypeVar("T")
Mode = Literal["use", "refresh", "off", "replay"]

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds.

    Attributes:
        path: its file; None for a store that is off.
        answers: number of stored answers.
        bytes: size of the file, the part not yet merged into it included.
        oldest: time of the first answer, seconds since the epoch, UTC.
        newest: time of the last one.
        claims: requests being asked for, by processes not known to be dead.
    """

    path: Path | None
    answers: int
    bytes: int
    oldest: float | None
    newest: float | None
    claims: int


class Store:
    """The memory of what has been paid for.

    Each method is one transaction, may be called from any thread, and returns only when what it
    wrote survives the end of the process (answers also survive a power cut).

    Args:
        path: the SQLite file; it and its folder are made when needed, for the user alone.
        mode: `use` stored answers; `refresh`: answers from before now do not count and are
            replaced; `off`: the file is neither read nor written, and answers are shared inside
            this process only; `replay`: the file is only read.

    Raises:
        StoreDamaged: the file is not what was written there, which any method may also find.
        StoreError: the file cannot be opened or is not a store; says what to do.
    """

    def __init__(self, path: Path | str, mode: Mode = "use") -> None:
        self.path, self.mode = Path(path), mode
        self._packer: Packer | None = None
        self._decoder = Decoder()
        self._owner = Owner()
        self._write_lock = threading.Lock()
        self._read_lock = self._write_lock
        if mode == "off":
            self._reader = self._writer = sqlite.connect_private()
        elif mode == "replay":
            self._reader = self._writer = sqlite.connect(self.path, read_only=True)
        else:
            self._writer = sqlite.connect(self.path, read_only=False)
            self._reader = sqlite.connect(self.path, read_only=False)
            self._read_lock = threading.Lock()
        self._file = None if mode == "off" else sqlite.identity(self.path)
        if mode in {"use", "refresh"}:
            self._take_over()
        self._newer_than = self._last_id() if mode == "refresh" else 0

    def get_many(self, keys: Sequence[str]) -> dict[str, Response]:
        """The stored answers to these requests; a key without an answer is left out.

        Every answer is checked: the canonical request stored beside it must hash to its key.

        Args:
            keys: request hashes.

        Raises:
            StoreDamaged: the store holds another request under a key, or is damaged.
        """
        return {key: response for key, _, response in self._found(keys)}

    def rows(self, keys: Iterable[str]) -> Iterator[Stored]:
        """The stored answers to these requests, with their canonical requests."""
        return self._found(keys)

    def contains_many(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that have an answer; reads the index only."""
        found: set[str] = set()
        for chunk in _chunks(keys):
            wanted = {bytes.fromhex(key[:KEY_DIGITS]): key for key in chunk}
            query = (
                f"SELECT key FROM responses WHERE key IN ({','.join('?' * len(wanted))}) AND id > ?"
            )
            with self._reading() as connection:
                rows = connection.execute(query, (*wanted, self._newer_than)).fetchall()
            found.update(wanted[row[0]] for row in rows)
        return found

    def put_many(self, rows: Sequence[Stored], *, release: Iterable[str] = ()) -> int:
        """Keep answers and give up the claims on them, all or nothing.

        In mode `use` the first answer to a request stays; `refresh` replaces it. Rows whose
        response is not complete (see `COMPLETE`) are not kept; their claims are given up too.

        Args:
            rows: key, canonical request, response.
            release: keys of further claims to give up, of requests that got no answer.

        Returns:
            Number of answers that were not there before.

        Raises:
            StoreError: nothing of it could be written; says why.
        """
        self._require_writable()
        kept = [row for row in rows if row[2].status in COMPLETE]
        bodies = [joined(canonical, encode_response(response)) for _, canonical, response in kept]
        freed = [
            (bytes.fromhex(key[:KEY_DIGITS]),) for key in (*(row[0] for row in rows), *release)
        ]
        verb = "REPLACE" if self.mode == "refresh" else "IGNORE"
        try:
            with self._writing(durable=True) as connection:
                packed = self._packed(connection, bodies)
                cursor = connection.executemany(
                    f"INSERT OR {verb} INTO responses(key, dictionary, body, created) "
                    "VALUES (?, ?, ?, ?)",
                    [
                        (bytes.fromhex(key[:KEY_DIGITS]), *pair, _seconds(response))
                        for (key, _, response), pair in zip(kept, packed, strict=True)
                    ],
                )
                connection.executemany("DELETE FROM claims WHERE key = ?", freed)
        except BaseException:
            self._packer = None  # the dictionary it speaks of may have been rolled back
            raise
        return max(0, cursor.rowcount)

    def journal(self) -> Journal | None:
        """Where answers are noted until `put_many` has them; None where nothing is kept."""
        return Journal(self.path) if self.mode in {"use", "refresh"} else None

    def _take_over(self) -> None:
        """Keep the answers that processes had noted, and not saved, when they were killed."""
        for path, rows in left_behind(self.path):
            self.put_many(rows)
            path.unlink(missing_ok=True)

    def claim_many(self, keys: Iterable[str]) -> Claims:
        """Claim requests that are about to be sent, unless somebody answered or claimed them."""
        self._require_writable()
        claims = Claims()
        for chunk in _chunks(keys):
            wanted = {bytes.fromhex(key[:KEY_DIGITS]): key for key in chunk}
            with self._writing() as connection:
                *outcome, somebody_died = grant(
                    connection, self._owner, list(wanted), self._newer_than
                )
            granted, answered, busy = ({wanted[raw] for raw in found} for found in outcome)
            if somebody_died and self.mode in {"use", "refresh"}:
                self._take_over()
                known = self.contains_many(granted)
                granted, answered = granted - known, answered | known
            claims.granted.update(granted)
            claims.answered.update(answered)
            claims.busy.update(busy)
        return claims

    def heartbeat(self) -> None:
        """Tell other processes that this one is alive and its claims are good."""
        if self.mode in {"use", "refresh"} and self._owner.id is not None:
            with self._writing() as connection:
                self._owner.beat(connection)

    def release_all(self) -> None:
        """Give up all claims of this process."""
        if self._owner.id is not None:
            with self._writing() as connection:
                self._owner.leave(connection)

    def stats(self) -> StoreStats:
        """Number of answers, their age, the bytes on disk, and the claims."""
        with self._reading() as connection:
            answers, oldest, newest = connection.execute(
                "SELECT count(*), min(created), max(created) FROM responses"
            ).fetchone()
            held = connection.execute(
                "SELECT machine, pid, started, count(*) FROM claims "
                "JOIN owners ON owners.id = claims.owner GROUP BY owners.id"
            ).fetchall()
        claims = sum(count for *process, count in held if not Process(*process).is_known_dead)
        if self.mode == "off":
            return StoreStats(None, answers, 0, oldest, newest, claims)
        size = sum(part.stat().st_size for part in sqlite.parts(self.path)[:2] if part.exists())
        return StoreStats(self.path, answers, size, oldest, newest, claims)

    def close(self) -> None:
        """Give up all claims and close the file."""
        with suppress(StoreError):  # a full disk: the claims end with the process
            self.release_all()
        self._reader.close()
        self._writer.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, self._explained():
            yield self._reader

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with sqlite.explained(self.path, self._file):
            try:
                yield
            except Unreadable as error:
                what = f"the store {self.path} is damaged ({error})"
                raise sqlite.damage(what, self._file) from None

    @contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        with self._write_lock, self._explained():
            if self._file and sqlite.identity(self.path) != self._file:
                # What is written now would go to a file that nobody will look into again.
                raise sqlite.damage(
                    f"the store {self.path} was moved, deleted or replaced while in use", self._file
                )
            if durable:
                # Answers are forced to the disk; claims, which a power cut voids, need not be.
                self._writer.execute("PRAGMA synchronous = FULL")
            try:
                with sqlite.transaction(self._writer):
                    yield self._writer
            finally:
                if durable:
                    self._writer.execute("PRAGMA synchronous = NORMAL")

    def _require_writable(self) -> None:
        if self.mode == "replay":
            raise StoreError("'replay' only reads stored answers; nothing can be added")

    def _last_id(self) -> int:
        with self._reading() as connection:
            row = connection.execute("SELECT max(id) FROM responses").fetchone()
        return row[0] or 0

    def _packed(
        self, connection: sqlite3.Connection, bodies: Sequence[bytes]
    ) -> list[tuple[int, bytes]]:
        """The bodies packed, each with the id of the dictionary it is packed with."""
        packer = self._packer
        if packer is None or (packer.number and not _has_dictionary(connection, packer.number)):
            packer = self._packer = Packer()
            newest = connection.execute("SELECT max(id) FROM dictionaries").fetchone()[0]
            if newest:
                packer.use(newest, dictionary_of(connection, newest))
        packed: list[tuple[int, bytes]] = []
        for chunk in _chunks(bodies):
            packed += [(packer.number, body) for body in packer.pack(chunk)]
            dictionary = packer.learn()
            if dictionary is not None:
                added = connection.execute(
                    "INSERT INTO dictionaries(data) VALUES (?)", (zstandard.compress(dictionary),)
                )
                assert added.lastrowid is not None
                packer.use(added.lastrowid, dictionary)
        return packed

    def _found(self, keys: Iterable[str]) -> Iterator[Stored]:
        for chunk in _chunks(keys):
            wanted = [bytes.fromhex(key[:KEY_DIGITS]) for key in chunk]
            query = (
                "SELECT id, key, dictionary, body FROM responses "
                f"WHERE key IN ({','.join('?' * len(wanted))}) AND id > ?"
            )
            decoder = self._decoder
            with self._reading() as connection:
                rows = connection.execute(query, (*wanted, self._newer_than)).fetchall()
                bodies = [decoder.body(connection, row) for row in rows]
                found = list(map(decoder.stored, rows, bodies))
            yield from found


def _seconds(response: Response) -> int | None:
    return None if response.created is None else int(response.created)


def _has_dictionary(connection: sqlite3.Connection, number: int) -> bool:
    found = connection.execute("SELECT 1 FROM dictionaries WHERE id = ?", (number,)).fetchone()
    return found is not None


def _chunks(keys: Iterable[T]) -> Iterator[list[T]]:
    source = iter(keys)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk
