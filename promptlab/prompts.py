"""Instruction + condition + demonstrations + item -> the text or messages a model is sent.

A layout gives three strings: the opening with the instruction, the demonstrations, and the query,
which holds the item. Two variants of each layout exist: `paper` is the published template to the
letter; `plain` has the same answer label in demonstrations and query and no trailing blank, because
a model that continues text reads a blank at the end as part of the next word. `Labels` says what
is otherwise than in the variant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from promptlab.errors import UnknownName, UserError
from promptlab.types import Condition, Demonstration, Item, Message, Style

__all__ = [
    "LAYOUTS",
    "Labels",
    "Prompt",
    "Variant",
    "check_labels",
    "check_layout",
    "continued",
    "hash_text",
    "render",
]

Variant = Literal["paper", "plain"]


@dataclass(frozen=True, slots=True)
class Labels:
    """What is otherwise than in the variant of a template; None leaves it as it is there.

    Attributes:
        answer: asks for the answer at the end of the query, such as `Answer:`.
        demonstration: before the answer of a demonstration, such as `Output:`.
        trailing_space: whether the prompt ends in a blank.
    """

    answer: str | None = None
    demonstration: str | None = None
    trailing_space: bool | None = None

    def __str__(self) -> str:
        """`; answer_label 'Output:', no trailing space` and the like; empty without any."""
        said = [
            f"{name} '{label}'"
            for name, label in (
                ("answer_label", self.answer),
                ("demonstration_label", self.demonstration),
            )
            if label is not None
        ]
        if self.trailing_space is not None:
            said.append(f"{'a' if self.trailing_space else 'no'} trailing space")
        return f"; {', '.join(said)}" if said else ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt: `messages` for chat, `text` for completion.

    `shared_prefix` is the beginning of the user's text that the items of a cell have in common.
    """

    messages: tuple[Message, ...]
    text: str | None
    shared_prefix: str

    def __str__(self) -> str:
        if self.text is not None:
            return self.text
        return "\n".join(f"[{m.role}]\n{m.content}" for m in self.messages)


def render(
    layout: str,
    instruction: str,
    condition: Condition,
    item: Item,
    demonstrations: Sequence[Demonstration],
    *,
    style: Style,
    variant: Variant,
    list_choices: bool = False,
    trigger: str = "",
    answer_label: str = "",
    labels: Labels = Labels(),
    own_demonstrations: bool = False,
) -> Prompt:
    """The prompt of one item under one condition.

    Args:
        layout: name in `LAYOUTS`; the task card's `template`.
        instruction: the task's instruction.
        condition: what is added, and where.
        item: the item.
        demonstrations: solved examples, shown in this order.
        style: messages or plain text.
        variant: published template or the plain one.
        list_choices: name the choices in the prompt, for tasks whose input does not.
        trigger: text at the very end, after which the model reasons.
        answer_label: end of the item's input that asks for the answer; nothing comes after it.
        labels: what is otherwise than in the variant.
        own_demonstrations: whether the demonstrations are this item's, and not its cell's.

    Raises:
        UnknownName: there is no such layout.
    """
    check_layout(layout)
    system, instruction = _with_stimulus(instruction, condition)
    shown = _with_choices(item) if list_choices else item.input
    if condition.position == "after_input" and condition.text:
        body = shown.removesuffix(answer_label)
        shown = body.rstrip() + condition.joiner + condition.text + _trailing_space(body)
        shown += answer_label
    laid_out = LAYOUTS[layout]
    opening, solved, query = laid_out.parts(instruction, demonstrations, shown, variant, labels)
    query = _ended(query, laid_out, variant, labels)
    if trigger:
        query = query.rstrip(" ") + ("\n" if style == "chat" else " ") + trigger
    if style == "completion" and system:
        opening = f"{system}\n\n{opening}"
    text = opening + solved + query
    shared = opening if own_demonstrations and demonstrations else opening + solved
    if style == "completion":
        return Prompt((), text, shared)
    messages = [Message("system", system)] if system else []
    return Prompt((*messages, Message("user", text)), None, shared)


def _ended(query: str, layout: Layout, variant: Variant, labels: Labels) -> str:
    """The query with or without a blank at its end."""
    if labels.trailing_space is None:
        return query.rstrip(" ") if variant == "plain" else query
    if not labels.trailing_space:
        return query.rstrip(" ")
    return query.rstrip(" ") + " " if layout.labelled else query


def check_layout(name: str) -> None:
    """Raises UnknownName unless there is a layout of that name."""
    if name not in LAYOUTS:
        raise UnknownName("template", name, LAYOUTS)


def check_labels(layout: str, labels: Labels) -> None:
    """Raises UserError where a label is given and the layout's inputs bring their own."""
    if LAYOUTS[layout].labelled:
        return
    for key, label in (
        ("answer_label", labels.answer),
        ("demonstration_label", labels.demonstration),
    ):
        if label is not None:
            raise UserError(
                f"'{key}' means nothing to the layout '{layout}': its labels come with "
                "the task's file; leave the key out, or the tasks"
            )


def continued(prompt: Prompt, answer: str, addition: str) -> Prompt:
    """The prompt of a second call: the first, the model's answer to it, and an addition."""
    if prompt.text is not None:
        text = f"{prompt.text} {answer.strip()}\n{addition}"
        return Prompt((), text, "")
    turns = (Message("assistant", answer), Message("user", addition))
    return Prompt((*prompt.messages, *turns), None, "")


def _with_stimulus(instruction: str, condition: Condition) -> tuple[str, str]:
    """(system text, instruction) with the condition's sentence joined where it belongs.

    White space that ends an instruction (BIG-Bench prefixes end in a line break) stays at its end.
    """
    text, join = condition.text, condition.joiner
    if not text or condition.position == "after_input":
        return "", instruction
    if condition.position == "system":
        return text, instruction
    if condition.position == "before_instruction":
        return "", text + join + instruction
    return "", instruction.rstrip() + join + text + _trailing_space(instruction)


def _trailing_space(text: str) -> str:
    return text[len(text.rstrip()) :]


def _with_choices(item: Item) -> str:
    # The order shown is the item's own and says nothing about which choice is right.
    order = sorted(item.choices, key=lambda choice: (hash_text(choice + item.item_id), choice))
    return item.input + "".join(f"\n- {choice}" for choice in order)


def hash_text(text: str) -> str:
    """SHA-256 of a text, as hex."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


Parts = tuple[str, str, str]


def _instruction_induction(
    instruction: str,
    demonstrations: Sequence[Demonstration],
    shown: str,
    variant: Variant,
    labels: Labels,
) -> Parts:
    """Zhou et al. 2023; the released code of both papers. Zero-shot leaves three line breaks."""
    answer, output = labels.answer, labels.demonstration or "Output:"
    pairs = [f"Input: {d.input}\n{output} {d.output}" for d in demonstrations]
    opening = f"Instruction: {instruction}\n\n"
    if variant == "paper":
        return opening, "\n\n".join(pairs) + "\nInput: ", f"{shown}\n{answer or 'Answer:'} "
    solved = "".join(f"{pair}\n\n" for pair in pairs)
    return opening, f"{solved}Input: ", f"{shown}\n{answer or 'Output:'}"


def _bigbench(
    instruction: str,
    demonstrations: Sequence[Demonstration],
    shown: str,
    variant: Variant,
    labels: Labels,
) -> Parts:
    """The suite's own: task prefix, then the formatted input, which brings its labels."""
    del variant, labels
    return instruction, "".join(f"{d.input}{d.output}\n" for d in demonstrations), shown


def _truthfulqa(
    instruction: str,
    demonstrations: Sequence[Demonstration],
    shown: str,
    variant: Variant,
    labels: Labels,
) -> Parts:
    del variant
    output = labels.demonstration or "A:"
    solved = "".join(f"Q: {d.input}\n{output} {d.output}\n\n" for d in demonstrations)
    return f"{instruction}\n\n", f"{solved}Q: ", f"{shown}\n{labels.answer or 'A:'}"


@dataclass(frozen=True, slots=True)
class Layout:
    """How instruction, demonstrations and input become one text.

    Attributes:
        parts: gives opening, demonstrations and query.
        labelled: whether it sets labels itself; otherwise the inputs bring them.
    """

    parts: Callable[[str, Sequence[Demonstration], str, Variant, Labels], Parts]
    labelled: bool = True


LAYOUTS: dict[str, Layout] = {
    "instruction_induction": Layout(_instruction_induction),
    "bigbench": Layout(_bigbench, labelled=False),
    "truthfulqa": Layout(_truthfulqa),
}
