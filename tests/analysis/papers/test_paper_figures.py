"""Every figure of a dossier draws what its table holds, and says what is missing."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from matplotlib.axes import Axes

from promptlab.analysis import style
from promptlab.analysis.papers import figures
from promptlab.errors import UserError

COMBINATIONS = pd.DataFrame(
    {
        "model": "m",
        "condition": ["EP01", "EP02", "EP01+EP02"],
        "parts": [1, 1, 2],
        "gain": [1.0, -0.5, 2.0],
        "gain_lower": [-1.0, -2.0, float("nan")],
        "gain_upper": [3.0, 1.0, float("nan")],
    }
)
TEMPERATURES = pd.DataFrame(
    {
        "model": ["a", "a", "b"],
        "temperature": [0.4, 1.0, 0.4],
        "gain": [1.0, -0.5, 2.0],
        "gain_lower": [-1.0, -2.0, float("nan")],
        "gain_upper": [3.0, 1.0, float("nan")],
        "best": [3.0, 4.0, 5.0],
        "best_chance": [2.5, 3.5, 4.5],
    }
)
SHOTS = pd.DataFrame(
    {
        "model": ["m"],
        "base": ["human"],
        **{
            f"{n}{e}": [v]
            for n, v in (("zero", 0.3), ("few", 2.0))
            for e in ("", "_lower", "_upper")
        },
    }
)
MODELS = pd.DataFrame(
    {
        "model": ["m-135m", "unknown"],
        "size": [1.35e8, float("nan")],
        "best_gain": [3.0, 2.0],
        "best_chance_upper": [4.0, 2.0],
        "chosen_gain": [1.0, 0.5],
    }
)
PUBLISHED = pd.DataFrame(
    {"model": ["Vicuna", "BLOOM"], "size": [1.3e10, 1.76e11], "gain": [9.58, 0.51]}
)


def words(axes: Axes) -> set[str]:
    return {t.get_text() for t in [*axes.get_yticklabels(), *axes.texts]}


def test_what_they_show() -> None:
    drawn = {
        "combinations": figures.combinations(COMBINATIONS),
        "temperatures": figures.temperatures(TEMPERATURES),
        "shots": figures.shots(SHOTS),
        "sizes": figures.sizes(MODELS, PUBLISHED),
    }
    assert {"EP01", "EP01+EP02"} <= words(drawn["combinations"])
    assert words(drawn["shots"]) == {"m, human"}
    assert {"Vicuna", "BLOOM"} <= words(drawn["sizes"])
    assert drawn["sizes"].get_xscale() == "log"
    assert "10B" in {t.get_text() for t in drawn["sizes"].get_xticklabels()}
    for axes in drawn.values():
        figure = axes.get_figure(root=True)
        assert figure is not None
        out = io.BytesIO()
        with style.context():
            figure.savefig(out, format="pdf")
        assert b"/FontFile2" in out.getvalue()  # fonts are embedded


@pytest.mark.parametrize("draw", [figures.combinations, figures.temperatures, figures.shots])
def test_an_empty_table_is_told(draw: object) -> None:
    with pytest.raises(UserError, match="nothing to draw"):
        draw(pd.DataFrame())  # type: ignore[operator]


def test_stimuli_of_several_models_are_refused() -> None:
    rows = pd.DataFrame({"model": ["a", "b"], "benchmark": "x"})
    with pytest.raises(UserError, match="choose one"):
        figures.stimuli(rows)
