"""Reading and checking a table of per-item scores: anybody's, or that of a run.

A row is the score of one item under one condition. Three columns are needed, the others have
defaults:

| column | meaning | default |
|---|---|---|
| item_id | the item, the same in every condition | needed |
| condition | how the prompt was built; one of them is the baseline | needed |
| score | in [0, 1], higher is better; empty = not scored | needed |
| task | the data set the item belongs to; item ids are told apart by task | `all` |
| model | who answered | `model` |
| shots | number of demonstrations | 0 |
| replicate | 0, 1, ... for repeated answers to the same prompt | 0 |
| protocol, metric | how the answer was scored | `score` |
| primary | whether this protocol decides for the task | true |
| method | `text` or `logprob`: how the answer was read | `text` |
| status | `ok`, `truncated`, `empty`, `refused`, `filtered`, `error`, `missing` | from the score |
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from promptlab.errors import UnpairedScores, UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KEY", "REQUIRED", "SCORE_COLUMNS", "check_scores", "read_scores"]

REQUIRED = ("item_id", "condition", "score")
_DEFAULTS: dict[str, str | int] = {
    "model": "model",
    "task": "all",
    "shots": 0,
    "replicate": 0,
    "protocol": "score",
    "metric": "score",
    "primary": True,
    "method": "text",
}
SCORE_COLUMNS = (*REQUIRED, *_DEFAULTS, "status")
KEY = ["model", "task", "condition", "shots", "replicate", "item_id", "protocol"]
"""What identifies a row."""

_STATUSES = ("ok", "truncated", "empty", "refused", "filtered", "error", "missing")
_ALIASES = {
    "item": "item_id",
    "id": "item_id",
    "question_id": "item_id",
    "example": "item_id",
    "prompt": "condition",
    "stimulus": "condition",
    "variant": "condition",
    "correct": "score",
    "accuracy": "score",
    "value": "score",
}


def read_scores(path: Path | str) -> pd.DataFrame:
    """Read a table of per-item scores: CSV, TSV, Parquet, JSON or JSONL, by the file's ending.

    Raises:
        UserError: the file is absent, of another kind, unreadable, or its columns are wrong.
        UnpairedScores: a row is there twice.
    """
    import pandas as pd

    path = Path(path)
    if not path.exists():
        raise UserError(f"no such file: {path}")
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a table of scores")
    name = path.name.lower().removesuffix(".gz")
    text = {"item_id": "str", "condition": "str", "task": "str", "model": "str"}
    try:
        if name.endswith((".csv", ".tsv", ".txt")):
            separator = "," if name.endswith(".csv") else "\t"
            if Path(path).suffix in (".csv", ".tsv", ".txt"):  # not a compressed one
                _check_fields(Path(path), separator)
            frame = pd.read_csv(path, sep=separator, dtype=text, keep_default_na=True)
        elif name.endswith((".parquet", ".pq")):
            frame = pd.read_parquet(path)
        elif name.endswith((".jsonl", ".ndjson")):
            frame = pd.read_json(path, lines=True, dtype=text)
        elif name.endswith(".json"):
            frame = pd.read_json(path, dtype=text)
        else:
            raise UserError(
                f"{path}: a table of scores ends in .csv, .tsv, .parquet, .jsonl or .json"
            )
    except UserError:
        raise
    except Exception as error:  # every reader has errors of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read as a table: {reason}") from None
    return check_scores(frame, source=str(path))


def check_scores(frame: pd.DataFrame, *, source: str = "the table of scores") -> pd.DataFrame:
    """A copy with every column filled and checked.

    Args:
        frame: one row an item and condition; see the table at the head of this module.
        source: named in messages.

    Raises:
        UserError: a column is missing, empty, or holds what it cannot hold.
        UnpairedScores: two rows are the same item under the same condition.
    """
    _need_columns(frame, source)
    if frame.empty:
        raise UserError(f"{source}: there is no row")
    out = frame.reset_index(drop=True)  # a table of its own: setting its columns changes no other
    for column, default in _DEFAULTS.items():
        if column not in out:
            out[column] = default
    out["score"] = _numbers(out, "score", source).astype("float64")
    score = out["score"].to_numpy()
    wrong = np.flatnonzero(np.isinf(score) | (score < 0) | (score > 1))
    if wrong.size:
        raise UserError(
            f"{source}: {wrong.size} score(s) outside [0, 1], the first in row "
            f"{wrong[0] + 1}: {score[wrong[0]]:g}; divide a percentage by 100"
        )
    for column in ("shots", "replicate"):
        values = _numbers(out, column, source)
        if values.isna().any() or (values % 1 != 0).any() or (values < 0).any():
            raise UserError(f"{source}: column '{column}' must hold whole numbers from 0")
        out[column] = values.astype("int64")
    for column in ("model", "task", "condition", "item_id", "protocol", "metric", "method"):
        missing = out[column].isna()
        if missing.any() and column in ("metric", "method"):
            # Nothing was read from a row without a score.
            out[column] = out[column].where(~missing | out["score"].notna(), "")
            missing = out[column].isna()
        empty = np.flatnonzero(missing.to_numpy())
        if empty.size:
            raise UserError(
                f"{source}: column '{column}' is empty in {empty.size} row(s), "
                f"the first is row {empty[0] + 1}"
            )
        out[column] = out[column].astype("str")
    out["primary"] = _booleans(out, source)
    out["status"] = _statuses(out, source)
    _no_duplicates(out, source)
    return out


def _need_columns(frame: pd.DataFrame, source: str) -> None:
    columns = [str(c) for c in frame.columns]
    if len(set(columns)) < len(columns):
        twice = sorted({c for c in columns if columns.count(c) > 1})
        raise UserError(f"{source}: column '{twice[0]}' is there twice")
    for needed in REQUIRED:
        if needed in columns:
            continue
        alias = [c for c in columns if _ALIASES.get(c.lower()) == needed]
        hint = f"; is it your column '{alias[0]}'? Rename it" if alias else _near(needed, columns)
        found = ", ".join(columns) or "none"
        raise UserError(
            f"{source}: column '{needed}' is missing{hint}. Needed: "
            f"{', '.join(REQUIRED)}; found: {found}"
        )


def _near(needed: str, columns: Iterable[str]) -> str:
    return did_you_mean(needed, [c for c in columns if c not in SCORE_COLUMNS])


def _numbers(frame: pd.DataFrame, column: str, source: str) -> pd.Series:
    import pandas as pd

    values = pd.to_numeric(frame[column], errors="coerce")
    bad = np.flatnonzero((values.isna() & frame[column].notna()).to_numpy())
    if bad.size:
        raise UserError(
            f"{source}: column '{column}' must hold numbers; row {bad[0] + 1} has "
            f"'{frame[column].iloc[bad[0]]}'"
        )
    return values


def _booleans(frame: pd.DataFrame, source: str) -> pd.Series:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    values = frame["primary"]
    if values.dtype == bool:
        return values
    mapped = values.astype("str").str.lower().map(known)
    if mapped.isna().any():
        raise UserError(f"{source}: column 'primary' must hold true or false")
    return mapped.astype(bool)


def _statuses(frame: pd.DataFrame, source: str) -> pd.Series:
    import pandas as pd

    scored = frame["score"].notna()
    if "status" not in frame:
        if scored.all():
            return pd.Series("ok", index=frame.index, dtype="str")
        return pd.Series(np.where(scored, "ok", "missing"), index=frame.index, dtype="str")
    status, given = frame["status"].astype("str"), frame["status"].notna()
    if not given.all():
        default = pd.Series(np.where(scored, "ok", "missing"), index=frame.index, dtype="str")
        status = status.where(given, default)
    unknown = sorted(set(status.unique()) - set(_STATUSES))
    if unknown:
        raise UserError(
            f"{source}: unknown status '{unknown[0]}'{did_you_mean(unknown[0], _STATUSES)}; "
            f"known: {', '.join(_STATUSES)}"
        )
    return status


def _no_duplicates(frame: pd.DataFrame, source: str) -> None:
    twice = frame.duplicated(KEY, keep=False)
    if twice.any():
        row = frame.iloc[int(np.argmax(twice.to_numpy()))]
        what = ", ".join(f"{k} {row[k]}" for k in KEY)
        raise UnpairedScores(
            f"{source}: {int(twice.sum())} rows are there more than once, for example {what}; "
            "keep one, or number repeated answers in a column 'replicate'"
        )


def _check_fields(path: Path, separator: str) -> None:
    """Every line has as many fields as the first; pandas would shift the columns instead."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=separator)
        header = next(rows, [])
        for row in rows:
            if row and len(row) != len(header):
                raise UserError(
                    f"{path}:{rows.line_num}: {len(row)} fields, but the first line names "
                    f"{len(header)} columns"
                )
