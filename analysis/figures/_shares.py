"""Shares of word importance: one dot and interval a task, beside the share of the words."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from promptlab.analysis import style
from promptlab.analysis.figures import _frames as frames
from promptlab.analysis.figures import _marks as marks
from promptlab.errors import UserError

__all__ = ["shares"]

_ALL = "*"


@style.styled
def shares(
    table: pd.DataFrame,
    *,
    model: str | None = None,
    measure: str | None = None,
    condition: str | None = None,
    group: str | None = None,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The share of one group of words, task by task, with intervals.

    Filled dots are the share of the importance, open ones the share of the words, which is what an
    even spread would give. Where the table has one task and several conditions, these are the
    lines.

    Args:
        table: of `promptlab.analysis.word_shares` or `positive_shares`.
        model: to draw; needed when the table has several.
        measure: likewise.
        condition: likewise, unless there is one task.
        group: likewise.
        threshold: a share to mark with a line.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no such rows, or several panels.
    """
    rows = table
    asked = {"model": model, "measure": measure, "condition": condition, "group": group}
    for column, value in asked.items():
        if value is not None:
            rows = rows[rows[column] == value]
    if rows.empty:
        raise UserError("no share of word importance to draw")
    by = "condition" if rows["condition"].nunique() > 1 and len(set(rows["task"])) == 1 else "task"
    frames.one_panel(rows, [c for c in asked if c != by])
    lines = _lines(rows, by)
    if ax is None:
        ax = style.new_axes(style.DOUBLE, 1.1 + 0.19 * (lines[-1].y + 1))
    marks.rows_on_y(ax, lines)
    found = frames.records(rows, by)
    shown: dict[str, dict[str, str]] = {"share": {}, "interval": {}, "of words": {}}
    color = style.VERDICT_COLORS["better"]
    for line in lines:
        if not line.key:
            continue
        row = found[line.key]
        marks.whisker(ax, line.y, row["lower"], row["upper"], 2.0, color)
        ax.plot(row["share_of_words"], line.y, "o", ms=4, mfc="white", mec=style.MUTED, zorder=4)
        ax.plot(row["share"], line.y, "o", ms=4, color=color, zorder=5)
        shown["share"][line.key] = f"{100 * row['share']:.0f} %"
        ends = (row["lower"], row["upper"])
        shown["interval"][line.key] = (
            "none" if any(e != e for e in ends) else f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f}"
        )
        shown["of words"][line.key] = f"{100 * row['share_of_words']:.0f} %"
    marks.columns_right(ax, lines, shown)
    if threshold is not None:
        ax.axvline(threshold, color=style.INK, lw=0.6, ls=(0, (4, 3)))
    ax.set_xlim(-0.02, 1.02)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    first = rows.iloc[0]
    ax.set_xlabel(f"Share of {first['group']} words in the importance")
    marks.heading(ax, lines, f"{frames.shorten(str(first['model']), 48)}, {first['measure']}")
    marks.legend_below(
        ax,
        [
            Line2D([], [], marker="o", ls="-", color=color, ms=4, label="share of the importance"),
            Line2D([], [], marker="o", ls="", mfc="white", mec=style.MUTED, ms=4,
                   label="share of the words"),
        ],
    )  # fmt: skip
    return ax


def _lines(rows: pd.DataFrame, by: str) -> list[frames.Line]:
    keys = [str(key) for key in dict.fromkeys(rows[by])]
    if by == "condition":
        ordered = sorted(keys, key=frames.natural)
        return [frames.Line(float(i), key, key) for i, key in enumerate(ordered)]
    lines = frames.by_suite([key for key in keys if key != _ALL] or keys)
    if _ALL in keys and len(keys) > 1:
        lines = [*lines, frames.Line(lines[-1].y + 1.35, "all tasks", _ALL)]
    return lines
