"""The rule of the calibration, on numbers made to order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from promptlab.analysis.calibration.judge import judged, references, verdict
from promptlab.analysis.calibration.parts import PARTS
from promptlab.analysis.calibration.tally import Claim, Sum, Tally


def share(value: float, n: int, claim: Claim = "valid") -> Sum:
    return Sum(claim, value * n, value * n, n)


@pytest.mark.parametrize(
    ("found", "quantity", "words"),
    [
        (share(0.05, 10_000), "type I", "holds"),
        (share(0.056, 10_000), "type I", "holds"),
        (share(0.057, 10_000), "type I", "FAILS: rejects too often"),
        (share(0.08, 10_000), "false discovery rate", "FAILS: rejects too often"),
        (share(0.08, 10_000, "naive"), "type I", "false claims"),
        (share(0.08, 10_000, "shown"), "type I", "above 5 %"),
        (share(0.02, 10_000, "naive"), "type I", "not above 5 %"),
        (share(0.6, 100, "control"), "type I", "false claims, as it must"),
        (share(0.4, 100, "control"), "type I", "FAILS: the control did not fail"),
        (share(1.0, 100, "other"), "type I", "its own hypothesis is false here"),
        (share(0.94, 10_000), "coverage", "covers"),
        (share(0.92, 10_000), "coverage", "FAILS: covers too little"),
        (share(0.9, 100), "coverage", "covers"),
        (share(0.87, 100, "shown"), "coverage", "covers too little"),
        (Sum("valid", 0.929, 0.0, 0), "coverage", "FAILS: covers too little"),
        (share(0.4, 100, "shown"), "power", ""),
    ],
)
def test_the_rule(found: Sum, quantity: str, words: str) -> None:
    assert verdict(found, quantity) == words


def test_the_reference_is_compared_with_the_error_of_both() -> None:
    def row(rate: float, n: int) -> object:
        tally = Tally()
        hits = round(rate * n)
        tally.add("McNemar mid-p", "type I", [1.0] * hits + [0.0] * (n - hits), claim="valid")
        return judged({("single", "n=100 noisy"): tally}).iloc[0]

    near, far = row(0.049, 40_000), row(0.054, 40_000)
    assert near["reference"] == ".047"
    assert (near["agrees"], far["agrees"]) == (True, False)
    assert far["verdict"].endswith("differs from the reference")
    assert row(0.054, 1000)["agrees"]


def test_every_reference_belongs_to_a_design() -> None:
    for part, design, procedure, quantity in references():
        assert design in PARTS[part].designs, (part, design)
        assert procedure
        assert quantity
    assert all(r.source and r.ends[0] < r.ends[1] for r in references().values())


def test_every_reference_is_met_by_a_row() -> None:
    from promptlab.analysis.calibration import calibrate

    parts = [name for name in PARTS if name not in ("best_of", "one_task", "exact")]
    table = calibrate(only=parts, exactly=4, seed=1)
    costly = calibrate(
        only=["best_of", "one_task", "exact"],
        designs=[
            *("K=10 noisy", "K=10 task effects", "n=20 K=10 mid noisy"),
            "n=20 discordance 0.10 difference 0.05",
        ],
        exactly=2,
        seed=1,
    )
    rows = {
        (r.part, r.design, r.procedure, r.quantity)
        for frame in (table, costly)
        for r in frame.itertuples()
    }
    seen = {(part, design) for part, design, _, _ in rows}
    wanted = {key for key in references() if key[:2] in seen}
    assert wanted <= rows, wanted - rows


def test_sums_can_be_merged_in_any_pieces() -> None:
    outcomes = np.random.default_rng(0).random(100)
    whole, pieces = Tally(), Tally()
    whole.add("p", "q", outcomes)
    for part in np.split(outcomes, 4):
        piece = Tally()
        piece.add("p", "q", part)
        pieces.merge(piece)
    (_, _, a), (_, _, b) = *whole, *pieces
    assert a.mean == pytest.approx(b.mean)
    assert a.error == pytest.approx(outcomes.std() / math.sqrt(100))
    assert b.error == pytest.approx(a.error)


def test_outcomes_that_are_not_there_do_not_count() -> None:
    tally = Tally()
    tally.add("p", "q", [1.0, math.nan, 0.0])
    tally.add("p", "none", [math.nan])
    found = {quantity: value for _, quantity, value in tally}
    assert (found["q"].n, found["q"].mean) == (2, 0.5)
    assert found["none"].n == 0


def test_a_share_of_one_still_has_an_error() -> None:
    assert share(1.0, 100).error > 0
    assert share(0.0, 100).error > 0
