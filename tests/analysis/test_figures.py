"""Figures: what they show, that nothing is cut or overlaps, and that they are reproducible."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from simulated import Simulated, simulate

from promptlab.analysis import figures, style
from promptlab.analysis.figures import _frames as frames
from promptlab.analysis.figures import _marks as marks
from promptlab.errors import UserError

TASKS = [f"procedural/task_{i}" for i in range(10)]


@pytest.fixture(scope="module")
def one() -> Simulated:
    """One panel: one model, one number of shots, one primary protocol."""
    return simulate(models=("m",), tasks=TASKS, effects={"EP02": 0.15, "NP02": -0.15})


@pytest.fixture(scope="module")
def several() -> Simulated:
    return simulate(shots=(0, 5), items=10)


def texts(ax: Axes) -> list[str]:
    figure = ax.get_figure(root=True)
    assert figure is not None
    found = figure.findobj(Text)
    return [t.get_text() for t in found if isinstance(t, Text) and t.get_visible()]


def all_figures(run: Simulated) -> dict[str, Axes]:
    sentences = dict(zip(run.conditions["condition"], run.conditions["text"], strict=True))
    return {
        "forest": figures.forest(run.contrasts, texts=sentences),
        "heatmap": figures.heatmap(run.contrasts),
        "baseline": figures.baseline(run.scores, tasks=run.tasks),
        "moved": figures.moved(run.contrasts, texts=sentences),
        "sensitivity": figures.sensitivity(run.sensitivity, protocol="contains"),
    }


def test_forest_shows_every_condition_below_its_valence(one: Simulated) -> None:
    ax = figures.forest(one.contrasts)
    shown = texts(ax)
    wanted = set(one.contrasts["condition"])
    assert wanted <= set(shown)
    assert {"Positive stimuli", "Negative stimuli", "Neutral controls"} <= set(shown)


def test_forest_prints_the_numbers_of_the_table(one: Simulated) -> None:
    macro = figures.select(one.contrasts, "macro").set_index("condition")
    shown = texts(figures.forest(one.contrasts))
    for condition in macro.index:
        row = macro.loc[condition]
        assert marks.interval(row["difference"], row["lower"], row["upper"]) in shown
    assert "adjusted p ≤ 0.05" in shown
    assert "equivalence margin ±2" in shown


def test_forest_fills_markers_of_significant_conditions_only(one: Simulated) -> None:
    table = one.contrasts.copy()
    table["p_adjusted"] = np.where(table["condition"] == "EP02", 0.01, 0.9)
    ax = figures.forest(table)
    faces = [
        line.get_markerfacecolor()
        for line in ax.get_lines()
        if line.get_marker() == "o" and len(line.get_xdata()) == 1  # type: ignore[arg-type]
    ]
    macro = figures.select(table, "macro")
    assert sum(f != "white" for f in faces) == 1
    assert len(faces) == len(macro)


def test_forest_survives_missing_intervals_and_missing_differences(one: Simulated) -> None:
    table = one.contrasts.copy()
    table.loc[table["condition"] == "EP01", ["lower", "upper", "p_adjusted"]] = np.nan
    gone = ["difference", "lower", "upper", "p_adjusted"]
    table.loc[table["condition"] == "NP01", gone] = np.nan
    assert " not scored" in texts(figures.forest(table))


def test_an_interval_that_dwarfs_the_others_ends_in_an_arrow(one: Simulated) -> None:
    table = one.contrasts.copy()
    table["lower"], table["upper"] = table["difference"] - 0.01, table["difference"] + 0.01
    table.loc[table["condition"] == "EP01", "upper"] = 5.0
    ax = figures.forest(table)
    assert ax.get_xlim()[1] < 400
    assert any(line.get_marker() == ">" for line in ax.get_lines())


def test_heatmap_is_symmetric_and_hatches_what_is_not_there(one: Simulated) -> None:
    table = one.contrasts
    absent = (table["task"] == TASKS[0]) & (table["condition"] == "EP01")
    ax = figures.heatmap(table[~absent])
    norm = ax.collections[0].norm
    assert norm.vmin == -norm.vmax
    assert any(p.get_hatch() for p in ax.patches)
    assert "no number" in texts(ax)
    assert not any(p.get_hatch() for p in figures.heatmap(table).patches)


def test_heatmap_survives_a_task_without_any_number(one: Simulated) -> None:
    table = one.contrasts.copy()
    table.loc[table["task"] == TASKS[3], "difference"] = np.nan
    assert "task 3" in texts(figures.heatmap(table))


def test_heatmap_mean_is_the_macro_difference(one: Simulated) -> None:
    macro = figures.select(one.contrasts, "macro")
    shown = texts(figures.heatmap(one.contrasts))
    for value in macro["difference"]:
        assert marks.signed(100 * value) in shown


def test_baseline_table_has_wilson_intervals(one: Simulated) -> None:
    table = figures.baseline_table(one.scores)
    assert list(table["task"]) == sorted(TASKS)
    assert (table["interval_method"] == "wilson").all()
    assert ((table["lower"] < table["mean"]) & (table["mean"] < table["upper"])).all()
    first = one.scores[
        (one.scores["condition"] == "original")
        & one.scores["primary"]
        & (one.scores["task"] == TASKS[0])
    ]
    row = table.set_index("task").loc[TASKS[0]]
    assert row["mean"] == pytest.approx(first["score"].mean())
    assert row["n_items"] + row["n_missing"] == len(first)


def test_baseline_averages_replicates_within_items_and_uses_t_for_graded_scores() -> None:
    rows = [
        {"model": "m", "shots": 0, "task": "a/b", "condition": "original", "primary": True,
         "protocol": "p", "metric": "f1", "item_id": str(i), "replicate": r, "score": s}
        for i in range(5)
        for r, s in enumerate((0.0, 1.0))
    ]  # fmt: skip
    table = figures.baseline_table(pd.DataFrame(rows))
    assert table.loc[0, "mean"] == 0.5
    assert table.loc[0, "n_items"] == 5
    assert table.loc[0, "interval_method"] == "t"


def test_baseline_marks_chance_where_it_is_known(one: Simulated) -> None:
    tasks = one.tasks.assign(low=0.5)
    assert "chance" in texts(figures.baseline(one.scores, tasks=tasks))
    assert "chance" not in texts(figures.baseline(one.scores))


def test_moved_counts_items_of_all_tasks(one: Simulated) -> None:
    macro = figures.select(one.contrasts, "macro").set_index("condition")
    ax = figures.moved(one.contrasts)
    widths = sorted(round(p.get_width()) for p in ax.patches)
    wanted = sorted([*macro["gained"], *(-macro["lost"])])
    assert widths == wanted


def test_sensitivity_names_both_verdicts_where_they_differ(one: Simulated) -> None:
    table = one.sensitivity.copy()
    row = table["condition"] == "EP01"
    table.loc[row, ["reference_verdict", "verdict", "flips"]] = ["better", "inconclusive", True]
    assert "better → inconclusive" in texts(figures.sensitivity(table))


def test_several_panels_are_refused_with_their_names(several: Simulated) -> None:
    with pytest.raises(UserError, match=r"choose one of: .*model=local/smollm2-135m, shots=0"):
        figures.forest(several.contrasts)
    with pytest.raises(UserError, match="choose one of"):
        figures.baseline(several.scores)
    with pytest.raises(UserError, match="choose one of"):
        figures.sensitivity(several.sensitivity)
    with pytest.raises(UserError, match="no macro contrasts for model nobody"):
        figures.forest(several.contrasts, model="nobody")


def test_panels_put_the_protocol_with_most_tasks_first(several: Simulated) -> None:
    found = figures.panels(several.contrasts)
    assert found[0] == ("local/smollm2-135m", 0, "induction")
    assert len(found) == 2 * 2 * 2


def test_only_one_protocol_is_a_clear_message(one: Simulated) -> None:
    with pytest.raises(UserError, match="no second scoring protocol"):
        figures.sensitivity(one.sensitivity.iloc[:0])


@pytest.mark.parametrize("name", ["forest", "heatmap", "baseline", "moved", "sensitivity"])
def test_figures_draw_into_given_axes(one: Simulated, name: str) -> None:
    ax = Figure(figsize=(8, 5), layout="constrained").add_subplot()
    draw: dict[str, Callable[[], Axes]] = {
        "forest": lambda: figures.forest(one.contrasts, ax=ax),
        "heatmap": lambda: figures.heatmap(one.contrasts, ax=ax),
        "baseline": lambda: figures.baseline(one.scores, ax=ax),
        "moved": lambda: figures.moved(one.contrasts, ax=ax),
        "sensitivity": lambda: figures.sensitivity(one.sensitivity, ax=ax),
    }
    assert draw[name]() is ax


def saved(ax: Axes, kind: str) -> bytes:
    figure, out = ax.get_figure(root=True), io.BytesIO()
    assert figure is not None
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}, "png": {}}
    with style.context():
        figure.savefig(out, format=kind, metadata=dates[kind])
    return out.getvalue()


def test_the_same_table_gives_the_same_bytes(one: Simulated) -> None:
    first, second = (figures.forest(one.contrasts) for _ in range(2))
    for kind in ("svg", "pdf", "png"):
        assert saved(first, kind) == saved(second, kind)


def test_the_users_own_settings_do_not_matter(one: Simulated) -> None:
    import matplotlib as mpl

    before = saved(figures.moved(one.contrasts), "svg")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "xtick.labelsize": 40}):
        assert saved(figures.moved(one.contrasts), "svg") == before


def test_fonts_are_embedded_and_svg_text_is_text(one: Simulated) -> None:
    ax = figures.forest(one.contrasts)
    pdf = saved(ax, "pdf")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b">EP02<" in saved(ax, "svg")


def overlaps(ax: Axes) -> list[tuple[str, str]]:
    """Pairs of visible texts that cover each other, and texts that leave the figure."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    with style.context():
        figure.draw_without_rendering()
        boxes = [
            (t.get_text(), t.get_window_extent())
            for t in figure.findobj(Text)
            if isinstance(t, Text) and t.get_visible() and t.get_text().strip()
        ]
    names = [text for text, _ in boxes]
    x0, y0, x1, y1 = (np.array([getattr(b, e) for _, b in boxes]) for e in ("x0", "y0", "x1", "y1"))
    page = figure.bbox
    out = (x0 < page.x0 - 1) | (x1 > page.x1 + 1) | (y0 < page.y0 - 1) | (y1 > page.y1 + 1)
    wide = np.minimum.outer(x1, x1) - np.maximum.outer(x0, x0)
    high = np.minimum.outer(y1, y1) - np.maximum.outer(y0, y0)
    pairs = np.argwhere(np.triu((wide > 1.5) & (high > 1.5), k=1))
    return [(names[i], "edge") for i in np.flatnonzero(out)] + [
        (names[i], names[j]) for i, j in pairs
    ]


LONG = "EP01+NP03+EP02-neutral@before_instruction"


@pytest.mark.parametrize(
    ("tasks", "conditions"),
    [
        (1, ["original", "EP02"]),
        (3, ["original", "zero_shot_cot", LONG]),
        (8, ["original", *(f"EP{i:02d}" for i in range(1, 12)), "NP01-neutral", LONG]),
    ],
)
def test_no_label_is_cut_or_covered(tasks: int, conditions: list[str]) -> None:
    names = [f"procedural/gender_inclusive_sentences_german_{i}" for i in range(tasks)]
    run = simulate(models=("a/very-long-model-name" * 4,), tasks=names, conditions=conditions)
    for name, ax in all_figures(run).items():
        assert overlaps(ax) == [], name


def test_forty_five_tasks_by_forty_three_conditions() -> None:
    kinds = [f"{k}{i:02d}" for k, n in (("EP", 11), ("NP", 10)) for i in range(1, n + 1)]
    conditions = ["original", *kinds, *(f"{k}-neutral" for k in kinds), "zero_shot_cot"]
    tasks = [f"procedural/logical_fallacy_detection_{i}" for i in range(45)]
    run = simulate(models=("m",), tasks=tasks, conditions=conditions, items=8)
    for name, ax in all_figures(run).items():
        figure = ax.get_figure(root=True)
        assert figure is not None
        assert figure.get_figwidth() <= style.DOUBLE
        assert figure.get_figheight() < 11.5, name
        assert overlaps(ax) == [], name


def test_dollars_and_markup_in_names_are_text() -> None:
    run = simulate(models=("$m_1^$",), tasks=["a/$x$"], conditions=["original", "E$1$ & <b>"])
    shown = texts(figures.forest(run.contrasts))
    assert "E$1$ & <b>" in shown
    assert b"E$1$ &amp; &lt;b&gt;" in saved(figures.heatmap(run.contrasts), "svg")


def test_categories_without_rows_make_no_lines(one: Simulated) -> None:
    scores = one.scores.assign(task=one.scores["task"].astype("category"))
    scores = scores[scores["task"] != TASKS[0]]
    assert TASKS[0] not in set(figures.baseline_table(scores)["task"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.23, "+1.2"), (-0.44, "−0.4"), (0.04, "0.0"), (-0.04, "0.0"), (np.nan, "–")],
)
def test_signed(value: float, text: str) -> None:
    assert marks.signed(value) == text


def test_natural_order_and_headings() -> None:
    names = ["EP10", "EP2", "EP2-neutral", "NP1"]
    assert sorted(names, key=frames.natural) == ["EP2", "EP2-neutral", "EP10", "NP1"]
    lines = frames.by_suite(["b/x_2", "b/x_10", "a/y"])
    assert [line.text for line in lines] == ["a", "y", "b", "x 2", "x 10"]
    assert [line.key for line in frames.by_suite(["b/x", "b/a"])] == ["b/a", "b/x"]


def test_the_best_of_many_stands_beside_chance() -> None:
    null = np.random.default_rng(0).normal(4, 1, 500)
    ax = figures.best_of_many(6.0, null)
    shown = texts(ax)
    assert "found: +6.0" in shown
    assert any(
        f"{null.mean():+.1f} on average, at most {np.quantile(null, 0.95):+.1f} in 95 %" in text
        for text in shown
    )
    for observed in (6.0, -3.0, 20.0):
        assert overlaps(figures.best_of_many(observed, null)) == []
    for wrong in ((np.nan, null), (1.0, []), (1.0, [np.inf])):
        with pytest.raises(UserError, match="all of them finite"):
            figures.best_of_many(*wrong)


def test_sentences_that_begin_alike_are_told_apart() -> None:
    start = "Are you sure that's your final answer?"
    sentences = {"A": f"{start} Take another look.", "B": f"{start} Believe in it.", "C": "Yes."}
    short = frames.shorten_apart(sentences, 36)
    assert short == {
        "A": "Are you sure…Take another look.",
        "B": "Are you sure…answer? Believe in it.",
        "C": "Yes.",
    }
    same = frames.shorten_apart(dict.fromkeys("AB", start * 2), 20)
    assert same["A"] == same["B"] == frames.shorten(start * 2, 20)


def test_shorten_cuts_between_words() -> None:
    assert frames.shorten("one two three", 40) == "one two three"
    assert frames.shorten("This is very important, to my career", 24) == "This is very important…"
    assert len(frames.shorten("x" * 100, 10)) == 10
