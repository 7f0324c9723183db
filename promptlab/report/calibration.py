"""The calibration and rehearsals on disk: a page of Markdown, the table, and figures."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["write_calibration", "write_rehearsal"]

_ERRORS = ("single", "best_of", "one_task", "race")
_COVERAGE = ("exact", "over_tasks", "relative")


def write_calibration(
    table: pd.DataFrame, folder: Path, *, command: str, processes: int, date: str = ""
) -> Path:
    """Write `calibration.md`, and beside it a folder `calibration` with the table and figures.

    Args:
        table: as `promptlab.analysis.calibration.calibrate` returns it.
        folder: is made if it is not there.
        command: what was typed.
        processes: that shared the work.
        date: of the run; today unless given.

    Returns:
        The page.

    Raises:
        UserError: the folder cannot be written to.
    """
    from promptlab.analysis.calibration.page import markdown

    try:
        files = folder / "calibration"
        files.mkdir(parents=True, exist_ok=True)
        shown = _figures(table, files)
        table.to_csv(
            files / "calibration.csv", index=False, lineterminator="\n", float_format="%.6g"
        )
        text = markdown(
            table,
            command=command,
            machine=_machine(processes),
            date=date or datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            figures=shown,
        )
        page = folder / "calibration.md"
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    return page


def write_rehearsal(
    table: pd.DataFrame, sentences: Sequence[str], folder: Path, *, name: str
) -> Path:
    """Write `rehearsal.md` and `rehearsal.csv`; returns the page.

    Raises:
        UserError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table.to_csv(
            folder / "rehearsal.csv", index=False, lineterminator="\n", float_format="%.6g"
        )
        page = folder / "rehearsal.md"
        lines = [f"# {name}, rehearsed", "", *(f"- {s.rstrip('.')}." for s in sentences), ""]
        page.write_text("\n".join(lines), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    return page


def _figures(table: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Draw what the table has; lines of Markdown by part."""
    from promptlab.analysis.calibration import figures
    from promptlab.analysis.style import figure_of
    from promptlab.report.pictures import save

    wanted: list[tuple[str, str, str, Callable[..., Axes], dict[str, Any]]] = [
        ("", "false_gains", "Gains although nothing works", figures.false_gains, {})
    ]
    for part in _ERRORS:
        what = (part, f"error_rates_{part}", "Share of experiments with a false claim")
        wanted.append((*what, figures.error_rates, {"part": part}))
    for part in _COVERAGE:
        what = (part, f"coverage_{part}", "Share of intervals that hold the truth")
        wanted.append((*what, figures.coverage, {"part": part}))
    shown: dict[str, str] = {}
    for part, name, words, draw, options in wanted:
        if (part or "best_of") not in set(table["part"]):
            continue
        save(figure_of(draw(table, **options)), folder / name)
        shown[part] = f"![{words}]({folder.name}/{name}.svg)"
    return shown


def _machine(processes: int) -> str:
    shared = "one process" if processes == 1 else f"{processes} processes"
    return (
        f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores, {shared}, "
        f"Python {platform.python_version()}"
    )
