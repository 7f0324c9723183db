"""Tables of per-item scores and promptlab runs, as sources of one prompt's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from promptlab.errors import UnknownName, UserError
from promptlab.importers.source import COLUMNS, Source
from promptlab.types import OWN

__all__ = ["read_run", "read_table"]


def read_table(path: Path, condition: str = "", columns: Mapping[str, str] | None = None) -> Source:
    """A table with columns item_id and score; task, replicate, model and target if they are there.

    Args:
        path: CSV, TSV, JSONL, JSON or Parquet.
        condition: which rows, where the table has several conditions.
        columns: our names of columns -> the table's, where they differ.

    Raises:
        UserError: a column is missing, or the condition must be chosen.
    """
    from promptlab.analysis.reading import read_frame
    from promptlab.analysis.tables import check_scores
    from promptlab.analysis.tidying import tidy_scores

    frame = tidy_scores(read_frame(path, columns=columns))
    if "condition" not in frame:
        if condition:
            raise UserError(f"{path} has no column 'condition', so no '{condition}'")
        frame = frame.assign(condition=path.stem)
    rows = check_scores(frame, source=str(path))
    chosen = _one_condition(list(rows["condition"].unique()), condition, path)
    rows = rows[(rows["condition"] == chosen) & rows["primary"]]
    protocols = list(rows["protocol"].unique())
    if len(protocols) > 1:
        raise UserError(
            f"{path} holds several scorings ({', '.join(protocols)}); keep one, or mark it in a "
            "column 'primary'"
        )
    target = rows["target"].fillna("").astype("str") if "target" in rows else ""
    rows = rows.assign(target=target, prompt="")
    label = condition or path.name.split(".")[0]
    return Source(path, "table", label, rows[list(COLUMNS)].reset_index(drop=True))


def read_run(path: Path, condition: str = "") -> Source:
    """One condition of a promptlab run, each task under its primary protocol.

    Args:
        path: the run directory.
        condition: which one; may be left out if there is only one.

    Raises:
        UserError: not a run, not scored yet, raced, or the condition must be chosen.
    """
    from promptlab.runs import Run

    if (path / "race.json").is_file():
        raise UserError(
            f"{path} was raced: how many items it has depends on their scores, and a comparison "
            "for a fixed number of items does not hold; its own report has the race's"
        )
    scores = Run(path).scores()
    scores = scores[scores["primary"]]
    known = [str(c) for c in scores["condition"].unique()]
    chosen = _one_condition(known, condition, path)
    rows = scores[scores["condition"].astype("str") == chosen].reset_index(drop=True)
    if "instruction" not in rows:  # a run from before wordings could be crossed
        rows["instruction"] = OWN
    for column in ("model", "task", "instruction", "item_id", "status", "metric", "method"):
        rows[column] = rows[column].astype("str")
    rows = rows.assign(target="", prompt="")
    return Source(path, "run", chosen, rows[list(COLUMNS)], content_ids=True)


def _one_condition(known: Sequence[str], wanted: str, path: Path) -> str:
    if wanted:
        if wanted not in known:
            raise UnknownName(
                "condition", wanted, known, f"{path.name} has: {', '.join(known[:20])}"
            )
        return wanted
    if len(known) > 1:
        raise UserError(
            f"{path} holds several conditions; name one, as {path}:{known[0]} "
            f"(there are: {', '.join(known[:20])})"
        )
    return known[0]
