"""The figures that a paper printed, each with its status and where it was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PUBLISHED_COLUMNS", "RECALLED", "read_published"]

PUBLISHED_COLUMNS = (
    *("table", "benchmark", "shots", "base", "row", "model", "quantity"),
    *("value", "unit", "status", "source"),
)
RECALLED = "UNCONFIRMED_RECALLED"
"""Status of a value that nobody has seen in a source; left out unless asked for."""
_STATUSES = ("CONFIRMED", "CONFIRMED_SECONDARY", RECALLED)


def read_published(path: Path, *, recalled: bool = False) -> pd.DataFrame:
    """Published values, columns `PUBLISHED_COLUMNS`.

    Args:
        path: CSV file of a recipe.
        recalled: keep values that were only recalled.

    Raises:
        UserError: no such file, a column is missing, or a value lacks its status or source.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, keep_default_na=False, dtype={"value": float})
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    lacking = [c for c in PUBLISHED_COLUMNS if c not in frame]
    if lacking:
        raise UserError(f"{path} has no column '{lacking[0]}'")
    bad = frame[~frame["status"].isin(_STATUSES) | (frame["source"].str.strip() == "")]
    if len(bad):
        line = int(bad.index[0]) + 2
        raise UserError(
            f"{path}, line {line}: a published value needs a source and one of the statuses "
            f"{', '.join(_STATUSES)}"
        )
    kept = frame if recalled else frame[frame["status"] != RECALLED]
    return kept[list(PUBLISHED_COLUMNS)].reset_index(drop=True)
