"""Reasoning before the answer: zero-shot chain of thought."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from promptlab.methods.base import Method
from promptlab.prompts import Parts

__all__ = ["ZeroShotCot"]


class ZeroShotCot(Method):
    """Two calls: the model reasons after the trigger, then gives the answer after the second.

    Source: Kojima et al., "Large Language Models are Zero-Shot Reasoners", NeurIPS 2022
    (arXiv:2205.11916), section 3.
    """

    name = "zero_shot_cot"
    description = (
        "zero-shot chain of thought: reasoning first, then a second call that extracts the answer "
        "(Kojima et al. 2022)"
    )
    source = "Kojima et al., NeurIPS 2022, arXiv:2205.11916"

    trigger: str = Field(default="Let's think step by step.", pattern=r"\S")
    """Text at the end of the prompt, after which the model reasons."""
    answer_trigger: str = "Therefore, the answer is"
    """Text of the second call, which extracts the answer; without any there is one call alone."""
    max_tokens: int | None = Field(default=512, ge=1)
    """Token limit of the reasoning."""

    def build(self, parts: Parts) -> Parts:
        """The prompt with the trigger at its end."""
        return replace(parts, trigger=self.trigger)

    @property
    def second_call(self) -> bool:
        """Whether there is a text for it."""
        return bool(self.answer_trigger)

    def follow_up(self, answer: str) -> str:
        """The text that extracts the answer."""
        del answer
        return self.answer_trigger
