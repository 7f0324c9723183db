from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console
from simulated import Simulated, simulate

from promptlab.errors import UnknownName
from promptlab.report import draw_figure, result_table, summary_sentences


def printed(table: Any, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue()


def test_the_table_has_every_condition_with_its_verdict(run: Simulated) -> None:
    text = printed(result_table(run.contrasts))
    macro = run.contrasts.query("level == 'macro' and primary and contrast == 'vs_original'")
    for row in macro.to_dict("records"):
        line = next(t for t in text.splitlines() if t.startswith(f"{row['condition']} "))
        assert row["verdict"] in line
    assert "▲ better" in text
    assert "12 tasks" in text


def test_one_part_for_every_panel(several: Simulated) -> None:
    text = printed(result_table(several.contrasts))
    assert text.count("95 % interval") == 8
    assert text.count("Against matched controls") == 4
    assert "openai/gpt-4o-mini, 5 shots, scored by bigbench: 2 tasks" in text


def test_markup_in_names_is_text() -> None:
    run = simulate(models=("[red]m[/red]",), tasks=["a/b"], conditions=["original", "[b]E[/b]"])
    text = printed(result_table(run.contrasts))
    assert "[b]E[/b]" in text
    assert "[red]m[/red]" in text


def test_a_long_name_leaves_the_numbers_whole() -> None:
    name = "a_condition_whose_name_goes_on_and_on_" * 3
    run = simulate(tasks=["a/b"], conditions=["original", name])
    text = printed(result_table(run.contrasts))
    assert "…" not in text
    assert ": 1 task, " in text
    assert all(len(line.rstrip()) <= 100 for line in text.splitlines())


def test_sentences_name_their_panel_when_there_are_several(
    run: Simulated, several: Simulated
) -> None:
    alone = summary_sentences(run.contrasts, conditions=run.conditions)
    assert alone[0].startswith("Of 11 conditions")
    many = summary_sentences(several.contrasts)
    assert many[0].startswith("local/smollm2-135m, 5 shots, scored by induction: Of 11")


def test_topics_choose(run: Simulated) -> None:
    chosen = summary_sentences(run.contrasts, best=run.best, topics=("verdicts", "best"))
    assert len(chosen) == 2
    assert "with no effect at all" in chosen[1]


class Handle:
    """What a run offers to `draw_figure`."""

    def __init__(self, run: Simulated) -> None:
        self.scores: Callable[[], Any] = lambda: run.scores
        self.contrasts: Callable[[], Any] = lambda: run.contrasts
        self.conditions: Callable[[], Any] = lambda: run.conditions
        self.sensitivity: Callable[[], Any] = lambda: run.sensitivity


@pytest.mark.parametrize("name", ["forest", "heatmap", "baseline", "moved", "sensitivity"])
def test_a_run_draws_each_figure_by_name(several: Simulated, name: str) -> None:
    protocol = "contains" if name == "sensitivity" else None
    assert isinstance(draw_figure(Handle(several), name, protocol=protocol), Figure)


def test_an_unknown_figure_or_model_is_named(run: Simulated) -> None:
    with pytest.raises(UnknownName, match="did you mean 'forest'"):
        draw_figure(Handle(run), "forrest")
    with pytest.raises(UnknownName, match="unknown model 'x'"):
        draw_figure(Handle(run), "forest", model="x")


def test_a_registered_plan_marks_what_is_outside_it(run: Simulated) -> None:
    plain = printed(result_table(run.contrasts))
    assert "exploratory" not in plain
    marked = printed(result_table(run.contrasts, manifest={"registration": {"registered": True}}))
    controls = marked[marked.index("Against matched controls") :]
    assert controls.count(", exploratory") == controls.count("-neutral") == 2
