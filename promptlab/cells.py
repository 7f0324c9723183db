"""The requests of one cell: prompt by prompt, and what its items share worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promptlab.keys import canonical_request, key_of
from promptlab.methods import method_of
from promptlab.planned import Draw, Planned, PlannedModel
from promptlab.prompts import Prompt, continued, render
from promptlab.spec import Experiment
from promptlab.types import Cell, Condition, Item, Request, Response, Wording

__all__ = ["CellBuilder"]

_COMPLETION_STOP = ("\n",)
_REASONING_STOP = ("\nInput:", "\nInstruction:", "\nQ:")


class CellBuilder:
    """Makes the requests of one cell.

    Args:
        experiment: for the parameters that are sent.
        model: the model to ask.
        draw: of the task.
        condition: how the prompt is built.
        wording: of the instruction.
        cell: the cell.
        by_logprob: whether choices are graded by their log-probability.
    """

    def __init__(
        self,
        experiment: Experiment,
        model: PlannedModel,
        draw: Draw,
        condition: Condition,
        wording: Wording,
        cell: Cell,
        *,
        by_logprob: bool,
    ) -> None:
        card = draw.task.card
        self._model, self._condition, self._cell, self._card = model, condition, cell, card
        self._draw = draw
        self._method = method_of(condition)
        replaced = self._method.instruction(draw.task)
        self._instruction = wording.text if replaced is None else replaced
        after_input = condition.position == "after_input"
        self._answer_label = draw.task.answer_label if after_input else ""
        self._by_logprob = by_logprob
        self._list_choices = card.template == "truthfulqa" and not self._by_logprob
        params: dict[str, Any] = {"temperature": 0, "max_tokens": card.max_tokens}
        if model.style == "completion":
            params["stop"] = list(_COMPLETION_STOP)
        params |= experiment.params
        params |= model.spec.params
        if condition.max_tokens and not self._method.second_call:
            params["max_tokens"] = condition.max_tokens
        self._params = params
        self._reasoning_params = dict(params)
        if condition.max_tokens:
            self._reasoning_params["max_tokens"] = condition.max_tokens
        if model.style == "completion":
            self._reasoning_params["stop"] = list(_REASONING_STOP)

    def planned(self, item: Item, replicate: int) -> Planned:
        """The (first) request of an item."""
        method = self._method
        prompt = render(
            self._card.template,
            self._instruction,
            self._condition,
            item,
            self._draw.shown(self._cell.shots, item),
            style=self._model.style,
            variant=self._model.variant,
            labels=self._model.labels,
            own_demonstrations=self._cell.shots in self._draw.by_item,
            list_choices=self._list_choices,
            build=method.build,
            task=self._cell.task,
            answer_label=self._answer_label,
        )
        if not method.second_call:
            return self._final(prompt, item, replicate)
        first = self._planned(prompt, item, replicate, (), self._reasoning_params)

        def second(response: Response) -> Planned:
            addition = method.follow_up(response.text)
            final = continued(prompt, response.text, addition)
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
