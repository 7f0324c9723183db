"""The shape of an experiment, and simulated scores of that shape for which the truth is known.

No model is asked; answers are right or wrong under each task's primary protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.calibration.designs import answer, improve, item_chances
from promptlab.analysis.contrast_kinds import Contrast, confirmatory_family, named_contrasts
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Differences",
    "Key",
    "Shape",
    "Truth",
    "check_truth",
    "draw",
    "label",
    "layout",
    "simulated_scores",
    "stated_effects",
]

Key = tuple[str, str, str]
"""Contrast, condition and baseline, as in the table of contrasts."""


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
        notes: what the rehearsal leaves out, in sentences.
    """

    models: tuple[str, ...]
    cells: tuple[tuple[str, str, int], ...]
    items: Mapping[str, int]
    protocols: Mapping[str, str]
    conditions: tuple[Mapping[str, Any], ...]
    replicates: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def baseline(self) -> str:
        """The condition to compare with."""
        return str(self.options.get("baseline", "original"))

    @property
    def names(self) -> tuple[str, ...]:
        """Conditions other than the baseline, in the order of the plan."""
        known = dict.fromkeys(condition for _, condition, _ in self.cells)
        return tuple(name for name in known if name != self.baseline)

    @cached_property
    def contrasts(self) -> dict[Key, Mapping[str, float]]:
        """Weights over conditions of every comparison there will be."""
        plain = {
            ("vs_original", name, self.baseline): {name: 1.0, self.baseline: -1.0}
            for name in self.names
        }
        return plain | {c.key: c.weights for c in self._named}

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """The comparison of each `label`."""
        return {label(key): key for key in self.contrasts}

    @cached_property
    def family(self) -> set[Key]:
        """The comparisons of the confirmatory family."""
        known = [*self.names, self.baseline]
        declared = self.options.get("confirmatory", ())
        return confirmatory_family(declared, self._frame, known, self._named, self.baseline)

    @cached_property
    def _named(self) -> list[Contrast]:
        kinds, known = self.options.get("contrasts"), [*self.names, self.baseline]
        return named_contrasts(kinds, self._frame, known, self.baseline)

    @property
    def _frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(list(self.conditions))


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


def check_truth(truth: Truth, names: Sequence[str], simulations: int) -> None:
    """See that a world can be, and that it has the conditions it speaks of.

    Raises:
        UserError: effects that the accuracy does not allow, or fewer than two rehearsals.
        UnknownName: an effect of a condition that is not there.
    """
    if simulations < 2:
        raise UserError(f"at least 2 rehearsals are needed, not {simulations}")
    if not 0 < truth.accuracy < 1:
        raise UserError(f"the baseline accuracy must lie between 0 and 1, not {truth.accuracy}")
    if truth.spread < 0:
        raise UserError(f"the spread of effects over tasks is 0 or more, not {truth.spread}")
    for name, effect in truth.effects.items():
        if name not in names:
            raise UnknownName("condition", name, names)
        if not -truth.accuracy < effect < 1 - truth.accuracy:
            raise UserError(
                f"an effect of {100 * effect:+g} points on {name} leaves the scale: the baseline "
                f"is at {100 * truth.accuracy:g} of 100"
            )


def label(key: Key) -> str:
    """A comparison in words: the condition alone where it is compared with the baseline."""
    contrast, condition, baseline = key
    return condition if contrast == "vs_original" else f"{contrast}: {condition} - {baseline}"


def stated_effects(shape: Shape, truth: Truth) -> dict[Key, float]:
    """What was said to be true of each comparison, in score units."""
    return {
        key: sum(w * truth.effects.get(name, 0.0) for name, w in weights.items())
        for key, weights in shape.contrasts.items()
    }


def simulated_scores(shape: Shape, truth: Truth, *, seed: int = 0) -> pd.DataFrame:
    """One simulated table of scores, as the experiment would give it."""
    return layout(shape).assign(score=draw(shape, truth, np.random.default_rng(seed))[0])


def _panels(shape: Shape) -> Iterator[tuple[str, str, int, list[str]]]:
    """(model, task, shots, conditions) that are scored together."""
    together: dict[tuple[str, int], list[str]] = {}
    for task, condition, shots in shape.cells:
        together.setdefault((task, shots), []).append(condition)
    for model in shape.models:
        for (task, shots), conditions in together.items():
            yield model, task, shots, conditions


def layout(shape: Shape) -> pd.DataFrame:
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


Differences = Mapping[tuple[str, int, str, str], float]
"""True difference from the baseline by (model, shots, protocol, condition)."""


def draw(shape: Shape, truth: Truth, rng: np.random.Generator) -> tuple[Array, Differences]:
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
