"""The task card: what a person writes in YAML to make a task, and the task it becomes.

A card says the instruction, the metrics under each scoring protocol, and where records come from
and how a record becomes input and answers. `data.loader` picks the reader: `instruction_induction`,
`bigbench`, `truthfulqa` (the public suites), `procedural` (a generator), or `dataset` (any hub data
set or local CSV, JSONL or Parquet file).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from promptlab.types import Demonstration, Item

__all__ = ["Task", "TaskCard", "in_drawing_order", "item_seed", "make_item"]


class TaskCard(BaseModel):
    """A task as written in YAML; a built-in card's suite is the name of its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name within the suite."""
    suite: str = "user"
    """Suite the task belongs to; its id is `suite/name`."""
    description: str = ""
    """One line for `promptlab list tasks`."""
    instruction: str
    """What the model is told to do; stimuli are added to it."""
    instructions: Mapping[str, str] = Field(default_factory=dict)
    """Instructions of baseline methods by name, such as `ape`."""
    paraphrases: Sequence[Annotated[str, Field(pattern=r"\S")]] = ()
    """Other people's wordings of the instruction, for `instructions: paraphrases` of a spec."""
    source: str
    """Where the task comes from: citation or address."""
    metrics: Mapping[str, str] = Field(min_length=1)
    """Metric under each scoring protocol; the first is the task's own (primary) protocol."""
    template: str = "instruction_induction"
    """How instruction, demonstrations and input are laid out (see `promptlab.prompts`)."""
    max_tokens: int = Field(default=50, ge=1)
    """Token limit of an answer."""
    low: float = 0.0
    """Score of chance, for the normalised metric."""
    high: float = 1.0
    """Best possible score, for the normalised metric."""
    data: Mapping[str, Any]
    """`loader` and its settings."""


class Task(ABC):
    """A card together with its records.

    Items and demonstrations are drawn by seed alone, so every condition sees the same.
    """

    def __init__(self, card: TaskCard) -> None:
        self.card = card

    @property
    def id(self) -> str:
        """`suite/name`."""
        return f"{self.card.suite}/{self.card.name}"

    @abstractmethod
    def items(self, n: int | None, seed: int) -> tuple[Item, ...]:
        """The first `n` items in the seed's order, all of them if None.

        The same seed gives the same order, so a longer draw begins with every shorter one.
        Fewer than `n` are returned where the task has fewer.

        Raises:
            MissingData: the suite's file is absent or corrupt; names the command to type.
        """

    @abstractmethod
    def demonstrations(self, n: int, seed: int) -> tuple[Demonstration, ...]:
        """`n` solved examples, none of them an item; fewer where the task has fewer.

        Empty if the task has no source of them. A longer draw begins with every shorter one.
        """

    def demonstrations_of(self, item: Item, n: int, seed: int) -> tuple[Demonstration, ...]:
        """`n` solved examples drawn for one item, by the seed, the task and the item alone.

        As `demonstrations` otherwise; fewer where the task has fewer.
        """
        return self.demonstrations(n, item_seed(self.id, item, seed))

    @property
    def has_demonstrations(self) -> bool:
        """Whether few-shot cells can be filled."""
        return True

    @property
    def answer_label(self) -> str:
        """What ends every input and asks for the answer, where the input brings its own labels."""
        return ""

    def size(self) -> int | None:
        """How many items there are; None if they are generated in any number."""
        return None

    @property
    def paraphrases(self) -> tuple[str, ...]:
        """Other people's wordings of the instruction: the card's, or those the suite collected."""
        return tuple(self.card.paraphrases)

    def provenance(self) -> Mapping[str, str]:
        """What the records were read from, each with its SHA-256; empty if they are generated."""
        return {}


def make_item(
    input: str,
    answers: Sequence[str],
    *,
    choices: Sequence[str] = (),
    target_scores: Sequence[float] = (),
    fields: Mapping[str, Any] | None = None,
) -> Item:
    """An item whose id is the hash (16 hex digits of SHA-256) of its content."""
    content = orjson.dumps(
        [
            input,
            list(answers),
            list(choices),
            [float(s) for s in target_scores],
            dict(fields or {}),
        ],
        option=orjson.OPT_SORT_KEYS,
    )
    return Item(
        item_id=hashlib.sha256(content).hexdigest()[:16],
        input=input,
        answers=tuple(answers),
        choices=tuple(choices),
        target_scores=tuple(float(s) for s in target_scores),
        fields=dict(fields or {}),
    )


def item_seed(task: str, item: Item, seed: int) -> int:
    """A seed of the item's own: the first 8 bytes of SHA-256 of seed, task and item id."""
    text = f"{seed}\0{task}\0{item.item_id}\0demonstrations"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def in_drawing_order(items: Sequence[Item], task: str, seed: int) -> list[Item]:
    """Items sorted by a hash of seed, task and item: a random order whose prefixes nest."""
    return sorted(
        items,
        key=lambda item: hashlib.sha256(f"{seed}\0{task}\0{item.item_id}".encode()).digest(),
    )
