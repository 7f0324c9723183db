"""`promptlab run`: run a spec; running it again is free."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli._app import EXIT_CODES, Json, Limit, Models, SetValues, SpecPath, app

if TYPE_CHECKING:
    from promptlab.cli._interrupt import Interruption
    from promptlab.cli._progress import Watch
    from promptlab.runs import Run
    from promptlab.spec import Spec


@app.command(epilog=EXIT_CODES)
def run(
    path: SpecPath,
    limit: Limit = None,
    set_values: SetValues = None,
    model: Models = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    analysis: Annotated[
        bool, typer.Option("--analysis/--no-analysis", help="Analyse and write the report.")
    ] = True,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Run a spec: ask what the store does not have, score, analyse, write the report.

    Ctrl-C and SIGTERM keep every answer; the same command goes on from there.
    From another terminal, promptlab status shows how far it is.

    With --json, an object a line on standard output, told apart by "event":
    • stage: "stage" is planning, asking, writing, scoring, analysing
      or ending (after a signal)
    • plan: run, models, cells, answers, requests
    • progress, at most each second: done, total, failed, rate, cost_usd,
      forecast_usd, seconds_left, models, flagged
    • warning: kind, message
    • result, always the last: run, state, exit_code, responses, stopped, spent
    An error (exit codes 1 and 2) has no result; it goes to standard error.
    """
    from promptlab.cli._interrupt import interruptible

    with interruptible() as interruption:
        from promptlab.cli._progress import JsonWatch, progress
        from promptlab.spec import load_spec

        spec = load_spec(path, set_values=set_values or (), limit=limit, models=model or ())
        if dry_run:
            from promptlab.cli.plan import show_plan
            from promptlab.planning import build_plan

            show_plan(build_plan(spec, allow_missing=True), json=json)
            return
        with progress(quiet=quiet, json=json) as watch:
            handle, interrupted = run_watched(spec, watch, interruption, analysis=analysis)
        status = handle.status if handle else {"state": "interrupted"}
        code = interruption.exit_code if interrupted else exit_code(status)
        if isinstance(watch, JsonWatch):
            told = {name: value for name, value in status.items() if name != "progress"}
            watch.tell(
                event="result", run=str(handle.path) if handle else None, exit_code=code, **told
            )
        if interrupted:
            typer.echo(f"interrupted: {_kept(watch)}", err=True)
        elif handle and not json and not quiet:
            _print_result(handle, analysis=analysis)
        if code:
            raise typer.Exit(code)


def run_watched(
    spec: Spec, watch: Watch, interruption: Interruption, *, analysis: bool
) -> tuple[Run | None, bool]:
    """Run and show it; returns the handle, once there is one, and whether a signal ended it."""
    import asyncio

    from promptlab.conclude import update_status
    from promptlab.workflow import run as run_spec

    begun: list[Run] = []

    def on_run(handle: Run) -> None:
        begun.append(handle)
        update_status(handle, command=shlex.join(["promptlab", *sys.argv[1:]]))
        watch.begun(handle.path)

    on_progress, on_stage = watch.under(interruption)
    try:
        handle = run_spec(
            spec,
            analysis=analysis,
            on_progress=on_progress,
            on_stage=on_stage,
            on_plan=watch.plan,
            on_run=on_run,
            on_message=lambda message: watch.warn("note", message, {}),
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        return (begun[0] if begun else None), True
    return handle, False


def _kept(watch: Watch) -> str:
    """What is there after an interruption, and what to type."""
    if watch.last is None:
        return f"{watch.stage_name}; nothing was asked, the same command begins again"
    return (
        f"{watch.last.kept:,} of {watch.last.total:,} answers are kept; "
        "the same command goes on from here"
    )


def exit_code(status: Mapping[str, Any]) -> int:
    """0 complete, 3 with failed requests, 4 where a budget or a quota is used up."""
    if any(stop["kind"] in ("budget", "quota") for stop in status.get("stopped", {}).values()):
        return 4
    return 0 if status.get("state") == "complete" else 3


def _print_result(handle: Run, *, analysis: bool) -> None:
    from rich.console import Console

    from promptlab.cli._ending import ending

    console = Console(highlight=False)
    status = handle.status
    for line in ending(handle):
        console.print(line, markup=False, soft_wrap=True)
    if analysis and (handle.path / "contrasts.parquet").is_file():
        from promptlab.report.terminal import result_table, summary_sentences

        contrasts, conditions = handle.contrasts(), handle.conditions()
        standing = handle.standing()
        about = {
            "alpha": handle.analysis.alpha,
            "baseline": handle.analysis.baseline,
            "registration": {"registered": standing.registration is not None},
        }
        console.print(result_table(contrasts, conditions=conditions, manifest=about))
        macro = contrasts[(contrasts["level"] == "macro") & contrasts["primary"]]
        panels = len(macro[["model", "shots", "protocol"]].drop_duplicates())
        topics = ("verdicts", "largest", "detectable", "controls")[: None if panels == 1 else 1]
        for sentence in summary_sentences(
            contrasts, conditions=conditions, manifest=about, topics=topics
        ):
            console.print(sentence, markup=False)
        for sentence in standing.sentences():
            console.print(sentence, markup=False)
        console.print(f"report: {handle.path / 'report' / 'index.html'}", soft_wrap=True)
    else:
        if "analysis" in status:
            console.print(status["analysis"], markup=False)
        console.print(f"run: {handle.path}", soft_wrap=True)
    sys.stdout.flush()
