"""The application object, shared options, and how an error is shown."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from promptlab.errors import PromptlabError, ProviderError

__all__ = [
    "EXIT_CODES",
    "Json",
    "Limit",
    "Models",
    "SetValues",
    "SpecPath",
    "app",
    "print_json",
    "report_error",
]

EXIT_CODES = (
    "Exit codes: 0 complete, 1 bug, 2 usage or spec, 3 finished with failed requests, 4 budget or "
    "quota used up (run again later, or raise the budget), 130 interrupted, 143 terminated."
)

app = typer.Typer(
    name="promptlab",
    help="Does this sentence, added to a prompt, change what the model gets right, and how sure "
    "can we be?\n\nBegin with: promptlab init, promptlab plan SPEC, promptlab run SPEC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EXIT_CODES,
)

SpecPath = Annotated[
    str, typer.Argument(metavar="SPEC", help="The experiment's YAML file.", show_default=False)
]
RunPath = Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", show_default=False)]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="At most N items a task.")
]
SetValues = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the spec (repeatable)."),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="ID", help="Ask this model instead (repeatable)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        from promptlab.errors import DISTRIBUTION

        typer.echo(f"promptlab {installed(DISTRIBUTION)}")
        raise typer.Exit
    del context


def report_error(error: PromptlabError) -> int:
    """Print an error for a person and return the exit code."""
    typer.echo(f"error: {error}", err=True)
    if isinstance(error, ProviderError):
        return 4 if error.kind == "quota" else 3
    return 2


def print_json(data: Any) -> None:
    """Print data as indented JSON."""
    import orjson

    typer.echo(orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str).decode())
