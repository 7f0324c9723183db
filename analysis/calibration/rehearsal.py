"""A rehearsal: the very analysis of an experiment, many times, on simulated models.

Two scenarios. `none`: no condition does anything, in any task. `effects`: some conditions have true
effects, and every effect, also one that is 0 on average, differs from task to task. No model is
asked; answers are right or wrong under each task's primary protocol.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.best import best_of_stimuli
from promptlab.analysis.calibration.designs import answer, improve, item_chances
from promptlab.analysis.calibration.tally import Tally
from promptlab.analysis.calibration.workers import in_processes
from promptlab.analysis.contrast_table import contrasts
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCENARIOS", "Rehearsal", "Shape", "Truth", "rehearse", "simulated_scores"]

Scenario = Literal["none", "effects"]
SCENARIOS: tuple[Scenario, ...] = ("none", "effects")
EVERY = "over all conditions"
"""In place of a condition, for what concerns the analysis as a whole."""
_BLOCK = 5
_PERMUTATIONS = 99


@dataclass(frozen=True)
class Shape:
    """What an experiment will have scored.

    Attributes:
        models: labels.
        cells: (task, condition, shots), in the order of the plan.
        items: number of items by task.
        protocols: primary protocol by task.
        conditions: the table of conditions, as records.
        replicates: answers to each prompt.
        options: keyword arguments of `promptlab.analysis.contrasts`, as the experiment gives them.
    """

    models: tuple[str, ...]
    cells: tuple[tuple[str, str, int], ...]
    items: Mapping[str, int]
    protocols: Mapping[str, str]
    conditions: tuple[Mapping[str, Any], ...]
    replicates: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The condition to compare with."""
        return str(self.options.get("baseline", "original"))

    @property
    def names(self) -> tuple[str, ...]:
        """Conditions other than the baseline, in the order of the plan."""
        known = dict.fromkeys(condition for _, condition, _ in self.cells)
        return tuple(name for name in known if name != self.baseline)


@dataclass(frozen=True)
class Truth:
    """What is so in the simulated world.

    Attributes:
        accuracy: of the baseline, in every task.
        concentration: how much answers depend on the item (`promptlab.analysis.calibration
            .designs`).
        effects: true mean differences from the baseline in score units, by condition; 0 for the
            others.
        spread: standard deviation of a true effect over tasks, in score units.
    """

    accuracy: float
    concentration: float
    effects: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.0


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Attributes:
        shape: of the experiment.
        truth: of the scenario `effects`.
        simulations: rehearsals of each scenario.
        tallies: by scenario.
    """

    shape: Shape
    truth: Truth
    simulations: int
    tallies: Mapping[str, Tally]

    def to_frame(self) -> pd.DataFrame:
        """One row for each scenario, condition and quantity: value, mc_error, simulations."""
        import pandas as pd

        rows = [
            (scenario, condition, quantity, found.mean, found.error, found.n)
            for scenario, tally in self.tallies.items()
            for condition, quantity, found in tally
            if found.n
        ]
        columns = ["scenario", "condition", "quantity", "value", "mc_error", "simulations"]
        return pd.DataFrame(rows, columns=columns)


def rehearse(
    shape: Shape,
    truth: Truth,
    *,
    simulations: int = 200,
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
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
    _check(shape, truth, simulations)
    todo = [
        _Piece(shape, truth, scenario, start, min(_BLOCK, simulations - start), seed)
        for scenario in SCENARIOS
        for start in range(0, simulations, _BLOCK)
    ]
    tallies: dict[str, Tally] = {scenario: Tally() for scenario in SCENARIOS}
    done = 0
    for piece, tally in zip(todo, in_processes(_work, todo, processes), strict=True):
        tallies[piece.scenario].merge(tally)
        done += piece.count
        if progress is not None:
            progress(piece.scenario, done, simulations * len(SCENARIOS))
    return Rehearsal(shape, truth, simulations, tallies)


def _check(shape: Shape, truth: Truth, simulations: int) -> None:
    if simulations < 2:
        raise UserError(f"at least 2 rehearsals are needed, not {simulations}")
    if not 0 < truth.accuracy < 1:
        raise UserError(f"the baseline accuracy must lie between 0 and 1, not {truth.accuracy}")
    if truth.spread < 0:
        raise UserError(f"the spread of effects over tasks is 0 or more, not {truth.spread}")
    for name, effect in truth.effects.items():
        if name not in shape.names:
            raise UnknownName("condition", name, shape.names)
        if not -truth.accuracy < effect < 1 - truth.accuracy:
            raise UserError(
                f"an effect of {100 * effect:+g} points on {name} leaves the scale: the baseline "
                f"is at {100 * truth.accuracy:g} of 100"
            )


@dataclass(frozen=True)
class _Piece:
    shape: Shape
    truth: Truth
    scenario: Scenario
    first: int
    count: int
    seed: int


def _work(piece: _Piece) -> Tally:
    import pandas as pd

    tally = Tally()
    conditions = pd.DataFrame(list(piece.shape.conditions))
    layout = _layout(piece.shape)
    nothing = Truth(piece.truth.accuracy, piece.truth.concentration)
    truth = nothing if piece.scenario == "none" else piece.truth
    for number in range(piece.first, piece.first + piece.count):
        entropy = [piece.seed, zlib.crc32(piece.scenario.encode()), number]
        rng = np.random.default_rng(entropy)
        values, true = _draw(piece.shape, truth, rng)
        scores = layout.assign(score=values)
        seed = int(rng.integers(2**31))
        options = {**piece.shape.options, "seed": seed}
        table = contrasts(scores, conditions, **options)
        if piece.scenario == "none":
            best = best_of_stimuli(
                scores,
                conditions,
                baseline=piece.shape.baseline,
                n_permutations=_PERMUTATIONS,
                seed=seed,
            )
            _without_effect(tally, table, best, float(options.get("alpha", 0.05)))
        else:
            _with_effects(tally, table, true, piece)
    return tally


# ---------------------------------------------------------------- simulated scores


def simulated_scores(shape: Shape, truth: Truth, *, seed: int = 0) -> pd.DataFrame:
    """One simulated table of scores, as the experiment would give it."""
    return _layout(shape).assign(score=_draw(shape, truth, np.random.default_rng(seed))[0])


def _panels(shape: Shape) -> Iterator[tuple[str, str, int, list[str]]]:
    """(model, task, shots, conditions) that are scored together."""
    together: dict[tuple[str, int], list[str]] = {}
    for task, condition, shots in shape.cells:
        together.setdefault((task, shots), []).append(condition)
    for model in shape.models:
        for (task, shots), conditions in together.items():
            yield model, task, shots, conditions


def _layout(shape: Shape) -> pd.DataFrame:
    """The table without its scores: for each panel items x conditions x replicates."""
    import pandas as pd

    frames = []
    for model, task, shots, conditions in _panels(shape):
        n, c, r = shape.items[task], len(conditions), shape.replicates
        frames.append(
            pd.DataFrame(
                {
                    "model": model,
                    "task": task,
                    "shots": shots,
                    "item_id": np.repeat([f"item{i}" for i in range(n)], c * r),
                    "condition": np.tile(np.repeat(np.array(conditions, object), r), n),
                    "replicate": np.tile(np.arange(r), n * c),
                    "protocol": shape.protocols[task],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


True_ = Mapping[tuple[str, int, str, str], float]
"""True difference from the baseline by (model, shots, protocol, condition)."""


def _draw(shape: Shape, truth: Truth, rng: np.random.Generator) -> tuple[Array, True_]:
    """Scores in the order of the layout, and what is true of them.

    With random tasks the true difference is the stated effect; with fixed tasks the mean effect in
    the tasks that were drawn.
    """
    values: list[Array] = []
    drawn: dict[tuple[str, int, str, str], list[float]] = {}
    for model, task, shots, conditions in _panels(shape):
        stated = np.array([truth.effects.get(c, 0.0) for c in conditions])
        varies = np.array([c != shape.baseline for c in conditions])
        effect = stated + varies * rng.normal(0.0, truth.spread, len(conditions))
        effect = np.clip(effect, -truth.accuracy, 1 - truth.accuracy)
        p = item_chances(rng, truth.accuracy, truth.concentration, (shape.items[task],))
        chances = improve(p[:, None], truth.accuracy, effect)[..., None]
        shown = (*chances.shape[:2], shape.replicates)
        values.append(answer(rng, np.broadcast_to(chances, shown)).ravel())
        for name, one in zip(conditions, effect, strict=True):
            key = (model, shots, shape.protocols[task], name)
            drawn.setdefault(key, []).append(float(one))
    if shape.options.get("tasks", "random") == "fixed":
        true = {key: float(np.mean(effects)) for key, effects in drawn.items()}
    else:
        true = {key: truth.effects.get(key[3], 0.0) for key in drawn}
    return np.concatenate(values), true


# ---------------------------------------------------------------- what the analysis said


def _without_effect(tally: Tally, table: pd.DataFrame, best: pd.DataFrame, alpha: float) -> None:
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
    _coverage(tally, over, over["difference"] * 0.0)
    for name in ("equivalent", "inconclusive"):
        tally.add(EVERY, f"share {name}", (over["verdict"] == name).mean())
    found = best[best["n_stimuli"] > 1]
    tally.add(EVERY, "best stimulus per task: gain", found["mean_of_max"].mean(), claim="naive")
    relative = found["relative"].mean()
    tally.add(EVERY, "best stimulus per task: relative gain", relative, claim="naive")
    tests = found["pvalue"].dropna()
    if len(tests):
        tally.add(EVERY, "best stimulus per task: label permutation", (tests <= alpha).mean())


def _coverage(tally: Tally, over: pd.DataFrame, true: pd.Series[float]) -> None:
    defined = np.isfinite(over["lower"]) & np.isfinite(over["upper"]) & np.isfinite(true)
    inside = (over["lower"] <= true + 1e-12) & (over["upper"] >= true - 1e-12)
    covered = inside[defined].mean() if defined.any() else np.nan
    tally.add(EVERY, "coverage of intervals over tasks", covered, claim="valid")


def _with_effects(tally: Tally, table: pd.DataFrame, true: True_, piece: _Piece) -> None:
    over = table[(table["level"] == "macro") & np.isfinite(table["pvalue"])]
    truths = np.array(
        [
            # Means over several conditions have other labels; nothing was stated about them.
            true.get((r.model, r.shots, r.protocol, r.condition), np.nan)
            - true.get((r.model, r.shots, r.protocol, r.baseline), np.nan)
            for r in over.itertuples()
        ]
    )
    _coverage(tally, over, over["difference"] * 0.0 + truths)
    tally.add(EVERY, "smallest difference found with 80 % power", over["detectable"].mean())
    claims = over["verdict"].isin(("better", "worse"))
    against = over["baseline"] == piece.shape.baseline
    idle = against & ~over["condition"].isin(list(piece.truth.effects))
    if idle.any():
        name = "any better or worse without an effect"
        confirmatory = idle & (over["family"] == "confirmatory")
        if confirmatory.any():
            wrong = claims[confirmatory].any()
            tally.add(EVERY, f"confirmatory: {name}", wrong, claim="valid")
        tally.add(EVERY, name, claims[idle].any())
    for name, effect in piece.truth.effects.items():
        rows = over[against & (over["condition"] == name)]
        if not len(rows) or not effect:
            continue
        right, wrong = ("better", "worse") if effect > 0 else ("worse", "better")
        found = rows["verdict"] == right
        tally.add(name, "power", found.mean())
        tally.add(name, "wrong direction", (rows["verdict"] == wrong).mean())
        for verdict in ("equivalent", "inconclusive"):
            tally.add(name, verdict, (rows["verdict"] == verdict).mean())
        tally.add(name, "estimate", rows["difference"].mean())
        significant = rows[rows["verdict"].isin(("better", "worse"))]
        if len(significant):
            inflated = (significant["difference"].abs() / abs(effect)).mean()
            tally.add(name, "exaggeration when found", inflated)
