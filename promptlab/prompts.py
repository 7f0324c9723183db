"""Instruction + condition + demonstrations + item -> the text or messages a model is sent.

A layout gives three strings: the opening with the instruction, the demonstrations, and the query,
which holds the item. Two variants of each layout exist: `paper` is the published template to the
letter; `plain` has the same answer label in demonstrations and query and no trailing blank, because
a model that continues text reads a blank at the end as part of the next word. `Labels` says what
is otherwise than in the variant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from promptlab.errors import UnknownName, UserError
from promptlab.types import Condition, Demonstration, Item, Message, Position, Style

__all__ = [
    "LAYOUTS",
    "Labels",
    "Parts",
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a prompt is made of before it is laid out; a method may change it.

    Attributes:
        instruction: the task's instruction.
        input: the item's input.
        demonstrations: solved examples, in the order shown.
        stimulus: the condition's sentence, which is joined to the others at its position.
        position: where the sentence goes.
        joiner: what stands between the sentence and the text it is joined to.
        system: the system message; a first paragraph in completion style.
        trigger: text at the very end, after which the model reasons.
        text: the user's whole text; no layout is used where it is given.
        answer_label: end of the input that asks for the answer; nothing comes after it.
        choices: the item's choices, in an order that says nothing about which is right.
        task: id of the task.
    """

    instruction: str
    input: str
    demonstrations: tuple[Demonstration, ...] = ()
    stimulus: str = ""
    position: Position = "after_instruction"
    joiner: str = " "
    system: str = ""
    trigger: str = ""
    text: str | None = None
    answer_label: str = ""
    choices: tuple[str, ...] = ()
    task: str = ""

    def joined(self) -> Parts:
        """The parts with the sentence joined where it belongs, and none left to join.

        White space that ends an instruction (BIG-Bench prefixes end in a line break) stays at its
        end.
        """
        sentence, join = self.stimulus, self.joiner
        if not sentence:
            return self
        if self.position == "system":
            system = self.system + join + sentence if self.system else sentence
            return replace(self, system=system, stimulus="")
        if self.position == "before_instruction":
            return replace(self, instruction=sentence + join + self.instruction, stimulus="")
        if self.position == "after_input":
            body = self.input.removesuffix(self.answer_label)
            end = _trailing_space(body) + self.answer_label
            return replace(self, input=body.rstrip() + join + sentence + end, stimulus="")
        end = _trailing_space(self.instruction)
        instruction = self.instruction.rstrip() + join + sentence + end
        return replace(self, instruction=instruction, stimulus="")


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
    build: Callable[[Parts], Parts] | None = None,
    task: str = "",
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
        build: what a method makes of the parts.
        task: id of the task.
        answer_label: end of the item's input that asks for the answer; nothing comes after it.
        labels: what is otherwise than in the variant.
        own_demonstrations: whether the demonstrations are this item's, and not its cell's.

    Raises:
        UnknownName: there is no such layout.
    """
    check_layout(layout)
    parts = Parts(
        instruction,
        _with_choices(item) if list_choices else item.input,
        tuple(demonstrations),
        stimulus=condition.text,
        position=condition.position,
        joiner=condition.joiner,
        answer_label=answer_label,
        choices=item.choices if LAYOUTS[layout].shows_order else _in_shown_order(item),
        task=task,
    )
    parts = (parts if build is None else build(parts)).joined()
    if parts.text is None:
        laid_out = LAYOUTS[layout]
        opening, solved, query = laid_out.parts(
            parts.instruction, parts.demonstrations, parts.input, variant, labels
        )
        query = _ended(query, laid_out, variant, labels)
    else:
        # What stands before the input is what items share, as far as one can tell.
        head, found, tail = parts.text.partition(parts.input or parts.text)
        opening, solved, query = ("", head, found + tail) if found else ("", "", parts.text)
    if parts.trigger:
        query = query.rstrip(" ") + ("\n" if style == "chat" else " ") + parts.trigger
    if style == "completion" and parts.system:
        opening = f"{parts.system}\n\n{opening}"
    text = opening + solved + query
    shared = opening if own_demonstrations and demonstrations else opening + solved
    if style == "completion":
        return Prompt((), text, shared)
    messages = [Message("system", parts.system)] if parts.system else []
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


def _trailing_space(text: str) -> str:
    return text[len(text.rstrip()) :]


def _with_choices(item: Item) -> str:
    return item.input + "".join(f"\n- {choice}" for choice in _in_shown_order(item))


def _in_shown_order(item: Item) -> tuple[str, ...]:
    """The choices in an order of the item's own, which says nothing about which is right."""
    key = {choice: (hash_text(choice + item.item_id), choice) for choice in item.choices}
    return tuple(sorted(item.choices, key=key.__getitem__))


def hash_text(text: str) -> str:
    """SHA-256 of a text, as hex."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


LaidOut = tuple[str, str, str]


def _instruction_induction(
    instruction: str,
    demonstrations: Sequence[Demonstration],
    shown: str,
    variant: Variant,
    labels: Labels,
) -> LaidOut:
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
) -> LaidOut:
    """The suite's own: task prefix, then the formatted input, which brings its labels."""
    del variant, labels
    return instruction, "".join(f"{d.input}{d.output}\n" for d in demonstrations), shown


def _truthfulqa(
    instruction: str,
    demonstrations: Sequence[Demonstration],
    shown: str,
    variant: Variant,
    labels: Labels,
) -> LaidOut:
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
        shows_order: whether choices are shown in the order that items have them in; otherwise that
            order tells which are right, and another is shown.
    """

    parts: Callable[[str, Sequence[Demonstration], str, Variant, Labels], LaidOut]
    labelled: bool = True
    shows_order: bool = True


LAYOUTS: dict[str, Layout] = {
    "instruction_induction": Layout(_instruction_induction),
    "bigbench": Layout(_bigbench, labelled=False),
    "truthfulqa": Layout(_truthfulqa, shows_order=False),
}
