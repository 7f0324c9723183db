"""A persona: the model is told who it is before it is told what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from promptlab.methods.base import Method
from promptlab.prompts import Parts

__all__ = ["ExpertPersona"]


class ExpertPersona(Method):
    """A fixed sentence that makes the model an expert.

    The default sentence is ours. The idea of an expert's identity before the instruction is that of
    ExpertPrompting (Xu et al. 2023, arXiv:2305.14688), which has a model write a longer identity
    for each instruction; write such a text as `text`.
    """

    name = "expert_persona"
    description = "the model is told that it is an expert, in the system message"
    source = "sentence ours; after ExpertPrompting, Xu et al. 2023, arXiv:2305.14688"

    text: str = Field(
        default="You are an expert with many years of experience in tasks like this one.",
        pattern=r"\S",
    )
    """Who the model is."""
    place: Literal["system", "before_instruction"] = "system"
    """Where it is told: as the system message (a first paragraph in completion style), or before
    the instruction."""

    def build(self, parts: Parts) -> Parts:
        """The prompt with the persona at its place."""
        if self.place == "system":
            return replace(parts, system=self.text)
        return replace(parts, instruction=f"{self.text} {parts.instruction}")
