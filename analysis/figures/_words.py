"""The papers' picture of word importance: the prompt itself, every word on a colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from promptlab.analysis import shading, style
from promptlab.analysis.figures import _frames as frames
from promptlab.errors import UserError

__all__ = ["words"]

_SIZE = 7.0
_LINE = 13.5
"""Height of a line of words, in points."""
_PAD = 1.6
"""Left and right of a word inside its colour, in points."""
_GAP = 1.2
_BAR = 110.0


@dataclass(frozen=True, slots=True)
class _Placed:
    text: str
    color: str
    x: float
    width: float
    line: int
    stimulus: bool


@style.styled
def words(
    importance: pd.DataFrame,
    *,
    model: str | None = None,
    task: str | None = None,
    item_id: str | None = None,
    shots: int | None = None,
    measure: str | None = None,
    condition: str | None = None,
    scale: shading.Scale = "auto",
    ax: Axes | None = None,
) -> Axes:
    """One item's prompts with every word on the colour of its importance.

    Either several conditions under one measure, or several measures of one condition, below each
    other; words of the stimulus are underlined. Colours are scaled within each prompt, as in the
    papers: they compare words of one prompt, and not prompts.

    Args:
        importance: the table of `promptlab.whitebox.word_importance`.
        model: to draw; needed when the table has several.
        task: likewise.
        item_id: likewise; the first of the task if None.
        shots: likewise.
        measure: likewise, unless it has one condition.
        condition: one condition; all if None.
        scale: `minmax` as the papers scale, `max`, `signed`; `auto` is `signed` where a value of
            the prompt is negative and `max` otherwise.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no such prompt, or several panels.
    """
    rows = _chosen(importance, model, task, item_id, shots, measure, condition)
    by = "condition" if rows["measure"].nunique() == 1 else "measure"
    blocks = {str(key): part for key, part in rows.groupby(by, sort=False)}
    left = style.text_width(blocks, _SIZE, "bold") + 10
    width = 72 * style.DOUBLE if ax is None else _points_wide(ax)
    placed: list[_Placed] = []
    heads: dict[str, int] = {}
    line = 0
    for name, part in blocks.items():
        heads[name] = line
        found = _flow(part.sort_values("position"), scale, left, width, line)
        placed += found
        line = found[-1].line + 2
    height = _LINE * (line + 0.6)
    if ax is None:
        ax = style.new_axes(style.DOUBLE, (height + 18) / 72)
    _draw(ax, placed, heads, width, height)
    signed = {shading.scaled(part["value"], scale)[1] for part in blocks.values()}
    _key(ax, signed, width, height - _LINE)
    first = rows.iloc[0]
    about = [str(first["task"]), str(first["measure"]) if by == "condition" else ""]
    ax.set_title(", ".join(text for text in (str(first["model"]), *about) if text))
    return ax


def _chosen(
    importance: pd.DataFrame,
    model: str | None,
    task: str | None,
    item_id: str | None,
    shots: int | None,
    measure: str | None,
    condition: str | None,
) -> pd.DataFrame:
    rows = importance
    asked = {
        "model": model, "task": task, "shots": shots, "measure": measure, "condition": condition,
        "item_id": item_id,
    }  # fmt: skip
    for column, value in asked.items():
        if value is not None:
            rows = rows[rows[column] == value]
    if rows.empty:
        said = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
        raise UserError(f"no word importance{f' for {said}' if said else ''}")
    frames.one_panel(rows, ["model", "task", "shots", "instruction"])
    if item_id is None:
        rows = rows[rows["item_id"] == rows["item_id"].iloc[0]]
    if rows["condition"].nunique() > 1:
        frames.one_panel(rows, ["measure"])
    return rows


def _flow(
    part: pd.DataFrame, scale: shading.Scale, left: float, width: float, line: int
) -> list[_Placed]:
    """Words from left to right, broken where the prompt breaks and where the line is full."""
    placed: list[_Placed] = []
    x, last = left, None
    colors = shading.shades(part["value"], scale)
    for row, color in zip(part.to_dict("records"), colors, strict=True):
        text = frames.shorten(str(row["word"]), 60)
        wide = style.text_width([text], _SIZE) + 2 * _PAD
        new = last is not None and row["line"] != last
        if placed and (new or x + wide > width):
            x, line = left, line + 1
        placed.append(_Placed(text, color, x, wide, line, row["group"] == "stimulus"))
        x, last = x + wide + _GAP, row["line"]
    return placed


def _draw(
    ax: Axes, placed: Sequence[_Placed], heads: dict[str, int], width: float, height: float
) -> None:
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_axis_off()
    for name, line in heads.items():
        ax.text(0, _LINE * (line + 0.5), name, va="center", size=_SIZE, weight="bold")
    for word in placed:
        top = _LINE * word.line
        box = Rectangle((word.x, top + 1), word.width, _LINE - 3, facecolor=word.color, lw=0)
        ax.add_patch(box)
        ax.text(
            word.x + word.width / 2, top + _LINE / 2 - 0.4, word.text, ha="center", va="center",
            size=_SIZE, color=shading.text_color(to_rgb(word.color)),
        )  # fmt: skip
        if word.stimulus:
            ends = [word.x, word.x + word.width + _GAP]
            ax.plot(ends, [top + _LINE - 1.2] * 2, color=style.INK, lw=0.9, solid_capstyle="butt")


def _key(ax: Axes, signed: set[bool], width: float, y: float) -> None:
    """What the colours mean, and the line under words."""
    x = 0.0
    for has_sign in sorted(signed):
        values = [i / 39 * (2 if has_sign else 1) - has_sign for i in range(40)]
        names = ("most negative", "most positive") if has_sign else ("least", "most important")
        room = style.text_width([names[0]], 6) + 4
        ax.text(x, y, names[0], va="center", size=6, color=style.MUTED)
        kind: shading.Scale = "signed" if has_sign else "max"
        for i, color in enumerate(shading.shades(values, kind)):
            place = (x + room + i * _BAR / 40, y - 3)
            ax.add_patch(Rectangle(place, _BAR / 40, 6, fc=color, ec=color, lw=0.3))
        ax.text(x + room + _BAR + 4, y, names[1], va="center", size=6, color=style.MUTED)
        x += room + _BAR + style.text_width([names[1]], 6) + 24
    ax.plot([x, x + 14], [y + 3, y + 3], color=style.INK, lw=0.9)
    ax.text(x + 18, y, "word of the stimulus", va="center", size=6, color=style.MUTED)


def _points_wide(ax: Axes) -> float:
    return float(72 * style.figure_of(ax).get_figwidth() * ax.get_position().width)
