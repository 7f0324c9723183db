"""What all tasks with a fixed set of records share: drawing items and demonstrations by seed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from promptlab.documents import Document
from promptlab.tasks.cards import Task, TaskCard, in_drawing_order, item_seed, make_item
from promptlab.types import Demonstration, Item

__all__ = ["Context", "RecordTask", "best_choices", "distinct", "unique"]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a card stands."""

    document: Document
    """The card's file, for paths relative to it and for messages."""
    data_dir: Path
    """Folder of the public suites."""

    @property
    def base(self) -> Path:
        """Folder that relative paths in the card start from."""
        return Path(self.document.path).parent


class RecordTask(Task):
    """A task whose records are read once, when first asked for."""

    def __init__(self, card: TaskCard, context: Context) -> None:
        super().__init__(card)
        self.context = context

    @abstractmethod
    def _read_items(self) -> Iterable[Item]:
        """All items, in the order of the source."""

    def _read_demonstrations(self) -> Iterable[Item]:
        """Solved examples as items; what they show as output is their first answer."""
        return ()

    def _content(self, item: Item) -> Hashable:
        """What two examples share when one gives the other away."""
        return item.input

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        return distinct(self._read_items())

    @cached_property
    def _pool(self) -> tuple[Item, ...]:
        used = {self._content(item) for item in self._items}
        return tuple(d for d in self._read_demonstrations() if self._content(d) not in used)

    def size(self) -> int:
        """How many items there are."""
        return len(self._items)

    def items(self, n: int | None, seed: int) -> tuple[Item, ...]:
        """The first `n` items in the seed's order, as `Task.items` promises."""
        return tuple(in_drawing_order(self._items, self.id, seed)[:n])

    def demonstrations(self, n: int, seed: int) -> tuple[Demonstration, ...]:
        """Up to `n` solved examples of different inputs, none of them an item."""
        if n == 0 or not self.has_demonstrations:
            return ()
        chosen: dict[Hashable, Item] = {}
        for example in in_drawing_order(self._pool, f"{self.id}#demonstrations", seed):
            chosen.setdefault(self._content(example), example)
            if len(chosen) == n:
                break
        return tuple(Demonstration(d.input, d.answers[0]) for d in chosen.values())

    def demonstrations_of(self, item: Item, n: int, seed: int) -> tuple[Demonstration, ...]:
        """As `Task.demonstrations_of`; a sample of the pool, which is not put in order for it."""
        if n == 0 or not self.has_demonstrations:
            return ()
        rng, chosen = Random(item_seed(self.id, item, seed)), dict[Hashable, Item]()
        places: dict[int, int] = {}  # a shuffle of the pool, as far as it is needed
        for last in range(len(self._pool) - 1, -1, -1):
            at = rng.randint(0, last)
            example = self._pool[places.get(at, at)]
            places[at] = places.get(last, last)
            chosen.setdefault(self._content(example), example)
            if len(chosen) == n:
                break
        return tuple(Demonstration(d.input, d.answers[0]) for d in chosen.values())


def distinct(items: Iterable[Item]) -> tuple[Item, ...]:
    """The items, a repeated one marked so that its id is its own.

    The second copy of an item gets the field `copy: 2`, the third `copy: 3`, and so on: suites
    count such records, and a score must belong to exactly one of them.
    """
    seen: dict[str, int] = {}
    out: list[Item] = []
    for item in items:
        seen[item.item_id] = count = seen.get(item.item_id, 0) + 1
        out.append(item if count == 1 else _marked(item, count))
    return tuple(out)


def _marked(item: Item, copy: int) -> Item:
    return make_item(
        item.input,
        item.answers,
        choices=item.choices,
        target_scores=item.target_scores,
        fields={**item.fields, "copy": copy},
    )


def unique(texts: Iterable[str]) -> list[str]:
    """The texts without repetitions, in order of first appearance."""
    return list(dict.fromkeys(texts))


def best_choices(choices: Sequence[str], scores: Sequence[float]) -> list[str]:
    """The choice or choices of the highest score."""
    best = max(scores)
    return [choice for choice, score in zip(choices, scores, strict=True) if score == best]
