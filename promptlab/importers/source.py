"""What an importer returns, and how one of several metrics is chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError, did_you_mean
from promptlab.types import OWN

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "Source", "as_share", "choose_metric", "frame_of", "newest", "no_such_metric"]

COLUMNS = (
    *("model", "shots", "task", "instruction", "item_id", "replicate"),
    *("score", "status", "metric", "method", "target", "prompt"),
)
"""Of `Source.rows`. `target` and `prompt` are texts or hashes to compare, empty = unknown."""


@dataclass(frozen=True)
class Source:
    """The scores of one prompt, from one place.

    Attributes:
        path: file or folder.
        kind: `lm-eval`, `Inspect`, `table` or `run`.
        label: a short name for it.
        rows: one row a task, wording of its instruction, item and replicate; columns `COLUMNS`,
            score NaN = not scored.
        content_ids: whether an item's id is made of its content, so that equal ids are equal items
            whatever the task is called.
        notes: what was chosen or is missing, in sentences.
    """

    path: Path
    kind: str
    label: str
    rows: pd.DataFrame
    content_ids: bool = False
    notes: tuple[str, ...] = ()

    @property
    def tasks(self) -> list[str]:
        """Names, sorted."""
        return sorted(self.rows["task"].unique())

    def __repr__(self) -> str:
        metrics = ", ".join(self.rows["metric"].unique())
        return (
            f"{self.kind} {self.path}: {len(self.rows)} scores ({metrics}) of "
            f"{len(self.tasks)} task(s)"
        )


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame with `COLUMNS`."""
    import pandas as pd

    defaults = {"shots": 0, "instruction": OWN, "replicate": 0, "method": "text"}
    defaults |= {"target": "", "prompt": ""}
    filled = [defaults | {k: v for k, v in row.items() if v is not None} for row in rows]
    frame = pd.DataFrame(filled, columns=list(COLUMNS))
    return frame.astype({"score": "float64", "shots": "int64", "replicate": "int64"})


def choose_metric(
    there: Sequence[str], wanted: Sequence[str], *, where: str, what: str = "metric"
) -> str | None:
    """The metric to use of those that are there.

    A wanted name also fits what it begins: `exact_match` fits `exact_match,strict-match`.

    Returns:
        The first wanted one that is there; None if some are wanted and none of them is.

    Raises:
        UserError: none is wanted and there are several, a name fits several, or there is none.
    """
    if not there:
        raise UserError(f"{where}: no {what} whose values are numbers")
    listed = ", ".join(there)
    if not wanted:
        if len(there) == 1:
            return there[0]
        raise UserError(f"{where} has several {what}s; choose with --metric: {listed}")
    for name in wanted:
        if name in there:
            return name
        fitting = [t for t in there if t.startswith((f"{name},", f"{name}/"))]
        if len(fitting) > 1:
            raise UserError(
                f"{where}: {what} '{name}' is there in several forms; choose with --metric: "
                f"{', '.join(fitting)}"
            )
        if fitting:
            return fitting[0]
    return None


def no_such_metric(there: Iterable[str], wanted: Sequence[str], *, where: str) -> UserError:
    """The error for a metric that no task has."""
    known = list(dict.fromkeys(there))
    near = did_you_mean(wanted[0], known)
    return UserError(f"{where}: no metric '{wanted[0]}'{near}; there are: {', '.join(known)}")


def as_share(value: float, *, metric: str, where: str) -> float:
    """A value of a metric, checked to lie in [0, 1]; NaN stays NaN.

    Raises:
        UserError: it does not, so the metric is none that can be compared here.
    """
    if math.isnan(value) or 0 <= value <= 1:
        return float(value)
    raise UserError(
        f"{where}: metric '{metric}' has the value {value:g}; scores must lie in [0, 1], higher "
        "is better. Choose another with --metric"
    )


def newest(dated: Iterable[tuple[str, str, Path]]) -> tuple[list[Path], list[str]]:
    """The newest file of each task, and a note for each task that has older ones.

    Args:
        dated: task, date in a form that sorts, file.
    """
    by_task: dict[str, list[tuple[str, Path]]] = {}
    for task, date, path in dated:
        by_task.setdefault(task, []).append((date, path))
    files: list[Path] = []
    notes: list[str] = []
    for task, found in sorted(by_task.items()):
        found.sort()
        files.append(found[-1][1])
        if len(found) > 1:
            notes.append(f"{task}: the newest of {len(found)} logs was read, {found[-1][1].name}.")
    return files, notes
