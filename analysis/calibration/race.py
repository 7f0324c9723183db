"""A race beside the full design: what it says wrongly, what it finds, and what it does not ask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from promptlab.analysis import race_tables
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.race_designs import Design
from promptlab.analysis.race_rules import RaceRules
from promptlab.analysis.race_simulation import Ran, outcomes, races

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DESIGNS", "race_sentence", "simulate"]

_MARGIN = 0.02
_WORDS = {"race": "race", "spending": "alpha spending", "full": "full design"}

DESIGNS = {design.name: design for design in race_tables.DESIGNS}


def simulate(design: Design, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add errors, power and the saved share of requests.

    Wrong is a stimulus called better or worse that is not, the wrong way included. Nothing is
    claimed of the z tests beside the race, which are asymptotic.
    """
    rules = RaceRules(len(design.effects), design.tasks * design.items, margin=_MARGIN)
    for ran in races(design, rules, simulations, rng):
        for procedure, one in ran.items():
            _add(design, procedure, one, tally)


def _add(design: Design, procedure: str, ran: Ran, tally: Tally) -> None:
    name, raced = _WORDS[procedure], procedure == "race"
    claim: Claim = "valid" if raced else "shown"
    for effect, quantity, values in outcomes(design, ran, _MARGIN):
        whole, moved = math.isnan(effect), f"{name}: {_points(effect)}"
        if quantity == "fwer":
            tally.add(f"{name}: better or worse", "type I", values, claim=claim)
        elif quantity == "found" and effect:
            tally.add(moved, "power", values)
        elif quantity == "saved" and whole and procedure != "full":
            tally.add(name, "saved share", values)
        elif quantity == "saved" and raced and not whole and any(design.effects):
            tally.add(moved, "saved share", values)
        elif quantity.startswith("false") and raced and any(design.effects):
            tally.add(f"{name}: {quantity.removeprefix('false ')}", "type I", values, claim=claim)


def _points(effect: float) -> str:
    return f"{100 * effect:+g} points" if effect else "no effect"


def race_sentence(table: pd.DataFrame) -> str:
    """What the table says of races, in a sentence; empty if it has no races."""
    rows = table[table["part"] == "race"]
    race = rows[rows["procedure"] == "race: better or worse"]
    if race.empty:
        return ""
    worst = race.iloc[int(race["value"].to_numpy().argmax())]
    text = (
        f"A race errs in at most {100 * worst['value']:.1f} % of experiments "
        f"(±{100 * worst['mc_error']:.1f}; 5 % promised)."
    )
    saved = rows[(rows["quantity"] == "saved share") & (rows["procedure"] == "race")]
    nothing = saved["design"].str.startswith("no effect")
    kinds = ((nothing, "when no stimulus helps"), (~nothing, "when some do"))
    shares = [(_range(saved[of]), words) for of, words in kinds if of.any()]
    text += f" It saves {', '.join(_of_requests(i, *share) for i, share in enumerate(shares))}."
    power = rows[rows["quantity"] == "power"]
    five = [power[power["procedure"] == f"{name}: +5 points"] for name in ("race", "full design")]
    if len(five[0]):
        text += (
            f" A true +5 points is found in {_range(five[0])} of races, and in {_range(five[1])} "
            "of full designs."
        )
    return text


def _of_requests(number: int, share: str, words: str) -> str:
    return f"{share}{'' if number else ' of the requests'} {words}"


def _range(rows: pd.DataFrame) -> str:
    low, high = (f"{100 * v:.0f}" for v in (rows["value"].min(), rows["value"].max()))
    return f"{low} %" if low == high else f"{low} to {high} %"
