"""Rows of a local CSV, JSONL, JSON or Parquet file, and the part of them that a split names."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from promptlab.errors import MissingData, UserError
from promptlab.tasks.loaders.templates import Row

__all__ = ["KINDS", "base_split", "read_rows"]

_SLICE = re.compile(r"(?P<name>[^\[]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


def read_rows(file: Path, split: str) -> list[Row]:
    """The rows of a file that a split such as `test`, `train[:80%]` or `train[10:20]` names.

    Cells of a CSV are texts as they stand: `007`, `1.0` and `NA` are answers, not numbers or gaps.
    A record of a JSON file that lacks a key has None there.

    Raises:
        MissingData: there is no such file.
        UserError: it cannot be read, or holds no such rows; says where.
    """
    if not file.is_file():
        raise MissingData(f"no such file: {file} (paths in a card start from its folder)")
    if file.stat().st_size == 0:
        raise UserError(f"{file} is empty")
    try:
        rows = _READERS[file.suffix.lower()](file)
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError, csv.Error) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read {file}: {reason}") from None
    parts = [_slice(part, file) for part in split.split("+")]
    found = list(chain.from_iterable(rows[_at(a, rows) : _at(b, rows)] for a, b in parts))
    if not found:
        raise UserError(f"{file}, split {split}: there are no rows")
    return found


def base_split(split: str) -> str:
    """`test` of `test[:10%]`."""
    return re.split(r"[\[+]", split, maxsplit=1)[0]


def _slice(part: str, file: Path) -> tuple[str | None, str | None]:
    match = _SLICE.fullmatch(part.strip())
    if match is None:
        raise UserError(
            f"cannot read {file}, split {part}: a part is written as [:100], [10:20] or [:80%]"
        )
    return match["start"], match["stop"]


def _at(bound: str | None, rows: list[Row]) -> int | None:
    if bound is None:
        return None
    return round(len(rows) * int(bound[:-1]) / 100) if bound.endswith("%") else int(bound)


def _read_csv(file: Path) -> list[Row]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(_csv_rows(csv.reader(lines, strict=True), file))


def _csv_rows(rows: Any, file: Path) -> Iterator[Row]:
    header: list[str] = next(rows, [])
    if not header or len(set(header)) != len(header) or not all(header):
        raise UserError(f"{file}: every column needs a name of its own (first line)")
    for row in rows:
        if len(row) == len(header):
            yield dict(zip(header, row, strict=True))
        elif row:
            raise UserError(
                f"{file}:{rows.line_num}: {len(row)} fields, but the first line names "
                f"{len(header)} columns; quote a text that contains a comma"
            )


def _read_json(file: Path) -> list[Row]:
    data = orjson.loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    if isinstance(data, dict):  # a single line of a file that has one object a line
        data = [data]
    return _records(data, file)


def _read_jsonl(file: Path) -> list[Row]:
    records = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                records.append(orjson.loads(line.removeprefix(b"\xef\xbb\xbf")))
            except orjson.JSONDecodeError as error:
                raise UserError(f"cannot read {file}:{number}: {error}") from None
    return _records(records, file)


def _records(records: Any, file: Path) -> list[Row]:
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise UserError(f"cannot read {file}: it must hold objects ({{...}}), or one list of them")
    names = dict.fromkeys(chain.from_iterable(records))
    return [{name: record.get(name) for name in names} for record in records]


def _read_parquet(file: Path) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(file).to_pylist()
    return rows


_READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
KINDS = tuple(_READERS)
"""Ends of the names of files that are read."""
