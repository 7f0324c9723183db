"""Conditions: the ways to build a prompt that an experiment crosses with everything else.

A condition is `original`, stimuli at a place, or a method (`promptlab.methods`), with stimuli
besides or without.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from promptlab.documents import Key, validate
from promptlab.errors import UnknownName, UserError
from promptlab.methods import Context, Method, get_method, methods
from promptlab.spec import ConditionSpec, Experiment, MethodSpec, Spec
from promptlab.stimuli import Library, library
from promptlab.types import Condition, Stimulus

__all__ = ["resolve_conditions"]

_FIRST = ("original", "zero_shot_cot", "ape")
"""Methods whose defaults are not recorded: there was nothing to set when they were first asked."""

Selection = tuple[str, tuple[Stimulus, ...]]


def resolve_conditions(spec: Spec) -> tuple[Condition, ...]:
    """The experiment's conditions in the order written.

    Raises:
        SpecError: an unknown stimulus or method, a mistake in its settings, or two conditions of
            one id.
    """
    experiment = spec.experiment
    known = library([spec.resolve(path) for path in experiment.stimuli])
    found: dict[str, Condition] = {}
    for i, entry in enumerate(experiment.conditions):
        key = ("conditions", i)
        try:
            for condition in _conditions(spec, entry, key, known):
                if condition.id in found:
                    how = (
                        "a stimulus at another place or with another joiner is a condition of its "
                        "own"
                        if condition.method == "stimulus"
                        else "a method with other settings needs a 'name' of its own"
                    )
                    raise UserError(f"condition '{condition.id}' is listed twice; {how}")
                found[condition.id] = condition
        except UserError as error:
            if _has_place(error):
                raise
            raise spec.document.error(str(error), key) from None
    return tuple(found.values())


def _has_place(error: UserError) -> bool:
    return bool(getattr(error, "path", ""))


def _conditions(
    spec: Spec, entry: ConditionSpec | MethodSpec | str, key: Key, known: Library
) -> Iterable[Condition]:
    if isinstance(entry, MethodSpec):
        return _with_method(spec, entry, key, known)
    if not isinstance(entry, str):
        return _with_stimuli(entry, known, spec.experiment)
    if entry in methods():
        return _with_method(spec, MethodSpec(method=entry), key, known)
    try:
        return list(_with_stimuli(ConditionSpec(stimuli=[entry]), known, spec.experiment))
    except UnknownName:
        raise UnknownName("condition", entry, [*known.names(), *methods()]) from None


def _with_stimuli(
    entry: ConditionSpec, known: Library, experiment: Experiment
) -> Iterator[Condition]:
    joiner, suffix = _joined(entry, experiment)
    for name, stimuli in _selections(entry, known, experiment.seed):
        yield Condition(
            id=name + suffix,
            method="stimulus",
            stimuli=stimuli,
            position=entry.position,
            joiner=joiner,
            max_tokens=entry.max_tokens,
        )


def _with_method(spec: Spec, entry: MethodSpec, key: Key, known: Library) -> Iterator[Condition]:
    """The method alone, or with each of its stimuli."""
    method = _opened(spec, entry, key)
    first = method.name in _FIRST
    settings = method.model_dump(mode="json", exclude_defaults=True) if first else method.settings()
    settings.pop("max_tokens", None)
    name = entry.name or method.id
    common: dict[str, Any] = {
        "method": method.name,
        "max_tokens": method.max_tokens,
        "settings": settings,
    }
    if not entry.stimuli:
        yield Condition(id=name, **common)
        return
    joiner, suffix = _joined(entry, spec.experiment)
    for added, stimuli in _selections(entry, known, spec.experiment.seed):
        yield Condition(
            id=f"{name}+{added}{suffix}",
            stimuli=stimuli,
            position=entry.position,
            joiner=joiner,
            **common,
        )


def _opened(spec: Spec, entry: MethodSpec, key: Key) -> Method:
    """The method with its settings checked and its files read."""
    settings = dict(entry.settings)
    if entry.max_tokens is not None:
        settings["max_tokens"] = entry.max_tokens
    method = validate(get_method(entry.method), spec.document, settings, key)
    return method.opened(Context(spec.document, key, spec.resolve))


def _selections(entry: ConditionSpec | MethodSpec, known: Library, seed: int) -> list[Selection]:
    """What the expressions stand for; with `combine`, every combination of that many of them."""
    found: list[Selection] = []
    for expression in entry.stimuli:
        found += [(name, tuple(stimuli)) for name, stimuli in known.resolve(expression, seed)]
    if entry.combine is None:
        return found
    found = list(dict(found).items())
    if len(found) < entry.combine:
        raise UserError(
            f"'combine: {entry.combine}' needs as many stimuli, and these are {len(found)}"
        )
    return [_combined(parts) for parts in itertools.combinations(found, entry.combine)]


def _combined(parts: tuple[Selection, ...]) -> Selection:
    name = "+".join(name for name, _ in parts)
    stimuli = tuple(s for _, several in parts for s in several)
    if len({s.id for s in stimuli}) < len(stimuli):
        raise UserError(f"'{name}' combines a stimulus with itself; list single stimuli to combine")
    return name, stimuli


def _joined(entry: ConditionSpec | MethodSpec, experiment: Experiment) -> tuple[str, str]:
    """The joiner, and what place and joiner add to an id."""
    joiner = experiment.joiner if entry.joiner is None else entry.joiner
    suffix = "" if entry.position == "after_instruction" else f"@{entry.position}"
    return joiner, suffix if joiner == experiment.joiner else f"{suffix}@joiner={joiner!r}"
