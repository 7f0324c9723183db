"""What a person sees: the report of a run, its figures, and tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_figure", "result_table", "summary_sentences", "write_report"]

_HOMES = {
    "write_report": "page",
    "result_table": "terminal",
    "summary_sentences": "terminal",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'promptlab.report' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"promptlab.report.{_HOMES[name]}"), name)


def draw_figure(
    run: Any,
    name: str,
    *,
    model: str | None = None,
    shots: int | None = None,
    protocol: str | None = None,
) -> Figure:
    """A figure of a run: `forest`, `heatmap`, `baseline`, `moved`, `sensitivity` or `wordings`.

    Args:
        run: a run or anything with `contrasts()`, `scores()`, `conditions()` and `sensitivity()`.
        name: which figure.
        model: label of the model; the first unless given.
        shots: number of demonstrations; the first unless given.
        protocol: of `forest` and `wordings` the scoring protocol, of `sensitivity` the second one.

    Raises:
        UnknownName: there is no such figure, model, number of shots or protocol.
    """
    from promptlab.analysis.style import figure_of
    from promptlab.report.inputs import gather
    from promptlab.report.pictures import draw

    results = gather(
        scores=run.scores() if name == "baseline" else None,
        contrasts=run.contrasts(),
        conditions=run.conditions(),
        sensitivity=run.sensitivity() if name == "sensitivity" else None,
        wordings=run.wordings() if name == "wordings" else None,
    )
    return figure_of(draw(results, name, model=model, shots=shots, protocol=protocol))
