"""What will be sent: every cell and request of an experiment, in a fixed order, built lazily.

Items and demonstrations are drawn once for each task and shared by every condition, so contrasts
are paired by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from promptlab.cells import CellBuilder
from promptlab.errors import UserError
from promptlab.methods import method_of
from promptlab.plan_digest import plan_digest
from promptlab.planned import Draw, LeftOut, Planned, PlannedModel, demonstrations_digest
from promptlab.scoring import get_metric
from promptlab.spec import Spec
from promptlab.types import OWN, Cell, Condition, Item, Wording

__all__ = ["Draw", "LeftOut", "Plan", "Planned", "PlannedModel", "demonstrations_digest"]


@dataclass(frozen=True)
class Plan:
    """Every cell of an experiment, and its requests as a stream."""

    spec: Spec
    models: tuple[PlannedModel, ...]
    conditions: tuple[Condition, ...]
    draws: Mapping[str, Draw]
    left_out: tuple[LeftOut, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    """Tasks whose data is not there, with the reason and the command to type."""

    @cached_property
    def shapes(self) -> tuple[tuple[str, Condition, int, Wording], ...]:
        """(task, condition, shots, wording) of every cell, the same for every model."""
        skipped = {(s.task, s.condition, s.shots) for s in self.left_out}
        return tuple(
            (task, condition, shots, wording)
            for task, draw in self.draws.items()
            for shots in draw.demonstrations
            for wording in draw.wordings
            for condition in self.conditions
            if (task, condition.id, None) not in skipped
            and (wording.id == OWN or not self.replaces_instruction(condition))
        )

    @property
    def rewords(self) -> bool:
        """Whether the spec asks for other instructions than the cards' own."""
        return self.spec.experiment.instructions != OWN

    @property
    def crosses_wordings(self) -> bool:
        """Whether the spec crosses several wordings of an instruction."""
        return not isinstance(self.spec.experiment.instructions, str)

    def replaces_instruction(self, condition: Condition) -> bool:
        """Whether a condition brings an instruction of its own, which has no other wording."""
        return method_of(condition).replaces_instruction

    @property
    def n_cells(self) -> int:
        """Number of cells over all models."""
        return len(self.shapes) * len(self.models)

    @property
    def n_planned(self) -> int:
        """Number of answers wanted over all models (second calls are not counted)."""
        answers = sum(len(self.draws[task].items) for task, *_ in self.shapes)
        return answers * self.spec.experiment.replicates * len(self.models)

    @property
    def n_requests(self) -> int:
        """Number of requests to each model, second calls included."""
        calls = [
            len(self.draws[task].items) * (2 if self.has_second_call(condition) else 1)
            for task, condition, *_ in self.shapes
        ]
        return sum(calls) * self.spec.experiment.replicates

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may not be meant."""
        return (
            *self._short_draws(),
            *self._few_wordings(),
            *self._without_demonstrations(),
            *self._cold_replicates(),
        )

    def _short_draws(self) -> Iterator[str]:
        wanted = self.spec.experiment.items
        for task, draw in self.draws.items():
            if wanted != "all" and len(draw.items) < wanted:
                yield f"{task} has {len(draw.items)} items, not {wanted}; all of them are used"

    def _few_wordings(self) -> Iterator[str]:
        wanted = self.spec.experiment.instructions
        if isinstance(wanted, str):
            return
        for task, draw in self.draws.items():
            found = sum(w.id != OWN for w in draw.wordings)
            if not found:
                yield f"{task} has no paraphrases; it is asked under its own instruction alone"
            elif wanted.paraphrases != "all" and found < wanted.paraphrases:
                yield f"{task} has {found} paraphrases, not {wanted.paraphrases}; all are used"

    def _without_demonstrations(self) -> Iterator[str]:
        if not any(self.spec.experiment.shots):
            return
        for condition in self.conditions:
            if not method_of(condition).shows_demonstrations:
                yield (
                    f"condition '{condition.id}' shows no demonstrations: it asks the same with "
                    "any number of shots"
                )

    def _cold_replicates(self) -> tuple[str, ...]:
        if self.spec.experiment.replicates == 1:
            return ()
        cold = [
            model.label
            for model in self.models
            if not ({**self.spec.experiment.params, **model.spec.params}).get("temperature", 0)
        ]
        return tuple(
            f"{label}: {self.spec.experiment.replicates} replicates at temperature 0 are most "
            "likely the same answer; set params.temperature, or replicates: 1"
            for label in cold
        )

    def model(self, label: str) -> PlannedModel:
        """The planned model of that label."""
        return next(m for m in self.models if m.label == label)

    def protocols(self, task: str) -> tuple[dict[str, str], str]:
        """({protocol: metric}, primary protocol) of a task."""
        metrics = dict(self.draws[task].task.card.metrics)
        wanted = self.spec.experiment.scoring.protocol
        return metrics, wanted if wanted in metrics else next(iter(metrics))

    def by_logprob(self, model: PlannedModel, task: str) -> bool:
        """Whether this model's choices of this task are graded by log-probability."""
        how = self.spec.experiment.scoring.choices
        draw = self.draws[task]
        graded = any(
            get_metric(name).score_logprobs is not None for name in draw.task.card.metrics.values()
        )
        if not graded or how == "text" or not draw.items[0].choices:
            return False
        if how == "logprob" and not model.scores_choices:
            raise UserError(
                f"scoring.choices is 'logprob', but {model.label} gives no log-probabilities of "
                "choices; write 'text' or 'auto'"
            )
        return model.scores_choices

    def has_second_call(self, condition: Condition) -> bool:
        """Whether an answer under this condition takes a second request."""
        return method_of(condition).second_call

    def requests(self, model: PlannedModel) -> Iterator[Planned]:
        """First requests of one model, cell by cell, items in their drawn order."""
        for shape in self.shapes:
            yield from self.cell_requests(model, *shape)

    def cell_requests(
        self,
        model: PlannedModel,
        task: str,
        condition: Condition,
        shots: int,
        wording: Wording | None = None,
        items: Sequence[Item] | None = None,
    ) -> Iterator[Planned]:
        """Requests of one cell: every item (or only these), every replicate.

        Args:
            model: the model to ask.
            task: id of the task.
            condition: how the prompt is built.
            shots: number of demonstrations.
            wording: of the instruction; the first of the task's unless given.
            items: only these.
        """
        draw = self.draws[task]
        wording = wording or draw.wordings[0]
        cell = Cell(model.label, task, condition.id, shots, wording.id)
        build = CellBuilder(
            self.spec.experiment,
            model,
            draw,
            condition,
            wording,
            cell,
            by_logprob=self.by_logprob(model, task),
        )
        for item in draw.items if items is None else items:
            for replicate in range(self.spec.experiment.replicates):
                yield build.planned(item, replicate)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the requests and the analysis, and not of how they are sent."""
        return plan_digest(self)
