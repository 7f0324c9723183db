"""Rehearsing `design: race`: the race of an experiment, many times, on simulated answers.

The scenarios are those of `promptlab.analysis.calibration.rehearsal`. Every race is run beside the
full design, by a z test of the same answers with Bonferroni.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.calibration.rehearsal import (
    EVERY,
    Piece,
    Pieces,
    Progress,
    Rehearsal,
    Scenario,
)
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.calibration.worlds import Key, Truth, check_truth
from promptlab.analysis.race_designs import Design
from promptlab.analysis.race_rules import RaceRules
from promptlab.analysis.race_simulation import Ran, joined, outcomes, races, saved_share

__all__ = ["RaceShape", "rehearse_race"]

_BLOCK = 500
_WORDS = {"race": "race", "full": "full design"}


@dataclass(frozen=True)
class RaceShape:
    """The races of an experiment: one for each number of shots and deciding protocol.

    Models race alike, each for itself, so one stands for all.

    Attributes:
        designs: what each race asks, without effects; its answers are those of the full design.
        rules: of each race.
        contestants: of each race, in the order of its design's effects.
        baseline: the condition to compare with.
        notes: what the rehearsal leaves out, in sentences.
    """

    designs: tuple[Design, ...]
    rules: tuple[RaceRules, ...]
    contestants: tuple[tuple[str, ...], ...]
    baseline: str
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Contestants of all races."""
        return tuple(dict.fromkeys(name for names in self.contestants for name in names))

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """The comparison of each label."""
        return {name: ("vs_original", name, self.baseline) for name in self.names}

    @property
    def alpha(self) -> float:
        """Of each race."""
        return self.rules[0].alpha

    @property
    def weights(self) -> Array:
        """Share of each race in the answers of the full design."""
        answers = np.array([sum(design.answers) for design in self.designs])
        return np.asarray(answers / answers.sum())

    def detectable(self, second_moment: float) -> float:
        """The smallest difference found with 80 % power by the race with the fewest items."""
        return min(self.rules, key=lambda r: r.planned).detectable(second_moment)

    def saved_without_effect(self, concentration: float, *, simulations: int = 40) -> float:
        """Share of the full design's answers that is not asked for where nothing has an effect."""
        shares = [
            saved_share(replace(design, concentration=concentration), rules, simulations)
            for design, rules in zip(self.designs, self.rules, strict=True)
        ]
        return float(self.weights @ np.array(shares))


def rehearse_race(
    shape: RaceShape,
    truth: Truth,
    *,
    simulations: int = 1000,
    seed: int = 0,
    processes: int = 1,
    progress: Progress | None = None,
) -> Rehearsal:
    """Race on simulated answers; arguments as in `promptlab.analysis.calibration.rehearse`.

    A race is about its tasks, so true effects are means over them; with a spread every second task
    has more and the others less.

    Raises:
        UserError: effects that the accuracy does not allow, or fewer than two rehearsals.
        UnknownName: an effect of a condition that is no contestant.
    """
    check_truth(truth, shape.names, simulations)
    pieces = Pieces(shape, truth, simulations, _BLOCK, seed)
    return pieces.rehearsed(_work, processes, progress)


def _work(piece: Piece) -> Tally:
    shape, truth, tally = piece.shape, piece.truth, Tally()
    effects = truth.effects if piece.scenario == "effects" else {}
    saved = []
    for number, (design, rules, names) in enumerate(
        zip(shape.designs, shape.rules, shape.contestants, strict=True)
    ):
        world = replace(
            design,
            effects=tuple(effects.get(name, 0.0) for name in names),
            mean=truth.accuracy,
            concentration=truth.concentration,
            spread=truth.spread if piece.scenario == "effects" else 0.0,
        )
        entropy = [piece.seed, zlib.crc32(f"race {piece.scenario}".encode()), number, piece.first]
        parts = list(
            races(
                world, rules, piece.count, np.random.default_rng(entropy), procedures=tuple(_WORDS)
            )
        )
        ran = {procedure: joined([part[procedure] for part in parts]) for procedure in _WORDS}
        saved.append(_whole(tally, world, rules, ran, piece.scenario))
        for k, name in enumerate(names):
            if effects.get(name):
                _one(tally, name, k, world, ran)
    tally.add(EVERY, "race: saved share", shape.weights @ np.stack(saved))
    return tally


def _whole(
    tally: Tally, world: Design, rules: RaceRules, ran: Mapping[str, Ran], scenario: Scenario
) -> Array:
    """What concerns a race as a whole; returns the saved share of each."""
    what = "any better or worse" if scenario == "none" else "any false claim"
    saved = np.zeros(0)
    for procedure, name in _WORDS.items():
        claim: Claim = "valid" if procedure == "race" else "shown"
        for effect, quantity, values in outcomes(world, ran[procedure], rules.margin):
            if not np.isnan(effect):
                continue
            if quantity == "fwer":
                tally.add(EVERY, f"{name}: {what}", values, claim=claim)
            elif procedure == "race" and quantity == "saved":
                saved = values
            elif procedure == "race" and any(world.effects):
                tally.add(EVERY, f"{name}: {quantity}", values, claim=claim)
    race = ran["race"]
    undecided = ~(race.better | race.worse | race.equivalent)
    tally.add(EVERY, "share equivalent", race.equivalent.mean(axis=1))
    tally.add(EVERY, "share inconclusive", undecided.mean(axis=1))
    return saved


def _one(tally: Tally, name: str, k: int, world: Design, ran: Mapping[str, Ran]) -> None:
    """What a race says of one contestant that has an effect."""
    race, full = ran["race"], ran["full"]
    helps = world.effects[k] > 0
    right, wrong = (race.better, race.worse) if helps else (race.worse, race.better)
    tally.add(name, "power", right[:, k])
    tally.add(name, "wrong direction", wrong[:, k])
    tally.add(name, "equivalent", race.equivalent[:, k])
    tally.add(name, "inconclusive", ~(right | wrong | race.equivalent)[:, k])
    tally.add(name, "power of the full design", (full.better if helps else full.worse)[:, k])
    tally.add(name, "saved share", 1 - race.blocks[:, k] / world.blocks)
