"""`promptlab compare`: two prompts of one's own, from whichever tool scored them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli._app import Json, app, print_json
from promptlab.cli.analyze import (
    Alpha,
    Columns,
    Confirmatory,
    Margin,
    MissingKind,
    MissingRows,
    Out,
    Seed,
    TaskKind,
    Tasks,
    options_of,
    renames,
)

if TYPE_CHECKING:
    from promptlab.comparing import Comparison

_MOST_TASKS = 12
"""With more tasks only those with a verdict get a sentence."""


class _By(StrEnum):
    hash = "hash"
    id = "id"


@app.command()
def compare(
    prompts: Annotated[
        list[str],
        typer.Argument(metavar="A B ...", help="Logs, folders, tables or runs; A is the baseline."),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Metric of a log that has several (repeatable)."),
    ] = None,
    names: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="What to call the prompts.")
    ] = None,
    by: Annotated[
        _By, typer.Option(help="Pair lm-eval's items by the hash of the document or its number.")
    ] = _By.hash,
    column: Columns = None,
    alpha: Alpha = 0.05,
    margin: Margin = 0.02,
    confirmatory: Confirmatory = None,
    tasks: Tasks = TaskKind.random,
    missing: MissingRows = MissingKind.drop_pair,
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Compare prompts on the same items; the first is the baseline.

    Each is a sample log of lm-evaluation-harness (samples_*.jsonl, written with
    --log_samples), an Inspect log (.eval or .json; needs the extra 'inspect'), a
    folder of either, a table with item_id and score, or one condition of a
    promptlab run (RUN:EP02).

    Items pair by id within a task. What does not pair is counted; if nothing
    pairs, or one item has two targets, the comparison is refused with the reason.

    For example:

      promptlab compare out/plain out/career --metric exact_match,strict-match

      promptlab compare plain.eval career.eval --names plain,career --out report

      promptlab compare plain.csv answers.csv:EP02

      promptlab compare runs/first:original runs/second:EP02
    """
    from promptlab.comparing import compare as compare_sources

    found = compare_sources(
        *prompts,
        names=[n.strip() for n in names.split(",")] if names else (),
        metrics=metric or (),
        by="id" if by is _By.id else "hash",
        columns=renames(column or []),
        options=options_of(alpha, margin, confirmatory, tasks, missing, seed),
    )
    page = found.report(out) if out else None
    if json:
        print_json(found.to_json(page))
        return
    _show(found)
    if page:
        typer.echo(f"report: {page}")


def _show(found: Comparison) -> None:
    from rich.console import Console

    from promptlab.report.terminal import result_table

    console = Console(highlight=False)
    for name, source in zip(found.names, found.sources, strict=True):
        metrics = ", ".join(dict.fromkeys(source.rows["metric"]))
        console.print(f"{name}: {source.path} ({source.kind}, {metrics})", markup=False)
    console.print()
    about = {"alpha": found.options.alpha, "baseline": found.names[0]}
    console.print(result_table(found.contrasts, manifest=about))
    for sentence in _shown_sentences(found):
        console.print(sentence, markup=False)
    if found.notes:
        console.print()
    for note in found.notes:
        console.print(note, markup=False)


def _shown_sentences(found: Comparison) -> list[str]:
    from promptlab.analysis.contrast_words import sentences

    if len(found.pairing) <= _MOST_TASKS:
        return found.sentences()
    rows, alpha = found.contrasts, found.options.alpha
    strong = rows[(rows["level"] == "cell") & (rows["p_adjusted"] <= alpha)]
    rest = int((rows["level"] == "cell").sum()) - len(strong)
    said = [*sentences(rows, alpha=alpha), *sentences(strong, level="cell", alpha=alpha)]
    return [*said, f"{rest} comparisons on single tasks are inconclusive (--json lists them)."]
