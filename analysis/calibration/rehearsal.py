"""A rehearsal: the very analysis of an experiment, many times, on simulated models.

Two scenarios. `none`: no condition does anything, in any task. `effects`: some conditions have true
effects, and every effect, also one that is 0 on average, differs from task to task. No model is
asked; answers are right or wrong under each task's primary protocol.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.best import best_of_stimuli
from promptlab.analysis.calibration.tally import Tally
from promptlab.analysis.calibration.workers import in_processes
from promptlab.analysis.calibration.worlds import (
    Differences,
    Shape,
    Truth,
    check_truth,
    draw,
    label,
    layout,
    stated_effects,
)
from promptlab.analysis.contrast_table import contrasts
from promptlab.analysis.tables import check_scores

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.calibration.race_rehearsal import RaceShape

__all__ = [
    "EVERY",
    "REHEARSAL_COLUMNS",
    "SCENARIOS",
    "Piece",
    "Pieces",
    "Progress",
    "Rehearsal",
    "Scenario",
    "rehearse",
]

Scenario = Literal["none", "effects"]
Progress = Callable[[str, int, int], None]
"""Told after every few rehearsals: scenario, how many are done, how many there are."""
SCENARIOS: tuple[Scenario, ...] = ("none", "effects")
EVERY = "over all conditions"
"""In place of a condition, for what concerns the analysis as a whole."""
REHEARSAL_COLUMNS = (
    *("scenario", "contrast", "condition", "baseline", "quantity", "value", "mc_error"),
    "simulations",
)
_BLOCK = 10
_PERMUTATIONS = 99
_TIE = 1e-12
_BEST = 4
"""The best stimulus per task is looked for in every fourth rehearsal: its gain hardly varies."""


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Attributes:
        shape: of the experiment, or of its races.
        truth: of the scenario `effects`.
        simulations: rehearsals of each scenario.
        tallies: by scenario; of a comparison under its `label`.
    """

    shape: Shape | RaceShape
    truth: Truth
    simulations: int
    tallies: Mapping[str, Tally]

    def to_frame(self) -> pd.DataFrame:
        """One row for each scenario, comparison and quantity, columns `REHEARSAL_COLUMNS`.

        `condition` is `EVERY`, without a contrast and baseline, for the analysis as a whole.
        """
        import pandas as pd

        rows = []
        for scenario, tally in self.tallies.items():
            for name, quantity, found in tally:
                key = self.shape.keys.get(name, ("", name, ""))
                if found.n:
                    rows.append((scenario, *key, quantity, found.mean, found.error, found.n))
        return pd.DataFrame(rows, columns=list(REHEARSAL_COLUMNS))


def rehearse(
    shape: Shape,
    truth: Truth,
    *,
    simulations: int = 200,
    seed: int = 0,
    processes: int = 1,
    progress: Progress | None = None,
) -> Rehearsal:
    """Run the analysis of an experiment on simulated scores.

    Args:
        shape: what will have been scored, and how it will be analysed.
        truth: what is so in the scenario `effects`.
        simulations: rehearsals of each scenario.
        seed: of everything.
        processes: changes how long it takes, and nothing else.
        progress: told after every few rehearsals: scenario, how many are done, how many there are.

    Raises:
        UserError: effects that the accuracy does not allow, or fewer than two rehearsals.
        UnknownName: an effect of a condition that the experiment does not have.
    """
    check_truth(truth, shape.names, simulations)
    pieces = Pieces(shape, truth, simulations, _BLOCK, seed)
    return pieces.rehearsed(_work, processes, progress)


@dataclass(frozen=True)
class Piece:
    """Some rehearsals of one scenario, for one process.

    Attributes:
        shape: of what is rehearsed.
        truth: what is so in the scenario `effects`.
        scenario: of these rehearsals.
        first: their place among all of the scenario.
        count: how many.
        seed: of everything.
    """

    shape: Any
    truth: Truth
    scenario: Scenario
    first: int
    count: int
    seed: int


@dataclass(frozen=True)
class Pieces:
    """All rehearsals of an experiment, in blocks of a fixed size whatever the processes.

    Attributes:
        shape: of what is rehearsed.
        truth: what is so in the scenario `effects`.
        simulations: rehearsals of each scenario.
        block: rehearsals of a piece.
        seed: of everything.
    """

    shape: Any
    truth: Truth
    simulations: int
    block: int
    seed: int

    def rehearsed(
        self, work: Callable[[Piece], Tally], processes: int, progress: Progress | None
    ) -> Rehearsal:
        """Do the work on every piece and add it up."""
        every = self.simulations
        todo = [
            Piece(
                self.shape, self.truth, scenario, start, min(self.block, every - start), self.seed
            )
            for scenario in SCENARIOS
            for start in range(0, every, self.block)
        ]
        tallies: dict[str, Tally] = {scenario: Tally() for scenario in SCENARIOS}
        done = 0
        for piece, tally in zip(todo, in_processes(work, todo, processes), strict=True):
            tallies[piece.scenario].merge(tally)
            done += piece.count
            if progress is not None:
                progress(piece.scenario, done, every * len(SCENARIOS))
        return Rehearsal(self.shape, self.truth, every, tallies)


def _work(piece: Piece) -> Tally:
    import pandas as pd

    tally = Tally()
    conditions = pd.DataFrame(list(piece.shape.conditions))
    # Checked once, so that there is nothing left to fill in at every rehearsal.
    table = check_scores(layout(piece.shape).assign(score=0.0))
    nothing = Truth(piece.truth.accuracy, piece.truth.concentration)
    truth = nothing if piece.scenario == "none" else piece.truth
    for number in range(piece.first, piece.first + piece.count):
        entropy = [piece.seed, zlib.crc32(piece.scenario.encode()), number]
        rng = np.random.default_rng(entropy)
        values, true = draw(piece.shape, truth, rng)
        scores = table.assign(score=values)
        seed = int(rng.integers(2**31))
        options = {**piece.shape.options, "seed": seed}
        found = contrasts(scores, conditions, **options)
        if piece.scenario == "effects":
            _with_effects(tally, found, true, piece)
            continue
        _without_effect(tally, found, float(options.get("alpha", 0.05)))
        if number % _BEST == 0:
            best = best_of_stimuli(
                scores,
                conditions,
                baseline=piece.shape.baseline,
                n_permutations=_PERMUTATIONS,
                seed=seed,
            )
            _best(tally, best, float(options.get("alpha", 0.05)))
    return tally


# ---------------------------------------------------------------- what the analysis said


def _without_effect(tally: Tally, table: pd.DataFrame, alpha: float) -> None:
    over = table[table["level"] == "macro"]
    better, worse = over["verdict"] == "better", over["verdict"] == "worse"
    confirmatory = over["family"] == "confirmatory"
    tally.add(EVERY, "any better", better.any())
    tally.add(EVERY, "any better or worse", (better | worse).any())
    if confirmatory.any():
        wrong = (better | worse)[confirmatory].any()
        tally.add(EVERY, "confirmatory: any better or worse", wrong, claim="valid")
        tally.add(EVERY, "confirmatory: any better", better[confirmatory].any())
    if not confirmatory.all():
        tally.add(EVERY, "exploratory: any better or worse", (better | worse)[~confirmatory].any())
    cells = table[(table["level"] == "cell") & table["verdict"].isin(("better", "worse"))]
    tally.add(EVERY, "single tasks: any better or worse", len(cells) > 0)
    tally.add(EVERY, "raw p: any better or worse", (over["pvalue"] <= alpha).any(), claim="naive")
    _coverage(tally, over, np.zeros(len(over)))
    for name in ("equivalent", "inconclusive"):
        tally.add(EVERY, f"share {name}", (over["verdict"] == name).mean())


def _best(tally: Tally, best: pd.DataFrame, alpha: float) -> None:
    found = best[best["n_stimuli"] > 1]
    tally.add(EVERY, "best stimulus per task: gain", found["mean_of_max"].mean(), claim="naive")
    relative = found["relative"].mean()
    tally.add(EVERY, "best stimulus per task: relative gain", relative, claim="naive")
    tests = found["pvalue"].dropna()
    if len(tests):
        tally.add(EVERY, "best stimulus per task: label permutation", (tests <= alpha).mean())


def _coverage(tally: Tally, over: pd.DataFrame, true: Array) -> None:
    lower, upper = over["lower"].to_numpy(), over["upper"].to_numpy()
    defined = np.isfinite(lower) & np.isfinite(upper) & np.isfinite(true)
    inside = (lower <= true + _TIE) & (upper >= true - _TIE)
    covered = inside[defined].mean() if defined.any() else np.nan
    tally.add(EVERY, "coverage of intervals over tasks", covered, claim="valid")


def _with_effects(tally: Tally, table: pd.DataFrame, true: Differences, piece: Piece) -> None:
    over = table[(table["level"] == "macro") & np.isfinite(table["pvalue"])]
    weights = piece.shape.contrasts
    keys = list(zip(over["contrast"], over["condition"], over["baseline"], strict=True))
    places = zip(over["model"], over["shots"], over["protocol"], strict=True)
    truths = np.array(
        [
            sum(w * true[(*place, name)] for name, w in weights[key].items())
            for place, key in zip(places, keys, strict=True)
        ]
    )
    _coverage(tally, over, truths)
    tally.add(EVERY, "smallest difference found with 80 % power", over["detectable"].mean())
    verdict = over["verdict"].to_numpy(object)
    # Where nothing differs, and where it does but the other way.
    wrong = ((verdict == "better") & (truths <= _TIE)) | ((verdict == "worse") & (truths >= -_TIE))
    confirmatory = (over["family"] == "confirmatory").to_numpy()
    if confirmatory.any():
        false = wrong[confirmatory].any()
        tally.add(EVERY, "confirmatory: any false claim", false, claim="valid")
    tally.add(EVERY, "any false claim", wrong.any())
    for key, effect in stated_effects(piece.shape, piece.truth).items():
        mine = np.array([k == key for k in keys], np.bool_)
        if effect and mine.any():
            _one(tally, label(key), over[mine], effect)


def _one(tally: Tally, name: str, rows: pd.DataFrame, effect: float) -> None:
    """What was said of one comparison with an effect, over models, shots and protocols."""
    right, wrong = ("better", "worse") if effect > 0 else ("worse", "better")
    tally.add(name, "power", (rows["verdict"] == right).mean())
    tally.add(name, "wrong direction", (rows["verdict"] == wrong).mean())
    for verdict in ("equivalent", "inconclusive"):
        tally.add(name, verdict, (rows["verdict"] == verdict).mean())
    tally.add(name, "estimate", rows["difference"].mean())
    significant = rows[rows["verdict"].isin(("better", "worse"))]
    if len(significant):
        inflated = (significant["difference"].abs() / abs(effect)).mean()
        tally.add(name, "exaggeration when found", inflated)
