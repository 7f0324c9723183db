"""From rows of the store's file to checked answers; also out of a file that is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from pathlib import Path

import zstandard

from promptlab.store import sqlite
from promptlab.store.codec import decode_response, split, unpacker
from promptlab.types import Response

__all__ = ["KEY_DIGITS", "Decoder", "Row", "Stored", "Unreadable", "dictionary_of", "scan"]

Stored = tuple[str, bytes, Response]
"""Key, canonical request, response."""

Row = tuple[int, bytes, int, bytes]
"""Id, beginning of the key, id of the dictionary, packed body."""

OnLost = Callable[[int, str], None]
"""Told the id of an answer that cannot be read, and what is known of its key."""

KEY_DIGITS = 32
"""Hexadecimal digits of a key by which an answer is found."""

_CHUNK = 1_000
_MOST_UNPACKERS = 32
_ROWS = "SELECT id, key, dictionary, body FROM responses WHERE id BETWEEN ? AND ? ORDER BY id"


class Unreadable(Exception):
    """A row is not what was written."""


class Decoder:
    """Unpacks and checks rows; for one thread at a time."""

    def __init__(self) -> None:
        self._unpackers: dict[int, zstandard.ZstdDecompressor] = {}

    def body(self, connection: sqlite3.Connection, row: Row) -> bytes:
        """The unpacked body of a row.

        Raises:
            Unreadable: the body or its dictionary is damaged.
        """
        unpack = self._unpackers.get(row[2]) or self._new_unpacker(connection, row[2])
        try:
            return unpack.decompress(row[3])
        except (zstandard.ZstdError, TypeError) as error:
            raise Unreadable(str(error)) from None

    @staticmethod
    def stored(row: Row, body: bytes) -> Stored:
        """The answer of a row, given its body.

        Raises:
            Unreadable: the request is not the one of the key, or the response is none.
        """
        canonical, response = split(body)
        digest = sha256(canonical)
        if digest.digest()[: KEY_DIGITS // 2] != row[1]:
            raise Unreadable("another request is stored under the key")
        try:
            return digest.hexdigest(), canonical, decode_response(response)
        except (ValueError, TypeError) as error:
            raise Unreadable(str(error)) from None

    def _new_unpacker(
        self, connection: sqlite3.Connection, number: int
    ) -> zstandard.ZstdDecompressor:
        while len(self._unpackers) >= _MOST_UNPACKERS:
            del self._unpackers[next(iter(self._unpackers))]
        unpack = unpacker(dictionary_of(connection, number))
        self._unpackers[number] = unpack
        return unpack


def dictionary_of(connection: sqlite3.Connection, number: int) -> bytes:
    """A dictionary by its id; 0 is the empty one.

    Raises:
        Unreadable: it is damaged or missing.
    """
    if not number:
        return b""
    found = connection.execute("SELECT data FROM dictionaries WHERE id = ?", (number,)).fetchone()
    try:
        return zstandard.decompress(found[0])
    except (zstandard.ZstdError, TypeError):
        raise Unreadable(f"dictionary {number} is damaged or missing") from None


def scan(
    path: Path, lost: OnLost | None = None, *, after: int = 0, damaged: bool = False
) -> Generator[list[tuple[int, Stored]], None, None]:
    """All answers in the order in which they were written, each checked, in chunks with their ids.

    Args:
        path: the store's file.
        lost: told of each answer that cannot be read; without it, that is an error. A page that
            cannot be read loses the answers on it and no others, unless it is one of the few that
            say where the others are.
        after: answers with ids up to this one are left out.
        damaged: open the file even where SQLite would not, as one that was cut short.

    Raises:
        StoreDamaged: an answer cannot be read, and `lost` is not given.
        StoreError: the file cannot be opened.
    """
    file = sqlite.identity(path)
    connection = sqlite.connect(path, read_only=True, damaged=damaged)
    connection.text_factory = bytes  # a damaged row may call anything a text
    decoder = Decoder()
    try:
        with sqlite.explained(path, file):
            for rows in _readable(connection, path, after, lost):
                chunk = []
                for row in rows:
                    try:
                        chunk.append((row[0], decoder.stored(row, decoder.body(connection, row))))
                    except (Unreadable, sqlite3.DatabaseError) as error:
                        if lost is None:
                            raise sqlite.damage(
                                f"an answer in the store {path} is damaged ({error})", file
                            ) from None
                        lost(row[0], row[1].hex() if isinstance(row[1], bytes) else "")
                yield chunk
    finally:
        connection.close()


def _readable(
    connection: sqlite3.Connection, path: Path, after: int, lost: OnLost | None
) -> Iterator[list[Row]]:
    """Rows by ranges of ids; a range that cannot be read is halved until one id is left."""
    ranges = [
        (first, min(first + _CHUNK, end) - 1)
        for end in [_end(connection, path)]
        for first in range(after + 1, end, _CHUNK)
    ]
    ranges.reverse()
    while ranges:
        first, last = ranges.pop()
        try:
            rows: list[Row] = connection.execute(_ROWS, (first, last)).fetchall()
        except sqlite3.DatabaseError as error:
            if lost is None or not sqlite.is_damage(error):
                raise
            if first == last:
                lost(first, "")
            else:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]
        else:
            yield rows


def _end(connection: sqlite3.Connection, path: Path) -> int:
    """An id above all that were ever given."""
    for query in (
        "SELECT seq FROM sqlite_sequence WHERE name = 'responses'",
        "SELECT max(id) FROM responses",
    ):
        try:
            found = connection.execute(query).fetchone()
        except sqlite3.DatabaseError:
            continue
        return int(found[0] or 0) + 1 if found else 1
    return path.stat().st_size // 32  # no row is smaller
