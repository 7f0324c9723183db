"""Heat map: task x condition differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from promptlab.analysis import style
from promptlab.analysis.figures import _frames as frames
from promptlab.analysis.figures import _marks as marks
from promptlab.analysis.shading import text_color

__all__ = ["heatmap"]

MEAN = "mean over tasks"
Cells = dict[tuple[str, str], float]
"""(task, condition) -> difference in points."""


@style.styled
def heatmap(
    contrasts: pd.DataFrame,
    *,
    model: str | None = None,
    shots: int | None = None,
    protocol: str | None = None,
    alpha: float = 0.05,
    ax: Axes | None = None,
) -> Axes:
    """Differences from the baseline in points, tasks down, conditions across.

    Colours are symmetric around 0; what lies beyond the scale has the colour of its end. A dot
    marks an adjusted p value of at most `alpha`, hatching a cell without a number. The last line is
    the mean over the cells of a column. Numbers are printed where they fit.

    Args:
        contrasts: the contrasts table.
        model: panel to draw; needed when the table has several.
        shots: likewise.
        protocol: scoring protocol; each task's primary one if None.
        alpha: level of the test.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no such panel, or several.
    """
    rows = frames.select(contrasts, "cell", model=model, shots=shots, protocol=protocol)
    across = frames.by_valence(rows)
    columns = _places(across)
    lines = frames.by_suite(rows["task"])
    values = {
        (str(t), str(c)): 100 * float(v)
        for t, c, v in zip(rows["task"], rows["condition"], rows["difference"], strict=True)
    }
    for condition in columns:
        column = [v for (_, c), v in values.items() if c == condition and np.isfinite(v)]
        values[MEAN, condition] = float(np.mean(column)) if column else math.nan
    bottom = lines[-1].y + 1.35
    lines = [*lines, frames.Line(bottom, MEAN, MEAN)]
    if ax is None:
        step = 0.19 if len(lines) <= 26 else 0.145
        name = style.text_width([frames.title(rows)], marks.TITLE, "bold") / 72 + 0.2
        width = min(style.DOUBLE, max(3.2 + 0.6 * len(columns), name))
        ax = style.new_axes(width, max(2.4, 1.5 + step * (bottom + 1)))

    scale = _scale(values)
    norm = Normalize(-scale, scale, clip=True)
    _cells(ax, values, columns, lines, norm)
    strong = rows[rows["p_adjusted"] <= alpha]
    marked = set(zip(strong["task"], strong["condition"], strict=True))
    _numbers(ax, values, columns, lines, marked, norm)

    marks.rows_on_y(ax, lines)
    _across(ax, across, columns, bottom)
    mappable = ScalarMappable(norm, style.DIVERGING)
    beyond = any(abs(v) > scale for v in values.values())
    bar = ax.figure.colorbar(
        mappable, ax=ax, shrink=min(1.0, 16 / (bottom + 1)), aspect=18, pad=0.015,
        extend="both" if beyond else "neither", anchor=(0.0, 1.0),
    )  # fmt: skip
    baseline = frames.shorten(str(rows["baseline"].iloc[0]), 24)
    label = f"Difference from {baseline} (points)" if bottom > 6 else "points"
    bar.set_label(label, size=6.5)
    bar.locator = MaxNLocator(nbins=8 if bottom > 6 else 4, integer=True)
    bar.update_ticks()
    bar.outline.set_visible(False)
    if bar.solids is not None:  # vector in every format, without seams
        bar.solids.set(rasterized=False, edgecolor="face")
    marks.heading(ax, lines, frames.title(rows), pad=20)
    gaps = any(
        not np.isfinite(values.get((n.key, c), math.nan)) for n in lines if n.key for c in columns
    )
    _legend(ax, columns, bool(marked), gaps, alpha)
    return ax


def _places(across: list[frames.Line]) -> dict[str, float]:
    """Condition -> x; the groups stand a little apart."""
    places: dict[str, float] = {}
    x, group = 0.0, None
    for line in across:
        if line.key:
            x += (0.35 if group not in (None, line.group) else 0.0) + (1.0 if places else 0.0)
            places[line.key], group = x, line.group
    return places


def _scale(cells: Cells) -> float:
    """End of the colour scale: covers 98 % of the cells, a round number of points."""
    values = np.abs(list(cells.values()))
    values = values[np.isfinite(values)]
    if not values.size:
        return 5.0
    reach = max(float(np.quantile(values, 0.98)), 1.0)
    unit = 1.0 if reach <= 5 else 5.0
    return unit * math.ceil(reach / unit - 1e-9)


def _cells(
    ax: Axes,
    values: Cells,
    columns: dict[str, float],
    lines: list[frames.Line],
    norm: Normalize,
) -> None:
    full, shades = [], []
    for line in lines:
        if not line.key:
            continue
        for condition, x in columns.items():
            value = values.get((line.key, condition), math.nan)
            box = Rectangle((x - 0.5, line.y - 0.5), 1, 1)
            if np.isfinite(value):
                full.append(box)
                shades.append(value)
            else:
                box.set(facecolor="#f6f6f6", edgecolor="#b5b5b5", hatch="//////", linewidth=0)
                ax.add_patch(box)
    boxes = PatchCollection(
        full, cmap=style.DIVERGING, norm=norm, edgecolor="#ebebeb", linewidth=0.5
    )
    boxes.set_array(np.asarray(shades))
    ax.add_collection(boxes)
    ax.set_xlim(-0.5, max(columns.values()) + 0.5)


def _numbers(
    ax: Axes,
    values: Cells,
    columns: dict[str, float],
    lines: list[frames.Line],
    marked: set[tuple[str, str]],
    norm: Normalize,
) -> None:
    """Numbers where a cell is wide enough, and the dots of the tests."""
    printed = len(columns) <= 18
    for line in lines:
        for condition, x in columns.items():
            value = values.get((line.key, condition), math.nan)
            if not np.isfinite(value):
                continue
            ink = text_color(style.DIVERGING(norm(value)))
            if printed:
                text = marks.signed(value, 1 if line.key == MEAN else 0)
                ax.text(x, line.y, text, ha="center", va="center", size=5.5, color=ink)
            if (line.key, condition) in marked:
                dx, dy = (0.36, -0.3) if printed else (0.0, 0.0)
                ax.plot(x + dx, line.y + dy, "o", ms=1.6, mew=0, color=ink)


def _across(ax: Axes, across: list[frames.Line], columns: dict[str, float], bottom: float) -> None:
    """Ids below the columns, and a coloured strip with the valence above them."""
    few = len(columns) <= 24
    ax.set_xticks(
        list(columns.values()),
        [frames.shorten(c, 26) for c in columns],
        rotation=90,
        fontsize=6.5 if few else 5.8,
    )
    ax.tick_params(axis="x", length=0, pad=2)
    for side in ("bottom", "left"):
        ax.spines[side].set_visible(False)
    ax.set_ylim(bottom + 0.55, -0.55)
    span = max(columns.values()) + 1
    groups = {line.group: line.text for line in across if not line.key}
    inches = (style.figure_of(ax).get_figwidth() - 2.6) / span
    for group, heading in groups.items():
        xs = [columns[line.key] for line in across if line.key and line.group == group]
        color = style.VALENCE_COLORS.get(group, style.INK)
        strip: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot([xs[0] - 0.45, xs[-1] + 0.45], [1.0, 1.0], color=color, lw=2.0,
                solid_capstyle="butt", **strip)  # fmt: skip
        room = 72 * inches * (len(xs) + 0.3)
        text = next(
            (
                t
                for t in (heading, heading.split()[0], heading[:3] + ".")
                if style.text_width([t], 6.5) <= room
            ),
            "",
        )
        ax.annotate(
            text, ((xs[0] + xs[-1]) / 2, 1.0), xycoords=ax.get_xaxis_transform(),
            xytext=(0, 3.5), textcoords="offset points", ha="center", va="bottom", size=6.5,
            annotation_clip=False,
        )  # fmt: skip


def _legend(ax: Axes, columns: dict[str, float], dots: bool, gaps: bool, alpha: float) -> None:
    handles: list[Line2D | Patch] = []
    if dots:
        handles.append(
            Line2D([], [], marker="o", ls="", ms=2.0, mew=0, color=style.INK,
                   label=f"adjusted p ≤ {alpha:g}")
        )  # fmt: skip
    if gaps:
        handles.append(Patch(fc="#f6f6f6", ec="#b5b5b5", hatch="//////", lw=0, label="no number"))
    if handles:
        size = 6.5 if len(columns) <= 24 else 5.8
        labels = style.text_width([frames.shorten(c, 26) for c in columns], size)
        marks.legend_below(ax, handles, points=labels + 12)
