from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from promptlab.analysis import Race, race
from promptlab.analysis.race_rules import RaceRules
from promptlab.analysis.race_simulation import Design, run_races
from promptlab.errors import UnknownName, UserError


def scores(
    effects: list[float], tasks: int = 6, items: int = 60, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Original, variants and tasks with known effects; half of the items are always right."""
    rng = np.random.default_rng(seed)
    n = tasks * items
    easy = rng.random(n) < 0.5
    x = np.where(rng.random(n) < 0.1, ~easy, easy) * 1.0
    columns = []
    for effect in effects:
        y = np.where(rng.random(n) < 0.1, ~easy, easy) * 1.0
        luck = rng.random(n)
        y = np.where(luck < 2 * max(effect, 0), 1.0, np.where(luck < -2 * min(effect, 0), 0.0, y))
        columns.append(y)
    return x, np.column_stack(columns), np.repeat([f"t{i}" for i in range(tasks)], items)


def by_name(found: Race) -> pd.DataFrame:
    return found.to_frame().set_index("condition")


def test_helpful_harmful_and_idle_stimuli_part() -> None:
    x, y, tasks = scores([0.3, -0.3, 0.0, 0.0])
    found = race(x, y, tasks=tasks, names=["good", "bad", "idle", "lazy"])
    table = by_name(found)
    assert table.loc["good", "verdict"] == "better"
    assert table.loc["bad", "verdict"] == "worse"
    assert table.loc["bad", "left"] == "worse"
    assert set(table.loc[["idle", "lazy"], "verdict"]) == {"inconclusive"}
    assert set(table.loc[["idle", "lazy"], "left"]) == {"futile"}
    assert table.loc["good", "lower"] > 0 > table.loc["bad", "upper"]
    assert table.loc["bad", "n"] < 360
    assert not found.running
    assert found.asked_share < 0.7
    assert "left early" in table.loc["bad", "note"]
    assert "good better" in repr(found)
    assert " points lower than the original" in repr(found.results()[1])


def test_the_path_is_nested_and_ends_where_it_says() -> None:
    x, y, tasks = scores([0.3, -0.3, 0.0])
    found = race(x, y, tasks=tasks, names=["good", "bad", "idle"])
    path, table = found.path(), by_name(found)
    for name, rows in path.groupby("condition"):
        assert (rows["lower"].diff().dropna() >= 0).all()
        assert (rows["upper"].diff().dropna() <= 0).all()
        assert (rows["pvalue"].diff().dropna() <= 0).all()
        assert rows["block"].tolist() == list(range(1, int(table.loc[name, "block"]) + 1))
        assert rows["left"].iloc[-1] == table.loc[name, "left"]
        assert (rows["left"].iloc[:-1] == "").all()


def test_goals_differ_in_whom_they_keep() -> None:
    x, y, tasks = scores([0.4, 0.2, -0.05, 0.0], items=100)
    names = ["best", "good", "bad", "idle"]
    tables = {
        goal: by_name(race(x, y, tasks=tasks, names=names, goal=goal))  # type: ignore[arg-type]
        for goal in ("differ", "best", "both")
    }
    assert tables["differ"].loc["best", "left"] == "better"
    assert tables["best"].loc["good", "left"] == "not best"
    assert tables["best"].loc["good", "beaten_by"] == "best"
    assert tables["best"].loc["best", "left"] == "best"
    assert tables["both"].loc["good", "left"] == "not best"
    assert tables["both"].loc["good", "verdict"] == "better"
    assert tables["both"].loc["best", "left"] == "best"
    assert tables["differ"].loc["best", "n"] <= tables["both"].loc["best", "n"]


def test_equivalence_needs_the_interval_inside_the_margin() -> None:
    x, y, tasks = scores([0.0], items=400)
    y = np.where(np.random.default_rng(1).random(y.shape) < 0.01, y, x[:, None])
    found = race(x, y, tasks=tasks, margin=0.03).results()[0]
    assert (found.verdict, found.left) == ("equivalent", "equivalent")
    # The interval of level 1 - 2 alpha lies inside; that of level 1 - alpha is a little wider.
    assert -0.035 < found.interval[0] < found.interval[1] < 0.035


def test_a_control_leaves_with_its_stimulus_and_shares_no_alpha() -> None:
    x, y, tasks = scores([-0.3, 0.0, 0.0])
    names = ["EP", "EP-neutral", "other"]
    with_control = race(x, y, tasks=tasks, names=names, controls={"EP-neutral": "EP"})
    table = by_name(with_control)
    assert with_control.rules.stimuli == 2
    assert table.loc["EP-neutral", "left"] == "control"
    assert table.loc["EP-neutral", "block"] == table.loc["EP", "block"]
    assert table.loc["EP-neutral", "control_of"] == "EP"
    assert table.loc["EP-neutral", "pvalue"] == table.loc["EP-neutral", "p_adjusted"]
    alone = by_name(race(x, y[:, [0, 2]], tasks=tasks, names=["EP", "other"]))
    assert alone.loc["EP", "lower"] == pytest.approx(table.loc["EP", "lower"])


def test_missing_scores_are_left_out_and_wait_for_their_task() -> None:
    x, y, tasks = scores([0.3, 0.0])
    y[(tasks == "t0"), 1] = np.nan  # a task that the second stimulus never answers
    y[3, 0] = np.nan
    table = by_name(race(x, y, tasks=tasks, names=["good", "mute"]))
    assert table.loc["mute", "n"] == 0
    assert np.isnan(table.loc["mute", "estimate"])
    assert table.loc["mute", "note"].startswith("undefined")
    assert table.loc["mute", "verdict"] == "inconclusive"
    assert table.loc["good", "verdict"] == "better"


def test_a_stimulus_without_a_task_is_compared_on_the_others() -> None:
    x, y, tasks = scores([0.3, 0.3])
    state = Race(
        ["everywhere", "partly"],
        planned=dict.fromkeys(np.unique(tasks), 60),
        without={"partly": ["t0"]},
        goal="differ",
    )
    block = np.arange(x.size) % 60 < 30
    both = np.column_stack([x, y])
    both[tasks == "t0", 2] = np.nan
    state.add(both[block], tasks[block])
    table = by_name(state)
    assert table.loc["partly", "n"] == 150
    assert table.loc["everywhere", "n"] == 180
    assert table.loc["partly", "planned"] == 300


def test_shrunken_estimates_lie_between_zero_and_the_estimate() -> None:
    x, y, tasks = scores([0.2, -0.1, 0.0, 0.05])
    for one in race(x, y, tasks=tasks).results():
        assert abs(one.shrunken) <= abs(one.estimate)
        assert one.shrunken * one.estimate >= 0


@pytest.mark.parametrize("goal", ["both", "differ", "best"])
def test_the_simulation_decides_as_the_race_does(goal: str) -> None:
    """Counts of many experiments at once, and scores of one block after the other."""
    tasks, items, block, k = 4, 40, 5, 4
    rng = np.random.default_rng(3)
    rules = RaceRules(k, tasks * items, goal)  # type: ignore[arg-type]
    for _ in range(6):
        p = rng.beta(1, 1, (items // block, tasks * block))[..., None]
        y = (rng.random((*p.shape[:2], k + 1)) < p).astype(np.float64)
        y[..., 1] = np.where(rng.random(p.shape[:2]) < 0.5, 1, y[..., 1])
        y[..., 2] = np.where(rng.random(p.shape[:2]) < 0.5, 0, y[..., 2])
        pairs = np.swapaxes(y, -1, -2) @ (1 - y)
        gains, losses = pairs[..., 1:, 0], pairs[..., 0, 1:]
        counts = np.stack([gains, losses, tasks * block - gains - losses], axis=-1)
        many = run_races(rules, rules.bets(), counts[None], pairs[None, ..., 1:, 1:])
        names = [f"t{i}" for i in range(tasks)]
        one = Race([str(i) for i in range(k)], planned=dict.fromkeys(names, items), goal=rules.goal)
        for b in range(items // block):
            if not one.running:
                break
            one.add(y[b], np.repeat(names, block))
        table = one.to_frame()
        assert many.blocks[0].tolist() == table["block"].tolist()
        assert many.better[0].tolist() == (table["verdict"] == "better").tolist()
        assert many.worse[0].tolist() == (table["verdict"] == "worse").tolist()


def test_wrong_input_is_a_clear_error() -> None:
    x, y, tasks = scores([0.1, 0.1])
    with pytest.raises(UserError, match="items x stimuli"):
        race(x, y[:-1], tasks=tasks)
    with pytest.raises(UserError, match="one task for each"):
        race(x, y, tasks=tasks[:-1])
    with pytest.raises(UserError, match=r"scores in \[0, 1\]"):
        race(x, y * 3, tasks=tasks)
    with pytest.raises(UserError, match="every stimulus once"):
        race(x, y, names=["a", "a"])
    with pytest.raises(UnknownName, match="goal"):
        race(x, y, goal="fastest")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="alone is the best"):
        race(x, y[:, :1], goal="best")
    with pytest.raises(UnknownName, match="control"):
        race(x, y, names=["a", "b"], controls={"b": "c"})
    with pytest.raises(UserError, match="futility"):
        race(x, y, futility=1.0)
    state = Race(["bad"], planned={"t": 40})
    state.add(np.column_stack([np.ones(20), np.zeros(20)]), ["t"] * 20)
    assert state.to_frame()["left"].tolist() == ["worse"]
    with pytest.raises(UnknownName, match="task"):
        Race(["a"], planned={"t": 5}).add([[0, 0]], ["u"])
    with pytest.raises(UserError, match="race is over"):
        state.add([[1, 0]], ["t"])


def test_designs_that_do_not_fit_are_refused() -> None:
    from promptlab.analysis import simulate_race

    with pytest.raises(UserError, match="evenly"):
        simulate_race(Design("d", (0.0,), items=7, block=2))
    with pytest.raises(UserError, match="does not fit"):
        simulate_race(Design("d", (0.6,)))


def test_the_figure_has_a_lane_for_every_stimulus() -> None:
    from promptlab.analysis import figures

    x, y, tasks = scores([0.3, -0.3, 0.0])
    found = race(x, y, tasks=tasks, names=["good", "bad", "idle"])
    axes = figures.race(found.path(), blocks=12, title="model")
    shown = {text.get_text() for text in axes.texts}
    assert {"good", "bad", "idle", "model", "worse", "no longer decidable"} <= shown
    assert axes.get_xlim() == (0.5, 12.5)
    with pytest.raises(UserError, match="not begun"):
        figures.race(found.path().iloc[:0])
