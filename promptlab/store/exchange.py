"""Answers as one file that moves between machines: Parquet or JSON lines.

Each row holds the key, the canonical request, the response and, for people who look into the file,
the time of the response. Reading checks every row, so a file from anywhere can be merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import orjson
import zstandard

from promptlab.errors import UserError
from promptlab.files import replacing
from promptlab.keys import key_of
from promptlab.parquet import read_rows, row_writer
from promptlab.store.codec import COMPLETE, decode_response, encode_response
from promptlab.store.database import Store
from promptlab.store.rows import Stored
from promptlab.store.upkeep import OnRows

__all__ = ["FORMATS", "Imported", "export_rows", "import_file", "merge"]

FORMATS = (".parquet", ".jsonl.zst", ".jsonl")
_LEVEL = 9
_READ = 1 << 16
_BATCH = 1_000
_COLUMNS = ("key", "request", "response")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the rows of a source.

    Attributes:
        read: rows in it.
        added: answers that the store did not have.
        known: answers that it had; the store's own stay.
        refused: rows that are damaged, or whose request does not hash to their key.
        without_answer: rows of requests that failed or were never sent.
    """

    read: int = 0
    added: int = 0
    known: int = 0
    refused: int = 0
    without_answer: int = 0


def export_rows(rows: Iterable[Stored], target: Path, progress: OnRows | None = None) -> int:
    """Write answers to a file that appears whole or not at all, for the user alone.

    Args:
        rows: the answers, taken as a stream.
        target: `.parquet`, `.jsonl.zst` or `.jsonl`.
        progress: told the number of rows written so far.

    Returns:
        The number of rows.

    Raises:
        UserError: the file exists, its ending is none of these, or it cannot be written.
    """
    write = _write_parquet if _format(target) == ".parquet" else _write_lines
    if target.exists():
        raise UserError(f"{target} exists; name another file, or delete it first")
    try:
        return write(_counted(rows, progress), target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from None


def import_file(source: Path, store: Store, progress: OnRows | None = None) -> Imported:
    """Merge a file that `export_rows` wrote into a store; doing it again changes nothing.

    Raises:
        UserError: the file is not there, not such a file, or breaks off (what came before the
            break is merged).
        StoreError: the store cannot be written.
    """
    read = _read_parquet if _format(source) == ".parquet" else _read_lines
    if not source.is_file():
        raise UserError(f"there is no file {source}")
    seen = 0

    def rows() -> Iterator[Stored | None]:
        nonlocal seen
        try:
            for key, canonical, response in read(source):
                seen += 1
                yield _checked(key, canonical, response)
        except (OSError, ValueError, zstandard.ZstdError) as error:
            raise UserError(
                f"{source} is damaged or not an export ({error}); {seen:,} rows before that were "
                "read, and those of them that are right are in the store"
            ) from None

    return merge(rows(), store, progress)


def merge(rows: Iterable[Stored | None], store: Store, progress: OnRows | None = None) -> Imported:
    """Put rows into a store in batches; None is a row that was refused.

    Rows whose response is not complete are counted and left out.
    """
    read = added = refused = without = 0
    stream = iter(rows)
    failure: UserError | None = None
    while failure is None:
        batch: list[Stored | None] = []
        try:
            batch.extend(islice(stream, _BATCH))
        except UserError as error:  # what came before it counts
            failure = error
        if not batch:
            break
        good = [row for row in batch if row is not None]
        complete = [row for row in good if row[2].status in COMPLETE]
        added += store.put_many(complete)
        read += len(batch)
        refused += len(batch) - len(good)
        without += len(good) - len(complete)
        if progress:
            progress(read)
    if failure is not None:
        raise failure
    return Imported(read, added, read - added - refused - without, refused, without)


def _checked(key: str, canonical: bytes, response: bytes) -> Stored | None:
    try:
        return (key, canonical, decode_response(response)) if key_of(canonical) == key else None
    except (ValueError, TypeError):
        return None


def _format(path: Path) -> str:
    for ending in FORMATS:
        if path.name.endswith(ending):
            return ending
    raise UserError(f"{path} has none of the endings {', '.join(FORMATS)}; name the file so")


def _counted(rows: Iterable[Stored], progress: OnRows | None) -> Iterator[Stored]:
    for n, row in enumerate(rows, 1):
        yield row
        if progress and n % _BATCH == 0:
            progress(n)


# --- Parquet ----------------------------------------------------------------------------------


def _write_parquet(rows: Iterable[Stored], target: Path) -> int:
    import pyarrow as pa

    text = [(name, pa.string()) for name in _COLUMNS]
    with row_writer(target, pa.schema([*text, ("created", pa.float64())])) as table:
        for key, canonical, response in rows:
            answer = encode_response(response).decode()
            table.add(key, canonical.decode(), answer, response.created)
        return table.rows


def _read_parquet(source: Path) -> Iterator[tuple[str, bytes, bytes]]:
    import pyarrow.parquet as pq

    missing = set(_COLUMNS) - set(pq.read_schema(source).names)
    if missing:
        raise ValueError(f"it has no column {', '.join(sorted(missing))}")
    for key, request, response in read_rows(source, _COLUMNS):
        yield str(key), str(request).encode(), str(response).encode()


# --- JSON lines -------------------------------------------------------------------------------


def _write_lines(rows: Iterable[Stored], target: Path) -> int:
    n = 0
    with replacing(target) as file, _compressing(file, target) as out:
        for key, canonical, response in rows:
            created = orjson.dumps(response.created)
            answer = encode_response(response)
            out.write(
                b'{"key":"%b","created":%b,"request":%b,"response":%b}\n'
                % (key.encode(), created, canonical, answer)
            )
            n += 1
    return n


@contextmanager
def _compressing(file: BinaryIO, target: Path) -> Iterator[BinaryIO]:
    if not target.name.endswith(".zst"):
        yield file
        return
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with compressor.stream_writer(file, closefd=False) as out:
        yield cast(BinaryIO, out)


def _read_lines(source: Path) -> Iterator[tuple[str, bytes, bytes]]:
    with source.open("rb") as file:
        for line in _unpacked(file) if source.name.endswith(".zst") else file:
            try:
                row = orjson.loads(line)
                key, request, response = (row[name] for name in _COLUMNS)
            except (orjson.JSONDecodeError, KeyError, TypeError):
                yield "", b"", b""  # refused; the next line may be right
                continue
            # The canonical form is what these options make of any equal document.
            canonical = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
            yield str(key), canonical, orjson.dumps(response)


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Lines of a zstd file, which may be several of them in a row."""
    rest = b""
    unpack = None
    while data := file.read(_READ):
        while data:
            unpack = unpack or zstandard.ZstdDecompressor().decompressobj()
            *lines, rest = (rest + unpack.decompress(data)).split(b"\n")
            yield from lines
            data = unpack.unused_data
            if unpack.eof:
                unpack = None
    if unpack is not None or rest:
        raise ValueError("it breaks off")
