"""Rehearsing an experiment: simulated scores, and what its own analysis says of them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pandas as pd
import pytest

from promptlab.analysis.calibration import rehearsal
from promptlab.analysis.calibration.designs import (
    NOISY,
    concentration_of,
    discordance_of,
    improve,
    item_chances,
)
from promptlab.analysis.calibration.race_rehearsal import RaceShape, rehearse_race
from promptlab.analysis.calibration.rehearsal import EVERY, Rehearsal, rehearse
from promptlab.analysis.calibration.rehearsal_words import assumption, rehearsal_sentences
from promptlab.analysis.calibration.worlds import Shape, Truth, simulated_scores
from promptlab.analysis.contrast_table import contrasts
from promptlab.analysis.race_designs import Design
from promptlab.analysis.race_rules import RaceRules
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
    return rehearse(shape(), truth, simulations=12, seed=1)


def found(done: Rehearsal, scenario: str, quantity: str, condition: str = EVERY) -> float:
    table = done.to_frame().set_index(["scenario", "condition", "quantity"])
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
    assert "12 rehearsals" in assumption(rehearsed)
    assert "nan" not in " ".join(sentences)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal depends on its number alone, so it may be done anywhere."""
    truth, small = Truth(0.6, NOISY, {"EP02": -0.1}, 0.02), shape(n_tasks=5, n_items=10)
    seen: list[int] = []

    def progress(what: str, done: int, every: int) -> None:
        seen.append(done)

    one = rehearse(small, truth, simulations=3, progress=progress)
    monkeypatch.setattr(rehearsal, "_BLOCK", 2)
    two = rehearse(pickle.loads(pickle.dumps(small)), truth, simulations=3, progress=progress)
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())
    assert seen == [3, 6, 2, 3, 5, 6]
    assert one.to_frame()["value"].notna().all()


def test_contrasts_of_one_condition_are_kept_apart() -> None:
    options = {
        "contrasts": ["vs_control", {"name": "mine", "weights": {"EP01": 1, "original": -1}}],
        "confirmatory": ["vs_control"],
    }
    base = shape(n_tasks=6, n_items=20, options=options)
    matched = tuple(
        {**row, "matched_to": "EP01" if row["condition"] == "EP01-neutral" else ""}
        for row in base.conditions
    )
    both = {"EP01": 0.3, "EP01-neutral": 0.25}
    made = replace(base, conditions=matched)
    assert made.family == {("vs_control", "EP01", "EP01-neutral")}
    rehearsed = rehearse(made, Truth(0.5, NOISY, both), simulations=3)
    table = rehearsed.to_frame()
    estimates = table[table["quantity"] == "estimate"].set_index(["contrast", "condition"])
    assert list(estimates.index) == [
        ("vs_original", "EP01"),
        ("vs_original", "EP01-neutral"),
        ("vs_control", "EP01"),
        ("mine", "EP01"),
    ]
    assert (estimates["simulations"] == 3).all()
    assert list(estimates["baseline"]) == ["original", "original", "EP01-neutral", "original"]
    assert estimates["value"].to_numpy() == pytest.approx([0.3, 0.25, 0.05, 0.3], abs=0.08)
    family = table[table["quantity"].str.startswith("confirmatory: any false")]
    assert list(family["contrast"]) == [""]
    said = rehearsal_sentences(rehearsed)
    assert sum("EP01 truly changes accuracy by +30.0 points" in s for s in said) == 1
    assert any("difference of EP01 from EP01-neutral (vs_control) is +5.0" in s for s in said)


def race_shape(*contestants: str, **more: object) -> RaceShape:
    designs = Design("r", (0.0,) * len(contestants), tasks=4, items=50, answers=(2.0, 4.0, 2.0))
    rules = RaceRules(len(contestants), 200)
    return RaceShape((designs,), (rules,), (contestants,), "original", **more)  # type: ignore[arg-type]


def test_a_race_is_rehearsed_as_a_race() -> None:
    truth = Truth(0.5, NOISY, {"EP01": 0.3}, 0.02)
    race = rehearse_race(race_shape("EP01", "EP02"), truth, simulations=120, seed=2)
    assert found(race, "none", "race: any better or worse") <= 0.05 + 3 * 0.02
    assert 0.3 < found(race, "none", "race: saved share") < 0.9
    assert found(race, "effects", "power", "EP01") > 0.9
    assert found(race, "effects", "power of the full design", "EP01") > 0.9
    outcomes = ("power", "wrong direction", "equivalent", "inconclusive")
    assert sum(found(race, "effects", q, "EP01") for q in outcomes) == pytest.approx(1)
    own, other = (found(race, "effects", q, c) for q, c in
                  (("saved share", "EP01"), ("race: saved share", EVERY)))  # fmt: skip
    assert own < other
    said = rehearsal_sentences(race)
    assert said[0].startswith("With no effect at all a race would call some condition better")
    assert any("% of the condition's requests are saved" in s for s in said)
    assert "nan" not in " ".join(said)
    again = rehearse_race(race_shape("EP01", "EP02"), truth, simulations=120, seed=2)
    pd.testing.assert_frame_equal(race.to_frame(), again.to_frame())
    with pytest.raises(UnknownName, match="did you mean"):
        rehearse_race(race_shape("EP01", "EP02"), Truth(0.5, NOISY, {"EP03": 0.1}))
    with pytest.raises(UserError, match="does not fit beside"):
        rehearse_race(race_shape("EP01", "EP02"), Truth(0.5, NOISY, {"EP01": 0.49}, 0.05))


def test_what_stays_longer_weighs_more_in_what_is_saved() -> None:
    """EP01 has twice the answers of EP02, as a stimulus with a control has."""
    saved = [
        found(
            rehearse_race(
                race_shape("EP01", "EP02"), Truth(0.5, NOISY, {who: 0.15}), simulations=60
            ),
            "effects",
            "race: saved share",
        )
        for who in ("EP01", "EP02")
    ]
    assert saved[0] < saved[1] - 0.03


def test_fixed_tasks_are_judged_by_the_effects_that_were_drawn() -> None:
    truth = Truth(0.5, NOISY, {}, 0.15)
    both = {
        tasks: rehearse(
            shape(n_tasks=6, n_items=60, options={"tasks": tasks}), truth, simulations=3
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
