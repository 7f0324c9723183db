"""`promptlab reproduce`: a paper's experiments on any model, and the dossier of its claims."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli._app import EXIT_CODES, Limit, Models, SetValues, app

if TYPE_CHECKING:
    from promptlab.judges.requests import Judge
    from promptlab.plan import Plan
    from promptlab.recipes import Planned, Recipe
    from promptlab.runs import Run


@app.command(epilog=EXIT_CODES)
def reproduce(
    paper: Annotated[
        str,
        typer.Argument(
            metavar="PAPER",
            help="emotionprompt, negativeprompt, or the folder of a recipe of your own.",
            show_default=False,
        ),
    ],
    model: Models = None,
    limit: Limit = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="controlled (paired, seeded, with neutral controls: the default) or as-published.",
            metavar="NAME",
        ),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="NAME", help="Only this experiment (repeatable)."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="ID",
            help="Model that judges free answers, or a YAML file of one; else they are left out.",
        ),
    ] = None,
    set_values: SetValues = None,
    from_runs: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Ask nothing: write the dossier of the runs in this folder, whoever made them.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the dossier.  [default: PAPER-PROTOCOL-MODEL in the runs folder; with "
            "--from PAPER-PROTOCOL]"
        ),
    ] = None,
    importance: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="positive.csv of promptlab importance, for claims about words."
        ),
    ] = None,
    recalled: Annotated[
        bool, typer.Option("--recalled", help="Show published values nobody saw in a source.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plans.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before paid requests.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Repeat a paper's experiments and put its claims to the test.

    Plans every experiment of the recipe, prints what it would ask and cost,
    asks, and writes the dossier: a page to quote, each claim with a verdict,
    the paper's tables and figures with ours beside theirs, as HTML, CSV,
    LaTeX, PDF and SVG. Answers are kept; the same command goes on after
    Ctrl-C, and asks nothing twice.

    A first look, on this machine, without a key:

    promptlab reproduce emotionprompt --limit 5 --part ii-few-shot
    """
    from promptlab import settings
    from promptlab.files import slug
    from promptlab.judges.asking import as_judge
    from promptlab.recipes import load_recipe
    from promptlab.reproducing import check_folder, followed, plans, runs_in, write_dossier

    recipe = load_recipe(paper)
    way = protocol or next(iter(recipe.paper.protocols))
    ways = recipe.protocol(way)
    judging = as_judge(judge) if judge else None
    codes: list[int] = []
    if from_runs is not None:
        known = runs_in(from_runs)
        way, runs = followed(recipe, known, protocol)
        if len(runs) < len(known) and not quiet:
            n = len(known) - len(runs)
            typer.echo(f"left out: {n} {'run' if n == 1 else 'runs'} of another protocol")
        folder = out or settings.runs_dir() / f"{recipe.name}-{way}"
    else:
        experiments = recipe.experiments(
            way,
            models=model or (),
            limit=limit,
            parts=part or (),
            set_values=set_values or (),
            judged=judging is not None,
        )
        asked = {m.label: None for e in experiments for m in e.spec.experiment.models}
        folder = out or settings.runs_dir() / slug(f"{recipe.name}-{way}-{'-'.join(asked)}")
        check_folder(folder)
        paid = _say_plans(recipe, experiments, plans(experiments), judging, quiet=quiet)
        without = [p.name for p in ways.parts if p.rubric and not judging and not part]
        if without and not quiet:
            typer.echo(f"left out: {', '.join(without)} (free answers; add --judge MODEL)")
        if dry_run:
            return
        _agree(paid, yes=yes)
        runs = []
        for n, experiment in enumerate(experiments, 1):
            if not quiet:
                typer.echo(f"{n} of {len(experiments)}: {experiment.name}")
            run, code = _ask(recipe, experiment, judging, quiet=quiet)
            runs.append(run)
            codes.append(code)
    page = write_dossier(
        recipe,
        way,
        runs,
        folder,
        judge=judging.label if judging else "",
        importance=importance,
        recalled=recalled,
    )
    if not quiet:
        _say_verdicts(recipe, folder)
        typer.echo(f"dossier: {page}")
    if any(codes):
        raise typer.Exit(max(codes))


def _say_plans(
    recipe: Recipe,
    experiments: Sequence[Planned],
    built: Sequence[Plan],
    judge: Judge | None,
    *,
    quiet: bool,
) -> bool:
    """Print a line for each experiment and model, and for what is judged of it.

    Returns:
        Whether anything may cost money.
    """
    from rich.console import Console
    from rich.table import Table

    from promptlab import settings
    from promptlab.estimate import estimate
    from promptlab.judges.estimate import estimate_judging

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("experiment", "model", "answers", "requests", "to ask", "tokens ≈", "cost ≤"):
        table.add_column(name, justify="left" if name in ("experiment", "model") else "right")
    total, paid, unknown = 0.0, False, False
    for experiment, plan in zip(experiments, built, strict=True):
        estimates = [(experiment.name, m) for m in estimate(plan, settings.store_path())]
        if experiment.part.rubric and judge:
            asked = estimate_judging(plan, recipe.rubric(experiment.part), judge)
            estimates.append((f"{experiment.name}, judged", asked))
        for name, m in estimates:
            unknown |= m.cost_usd is None
            total += m.cost_usd or 0.0
            paid |= m.requests > m.stored and m.cost_usd != 0
            table.add_row(
                name,
                m.model,
                f"{plan.n_planned // len(plan.models):,}",
                f"{m.requests:,}",
                f"{m.requests - m.stored:,}",
                f"{m.prompt_tokens + m.completion_tokens:,}",
                "unknown" if m.cost_usd is None else f"${m.cost_usd:,.2f}",
            )
    if not quiet:
        console = Console(highlight=False)
        console.print(table)
        more = " and what has no known price" if unknown else ""
        console.print(f"at most ${total:,.2f}{more}, over {len(experiments)} experiments")
    return paid


def _agree(paid: bool, *, yes: bool) -> None:
    """Ask a person before anything may cost money.

    Raises:
        UserError: nobody is there to ask.
    """
    from promptlab.errors import UserError

    if not paid or yes:
        return
    if not sys.stdin.isatty():
        raise UserError("these requests may cost money; add --yes to send them")
    typer.confirm("Send these requests?", abort=True)


def _ask(
    recipe: Recipe, experiment: Planned, judge: Judge | None, *, quiet: bool
) -> tuple[Run, int]:
    """Run an experiment, have it judged where it takes a judge, analyse it.

    Returns:
        The run, and its exit code. A signal ends the command, with what is there kept.
    """
    from promptlab.cli._interrupt import interruptible
    from promptlab.cli._progress import progress
    from promptlab.cli.judge import judge_watched
    from promptlab.cli.run import exit_code, run_watched
    from promptlab.reproducing import conclude

    with interruptible() as interruption, progress(quiet=quiet, json=False) as watch:
        run, interrupted = run_watched(experiment.spec, watch, interruption, analysis=False)
        judging = None
        if run and experiment.part.rubric and judge and not interrupted:
            rubric = recipe.rubric(experiment.part)
            judging = judge_watched(run, judge.spec, rubric, watch, interruption, analysis=False)
            interrupted = judging is None
        if interrupted:
            again = shlex.join(["promptlab", *sys.argv[1:]])
            typer.echo(f"interrupted; every answer is kept, to go on type: {again}", err=True)
            raise typer.Exit(interruption.exit_code)
        assert run is not None
        conclude(run)
    statuses = [run.status, *([judging.status] if judging else [])]
    return run, max(map(exit_code, statuses))


def _say_verdicts(recipe: Recipe, folder: Path) -> None:
    """Print each claim with its verdict."""
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    found = pd.read_csv(folder / "tables" / "claims.csv", keep_default_na=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in (f"claim of {recipe.paper.short}", "verdict", "why"):
        table.add_column(name, overflow="fold")
    for _, row in found.iterrows():
        table.add_row(str(row["id"]), str(row["verdict"]), str(row["why"]))
    Console(highlight=False).print(table)
