"""Does the conclusion depend on how the instruction is worded?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from promptlab.analysis import style
from promptlab.analysis.figures import _frames as frames
from promptlab.analysis.figures import _marks as marks
from promptlab.errors import UserError

__all__ = ["wordings"]

_DOT, _OWN, _MEAN = "#56B4E9", "#D55E00", "#0072B2"
_SPREAD = 0.32
"""Half of the height over which the dots of a line are spread, task by task."""


@style.styled
def wordings(
    table: pd.DataFrame,
    *,
    model: str | None = None,
    shots: int | None = None,
    protocol: str | None = None,
    baseline: str = "the baseline",
    ax: Axes | None = None,
) -> Axes:
    """Difference under every wording of every task (dots), and of all together, by condition.

    The dots of a task lie on a line of their own within the condition's; the instruction as the
    task card words it is a cross. The thick interval is for new items under these very wordings,
    the thin one also for other wordings and, where tasks are a sample, for other tasks.

    Args:
        table: as `wording_sensitivity` returns it.
        model: panel to draw; needed when the table has several.
        shots: likewise.
        protocol: likewise; of several the only primary one if None.
        baseline: its name, for the axis.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no such panel, or several.
    """
    rows = table
    for column, value in (("model", model), ("shots", shots), ("protocol", protocol)):
        if value is not None:
            rows = rows[rows[column] == value]
    if protocol is None and len(rows):
        rows = rows[rows["primary"].astype(bool)]
    if rows.empty:
        raise UserError(
            "no wordings were compared: there is one of each instruction, or a race chose the items"
        )
    frames.one_panel(rows, ["model", "shots", "protocol"])
    macro = rows[rows["level"] == "macro"]
    lines, by_id = frames.by_valence(macro), frames.records(macro)
    dots = rows[rows["level"] == "wording"]
    if ax is None:
        ax = style.new_axes(style.DOUBLE, 1.15 + 0.36 * (lines[-1].y + 1))
    tasks = sorted(dots["task"].unique(), key=frames.natural)
    shift = dict(zip(tasks, np.linspace(-_SPREAD, _SPREAD, len(tasks) + 2)[1:-1], strict=True))
    ends = {k: _ends(r) for k, r in by_id.items()}
    every = 100 * dots["difference"].to_numpy(dtype=float)
    limit = frames.reach(
        np.concatenate([every, *(np.asarray(e) for e in ends.values())]),
        float(np.nanmax(np.abs(100 * macro["difference"].to_numpy(dtype=float)), initial=0.0)),
    )
    limit = max(limit, 1.05 * float(np.abs(every).max(initial=0.0)))
    ax.axvline(0, color=style.INK, lw=0.6, zorder=1)
    for line in lines:
        if not line.key:
            continue
        mine = dots[dots["condition"] == line.key]
        x = 100 * mine["difference"].to_numpy(dtype=float)
        y = line.y + mine["task"].map(shift).to_numpy(dtype=float)
        own = (mine["instruction"] == "own").to_numpy()
        ax.plot(x[~own], y[~own], "o", ms=2.6, mew=0, color=_DOT, alpha=0.7, zorder=2)
        ax.plot(x[own], y[own], "x", ms=3.2, mew=0.9, color=_OWN, zorder=3)
        low, high, lowest, highest = ends[line.key]
        marks.whisker(ax, line.y, lowest, highest, limit, _MEAN, width=1.0)
        marks.whisker(ax, line.y, low, high, limit, _MEAN, width=2.6)
        ax.plot(100 * float(by_id[line.key]["difference"]), line.y, "D", ms=4.2, color=_MEAN,
                mec="white", mew=0.6, zorder=5)  # fmt: skip
    ax.set_xlim(-limit, limit)
    marks.rows_on_y(ax, lines)
    columns = {
        "verdict": {k: str(r["verdict"]) for k, r in by_id.items()},
        "wordings": {k: f"{r['n_wordings']:.0f}" for k, r in by_id.items()},
        "other sign": {k: f"{100 * r['opposite']:.0f} %" for k, r in by_id.items()},
    }
    marks.columns_right(ax, lines, columns, {k for k, r in by_id.items() if r["flips"]})
    ax.set_xlabel(f"Difference from {frames.shorten(baseline, 30)} (points)")
    marks.heading(ax, lines, frames.title(rows))
    marks.legend_below(ax, _legend(bool((dots["instruction"] == "own").any())))
    return ax


def _ends(row: dict[Any, Any]) -> tuple[float, float, float, float]:
    """Ends of the inner and the outer interval, in points."""
    outer = "tasks" if np.isfinite(row["tasks_lower"]) else "wordings"
    names = ("items_lower", "items_upper", f"{outer}_lower", f"{outer}_upper")
    low, high, lowest, highest = (100 * float(row[name]) for name in names)
    return low, high, lowest, highest


def _legend(own: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], ls="", marker="o", ms=2.6, color=_DOT, label="one wording of one task"),
        Line2D([], [], marker="D", ms=4.2, color=_MEAN, label="all, with intervals"),
    ]
    if own:
        cross = Line2D(
            [], [], ls="", marker="x", ms=3.2, color=_OWN, label="the card's own wording"
        )
        handles.insert(1, cross)
    return handles
