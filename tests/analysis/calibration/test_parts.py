"""A fast subset of the calibration: the rule holds, and naive claims are seen to fail."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from promptlab.analysis.calibration import PARTS, calibrate, closing, failures
from promptlab.analysis.calibration.exact import DESIGNS, coverage
from promptlab.errors import UnknownName, UserError


def run(part: str, simulations: int, *designs: str) -> pd.DataFrame:
    return calibrate(only=[part], designs=designs, exactly=simulations, seed=11)


def value(table: pd.DataFrame, procedure: str, quantity: str = "type I") -> pd.Series:
    rows = table[(table["procedure"] == procedure) & (table["quantity"] == quantity)]
    assert len(rows)
    return rows.set_index("design")["value"]


@pytest.mark.parametrize(
    ("part", "simulations"),
    [
        ("single", 1000),
        ("over_tasks", 200),
        ("relative", 60),
        ("replicates", 1000),
        ("equivalent", 5000),
        ("many", 60),
    ],
)
def test_the_rule_holds_and_the_reference_agrees(part: str, simulations: int) -> None:
    table = run(part, simulations)
    assert list(dict.fromkeys(table["design"])) == list(PARTS[part].designs)
    assert table["valid"].any()
    assert failures(table).empty, failures(table)
    differs = table[table["agrees"].eq(False)]
    assert differs.empty, differs


def test_the_best_of_many_stimuli_is_a_false_positive_machine() -> None:
    table = run("best_of", 12, "K=10 noisy")
    assert failures(table).empty, failures(table)
    for test in ("naive t", "naive Wilcoxon"):
        assert value(table, f"mean of per-task maxima: {test}").item() == 1.0
    assert value(table, "any task x stimulus: naive mid-p").item() > 0.5
    assert value(table, "best overall stimulus: naive t").item() > 0.05
    assert 5.5 < value(table, "mean of per-task maxima", "points").item() < 7
    assert 11 < value(table, "mean of per-task maxima", "relative gain (%)").item() < 15
    assert abs(value(table, "per-task winner, cross-fit", "points").item()) < 0.8


def test_choosing_for_each_task_pays_when_effects_differ_by_task() -> None:
    table = run("best_of", 8, "K=10 task effects")
    assert failures(table).empty
    assert value(table, "per-task winner, cross-fit", "points").item() > 8
    label = table[table["procedure"] == "mean of per-task maxima: label permutation"].iloc[0]
    assert (label["value"], label["claim"]) == (1.0, "other")
    assert "hypothesis" in label["verdict"]


def test_a_race_holds_its_errors_and_saves_requests() -> None:
    table = run("race", 40, "no effect, 10 stimuli, noisy", "effects, 10 stimuli, stable")
    assert failures(table).empty, failures(table)
    wrong = table[table["quantity"] == "type I"].set_index("procedure")["claim"]
    assert set(wrong[wrong.index.str.startswith("race")]) == {"valid"}
    assert set(wrong[~wrong.index.str.startswith("race")]) == {"shown"}
    assert value(table, "race", "saved share").between(0.4, 0.8).all()
    power = {by: value(table, f"{by}: +5 points", "power").item() for by in ("race", "full design")}
    assert 0.7 < power["race"] <= power["full design"]
    said = closing(table)
    assert "A race errs in at most " in said
    assert f"A true +5 points is found in {100 * power['race']:.0f} % of races" in said


def test_the_average_stimulus_near_the_ceiling() -> None:
    table = run("one_task", 100, "n=20 K=11 ceiling homogeneous")
    assert failures(table).empty, failures(table)
    for test in ("t over items", "sign-flip over items"):
        rows = table[table["procedure"] == f"average: {test}"]
        assert rows["value"].item() > 0.15
        assert rows["verdict"].item() == "false claims"


@pytest.fixture(scope="module")
def exact() -> dict[str, dict[str, tuple[float, str]]]:
    return {name: dict(coverage(design)) for name, design in DESIGNS.items()}


def test_exact_coverage_by_enumeration(exact: dict[str, dict[str, tuple[float, str]]]) -> None:
    found = exact
    small = found["n=20 discordance 0.10 difference 0.05"]
    assert small["Tango"][0] == pytest.approx(0.995, abs=5e-4)
    assert small["Wald"][0] == pytest.approx(0.78, abs=5e-3)
    assert found["n=20 discordance 0.06 difference 0.04"]["BCa bootstrap"][0] < 0.6
    assert found["n=50 discordance 0.10 difference 0.00"]["BCa bootstrap"][0] == pytest.approx(
        0.906, abs=5e-4
    )
    for intervals in found.values():
        assert all(share >= 0.93 for share, claim in intervals.values() if claim == "valid")


def test_exact_coverage_agrees_with_a_simulation(
    exact: dict[str, dict[str, tuple[float, str]]],
) -> None:
    from promptlab.analysis.intervals import tango_limits

    name = "n=100 discordance 0.06 difference 0.04"
    design = DESIGNS[name]
    gain, loss = design.shares
    drawn = np.random.default_rng(5).multinomial(design.n, [gain, loss, 1 - gain - loss], 20_000)
    low, high = tango_limits(drawn[:, 0], drawn[:, 1], design.n)
    inside = ((low <= design.difference) & (high >= design.difference)).mean()
    assert exact[name]["Tango"][0] == pytest.approx(inside, abs=0.006)


def test_processes_change_nothing() -> None:
    one, two = (calibrate(only=["many"], exactly=60, seed=2, processes=n) for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_a_part_is_a_function_from_design_simulations_and_seed_to_rows() -> None:
    rows = PARTS["replicates"]("R=5", 200, 3)
    assert set(rows["design"]) == {"R=5"}
    pd.testing.assert_frame_equal(rows, PARTS["replicates"]("R=5", 200, 3))
    assert not rows.equals(PARTS["replicates"]("R=5", 200, 4))


def test_sign_flip_of_graded_scores_holds_its_level() -> None:
    from promptlab.analysis.signflip import sign_flip_p

    rng, simulations = np.random.default_rng(8), 1500
    p = rng.random((20, simulations))
    pvalues, _ = sign_flip_p(rng.beta(2 + p, 3 - p) - rng.beta(2 + p, 3 - p))
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / simulations)
    assert (pvalues <= 0.05).mean() <= limit


def test_unknown_names_and_too_few() -> None:
    with pytest.raises(UnknownName, match="did you mean 'best_of'"):
        calibrate(only=["best_off"])
    with pytest.raises(UserError, match="no part has such a design"):
        calibrate(only=["many"], designs=["nowhere"], exactly=2)
    with pytest.raises(UserError, match="at least 2"):
        calibrate(only=["many"], exactly=1)


def test_the_closing_sentence_counts() -> None:
    table = run("equivalent", 2000)
    assert closing(table).startswith("All 2 claims to hold a level or to cover are kept")
    broken = table.assign(verdict="FAILS: rejects too often")
    assert closing(broken).startswith("0 of 2 claims")
