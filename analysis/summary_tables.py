"""Reading and checking a summary: one mean for each task and condition, without the items.

| column | meaning | default |
|---|---|---|
| task | the data set | needed |
| condition | how the prompt was built; also `pnum`, `stimulus`, `prompt`, `variant` | needed |
| mean | mean score; also `accuracy`, `acc`, `average`, `score` | needed |
| sd | standard deviation of the mean over runs; also `std`, `stdev`, `sd_runs` | unknown |
| n | runs; also `n_runs`, `runs`, `n_iterations`, `iterations` | unknown |
| model | who answered | `model` |
| shots | number of demonstrations | 0 |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.reading import read_frame
from promptlab.analysis.tidying import CONDITION_NAMES, MEAN_NAMES
from promptlab.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SUMMARY_COLUMNS", "SummaryTable", "check_summary", "read_summary"]

SUMMARY_COLUMNS = ("model", "shots", "task", "condition", "mean", "sd", "n")
_ALIASES = {
    "condition": CONDITION_NAMES,
    "mean": MEAN_NAMES,
    "sd": ("sd", "std", "stdev", "std_dev", "sd_runs"),
    "n": ("n", "n_runs", "runs", "n_iterations", "iterations", "n_repeats", "repeats"),
}
_LARGEST_PERCENT = 100.0
_SURELY_PERCENT = 10.0
"""A mean between 1 and this may be on a scale of 5 or 10: nothing is guessed."""


@dataclass(frozen=True)
class SummaryTable:
    """A checked summary.

    Attributes:
        frame: the columns `SUMMARY_COLUMNS`; means and SDs in [0, 1], NaN where unknown.
        notes: what was read as what.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        tasks, conditions = (self.frame[c].nunique() for c in ("task", "condition"))
        return f"A summary of {tasks} tasks x {conditions} conditions, {len(self.frame)} means."


def read_summary(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    percent: bool | None = None,
    encoding: str | None = None,
) -> SummaryTable:
    """Read a summary from CSV, TSV, Parquet, JSON or JSONL.

    Args:
        path: the file.
        columns: names above -> names in the file, where they differ.
        names: conditions in the file -> what to call them.
        percent: whether means and SDs are percentages; by their size if None.
        encoding: of a text table that is not UTF-8.

    Raises:
        UserError: the file cannot be read, or see `check_summary`.
    """
    frame = read_frame(path, columns=columns, text=CONDITION_NAMES, encoding=encoding)
    return check_summary(frame, names=names, percent=percent, source=str(path))


def check_summary(
    frame: pd.DataFrame,
    *,
    names: Mapping[str, str] | None = None,
    percent: bool | None = None,
    source: str = "the summary",
) -> SummaryTable:
    """A copy with every column filled and checked.

    Args:
        frame: one row a task and condition; see the table at the head of this module.
        names: conditions in the frame -> what to call them.
        percent: whether means and SDs are percentages; by their size if None.
        source: named in messages.

    Raises:
        UserError: a column is missing or holds what it cannot hold, or a row is there twice.
    """
    import pandas as pd

    found, notes = _columns(frame, source)
    out = pd.DataFrame(index=range(len(frame)))
    defaults: dict[str, Any] = {"model": "model", "shots": 0}
    for column in SUMMARY_COLUMNS:
        known = column in found
        out[column] = frame[found[column]].to_numpy() if known else defaults.get(column, np.nan)
    if out.empty:
        raise UserError(f"{source}: there is no row")
    for column in ("model", "task", "condition"):
        empty = np.flatnonzero(out[column].isna().to_numpy())
        if empty.size:
            raise UserError(f"{source}: column '{column}' is empty in row {empty[0] + 1}")
        out[column] = out[column].astype("str")
    out["condition"] = (
        out["condition"].str.replace(r"^(\d+)\.0$", r"\1", regex=True).replace(dict(names or {}))
    )
    for column in ("mean", "sd", "n", "shots"):
        out[column] = _numbers(out[column], column, source)
    for column, least in (("sd", 0), ("n", 1)):
        if (out[column] < least).any():
            at = int(np.argmax((out[column] < least).to_numpy()))
            raise UserError(f"{source}: column '{column}' in row {at + 1} is below {least}")
    if out["shots"].isna().any():
        raise UserError(f"{source}: column 'shots' is empty in a row")
    out["shots"] = out["shots"].astype("int64")
    out, said = _in_unit(out, percent, source)
    twice = out.duplicated(["model", "shots", "task", "condition"], keep=False)
    if twice.any():
        row = out[twice].iloc[0]
        raise UserError(
            f"{source}: task {row['task']} under condition {row['condition']} is there more than "
            "once; a summary has one mean for each (if these are items, it needs item_id; if they "
            "are models, a column 'model')"
        )
    return SummaryTable(out, (*notes, *said))


def _columns(frame: pd.DataFrame, source: str) -> tuple[dict[str, str], list[str]]:
    """Our names -> the frame's, and a note for each that differs."""
    folded = {str(c).lower(): str(c) for c in frame.columns}
    found: dict[str, str] = {}
    for column in SUMMARY_COLUMNS:
        for name in _ALIASES.get(column, (column,)):
            if name in folded:
                found[column] = folded[name]
                break
    for needed in ("task", "condition", "mean"):
        if needed not in found:
            names = ", ".join(map(str, frame.columns)) or "none"
            raise UserError(
                f"{source}: column '{needed}' is missing{did_you_mean(needed, folded)}. A summary "
                f"needs task, condition and mean; found: {names}. If yours has another name: "
                f"--column {needed}=YOURS"
            )
    notes = [
        f"Column '{theirs}' was read as {'the ' if ours == 'condition' else ''}{_WHAT[ours]}."
        for ours, theirs in found.items()
        if ours != theirs and ours in _WHAT
    ]
    return found, notes


_WHAT = {
    "condition": "condition",
    "mean": "mean score",
    "sd": "standard deviation over runs",
    "n": "number of runs",
}


def _numbers(values: pd.Series, column: str, source: str) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce")
    wrong = np.flatnonzero((numbers.isna() & values.notna()).to_numpy() | np.isinf(numbers))
    if wrong.size:
        raise UserError(
            f"{source}: column '{column}' must hold numbers; row {wrong[0] + 1} has "
            f"'{values.iloc[wrong[0]]}'"
        )
    return numbers.astype("float64")


def _in_unit(
    frame: pd.DataFrame, percent: bool | None, source: str
) -> tuple[pd.DataFrame, list[str]]:
    """Means and SDs in [0, 1], and how that was decided."""
    largest = float(frame["mean"].max())
    if np.isnan(largest):
        raise UserError(f"{source}: there is no mean")
    if (frame["mean"] < 0).any() or largest > _LARGEST_PERCENT:
        row = int(np.argmax(((frame["mean"] < 0) | (frame["mean"] > _LARGEST_PERCENT)).to_numpy()))
        value = float(frame["mean"].iloc[row])
        raise UserError(f"{source}: the mean in row {row + 1} is {value:g}, outside 0 to 100")
    if percent is None and 1 < largest <= _SURELY_PERCENT:
        raise UserError(
            f"{source}: the largest mean is {largest:g}: neither a share (0 to 1) nor surely a "
            "percentage; divide by the largest possible score, or say --percent"
        )
    if percent is False and largest > 1:
        raise UserError(f"{source}: the largest mean is {largest:g}, so they are not shares")
    if percent or largest > 1:
        why = "" if percent else f", for the largest is {largest:g}"
        out = frame.assign(mean=frame["mean"] / 100, sd=frame["sd"] / 100)
        return out, [f"Means and SDs were read as percentages{why}."]
    return frame, [f"Means were read as shares of 1, for the largest is {largest:g}."]
