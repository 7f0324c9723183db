from __future__ import annotations

import math

import numpy as np
import pytest

import promptlab.analysis as pa
from promptlab.errors import UserError

RNG = np.random.default_rng(0)
TASKS = np.repeat(["a", "b", "c", "d"], [30, 50, 20, 40])
BASE = np.where(TASKS == "c", 0.0, (RNG.random(140) < 0.6) * 1.0)
NEW = (RNG.random(140) < 0.7) * 1.0


def test_the_primary_gain_is_the_ratio_of_macro_means() -> None:
    base = np.where(TASKS == "c", NEW, BASE)
    found = pa.macro_relative_gain(TASKS, base, NEW)
    means = [[v[t == TASKS].mean() for t in ("a", "b", "c", "d")] for v in (base, NEW)]
    assert found.estimate == pytest.approx(np.mean(means[1]) / np.mean(means[0]) - 1)
    assert found.interval == pa.fieller(*means).interval
    assert found.n == 4
    fixed = pa.macro_relative_gain(TASKS, base, NEW, generalize="fixed")
    assert fixed.estimate == pytest.approx(found.estimate)
    assert fixed.interval[0] < fixed.estimate < fixed.interval[1]
    part = pa.macro_relative_gain(TASKS, BASE, NEW)
    assert (part.note, math.isnan(part.interval[0])) == ("unbounded", True)


def test_one_task_for_itself_is_fieller_with_normal_quantiles() -> None:
    own = TASKS == "b"
    fixed = pa.macro_relative_gain(TASKS[own], BASE[own], NEW[own], generalize="fixed")
    t = pa.fieller(BASE[own], NEW[own])
    assert fixed.interval == pytest.approx(t.interval, rel=0.1)
    assert np.diff(fixed.interval) < np.diff(t.interval)


def test_every_task_stays_in_the_table_with_its_flag() -> None:
    x, y = BASE.copy(), NEW.copy()
    x[TASKS == "d"] = (np.arange(40) < 2) * 1.0
    found = pa.task_relative_gains(TASKS, x, y)
    table = found.to_frame().set_index("name")
    assert list(table.index) == ["a", "b", "c", "d"]
    assert found.flagged("undefined") == ("c",)
    assert found.flagged("unbounded") == ("d",)
    assert math.isnan(table.loc["c", "estimate"])
    assert math.isfinite(table.loc["d", "estimate"])
    assert math.isnan(table.loc["d", "lower"])
    assert found.note == "1 undefined, 1 unbounded"
    one = pa.fieller(x[TASKS == "a"], y[TASKS == "a"])
    assert table.loc["a", ["lower", "upper"]].tolist() == pytest.approx(list(one.interval))
    assert table.loc["a", "g"] == pytest.approx(one.g)


def test_a_normalised_ratio_only_above_chance() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random(200) < 0.8) * 1.0
    better = (rng.random(200) < 0.9) * 1.0
    found = pa.normalized_relative_gain(right, better, 0.25, 1.0)
    scaled = [(v.mean() - 0.25) / 0.75 for v in (right, better)]
    assert found.estimate == pytest.approx(scaled[1] / scaled[0] - 1)
    assert found.estimate > pa.fieller(right, better).estimate, "not invariant to chance"
    chance = (rng.random(200) < 0.25) * 1.0
    with pytest.raises(UserError, match="difference in points"):
        pa.normalized_relative_gain(chance, better, 0.25, 1.0)
    with pytest.raises(UserError, match="one number, or one for each of 200 pairs"):
        pa.normalized_relative_gain(right, better, np.zeros((2, 1)), 1.0)
