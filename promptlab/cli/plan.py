"""`promptlab plan`: what a run would ask, cost and be able to see."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from promptlab.cli._app import Json, Limit, Models, SetValues, SpecPath, app, print_json

if TYPE_CHECKING:
    from promptlab.plan import Plan


@app.command()
def plan(
    path: SpecPath,
    limit: Limit = None,
    set_values: SetValues = None,
    model: Models = None,
    json: Json = False,
) -> None:
    """Print cells, requests, what the store has, tokens, cost, and the smallest visible effect."""
    from promptlab.planning import build_plan
    from promptlab.spec import load_spec

    spec = load_spec(path, set_values=set_values or (), limit=limit, models=model or ())
    built = build_plan(spec, allow_missing=True)
    show_plan(built, json=json)
    if built.missing:
        raise typer.Exit(2)


def show_plan(built: Plan, *, json: bool) -> None:
    """Print a plan, for people or as JSON."""
    from promptlab import settings
    from promptlab.asking import prices_of
    from promptlab.estimate import estimate, over_budget

    prices_of(built)  # a budget in dollars needs them
    models = estimate(built, settings.store_path())
    visible = detectable(built)
    race = _race(built)
    over = over_budget(built, models)
    if json:
        print_json(
            {
                "cells": built.n_cells,
                "answers": built.n_planned,
                "models": [asdict(m) for m in models],
                "missing_data": dict(built.missing),
                "left_out": [str(reason) for reason in built.left_out],
                "over_budget": over,
                "detectable": visible,
                "race": race,
            }
        )
        return
    _print(built, models, over, visible if race is None else [])
    if race is not None:
        print(_race_sentence(race))


def _race(built: Plan) -> dict[str, Any] | None:
    """What the race asks at most, and what it saves where nothing has an effect."""
    if built.spec.experiment.race is None or not built.draws:
        return None
    from promptlab.race_record import outlook

    return outlook(built)


def _race_sentence(race: dict[str, Any]) -> str:
    low, high = sorted(round(100 * s) for s in race["saved_without_effect"].values())
    share = f"{low}" if low == high else f"{low} to {high}"
    found = [f"{100 * race['detectable'][how]:.1f}" for how in ("stable", "noisy")]
    return (
        f"race: at most {race['answers']:,} answers, in blocks; where no condition has an effect, "
        f"about {share} % of them are saved (simulated)\n"
        f"smallest difference that the race finds with 80 % power: {found[0]} points where 16.5 % "
        f"of the answers change, {found[1]} where 37 % do"
    )


def detectable(built: Plan) -> list[dict[str, Any]]:
    """Smallest difference a contrast can detect at 80 % power, for tasks that are scored alike."""
    from promptlab.analysis.power import detectable_difference
    from promptlab.analysis_plan import confirmatory

    sizes: dict[str, list[int]] = {}
    for task, draw in built.draws.items():
        sizes.setdefault(built.protocols(task)[1], []).append(len(draw.items))
    analysis = built.spec.experiment.analysis
    family = len(confirmatory(analysis, built.conditions)) * len(built.models)
    rows = []
    for protocol, counts in sizes.items():
        n_items = round(len(counts) / sum(1 / n for n in counts))
        single, corrected = (
            detectable_difference(len(counts), n_items, alpha=analysis.alpha, tests=tests)
            for tests in (1, max(family, 1))
        )
        rows.append(
            {
                "protocol": protocol,
                "tasks": len(counts),
                "items": n_items,
                "family": family,
                "single": single.estimate,
                "corrected": corrected.estimate,
                "note": corrected.note or single.note,
                "assumption": single.assumption,
            }
        )
    return rows


def _print(
    built: Plan, models: list[Any], over: list[str], detectable: list[dict[str, Any]]
) -> None:
    from rich.console import Console
    from rich.table import Table

    from promptlab.planning import missing_message

    console = Console(highlight=False)
    experiment = built.spec.experiment
    console.print(
        f"[bold]{experiment.name}[/]: {_counted(len(built.models), 'model')} x "
        f"{_counted(len(built.draws), 'task')} x {_counted(len(built.conditions), 'condition')} x "
        f"shots {', '.join(map(str, experiment.shots))}{_wordings(built)} = "
        f"{_counted(built.n_cells, 'cell')}, {_counted(built.n_planned, 'answer')}"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("model", "cells", "requests", "in store", "to ask"):
        table.add_column(column, justify="left" if column == "model" else "right", overflow="fold")
    table.add_column("prompt tokens ≈", justify="right")
    table.add_column("completion ≤", justify="right")
    table.add_column("cost ≤", justify="right")
    for m in models:
        table.add_row(
            m.model,
            f"{m.cells:,}",
            f"{m.requests:,}",
            f"{m.stored:,}",
            f"{m.requests - m.stored:,}",
            f"{m.prompt_tokens:,}",
            f"{m.completion_tokens:,}",
            "unknown" if m.cost_usd is None else f"${m.cost_usd:,.2f}",
        )
    console.print(table)
    if any(m.cost_usd is None for m in models):
        console.print(
            "cost unknown: add 'price: {input: ..., output: ...}' (USD per million tokens)"
        )
    for line in over:
        console.print(line, markup=False)
    if built.missing:
        console.print(f"missing data: {missing_message(built.missing)}", markup=False)
    for left_out in built.left_out:
        console.print(f"left out: {left_out}", markup=False)
    for warning in built.warnings:
        console.print(f"warning: {warning}", markup=False)
    for row in detectable:
        console.print(detectable_sentence(row), markup=False)


def _wordings(built: Plan) -> str:
    """` x 4 wordings`, where the spec crosses them."""
    if not built.crosses_wordings or not built.draws:
        return ""
    counts = [len(draw.wordings) for draw in built.draws.values()]
    fewest, most = min(counts), max(counts)
    return f" x {_counted(most, 'wording') if fewest == most else f'{fewest} to {most} wordings'}"


def detectable_sentence(found: dict[str, Any]) -> str:
    """A row of `detectable` in words."""
    single, corrected, family = found["single"], found["corrected"], found["family"]
    where = (
        f"{_counted(found['tasks'], 'task')} of {_counted(found['items'], 'item')}, "
        f"scored by {found['protocol']}"
    )
    nothing = "no difference, however large, can be found"
    if single != single:
        sentence = f"over {where}, {nothing}"
    else:
        sentence = (
            f"smallest difference found over {where}: {100 * single:.1f} points for one contrast"
        )
        if family > 1 and corrected == corrected:
            sentence += f", {100 * corrected:.1f} points when {family} share alpha"
        elif family > 1:
            sentence += f"; {nothing} when {family} share alpha"
        sentence += f" ({found['assumption']})"
    return f"{sentence}\n{found['note']}" if found["note"] else sentence


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
