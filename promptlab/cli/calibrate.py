"""`promptlab calibrate`: does the analysis keep its promises, in general and for one spec?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli._app import Json, Limit, Models, SetValues, app, print_json
from promptlab.cli._interrupt import interruptible
from promptlab.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.calibration.rehearsal import Rehearsal
    from promptlab.plan import Plan

_EXPERIMENTS = 500
"""Best-of-K experiments of the full table; the other parts are in proportion."""
_REHEARSALS = 200
_RACES = 1000


class Answers(StrEnum):
    """How much simulated answers change from prompt to prompt."""

    noisy = "noisy"
    stable = "stable"


Spec = Annotated[
    str | None,
    typer.Argument(metavar="[SPEC]", help="An experiment to rehearse.", show_default=False),
]
Simulations = Annotated[
    int | None,
    typer.Option(
        "--simulations",
        min=2,
        metavar="N",
        help="With a spec: rehearsals (200; of a race 1000). Without: best-of-K experiments (500), "
        "the other parts in proportion; 20 for a look.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of every simulation.")]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes", min=1, metavar="N", help="As many as there are cores unless given."
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="PART", help="This part of the table (repeatable)."),
]
Effects = Annotated[
    list[str] | None,
    typer.Option(
        "--effect",
        metavar="CONDITION=POINTS",
        help="A true effect, such as EP02=+5 or all=+2 (repeatable); else the first confirmatory "
        "condition gets the smallest effect that the plan says it finds.",
    ),
]
Accuracy = Annotated[
    float, typer.Option("--baseline-accuracy", help="Of the baseline in every task, 0 to 1.")
]
Discordance = Annotated[
    float | None,
    typer.Option(
        "--discordance", help="Share of items that two prompts without effect answer differently."
    ),
]
AnswersOption = Annotated[
    Answers, typer.Option("--answers", help="noisy: .37 of the items differ; stable: .165.")
]
Spread = Annotated[
    float,
    typer.Option("--sd-task", min=0.0, help="SD of true effects between tasks, 0.04 = 4 points."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder for the page, the table and the figures."),
]


@app.command()
def calibrate(
    spec: Spec = None,
    simulations: Simulations = None,
    seed: Seed = 0,
    processes: Processes = None,
    only: Only = None,
    effect: Effects = None,
    baseline_accuracy: Accuracy = 0.6,
    discordance: Discordance = None,
    answers: AnswersOption = Answers.noisy,
    sd_task: Spread = 0.04,
    out: Out = None,
    limit: Limit = None,
    set_values: SetValues = None,
    model: Models = None,
    json: Json = False,
) -> None:
    """Simulate experiments whose truth is known, and see what the analysis says of them.

    Without a spec: type-I error, coverage and power of every procedure beside the
    figures of a reference simulation, and what is claimed without correction;
    exit code 1 if a procedure breaks its rule. With a spec: the analysis of that
    experiment on simulated models, before anything is asked or spent.
    """
    workers = processes or os.cpu_count() or 1
    with interruptible():
        if spec is None:
            if effect or limit or set_values or model or discordance is not None:
                raise UserError(
                    "--effect, --discordance, --limit, --set and --model are about an experiment; "
                    "name its spec: promptlab calibrate SPEC --effect EP02=+5"
                )
            broken = _table(simulations or _EXPERIMENTS, seed, workers, only or [], out, json)
            if broken:
                raise typer.Exit(1)
            return
        if only:
            raise UserError("--only is for the table; leave the spec out, or leave --only out")
        from promptlab.planning import build_plan
        from promptlab.spec import load_spec

        loaded = load_spec(spec, set_values=set_values or (), limit=limit, models=model or ())
        found = _rehearse(
            build_plan(loaded),
            effect or [],
            accuracy=baseline_accuracy,
            discordance=discordance,
            answers=answers,
            spread=sd_task,
            simulations=simulations,
            seed=seed,
            processes=workers,
        )
        _show_rehearsal(found, loaded.experiment.name, out, json)


# ---------------------------------------------------------------- the table


def _table(
    experiments: int, seed: int, processes: int, only: list[str], out: Path | None, json: bool
) -> bool:
    """Print the table; returns whether a procedure broke its rule."""
    from promptlab.analysis.calibration import calibrate as run
    from promptlab.analysis.calibration import closing, failures

    with _bar() as report:
        table = run(
            only=only,
            scale=experiments / _EXPERIMENTS,
            seed=seed,
            processes=processes,
            progress=None if report is None else lambda b, done, every: report(b.part, done, every),
        )
    broken = failures(table)
    if out is not None:
        from promptlab.analysis.calibration.page import command_line
        from promptlab.report.calibration import write_calibration

        command = command_line(experiments, seed, only, out)
        page = write_calibration(table, out, command=command, processes=processes)
    if json:
        print_json(
            {
                "rows": table.astype(object).where(table.notna(), None).to_dict("records"),
                "failures": len(broken),
                "summary": closing(table),
            }
        )
        return bool(len(broken))
    _print_table(table)
    if out is not None:
        typer.echo(f"page: {page}")
    return bool(len(broken))


def _print_table(table: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from promptlab.analysis.calibration import PARTS, closing
    from promptlab.analysis.calibration.page import number

    console = Console(highlight=False)
    for part, rows in table.groupby("part", sort=False):
        shown = Table(box=None, pad_edge=False, header_style="bold")
        shown.add_column(PARTS[str(part)].title, overflow="fold", min_width=24)
        shown.add_column("quantity", overflow="fold")
        for column in ("value", "error", "reference"):
            shown.add_column(column, justify="right", no_wrap=True)
        shown.add_column("verdict", overflow="fold", min_width=12)
        for design, some in rows.groupby("design", sort=False):
            shown.add_row(Text(str(design), style="italic"))
            for row in some.to_dict("records"):
                broken = row["verdict"].startswith("FAILS")
                shown.add_row(
                    Text(f"  {row['procedure']}"),
                    row["quantity"],
                    number(row["value"], row["quantity"]),
                    number(row["mc_error"], row["quantity"]) if row["simulations"] else "exact",
                    row["reference"],
                    Text(row["verdict"], style="bold red" if broken else ""),
                )
        console.print(shown)
        console.print()
    console.print(closing(table), markup=False)


# ---------------------------------------------------------------- the rehearsal


def _rehearse(
    plan: Plan,
    stated: list[str],
    *,
    accuracy: float,
    discordance: float | None,
    answers: Answers,
    spread: float,
    simulations: int | None,
    seed: int,
    processes: int,
) -> Rehearsal:
    from promptlab.analysis.calibration.designs import NOISY, STABLE, concentration_of
    from promptlab.analysis.calibration.race_rehearsal import RaceShape, rehearse_race
    from promptlab.analysis.calibration.rehearsal import rehearse
    from promptlab.analysis.calibration.worlds import Truth
    from promptlab.rehearsing import default_effect, race_shape_of, shape_of

    raced = plan.spec.experiment.race is not None
    shape = race_shape_of(plan) if raced else shape_of(plan)
    if discordance is not None:
        concentration = concentration_of(accuracy, discordance)
    else:
        concentration = {Answers.noisy: NOISY, Answers.stable: STABLE}[answers]
    effects = _effects(stated, shape.names)
    if not stated:
        effects, why = default_effect(
            plan, accuracy=accuracy, concentration=concentration, spread=spread
        )
        if not effects:
            typer.echo(f"no effect was stated, and the plan finds none: {why}", err=True)
    truth = Truth(accuracy, concentration, effects, spread)
    with _bar() as report:
        how: dict[str, Any] = {"seed": seed, "processes": processes, "progress": report}
        if isinstance(shape, RaceShape):
            return rehearse_race(shape, truth, simulations=simulations or _RACES, **how)
        return rehearse(shape, truth, simulations=simulations or _REHEARSALS, **how)


def _effects(stated: list[str], names: tuple[str, ...]) -> dict[str, float]:
    """Effects in score units by condition; what is named alone wins over `all`."""
    every: dict[str, float] = {}
    single: dict[str, float] = {}
    for text in stated:
        # A condition's name may hold '=', a number may not.
        name, sign, points = text.rpartition("=")
        try:
            value = float(points) / 100
        except ValueError:
            value = float("nan")
        if not sign or not name or not -1 < value < 1:
            raise UserError(
                f"--effect takes CONDITION=POINTS, such as EP02=+5 or all=-2 (got '{text}')"
            )
        if name == "all":
            every = dict.fromkeys(names, value)
        elif name in names:
            single[name] = value
        else:
            raise UserError(
                f"--effect: '{name}' is none of the conditions that are tested"
                f"{did_you_mean(name, names)}; there are: {', '.join(names)}"
            )
    return every | single


def _show_rehearsal(found: Rehearsal, name: str, out: Path | None, json: bool) -> None:
    from promptlab.analysis.calibration.rehearsal_words import assumption, rehearsal_sentences

    sentences = rehearsal_sentences(found)
    table = found.to_frame()
    if out is not None:
        from promptlab.report.calibration import write_rehearsal

        told = [assumption(found), *found.shape.notes, *sentences]
        page = write_rehearsal(table, told, out, name=name)
    if json:
        rows: list[dict[Any, Any]] = table.to_dict("records")
        print_json(
            {
                "assumption": assumption(found),
                "notes": list(found.shape.notes),
                "sentences": sentences,
                "rows": rows,
            }
        )
        return
    typer.echo(f"{name}, rehearsed: {assumption(found)}.\n")
    for note in found.shape.notes:
        typer.echo(f"note: {note}")
    for sentence in sentences:
        typer.echo(sentence)
    if out is not None:
        typer.echo(f"page: {page}")


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("starting")
        yield lambda what, done, every: bars.update(
            bar, description=what, completed=done, total=every
        )
