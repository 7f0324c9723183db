"""What a person writes about the instructions: the card's own, another by name, or paraphrases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from promptlab.spec_sending import Strict

__all__ = ["Instructions", "WordingsSpec"]


class WordingsSpec(Strict):
    """Wordings of a task's instruction, each crossed with every condition."""

    paraphrases: Annotated[int, Field(ge=1, strict=True)] | Literal["all"] = "all"
    """How many paraphrases a task, drawn by the seed; `all` takes every one."""
    own: bool = True
    """Whether the card's own instruction is one of the wordings."""
    file: str | None = None
    """YAML file of your own paraphrases by task id, instead of those of cards and suites."""


def _as_instructions(value: Any) -> Any:
    """The short forms: `own`, `paraphrases`, and the name of an instruction of the cards."""
    if value == "paraphrases":
        return {}
    if isinstance(value, WordingsSpec | Mapping) or (isinstance(value, str) and value.strip()):
        return value
    raise ValueError(
        "write own, paraphrases, ape or another name in a card's 'instructions', "
        f"{{paraphrases: 4}} or {{file: wordings.yaml}} (got {value!r})"
    )


Instructions = Annotated[
    str | WordingsSpec,
    BeforeValidator(
        _as_instructions, json_schema_input_type=Literal["own", "paraphrases"] | str | WordingsSpec
    ),
]
"""`own`, the name of another instruction of the cards, or which paraphrases are crossed."""
