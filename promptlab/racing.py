"""A race of an experiment: which requests a block has, and what its scores decide.

There is one race for each model, number of shots and deciding protocol. Items come in their drawn
order, so a block is a random part of every task. What is decided depends on the scores alone:
running again, or reading the scores of a run, goes the same way.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from promptlab.analysis.confidence_sequences import blocks_of
from promptlab.analysis.racing import Race
from promptlab.plan import Plan, Planned
from promptlab.types import Condition, Item, Wording

__all__ = ["Panel", "panels_of"]


class Panel:
    """The race of one model, number of shots and deciding protocol.

    Args:
        plan: the plan of the full design.
        model: label.
        shots: number of demonstrations.
        protocol: that decides.

    Attributes:
        race: its state.
        baseline: what is asked as long as anything else is.
    """

    def __init__(self, plan: Plan, model: str, shots: int, protocol: str) -> None:
        experiment = plan.spec.experiment
        settings, analysis = experiment.race, experiment.analysis
        assert settings is not None
        self.plan, self.model, self.shots, self.protocol = plan, model, shots, protocol
        self.baseline = analysis.baseline
        self._as_wrong = analysis.missing == "as_wrong"
        self._cells: dict[tuple[str, str], tuple[Condition, list[Wording]]] = {}
        for task, condition, k, wording in plan.shapes:
            if k == shots and plan.protocols(task)[1] == protocol:
                cell = self._cells.setdefault((task, condition.id), (condition, []))
                cell[1].append(wording)
        self.tasks = list(dict.fromkeys(task for task, _ in self._cells))
        there = {condition for _, condition in self._cells}
        names = [c.id for c in plan.conditions if c.id in there and c.id != self.baseline]
        sizes = [len(plan.draws[task].items) for task in self.tasks]
        at = blocks_of(sizes, settings.block)
        self._block_of = {
            (task, item.item_id): int(block)
            for task, blocks in zip(self.tasks, at, strict=True)
            for item, block in zip(plan.draws[task].items, blocks, strict=True)
        }
        self.n_blocks = int(at[0].max()) + 1
        self.race = Race(
            names,
            planned=dict(zip(self.tasks, sizes, strict=True)),
            controls=_controls(plan.conditions, names),
            without={
                name: [t for t in self.tasks if (t, name) not in self._cells] for name in names
            },
            goal=settings.goal,
            alpha=analysis.alpha,
            margin=analysis.equivalence_margin,
            futility=settings.futility,
        )

    @property
    def block(self) -> int:
        """Blocks that were judged; the position of the next one."""
        return self.race.block

    @property
    def over(self) -> bool:
        """Whether nothing more is asked."""
        return not self.race.running or self.block >= self.n_blocks

    @property
    def asked(self) -> tuple[str, ...]:
        """Conditions that the next block asks."""
        return () if self.over else (self.baseline, *self.race.running)

    @cached_property
    def _items(self) -> list[dict[str, list[Item]]]:
        """Items of each block, by task."""
        out: list[dict[str, list[Item]]] = [{} for _ in range(self.n_blocks)]
        for task in self.tasks:
            for item in self.plan.draws[task].items:
                block = out[self._block_of[task, item.item_id]]
                block.setdefault(task, []).append(item)
        return out

    def requests(self) -> Iterator[Planned]:
        """First requests of the next block."""
        model, asked = self.plan.model(self.model), set(self.asked)
        for (task, name), (condition, wordings) in self._cells.items():
            if name in asked:
                items = self._items[self.block][task]
                for wording in wordings:
                    yield from self.plan.cell_requests(
                        model, task, condition, self.shots, wording, items
                    )

    def is_asked(self, task: str, condition: str, item_id: str) -> bool:
        """Whether the race has asked this, or asks it in the next block."""
        block = self._block_of[task, item_id]
        return block < self._last(condition) or (block == self.block and condition in self.asked)

    def _last(self, condition: str) -> int:
        """Blocks in which a condition was asked."""
        if condition == self.baseline:
            return self.block
        return self.race.last_block(condition)

    def judge(self, values: Mapping[tuple[str, str, str], Sequence[float]]) -> dict[str, str]:
        """Judge the next block; returns who leaves, and why.

        Args:
            values: scores of every wording and replicate by (task, condition, item id); NaN = not
                scored.
        """
        names = (self.baseline, *self.race.stimuli)
        running = {self.baseline, *self.race.running}
        rows, of = [], []
        for task, items in self._items[self.block].items():
            for item in items:
                rows.append(
                    [
                        self._mean(values.get((task, name, item.item_id), ()))
                        if name in running and (task, name) in self._cells
                        else math.nan
                        for name in names
                    ]
                )
                of.append(task)
        return self.race.add(np.array(rows), of)

    def _mean(self, scores: Sequence[float]) -> float:
        """Score of an item: the mean over its wordings and replicates that have one."""
        known = [0.0 if math.isnan(s) else s for s in scores if self._as_wrong or s == s]
        return math.fsum(known) / len(known) if known else 0.0 if self._as_wrong else math.nan

    def left_out(self, conditions: Sequence[str]) -> int:
        """Requests of the full design that these conditions had in the blocks to come."""
        calls = 0
        for (task, name), (condition, _) in self._cells.items():
            if name in conditions:
                n = sum(len(block.get(task, ())) for block in self._items[self.block :])
                steps = 2 if self.plan.has_second_call(condition) else 1
                calls += n * steps * self.answers_to_an_item(task, name)
        return calls

    def dropped(self, leaving: Sequence[str]) -> list[str]:
        """These, and the baseline when nobody is left who needs it."""
        return [*leaving, self.baseline] if not self.race.running else list(leaving)

    @property
    def n_requests(self) -> int:
        """Answers of the full design."""
        return self.answers_to((self.baseline, *self.race.stimuli))

    def answers_to(self, conditions: Collection[str]) -> int:
        """Answers of the full design to these conditions."""
        return sum(
            len(self.plan.draws[task].items) * self.answers_to_an_item(task, name)
            for task, name in self._cells
            if name in conditions
        )

    def answers_to_an_item(self, task: str, condition: str) -> int:
        """Wordings times replicates."""
        return len(self._cells[task, condition][1]) * self.plan.spec.experiment.replicates

    @property
    def n_asked(self) -> int:
        """Answers that the race has asked for in the blocks that were judged."""
        return sum(
            len(block.get(task, ())) * self.answers_to_an_item(task, name)
            for task, name in self._cells
            for block in self._items[: self._last(name)]
        )

    @property
    def title(self) -> str:
        """The panel in words."""
        shots = "zero-shot" if not self.shots else f"{self.shots} shots"
        return f"{self.model}, {shots}, {self.protocol}"


def _controls(conditions: Sequence[Condition], names: Sequence[str]) -> dict[str, str]:
    """The stimulus of each neutral control, where both race at the same place in the prompt."""
    out = {}
    for c in conditions:
        if c.method != "stimulus" or len(c.stimuli) != 1:
            continue
        if c.stimuli[0].matched_to and c.stimuli[0].library != "shuffled":
            _, at, place = c.id.partition("@")
            stimulus = f"{c.stimuli[0].matched_to}{at}{place}"
            if c.id in names and stimulus in names:
                out[c.id] = stimulus
    return out


def panels_of(plan: Plan) -> list[Panel]:
    """A race for each model, number of shots and deciding protocol."""
    places = dict.fromkeys((shots, plan.protocols(task)[1]) for task, _, shots, _ in plan.shapes)
    return [Panel(plan, model.label, *place) for model in plan.models for place in places]
