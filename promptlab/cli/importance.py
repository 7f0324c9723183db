"""`promptlab importance`: which words of an experiment's prompts the gold answers hang on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli._app import Limit, SetValues, SpecPath, app

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.spec import Spec


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
    there after Ctrl-C is balanced over tasks and conditions; it is written all
    the same.

    For example:

      promptlab importance experiment.yaml --limit 5

      promptlab importance experiment.yaml --model google/flan-t5-small
    """
    from promptlab import settings
    from promptlab.cli._interrupt import interruptible
    from promptlab.spec import load_spec
    from promptlab.whitebox.measures import check_measures

    measures = check_measures(measure or ["gradient_norm"])
    spec = load_spec(path, set_values=set_values or (), limit=limit)
    name = model or _local_model(spec)
    default = settings.runs_dir() / f"{spec.experiment.name}-importance"
    folder = Path(out) if out else default
    with interruptible() as interruption:
        frames, total = _measured(spec, name, measures)
        if frames:
            import pandas as pd

            _write(pd.concat(frames, ignore_index=True), folder)
        if len(frames) < total:
            typer.echo(f"interrupted: {len(frames)} of {total} prompts are written", err=True)
            raise typer.Exit(interruption.exit_code)


def _local_model(spec: Spec) -> str:
    from promptlab.errors import UserError

    for one in spec.experiment.models:
        if one.id.startswith("local/"):
            return one.id
    raise UserError(
        "the spec names no local/ model to look inside; write --model local/smollm2-135m, a folder "
        "or a hub model"
    )


def _measured(spec: Spec, name: str, measures: tuple[str, ...]) -> tuple[list[pd.DataFrame], int]:
    """Rows of the prompts that were finished, and how many there are."""
    from rich.console import Console
    from rich.progress import Progress

    from promptlab.whitebox.examples import as_examples
    from promptlab.whitebox.importance import stream_importance
    from promptlab.whitebox.opening import load

    frames: list[pd.DataFrame] = []
    opened = load(name)
    examples = as_examples(spec, can_chat=opened.has_chat_template)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"{opened.name}, {', '.join(measures)}", total=len(examples))
            for frame in stream_importance(opened, examples, measures=measures):
                frames.append(frame)
                progress.advance(bar)
    except KeyboardInterrupt:
        pass  # what is finished is written
    return frames, len(examples)


def _write(found: pd.DataFrame, folder: Path) -> None:
    from promptlab.analysis.export import write_table
    from promptlab.analysis.figures import words
    from promptlab.analysis.importance_shares import (
        positive_shares,
        share_sentence,
        word_shares,
    )
    from promptlab.report.pictures import save
    from promptlab.whitebox.highlighting import highlight

    write_table(found, folder / "importance.csv")
    shares = word_shares(found)
    write_table(shares, folder / "shares.csv")
    first = found[(found["task"] == found["task"].iloc[0]) & (found["shots"] == found["shots"][0])]
    first = first[first["instruction"] == first["instruction"].iloc[0]]
    for name in dict.fromkeys(found["measure"]):
        figure = words(first, measure=name).get_figure(root=True)
        assert figure is not None
        save(figure, folder / f"words_{name}")
    page = '<!doctype html><meta charset="utf-8"><title>Word importance</title>'
    html = highlight(found, limit=200).html
    (folder / "words.html").write_text(page + html, encoding="utf-8")
    overall = shares[(shares["group"] == "stimulus") & (shares["condition"] != "original")]
    for row in overall.drop_duplicates(["measure", "condition"], keep="last").to_dict("records"):
        where = "all tasks" if row["task"] == "*" else row["task"]
        typer.echo(
            f"{row['measure']}, {row['condition']}, {where}: the words that it added carry "
            f"{100 * row['share']:.0f} % of the importance ({100 * row['level']:g} % interval "
            f"{100 * row['lower']:.0f} to {100 * row['upper']:.0f}) and are "
            f"{100 * row['share_of_words']:.0f} % of the words"
        )
    stimulated = found[found["group"] == "stimulus"]
    if stimulated["positive"].any():
        positive = positive_shares(found)
        write_table(positive, folder / "positive.csv")
        for name in dict.fromkeys(positive["measure"]):
            rows = positive[positive["measure"] == name]
            typer.echo(f"{name}: {share_sentence(rows)}")
    typer.echo(f"written: {folder}")
