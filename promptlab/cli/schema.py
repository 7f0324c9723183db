"""`promptlab schema`: the JSON Schema of a spec."""

from __future__ import annotations

from typing import Any

import typer

from promptlab.cli._app import app


def schema_text() -> str:
    """JSON Schema of an experiment, as indented JSON."""
    import json

    from promptlab.spec import Experiment

    schema = Experiment.model_json_schema()
    _add_settings(schema["$defs"]["MethodSpec"])
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _add_settings(schema: dict[str, Any]) -> None:
    """Of every method, so that an editor knows them; which belongs to which is said in words."""
    from promptlab.methods import methods

    known = methods()
    schema["properties"]["method"]["examples"] = sorted(known)
    settings: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, method in known.items():
        for key, value in method.model_json_schema().get("properties", {}).items():
            if key not in schema["properties"]:
                settings.setdefault(key, []).append((name, value))
    for key, found in settings.items():
        said = [f"{name}: {value.get('description', '')}".strip() for name, value in found]
        first = found[0][1]
        kind = {k: v for k, v in first.items() if k in ("type", "anyOf", "enum")}
        alike = all({k: v for k, v in other.items() if k in kind} == kind for _, other in found)
        schema["properties"][key] = (kind if alike else {}) | {"description": "\n".join(said)}
    schema["additionalProperties"] = False


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec; a spec's first line can name the file for editors."""
    typer.echo(schema_text(), nl=False)
