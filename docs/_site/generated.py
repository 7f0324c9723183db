"""Reference sections that are made from the code each time the site is built.

Each function returns markdown; nothing of it is kept in the repository, so nothing can be stale.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import EnumMeta
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

__all__ = ["SECTIONS", "section"]

Schema = Mapping[str, Any]


def section(name: str, *arguments: str) -> str:
    """What stands for `<!-- generated: name arguments -->` on a page."""
    if name not in SECTIONS:
        raise KeyError(f"no generated section '{name}'; there are {', '.join(SECTIONS)}")
    return SECTIONS[name](*arguments)


# The spec


def spec_keys() -> str:
    """Every key of a spec by the JSON Schema: a table for each mapping, in the order of use."""
    from promptlab.cli.schema import schema_text

    schema = json.loads(schema_text())
    found = dict(_mappings(schema))
    places = {name: key for key, name in found.items()}
    parts = [_mapping_table("Top level", schema, schema["$defs"], places)]
    for key, name in found.items():
        parts.append(_mapping_table(f"`{key}`", schema["$defs"][name], schema["$defs"], places))
    return "\n\n".join(parts)


def _mappings(schema: Schema) -> Iterator[tuple[str, str]]:
    """(key path, name in `$defs`) of every mapping below the top, each name once."""
    seen: set[str] = set()

    def below(node: Schema, path: str) -> Iterator[tuple[str, str]]:
        for key, value in node.get("properties", {}).items():
            here = f"{path}.{key}" if path else key
            fresh = [n for n in _references(value) if n not in seen]
            seen.update(fresh)
            for name in fresh:
                yield here, name
                yield from below(schema["$defs"][name], here)

    yield from below(schema, "")


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for part in node for name in _references(part)]
    if not isinstance(node, Mapping):
        return []
    if "$ref" in node:
        return [node["$ref"].rpartition("/")[2]]
    return [name for part in node.values() for name in _references(part)]


def _mapping_table(title: str, node: Schema, definitions: Schema, places: Mapping[str, str]) -> str:
    required = node.get("required", [])
    rows = [
        (
            f"`{key}`",
            _type(value, places),
            "required" if key in required else _default(value),
            value.get("description") or _described(value, definitions),
        )
        for key, value in node["properties"].items()
    ]
    table = _table(("key", "type", "default", "meaning"), rows)
    return f"## {title}\n\n{_line(node.get('description', ''))}\n\n{table}"


def _type(node: Schema, places: Mapping[str, str]) -> str:
    if "$ref" in node:
        place = places[node["$ref"].rpartition("/")[2]]
        return f"[mapping](#{place.replace('.', '')})"
    if "anyOf" in node:
        kinds = [_type(n, places) for n in node["anyOf"] if n.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in node or "const" in node:
        return " or ".join(f"`{v}`" for v in node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        inner = _type(node["items"], places)
        return f"list of {inner}s" if inner == "text" else f"list of: {inner}"
    if node.get("type") == "object":
        values = node.get("additionalProperties")
        return f"mapping to {_type(values, places)}s" if isinstance(values, Mapping) else "mapping"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return names.get(node.get("type", ""), node.get("type", "anything")) + _bounds(node)


def _bounds(node: Schema) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    said = [f"{word} {node[name]:g}" for name, word in words.items() if name in node]
    return f" ({', '.join(said)})" if said else ""


def _default(node: Schema) -> str:
    value = node.get("default")
    if value in ([], {}, "") or ("default" not in node and node.get("type") in ("array", "object")):
        return "empty"
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return "its keys' own"
    plain = isinstance(value, str) and value.strip()
    return f"`{value if plain else json.dumps(value)}`"


def _described(node: Schema, definitions: Schema) -> str:
    """What the mapping says of itself that a key without words of its own holds."""
    found = [definitions[name].get("description", "") for name in _references(node)]
    return found[0] if found else ""


# Other files a person writes


def model_keys(where: str) -> str:
    """Every key of a pydantic model, `module:Class`, with the strings below its fields."""
    module, _, name = where.partition(":")
    model = getattr(import_module(module), name)
    meanings = attribute_docs(model)
    properties = model.model_json_schema()["properties"]
    rows = [
        (
            f"`{key}`",
            _type(value, {}),
            "required" if model.model_fields[key].is_required() else _default(value),
            meanings.get(key, ""),
        )
        for key, value in properties.items()
    ]
    return _table(("key", "type", "default", "meaning"), rows)


def attribute_docs(cls: type) -> dict[str, str]:
    """The strings that stand below the attributes of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[before.target.id] = inspect.cleandoc(after.value.value)
    return found


# The command line


def verbs() -> str:
    """Every verb of the command line, from the functions that are the application."""
    from promptlab.cli import load
    from promptlab.cli._app import app

    load()
    return "\n\n".join(_verb(name, function) for name, function in _commands(app, "promptlab"))


def _commands(app: Any, path: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for info in app.registered_commands:
        yield f"{path} {info.name or info.callback.__name__.replace('_', '-')}", info.callback
    for group in app.registered_groups:
        yield from _commands(
            group.typer_instance, f"{path} {group.name or group.typer_instance.info.name}"
        )


def _verb(name: str, function: Callable[..., Any]) -> str:
    from typer.models import OptionInfo

    rows, words = [], []
    for parameter, kind, info in _parameters(function):
        if isinstance(info, OptionInfo):
            shown, default = _flags(parameter.name, kind, info), parameter.default
        else:
            word = info.metavar or parameter.name.upper()
            words.append(word if parameter.default is parameter.empty else f"[{word.strip('[]')}]")
            shown, default = f"`{word.strip('[]')}`", parameter.default
        rows.append((shown, info.help or "", _parameter_default(default)))
    usage = " ".join([name, *words, *(["[OPTIONS]"] if len(rows) > len(words) else [])])
    parts = [f"## {name}", _help(function.__doc__ or ""), f"```text\n{usage}\n```"]
    return "\n\n".join([*parts, *([_table(("", "meaning", "default"), rows)] if rows else [])])


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[inspect.Parameter, Any, Any]]:
    """(parameter, its type, what typer is told of it)."""
    hints = get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        kind, *extras = get_args(hints[parameter.name])
        yield parameter, kind, extras[0]


def _flags(name: str, kind: Any, info: Any) -> str:
    named = [info.default, *(info.param_decls or ())]  # in `Annotated`, the default is a name too
    given = [n for n in named if isinstance(n, str) and n.startswith("-")]
    flags = [f for n in given or [f"--{name.replace('_', '-')}"] for f in n.split("/")]
    kinds = [kind, *get_args(kind)]
    choices = "|".join(c.value for k in kinds if isinstance(k, EnumMeta) for c in k)
    word = "N" if int in kinds else "X" if float in kinds else "PATH" if Path in kinds else "TEXT"
    value = "" if bool in kinds else f" {info.metavar or choices or word}"
    return ", ".join(f"`{flag}{value}`" for flag in flags)


def _parameter_default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or value is False:
        return ""
    return "on" if value is True else f"`{getattr(value, 'value', value)}`"


def _help(text: str) -> str:
    """Help text as markdown: bullets are a list, indented lines are code."""
    text = inspect.cleandoc(text).replace("\b\n", "")
    text = re.sub(r"\[/?bold\]", "**", text)
    text = re.sub(r"(?m)((?:^• .+\n?(?:^ +.+\n?)*)+)", r"\n\1\n", text)
    text = re.sub(r"(?m)^• ", "* ", text)
    text = re.sub(r"(?m)((?:^ {2,}promptlab .+\n*)+)", _code, text)
    return text


def _code(found: re.Match[str]) -> str:
    lines = [line.strip() for line in found[1].splitlines() if line.strip()]
    return "```sh\n" + "\n".join(lines) + "\n```\n\n"


# Python


def names(module: str, *wanted: str) -> str:
    """Docstrings of the public names of a module; mkdocstrings reads them."""
    found = wanted or import_module(module).__all__
    return "\n\n".join(f"::: {_home(module, name)}" for name in found)


def analysis(*modules: str) -> str:
    """Docstrings of the public names that live in these modules of `promptlab.analysis`."""
    from promptlab.analysis import _HOMES

    parts = []
    for module in modules:
        path = f"promptlab.analysis.{module}"
        doc = inspect.getdoc(import_module(path)) or ""
        title, anchor = module.replace("_", " ").capitalize(), module.replace("_", "-")
        parts.append(f"## {title} {{ #{anchor} }}")
        parts.append(_line(doc.partition("\n\n")[0]))
        parts += [f"::: {_home(path, name)}" for name in _HOMES[module].split()]
    return "\n\n".join(parts)


def _home(module: str, name: str) -> str:
    """Full path of a name where it is defined; constants are where they are named."""
    thing = getattr(import_module(module), name)
    home = getattr(thing, "__module__", None) if callable(thing) else None
    return f"{home or module}.{name}"


# Markdown


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Bars end a cell, but not inside of code, where a backslash would be shown."""
    parts = re.split(r"(`[^`]*`)", _line(text))
    return "".join(p if i % 2 else p.replace("|", "\\|") for i, p in enumerate(parts))


def _line(text: str) -> str:
    return " ".join(text.split())


SECTIONS: dict[str, Callable[..., str]] = {
    "analysis": analysis,
    "model": model_keys,
    "names": names,
    "spec": spec_keys,
    "verbs": verbs,
}
