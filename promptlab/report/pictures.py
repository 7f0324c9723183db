"""The figures of a report: drawn, saved as PDF, SVG and PNG, and made fit for a page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from promptlab.analysis import figures, style
from promptlab.errors import UnknownName
from promptlab.files import slug
from promptlab.report.inputs import Panel, Results
from promptlab.report.method import named
from promptlab.report.wordings import wording_caption

__all__ = [
    "FIGURES",
    "Picture",
    "draw",
    "inline_svg",
    "panel_stems",
    "pictures",
    "place_stems",
    "save",
]

FIGURES = ("forest", "heatmap", "baseline", "moved", "sensitivity", "wordings")
"""Names of the figures of a report."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure of a report."""

    kind: str
    name: str
    """File name without suffix."""
    panel: Panel
    caption: str
    alt: str
    axes: Axes


def draw(
    results: Results,
    kind: str,
    *,
    model: str | None = None,
    shots: int | None = None,
    protocol: str | None = None,
) -> Axes:
    """One figure by name; what is not chosen is that of the first panel.

    Raises:
        UnknownName: there is no such figure, model or number of shots.
    """
    if kind not in FIGURES:
        raise UnknownName("figure", kind, FIGURES, f"figures: {', '.join(FIGURES)}")
    known = results.panels
    for what, value, index in (("model", model, 0), ("number of shots", shots, 1)):
        names = [str((p.model, p.shots)[index]) for p in known]
        if value is not None and str(value) not in names:
            raise UnknownName(what, str(value), names, f"known: {', '.join(dict.fromkeys(names))}")
    fitting = [p for p in known if model in (None, p.model) and shots in (None, p.shots)]
    if not fitting:
        raise UnknownName(
            "panel", f"{model}, {shots} shots", [f"{p.model}, {p.shots}" for p in known]
        )
    panel = fitting[0]
    if kind in ("forest", "wordings") and protocol is not None:
        panel = Panel(panel.model, panel.shots, protocol)
    return _draw(results, kind, panel, protocol)


def _draw(results: Results, kind: str, panel: Panel, second: str | None = None) -> Axes:
    place: dict[str, Any] = {"model": panel.model, "shots": panel.shots}
    own = results.contrasts[results.contrasts["baseline"] == results.baseline]
    if kind == "forest":
        return figures.forest(
            own, **place, protocol=panel.protocol, alpha=results.alpha, texts=results.texts
        )
    if kind == "heatmap":
        return figures.heatmap(own, **place, alpha=results.alpha)
    if kind == "moved":
        return figures.moved(own, **place, texts=results.texts)
    if kind == "baseline":
        tasks = results.tasks if len(results.tasks) else None
        return figures.baseline(
            results.scores, **place, condition=results.baseline, tasks=tasks, alpha=results.alpha
        )
    if kind == "wordings":
        return figures.wordings(
            results.wordings, **place, protocol=panel.protocol, baseline=results.baseline
        )
    return figures.sensitivity(
        results.sensitivity, **place, protocol=second, baseline=results.baseline
    )


def place_stems(results: Results) -> list[str]:
    """What tells the files of (model, shots) apart; nothing if there is one such place."""
    if len(results.places) == 1:
        return [""]
    return _unlike(f"_{slug(model)}_{shots}-shot" for model, shots in results.places)


def panel_stems(results: Results) -> list[str]:
    """Likewise for every panel."""
    places = dict(zip(results.places, place_stems(results), strict=True))
    several = len({p.protocol for p in results.panels}) > 1
    return _unlike(
        places[(p.model, p.shots)] + (f"_{slug(p.protocol)}" if several else "")
        for p in results.panels
    )


def _unlike(stems: Iterable[str]) -> list[str]:
    """File names that differ even where they are written without regard to case."""
    out: list[str] = []
    for stem in stems:
        found = stem
        while found.lower() in {o.lower() for o in out}:
            found += "-2"
        out.append(found)
    return out


def pictures(results: Results) -> Iterator[Picture]:
    """Every figure of a report, panel by panel."""
    stems = dict(zip(results.panels, panel_stems(results), strict=True))
    for place, stem in zip(results.places, place_stems(results), strict=True):
        panels = [p for p in results.panels if (p.model, p.shots) == place]
        for panel in panels:
            caption = _forest_caption(results, panel)
            yield _picture(results, "forest", panel, stems[panel], caption)
        panel = panels[0]
        yield _picture(results, "heatmap", panel, stem, _heatmap_caption(results))
        if results.has_baseline_scores(panel):
            yield _picture(results, "baseline", panel, stem, _baseline_caption(results))
        yield _picture(results, "moved", panel, stem, _moved_caption(results))
        for panel in panels:
            if len(results.wordings_of(panel)):
                yield _picture(results, "wordings", panel, stems[panel], wording_caption(results))
        second = list(results.second_scoring(*place)["protocol"].unique())
        for protocol, extra in zip(second, _unlike(f"_{slug(p)}" for p in second), strict=True):
            caption = _sensitivity_caption(results, protocol)
            name = stem + (extra if len(second) > 1 else "")
            yield _picture(results, "sensitivity", panels[0], name, caption, protocol)


def _picture(
    results: Results, kind: str, panel: Panel, stem: str, caption: str, second: str | None = None
) -> Picture:
    alt = f"{_ALT[kind]} ({panel.model}, {figures.shots_text(panel.shots)})"
    axes = _draw(results, kind, panel, second)
    return Picture(kind, f"{kind}{stem}", panel, caption, alt, axes)


_ALT: dict[str, str] = {
    "forest": "Forest plot: difference of every condition from the baseline with its interval",
    "heatmap": "Heat map: differences from the baseline by task and condition",
    "baseline": "Dot plot: score of the baseline on every task with its interval",
    "moved": "Bar chart: items lost and gained under every condition",
    "sensitivity": "Dot plot: difference of every condition under two scoring protocols",
    "wordings": "Dot plot: difference of every condition under every wording of the instruction",
}


def _forest_caption(results: Results, panel: Panel) -> str:
    macro = results.macro(panel)
    margins = macro["margin"].dropna()
    band = f"The band is the equivalence margin of ±{100 * margins.max():g} points. "
    how = named(macro["interval_method"])
    return (
        f"Mean difference from {results.baseline} over tasks; {results.level} intervals: {how}. "
        f"Filled markers: adjusted p at most {results.alpha:g}. {band if len(margins) else ''}"
        "Within a group, the order is that of the ids."
    )


def _heatmap_caption(results: Results) -> str:
    return (
        f"Difference from {results.baseline} on every task, in points, under the task's primary "
        f"scoring protocol. Dots: p at most {results.alpha:g} after correction over all cells. "
        "A single cell rests on few items: read rows and columns, not cells."
    )


def _baseline_caption(results: Results) -> str:
    return (
        f"Score of {results.baseline} on every task with {results.level} intervals (Wilson for "
        "right/wrong scores, t for graded ones). A task near 0 or 100 % has little room to move."
    )


def _moved_caption(results: Results) -> str:
    return (
        f"Items whose score went up or down against {results.baseline}, all tasks together. Many "
        "items that move both ways and cancel out show that wording matters for single items, "
        "not that the condition helps."
    )


def _sensitivity_caption(results: Results, protocol: str) -> str:
    return (
        f"The same answers scored by the primary protocol and by {protocol}, over the tasks that "
        f"have both, with {results.level} intervals. Verdicts that depend on the protocol are "
        "bold. A long link means that the condition changes the form of the answers."
    )


def save(figure: Figure, stem: Path) -> str:
    """Write `stem`.pdf, .svg and .png without dates; returns the SVG text.

    The same figure gives the same bytes.
    """
    buffers: dict[str, bytes] = {}
    for kind, metadata in (
        ("svg", {"Date": None}),
        ("pdf", {"CreationDate": None, "ModDate": None}),
        ("png", {}),
    ):
        buffer = io.BytesIO()
        with style.context(svg_hashsalt=f"promptlab/{stem.name}"):
            figure.savefig(buffer, format=kind, metadata=metadata)
        buffers[kind] = buffer.getvalue()
        stem.with_name(f"{stem.name}.{kind}").write_bytes(buffers[kind])
    return buffers["svg"].decode("utf-8")


def inline_svg(svg: str, name: str, alt: str) -> str:
    """An SVG document as an element of a page: ids made unique, named for screen readers."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    width = re.search(r'width="([\d.]+)pt"', body)
    body = re.sub(r' (?:width|height)="[\d.]+pt"', "", body, count=2)
    prefix = f"{slug(name)}-"
    substitute: list[tuple[str, Callable[[re.Match[str]], str]]] = [
        (r'\bid="([^"]+)"', lambda m: f'id="{prefix}{m[1]}"'),
        (r'(xlink:)?href="#([^"]+)"', lambda m: f'{m[1] or ""}href="#{prefix}{m[2]}"'),
        (r"url\(#([^)]+)\)", lambda m: f"url(#{prefix}{m[1]})"),
    ]
    tags = re.split(r"(<[^>]*>)", body)  # only inside tags: text may say anything
    for i, part in enumerate(tags):
        if part.startswith("<"):
            for pattern, change in substitute:
                part = re.sub(pattern, change, part)
        tags[i] = part
    body = "".join(tags)
    scale = float(width[1]) / 72 if width else 7.2
    return body.replace(
        "<svg",
        f'<svg role="img" aria-label="{escape(alt, quote=True)}" style="width:{scale / 7.2:.1%}"',
        1,
    )
