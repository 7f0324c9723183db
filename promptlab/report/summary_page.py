"""The report of a summary: one page, its tables and figures, and what cannot be said from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from promptlab.analysis import figures, style
from promptlab.analysis import summary_words as words
from promptlab.errors import UserError
from promptlab.report import numbers as say
from promptlab.report import pictures
from promptlab.report.page import rendered
from promptlab.report.summary_rows import (
    cell_rows,
    gain,
    level_of,
    overall_rows,
    part_title,
    summary_rows,
)
from promptlab.report.tables import Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from promptlab.analysis.summary import SummaryAnalysis

__all__ = ["write_summary_report"]


def write_summary_report(
    folder: Path,
    found: SummaryAnalysis,
    *,
    name: str = "Summary",
    conditions: pd.DataFrame | None = None,
) -> Path:
    """Write `index.html`, `tables/` and `figures/` into a folder.

    Args:
        folder: made if absent; files of an earlier report in it are replaced.
        found: the analysis.
        name: heading of the page.
        conditions: condition, valence and text of those that are known.

    Returns:
        Path of the page.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder = Path(folder)
    contrasts = _with_valence(found.contrasts, conditions)
    try:
        for part in ("tables", "figures"):
            shutil.rmtree(folder / part, ignore_errors=True)
            (folder / part).mkdir(parents=True)
        places = _places(found, contrasts, conditions, folder / "figures")
        for stem, frame in {
            "contrasts": contrasts,
            "overall": found.overall,
            "missing": found.missing,
            "left_out": found.left_out,
            "summary": found.table,
        }.items():
            if len(frame):
                frame.to_csv(folder / "tables" / f"{stem}.csv", index=False, lineterminator="\n")
        page = folder / "index.html"
        text = rendered("summary.html.j2", _context(found, name, places, conditions))
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"cannot write the report: {where}: {error.strerror}") from None
    return page


def _with_valence(contrasts: pd.DataFrame, conditions: pd.DataFrame | None) -> pd.DataFrame:
    if conditions is None or conditions.empty:
        return contrasts
    valence = dict(zip(conditions["condition"], conditions["valence"], strict=True))
    return contrasts.assign(valence=[valence.get(c, "none") for c in contrasts["condition"]])


def _context(
    found: SummaryAnalysis,
    name: str,
    places: list[dict[str, Any]],
    conditions: pd.DataFrame | None,
) -> dict[str, Any]:
    first = [say.typeset(s) for s in words.overall_sentences(found)]
    said = [say.typeset(s) for s in words.limits(found)]
    can, cannot = "Can be said: ", "Cannot be said: "
    texts = [] if conditions is None else conditions.to_dict("records")
    return {
        "name": name,
        "meta": _meta(found),
        "notes": [say.typeset(s) for s in words.missing_sentences(found)],
        "lead": first[0],
        "found": first[1:],
        "conditions": [say.typeset(s) for s in words.condition_sentences(found)],
        "cells": [say.typeset(s) for s in words.cell_sentences(found)],
        "can": [_capital(s.removeprefix(can)) for s in said if s.startswith(can)],
        "cannot": [_capital(s.removeprefix(cannot)) for s in said if s.startswith(cannot)],
        "overall": overall_rows(found),
        "places": places,
        "baseline": str(found.overall["baseline"].iloc[0]),
        "sentences": Table(
            ("Condition", "Sentence"), "ll", [Row((str(r["condition"]), r["text"])) for r in texts]
        ),
        "methods": _methods(found),
        "legend": _legend(found),
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _runs(found: SummaryAnalysis) -> str:
    least, most = found.overall["runs_least"].min(), found.overall["runs_most"].max()
    if pd.isna(least):
        return "number of runs unknown"
    span = say.count(least) if least == most else f"{say.count(least)} to {say.count(most)}"
    return f"means of {span} runs" if most > 1 else "one run each"


def _meta(found: SummaryAnalysis) -> str:
    row = found.overall.iloc[0]
    parts = ["summary data: no per-item scores"]
    if len(found.overall) > 1:
        parts.append(say.plural(len(found.overall), "part"))
    parts += [
        say.plural(int(row["n_tasks"]), "task"),
        f"{say.plural(int(row['n_conditions']), 'condition')} against {row['baseline']}",
        _runs(found),
    ]
    return " · ".join(parts)


def _places(
    found: SummaryAnalysis,
    contrasts: pd.DataFrame,
    conditions: pd.DataFrame | None,
    folder: Path,
) -> list[dict[str, Any]]:
    """Figures and tables of every model and number of shots."""
    known = None if conditions is None or conditions.empty else conditions
    texts = {} if known is None else dict(zip(known["condition"], known["text"], strict=True))
    out = []
    for number, row in enumerate(found.overall.to_dict("records")):
        here: dict[str, Any] = {"model": str(row["model"]), "shots": int(row["shots"])}
        stem = f"_{number + 1}" if len(found.overall) > 1 else ""
        mine = contrasts[
            (contrasts["model"] == here["model"]) & (contrasts["shots"] == here["shots"])
        ]
        cells = mine[mine["level"] == "cell"]
        macro = mine[mine["level"] == "macro"]
        out.append(
            {
                "title": part_title(found, row),
                "macro": summary_rows(found, macro),
                "forest": _figure(
                    folder,
                    f"forest{stem}",
                    figures.forest(mine, **here, alpha=found.alpha, texts=texts),
                    f"Mean difference from {row['baseline']} over tasks with "
                    f"{level_of(found)} intervals ({macro['interval_method'].iloc[0]}). Filled "
                    f"markers: adjusted p at most {found.alpha:g}. The band is the equivalence "
                    "margin.",
                    "Forest plot: difference of every condition from the baseline",
                ),
                "heatmap": _figure(
                    folder,
                    f"heatmap{stem}",
                    figures.heatmap(mine, **here, alpha=found.alpha),
                    f"Difference from {row['baseline']} on every task, in points. Dots: the runs "
                    f"differ by more than runs of one prompt do (Welch, p at most {found.alpha:g} "
                    "after correction over all cells); a dot says nothing about other items.",
                    "Heat map: differences from the baseline by task and condition",
                ),
                "cells": cell_rows(found, cells),
            }
        )
    return out


def _figure(folder: Path, stem: str, axes: Axes, caption: str, alt: str) -> dict[str, Any]:
    svg = pictures.save(style.figure_of(axes), folder / stem)
    markup = Markup(pictures.inline_svg(svg, stem, alt))
    return {"id": stem, "file": stem, "caption": caption, "svg": markup}


def _legend(found: SummaryAnalysis) -> str:
    margin = found.contrasts["margin"].max()
    return (
        f"Better and worse: adjusted p at most {found.alpha:g}. Equivalent: the "
        f"{100 * (1 - 2 * found.alpha):g} % interval lies within ±{100 * margin:g} points. "
        "Inconclusive: the data show neither; that is not evidence that nothing changes."
    )


def _methods(found: SummaryAnalysis) -> list[str]:
    row = found.overall.iloc[0]
    out = [
        "Every task counts the same. "
        + (
            "Intervals are t intervals of the task differences; tests flip their signs, all "
            "conditions of a task together, and p values are adjusted by step-down max-T "
            "(Westfall and Young 1993)."
            if found.tasks == "random"
            else "Intervals and tests are Welch's, of the runs of these tasks, with "
            "Satterthwaite's degrees of freedom; p values are adjusted by Holm."
        ),
    ]
    if int(row["n_simulations"]):
        out.append(
            f"The null of the best condition per task: {say.count(row['n_simulations'])} simulated "
            f"experiments (seed {row['seed']}) in which all conditions of a task have one expected "
            "mean and differ by the noise of their runs, normal, with the SD pooled over the "
            "task's conditions. It assumes that the runs are independent and that all conditions "
            "saw the same items."
        )
    excluded = int(row["paper_excluded"])
    out.append(
        "Relative gains divide the means over tasks. The mean over tasks of best / baseline, as "
        f"the papers report it, would be {gain(row['paper_relative'])}"
        + (f" without {say.plural(excluded, 'task')} at 0" if excluded else "")
        + "; it is dominated by the tasks with the smallest baselines."
    )
    return out
