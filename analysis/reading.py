"""From a file to a plain data frame, whichever program wrote it: kinds, encodings, separators."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from promptlab.errors import UnknownName, UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BASELINES", "choose_baseline", "read_frame", "rename_columns"]

BASELINES = ("original", "baseline", "base", "vanilla", "none", "no_stimulus", "0")
"""Conditions that are taken for the baseline if no other is named, in this order."""

_TEXT = ("item_id", "condition", "task", "model", "target")
"""Columns that are read as text: `007` stays `007`."""
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_SEPARATORS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
_LOOKED_AT = 200
"""Rows in which a decimal comma is looked for."""


def read_frame(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    text: Sequence[str] = (),
    encoding: str | None = None,
) -> pd.DataFrame:
    """Read a table: CSV, TSV, Parquet, JSON or JSONL, by the file's ending; `.gz` is unpacked.

    The separator of a text table (comma, semicolon, tab, bar) is that of its first line. With
    semicolons, numbers may have a decimal comma. A byte order mark decides the encoding; without
    one it is UTF-8, unless another is named.

    Args:
        path: the file.
        columns: names in the result -> names in the file, for columns to rename.
        text: columns of the file to read as text, besides those that always are.
        encoding: of a text table.

    Raises:
        UserError: the file is absent, of another kind, or cannot be read.
    """
    import pandas as pd

    path = Path(path)
    _refuse(path)
    names = {*_TEXT, *text, *((columns or {}).get(name, name) for name in _TEXT)}
    types: dict[str, str] = dict.fromkeys(names, "str")
    ending = path.name.lower().removesuffix(".gz")
    try:
        if ending.endswith((".csv", ".tsv", ".txt")):
            coding = encoding or _encoding(path)
            separator, decimal = _layout(path, coding)
            frame = pd.read_csv(
                path,
                sep=separator,
                decimal=decimal,
                dtype=types,
                encoding=coding,
            )
        elif ending.endswith((".parquet", ".pq")):
            frame = pd.read_parquet(path)
        elif ending.endswith((".jsonl", ".ndjson")):
            frame = pd.read_json(path, lines=True, dtype=types)
        elif ending.endswith(".json"):
            frame = pd.read_json(path, dtype=types)
        else:
            raise UserError(
                f"{path}: a table of scores ends in .csv, .tsv, .parquet, .jsonl or .json"
            )
    except UserError:
        raise
    except UnicodeDecodeError as error:
        raise UserError(_not_text(path, encoding, error)) from None
    except LookupError:
        raise UserError(f"unknown encoding '{encoding}'; for example utf-8, cp1252") from None
    except Exception as error:  # every reader has errors of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read as a table: {reason}") from None
    frame.columns = [str(c).strip() for c in frame.columns]
    return rename_columns(frame, columns or {}, source=str(path))


def rename_columns(
    frame: pd.DataFrame, columns: Mapping[str, str], *, source: str = "the table"
) -> pd.DataFrame:
    """The frame with columns renamed: name in the result -> name in the frame.

    Raises:
        UserError: there is no such column, or the new name is taken.
    """
    known = [str(c) for c in frame.columns]
    for new, old in columns.items():
        if old not in known:
            found = f"; found: {', '.join(known)}"
            raise UserError(f"{source}: no column '{old}'{did_you_mean(old, known)}{found}")
        if new in known and new != old:
            raise UserError(f"{source}: cannot rename '{old}' to '{new}', which is there already")
    return frame.rename(columns={old: new for new, old in columns.items()})


def choose_baseline(conditions: Sequence[str], wanted: str | None) -> tuple[str, str]:
    """The condition to compare with, and a sentence if it was guessed.

    Args:
        conditions: those of the table.
        wanted: what the person named, if anything.

    Raises:
        UnknownName: it is not in the table, or none was named and no name is a usual one.
    """
    known = list(dict.fromkeys(conditions))
    listed = f"conditions: {', '.join(known[:30])}" + (", ..." if len(known) > 30 else "")
    if wanted is not None:
        if wanted not in known:
            raise UnknownName("baseline", wanted, known, listed)
        return wanted, ""
    folded = {c.lower(): c for c in reversed(known)}
    for name in BASELINES:
        if name in folded:
            said = f"The baseline is '{folded[name]}', by its name"
            return folded[name], "" if name == "original" else f"{said}; --baseline names another."
    raise UnknownName("baseline", "original", known, f"name it with --baseline; {listed}")


def _refuse(path: Path) -> None:
    """What is no table at all, with what to do instead."""
    if not path.exists():
        raise UserError(f"no such file: {path}")
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a table of scores")
    workbook = path.suffix.lower() in _WORKBOOKS
    if not workbook and path.name.lower().endswith((".csv", ".tsv", ".txt")):
        with path.open("rb") as file:
            workbook = file.read(4) in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
    if workbook:
        raise UserError(
            f"{path} is a spreadsheet, and a table of scores ends in .csv, .tsv, .parquet, .jsonl "
            "or .json; save its sheet as CSV (in Excel: Save As, CSV UTF-8) and give that file"
        )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        yield file  # type: ignore[misc]


def _encoding(path: Path) -> str:
    with _opened(path) as file:
        start = file.read(4)
    return next((coding for mark, coding in _BOMS if start.startswith(mark)), "utf-8")


def _layout(path: Path, encoding: str) -> tuple[str, str]:
    """Separator and decimal sign; every line has as many fields as the first.

    Otherwise pandas would shift the columns.
    """
    opening = gzip.open if path.suffix.lower() == ".gz" else open
    with opening(path, "rt", encoding=encoding, newline="") as lines:
        first = lines.readline()
        if not first.strip():
            raise UserError(
                f"{path}: cannot be read as a table: its first line is empty, and must name the "
                "columns"
            )
        separator = max(
            _SEPARATORS, key=lambda mark: len(next(csv.reader([first], delimiter=mark)))
        )
        fields = len(next(csv.reader([first], delimiter=separator)))
        comma = False
        rows = csv.reader(lines, delimiter=separator)
        for row in rows:
            if row and len(row) != fields:
                raise UserError(
                    f"{path}:{rows.line_num + 1}: {len(row)} fields, but the first line names "
                    f"{fields} columns"
                )
            if separator != "," and rows.line_num < _LOOKED_AT:
                comma = comma or any(_DECIMAL_COMMA.fullmatch(value) for value in row)
    return separator, "," if comma else "."


def _not_text(path: Path, encoding: str | None, error: UnicodeDecodeError) -> str:
    """Where a text table stops being text in its encoding."""
    where = str(path)
    if error.encoding.startswith("utf-8") or error.encoding == "utf8":
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    where = f"{path}:{number}"
                    break
    hint = "save it as UTF-8" if encoding else "save it as UTF-8, or name its encoding, as cp1252"
    return f"{where}: not {error.encoding.upper()} text; {hint}"
