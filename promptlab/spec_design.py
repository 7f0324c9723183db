"""What a person writes about the design: every request, or a race that drops stimuli."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from promptlab.spec_sending import Strict

__all__ = ["Design", "NamedDesign", "RaceDesign"]


class RaceDesign(Strict):
    """Ask block by block; a stimulus is asked no more once further items cannot matter."""

    block: int = Field(default=5, ge=1, strict=True)
    """Items of a task in a block; smaller tasks are spread over as many blocks."""
    goal: Literal["both", "best", "differ"] = "both"
    """`differ`: a stimulus is asked until its difference from the baseline is decided; `best`:
    until it can no longer be the best; `both`: as `differ`, but one that is better is asked on
    while it may be the best."""
    futility: float = Field(default=0.05, ge=0, lt=1)
    """A stimulus leaves when the probability that its difference will be decided in the end has
    fallen below this; 0 never does so."""


class NamedDesign(Strict):
    """A design with its settings."""

    race: RaceDesign
    """Drop stimuli block by block."""


def _as_design(value: Any) -> Any:
    """The short forms: `race`, and `{race: }` without settings."""
    if value == "full" or isinstance(value, NamedDesign):
        return value
    if value == "race":
        return {"race": {}}
    if isinstance(value, Mapping) and set(value) == {"race"}:
        return {"race": {} if value["race"] is None else value["race"]}
    shown = f"'{value}'" if isinstance(value, str) else str(value)
    raise ValueError(f"{shown} is no design; write full, race or {{race: {{block: 5}}}}")


Design = Annotated[
    Literal["full"] | NamedDesign,
    BeforeValidator(_as_design, json_schema_input_type=Literal["full", "race"] | NamedDesign),
]
"""Which of the crossed requests are sent: all, or block by block what still matters."""
