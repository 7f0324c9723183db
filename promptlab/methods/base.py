"""What a method is: the contract that built-in and installed ones share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from promptlab.documents import Document, Key
from promptlab.errors import SpecError
from promptlab.prompts import Parts
from promptlab.spec_sending import Strict
from promptlab.tasks import Task

__all__ = ["Context", "Method"]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a method stands in a spec.

    Attributes:
        document: the spec's file.
        key: of the condition in it.
        resolve: makes a path of the spec absolute.
    """

    document: Document
    key: Key
    resolve: Callable[[str], Path]

    def error(self, message: str, *key: str | int) -> SpecError:
        """The error to raise for something wrong with a setting."""
        return self.document.error(message, (*self.key, *key))


class Method(Strict):
    """A way of prompting. The fields of a subclass are what a spec may set; each has a docstring.

    All of it is the same for every item and decided before anything is asked, so that a method is
    paired with every other condition. A method must not look at an item's answers.

    Attributes:
        name: what a spec writes after `method:`.
        description: one line for `promptlab list methods`.
        source: citation, where the method is somebody's.
        replaces_instruction: whether `instruction` gives another instruction than the task's; such
            a condition has no other wordings.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    source: ClassVar[str] = ""
    replaces_instruction: ClassVar[bool] = False

    max_tokens: int | None = Field(default=None, ge=1)
    """Token limit of the (first) call, instead of the task's."""

    @property
    def id(self) -> str:
        """Id of the condition, where the spec gives it no `name`."""
        return self.name

    def opened(self, context: Context) -> Self:
        """The method with what its settings point to: files are read and checked here.

        What is read becomes part of the settings, and so of the plan's digest and the lock.

        Raises:
            SpecError: a mistake in a setting or in a file.
        """
        del context
        return self

    def instruction(self, task: Task) -> str | None:
        """The instruction of a task, where it is not the task's own.

        Raises:
            MissingData: what it is read from is not there.
            UserError: this task has none; the message is the reason it is left out for.
        """
        del task
        return None

    def build(self, parts: Parts) -> Parts:
        """The parts of a prompt, changed (`dataclasses.replace`); as they are unless overridden.

        Args:
            parts: instruction, demonstrations and input, and the stimulus that will be joined to
                them. With `text` set, that is the user's whole text, and no layout is used.
        """
        return parts

    @property
    def shows_demonstrations(self) -> bool:
        """Whether few-shot prompts differ from zero-shot ones."""
        return True

    @property
    def second_call(self) -> bool:
        """Whether an answer takes a second request."""
        return False

    def follow_up(self, answer: str) -> str:
        """What the second call says after the model's answer to the first."""
        raise NotImplementedError(f"{type(self).__name__} has a second call and no follow_up")

    def settings(self) -> dict[str, Any]:
        """Every setting as JSON-ready data; what a plan records."""
        return self.model_dump(mode="json", exclude={"max_tokens"})
