"""A race: the interval of every condition, block by block, and where it left."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from promptlab.analysis import style
from promptlab.analysis.figures import _frames as frames
from promptlab.analysis.figures import _marks as marks
from promptlab.errors import UserError

__all__ = ["race"]

_WORDS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equivalent",
    "not best": "not the best",
    "futile": "no longer decidable",
    "best": "best",
    "control": "with its stimulus",
    "": "ran to the end",
}


@style.styled
def race(
    path: pd.DataFrame, *, blocks: int | None = None, title: str = "", ax: Axes | None = None
) -> Axes:
    """One lane a condition: its interval over the blocks, its difference, and where it left.

    Args:
        path: of one race, as `Race.path` gives it.
        blocks: of the full design; those of the path unless given.
        title: of the panel.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: the path has no row.
    """
    if path.empty:
        raise UserError("there is no block to draw: the race has not begun")
    names = sorted(dict.fromkeys(path["condition"]), key=frames.natural)
    lines = [frames.Line(float(i), name, name) for i, name in enumerate(names)]
    blocks = blocks or int(path["block"].max())
    if ax is None:
        ax = style.new_axes(style.DOUBLE, 1.1 + 0.3 * len(lines))
    last = path.groupby("condition", sort=False).tail(1)
    ends = last[["lower", "upper"]].abs().to_numpy()
    largest = float(last["difference"].abs().fillna(0.0).max())
    limit = max(float(np.quantile(ends, 0.8)), 1.1 * largest, 0.02)
    scale = 0.42 / limit
    words: dict[str, str] = {}
    for line in lines:
        rows = path[path["condition"] == line.key].sort_values("block")
        x = rows["block"].to_numpy(np.float64)
        low, high, middle = (
            line.y - scale * np.clip(rows[c].to_numpy(np.float64), -limit, limit)
            for c in ("lower", "upper", "difference")
        )
        ax.hlines(line.y, 0.5, blocks + 0.5, color=style.MUTED, lw=0.4)
        end = rows.iloc[-1]
        color = _color(end["lower"], end["upper"], str(end["left"]))
        x = np.concatenate([[x[0] - 0.5], x])
        low, high, middle = (np.concatenate([v[:1], v]) for v in (low, high, middle))
        ax.fill_between(x, low, high, color=color, alpha=0.18, lw=0)
        ax.plot(x, middle, color=color, lw=0.8)
        ax.plot(x[-1], middle[-1], "o", color=color, ms=3.4)
        words[line.key] = _WORDS[str(end["left"])]
    ax.set_xlim(0.5, blocks + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    ax.set_xlabel("Block")
    marks.rows_on_y(ax, lines)
    by_id = frames.records(last)
    points = {
        k: marks.interval(by_id[k]["difference"], by_id[k]["lower"], by_id[k]["upper"])
        for k in words
    }
    marks.columns_right(ax, lines, {"points": points, "left": words})
    if title:
        marks.heading(ax, lines, title)
    marks.legend_below(
        ax,
        [
            Patch(color=style.MUTED, alpha=0.3, lw=0, label="interval, valid at every block"),
            Line2D([], [], color=style.MUTED, marker="o", ms=3.4, label="difference, last block"),
            Line2D([], [], lw=0, label=f"a lane is ±{100 * limit:.0f} points high"),
        ],
    )
    return ax


def _color(lower: float, upper: float, left: str) -> str:
    """That of the verdict which the interval gives."""
    verdict = "better" if lower > 0 else "worse" if upper < 0 else "inconclusive"
    if verdict == "inconclusive" and left == "equivalent":
        verdict = left
    return style.VERDICT_COLORS[verdict]
