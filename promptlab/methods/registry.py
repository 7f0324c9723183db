"""Every method by its name: the built-in ones, and those of installed packages."""

from __future__ import annotations

from functools import cache

from promptlab.errors import UnknownName
from promptlab.methods.base import Method
from promptlab.methods.instructions import Ape, InstructionSet, Paraphrase
from promptlab.methods.persona import ExpertPersona
from promptlab.methods.reasoning import ZeroShotCot
from promptlab.methods.template import TemplateMethod
from promptlab.plugins import Plugin, plugins
from promptlab.spec_conditions import MethodSpec
from promptlab.types import Condition

__all__ = ["Original", "get_method", "method_of", "methods", "origin"]


class Original(Method):
    """The task's instruction as it is; also what stimuli are added to."""

    name = "original"
    description = "the task's instruction as it is"


_BUILT_IN: tuple[type[Method], ...] = (
    Original,
    ZeroShotCot,
    Ape,
    InstructionSet,
    Paraphrase,
    ExpertPersona,
    TemplateMethod,
)


@cache
def methods() -> dict[str, type[Method]]:
    """All methods by name.

    Raises:
        UserError: an installed package's method cannot be loaded, or is none; names the package.
    """
    known = {m.name: m for m in _BUILT_IN}
    for plugin in plugins("method"):
        method = _checked(plugin)
        if method.name in known:
            raise plugin.error(
                f"has the name '{method.name}', which {origin(known[method.name])} has too; "
                "uninstall one of them"
            )
        known[method.name] = method
        _ORIGINS[method] = plugin.package
    return known


_TAKEN = set(MethodSpec.model_fields) - {"max_tokens"}
_ORIGINS: dict[type[Method], str] = {}


def _checked(plugin: Plugin) -> type[Method]:
    found = plugin.load()
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise plugin.error("is no subclass of promptlab.methods.Method")
    for attribute in ("name", "description"):
        if not isinstance(getattr(found, attribute, None), str):
            raise plugin.error(f"has no '{attribute}'")
    for key in sorted(_TAKEN & set(found.model_fields)):
        raise plugin.error(f"has a setting '{key}', which is a word of every condition")
    return found


def origin(method: type[Method]) -> str:
    """`promptlab`, or name and version of the package that brings a method."""
    return _ORIGINS.get(method, "promptlab")


def get_method(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        UnknownName: there is none; with the nearest names.
    """
    if name not in methods():
        raise UnknownName("method", name, methods())
    return methods()[name]


def method_of(condition: Condition) -> Method:
    """The method of a condition with its settings; `original` for stimuli."""
    found = methods().get(condition.method, Original)
    return found.model_validate(dict(condition.settings))
