"""`promptlab list`: what there is to cross."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from promptlab.cli._app import Json, app, print_json

_ONLY_IN_JSON = {"theories", "group", "matched_to", "metadata", "instruction", "source"}


class What(StrEnum):
    """Kinds of things that can be listed."""

    tasks = "tasks"
    stimuli = "stimuli"
    models = "models"
    metrics = "metrics"
    methods = "methods"
    rubrics = "rubrics"
    runs = "runs"


@app.command("list")
def list_(
    what: Annotated[What, typer.Argument(help="What to list.", show_default=False)],
    pattern: Annotated[str, typer.Argument(help="Only names that match, such as 'EP*'.")] = "*",
    json: Json = False,
) -> None:
    """List tasks, stimuli, models, metrics, methods, rubrics or runs."""
    import fnmatch

    rows = [row for row in _ROWS[what]() if fnmatch.fnmatch(next(iter(row.values())), pattern)]
    if json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"no {what} match '{pattern}'")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = [column for column in rows[0] if column not in _ONLY_IN_JSON]
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*[escape(str(row.get(column, ""))) for column in columns])
    Console(soft_wrap=False).print(table)


def _tasks() -> list[dict[str, Any]]:
    from promptlab.tasks import list_cards

    return [
        {
            "task": f"{card.suite}/{card.name}",
            "metrics": ", ".join(f"{p}: {m}" for p, m in card.metrics.items()),
            "description": card.description,
            "instruction": card.instruction,
            "source": card.source,
        }
        for card in list_cards()
    ]


def _stimuli() -> list[dict[str, Any]]:
    from promptlab.stimuli import library

    return [
        {
            "stimulus": s.id,
            "valence": s.valence,
            "library": s.library,
            "text": s.text,
            "theories": s.theories,
            "group": s.group,
            "matched_to": s.matched_to,
            "metadata": dict(s.metadata),
            "source": s.source,
        }
        for s in library()
    ]


def _models() -> list[dict[str, Any]]:
    from promptlab.models import list_models

    return [
        *list_models(),
        {"model": "openai/<name> with api_base", "about": "any OpenAI-compatible endpoint"},
        {"model": "<provider>/<model>", "about": "any model of litellm"},
        {"model": "mock/<behaviour>", "about": "no model at all, for rehearsals"},
    ]


def _metrics() -> list[dict[str, Any]]:
    from promptlab.scoring import metrics

    return [{"metric": m.name, "description": m.description} for m in metrics().values()]


def _methods() -> list[dict[str, Any]]:
    from promptlab.methods import methods, origin

    return [
        {
            "method": m.name,
            "settings": ", ".join(m.model_fields),
            "description": m.description,
            "from": origin(m),
            "source": m.source,
        }
        for m in methods().values()
    ]


def _rubrics() -> list[dict[str, Any]]:
    from promptlab.judges import load_rubric, rubric_names

    cards = [load_rubric(name).card for name in rubric_names()]
    return [
        {
            "rubric": card.name,
            "judges": card.judges,
            "criteria": ", ".join(c.name for c in card.criteria),
            "description": card.description,
            "source": card.source,
        }
        for card in cards
    ]


def _runs() -> list[dict[str, Any]]:
    from promptlab.runs import list_runs
    from promptlab.settings import runs_dir

    return [
        {"run": run.path.name, "state": run.status.get("state", ""), "name": run.name}
        for run in list_runs(runs_dir())
    ]


_ROWS = {
    What.tasks: _tasks,
    What.stimuli: _stimuli,
    What.models: _models,
    What.metrics: _metrics,
    What.methods: _methods,
    What.rubrics: _rubrics,
    What.runs: _runs,
}
