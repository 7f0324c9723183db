"""TruthfulQA (Lin, Hilton and Evans, 2022), made from the benchmark's CSV.

The benchmark also publishes `mc_task.json`, whose choices differ from the CSV in places.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from promptlab.documents import validate
from promptlab.tasks.cards import TaskCard, make_item
from promptlab.tasks.loaders.records import Context, RecordTask, unique
from promptlab.tasks.suites import pinned_files, read_pinned
from promptlab.types import Item

__all__ = ["Settings", "TruthfulQA", "split_answers"]

FILE = "truthfulqa/TruthfulQA.csv"


class Settings(BaseModel):
    """`data:` of a card of this loader."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loader: Literal["truthfulqa"]
    form: Literal["multiple_choice", "generation"] = "multiple_choice"
    """Choose among the CSV's answers, or answer freely and be judged."""


class TruthfulQA(RecordTask):
    """The questions with their correct and incorrect answers.

    As multiple choice, the choices are the correct answers (score 1), then the incorrect ones
    (score 0), none twice; the few texts that the CSV lists as both count as correct. That order is
    part of an item's id and of log-probability requests, and a model never sees it: where choices
    are shown (a template's, too), they stand in an order made from each item's id.
    `fields["best"]` is the best answer. In the form `generation` there are no choices; a judge
    finds the correct answers in `answers` and the incorrect ones in `fields["incorrect"]`.
    """

    def __init__(self, card: TaskCard, context: Context) -> None:
        super().__init__(card, context)
        self.settings = validate(Settings, context.document, dict(card.data), ("data",))

    @property
    def has_demonstrations(self) -> bool:
        """Never: every question is an item."""
        return False

    def _read_items(self) -> Iterator[Item]:
        text = read_pinned(self.context.data_dir, FILE).decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            best = row["Best Answer"].strip()
            correct = unique(split_answers(row["Correct Answers"]))
            choices = unique([*correct, *split_answers(row["Incorrect Answers"])])
            if self.settings.form == "generation":
                fields = {"best": best, "incorrect": choices[len(correct) :]}
                yield make_item(row["Question"], correct, fields=fields)
                continue
            scores = [1.0] * len(correct) + [0.0] * (len(choices) - len(correct))
            yield make_item(
                row["Question"],
                correct,
                choices=choices,
                target_scores=scores,
                fields={"best": best},
            )

    def provenance(self) -> Mapping[str, str]:
        """The suite's pinned file, with its SHA-256."""
        return {FILE: pinned_files()[FILE].sha256}


def split_answers(cell: str) -> list[str]:
    """Answers in a cell of the CSV: separated by semicolons, empty ones dropped."""
    return [answer for part in cell.split(";") if (answer := part.strip())]
