from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from promptlab.analysis import simulate_race
from promptlab.analysis.race_simulation import SIMULATION_COLUMNS, Design, spending_bounds
from promptlab.analysis.race_tables import effects_table, errors_table

N = 240


def value(frame: pd.DataFrame, quantity: str, effect: float = math.nan, by: str = "race") -> float:
    rows = frame[(frame["quantity"] == quantity) & (frame["procedure"] == by)]
    at = rows["effect"].isna() if math.isnan(effect) else rows["effect"] == effect
    return float(rows[at]["value"].iloc[0])


@pytest.mark.parametrize(
    "design",
    [
        Design("noisy", (0.0,) * 10),
        Design("stable", (0.0,) * 10, concentration=0.5),
        Design("ceiling", (0.0,) * 10, mean=0.97),
        Design("tasks differ", (0.0,) * 5, spread=0.1),
        Design("every item", (0.0,) * 5, tasks=3, items=20, block=1),
        Design("one", (0.0,), items=40),
    ],
    ids=lambda d: d.name,
)
def test_under_no_effect_errors_are_rare_and_requests_are_saved(design: Design) -> None:
    found = simulate_race(design, simulations=N, seed=1)
    assert list(found.columns) == list(SIMULATION_COLUMNS)
    assert value(found, "fwer") <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / N)
    assert value(found, "saved") > 0.1  # next to the ceiling many wait to be equivalent


def test_effects_are_found_and_the_best_is_not_dropped() -> None:
    effects = (0.02, 0.05, 0.10, -0.05, -0.10, *(0.0,) * 5)
    found = simulate_race(Design("e", effects, concentration=0.5), simulations=N, seed=2)
    assert value(found, "fwer") <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / N)
    assert value(found, "false not best") <= 0.05
    assert value(found, "found", 0.10) > 0.95
    assert value(found, "found", -0.10) > 0.95
    assert value(found, "found", 0.05) > 0.8
    assert value(found, "saved", -0.10) > 0.6
    assert value(found, "saved", 0.0) > 0.5
    assert value(found, "saved") > 0.4
    assert value(found, "found", 0.05, by="full") >= value(found, "found", 0.05)


def test_the_same_seed_gives_the_same_figures() -> None:
    design = Design("d", (0.0, 0.1), tasks=3, items=20)
    first, second = (simulate_race(design, simulations=50, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_spending_bounds_are_the_published_ones() -> None:
    """Five looks, two-sided 5 %, O'Brien-Fleming-like spending: Reboussin, DeMets, Kim and Lan
    (2000), Controlled Clinical Trials 21, computed by their program."""
    published = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]
    np.testing.assert_allclose(spending_bounds(5, 0.05), published, atol=0.02)
    assert spending_bounds(1, 0.05)[0] == pytest.approx(1.96, abs=0.005)


def test_tables_have_a_row_for_each_design_and_effect() -> None:
    frames = [
        simulate_race(d, simulations=20)
        for d in (
            Design("no effect", (0.0,) * 2, tasks=2, items=20),
            Design("effects", (0.1, 0.0), tasks=2, items=20),
        )
    ]
    frame = pd.concat(frames, ignore_index=True)
    assert len(errors_table(frame).splitlines()) == 4
    lines = effects_table(frame).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| effects | +10 |")
