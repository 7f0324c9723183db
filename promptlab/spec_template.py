"""What a person writes about the layout of prompts: a variant, or one with changes of their own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from promptlab.spec_sending import Strict

__all__ = ["Template", "TemplateSpec"]

Named = Literal["auto", "paper", "plain"]


def _one_line(label: str) -> str:
    label = label.rstrip()
    if "\n" in label:
        raise ValueError("a label is one line, such as 'Output:'")
    return label


Label = Annotated[str, Field(pattern=r"\S"), AfterValidator(_one_line)]


class TemplateSpec(Strict):
    """A variant of the layout, and what is otherwise than in it."""

    variant: Named = "auto"
    """The variant that the others change: `paper`, `plain`, or auto by the model's style."""
    answer_label: Label | None = None
    """Asks for the answer at the end of the query; `Answer:` in paper, `Output:` in plain."""
    demonstration_label: Label | None = None
    """Stands before the answer of each demonstration; `Output:` in both."""
    trailing_space: bool | None = None
    """Whether the prompt ends in a blank; it does in paper, and does not in plain."""


def _as_template(value: Any) -> Any:
    if value in ("auto", "paper", "plain") or isinstance(value, dict | TemplateSpec):
        return value
    raise ValueError(
        f"{value!r} is no template; write auto, paper, plain or "
        "{variant: paper, answer_label: 'Output:'}"
    )


Template = Annotated[
    Named | TemplateSpec,
    BeforeValidator(_as_template, json_schema_input_type=Named | TemplateSpec),
]
"""The layout of prompts: a variant by name, or one with labels of one's own."""
