"""Methods that change nothing but the instruction: APE's, a file's, a paraphrase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field

from promptlab.documents import load_document
from promptlab.errors import UserError, did_you_mean
from promptlab.methods.base import Context, Method
from promptlab.tasks import Task
from promptlab.wordings import with_end_of, wordings_among

__all__ = ["Ape", "InstructionSet", "Paraphrase"]


class Ape(Method):
    """The instruction that a task card has under `instructions: {ape: ...}`."""

    name = "ape"
    description = "the instruction found by Automatic Prompt Engineer (Zhou et al. 2023)"
    source = "Zhou et al., ICLR 2023, arXiv:2211.01910"
    replaces_instruction: ClassVar[bool] = True

    def instruction(self, task: Task) -> str | None:
        """The card's."""
        if self.name not in task.card.instructions:
            raise UserError(f"the task card has no '{self.name}' instruction")
        return task.card.instructions[self.name]


class InstructionSet(Method):
    """Instructions by task id, such as those that an optimiser found."""

    name = "instructions"
    description = "instructions of your own by task id, from a YAML file"
    replaces_instruction: ClassVar[bool] = True

    file: str | None = None
    """YAML file that maps task ids to instructions, relative to the spec."""
    texts: Mapping[str, str] = Field(default_factory=dict)
    """The instructions themselves, by task id, instead of a file."""

    @property
    def id(self) -> str:
        """The file's name without its ending."""
        return Path(self.file).stem if self.file else self.name

    def opened(self, context: Context) -> Self:
        """With the file's instructions as `texts`."""
        if (self.file is None) is (not self.texts):
            raise context.error("write 'file: instructions.yaml', or 'texts: {task: instruction}'")
        if self.file is None:
            _check_texts(context, self.texts)
            return self
        document = load_document(context.resolve(self.file))
        if not isinstance(document.data, dict) or not document.data:
            raise document.error("instructions are a mapping from task ids to texts")
        for task, text in document.data.items():
            if not isinstance(text, str) or not text.strip():
                raise document.error(f"an instruction is a text (got {text!r})", (str(task),))
        texts = {str(task): text for task, text in document.data.items()}
        return self.model_copy(update={"texts": texts})

    def instruction(self, task: Task) -> str | None:
        """The task's, ending in the white space of the card's own."""
        if task.id not in self.texts:
            guess = did_you_mean(task.id, self.texts)
            raise UserError(f"{self.file or 'the condition'} has no instruction for it{guess}")
        return with_end_of(task.card.instruction, self.texts[task.id])


def _check_texts(context: Context, texts: Mapping[str, str]) -> None:
    for task, text in texts.items():
        if not text.strip():
            raise context.error("an instruction is a text", "texts", task)


class Paraphrase(Method):
    """One of the paraphrases of a card or suite, by its place among them."""

    name = "paraphrase"
    description = "one of the suite's or card's paraphrases of the instruction"
    replaces_instruction: ClassVar[bool] = True

    number: int = Field(ge=1, strict=True)
    """Which one, counted from 1; the wording `w03` is number 3."""

    @property
    def id(self) -> str:
        """`paraphrase-3`."""
        return f"{self.name}-{self.number}"

    def instruction(self, task: Task) -> str | None:
        """The paraphrase, where it is another wording than the card's own."""
        count = len(task.paraphrases)
        if self.number > count:
            raise UserError(f"it has {count} paraphrases, and this is number {self.number}")
        found = wordings_among(task.card.instruction, task.paraphrases)
        for wording in found:
            if wording.id == f"w{self.number:02d}":
                return wording.text
        raise UserError(
            f"its paraphrase number {self.number} is the card's own instruction or an earlier one"
        )
