"""What a person writes about a condition: stimuli and their place, or a method and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from promptlab.spec_sending import Strict
from promptlab.types import Position

__all__ = ["ConditionEntry", "ConditionSpec", "MethodSpec"]


class _Placed(Strict):
    """Stimuli and where they go."""

    stimuli: Sequence[str] = ()
    """Ids, libraries, combinations (`EP01+EP02`), `valence:neutral`, `shuffle(EP02)`."""
    combine: int | None = Field(default=None, ge=2, strict=True)
    """Every combination of this many of the stimuli, instead of each by itself."""
    position: Position = "after_instruction"
    """Where the sentence goes."""
    joiner: str | None = None
    """What stands between the sentence and the text it is joined to; the experiment's `joiner`
    unless given."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Token limit of this condition, above the task's."""


class ConditionSpec(_Placed):
    """Stimuli and where they go."""

    @model_validator(mode="after")
    def _has_stimuli(self) -> ConditionSpec:
        if "stimuli" in self.model_fields_set and not self.stimuli:
            raise ValueError("'stimuli' is empty; name ids, libraries or combinations")
        if not self.stimuli:
            raise ValueError("a condition has 'stimuli', 'method', or both")
        return self


class MethodSpec(_Placed):
    """A method, such as `zero_shot_cot`, with settings of its own, and stimuli besides.

    `promptlab list methods` says what each has to set.
    """

    model_config = ConfigDict(extra="allow")

    method: str
    """Name of the method."""
    name: str | None = Field(default=None, pattern=r"^[^\s*?\[\]/+@]+$")
    """Id of the condition; the method's own unless given."""

    @model_validator(mode="after")
    def _places_something(self) -> MethodSpec:
        placed = [k for k in ("position", "joiner", "combine") if k in self.model_fields_set]
        if not self.stimuli and placed:
            raise ValueError(
                f"a method has no '{placed[0]}'; only stimuli have a place (add 'stimuli')"
            )
        return self

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is set of the method, unchecked."""
        return self.model_extra or {}


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "str"
    has_method = isinstance(value, MethodSpec) or (isinstance(value, dict) and "method" in value)
    return "MethodSpec" if has_method else "ConditionSpec"


ConditionEntry = Annotated[
    Annotated[ConditionSpec, Tag("ConditionSpec")]
    | Annotated[MethodSpec, Tag("MethodSpec")]
    | Annotated[str, Tag("str")],
    Discriminator(_kind),
]
"""`original`, a stimulus or a method by name, or a mapping with settings."""
