"""`promptlab judge`: have a run's answers judged by a model; again is free."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli._app import EXIT_CODES, Json, RunPath, app

if TYPE_CHECKING:
    from promptlab.cli._interrupt import Interruption
    from promptlab.cli._progress import Watch
    from promptlab.judges import Judging, Rubric
    from promptlab.runs import Run
    from promptlab.spec import ModelSpec


@app.command(epilog=EXIT_CODES)
def judge(
    path: RunPath,
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="ID",
            help="Model that judges, or a YAML file that describes it (repeatable).",
        ),
    ] = None,
    rubric: Annotated[
        str,
        typer.Option(
            "--rubric",
            metavar="NAME",
            help="Name of a rubric (promptlab list rubrics), or your own YAML file.",
        ),
    ] = "human_study",
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Of pairs, the condition to compare the others with."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Only tasks of this id or glob (repeatable).")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="Read verdicts from: auto, logprob or text.")
    ] = "auto",
    set_values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a key of the judge, such as budget.usd=5 (repeatable).",
        ),
    ] = None,
    store: Annotated[
        str, typer.Option("--store", help="Stored replies: use, refresh, off or replay.")
    ] = "use",
    people: Annotated[
        Path | None,
        typer.Option("--people", metavar="CSV", help="Ratings by people, to compare with."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="CSV", help="Write a blinded sheet for people and stop."),
    ] = None,
    analysis: Annotated[
        bool, typer.Option("--analysis/--no-analysis", help="Analyse and write the report again.")
    ] = True,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Have a finished run's answers judged, and analyse it with the scores.

    Ask a judge, and compare it with people's ratings:
    • promptlab judge RUN --judge openai/gpt-4o --set budget.usd=5
    • promptlab judge RUN --people ratings.csv

    Rubrics say what is asked; promptlab list rubrics shows them.
    Replies are kept in the store: the same command is free, and goes on
    after Ctrl-C. Scores come under protocols of their own,
    judge:RUBRIC.CRITERION@JUDGE; a reply without a verdict is a status.
    Without --judge, what the judges so far have said is printed.

    The file of --people has a column "rater", and one of these:
    • answer_id and a column for each criterion, as --sheet writes it
    • task, item_id, condition, criterion, rating: a row for each rating
    Ratings are numbers on the rubric's scale (of replies, their values).

    With --json, an object a line on standard output: stage, progress and
    warning as of promptlab run, and last a result with judgings, report
    and exit_code.
    """
    from promptlab.cli._interrupt import interruptible
    from promptlab.errors import UnknownName, UserError
    from promptlab.runs import load

    for name, value, known in (
        ("--by", by, ("auto", "logprob", "text")),
        ("--store", store, ("use", "refresh", "off", "replay")),
    ):
        if value not in known:
            raise UnknownName(f"value of {name}:", value, known, f"one of {', '.join(known)}")
    run = load(path)
    if sheet is not None:
        _write_sheet(run, rubric, sheet, task or ())
        return
    if baseline is not None and not judges:
        raise UserError("--baseline is for a judge of pairs; add --judge MODEL --rubric pairwise")
    if people is not None:
        from promptlab.judges.people import check_file

        check_file(people)  # before anything is paid for
    with interruptible() as interruption:
        from promptlab.cli._progress import JsonWatch, progress

        done: list[Judging] = []
        with progress(quiet=quiet, json=json) as watch:
            options: dict[str, Any] = {
                "baseline": baseline,
                "tasks": task or (),
                "by": by,
                "set_values": set_values or (),
                "store": store,
            }
            interrupted = False
            for i, one in enumerate(judges or ()):
                last = i == len(judges or ()) - 1
                if last:
                    options["people"] = people
                found = judge_watched(
                    run, one, rubric, watch, interruption, analysis=analysis and last, **options
                )
                if found is None:
                    interrupted = True
                    break
                done.append(found)
        code = interruption.exit_code if interrupted else _exit_code(done)
        if interrupted:
            typer.echo("interrupted: replies are kept; the same command goes on", err=True)
        else:
            if not done:
                _compare(run, people, analysis=analysis)
            lines = _print_report(run, done, show=not (json or quiet))
            if isinstance(watch, JsonWatch):
                watch.tell(
                    event="result",
                    run=str(run.path),
                    judgings=[{**j.facts, **_counted(j)} for j in done],
                    report=lines,
                    exit_code=code,
                )
        if code:
            raise typer.Exit(code)


def judge_watched(
    run: Run,
    written: ModelSpec | str,
    rubric: Rubric | str,
    watch: Watch,
    interruption: Interruption,
    *,
    analysis: bool,
    **options: Any,
) -> Judging | None:
    """Ask one judge and show it; None if a signal ended it."""
    import asyncio

    from promptlab.judges import judge_run

    on_progress, on_stage = watch.under(interruption)
    try:
        return judge_run(
            run,
            written,
            rubric,
            analysis=analysis,
            on_progress=on_progress,
            on_stage=on_stage,
            on_message=lambda message: watch.warn("note", message, {}),
            **options,
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        return None


def _exit_code(done: list[Judging]) -> int:
    """4 where a budget or a quota is used up, else 3 where replies failed, else 0."""
    from promptlab.cli.run import exit_code

    return max((exit_code(j.status) for j in done), default=0)


def _counted(judging: Judging) -> dict[str, Any]:
    names = ("state", "responses", "asked", "from_store", "cost_usd", "stopped", "spent")
    status = judging.status
    return {name: status.get(name) for name in names}


def _compare(run: Run, people: Path | None, *, analysis: bool) -> None:
    """Without a judge to ask: what the judges so far say, beside people, also on the page."""
    from promptlab.conclude import report_run
    from promptlab.judges.summary import write_judge_report

    write_judge_report(run.path, people)
    if people is not None and analysis and (run.path / "report" / "index.html").is_file():
        report_run(run)


def _print_report(run: Run, done: list[Judging], *, show: bool) -> list[dict[str, Any]]:
    """Say what the judges said; returns the table as records."""
    import pandas as pd
    from rich.console import Console

    from promptlab.cli._ending import spent_words

    table = pd.read_parquet(run.path / "judges" / "report.parquet")
    records = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    if not show:
        return records
    console = Console(highlight=False)
    for judging in done:
        status = judging.status
        for label, stop in status["stopped"].items():
            console.print(f"stopped: {label}: {stop['reason']}", markup=False, soft_wrap=True)
        counts = ", ".join(f"{n:,} {name}" for name, n in status["responses"].items())
        console.print(
            f"{judging.judge} under {judging.rubric}: {counts}; {status['asked']:,} asked, "
            f"{status['from_store']:,} from the store, {spent_words(status)}",
            markup=False,
            soft_wrap=True,
        )
        console.print(f"decides: {judging.protocols[0]}", markup=False, soft_wrap=True)
    for topic, rows in table.groupby("topic", sort=False):
        console.print(f"\n{_TOPICS[str(topic)]}", style="bold")
        for sentence in rows["sentence"]:
            console.print(f"- {sentence}.", markup=False, soft_wrap=True)
    page = run.path / "report" / "index.html"
    where = page if page.is_file() else run.path / "judges"
    console.print(f"\nreport: {where}", markup=False, soft_wrap=True)
    sys.stdout.flush()
    return records


_TOPICS = {
    "replies": "Replies",
    "position": "Position bias (pairs, both orders)",
    "length": "Length and preference (an association: longer answers may be better)",
    "judges": "Agreement between judges",
    "people": "Agreement with people",
}


def _write_sheet(run: Run, rubric: str, path: Path, tasks: Sequence[str]) -> None:
    from promptlab.conclude import plan_of
    from promptlab.judges import load_rubric
    from promptlab.judges.people import write_sheet
    from promptlab.judges.requests import judgeable

    plan, responses = plan_of(run), run.path / "responses.parquet"
    chosen = judgeable(plan, tasks, run.path.name)
    rows = write_sheet(plan, responses, load_rubric(rubric), path, tasks=chosen)
    typer.echo(f"{path}: {rows:,} answers, without model or condition; one copy for each rater")
