"""The report: one page, its tables as CSV and LaTeX, its figures as PDF, SVG and PNG."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from promptlab.analysis import figures, style
from promptlab.errors import UserError
from promptlab.report import pictures, tables
from promptlab.report.context import baseline_table, context
from promptlab.report.findings import cell_losses, panel_name
from promptlab.report.inputs import Panel, Results, gather
from promptlab.report.kinds import file_name, heading
from promptlab.report.numbers import typeset
from promptlab.report.race import RaceTables, race_section, write_race_tables
from promptlab.report.tex import tex
from promptlab.report.wordings import wording_rows

__all__ = ["nice", "rendered", "write_report"]


def write_report(
    folder: Path,
    *,
    scores: pd.DataFrame,
    contrasts: pd.DataFrame,
    best: pd.DataFrame | None = None,
    conditions: pd.DataFrame | None = None,
    tasks: pd.DataFrame | None = None,
    sensitivity: pd.DataFrame | None = None,
    manifest: Mapping[str, Any] | None = None,
    examples: pd.DataFrame | None = None,
    wordings: pd.DataFrame | None = None,
    race: RaceTables | None = None,
) -> Path:
    """Write `index.html`, `tables/` and `figures/` into a folder.

    The page needs nothing but itself: styles and figures are in it, and there is no script. The
    same tables and manifest give the same bytes.

    Args:
        folder: made if absent; files of an earlier report in it are replaced.
        scores: the scores table.
        contrasts: the contrasts table.
        best: the best-of-stimuli table.
        conditions: condition, method, valence, library, text, matched_to.
        tasks: task, low, high.
        sensitivity: as `promptlab.analysis.protocol_sensitivity` returns it.
        manifest: how the run was made; every key is optional (see `promptlab.report.method`).
        examples: items that moved: model, shots, condition, direction (`gained` or `lost`), task,
            item_id, input, answer_baseline, answer, and optionally expected and instruction.
        wordings: as `promptlab.analysis.wording_sensitivity` returns it.
        race: what a race left behind, where the design was one.

    Returns:
        Path of the page.

    Raises:
        UserError: nothing to report, or the folder cannot be written to.
    """
    results = gather(
        scores=scores,
        contrasts=contrasts,
        best=best,
        conditions=conditions,
        tasks=tasks,
        sensitivity=sensitivity,
        manifest=manifest,
        examples=examples,
        wordings=wordings,
    )
    if not results.panels:
        raise UserError("there is nothing to report: the table has no contrasts over tasks")
    folder = Path(folder)
    try:
        for name in ("tables", "figures"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(parents=True)
        drawn = _draw_all(results, folder / "figures")
        _write_tables(results, folder / "tables")
        section = race_section(race, folder / "figures") if race else None
        if race:
            write_race_tables(race, folder / "tables")
        page = folder / "index.html"
        text = rendered("report.html.j2", context(results, drawn) | {"race": section})
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"cannot write the report: {where}: {error.strerror}") from None
    return page


def _draw_all(results: Results, folder: Path) -> list[tuple[pictures.Picture, dict[str, Any]]]:
    drawn = []
    for picture in pictures.pictures(results):
        svg = pictures.save(style.figure_of(picture.axes), folder / picture.name)
        shown = {
            "id": picture.name,
            "file": picture.name,
            "caption": picture.caption,
            "svg": Markup(pictures.inline_svg(svg, picture.name, picture.alt)),
        }
        drawn.append((picture, shown))
    return drawn


def _write_tables(results: Results, folder: Path) -> None:
    """All numbers as CSV; what the page shows as LaTeX, a file for each panel."""
    primary = results.scores[results.scores["primary"].astype(bool)]
    frames = {
        "contrasts": _in_order([f for f in (results.contrasts, results.named) if len(f)]),
        "best": results.best,
        "sensitivity": results.sensitivity,
        "wordings": results.wordings,
        "conditions": results.conditions,
        "losses": cell_losses(primary),
        "baseline": _stacked(results, _first_panels(results), _baseline_frame),
    }
    for name, frame in frames.items():
        if len(frame):
            frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    for names, panels, builders in (
        (pictures.panel_stems(results), results.panels, _PANEL_TABLES | _kinds(results)),
        (pictures.place_stems(results), _first_panels(results), _PLACE_TABLES),
    ):
        for stem, panel in zip(names, panels, strict=True):
            for kind, (title, build) in builders.items():
                table = build(results, panel)
                if not table.rows:
                    continue
                caption = f"{title}: {panel_name(results, panel)}."
                text = tex(table, caption=caption, label=f"tab:{kind}{stem}")
                (folder / f"{kind}{stem}.tex").write_text(text, encoding="utf-8")


def _in_order(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts).sort_index()


def _first_panels(results: Results) -> list[Panel]:
    """One panel of each model and number of shots."""
    return [
        next(p for p in results.panels if (p.model, p.shots) == place) for place in results.places
    ]


def _stacked(
    results: Results,
    panels: Sequence[Panel],
    build: Callable[[Results, Panel], pd.DataFrame],
) -> pd.DataFrame:
    """The panels' tables below each other, with the model and the number of shots."""
    parts = []
    for panel in panels:
        frame = build(results, panel)
        frame.insert(0, "shots", panel.shots)
        frame.insert(0, "model", panel.model)
        parts.append(frame)
    parts = [p for p in parts if len(p)] or parts[:1]
    return pd.concat(parts, ignore_index=True)


def _baseline_frame(results: Results, panel: Panel) -> pd.DataFrame:
    if not results.has_baseline_scores(panel):
        return pd.DataFrame()
    return figures.baseline_table(
        results.scores,
        model=panel.model,
        shots=panel.shots,
        condition=results.baseline,
        alpha=results.alpha,
    )


def _kinds(results: Results) -> dict[str, tuple[str, Callable[[Results, Panel], tables.Table]]]:
    """File name, caption and builder of the table of every kind of contrast."""
    return {
        file_name(kinds): (heading(kinds), partial(_named_rows, kinds)) for kinds in results.kinds
    }


def _named_rows(kinds: Sequence[str], results: Results, panel: Panel) -> tables.Table:
    return tables.named_rows(results, panel, kinds)


_PANEL_TABLES = {
    "contrasts": ("Differences from the baseline", tables.macro_rows),
    "wordings": ("Wordings of the instruction", wording_rows),
}
_PLACE_TABLES = {
    "baseline": ("Score of the baseline", baseline_table),
    "best": ("Best stimulus per task", tables.best_rows),
    "sensitivity": ("Scoring protocols", tables.sensitivity_rows),
}


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """A template of this package as a page, with the style sheet in it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("promptlab.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["nice"] = nice
    environment.filters["typeset"] = typeset
    css = resources.files("promptlab.report").joinpath("report.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(**context, css=Markup(css))


def nice(text: str) -> str:
    """Keep a number and its unit, and an interval, on one line."""
    text = re.sub(r"\[[^\[\] ]+, [^\[\] ]+\]", lambda m: m[0].replace(" ", "\u00a0"), text)
    return re.sub(r"(?<=\d) (?=%|points?\b|tasks?\b|items?\b)", "\u00a0", text)
