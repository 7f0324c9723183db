"""Prompts with their gold answers: one's own sentences, or the cells of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptlab.errors import UserError, did_you_mean
from promptlab.plan import Plan, Planned, PlannedModel
from promptlab.planning import build_plan
from promptlab.prompts import Variant
from promptlab.runs import Run
from promptlab.spec import Spec, load_spec, spec_from_mapping
from promptlab.types import Message, Style
from promptlab.whitebox.words import added_words

__all__ = ["Example", "as_examples", "example", "examples_of"]

_KEYS = ("prompt", "answer", "stimulus", "item_id", "task", "condition")


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt, the answer that would be right, and what its parts are.

    Attributes:
        prompt: text, or the messages of a chat.
        answer: the gold answer, whose loss is looked at.
        item_id: the unit of intervals; the same in every condition.
        task: the cluster of the item.
        condition: how the prompt was built.
        stimulus: positions of the words that the condition added. Words of a chat are numbered
            through all of its messages.
        shots: number of demonstrations in it.
        instruction: wording of the instruction.
    """

    prompt: str | tuple[Message, ...]
    answer: str
    item_id: str = ""
    task: str = ""
    condition: str = "original"
    stimulus: frozenset[int] = frozenset()
    shots: int = 0
    instruction: str = "own"


def example(
    prompt: str,
    answer: str,
    *,
    stimulus: str = "",
    item_id: str = "",
    task: str = "",
    condition: str = "",
) -> Example:
    """A prompt of one's own.

    Args:
        prompt: the text.
        answer: the answer that would be right.
        stimulus: the sentence in the prompt that is looked at; it must stand there once.
        item_id: what the same question has in every wording.
        task: what the question belongs to.
        condition: `original`, or `stimulus` where there is one, unless given.

    Raises:
        UserError: a prompt without words, or a stimulus that is not there, or twice.
    """
    if not prompt.split():
        raise UserError("the prompt has no words")
    added: frozenset[int] = frozenset()
    if stimulus.strip():
        words, wanted = prompt.split(), stimulus.split()
        starts = [
            i for i in range(len(words) - len(wanted) + 1) if words[i : i + len(wanted)] == wanted
        ]
        if len(starts) != 1:
            times = "not" if not starts else f"{len(starts)} times"
            raise UserError(
                f"the stimulus {stimulus!r} is {times} in the prompt; it must stand there once, "
                "word for word and between blanks"
            )
        added = frozenset(range(starts[0], starts[0] + len(wanted)))
    condition = condition or ("stimulus" if added else "original")
    return Example(prompt, answer, item_id, task, condition, added)


def as_examples(
    source: object, *, limit: int | None = None, can_chat: bool = True
) -> list[Example]:
    """Examples from whatever holds prompts.

    Args:
        source: a spec (its path, mapping or `Spec`), a run, a plan, examples, a table or mappings
            with `prompt`, `answer` and optionally `stimulus`, `item_id`, `task`, `condition`.
        limit: at most this many items a task; of examples, at most this many.
        can_chat: whether the model has a chat template.

    Raises:
        UserError: something else, or nothing in it.
    """
    if isinstance(source, str | Path | Spec | Run | Plan) or _is_spec(source):
        return examples_of(source, limit=limit, can_chat=can_chat)
    if hasattr(source, "to_dict"):
        source = source.to_dict("records")
    if not isinstance(source, Sequence):
        raise UserError(
            f"prompts are a spec, a run, a table or a list of examples, not {type(source).__name__}"
        )
    found = [_as_example(one, number) for number, one in enumerate(source, 1)]
    if not found:
        raise UserError("there is no prompt")
    return found[:limit]


def _is_spec(source: object) -> bool:
    return isinstance(source, Mapping) and "tasks" in source


def _as_example(one: object, number: int) -> Example:
    if isinstance(one, Mapping):
        unknown = [str(key) for key in one if key not in _KEYS]
        if unknown:
            raise UserError(
                f"prompt {number}: unknown key '{unknown[0]}'{did_you_mean(unknown[0], _KEYS)}"
            )
        missing = [key for key in ("prompt", "answer") if not one.get(key)]
        if missing:
            raise UserError(f"prompt {number} has no '{missing[0]}'")
        given = {key: str(value) for key, value in one.items() if value == value}  # NaN is not
        prompt, answer = given.pop("prompt"), given.pop("answer")
        try:
            one = example(prompt, answer, **given)
        except UserError as error:
            raise UserError(f"prompt {number}: {error}") from None
    if not isinstance(one, Example):
        raise UserError(
            f"prompt {number} is no example; write example(prompt, answer) or a mapping with "
            "'prompt' and 'answer'"
        )
    return one if one.item_id else replace(one, item_id=f"item-{number}")


def examples_of(
    source: object,
    *,
    model: str | None = None,
    limit: int | None = None,
    can_chat: bool = True,
) -> list[Example]:
    """The prompts of an experiment, item by item, so that a part of them is balanced.

    The answer is the first gold answer of an item. Where a method takes two calls, the prompt is
    that of the first. Of replicates one is taken. The words of a condition are those that the
    prompt of the same item under `original` does not have.

    Args:
        source: path, mapping or `Spec` of an experiment, a run, or a plan.
        model: label of the spec's model whose prompts are taken; the first unless given.
        limit: at most this many items a task.
        can_chat: whether messages can be shown to the model; otherwise prompts are plain text.

    Raises:
        SpecError: what is wrong with the spec, with file, line and key.
        MissingData: a suite's data is absent; says what to type.
        UserError: no such model, or an item without a gold answer.
    """
    plan = source if isinstance(source, Plan) else _plan_of(source)
    labels = [planned.label for planned in plan.models]
    if model is not None and model not in labels:
        raise UserError(f"the spec has no model '{model}'{did_you_mean(model, labels)}")
    planned_model = plan.models[0] if model is None else plan.model(model)
    if not can_chat:
        planned_model = _plain(plan, planned_model)
    by_item: list[tuple[int, Example]] = []
    for number, one in _numbered(plan, planned_model, limit):
        by_item.append((number, one))
    return [one for _, one in sorted(by_item, key=lambda pair: pair[0])]


def _plan_of(source: object) -> Plan:
    if isinstance(source, Run):
        spec = load_spec(source.path / "spec.yaml")
    elif isinstance(source, Spec):
        spec = source
    elif isinstance(source, Mapping):
        spec = spec_from_mapping(source)
    elif isinstance(source, str | Path):
        path = Path(source)
        spec = load_spec(path / "spec.yaml" if (path / "lock.json").is_file() else path)
    else:
        raise UserError(f"an experiment is a spec, a run or a plan, not {type(source).__name__}")
    # Nothing is sent, so it does not matter how a provider would be reached.
    described = {one.label: (None, True) for one in spec.experiment.models}
    return build_plan(spec, described=described)


def _plain(plan: Plan, model: PlannedModel) -> PlannedModel:
    style: Style = "completion"
    template = plan.spec.experiment.template
    variant: Variant = "paper" if template == "paper" else "plain"
    if model.style == "chat" and template == "auto":
        variant = model.variant
    return replace(model, style=style, variant=variant)


def _numbered(plan: Plan, model: PlannedModel, limit: int | None) -> Iterator[tuple[int, Example]]:
    """Number of the item in its task, and the example, cell by cell."""
    originals: dict[tuple[str, int, str, str], list[str]] = {}
    baseline = next((c for c in plan.conditions if c.id == "original"), None)
    if baseline is None:
        from promptlab.types import Condition

        baseline = Condition("original")
    for task, condition, shots, wording in plan.shapes:
        items = plan.draws[task].items[:limit]
        bare = plan.cell_requests(model, task, baseline, shots, wording, items)
        for planned in bare:
            key = (task, shots, wording.id, planned.item.item_id)
            originals.setdefault(key, _words(planned))
        number = 0
        for planned in plan.cell_requests(model, task, condition, shots, wording, items):
            if planned.replicate:
                continue
            key = (task, shots, wording.id, planned.item.item_id)
            yield number, _example(planned, originals[key])
            number += 1


def _example(planned: Planned, original: list[str]) -> Example:
    item, cell, request = planned.item, planned.cell, planned.request
    if not item.answers:
        raise UserError(f"item {item.item_id} of {cell.task} has no gold answer to look at")
    return Example(
        prompt=request.prompt if request.prompt is not None else request.messages,
        answer=item.answers[0],
        item_id=item.item_id,
        task=cell.task,
        condition=cell.condition,
        stimulus=added_words(_words(planned), original),
        shots=cell.shots,
        instruction=cell.instruction,
    )


def _words(planned: Planned) -> list[str]:
    request: Any = planned.request
    if request.prompt is not None:
        return str(request.prompt).split()
    return [word for message in request.messages for word in message.content.split()]
