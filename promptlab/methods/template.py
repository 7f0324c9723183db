"""A prompt laid out by a template of one's own, in jinja2's sandbox."""

from __future__ import annotations

import traceback
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from promptlab.errors import SpecError, UserError, did_you_mean
from promptlab.methods.base import Context, Method
from promptlab.prompts import Parts

__all__ = ["VARIABLES", "TemplateMethod"]

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)

VARIABLES = {
    "instruction": "the task's instruction in the wording asked",
    "input": "the item's input",
    "demonstrations": "solved examples with `.input` and `.output`; empty in zero-shot cells",
    "stimulus": "the stimulus' text; empty without one",
    "choices": "the item's choices, in an order that does not say which is right; empty for open "
    "answers",
    "task": "id of the task",
}
"""What a template can use. An item's answers are not among it."""


class TemplateMethod(Method):
    """The whole user's text, written by a jinja2 template instead of the task's layout.

    A template that does not use `stimulus` finds it joined to `instruction` or `input`, where the
    condition's position says. Block tags leave no line of their own.
    """

    name = "template"
    description = "a prompt laid out by your own jinja2 template"
    replaces_instruction: ClassVar[bool] = False

    text: str | None = None
    """The template."""
    file: str | None = None
    """File that holds the template, relative to the spec."""

    @property
    def id(self) -> str:
        """The file's name without its endings."""
        return Path(self.file).name.partition(".")[0] if self.file else self.name

    def opened(self, context: Context) -> Self:
        """With the file's content as `text`; the template is checked as far as it can be."""
        if (self.text is None) is (self.file is None):
            raise context.error("write 'text: \"{{ instruction }} ...\"', or 'file: mine.jinja'")
        found = self.model_copy(update={"text": self._read(context)})
        assert found.text is not None
        try:
            tree = _ENVIRONMENT.parse(found.text)
            used = _compiled(found.text)[1]
        except TemplateSyntaxError as error:
            raise self._error(context, error.lineno, str(error.message)) from None
        for name in sorted(used - set(VARIABLES)):
            guess = did_you_mean(name, VARIABLES)
            raise self._error(
                context,
                _line_of(tree, name),
                f"no variable '{name}'{guess}; there is {', '.join(VARIABLES)}",
            )
        if "input" not in used:
            raise self._error(context, None, "it does not use 'input': every item would be alike")
        return found

    def _read(self, context: Context) -> str:
        if self.file is None:
            assert self.text is not None
            return self.text
        path = context.resolve(self.file)
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise context.error(f"no such file: {path}", "file") from None
        except UnicodeDecodeError as error:
            raise SpecError(f"not UTF-8 text (byte {error.start})", path=str(path)) from None
        except OSError as error:
            raise context.error(f"cannot read {path}: {error.strerror}", "file") from None

    def _error(self, context: Context, line: int | None, message: str) -> SpecError:
        if self.file is not None:
            return SpecError(message, path=str(context.resolve(self.file)), line=line)
        where = f"line {line} of the template: " if line else ""
        return context.error(where + message, "text")

    def build(self, parts: Parts) -> Parts:
        """The user's text as the template gives it.

        Raises:
            UserError: it uses what is not there, or gives nothing; says the line.
        """
        assert self.text is not None
        template, used = _compiled(self.text)
        if "stimulus" not in used:
            parts = parts.joined()
        try:
            text = template.render(
                instruction=parts.instruction,
                input=parts.input,
                demonstrations=parts.demonstrations,
                stimulus=parts.stimulus,
                choices=parts.choices,
                task=parts.task,
            )
        except Exception as error:  # whatever the template's own operations raise
            raise UserError(f"{self._place(error)}: {_said(error)}") from None
        if not text.strip():
            raise UserError(f"{self._place(None)} gives an empty prompt")
        return replace(parts, text=text, stimulus="")

    @property
    def shows_demonstrations(self) -> bool:
        """Whether the template uses them."""
        return self.text is None or "demonstrations" in _compiled(self.text)[1]

    def _place(self, error: Exception | None) -> str:
        frames = traceback.extract_tb(error.__traceback__) if error else []
        lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
        where = f" (line {lines[-1]})" if lines else ""
        return f"the template {self.file or 'of the condition'}{where}"


@lru_cache(maxsize=64)
def _compiled(text: str) -> tuple[Template, frozenset[str]]:
    """The template, and the names of the variables it uses."""
    used = meta.find_undeclared_variables(_ENVIRONMENT.parse(text))
    return _ENVIRONMENT.from_string(text), frozenset(used - set(_ENVIRONMENT.globals))


def _line_of(tree: nodes.Template, name: str) -> int | None:
    found = [node.lineno for node in tree.find_all(nodes.Name) if node.name == name]
    return min(found, default=None)


def _said(error: Exception) -> str:
    if isinstance(error, TemplateError):
        return str(error.message)
    return f"{type(error).__name__}: {error}"
