"""How the figures look: one journal style, colours for colour-blind readers, fonts that embed.

Everything here is fixed, so the same table gives the same bytes wherever matplotlib is the same.
Colours are those of Okabe and Ito (2008), "Color Universal Design".
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec

from matplotlib import rc_context, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path

__all__ = [
    "DIVERGING",
    "DOUBLE",
    "INK",
    "MUTED",
    "SINGLE",
    "VALENCE_COLORS",
    "VERDICT_COLORS",
    "context",
    "figure_of",
    "new_axes",
    "styled",
    "text_width",
]

SINGLE = 3.5
"""Width of a one-column figure, in inches."""
DOUBLE = 7.2
"""Width of a two-column figure, in inches."""

INK = "#1a1a1a"
MUTED = "#6b6b6b"

VALENCE_COLORS: Mapping[str, str] = {
    "positive": "#E69F00",
    "negative": "#CC79A7",
    "neutral": "#7a7a7a",
    "mixed": "#009E73",
    "none": "#000000",
}
"""One colour a valence; never used for the direction of an effect."""

VERDICT_COLORS: Mapping[str, str] = {
    "better": "#0072B2",
    "worse": "#D55E00",
    "equivalent": "#009E73",
    "inconclusive": "#8a8a8a",
    "descriptive": "#8a8a8a",
}
"""One colour a verdict; gains and losses use those of better and worse."""

DIVERGING = LinearSegmentedColormap.from_list(
    "promptlab.diverging",
    ["#A34700", "#D55E00", "#F4B48C", "#FFFFFF", "#8FC1DF", "#0072B2", "#004C78"],
)
"""Losses vermilion, no difference white, gains blue."""

RC: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "axes.titlesize": 8.0,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "figure.dpi": 100.0,
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.0,
    "hatch.linewidth": 0.4,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 0.9,
    "lines.markersize": 4.0,
    "pdf.compression": 6,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "promptlab",
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelsize": 7.0,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.color": INK,
    "ytick.labelsize": 7.0,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
}
"""matplotlib settings of every figure. Names come from people, so `$` is never mathematics."""

P = ParamSpec("P")


@contextmanager
def context(**overrides: Any) -> Iterator[None]:
    """The style, whatever the user's own matplotlib settings are.

    Args:
        overrides: matplotlib settings with `_` for `.`, such as `svg_hashsalt="forest"`.
    """
    settings: dict[Any, Any] = {
        key: value
        for key, value in rcParamsDefault.items()
        if not key.startswith(("backend", "interactive", "toolbar", "timezone", "webagg"))
    }
    own = {key.replace("_", ".", 1): value for key, value in overrides.items()}
    settings |= {**RC, **own}
    with rc_context(settings), warnings.catch_warnings():
        # A script that the font lacks shows as boxes in PDF and PNG; the page's own text has it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def styled(function: Callable[P, Axes]) -> Callable[P, Axes]:
    """Draw a figure in the style.

    Ticks are made on demand from the settings of that moment, so they are made before it ends. The
    layout found then stays, which makes saving in several formats fast and all of them alike.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Axes:
        with context():
            ax = function(*args, **kwargs)
            figure = figure_of(ax)
            figure.draw_without_rendering()
            if kwargs.get("ax") is None:
                figure.set_layout_engine("none")
        return ax

    return wrapper


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes are drawn in.

    Raises:
        ValueError: the axes were taken out of their figure.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes are in no figure any more")
    return figure


def new_axes(width: float, height: float) -> Axes:
    """Axes of a figure of its own, `width` x `height` inches, laid out so that nothing is cut."""
    engine = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.02)
    figure = Figure(figsize=(width, height), layout=engine)
    ax: Axes = figure.add_subplot()
    return ax


def text_width(texts: Iterable[str], size: float, weight: str = "normal") -> float:
    """Width of the widest text, in points, in the style's font."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        widths = [
            text_to_path.get_text_width_height_descent(t, font, ismath=False)[0] for t in texts if t
        ]
    return float(max(widths, default=0.0))
