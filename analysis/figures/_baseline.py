"""How much the model gets right without any addition."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from promptlab.analysis import style
from promptlab.analysis.figures import _frames as frames
from promptlab.analysis.figures import _marks as marks
from promptlab.analysis.intervals import t_interval, wilson
from promptlab.errors import UserError

__all__ = ["baseline", "baseline_table"]


def baseline_table(
    scores: pd.DataFrame,
    *,
    model: str | None = None,
    shots: int | None = None,
    condition: str = "original",
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Mean score of one condition per task under its primary protocol, with intervals.

    Replicates are averaged within items first. The interval is Wilson's where item means are 0 or
    1, else the t interval over items, kept within [0, 1]. Items without a score are left out and
    counted.

    Returns:
        Columns task, protocol, metric, n_items, n_missing, mean, lower, upper, interval_method.

    Raises:
        UserError: no such rows, or more than one panel.
    """
    rows = scores[(scores["condition"] == condition) & scores["primary"].astype(bool)]
    rows = rows[rows["model"] == model] if model is not None else rows
    rows = rows[rows["shots"] == shots] if shots is not None else rows
    if rows.empty:
        raise UserError(f"no scores of condition '{condition}' for model {model}, shots {shots}")
    frames.one_panel(rows, ["model", "shots"])
    out = []
    for task, part in rows.groupby("task", sort=True, observed=True):
        means = part.groupby("item_id", observed=True)["score"].mean()
        values = means.dropna().to_numpy(dtype=float)
        mean, lower, upper, method = _mean_interval(values, alpha)
        out.append(
            {
                "task": str(task),
                "protocol": str(part["protocol"].iloc[0]),
                "metric": str(part["metric"].iloc[0]),
                "n_items": len(values),
                "n_missing": int(means.isna().sum()),
                "mean": mean,
                "lower": lower,
                "upper": upper,
                "interval_method": method,
            }
        )
    return pd.DataFrame(out)


def _mean_interval(values: np.ndarray, alpha: float) -> tuple[float, float, float, str]:
    n = len(values)
    if not n:
        return np.nan, np.nan, np.nan, ""
    if np.isin(values, (0.0, 1.0)).all():
        rate = wilson(int(values.sum()), n, level=1 - alpha)
        return rate.estimate, *rate.interval, "wilson"
    found = t_interval(values, level=1 - alpha)
    lower, upper = np.clip(found.interval, 0.0, 1.0)
    return found.estimate, float(lower), float(upper), "t"


@style.styled
def baseline(
    scores: pd.DataFrame,
    *,
    model: str | None = None,
    shots: int | None = None,
    condition: str = "original",
    tasks: pd.DataFrame | None = None,
    alpha: float = 0.05,
    ax: Axes | None = None,
) -> Axes:
    """Score of the baseline on every task in per cent, with its interval and the chance level.

    Args:
        scores: the scores table.
        model: panel to draw; needed when the table has several.
        shots: likewise.
        condition: the baseline.
        tasks: task, low and high; a chance mark is drawn where `low` is above 0.
        alpha: one minus the level of the intervals.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no such panel, or several.
    """
    table = baseline_table(scores, model=model, shots=shots, condition=condition, alpha=alpha)
    by_id = frames.records(table, "task")
    lines = frames.by_suite(by_id)
    if ax is None:
        step = 0.185 if len(lines) <= 30 else 0.15
        ax = style.new_axes(style.DOUBLE, 1.15 + step * (lines[-1].y + 1))
    low = dict(zip(tasks["task"], tasks["low"], strict=True)) if tasks is not None else {}
    chance = False
    for line in lines:
        if not line.key:
            continue
        ax.axhline(line.y, color="#ececec", lw=0.5, zorder=0)
        row, level = by_id[line.key], float(low.get(line.key, 0.0))
        if level > 0:
            ax.vlines(100 * level, line.y - 0.42, line.y + 0.42, color="#D55E00", lw=1.2, zorder=2)
            chance = True
        if np.isfinite(row["lower"]):
            ax.hlines(line.y, 100 * row["lower"], 100 * row["upper"], color="#0072B2", lw=1.1)
        if np.isfinite(row["mean"]):
            ax.plot(
                100 * row["mean"], line.y, "o", ms=4.2, color="#0072B2", zorder=3, clip_on=False
            )
    ax.set_xlim(0, 100)
    marks.rows_on_y(ax, lines)
    marks.columns_right(
        ax,
        lines,
        {
            "score (%)": {
                k: f"{100 * r['mean']:.0f}" if np.isfinite(r["mean"]) else "–"
                for k, r in by_id.items()
            },
            "items": {k: f"{r['n_items']:.0f}" for k, r in by_id.items()},
        },
    )
    ax.set_xlabel(f"Score of {frames.shorten(condition, 30)} (%)")
    marks.heading(ax, lines, frames.title(scores_panel(scores, model, shots)))
    handles = [
        Line2D([], [], marker="o", ms=4.2, color="#0072B2",
               label=f"score with {100 * (1 - alpha):g} % interval")
    ]  # fmt: skip
    if chance:
        handles.append(
            Line2D([], [], marker="|", ms=7, mew=1.2, ls="", color="#D55E00", label="chance")
        )
    marks.legend_below(ax, handles)
    return ax


def scores_panel(scores: pd.DataFrame, model: str | None, shots: int | None) -> pd.DataFrame:
    """The rows of one panel of a scores table."""
    rows = scores if model is None else scores[scores["model"] == model]
    return rows if shots is None else rows[rows["shots"] == shots]
