"""Any data set as a task: a hub data set, or a CSV, JSONL, JSON or Parquet file beside the card.

Keys that mean the same as in lm-evaluation-harness have its names without the prefixes `dataset_`
and `doc_to_`. Templates are Jinja (see `promptlab.tasks.loaders.templates`); no code of the card
or of the data set is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from promptlab.documents import validate
from promptlab.tasks.cards import TaskCard, make_item
from promptlab.tasks.loaders.records import Context, RecordTask, best_choices
from promptlab.tasks.loaders.rows import Source
from promptlab.tasks.loaders.templates import Row, Template
from promptlab.types import Item

__all__ = ["DatasetTask", "Settings"]


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError('YAML reads yes, no, true, false as truth values; quote it: "yes"')
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text)]


class Settings(BaseModel):
    """`data:` of a card of this loader."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loader: Literal["dataset"]
    path: str | Mapping[str, str]
    """Hub id; a local file, relative to the card; or a local file for each split."""
    name: str | None = None
    """Configuration of a hub data set."""
    split: str | None = None
    """Split of the items, such as `test` or `train[:80%]`; a single local file is `train`."""
    fewshot_split: str | None = None
    """Split of the demonstrations; no few-shot cells without it."""
    revision: str | None = None
    """Commit of a hub data set: pin it, so that the items stay the same."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """New names of columns by their old ones, where a template could not write the old one."""
    input: Text
    """Column or template of the item's input."""
    target: Text | Sequence[Text] | None = None
    """Column or template of the answer or list of answers; with `choices`, one of them."""
    choices: Text | Sequence[Text] | None = None
    """Column or template of a list of choices, or the list itself (texts or templates)."""
    target_scores: Text | Sequence[Text] | None = None
    """Scores of the choices: a column, a template, or a list of templates; numbers in [0, 1]."""
    gold: Text | None = None
    """Column or template of the right choice's index, counted from 0."""
    open: bool = False
    """No answer is right or wrong: answers are judged, and 'target' may be left out."""
    fields: Mapping[str, Text] = Field(default_factory=dict)
    """Columns or templates that judges may be shown, by the name they get."""

    @model_validator(mode="after")
    def _one_answer(self) -> Settings:
        given = [k for k in ("target", "target_scores", "gold") if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError(f"the answer is given twice: {' and '.join(given)}; keep one")
        if self.open:
            if self.choices is not None or given not in ([], ["target"]):
                raise ValueError("'open' is for answers that are judged; it has no choices")
            return self
        if self.choices is None and given != ["target"]:
            raise ValueError("'target' is missing; 'target_scores' and 'gold' need 'choices'")
        if not given:
            raise ValueError("which choice is right? give 'target', 'target_scores' or 'gold'")
        return self


class DatasetTask(RecordTask):
    """A task read from a local file, or from the hub through the `datasets` library.

    Raises:
        SpecError: a mistake in the card, with file, line and key.
    """

    def __init__(self, card: TaskCard, context: Context) -> None:
        super().__init__(card, context)
        self.settings = s = validate(Settings, context.document, dict(card.data), ("data",))
        self._source = Source(
            context, path=s.path, name=s.name, revision=s.revision, columns=s.columns
        )
        self._item_split = self._source.checked_split(s.split, "split")
        self._input = self._template(s.input, "input")
        self._target = self._templates(s.target, "target")
        self._choices = self._templates(s.choices, "choices", literal=True)
        self._scores = self._templates(s.target_scores, "target_scores", literal=True)
        self._gold = self._templates(s.gold, "gold")
        self._fields = {k: self._template(v, "fields", k) for k, v in s.fields.items()}

    def _template(self, source: str, *key: str | int, literal: bool = False) -> Template:
        return Template(source, self.context.document, ("data", *key), literal=literal)

    def _templates(
        self, source: str | Sequence[str] | None, key: str, *, literal: bool = False
    ) -> list[Template]:
        """One template a list's member; plain text in a list is itself where `literal`."""
        if source is None:
            return []
        if isinstance(source, str):
            return [self._template(source, key)]
        return [self._template(part, key, i, literal=literal) for i, part in enumerate(source)]

    @property
    def has_demonstrations(self) -> bool:
        """Whether the card names a split for them, and what they answer."""
        return self.settings.fewshot_split is not None and bool(self._target or self._choices)

    def _read_items(self) -> Iterator[Item]:
        # A row that stands twice is one item: counted twice, it would narrow every interval.
        return iter({item.item_id: item for item in self._from(self._rows)}.values())

    def _read_demonstrations(self) -> Iterator[Item]:
        split = self._source.checked_split(self.settings.fewshot_split, "fewshot_split")
        return self._from(self._source.rows(split, "fewshot_split"))

    @cached_property
    def _rows(self) -> list[Row]:
        return self._source.rows(self._item_split, "split")

    def provenance(self) -> Mapping[str, str]:
        """The local file or hub data set, with the SHA-256 of its content as it was read."""
        return self._source.provenance(self._item_split, self._rows)

    def _from(self, rows: list[Row]) -> Iterator[Item]:
        everything = [self._input, *self._target, *self._choices, *self._scores, *self._gold]
        everything += self._fields.values()
        for template in everything:
            template.check(list(rows[0]))
        for number, row in enumerate(rows, start=1):
            yield self._item(row, number)

    def _item(self, row: Row, number: int) -> Item:
        text = self._input.text(row, number)
        targets = [t for template in self._target for t in template.texts(row, number)]
        fields = {name: template.text(row, number) for name, template in self._fields.items()}
        if not self._choices:
            return make_item(text, targets, fields=fields)
        choices = [c for template in self._choices for c in template.texts(row, number)]
        if len(set(choices)) != len(choices) or len(choices) < 2:
            raise self._choices[0].error(f"row {number}: choices must be several, all different")
        scores = self._target_scores(row, number, choices, targets)
        best = best_choices(choices, scores)
        return make_item(text, best, choices=choices, target_scores=scores, fields=fields)

    def _target_scores(
        self, row: Row, number: int, choices: list[str], targets: list[str]
    ) -> list[float]:
        if self._gold:
            gold = _number(self._gold[0], self._gold[0].value(row, number), number)
            if gold not in range(len(choices)):
                raise self._gold[0].error(
                    f"row {number}: {gold:g} is not an index of {len(choices)} choices (from 0)"
                )
            return [float(i == gold) for i in range(len(choices))]
        if self._scores:
            return self._given_scores(row, number, choices)
        for target in targets:
            if target not in choices:
                raise self._target[0].error(f"row {number}: '{target}' is not among the choices")
        return [float(choice in targets) for choice in choices]

    def _given_scores(self, row: Row, number: int, choices: list[str]) -> list[float]:
        template = self._scores[0]
        values = [t.value(row, number) for t in self._scores]
        if len(values) == 1 and isinstance(values[0], Mapping):
            values = [values[0].get(choice) for choice in choices]
        elif len(values) == 1 and isinstance(values[0], list | tuple):
            values = list(values[0])
        scores = [_number(template, value, number) for value in values]
        if len(scores) != len(choices):
            raise template.error(f"row {number}: {len(scores)} scores for {len(choices)} choices")
        if not all(0 <= score <= 1 for score in scores) or max(scores) == 0:
            raise template.error(f"row {number}: scores must be in [0, 1], one of them above 0")
        return scores


def _number(template: Template, value: Any, number: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise template.error(f"row {number}: {value!r} is not a number") from None
