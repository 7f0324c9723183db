"""Marks that several figures draw: lines of labels, columns of numbers, legends below."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from promptlab.analysis import style
from promptlab.analysis.figures import _frames as frames

__all__ = [
    "columns_right",
    "heading",
    "interval",
    "legend_below",
    "rows_on_y",
    "signed",
    "whisker",
]


TITLE = 8.0
"""Font size of a panel's title."""


def signed(value: float, digits: int = 1) -> str:
    """`+1.2`, `−0.4`, `0.0`; a dash when undefined."""
    if not np.isfinite(value):
        return "–"
    value = round(value + math.copysign(1e-9, value), digits)  # halves do not depend on noise
    return f"{value:+.{digits}f}".replace("-", "−") if value else f"{0:.{digits}f}"


def interval(difference: float, lower: float, upper: float) -> str:
    """`+1.2 [−0.4, +2.8]` in points from score units."""
    text = signed(100 * difference)
    if np.isfinite(lower) and np.isfinite(upper):
        text += f" [{signed(100 * lower)}, {signed(100 * upper)}]"
    return text


def label_size(lines: Sequence[frames.Line]) -> float:
    """Font size of the labels: smaller when there are many."""
    return 7.0 if len(lines) <= 30 else 6.0


def rows_on_y(
    ax: Axes, lines: Sequence[frames.Line], texts: Mapping[str, str] | None = None
) -> None:
    """Lines from top to bottom: bold headings, then ids, with their sentences in grey if given."""
    size = label_size(lines)
    ax.set_ylim(lines[-1].y + 0.7, lines[0].y - 0.7)
    ax.spines["left"].set_visible(False)
    ax.set_yticks([])
    names, notes, wide, gap, left = _measure(lines, texts)
    for line in lines:
        if not line.key:
            _beside(ax, frames.shorten(line.text, 40), line.y, -left, size, weight="bold")
            continue
        _beside(ax, names[line.key], line.y, -left, size)
        if notes[line.key]:
            _beside(ax, notes[line.key], line.y, wide + gap - left, size - 0.5, color=style.MUTED)


def _measure(
    lines: Sequence[frames.Line], texts: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[str, str], float, float, float]:
    """Labels and notes by key, the width of the labels, the gap, and the width of both (points)."""
    size = label_size(lines)
    names = {n.key: frames.shorten(n.text, 34) for n in lines if n.key}
    notes = frames.shorten_apart({k: (texts or {}).get(k, "") for k in names}, 40)
    wide = style.text_width(names.values(), size)
    gap = 8.0 if any(notes.values()) else 0.0
    left = wide + gap + style.text_width(notes.values(), size - 0.5)
    headings = [frames.shorten(n.text, 40) for n in lines if not n.key]
    left = max(left, style.text_width(headings, size, "bold")) + 6.0
    return names, notes, wide, gap, left


def heading(
    ax: Axes,
    lines: Sequence[frames.Line],
    text: str,
    texts: Mapping[str, str] | None = None,
    pad: float = 8.0,
) -> None:
    """The panel's title, `pad` points above the axes and flush with the labels."""
    ax.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(-_measure(lines, texts)[-1], pad),
        textcoords="offset points",
        ha="left",
        va="bottom",
        annotation_clip=False,
        fontsize=TITLE,
        weight="bold",
    )


def columns_right(
    ax: Axes,
    lines: Sequence[frames.Line],
    columns: Mapping[str, Mapping[str, str]],
    strong: Collection[str] = (),
) -> None:
    """Columns of text right of the axes, aligned at their right ends, with headings on top.

    Lines whose key is in `strong` are set in bold.
    """
    size = label_size(lines)
    right = 0.0
    top = lines[0].y
    if lines[0].key:  # no heading on whose line the columns' own could stand
        top -= 1.0
        ax.set_ylim(top=top - 0.5)
    weight = "bold" if strong else "normal"
    for heading, cells in columns.items():
        right += 10.0 + style.text_width([heading, *cells.values()], size, weight)
        _beside(ax, heading, top, right, size, side=1, ha="right", color=style.MUTED)
        for line in lines:
            if line.key in cells:
                bold = "bold" if line.key in strong else "normal"
                _beside(ax, cells[line.key], line.y, right, size, side=1, ha="right", weight=bold)


def _beside(
    ax: Axes, text: str, y: float, points: float, size: float, side: int = 0, **kwargs: Any
) -> None:
    """Text at height `y`, `points` away from the left (0) or right (1) side of the axes."""
    ax.annotate(
        text,
        (side, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(points, 0),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
        fontsize=size,
        **{"ha": "left", **kwargs},
    )


def legend_below(ax: Axes, handles: Sequence[Any], points: float = 30.0, columns: int = 0) -> None:
    """A legend in one line, `points` below the axes, wherever their figure's edge is."""
    shift = ScaledTranslation(0, -points / 72, style.figure_of(ax).dpi_scale_trans)
    ax.legend(
        handles=list(handles),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=ax.transAxes + shift,
        ncol=columns or len(handles),
        columnspacing=1.4,
        handletextpad=0.5,
        borderaxespad=0.0,
    )


def whisker(
    ax: Axes, y: float, low: float, high: float, limit: float, color: str, width: float = 1.1
) -> None:
    """An interval as a line; an end beyond `limit` becomes an arrow at the edge."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return
    ax.hlines(y, max(low, -limit), min(high, limit), color=color, lw=width, zorder=3)
    for beyond, edge, arrow in ((low < -limit, -limit, "<"), (high > limit, limit, ">")):
        if beyond:
            ax.plot(0.985 * edge, y, arrow, color=color, ms=3.2, zorder=4)
