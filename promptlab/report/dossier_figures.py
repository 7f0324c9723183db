"""The figures of a dossier: which of them have data, and their captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from promptlab.analysis.papers import figures
from promptlab.analysis.papers.tables import size_of
from promptlab.analysis.style import figure_of
from promptlab.files import slug
from promptlab.report import dossier_rows as rows
from promptlab.report import pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_all"]


def draw_all(
    tables: Mapping[str, pd.DataFrame], published: pd.DataFrame, folder: Path
) -> list[dict[str, Any]]:
    """Draw every figure that has data, and write it as PDF, SVG and PNG.

    Args:
        tables: of the dossier, by name.
        published: the paper's values.
        folder: is there.

    Returns:
        id, file, caption and svg (markup) of each, in the order of the page.
    """
    drawn = []
    for name, caption, draw in _figures(tables, published):
        svg = pictures.save(figure_of(draw()), folder / name)
        markup = Markup(pictures.inline_svg(svg, name, caption))
        drawn.append({"id": name, "file": name, "caption": caption, "svg": markup})
    return drawn


def _figures(
    t: Mapping[str, pd.DataFrame], published: pd.DataFrame
) -> Iterator[tuple[str, str, Callable[[], Axes]]]:
    """(name, caption, how to draw it) of every figure that has data."""
    drawn = t["claims"][t["claims"]["estimate"].notna() & (t["claims"]["unit"] != "tasks")]
    if len(drawn):
        yield (
            "claims",
            "Every claim with an estimate, on the scale of its published effect.",
            partial(figures.claims, drawn),
        )
    if len(t["models"]):
        yield (
            "gains",
            "Gains by setting. Open circles choose the best stimulus of a task on the items that "
            "it is measured on. Without any effect that gains the white line on average, and at "
            "most the grey bar in 95 % of experiments.",
            partial(figures.gains, t["models"]),
        )
    for key, part in t["stimuli"].groupby(["model", "benchmark"], sort=False):
        model, benchmark = map(str, key)
        several = len(t["stimuli"][["model", "benchmark"]].drop_duplicates()) > 1
        stem = f"stimuli_{slug(f'{model}_{benchmark}')}" if several else "stimuli"
        suite = rows.SUITES.get(benchmark, benchmark)
        yield (
            stem,
            f"Each stimulus and its neutral sentence: {model}, {suite}.",
            partial(figures.stimuli, part),
        )
    if len(t["shots"]):
        yield (
            "shots",
            "The average stimulus without and with demonstrations.",
            partial(figures.shots, t["shots"]),
        )
    for name, part in t["combinations"].groupby("model", sort=False):
        yield (
            f"combinations_{slug(str(name))}",
            f"Single stimuli (light) and combinations: {name!s}.",
            partial(figures.combinations, part),
        )
    if len(t["temperatures"]):
        yield (
            "temperatures",
            "The average stimulus by temperature.",
            partial(figures.temperatures, t["temperatures"]),
        )
    sizes = _published_sizes(published)
    ours = t["models"]
    ours = ours[
        (ours["benchmark"] == "instruction_induction")
        & (ours["shots"] == 0)
        & (ours["base"] == "human")
    ]
    if len(sizes) and ours["size"].notna().any():
        yield (
            "sizes",
            "Gain of the best stimulus of each task by size of the model, zero-shot.",
            partial(figures.sizes, ours, sizes),
        )


def _published_sizes(published: pd.DataFrame) -> pd.DataFrame:
    found = published[(published["table"] == "models") & (published["quantity"] == "gain of best")]
    sizes = [size_of(str(size)) for size in found["row"]]
    out = pd.DataFrame({"model": found["model"], "size": sizes, "gain": found["value"]})
    return out[out["size"].notna()]
