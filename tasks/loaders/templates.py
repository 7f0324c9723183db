"""Jinja templates of a task card, rendered from the rows of a data set in a sandbox.

A template without braces is the name of a column. A template that is a single `{{ expression }}`
keeps the type of its value, so that a list stays a list; any other renders to text. Nothing that
is undefined or empty renders to anything: that is an error that names the row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from promptlab.documents import Document, Key
from promptlab.errors import SpecError, did_you_mean

__all__ = ["Template"]

Row = Mapping[str, Any]

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False
)


class Template:
    """A template at a key of a card.

    Args:
        source: the template, or a column's name.
        document: the card's file, for messages.
        key: the template's key in the card.
        literal: whether text without braces is the text itself, not a column's name.

    Raises:
        SpecError: the template is not valid Jinja.
    """

    def __init__(self, source: str, document: Document, key: Key, *, literal: bool = False) -> None:
        self.source, self.document, self.key = source, document, key
        self.columns: frozenset[str] = frozenset()
        """Names of columns it reads."""
        if "{{" in source or "{%" in source or "{#" in source:
            self._render = self._compiled(source)
        elif literal:
            self._render = lambda row: source
        else:
            self._render = self._column(source)

    def _compiled(self, source: str) -> Callable[[Row], Any]:
        try:
            tree = _ENVIRONMENT.parse(source)
            self.columns = frozenset(
                meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)
            )
            if _is_expression(tree, source):
                if self.columns == {_inside(source).strip()}:
                    return self._column(_inside(source).strip())
                value = _ENVIRONMENT.compile_expression(_inside(source), undefined_to_none=False)
                return lambda row: value(row)
            template = _ENVIRONMENT.from_string(source)
            return lambda row: template.render(row)
        except TemplateSyntaxError as error:
            raise self.error(f"line {error.lineno} of the template: {error.message}") from None

    def _column(self, name: str) -> Callable[[Row], Any]:
        # Jinja would take ten times as long to look a name up.
        self.columns = frozenset({name})
        return lambda row: row[name]

    def error(self, message: str) -> SpecError:
        """The error to raise for something wrong with this template."""
        return self.document.error(message, self.key)

    def check(self, columns: Collection[str]) -> None:
        """Make sure that the columns it reads are there.

        Raises:
            SpecError: names the column that is not, and those there are.
        """
        for name in sorted(self.columns - set(columns)):
            guess = did_you_mean(name, columns)
            raise self.error(f"no column '{name}'{guess}; columns: {', '.join(columns)}")

    def value(self, row: Row, number: int) -> Any:
        """What the template gives for a row (1-based number, for messages).

        Raises:
            SpecError: the template fails on this row, or gives nothing.
        """
        try:
            found = self._render(row)
            if isinstance(found, Undefined):
                str(found)  # raises, and says what is undefined
        except TemplateError as error:
            raise self.error(f"row {number}: {error.message}") from None
        except Exception as error:  # whatever the expression's own operations raise
            raise self.error(f"row {number}: {type(error).__name__}: {error}") from None
        if found is None or found == "" or (isinstance(found, float) and math.isnan(found)):
            what = "an empty value" if self.columns else "nothing"
            raise self.error(f"row {number}: the template gives {what}")
        return found

    def text(self, row: Row, number: int) -> str:
        """The value as text.

        Raises:
            SpecError: as `value`, or the value is a list or a mapping.
        """
        return self.as_text(self.value(row, number), number)

    def texts(self, row: Row, number: int) -> list[str]:
        """The value as texts: one, or those of a list.

        Raises:
            SpecError: as `value`, or a member of the list is not text.
        """
        found = self.value(row, number)
        members = found if isinstance(found, list | tuple) else [found]
        return [self.as_text(member, number) for member in members]

    def as_text(self, value: Any, number: int) -> str:
        """A single value as text.

        Raises:
            SpecError: it is nothing, a list or a mapping.
        """
        if isinstance(value, str | int | float):
            return str(value)
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise self.error(f"row {number}: {kind} where a text is needed")


def _is_expression(tree: nodes.Template, source: str) -> bool:
    """Whether the template is one `{{ ... }}` and no more than blanks around it."""
    if not (source.strip().startswith("{{") and source.strip().endswith("}}")):
        return False
    outputs = [node for node in tree.body if isinstance(node, nodes.Output)]
    if len(outputs) != len(tree.body):
        return False
    parts = [
        part
        for output in outputs
        for part in output.nodes
        if not (isinstance(part, nodes.TemplateData) and not part.data.strip())
    ]
    return len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData)


def _inside(source: str) -> str:
    """The expression between the braces, without the signs of Jinja's white-space control."""
    inside = source.strip()[2:-2]
    return inside[inside[:1] in ("-", "+") : len(inside) - (inside[-1:] in ("-", "+"))]
