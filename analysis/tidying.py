"""Per-item tables as people have them: words for scores, percentages, one column a condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Kind", "lengthen", "table_kind", "tidy_scores", "wide_columns"]

Kind = Literal["items", "summary", "wide"]
"""One row an item and condition; one row a task and condition; one column a condition."""

ITEM_NAMES = ("item_id", "item", "id", "question_id", "example", "doc_id", "sample_id")
CONDITION_NAMES = ("condition", "pnum", "stimulus", "prompt", "prompt_id", "variant")
MEAN_NAMES = ("mean", "mean_score", "accuracy", "acc", "average", "avg", "score")
_ITEM_SCORES = ("score", "correct", "accuracy", "value")
_ABOUT = ("task", "model", "shots", "replicate", "protocol", "metric", "primary", "method")
_WORDS = {
    **dict.fromkeys(("true", "yes", "correct", "right"), 1.0),
    **dict.fromkeys(("false", "no", "incorrect", "wrong"), 0.0),
}


def table_kind(frame: pd.DataFrame, *, source: str = "the table") -> Kind:
    """What a table holds, by the names of its columns.

    Raises:
        UserError: it is neither kind, or may be a wide one; says what each kind needs.
    """
    columns = {str(c).lower() for c in frame.columns}

    def has(*names: str) -> bool:
        return bool(columns & set(names))

    if has(*ITEM_NAMES):
        wide = wide_columns(frame)
        if not has(*CONDITION_NAMES) and not has(*_ITEM_SCORES) and len(wide) > 1:
            raise UserError(
                f"{source} has no columns 'condition' and 'score'; if each of these is the score "
                f"under one condition, add --kind wide: {', '.join(wide[:8])}"
                + (", ..." if len(wide) > 8 else "")
            )
        return "items"
    if has("task") and has(*CONDITION_NAMES) and has(*MEAN_NAMES):
        return "summary"
    raise UserError(
        f"{source}: neither scores of items nor a summary. A table with one row an item needs "
        "item_id, condition and score; one with a row for each task and condition needs task, "
        "condition and mean, and if possible sd and n (of the runs). Found: "
        f"{', '.join(map(str, frame.columns))}. Other names: --column condition=YOURS"
    )


def wide_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of a wide table that hold scores: all that say nothing else."""
    import pandas as pd

    about = {*ITEM_NAMES, *_ABOUT, "status"}
    out = []
    for column in frame.columns:
        if str(column).lower() in about:
            continue
        values = _words(frame[column])
        if pd.to_numeric(values, errors="coerce").notna().eq(values.notna()).all():
            out.append(str(column))
    return out


def lengthen(
    frame: pd.DataFrame, conditions: Sequence[str] = (), *, source: str = "the table"
) -> pd.DataFrame:
    """A wide table (one column a condition) as one row an item and condition.

    Args:
        frame: with a column item_id; task, model, shots and replicate are kept.
        conditions: the columns that hold scores; all columns of numbers unless given.
        source: named in messages.

    Raises:
        UserError: no item_id, fewer than two conditions, or a column that is not there.
    """
    names = [str(c) for c in frame.columns]
    if "item_id" not in names:
        raise UserError(
            f"{source}: a wide table needs a column 'item_id'; found: {', '.join(names)}"
        )
    wanted = list(conditions) or wide_columns(frame)
    absent = [c for c in wanted if c not in names]
    if absent or len(wanted) < 2:
        what = f"no column '{absent[0]}'" if absent else "fewer than two columns of scores"
        raise UserError(f"{source}: {what}; found: {', '.join(names)}")
    kept = ["item_id", *(c for c in _ABOUT if c in names and c not in wanted)]
    values = frame[wanted].apply(_words)
    long = frame[kept].join(values).melt(kept, wanted, var_name="condition", value_name="score")
    return long


def tidy_scores(frame: pd.DataFrame, *, percent: bool = False) -> pd.DataFrame:
    """Scores as numbers in [0, 1]: true and false, yes and no, correct and wrong, `85 %`.

    Args:
        frame: with a column score.
        percent: the numbers are percentages.
    """
    import pandas as pd

    if "score" not in frame:
        return frame
    scores = _words(frame["score"])
    if not pd.api.types.is_numeric_dtype(scores):
        text = scores.astype("str").str.strip()
        marked = text.str.endswith("%") & scores.notna()
        if marked.any():
            shares = pd.to_numeric(text.str.rstrip("% "), errors="coerce") / 100
            scores = scores.astype(object).where(~marked, shares)
    if percent:
        numbers = pd.to_numeric(scores, errors="coerce")
        scores = scores.where(numbers.isna(), numbers / 100)
    return frame.assign(score=scores)


def _words(values: pd.Series) -> pd.Series:
    """A column of true and false, or words like them, as 1 and 0; any other column as it is."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        return values.astype("float64")
    if pd.api.types.is_numeric_dtype(values):
        return values
    known = values.astype("str").str.strip().str.lower().map(_WORDS)
    if known.isna().sum() > values.isna().sum():  # a stray word among numbers is a mistake
        return values
    return known
