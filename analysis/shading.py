"""Colours of words by their importance: one scale for the figure and for the page."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from promptlab.analysis import style
from promptlab.analysis.arguments import check_choice
from promptlab.analysis.arrays import Array

__all__ = ["Scale", "scaled", "shades", "text_color"]

Scale = Literal["auto", "minmax", "max", "signed"]

SEQUENTIAL = LinearSegmentedColormap.from_list(
    "promptlab.sequential", ["#FFFFFF", "#C9E0F0", "#8FC1DF", "#4799C8", "#0072B2", "#004C78"]
)
"""Nothing white, much dark blue."""

CONTRAST = 4.5
"""Least contrast of small text with its background (WCAG 2, level AA)."""


def scaled(values: Any, scale: Scale = "auto") -> tuple[Array, bool]:
    """Values of one prompt between 0 and 1 (or -1 and 1), and whether they have a sign.

    Args:
        values: one a word; NaN has no colour.
        scale: `minmax` as in the papers (least 0, largest 1: the least word looks like nothing),
            `max` divides by the largest, `signed` by the largest absolute value; `auto` is `signed`
            where a value is negative and `max` otherwise.

    Raises:
        UserError: another scale.
    """
    check_choice("scale", scale, get_args(Scale))
    x = np.asarray(values, dtype=np.float64)
    known = x[np.isfinite(x)]
    if not known.size:
        return np.full(x.shape, np.nan), False
    if scale == "auto":
        scale = "signed" if (known < 0).any() else "max"
    if scale == "minmax":
        spread = float(np.ptp(known))
        return ((x - known.min()) / spread if spread else np.zeros_like(x)), False
    reach = float(np.abs(known).max())
    if scale == "max":
        x = np.maximum(x, 0.0)
    return (x / reach if reach else np.zeros_like(x)), scale == "signed"


def shades(values: Any, scale: Scale = "auto") -> list[str]:
    """A colour a word as `#rrggbb`; light grey where there is no value."""
    found, has_sign = scaled(values, scale)
    scheme = style.DIVERGING if has_sign else SEQUENTIAL
    places = (found + 1) / 2 if has_sign else found
    return ["#eeeeee" if np.isnan(p) else str(to_hex(scheme(float(p)))) for p in places]


def text_color(background: Any) -> str:
    """White, ink or black: text on a colour, with a contrast of at least 4.5 (WCAG 2).

    White wherever it has that contrast, so that text on a strong colour is white; otherwise ink,
    and black on the few colours between on which ink is too pale.

    Args:
        background: red, green and blue from 0 to 1.
    """
    light = _luminance(background)
    if 1.05 / (light + 0.05) >= CONTRAST:
        return "white"
    ink = _luminance(to_rgb(style.INK))
    return style.INK if (light + 0.05) / (ink + 0.05) >= CONTRAST else "black"


def _luminance(color: Any) -> float:
    rgb = np.asarray(color, dtype=np.float64)[:3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
