"""Rehearsing an experiment: simulated scores, and what its own analysis says of them."""

from __future__ import annotations

import pandas as pd
import pytest

from promptlab.analysis.calibration.designs import (
    NOISY,
    concentration_of,
    discordance_of,
    improve,
    item_chances,
)
from promptlab.analysis.calibration.rehearsal import EVERY, Rehearsal, rehearse
from promptlab.analysis.calibration.rehearsal_words import assumption, rehearsal_sentences
from promptlab.analysis.calibration.worlds import Shape, Truth, simulated_scores
from promptlab.analysis.contrast_table import contrasts
from promptlab.errors import UnknownName, UserError

CONDITIONS = ("original", "EP01", "EP02", "EP01-neutral")


def shape(n_tasks: int = 8, n_items: int = 40, **more: object) -> Shape:
    tasks = [f"suite/t{i}" for i in range(n_tasks)]
    return Shape(
        models=("m",),
        cells=tuple((task, c, 0) for task in tasks for c in CONDITIONS),
        items=dict.fromkeys(tasks, n_items),
        protocols=dict.fromkeys(tasks, "exact"),
        conditions=tuple(
            {
                "condition": c,
                "method": "original" if c == "original" else "stimulus",
                "valence": {"original": "none", "EP01-neutral": "neutral"}.get(c, "positive"),
            }
            for c in CONDITIONS
        ),
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def rehearsed() -> Rehearsal:
    truth = Truth(0.6, NOISY, {"EP01": 0.15}, 0.02)
    return rehearse(shape(), truth, simulations=20, seed=1)


def found(rehearsal: Rehearsal, scenario: str, quantity: str, condition: str = EVERY) -> float:
    table = rehearsal.to_frame().set_index(["scenario", "condition", "quantity"])
    return float(table.loc[(scenario, condition, quantity), "value"])


def test_simulated_scores_are_what_was_asked_for() -> None:
    one = shape(n_tasks=6, n_items=4000)
    scores = simulated_scores(one, Truth(0.6, NOISY, {"EP01": 0.1, "EP02": -0.2}), seed=3)
    means = scores.groupby("condition")["score"].mean()
    assert means["original"] == pytest.approx(0.6, abs=0.015)
    assert means["EP01"] == pytest.approx(0.7, abs=0.015)
    assert means["EP02"] == pytest.approx(0.4, abs=0.015)
    wide = scores.pivot_table(index=["task", "item_id"], columns="condition", values="score")
    moved = (wide["original"] != wide["EP01-neutral"]).mean()
    assert moved == pytest.approx(discordance_of(0.6, NOISY), abs=0.015)


def test_replicates_shots_and_models_have_rows_of_their_own() -> None:
    base = shape(n_tasks=2, n_items=5)
    cells = tuple((t, c, s) for t, c, _ in base.cells for s in (0, 5))
    many = Shape(
        ("a", "b"), cells, base.items, base.protocols, base.conditions, replicates=3, options={}
    )
    scores = simulated_scores(many, Truth(0.5, NOISY))
    assert len(scores) == 2 * 2 * 2 * 4 * 5 * 3
    key = ["model", "task", "shots", "condition", "item_id", "replicate"]
    assert not scores.duplicated(key).any()
    table = contrasts(scores, pd.DataFrame(list(many.conditions)))
    assert set(zip(table["model"], table["shots"], strict=True)) == {
        ("a", 0),
        ("a", 5),
        ("b", 0),
        ("b", 5),
    }


def test_without_effect_the_family_holds_and_the_best_stimulus_gains(rehearsed: Rehearsal) -> None:
    assert found(rehearsed, "none", "confirmatory: any better or worse") <= 0.2
    assert found(rehearsed, "none", "coverage of intervals over tasks") > 0.85
    assert found(rehearsed, "none", "best stimulus per task: gain") > 0.02
    assert found(rehearsed, "none", "raw p: any better or worse") >= found(
        rehearsed, "none", "any better or worse"
    )


def test_a_large_effect_is_found(rehearsed: Rehearsal) -> None:
    assert found(rehearsed, "effects", "power", "EP01") > 0.7
    assert found(rehearsed, "effects", "wrong direction", "EP01") == 0
    assert found(rehearsed, "effects", "estimate", "EP01") == pytest.approx(0.15, abs=0.02)
    assert found(rehearsed, "effects", "exaggeration when found", "EP01") >= 0.9
    outcomes = ("power", "wrong direction", "equivalent", "inconclusive")
    shares = [found(rehearsed, "effects", q, "EP01") for q in outcomes]
    assert sum(shares) == pytest.approx(1)


def test_sentences(rehearsed: Rehearsal) -> None:
    sentences = rehearsal_sentences(rehearsed)
    assert sentences[0].startswith("With no effect at all this analysis would say 'better'")
    assert any("EP01 truly changes accuracy by +15.0 points" in s for s in sentences)
    assert any("picked afterwards, would gain +" in s for s in sentences)
    assert all(s.endswith(".") for s in sentences)
    assert "20 rehearsals" in assumption(rehearsed)
    assert "nan" not in " ".join(sentences)


def test_processes_change_nothing() -> None:
    truth = Truth(0.6, NOISY, {"EP02": -0.1}, 0.02)
    seen: list[int] = []
    small = shape(n_tasks=5, n_items=10)
    one, two = (
        rehearse(
            small,
            truth,
            simulations=4,
            processes=n,
            progress=lambda what, done, every: seen.append(done),
        )
        for n in (1, 2)
    )
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())
    assert seen == [4, 8] * 2
    assert one.to_frame()["value"].notna().all()


def test_fixed_tasks_are_judged_by_the_effects_that_were_drawn() -> None:
    truth = Truth(0.5, NOISY, {}, 0.15)
    both = {
        tasks: rehearse(
            shape(n_tasks=6, n_items=60, options={"tasks": tasks}), truth, simulations=7
        )
        for tasks in ("random", "fixed")
    }
    covered = {
        tasks: found(r, "effects", "coverage of intervals over tasks") for tasks, r in both.items()
    }
    assert min(covered.values()) > 0.8


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'EP01'"):
        rehearse(shape(), Truth(0.6, NOISY, {"EP1": 0.1}))
    with pytest.raises(UserError, match="leaves the scale"):
        rehearse(shape(), Truth(0.9, NOISY, {"EP01": 0.2}))
    with pytest.raises(UserError, match="at least 2"):
        rehearse(shape(), Truth(0.9, NOISY), simulations=1)
    with pytest.raises(UserError, match="not possible"):
        concentration_of(0.9, 0.3)


@pytest.mark.parametrize("effect", [-0.3, -0.05, 0.0, 0.05, 0.3])
def test_an_effect_moves_the_mean_by_itself(effect: float) -> None:
    import numpy as np

    p = item_chances(np.random.default_rng(0), 0.6, NOISY, (200_000,))
    moved = improve(p, 0.6, effect)
    assert moved.mean() - p.mean() == pytest.approx(effect, abs=3e-3)
    assert ((moved >= 0) & (moved <= 1)).all()
    assert concentration_of(0.6, discordance_of(0.6, NOISY)) == pytest.approx(NOISY)
