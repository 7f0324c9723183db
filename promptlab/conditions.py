"""Conditions: the ways to build a prompt that an experiment crosses with everything else.

A condition is `original`, stimuli at a place, or a baseline method. A method is a `Method` in the
registry below; a third party adds one through the entry-point group `promptlab.methods`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from promptlab.errors import UnknownName, UserError
from promptlab.spec import ConditionSpec, Experiment, Spec
from promptlab.stimuli import Library, library
from promptlab.types import Condition

__all__ = ["METHODS", "Method", "methods", "resolve_conditions"]


@dataclass(frozen=True, slots=True)
class Method:
    """A baseline way of prompting.

    Attributes:
        name: id of the condition.
        description: one line for `promptlab list methods`.
        instruction: name of the card's alternative instruction that replaces the usual one.
        trigger: text appended to the prompt, after which the model reasons.
        answer_trigger: text of a second call, after the reasoning, that extracts the answer.
        max_tokens: token limit of the reasoning call.
    """

    name: str
    description: str
    instruction: str = ""
    trigger: str = ""
    answer_trigger: str = ""
    max_tokens: int | None = None


METHODS = (
    Method("original", "the task's instruction as it is"),
    Method(
        "zero_shot_cot",
        "zero-shot chain of thought: reasoning first, then a second call that extracts the answer "
        "(Kojima et al. 2022)",
        trigger="Let's think step by step.",
        answer_trigger="Therefore, the answer is",
        max_tokens=512,
    ),
    Method(
        "ape",
        "the instruction found by Automatic Prompt Engineer (Zhou et al. 2023)",
        instruction="ape",
    ),
)


@cache
def methods() -> dict[str, Method]:
    """All methods by name, those of installed packages included."""
    from importlib.metadata import entry_points

    known = {m.name: m for m in METHODS}
    for entry in entry_points(group="promptlab.methods"):
        method: Method = entry.load()
        known[method.name] = method
    return known


def resolve_conditions(spec: Spec) -> tuple[Condition, ...]:
    """The experiment's conditions in the order written.

    Raises:
        SpecError: an unknown stimulus or method, or two conditions of one id.
    """
    experiment = spec.experiment
    known = library([spec.resolve(path) for path in experiment.stimuli])
    found: dict[str, Condition] = {}
    for i, entry in enumerate(experiment.conditions):
        key = ("conditions", i)
        try:
            for condition in _conditions(entry, known, experiment):
                if condition.id in found:
                    raise UserError(
                        f"condition '{condition.id}' is listed twice; a stimulus at another place "
                        "or with another joiner is a condition of its own"
                    )
                found[condition.id] = condition
        except UserError as error:
            raise spec.document.error(str(error), key) from None
    return tuple(found.values())


def _conditions(
    entry: ConditionSpec | str, known: Library, experiment: Experiment
) -> Iterable[Condition]:
    if isinstance(entry, str):
        if entry in methods():
            yield _method_condition(entry, None)
            return
        entry = ConditionSpec(stimuli=[entry])
        hint_methods = True
    else:
        hint_methods = False
    if entry.method is not None:
        if entry.method not in methods():
            raise UnknownName("method", entry.method, methods())
        yield _method_condition(entry.method, entry.max_tokens)
        return
    joiner = experiment.joiner if entry.joiner is None else entry.joiner
    suffix = _placement_suffix(entry.position, joiner, experiment.joiner)
    for expression in entry.stimuli:
        try:
            resolved = known.resolve(expression, experiment.seed)
        except UnknownName as error:
            if hint_methods:
                names = [*known.names(), *methods()]
                raise UnknownName("condition", expression, names) from None
            raise error
        for name, stimuli in resolved:
            yield Condition(
                id=name + suffix,
                method="stimulus",
                stimuli=tuple(stimuli),
                position=entry.position,
                joiner=joiner,
                max_tokens=entry.max_tokens,
            )


def _method_condition(name: str, max_tokens: int | None) -> Condition:
    method = methods()[name]
    condition = Condition(id=name, method=name, max_tokens=method.max_tokens)
    return replace(condition, max_tokens=max_tokens) if max_tokens else condition


def _placement_suffix(position: str, joiner: str, usual: str) -> str:
    suffix = "" if position == "after_instruction" else f"@{position}"
    return suffix if joiner == usual else f"{suffix}@joiner={joiner!r}"
