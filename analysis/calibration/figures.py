"""Figures of the calibration: functions from its table to axes, without file I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from promptlab.analysis import style
from promptlab.analysis.calibration.parts import PARTS
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["coverage", "error_rates", "false_gains"]

_COLORS = {
    "valid": style.VERDICT_COLORS["better"],
    "naive": style.VERDICT_COLORS["worse"],
    "control": style.VERDICT_COLORS["worse"],
    "shown": style.VERDICT_COLORS["inconclusive"],
    "other": "#bdbdbd",
}
_WORDS = {
    "valid": "claimed to hold",
    "shown": "nothing claimed",
    "naive": "naive",
    "other": "asks something else",
}
_ORDER = {"valid": 0, "shown": 1, "other": 2, "naive": 3, "control": 3}
_ROW = 0.2
"""Inches a line."""


@style.styled
def error_rates(table: pd.DataFrame, *, part: str, ax: Axes | None = None) -> Axes:
    """How often each procedure of a part finds an effect that is not there.

    A dot is a design, with its 95 % Monte-Carlo interval; the tick beside it is the reference. The
    axis is stretched near 0 (square root). Procedures that hold stand above those that do not.

    Args:
        table: as `calibrate` returns it.
        part: which part to draw.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: the table has no error rates of that part.
    """
    rows = table[(table["part"] == part) & (table["quantity"] == "type I")]
    # A share of experiments whose own hypothesis is false is power, not error.
    rows = rows[rows["claim"] != "other"]
    ax = _dots(rows, ax, f"{PARTS[part].title}: false claims", part)
    ax.axvline(0.05, color=style.INK, lw=0.7, ls=(0, (4, 2)), zorder=1)
    ax.set_xscale("function", functions=(_root, np.square))
    high = min(1.0, max(0.15, 1.1 * float((rows["value"] + 1.96 * rows["mc_error"]).max())))
    ax.set_xlim(0, high)
    ticks = [t for t in (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if t <= high]
    ax.set_xticks(ticks)
    ax.set_xticklabels([f"{100 * t:g}" for t in ticks])
    ax.set_xlabel("Experiments with a false claim (%); dashed: the promised 5 %")
    return ax


@style.styled
def coverage(table: pd.DataFrame, *, part: str, ax: Axes | None = None) -> Axes:
    """How often each interval of a part holds the truth.

    Args:
        table: as `calibrate` returns it.
        part: which part to draw.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: the table has no coverage of that part.
    """
    rows = table[(table["part"] == part) & (table["quantity"] == "coverage")]
    ax = _dots(rows, ax, f"{PARTS[part].title}: coverage", part)
    low = min(0.85, float(rows["value"].min()) - 0.02)
    ax.axvline(0.95, color=style.INK, lw=0.7, ls=(0, (4, 2)), zorder=1)
    ax.set_xlim(low, 1.0)
    ticks = [t for t in (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0) if t >= low]
    ax.set_xticks(ticks)
    ax.set_xticklabels([f"{100 * t:g}" for t in ticks])
    ax.set_xlabel("Intervals that hold the true difference (%); dashed: the promised 95 %")
    return ax


@style.styled
def false_gains(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """What the best stimulus `gains` when no stimulus does anything.

    Args:
        table: as `calibrate` returns it; needs the part `best_of`.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: the table has no such rows.
    """
    rows = table[
        (table["part"] == "best_of") & table["quantity"].isin(("points", "relative gain (%)"))
    ]
    # With task effects choosing for each task does pay: there the gain is real.
    rows = rows[~rows["design"].str.contains("task effects")]
    if not len(rows):
        raise UserError("the table has no gains; the part best_of makes them")
    designs = list(dict.fromkeys(rows["design"]))
    if ax is None:
        ax = style.new_axes(style.DOUBLE, 0.95 + 0.3 * len(designs))
    kinds = (
        ("per-task winner, cross-fit", "best for each task, measured on other items", "valid"),
        ("best overall stimulus", "best over all tasks", "shown"),
        ("mean of per-task maxima", "best for each task", "naive"),
    )
    handles = []
    points = rows[rows["quantity"] == "points"].set_index(["design", "procedure"])
    for procedure, words, claim in kinds:
        color = _COLORS[claim]
        for y, design in enumerate(designs):
            row = points.loc[(design, procedure)]
            _dot(ax, float(row["value"]), float(row["mc_error"]), str(row["reference"]), y, color)
        handles.append(Line2D([], [], marker="o", ls="", ms=4.2, color=color, label=words))
    relative = rows[rows["quantity"] == "relative gain (%)"].set_index("design")["value"]
    _column(ax, [f"{relative[design]:+.1f} %" for design in designs], "relative")
    ax.axvline(0, color=style.INK, lw=0.6, zorder=1)
    reach = points["value"] + 2 * points["mc_error"]
    ax.set_xlim(min(-0.3, 1.1 * float(points["value"].min())), 1.04 * float(reach.max()))
    _rows_of_text(ax, designs)
    ax.set_xlabel("Gain over the original when no stimulus does anything (points)")
    _title(ax, "The best stimulus gains although nothing works", designs)
    _legend(ax, [*handles, _tick()])
    return ax


# ---------------------------------------------------------------- marks


def _root(x: Any) -> Any:
    return np.sqrt(np.maximum(x, 0.0))


def _dots(rows: pd.DataFrame, ax: Axes | None, title: str, part: str) -> Axes:
    if not len(rows):
        raise UserError(f"the table has no such rows of the part '{part}'")
    ranked = rows.assign(rank=rows["claim"].map(_ORDER))
    worst = ranked.groupby("procedure", sort=False)["rank"].max().sort_values(kind="stable")
    names = list(worst.index)
    designs = list(dict.fromkeys(rows["design"]))
    if ax is None:
        high = max(_ROW, 0.036 * len(designs) + 0.06)
        ax = style.new_axes(style.DOUBLE, 0.95 + high * len(names))
    step = 0.72 / max(len(designs), 1)
    for row in rows.to_dict("records"):
        place = designs.index(row["design"]) - (len(designs) - 1) / 2
        y = names.index(row["procedure"]) + step * place
        color = _COLORS[row["claim"]]
        _dot(ax, row["value"], row["mc_error"], row["reference"], y, color, step)
    for line in range(1, len(names)):
        ax.axhline(line - 0.5, color="#ececec", lw=0.5, zorder=0)
    _rows_of_text(ax, names)
    _ranges(ax, rows, names)
    order = f"dots from top to bottom: {', '.join(designs)}"
    if style.text_width([order], 6.5) > 72 * (style.DOUBLE - 0.3):
        order = "dots from top to bottom in the order of the table"
    _title(ax, title, names, order if len(designs) > 1 else "")
    kinds = sorted(
        {"naive" if c == "control" else c for c in rows["claim"]}, key=_ORDER.__getitem__
    )
    handles = [
        Line2D([], [], marker="o", ls="", ms=4.2, color=_COLORS[k], label=_WORDS[k]) for k in kinds
    ]
    if (rows["reference"] != "").any():
        handles.append(_tick())
    _legend(ax, handles)
    return ax


def _dot(
    ax: Axes, value: float, error: float, reference: str, y: float, color: str, step: float = 0.4
) -> None:
    if error:
        low, high = max(value - 1.96 * error, -1e9), value + 1.96 * error
        ax.hlines(y, low, high, color=color, lw=0.8, alpha=0.6, zorder=3)
    size = 4.4 if step > 0.3 else 3.4 if step > 0.1 else 2.6
    ax.plot(value, y, "o", ms=size, color=color, mew=0, zorder=4, clip_on=False)
    ends = [float(t) for t in re.findall(r"-?[\d.]+", reference)]
    half = min(0.42 * step, 0.2)
    for end in ends[:1] if len(ends) < 2 else [sum(ends) / 2]:
        ax.vlines(end, y - half, y + half, color=style.INK, lw=0.8, zorder=5, clip_on=False)


def _ranges(ax: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Smallest and largest value of every line, right of the axes."""
    texts = []
    for name in names:
        values = 100 * rows.loc[rows["procedure"] == name, "value"]
        low, high = f"{values.min():.1f}", f"{values.max():.1f}"
        texts.append(f"{low} %" if low == high else f"{low} to {high} %")
    _column(ax, texts, "range")


def _column(ax: Axes, texts: Sequence[str], heading: str) -> None:
    """Texts right of the axes, one a line, aligned at their right ends."""
    right = 10.0 + style.text_width([heading, *texts], 6.5)
    for y, text in [(-0.75, heading), *enumerate(texts)]:
        ax.annotate(
            text,
            (1, y),
            xycoords=ax.get_yaxis_transform(),
            xytext=(right, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            size=6.5,
            color=style.MUTED,
            annotation_clip=False,
        )


def _title(ax: Axes, text: str, names: Sequence[str], note: str = "") -> None:
    """A title flush with the labels left of the axes, and a note below it."""
    left = style.text_width(names, 7.0) + 4.0
    lines: tuple[tuple[str, float, dict[str, Any]], ...] = (
        (text, 18.0 if note else 9.0, {"weight": "bold", "size": 8.0}),
        (note, 8.0, {"color": style.MUTED, "size": 6.5}),
    )
    for words, above, options in lines:
        if words:
            ax.annotate(
                words,
                (0, 1),
                xycoords="axes fraction",
                xytext=(-left, above),
                textcoords="offset points",
                annotation_clip=False,
                **options,
            )


def _tick() -> Line2D:
    return Line2D([], [], marker="|", ls="", ms=6, mew=0.9, color=style.INK, label="reference")


def _rows_of_text(ax: Axes, names: Sequence[str]) -> None:
    ax.set_ylim(len(names) - 0.45, -0.6)
    ax.set_yticks(range(len(names)))
    ax.set_yticklabels(names)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _legend(ax: Axes, handles: Sequence[Line2D]) -> None:
    from promptlab.analysis.figures._marks import legend_below

    legend_below(ax, handles)
