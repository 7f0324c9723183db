"""What a plan is made of: models, draws, requests, and what had to be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from promptlab.prompts import Labels, Variant, hash_text
from promptlab.spec import ModelSpec
from promptlab.tasks import Task
from promptlab.types import Cell, Demonstration, Item, Request, Response, Style, Wording

__all__ = ["Draw", "LeftOut", "Planned", "PlannedModel", "demonstrations_digest"]


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model with everything that decides its requests."""

    spec: ModelSpec
    style: Style
    variant: Variant
    endpoint: str | None
    scores_choices: bool
    labels: Labels = field(default_factory=Labels)
    """What the spec says otherwise than the variant of the template."""

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.spec.label

    @property
    def template(self) -> str:
        """The variant of the template, and what is otherwise, in words."""
        return f"{self.variant}{self.labels}"


@dataclass(frozen=True, slots=True)
class Draw:
    """What the seed drew from a task: items, demonstrations by number of shots, and wordings."""

    task: Task
    items: tuple[Item, ...]
    demonstrations: Mapping[int, tuple[Demonstration, ...]]
    """By number of shots; empty where each item has its own."""
    wordings: tuple[Wording, ...]
    """Of the instruction; the card's own, and paraphrases where the spec crosses them."""
    by_item: Mapping[int, Mapping[str, tuple[Demonstration, ...]]] = field(default_factory=dict)
    """By number of shots and item id, where each item has demonstrations of its own."""

    def shown(self, shots: int, item: Item) -> tuple[Demonstration, ...]:
        """The demonstrations before an item, the same under every condition."""
        if shots in self.by_item:
            return self.by_item[shots][item.item_id]
        return self.demonstrations[shots]


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


def demonstrations_digest(draw: Draw) -> str:
    """Hash of the demonstrations, for the lock."""
    shown: dict[str, Any] = {
        str(k): [[d.input, d.output] for d in demonstrations]
        for k, demonstrations in draw.demonstrations.items()
    }
    for k, of_items in draw.by_item.items():
        shown[str(k)] = {i: [[d.input, d.output] for d in drawn] for i, drawn in of_items.items()}
    return hash_text(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode())[:16]
