"""The figures of a dossier: tables of `promptlab.analysis.papers` to axes, without file I/O.

Filled marks with intervals are estimates that choose nothing on the items they are measured on;
open marks are numbers as the papers compute them; grey is what no effect at all would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from promptlab.analysis import style
from promptlab.analysis.figures import _marks as marks
from promptlab.errors import UserError

__all__ = ["claims", "combinations", "gains", "shots", "sizes", "stimuli", "temperatures"]

_OURS, _PAPER, _CONTROL, _CHANCE = "#0072B2", "#D55E00", "#7a7a7a", "#d9d9d9"
_VERDICTS = {"reproduced": "#0072B2", "not reproduced": "#D55E00", "cannot tell": "#6b6b6b"}
_CHOSEN = "#009E73"
_ROW = 0.24
_MOST = 4.0
"""Share of a published effect at which the axis of the claims ends."""


@style.styled
def claims(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Every claim on the scale of its published effect: 0 is none, 1 is as published.

    Args:
        table: as `claims_frame` returns it; claims without an estimate are left out.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no claim has an estimate.
    """
    rows = table[table["estimate"].notna() & (table["unit"] != "tasks")]
    _need(rows, "no claim was put to the test by these runs")
    ax = ax or style.new_axes(style.DOUBLE, 1.2 + 1.7 * _ROW * len(rows))
    for y, (_, r) in enumerate(rows.iterrows()):
        scale = float(r["published"])
        if np.isfinite(r["chance_upper"]):
            _band(ax, y, 0.0, r["chance_upper"] / scale)
        if np.isfinite(r["as_published"]) and np.isfinite(r["chance"]):
            ax.plot(
                np.clip(r["as_published"] / scale, -_MOST, _MOST), y, "o", ms=4.5, mfc="white",
                mec=_PAPER, mew=1.0, zorder=6, clip_on=False,
            )  # fmt: skip
        color = _VERDICTS[str(r["verdict"])]
        marks.whisker(ax, y, r["lower"] / scale, r["upper"] / scale, _MOST, color, width=1.4)
        ax.plot(np.clip(r["estimate"] / scale, -_MOST, _MOST), y, "D", ms=4.2, color=color,
                mec="white", mew=0.6, zorder=5)  # fmt: skip
    ax.axvline(1, color=_PAPER, lw=0.8, ls=(0, (4, 2)), zorder=1)
    ends = rows[["lower", "upper", "as_published", "chance_upper"]].div(rows["published"], axis=0)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    ax.set_xlim(max(min(low, 0.0) - 0.2, -_MOST), min(max(high, 1.0) + 0.2, _MOST))
    unit = {"percent": "%", "points": "points"}
    labels = [
        f"{r['title'] or r['id']}\n{_suite(r)}, published {r['published']:g} {unit[str(r['unit'])]}"
        for _, r in rows.iterrows()
    ]
    _rows(ax, labels, "Share of the published effect (0 = no effect, 1 = as published)")
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), list(rows["verdict"]))
    right.spines["right"].set_visible(False)
    right.tick_params(length=0)
    handles = [
        *(_solid(c, f"ours: {v}") for v, c in _VERDICTS.items() if v in set(rows["verdict"])),
        _open(_PAPER, "ours, as the paper computes it"),
        Patch(color=_CHANCE, label="95 % of experiments without any effect"),
    ]
    marks.legend_below(ax, handles)
    return ax


@style.styled
def gains(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gain over the original by model and setting: average, chosen honestly, chosen by looking.

    Args:
        table: as `model_table` returns it.
        ax: axes to draw in; a figure of its own size if None.
    """
    _need(table, "no setting has scores")
    ax = ax or style.new_axes(style.DOUBLE, 1.0 + 2.2 * _ROW * len(table))
    for y, (_, r) in enumerate(table.iterrows()):
        _band(ax, y, 0.0, r["best_chance_upper"])
        ax.plot([r["best_chance"]] * 2, [y - 0.3, y + 0.3], color="white", lw=1.2, zorder=2)
        ax.plot(r["best_gain"], y, "o", ms=4.5, mfc="white", mec=_PAPER, mew=1.0, zorder=4)
        for name, shift, color in (
            ("average_gain", -0.16, _OURS),
            ("chosen_gain", 0.16, _CHOSEN),
        ):
            _interval(ax, y + shift, r[name], r[f"{name}_lower"], r[f"{name}_upper"], color)
    _rows(ax, [_place(r) for _, r in table.iterrows()], "Gain over the original (points)")
    handles = [
        _solid(_OURS, "average stimulus"),
        _solid(_CHOSEN, "best per task, chosen on other items"),
        _open(_PAPER, "best per task, the paper's way"),
        Patch(color=_CHANCE, label="the same without any effect (line: mean, end: 95 %)"),
    ]
    marks.legend_below(ax, handles, columns=2)
    return ax


@style.styled
def stimuli(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gain of each stimulus beside that of its matched neutral sentence.

    Args:
        table: of one model and benchmark, as `stimulus_table` returns it.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: the table has several models or benchmarks.
    """
    _need(table, "no stimulus has scores")
    if len(table[["model", "benchmark"]].drop_duplicates()) > 1:
        raise UserError("the table holds several models or benchmarks; choose one of each")
    ax = ax or style.new_axes(style.SINGLE, 0.9 + _ROW * len(table))
    for y, (_, r) in enumerate(table.iterrows()):
        _interval(ax, y, r["gain"], r["lower"], r["upper"], _OURS)
        if np.isfinite(r["control_gain"]):
            ax.plot(r["control_gain"], y, "s", ms=3.4, mfc="white", mec=_CONTROL, zorder=4)
    _rows(ax, list(table["stimulus"]), "Gain over the original (points)")
    handles = [
        _solid(_OURS, "stimulus (intervals hold together)"),
        _open(_CONTROL, "its neutral sentence", "s"),
    ]
    marks.legend_below(ax, handles)
    return ax


@style.styled
def shots(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gain of the average stimulus without and with demonstrations.

    Args:
        table: as `shots_table` returns it.
        ax: axes to draw in; a figure of its own size if None.
    """
    _need(table, "no model was asked both with and without demonstrations")
    ax = ax or style.new_axes(style.SINGLE, 0.9 + 2 * _ROW * len(table))
    for y, (_, r) in enumerate(table.iterrows()):
        for name, shift, color in (("zero", -0.16, "#56B4E9"), ("few", 0.16, _OURS)):
            _interval(ax, y + shift, r[name], r[f"{name}_lower"], r[f"{name}_upper"], color)
    _rows(
        ax,
        [f"{r['model']}, {r['base']}" for _, r in table.iterrows()],
        "Gain of the average stimulus (points)",
    )
    handles = [
        _solid("#56B4E9", "zero-shot"),
        _solid(_OURS, "few-shot"),
    ]
    marks.legend_below(ax, handles)
    return ax


@style.styled
def combinations(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gain of every combination of stimuli, the single ones first.

    Args:
        table: of one model, as `combination_table` returns it.
        ax: axes to draw in; a figure of its own size if None.
    """
    _need(table, "no combination of stimuli was asked")
    rows = table.sort_values("parts", kind="stable")
    ax = ax or style.new_axes(style.SINGLE, 0.9 + 0.8 * _ROW * len(rows))
    for y, (_, r) in enumerate(rows.iterrows()):
        color = _OURS if r["parts"] > 1 else "#56B4E9"
        _interval(ax, y, r["gain"], r["gain_lower"], r["gain_upper"], color)
    _rows(ax, list(rows["condition"]), "Gain over the original (points)")
    return ax


@style.styled
def temperatures(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gain of the average stimulus by temperature, one line a model.

    Args:
        table: as `temperature_table` returns it.
        ax: axes to draw in; a figure of its own size if None.
    """
    _need(table, "no temperature was varied")
    ax = ax or style.new_axes(style.SINGLE, 2.4)
    for k, (model, rows) in enumerate(table.groupby("model", sort=False)):
        color = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")[k % 6]
        x = rows["temperature"].to_numpy(float) + 0.01 * k
        half = np.abs(
            rows[["gain_lower", "gain_upper"]].to_numpy(float).T - rows["gain"].to_numpy(float)
        )
        ax.errorbar(x, rows["gain"], np.nan_to_num(half), color=color, marker="D", ms=4,
                    capsize=0, label=str(model))  # fmt: skip
        ax.plot(x, rows["best"], "o", ms=4.5, mfc="white", mec=color)
        ax.plot(x, rows["best_chance"], "_", ms=9, color=_CONTROL)
    ax.axhline(0, color=style.INK, lw=0.6, zorder=1)
    ax.set_xlabel("Temperature")
    ax.set_ylabel("Gain over the original (points)")
    handles, _ = ax.get_legend_handles_labels()
    more = [
        _open(style.INK, "best per task"),
        _open(_CONTROL, "the same without any effect", "_"),
    ]
    marks.legend_below(ax, [*handles, *more], columns=2)
    return ax


@style.styled
def sizes(ours: pd.DataFrame, published: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gain of the best stimulus per task against the size of the model, ours beside the paper's.

    Args:
        ours: zero-shot rows of `model_table`; models whose name tells no size are left out.
        published: columns model, size (parameters), gain (points).
        ax: axes to draw in; a figure of its own size if None.
    """
    known = ours[ours["size"].notna()]
    _need(pd.concat([known["size"], published["size"]]), "no model has a known size")
    ax = ax or style.new_axes(style.SINGLE, 2.4)
    ax.plot(published["size"], published["gain"], "o", ms=4.5, mfc="white", mec=_PAPER)
    for _, r in published.iterrows():
        ax.annotate(str(r["model"]), (r["size"], r["gain"]), (-4, 3), ha="right",
                    textcoords="offset points", fontsize=6, color=style.MUTED)  # fmt: skip
    for _, r in known.iterrows():
        ax.plot([r["size"]] * 2, [0, r["best_chance_upper"]], color=_CHANCE, lw=5, zorder=1,
                solid_capstyle="butt")  # fmt: skip
        ax.plot(r["size"], r["best_gain"], "o", ms=4.5, mfc="white", mec=_OURS, zorder=4)
        ax.plot(r["size"], r["chosen_gain"], "D", ms=4, color=_CHOSEN, mec="white", zorder=4)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: _parameters(size)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.axhline(0, color=style.INK, lw=0.6, zorder=1)
    ax.set_xlabel("Parameters")
    ax.set_ylabel("Gain over the original (points)")
    handles = [
        _open(_PAPER, "published: best per task"),
        _open(_OURS, "ours: best per task"),
        _solid(_CHOSEN, "ours: chosen on other items"),
        Patch(color=_CHANCE, label="ours: 95 % without any effect"),
    ]
    marks.legend_below(ax, handles, columns=2)
    return ax


def _parameters(size: float) -> str:
    """`135M`, `13B`."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if size >= unit:
            return f"{size / unit:g}{name}"
    return f"{size:g}"


def _solid(color: str, label: str) -> Line2D:
    return Line2D([], [], marker="D", ms=4, color=color, label=label)


def _open(color: str, label: str, marker: str = "o") -> Line2D:
    return Line2D([], [], ls="", marker=marker, ms=4.5, mfc="white", mec=color, label=label)


def _need(rows: Any, why: str) -> None:
    if len(rows) == 0:
        raise UserError(f"nothing to draw: {why}")


def _place(row: Any) -> str:
    shots = "zero-shot" if row["shots"] == 0 else "few-shot"
    base = "APE" if row["base"] == "ape" else row["base"]
    return f"{row['model']}\n{_suite(row)}, {shots}, {base}"


def _suite(row: Any) -> str:
    names = {"instruction_induction": "Instr. Induction", "bigbench": "BIG-Bench"}
    benchmark = str(row["benchmark"])
    return names.get(benchmark, benchmark.replace("_", " "))


def _rows(ax: Axes, labels: Sequence[str], quantity: str) -> None:
    """Labels from top to bottom, a line at zero, and what the other axis shows."""
    ax.axvline(0, color=style.INK, lw=0.6, zorder=1)
    ax.set_xlabel(quantity)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _band(ax: Axes, y: float, low: float, high: float) -> None:
    if np.isfinite(high):
        ax.barh(y, high - low, left=low, height=0.6, color=_CHANCE, zorder=0)


def _interval(ax: Axes, y: float, at: float, low: float, high: float, color: str) -> None:
    if np.isfinite(low) and np.isfinite(high):
        ax.plot([low, high], [y, y], color=color, lw=1.2, zorder=3)
    ax.plot(at, y, "D", ms=4, color=color, mec="white", mew=0.5, zorder=5)
