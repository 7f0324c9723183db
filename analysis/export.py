"""Tables for people: a contrasts table in points with intervals, as CSV and as LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.contrast_words import points
from promptlab.analysis.results import format_p
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["latex", "printable", "write_table"]


def printable(contrasts: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """A contrasts table as text: points, intervals in brackets, p values; one row a contrast.

    Columns that hold one value throughout (one model, one protocol) are left out.
    """
    import pandas as pd

    rows = contrasts.to_dict("records")
    level = f"{100 * (1 - alpha):g} % interval"
    out = pd.DataFrame(
        {
            "Model": [r["model"] for r in rows],
            "Shots": [r["shots"] for r in rows],
            "Protocol": [r["protocol"] for r in rows],
            "Task": ["all" if r["task"] == "*" else r["task"] for r in rows],
            "Condition": [r["condition"] for r in rows],
            "Against": [r["baseline"] for r in rows],
            "Tasks": [r["n_tasks"] for r in rows],
            "Items": [r["n_items"] for r in rows],
            "Baseline": [points(r["mean_baseline"], sign=False) for r in rows],
            "Difference": [points(r["difference"]) for r in rows],
            level: [_interval(r["lower"], r["upper"]) for r in rows],
            "p": [_p(r["pvalue"]) for r in rows],
            "p adjusted": [_p(r["p_adjusted"]) for r in rows],
            "Relative gain": [_relative(r) for r in rows],
            "Detectable": [points(r["detectable"], sign=False) for r in rows],
            "Verdict": [r["verdict"] for r in rows],
        }
    )
    seldom = ("Model", "Shots", "Protocol", "Task", "Against")
    dull = [c for c in seldom if out[c].nunique() < 2]
    return out.drop(columns=dull)


def _interval(lower: float, upper: float) -> str:
    if np.isnan(lower) or np.isnan(upper):
        return "none"
    return f"[{points(lower)}, {points(upper)}]"


def _p(value: float) -> str:
    return "none" if np.isnan(value) else format_p(value).removeprefix("p = ").removeprefix("p ")


def _relative(row: Mapping[Any, Any]) -> str:
    gain, note = row["relative_gain"], row["relative_note"]
    if np.isnan(gain):
        return str(note) or "undefined"
    shown = f"{100 * gain:+.1f} %"
    if np.isfinite(row["relative_lower"]):
        shown += f" [{100 * row['relative_lower']:+.1f}, {100 * row['relative_upper']:+.1f}]"
    return f"{shown} ({note})" if note else shown


def latex(frame: pd.DataFrame, *, caption: str = "", label: str = "", digits: int = 3) -> str:
    """A table in LaTeX with booktabs rules; every cell is escaped."""
    numeric = [
        np.issubdtype(t, np.number) if isinstance(t, np.dtype) else False for t in frame.dtypes
    ]
    text: str = frame.to_latex(
        index=False,
        escape=True,
        caption=caption or None,
        label=label or None,
        na_rep="--",
        float_format=f"%.{digits}f",
        column_format="".join("r" if n else "l" for n in numeric),
        position="htbp" if caption or label else None,
    )
    return text


def write_table(
    frame: pd.DataFrame, path: Path | str, *, caption: str = "", label: str = ""
) -> Path:
    """Write a table as `.csv`, `.tsv`, `.tex` or `.parquet`, by the file's ending.

    Raises:
        UserError: another ending, or a folder that cannot be written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tex":
            path.write_text(latex(frame, caption=caption, label=label), encoding="utf-8")
        elif path.suffix in (".csv", ".tsv"):
            frame.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
        elif path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        else:
            raise UserError(f"{path}: a table is written as .csv, .tsv, .tex or .parquet")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    return path
