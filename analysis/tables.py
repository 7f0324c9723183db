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
| instruction | wording of the task's instruction, where several were asked | `own` |
| replicate | 0, 1, ... for repeated answers to the same prompt | 0 |
| protocol, metric | how the answer was scored | `score` |
| primary | whether this protocol decides for the task | true |
| method | `text` or `logprob`: how the answer was read | `text` |
| status | ok, truncated, empty, refused, filtered, error, missing or unjudged | from the score |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from promptlab.analysis.reading import read_frame
from promptlab.analysis.tidying import lengthen, tidy_scores
from promptlab.errors import UnpairedScores, UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KEY", "REQUIRED", "SCORE_COLUMNS", "check_scores", "read_scores"]

REQUIRED = ("item_id", "condition", "score")
_DEFAULTS: dict[str, str | int] = {
    "model": "model",
    "task": "all",
    "shots": 0,
    "instruction": "own",
    "replicate": 0,
    "protocol": "score",
    "metric": "score",
    "primary": True,
    "method": "text",
}
SCORE_COLUMNS = (*REQUIRED, *_DEFAULTS, "status")
KEY = ["model", "task", "condition", "shots", "instruction", "replicate", "item_id", "protocol"]
"""What identifies a row."""

_STATUSES = (
    *("ok", "truncated", "empty", "refused", "filtered", "error", "missing"),
    "unjudged",
)
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


def read_scores(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    wide: bool = False,
    percent: bool = False,
    encoding: str | None = None,
) -> pd.DataFrame:
    """Read a table of per-item scores: CSV, TSV, Parquet, JSON or JSONL, by the file's ending.

    Scores may be written as true and false, yes and no, correct and wrong, or `85 %`.

    Args:
        path: the file.
        columns: names above -> names in the file, where they differ.
        wide: the table has one column for each condition instead of condition and score.
        percent: scores are percentages.
        encoding: of a text table that is not UTF-8.

    Raises:
        UserError: the file is absent, of another kind, unreadable, or its columns are wrong.
        UnpairedScores: a row is there twice.
    """
    frame = read_frame(path, columns=columns, encoding=encoding)
    if wide:
        frame = lengthen(frame, source=str(path))
    return check_scores(tidy_scores(frame, percent=percent), source=str(path))


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
            f"{wrong[0] + 1}: {score[wrong[0]]:g}; divide a percentage by 100 (--percent "
            "does)"
        )
    for column in ("shots", "replicate"):
        values = _numbers(out, column, source)
        if values.isna().any() or (values % 1 != 0).any() or (values < 0).any():
            raise UserError(f"{source}: column '{column}' must hold whole numbers from 0")
        out[column] = values.astype("int64")
    names = ("model", "task", "condition", "item_id", "instruction", "protocol", "metric", "method")
    for column in names:
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
        hint = _near(needed, columns)
        if alias:
            hint = (
                f"; is it your column '{alias[0]}'? Rename it (--column {needed}={alias[0]} does)"
            )
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
