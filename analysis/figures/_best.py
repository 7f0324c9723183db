"""The best of many beside what the same choice gives when nothing has an effect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from promptlab.analysis import style
from promptlab.analysis.figures import _marks as marks
from promptlab.errors import UserError

__all__ = ["best_of_many"]

_CHANCE, _FOUND = "#cfcfcf", style.VERDICT_COLORS["worse"]


@style.styled
def best_of_many(
    observed: float, null: Sequence[float] | np.ndarray, *, ax: Axes | None = None
) -> Axes:
    """A gain by choosing, beside the gains of the same choice without any effect.

    Grey bars are the gains when labels were exchanged, so that no stimulus does anything; the line
    is the gain that was found. Mean and 95th percentile of the grey are said in words.

    Args:
        observed: the gain that was found, in points.
        null: gains of the same choice without any effect, in points, one for each resample.
        ax: axes to draw in; a figure of its own size if None.

    Raises:
        UserError: no number, or one that is not finite.
    """
    values = np.asarray(null, dtype=float)
    if not (values.size and np.isfinite(values).all() and np.isfinite(observed)):
        raise UserError(
            "a gain and at least one gain without effect are needed, all of them finite"
        )
    ax = ax or style.new_axes(style.SINGLE + 1.2, 1.9)
    weights = np.full(values.size, 100 / values.size)
    ax.hist(values, bins=25, weights=weights, color=_CHANCE, zorder=1)
    ax.axvline(0, color=style.INK, lw=0.6, zorder=2)
    ax.axvline(observed, color=_FOUND, lw=1.4, zorder=3)
    top = ax.get_ylim()[1]
    mean, most = float(values.mean()), float(np.quantile(values, 0.95))
    ax.set_ylim(0, 1.75 * top)
    left, right = min(0.0, float(values.min()), observed), max(float(values.max()), observed)
    low, high = left - 0.08 * (right - left), right + 0.2 * (right - left)
    ax.set_xlim(low, high)
    ax.set_xticks([tick for tick in ax.get_xticks() if low <= tick <= high])
    said = "no effect at all:\n"
    said += f"{marks.signed(mean)} on average, at most {marks.signed(most)} in 95 %"
    chance, found = ("right", "left") if 2 * observed > low + high else ("left", "right")
    for text, side, color in (
        (said, chance, style.MUTED),
        (f"found: {marks.signed(observed)}", found, _FOUND),
    ):
        ax.annotate(
            text, (observed, 1.7 * top), (-5 if side == "right" else 5, 0),
            textcoords="offset points", ha=side, va="top", color=color, size=6.5,
        )  # fmt: skip
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("Best stimulus of each task minus the original (points)")
    return ax
