"""`promptlab importance`: which words of an experiment's prompts the gold answers hang on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli._app import Limit, SetValues, SpecPath, app

if TYPE_CHECKING:
    from promptlab.spec import Spec
    from promptlab.whitebox.examples import Example
    from promptlab.whitebox.folder import ImportanceFolder
    from promptlab.whitebox.model import Unreadable, WhiteboxModel

_SHOWN = 10
"""Prompts that are named of those left out."""


@app.command()
def importance(
    path: SpecPath,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="gradient_norm (unless given), gradient_x_input or occlusion (repeatable).",
        ),
    ] = None,
    limit: Limit = None,
    set_values: SetValues = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="local/NAME, a GGUF file, a folder or a hub model; the spec's first local/ model "
            "unless given.",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where to write; runs/NAME-importance.")
    ] = None,
) -> None:
    """Write the importance of every word, shares of word groups, and the heat map.

    Needs the extra 'whitebox'. Prompts are taken item by item, so that what is
    there after Ctrl-C is balanced over tasks and conditions. A prompt's rows are
    written as soon as they are known. Prompts that the model cannot read (too
    long, say) are left out, counted and named.

    For example:

      promptlab importance experiment.yaml --limit 5

      promptlab importance experiment.yaml --model google/flan-t5-small
    """
    from promptlab import settings
    from promptlab.cli._interrupt import interruptible
    from promptlab.errors import UserError
    from promptlab.spec import load_spec
    from promptlab.whitebox.examples import as_examples, plan_of
    from promptlab.whitebox.folder import ImportanceFolder
    from promptlab.whitebox.measures import check_measures

    measures = check_measures(measure or ["gradient_norm"])
    spec = load_spec(path, set_values=set_values or (), limit=limit)
    name = model or _local_model(spec)
    default = settings.runs_dir() / f"{spec.experiment.name}-importance"
    with interruptible() as interruption:
        # Whatever can be wrong with spec, data and folder is said before the weights are opened.
        plan = plan_of(spec)
        examples = as_examples(plan, opened=name)
        folder = ImportanceFolder(Path(out) if out else default)
        opened = _opened(name)
        if not opened.has_chat_template:
            examples = as_examples(plan, opened=name, can_chat=False)
        unread: list[Unreadable] = []
        try:
            _measure(opened, examples, measures, folder, unread)
        except KeyboardInterrupt:
            pass  # what is finished is summed up
        finally:
            _say_left_out(unread, len(examples))
            if len(folder):
                _finish(folder, len(examples))
        if interruption.came or len(folder) + len(unread) < len(examples):
            told = f"interrupted: {len(folder)} of {len(examples)} prompts are written"
            typer.echo(told, err=True)
            raise typer.Exit(interruption.exit_code)
        if not len(folder):
            raise UserError(f"{name} can read none of the {len(examples)} prompts")


def _local_model(spec: Spec) -> str:
    from promptlab.errors import UserError

    for one in spec.experiment.models:
        if one.id.startswith("local/"):
            return one.id
    raise UserError(
        "the spec names no local/ model to look inside; write --model local/smollm2-135m, a folder "
        "or a hub model"
    )


def _opened(name: str) -> WhiteboxModel:
    from promptlab.whitebox.opening import load

    typer.echo(f"opening {name}", err=True)
    return load(name)


def _measure(
    model: WhiteboxModel,
    examples: list[Example],
    measures: tuple[str, ...],
    folder: ImportanceFolder,
    unread: list[Unreadable],
) -> None:
    """Write the rows of every prompt, and collect what the model cannot read."""
    from rich.console import Console
    from rich.progress import Progress

    from promptlab.whitebox.importance import stream_importance

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"{model.name}, {', '.join(measures)}", total=len(examples))

        def leave_out(error: Unreadable) -> None:
            unread.append(error)
            progress.advance(bar)

        rows = stream_importance(model, examples, measures=measures, on_unreadable=leave_out)
        for frame in rows:
            folder.add(frame)
            progress.advance(bar)


def _say_left_out(unread: list[Unreadable], total: int) -> None:
    if not unread:
        return
    typer.echo(
        f"left out, as the model cannot read them: {len(unread)} of {total} prompts", err=True
    )
    for error in unread[:_SHOWN]:
        typer.echo(f"  {error}", err=True)
    if len(unread) > _SHOWN:
        typer.echo(f"  and {len(unread) - _SHOWN} more", err=True)


def _finish(folder: ImportanceFolder, total: int) -> None:
    """Tables first and pictures last: a program that is told to end has seconds."""
    try:
        for sentence in folder.write_tables():
            typer.echo(sentence)
    finally:
        typer.echo(f"written: {folder.path} ({len(folder)} of {total} prompts)")
    folder.write_pictures()
