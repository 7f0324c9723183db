"""Does the conclusion depend on how answers are scored?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from promptlab.analysis import style
from promptlab.analysis.contrast_kinds import against_original
from promptlab.analysis.figures import _frames as frames
from promptlab.analysis.figures import _marks as marks
from promptlab.errors import UserError

__all__ = ["sensitivity"]

SIDES = (("reference_", -0.17, "#0072B2", "o"), ("", 0.17, "#E69F00", "D"))
"""Prefix of the columns, shift of the line, colour and marker of either protocol."""


@style.styled
def sensitivity(
    table: pd.DataFrame,
    *,
    model: str | None = None,
    shots: int | None = None,
    protocol: str | None = None,
    baseline: str = "the baseline",
    ax: Axes | None = None,
) -> Axes:
    """Difference of every condition under two ways of scoring the same answers to the same tasks.

    A long grey link means that the condition changes the form of the answers. Where the verdict
    depends on the protocol, the column on the right names both verdicts in bold.

    Args:
        table: as `protocol_sensitivity` returns it.
        model: panel to draw; needed when the table has several.
        shots: likewise.
        protocol: the second protocol; likewise.
        baseline: its name, for the axis.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no such panel, or several, or only one protocol.
    """
    rows = against_original(table)
    for column, value in (("model", model), ("shots", shots), ("protocol", protocol)):
        if value is not None:
            rows = rows[rows[column] == value]
    if rows.empty:
        raise UserError("there is no second scoring protocol to compare with")
    frames.one_panel(rows, ["model", "shots", "protocol"])
    lines = frames.by_valence(rows)
    by_id = frames.records(rows)
    if ax is None:
        step = 0.215 if len(lines) <= 30 else 0.17
        ax = style.new_axes(style.DOUBLE, 1.05 + step * (lines[-1].y + 1))
    columns = [f"{prefix}{c}" for prefix, *_ in SIDES for c in ("difference", "lower", "upper")]
    ends = 100 * rows[columns].abs().to_numpy(dtype=float)
    limit = frames.reach(ends.ravel(), float(np.nanmax(ends[:, ::3], initial=0.0)))
    ax.axvline(0, color=style.INK, lw=0.6, zorder=1)
    for line in lines:
        if line.key:
            _draw(ax, by_id[line.key], line.y, limit)
    ax.set_xlim(-limit, limit)
    marks.rows_on_y(ax, lines)
    verdicts = {
        k: f"{r['reference_verdict']} → {r['verdict']}" if r["flips"] else str(r["verdict"])
        for k, r in by_id.items()
    }
    tasks = {k: f"{r['n_tasks']:.0f}" for k, r in by_id.items()}
    strong = {k for k, r in by_id.items() if r["flips"]}
    marks.columns_right(ax, lines, {"verdict": verdicts, "tasks": tasks}, strong)
    ax.set_xlabel(f"Difference from {frames.shorten(baseline, 30)} (points)")
    marks.heading(ax, lines, frames.title(rows))
    names = (f"{rows['reference'].iloc[0]} (primary)", str(rows["protocol"].iloc[0]))
    handles = [
        Line2D([], [], color=color, marker=marker, ms=3.6, label=name)
        for (_, _, color, marker), name in zip(SIDES, names, strict=True)
    ]
    marks.legend_below(ax, handles)
    return ax


def _draw(ax: Axes, row: Mapping[Any, Any], y: float, limit: float) -> None:
    points = [(100 * float(row[f"{prefix}difference"]), y + dy) for prefix, dy, _, _ in SIDES]
    ax.plot(*zip(*points, strict=True), color="#b9b9b9", lw=1.4, zorder=2, solid_capstyle="butt")
    for (prefix, dy, color, marker), (x, _) in zip(SIDES, points, strict=True):
        ends = 100 * float(row[f"{prefix}lower"]), 100 * float(row[f"{prefix}upper"])
        marks.whisker(ax, y + dy, *ends, limit, color, width=1.0)
        if np.isfinite(x):
            ax.plot(x, y + dy, marker, ms=3.6, color=color, zorder=4)
