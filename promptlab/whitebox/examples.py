"""Prompts with their gold answers: one's own sentences, or the cells of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from promptlab.errors import UserError, did_you_mean
from promptlab.plan import Plan, Planned, PlannedModel
from promptlab.planning import build_plan
from promptlab.runs import Run
from promptlab.spec import Spec, load_spec, spec_from_mapping
from promptlab.types import Condition, Message, Wording
from promptlab.whitebox.marking import find_words, marked, method_words, stimulus_words

__all__ = ["Example", "as_examples", "example", "examples_of", "plan_of"]

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
        stimulus: positions of the stimulus' words. Words of a chat are numbered through all of its
            messages.
        shots: number of demonstrations in it.
        instruction: wording of the instruction.
        method: positions of the words of the condition's method: a trigger, a persona, another
            instruction.
    """

    prompt: str | tuple[Message, ...]
    answer: str
    item_id: str = ""
    task: str = ""
    condition: str = "original"
    stimulus: frozenset[int] = frozenset()
    shots: int = 0
    instruction: str = "own"
    method: frozenset[int] = frozenset()

    def __str__(self) -> str:
        """Where it stands: task, item, condition and number of demonstrations."""
        said = [self.task, f"item {self.item_id}", self.condition, f"{self.shots} shots"]
        if self.instruction != "own":
            said.append(f"instruction {self.instruction}")
        return ", ".join(part for part in said if part)


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
        starts = find_words(words, wanted)
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
    source: object, *, limit: int | None = None, can_chat: bool = True, opened: str = ""
) -> list[Example]:
    """Examples from whatever holds prompts.

    Args:
        source: a spec (its path, mapping or `Spec`), a run, a plan, examples, a table or mappings
            with `prompt`, `answer` and optionally `stimulus`, `item_id`, `task`, `condition`.
        limit: at most this many items a task; of examples, at most this many.
        can_chat: whether the model has a chat template.
        opened: what the model was opened as. Of an experiment its own prompts are taken where it
            is one of the models, otherwise those of the first local/ model, or of the first.

    Raises:
        UserError: something else, or nothing in it.
    """
    if isinstance(source, str | Path | Spec | Run | Plan) or _is_spec(source):
        plan = plan_of(source)
        label = _label_of(plan, opened)
        return examples_of(plan, model=label, limit=limit, can_chat=can_chat)
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


def _label_of(plan: Plan, opened: str) -> str:
    ids = [planned.spec.id for planned in plan.models]
    same = [one.removeprefix("local/") == opened.removeprefix("local/") for one in ids]
    local = [one.startswith("local/") for one in ids]
    found = next((marks.index(True) for marks in (same, local) if any(marks)), 0)
    return plan.models[found].label


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
    that of the first. Of replicates one is taken. Words of the stimulus are read off the rendering;
    words of the method are those that remain beyond the prompt of the same item under `original`.

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
    plan = plan_of(source)
    labels = [planned.label for planned in plan.models]
    if model is not None and model not in labels:
        raise UserError(f"the spec has no model '{model}'{did_you_mean(model, labels)}")
    planned_model = plan.models[0] if model is None else plan.model(model)
    if not can_chat:
        planned_model = replace(planned_model, style="completion")  # in the variant it is asked in
    numbered = sorted(_numbered(plan, planned_model, limit), key=lambda pair: pair[0])
    return [one for _, one in numbered]


def plan_of(source: object) -> Plan:
    """The plan of an experiment; no model is reached or opened.

    Args:
        source: path, mapping or `Spec` of an experiment, a run, or a plan.

    Raises:
        SpecError: what is wrong with the spec, with file, line and key.
        MissingData: a suite's data is absent; says what to type.
        UserError: something else.
    """
    if isinstance(source, Plan):
        return source
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


def _numbered(plan: Plan, model: PlannedModel, limit: int | None) -> Iterator[tuple[int, Example]]:
    """Number of the item in its task, and the example, cell by cell."""
    baseline = next((c for c in plan.conditions if c.id == "original"), Condition("original"))
    originals: dict[tuple[str, int, str], list[str]] = {}

    def prompts(task: str, condition: Condition, shots: int, wording: Wording) -> list[Planned]:
        items = plan.draws[task].items[:limit]
        found = plan.cell_requests(model, task, condition, shots, wording, items)
        return [planned for planned in found if not planned.replicate]

    for task, condition, shots, wording in plan.shapes:
        key = (task, shots, wording.id)
        if key not in originals:
            originals[key] = [_text(planned) for planned in prompts(task, baseline, shots, wording)]
        found = prompts(task, condition, shots, wording)
        marks = prompts(task, marked(condition), shots, wording)
        for number, planned in enumerate(found):
            text = _text(planned)
            stimulus = stimulus_words(text, _text(marks[number]), condition.text)
            method = method_words(text, stimulus, originals[key][number], condition)
            yield number, _example(planned, stimulus, method)


def _example(planned: Planned, stimulus: frozenset[int], method: frozenset[int]) -> Example:
    item, cell, request = planned.item, planned.cell, planned.request
    if not item.answers:
        raise UserError(f"item {item.item_id} of {cell.task} has no gold answer to look at")
    return Example(
        prompt=request.prompt if request.prompt is not None else request.messages,
        answer=item.answers[0],
        item_id=item.item_id,
        task=cell.task,
        condition=cell.condition,
        stimulus=stimulus,
        shots=cell.shots,
        instruction=cell.instruction,
        method=method,
    )


def _text(planned: Planned) -> str:
    """The prompt's text; words of a chat are those of its messages, one after the other."""
    request = planned.request
    if request.prompt is not None:
        return request.prompt
    return "\n".join(message.content for message in request.messages)
