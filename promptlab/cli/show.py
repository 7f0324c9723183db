"""`promptlab show`: the exact prompt of any cell and item."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from promptlab.cli._app import Json, Models, SetValues, SpecPath, app, print_json


@app.command()
def show(
    path: SpecPath,
    task: Annotated[str | None, typer.Option("--task", help="Task id or glob.")] = None,
    condition: Annotated[
        str | None, typer.Option("--condition", help="Condition id or glob.")
    ] = None,
    item: Annotated[
        str, typer.Option("--item", help="Item by its place in the draw (0..) or its id.")
    ] = "0",
    shots: Annotated[int | None, typer.Option("--shots", help="Number of demonstrations.")] = None,
    instruction: Annotated[
        str | None, typer.Option("--instruction", help="Wording of the instruction (id or glob).")
    ] = None,
    model: Models = None,
    set_values: SetValues = None,
    json: Json = False,
) -> None:
    """Print the exact rendered prompt of a cell and item, as it would be sent.

    Without options: the first task, every condition, the first wording, the first
    item.
    """
    import fnmatch

    from promptlab.errors import UnknownName, UserError
    from promptlab.keys import canonical_request
    from promptlab.planning import build_plan
    from promptlab.spec import load_spec
    from promptlab.types import Response

    plan = build_plan(load_spec(path, set_values=set_values or (), models=model or ()))
    tasks = [t for t in plan.draws if task is None or fnmatch.fnmatch(t, task)]
    if not tasks:
        raise UnknownName("task", task or "", plan.draws)
    ids = [c.id for c in plan.conditions]
    if condition is not None and not fnmatch.filter(ids, condition):
        raise UnknownName("condition", condition, ids)
    tasks = tasks if task is not None else tasks[:1]
    wordings = list(dict.fromkeys(w.id for t in tasks for w in plan.draws[t].wordings))
    if instruction is not None and not fnmatch.filter(wordings, instruction):
        raise UnknownName("wording", instruction, wordings, f"wordings: {', '.join(wordings)}")
    shown = []
    for planned_model in plan.models:
        for name, cond, k, wording in plan.shapes:
            if name not in tasks or (shots is not None and k != shots):
                continue
            if condition is not None and not fnmatch.fnmatch(cond.id, condition):
                continue
            first = plan.draws[name].wordings[0].id
            if not fnmatch.fnmatch(wording.id, instruction or first):
                continue
            items = plan.draws[name].items
            wanted = [i for n, i in enumerate(items) if item in (str(n), i.item_id)]
            if not wanted:
                raise UserError(
                    f"{name} has no item '{item}'; write 0 to {len(items) - 1} or an id"
                )
            for planned in plan.cell_requests(planned_model, name, cond, k, wording):
                if planned.item.item_id == wanted[0].item_id and planned.replicate == 0:
                    shown.append(planned)
                    if planned.follow_up:
                        # Made from the first call's answer, for which this stands.
                        shown.append(planned.follow_up(Response("ok", "<the model's reasoning>")))
                    break
    if not shown:
        raise UserError("no cell matches; `promptlab plan` lists what there is")
    if json:
        import orjson

        print_json(
            [
                {
                    **asdict(p.cell),
                    "item_id": p.item.item_id,
                    "answers": p.item.answers,
                    "hash": p.hash,
                    "request": orjson.loads(canonical_request(p.request)),
                }
                for p in shown
            ]
        )
        return
    for planned in shown:
        cell, request = planned.cell, planned.request
        worded = f"wording {cell.instruction} · " if plan.rewords else ""
        typer.secho(
            f"── {cell.model} · {cell.task} · {cell.condition} · {cell.shots} shots · {worded}"
            f"item {planned.item.item_id} · {planned.hash[:12]}",
            bold=True,
        )
        if request.prompt is not None:
            typer.echo(request.prompt + "⏎")
        for message in request.messages:
            typer.echo(f"[{message.role}]\n{message.content}⏎")
        if request.choices:
            typer.secho(f"choices by log-probability: {list(request.choices)}", dim=True)
        typer.secho(f"parameters: {dict(request.params)}", dim=True)
        typer.secho(f"accepted answers: {list(planned.item.answers)}\n", dim=True)
