"""Instruction Induction (Honovich et al., 2023): 24 tasks, their demonstrations and paraphrases.

Items are the suite's held-out `execute` records, demonstrations come from its `induce` records.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from promptlab.documents import validate
from promptlab.errors import did_you_mean
from promptlab.tasks.cards import TaskCard, make_item
from promptlab.tasks.loaders.records import Context, RecordTask, unique
from promptlab.tasks.suites import pinned_files, read_pinned
from promptlab.types import Item

__all__ = ["InstructionInduction", "Settings"]

ALTERNATIVES = ("possible_outputs", "possible_translations", "other_rhymes", "all_common_concepts")
"""Fields of a record that list every accepted answer."""

OUTPUTS = ("output", "concept", "cause")
"""Fields of a record that hold the answer a demonstration shows."""


class Settings(BaseModel):
    """`data:` of a card of this loader."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loader: Literal["instruction_induction"]
    task: str | None = None
    """Task of the suite whose records are read; the card's name unless given."""


class InstructionInduction(RecordTask):
    """One of the suite's tasks.

    Raises:
        SpecError: the suite has no such task.
    """

    def __init__(self, card: TaskCard, context: Context) -> None:
        super().__init__(card, context)
        settings = validate(Settings, context.document, dict(card.data), ("data",))
        name = settings.task or card.name
        folder = "instruction_induction"
        self._execute = f"{folder}/raw/execute/{name}.json"
        self._induce = f"{folder}/raw/induce/{name}.json"
        self._annotations = f"{folder}/annotations/{name}.json"
        if self._execute not in pinned_files():
            known = [p.rpartition("/")[2][:-5] for p in pinned_files() if "/execute/" in p]
            raise context.document.error(
                f"Instruction Induction has no task '{name}'{did_you_mean(name, known)}", ("data",)
            )

    def _read_items(self) -> Iterator[Item]:
        for record in self._records(self._execute):
            yield from items_of(record)

    def _read_demonstrations(self) -> Iterator[Item]:
        for record in self._records(self._induce):
            for item in items_of(record):
                output = next(record[key] for key in OUTPUTS if key in record)
                yield make_item(item.input, [output], fields=item.fields)

    def _records(self, path: str) -> Iterable[Mapping[str, Any]]:
        examples: dict[str, Mapping[str, Any]] = orjson.loads(
            read_pinned(self.context.data_dir, path)
        )["examples"]
        return examples.values()

    def _content(self, item: Item) -> Hashable:
        if "cause" in item.fields:  # the other order of a pair gives the answer away
            return (item.fields["cause"], item.fields["effect"])
        return item.input

    @cached_property
    def paraphrases(self) -> tuple[str, ...]:
        """The card's, or the instruction as the suite's annotators worded it, none twice.

        Most annotators left out the last stop. It is added, as the published instructions have it,
        because a sentence that follows would else run on from the instruction.
        """
        if self.card.paraphrases:
            return tuple(self.card.paraphrases)
        content = orjson.loads(read_pinned(self.context.data_dir, self._annotations))
        return tuple(unique(_with_stop(text.strip()) for text in content["annotations"]))

    def provenance(self) -> Mapping[str, str]:
        """The suite's pinned files that were read, with their SHA-256."""
        return {path: pinned_files()[path].sha256 for path in (self._execute, self._induce)}


def _with_stop(text: str) -> str:
    return text if text.endswith((".", ":", "?", "!")) else f"{text}."


def items_of(record: Mapping[str, Any]) -> list[Item]:
    """Items of one record: one, or two where a cause and its effect are shown in either order."""
    if "cause" in record:
        return [_cause_and_effect(record, cause_first) for cause_first in (True, False)]
    if "items" in record:
        return [make_item(", ".join(record["items"]), record["all_common_concepts"])]
    for key in ALTERNATIVES:
        if key in record:
            return [make_item(record["input"], record[key])]
    return [make_item(record["input"], [record["output"]])]


def _cause_and_effect(record: Mapping[str, Any], cause_first: bool) -> Item:
    cause, effect = record["cause"], record["effect"]
    first, second = (cause, effect) if cause_first else (effect, cause)
    return make_item(
        f"Sentence 1: {first} Sentence 2: {second}",
        [cause],
        fields={"cause": cause, "effect": effect, "cause_first": cause_first},
    )
