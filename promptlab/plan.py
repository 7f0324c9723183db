"""What will be sent: every cell and request of an experiment, in a fixed order, built lazily.

Items and demonstrations are drawn once for each task and shared by every condition, so contrasts
are paired by construction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import orjson

from promptlab.conditions import Method, methods
from promptlab.errors import UserError
from promptlab.keys import canonical_request, key_of
from promptlab.prompts import Prompt, Variant, continued, hash_text, render
from promptlab.scoring import get_metric
from promptlab.spec import ModelSpec, Spec
from promptlab.tasks import Task
from promptlab.types import (
    OWN,
    Cell,
    Condition,
    Demonstration,
    Item,
    Request,
    Response,
    Style,
    Wording,
)

__all__ = ["Draw", "LeftOut", "Plan", "Planned", "PlannedModel", "demonstrations_digest"]

_HOW_TO_ASK = (
    *("runner", "concurrency", "budget", "timeout_s", "max_attempts"),
    *("store", "data_dir", "runs_dir"),
)
_HOW_TO_ASK_ONE = (
    *("concurrency", "requests_per_minute", "tokens_per_minute"),
    *("price", "budget", "api_key_env"),
)
_COMPLETION_STOP = ("\n",)
_REASONING_STOP = ("\nInput:", "\nInstruction:", "\nQ:")


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model with everything that decides its requests."""

    spec: ModelSpec
    style: Style
    variant: Variant
    endpoint: str | None
    scores_choices: bool

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.spec.label


@dataclass(frozen=True, slots=True)
class Draw:
    """What the seed drew from a task: items, demonstrations by number of shots, and wordings."""

    task: Task
    items: tuple[Item, ...]
    demonstrations: Mapping[int, tuple[Demonstration, ...]]
    wordings: tuple[Wording, ...]
    """Of the instruction; the card's own, and paraphrases where the spec crosses them."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Cells that a suite cannot fill, and why."""

    task: str
    shots: int | None
    condition: str | None
    reason: str

    def __str__(self) -> str:
        where = [self.task]
        if self.condition:
            where.append(self.condition)
        if self.shots is not None:
            where.append(f"{self.shots} shots")
        return f"{', '.join(where)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Planned:
    """One planned request. With `follow_up`, a second request is made from the first's response.

    `canonical` is what identifies the request, and `hash` its key (`promptlab.keys`).
    """

    cell: Cell
    item: Item
    replicate: int
    request: Request
    canonical: bytes
    hash: str
    shared_prefix: str = ""
    follow_up: Callable[[Response], Planned] | None = None

    @property
    def model(self) -> str:
        """Label of the model to ask."""
        return self.cell.model


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
    def crosses_wordings(self) -> bool:
        """Whether the spec asks for other wordings than the cards' own."""
        return self.spec.experiment.instructions != OWN

    def replaces_instruction(self, condition: Condition) -> bool:
        """Whether a condition brings an instruction of its own, which has no other wording."""
        method = methods().get(condition.method)
        return bool(method and method.instruction)

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
        return (*self._short_draws(), *self._few_wordings(), *self._cold_replicates())

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
        method = methods().get(condition.method)
        return bool(method and method.answer_trigger)

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
        build = _CellBuilder(self, model, draw, condition, wording, cell)
        for item in draw.items if items is None else items:
            for replicate in range(self.spec.experiment.replicates):
                yield build.planned(item, replicate)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the requests and the analysis, and not of how they are sent."""
        # Left out where a spec does not use it: it was not there before wordings were crossed.
        unused = {} if self.crosses_wordings else {"instructions": True}
        experiment = self.spec.experiment.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(_HOW_TO_ASK, True),
                **unused,
                "models": {"__all__": set(_HOW_TO_ASK_ONE)},
                "analysis": {"registration"},
                # What every request is sent of is the run it was before there were races.
                **({"design": True} if self.spec.experiment.race is None else {}),
            },
        )
        content = {
            "experiment": experiment,
            "conditions": [[c.id, c.text, c.position, c.joiner] for c in self.conditions],
            "endpoints": [m.endpoint for m in self.models],
            "items": {t: [i.item_id for i in d.items] for t, d in self.draws.items()},
            "demonstrations": {t: demonstrations_digest(d) for t, d in self.draws.items()},
        }
        if self.crosses_wordings:
            content["wordings"] = {
                t: [[w.id, w.text] for w in d.wordings] for t, d in self.draws.items()
            }
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


class _CellBuilder:
    """Requests of one cell; what its items share is worked out once."""

    def __init__(
        self,
        plan: Plan,
        model: PlannedModel,
        draw: Draw,
        condition: Condition,
        wording: Wording,
        cell: Cell,
    ) -> None:
        experiment = plan.spec.experiment
        card = draw.task.card
        self._model, self._condition, self._cell, self._card = model, condition, cell, card
        self._method: Method = methods().get(condition.method, methods()["original"])
        self._demonstrations = draw.demonstrations[cell.shots]
        self._instruction = (
            card.instructions[self._method.instruction]
            if self._method.instruction
            else wording.text
        )
        after_input = condition.position == "after_input"
        self._answer_label = draw.task.answer_label if after_input else ""
        self._by_logprob = plan.by_logprob(model, cell.task)
        self._list_choices = card.template == "truthfulqa" and not self._by_logprob
        params: dict[str, Any] = {"temperature": 0, "max_tokens": card.max_tokens}
        if model.style == "completion":
            params["stop"] = list(_COMPLETION_STOP)
        params |= experiment.params
        params |= model.spec.params
        if condition.max_tokens and not self._method.answer_trigger:
            params["max_tokens"] = condition.max_tokens
        self._params = params
        self._reasoning_params = {**params, "max_tokens": condition.max_tokens}
        if model.style == "completion":
            self._reasoning_params["stop"] = list(_REASONING_STOP)

    def planned(self, item: Item, replicate: int) -> Planned:
        method = self._method
        prompt = render(
            self._card.template,
            self._instruction,
            self._condition,
            item,
            self._demonstrations,
            style=self._model.style,
            variant=self._model.variant,
            list_choices=self._list_choices,
            trigger=method.trigger,
            answer_label=self._answer_label,
        )
        if not method.answer_trigger:
            return self._final(prompt, item, replicate)
        first = self._planned(prompt, item, replicate, (), self._reasoning_params)

        def second(response: Response) -> Planned:
            final = continued(prompt, response.text, method.answer_trigger)
            return self._final(final, item, replicate)

        return replace(first, follow_up=second)

    def _final(self, prompt: Prompt, item: Item, replicate: int) -> Planned:
        if self._by_logprob:
            # Nothing is sampled, so no sampling parameter is part of the request.
            return self._planned(prompt, item, replicate, item.choices, {})
        return self._planned(prompt, item, replicate, (), self._params)

    def _planned(
        self,
        prompt: Prompt,
        item: Item,
        replicate: int,
        choices: tuple[str, ...],
        params: Mapping[str, Any],
    ) -> Planned:
        request = Request(
            model=self._model.spec.id,
            messages=prompt.messages,
            prompt=prompt.text,
            choices=choices,
            params=params,
            endpoint=self._model.endpoint,
            replicate=replicate,
        )
        canonical = canonical_request(request)
        return Planned(
            self._cell, item, replicate, request, canonical, key_of(canonical), prompt.shared_prefix
        )


def demonstrations_digest(draw: Draw) -> str:
    """Hash of the demonstrations, for the lock."""
    shown = {
        str(k): [[d.input, d.output] for d in demonstrations]
        for k, demonstrations in draw.demonstrations.items()
    }
    return hash_text(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode())[:16]
