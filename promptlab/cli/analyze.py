"""`promptlab analyze`: the same analysis for anybody's scores, of items or of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli._app import Json, app, print_json
from promptlab.errors import UserError

if TYPE_CHECKING:
    from promptlab.analyzing import FileAnalysis, Options

__all__ = [
    "Alpha",
    "Columns",
    "Confirmatory",
    "Margin",
    "MissingKind",
    "MissingRows",
    "Out",
    "Seed",
    "TaskKind",
    "Tasks",
    "options_of",
    "renames",
]


class _Kind(StrEnum):
    items = "items"
    summary = "summary"
    wide = "wide"


class TaskKind(StrEnum):
    """Unit of generalisation."""

    random = "random"
    fixed = "fixed"


class MissingKind(StrEnum):
    """Missing-data policy."""

    drop_pair = "drop_pair"
    as_wrong = "as_wrong"


Alpha = Annotated[float, typer.Option(min=0.0001, max=0.5, help="Level of the verdicts.")]
Margin = Annotated[float, typer.Option(help="Equivalence margin, 0.02 = 2 points.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=YOURS", help="A column's name in the table (repeatable)."
    ),
]
Confirmatory = Annotated[
    list[str] | None,
    typer.Option(
        "--confirmatory", metavar="NAME", help="Condition chosen before looking (repeatable)."
    ),
]
Tasks = Annotated[
    TaskKind,
    typer.Option(help="Generalise to new tasks (random), or to new items of these (fixed)."),
]
MissingRows = Annotated[
    MissingKind,
    typer.Option("--missing", help="Leave out a pair that lacks a score, or score it 0."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of resampling and simulation.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for a report with tables and figures.")
]


def options_of(
    alpha: float,
    margin: float,
    confirmatory: Sequence[str] | None,
    tasks: str,
    missing: str,
    seed: int,
) -> Options:
    """The options that `analyze` and `compare` share."""
    from promptlab.analyzing import Options

    return Options(
        alpha=alpha,
        margin=margin,
        confirmatory=tuple(confirmatory or ()),
        tasks="fixed" if tasks == "fixed" else "random",
        missing="as_wrong" if missing == "as_wrong" else "drop_pair",
        seed=seed,
    )


@app.command()
def analyze(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV, JSONL or Parquet.")],
    baseline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Condition to compare with; by its name if not given."),
    ] = None,
    kind: Annotated[
        _Kind | None, typer.Option(help="What the table holds; by its columns if not given.")
    ] = None,
    column: Columns = None,
    percent: Annotated[
        bool | None,
        typer.Option(
            "--percent/--share",
            help="Read scores as percentages, or as shares from 0 to 1. Without either, scores "
            "of items are shares, and means are read by their size.",
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a text file that is not UTF-8.")
    ] = None,
    alpha: Alpha = 0.05,
    margin: Margin = 0.02,
    confirmatory: Confirmatory = None,
    tasks: Tasks = TaskKind.random,
    missing: MissingRows = MissingKind.drop_pair,
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Analyse anybody's table of scores.

    [bold]Scores of items[/bold] (best): one row an item and condition, columns item_id,
    condition, score (0 to 1, or true and false); optional task, model, shots,
    replicate, protocol. Rows pair on task, item_id and replicate; a table that
    does not pair is refused with the reason. With one column a condition
    (item_id, original, EP02, ...) add --kind wide.

    [bold]A summary[/bold]: one row a task and condition, columns task, condition, mean; with
    sd and n of the runs it also says how much of the best condition per task is
    chance.

    For example:

      promptlab analyze scores.csv --baseline original --out report

      promptlab analyze answers.csv --column score=correct

      promptlab analyze means.csv --kind summary --column condition=prompt

    To compare logs of lm-evaluation-harness or Inspect: promptlab compare A B.
    """
    from promptlab.analyzing import analyze_file

    found = analyze_file(
        table,
        kind=kind.value if kind else None,
        columns=renames(column or []),
        baseline=baseline,
        percent=percent,
        encoding=encoding,
        options=options_of(alpha, margin, confirmatory, tasks, missing, seed),
    )
    page = found.report(out) if out else None
    if json:
        print_json(found.to_json(page))
        return
    _show(found)
    if page:
        typer.echo(f"report: {page}")


def renames(given: Sequence[str]) -> dict[str, str]:
    """`--column OURS=YOURS` as a mapping."""
    out = {}
    for pair in given:
        ours, equals, theirs = pair.partition("=")
        if not (equals and ours and theirs):
            raise UserError(f"--column {pair}: write OURS=YOURS, as item_id=question_id")
        out[ours.strip()] = theirs.strip()
    return out


def _show(found: FileAnalysis) -> None:
    from rich.console import Console

    from promptlab.analysis.summary import SummaryAnalysis

    console = Console(highlight=False)
    if isinstance(found.found, SummaryAnalysis):
        from promptlab.report.summary_terminal import print_summary

        print_summary(console, found.found)
        return
    from promptlab.report.terminal import result_table

    about = {"alpha": found.options.alpha, "baseline": found.baseline}
    console.print(result_table(found.contrasts, manifest=about))
    for sentence in (*found.found.sentences(), *found.notes):
        console.print(sentence, markup=False)
