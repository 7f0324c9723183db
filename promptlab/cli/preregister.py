"""`promptlab preregister`: fix the plan of an experiment, with a hash and a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli._app import Json, SpecPath, app, print_json
from promptlab.errors import UserError

if TYPE_CHECKING:
    from promptlab.plan import Plan
    from promptlab.registration import Registration


_MISSING = {
    "drop_pair": "an item without a score on either side is left out of that comparison",
    "as_wrong": "an answer that failed or was cut off scores 0",
}


@app.command()
def preregister(
    path: SpecPath,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write here; name it in analysis.registration."),
    ] = None,
    amend: Annotated[
        bool,
        typer.Option("--amend", help="Register a changed plan; the earlier one is kept in it."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the spec is still what is registered.")
    ] = False,
    json: Json = False,
) -> None:
    """Register what will be asked and what the analysis will confirm, with a hash and a date.

    The same plan again changes nothing. A run of the spec finds the file, and its
    report says whether the analysis is the registered one.
    """
    from promptlab.planning import build_plan
    from promptlab.registered import differences
    from promptlab.registration import planned, read_registration, register, registration_path
    from promptlab.spec import load_spec

    plan = build_plan(load_spec(path))
    target = out or registration_path(plan.spec)
    before = read_registration(target) if target.is_file() else None
    changed = list(differences(before.plan, planned(plan))) if before else []
    if check and before is None:
        raise UserError(f"{path} is not registered: no file {target}; type: promptlab preregister "
                        f"{path}")  # fmt: skip
    if before and changed and (check or not amend):
        listed = "\n".join(f"  {d.text}" for d in changed)
        hint = "" if check else (
            "\nwrite the spec as it was, or register the changed plan too with --amend; the "
            "earlier one stays in the file"
        )  # fmt: skip
        raise UserError(
            f"{path} is not the plan registered on {before.date} (SHA-256 {before.short}):\n"
            f"{listed}{hint}"
        )
    if before and not changed:
        found, news = before, False
    else:
        found, news = register(target, plan, _notes(plan), before), True
    if json:
        print_json(
            {
                "file": str(target),
                "registered": found.registered,
                "sha256": found.sha256,
                "new": news,
                "family": found.family,
                "notes": found.notes,
            }
        )
        return
    _print(plan, found, target, news=news)
    if out is not None and out.resolve() != registration_path(plan.spec).resolve():
        typer.echo(f"a run finds it with 'analysis: {{registration: {out}}}' in the spec")


def _notes(plan: Plan) -> dict[str, Any]:
    """What is known now and worth keeping: power, and answers that are there already."""
    from promptlab import settings
    from promptlab.cli.plan import detectable
    from promptlab.estimate import estimate

    models = estimate(plan, settings.store_path())
    return {
        "detectable": [
            {k: None if v != v else v for k, v in row.items()} for row in detectable(plan)
        ]
        if plan.spec.experiment.race is None
        else [],
        "requests": sum(m.requests for m in models),
        "answered_before": sum(m.stored for m in models),
    }


def _print(plan: Plan, found: Registration, target: Path, *, news: bool) -> None:
    from promptlab.cli.plan import detectable_sentence

    typer.echo(
        f"{'registered' if news else 'already registered'} on {found.date}: {target}\n"
        f"SHA-256 {found.sha256}"
    )
    if found.earlier:
        first = found.earlier[0]
        typer.echo(
            f"amends the plan of {first['registered'][:10]} (SHA-256 {first['sha256'][:12]})"
        )
    for line in family_sentences(found, len(plan.models)):
        typer.echo(line)
    for row in found.notes["detectable"]:
        typer.echo(
            detectable_sentence({k: float("nan") if v is None else v for k, v in row.items()})
        )
    if early := found.notes.get("answered_before"):
        typer.echo(
            f"{early:,} of {found.notes['requests']:,} requests were answered before: the plan is "
            "not blind to them"
        )


def family_sentences(found: Registration, models: int) -> list[str]:
    """The confirmatory family in plain words."""
    analysis, family = found.plan["analysis"], found.family
    groups: dict[tuple[str, str], list[str]] = {}
    for c in family:
        groups.setdefault((c["contrast"], c["baseline"]), []).append(c["condition"])
    what = [
        f"  {', '.join(names)} against {baseline}"
        + ("" if kind in ("vs_original", "vs_control") else f" ({kind})")
        for (kind, baseline), names in groups.items()
    ]
    if race := found.plan["asked"].get("race"):
        return _race_sentences(analysis, race, what)
    tests = len(family) * models
    how = {"max_t": "step-down max-T over the tasks", "holm": "Holm"}[analysis["correction"]]
    shared = f", then Holm over {models} models" if models > 1 else ""
    unit = {
        "random": "new tasks like these",
        "fixed": "new items of these very tasks",
    }[analysis["tasks"]]
    return [
        f"confirmatory, {tests} {'test' if tests == 1 else 'tests'} for each number of shots:",
        *what,
        f"  error rate {analysis['alpha']:g} over all of them, by {how}{shared}",
        f"equivalent means within {100 * analysis['margin']:g} points; conclusions are about "
        f"{unit}; {_MISSING[analysis['missing']]}",
        "everything else is exploratory",
    ]


def _race_sentences(
    analysis: Mapping[str, Any], race: Mapping[str, Any], what: Sequence[str]
) -> list[str]:
    """A race tests each condition by its own rule, whatever the correction and the unit say."""
    return [
        "confirmatory, by a race for each model and number of shots:",
        *what,
        f"  error rate {analysis['alpha']:g} over all conditions of one race, by confidence "
        f"sequences that hold at every block of {race['block']} items a task (Bonferroni)",
        f"equivalent means within {100 * analysis['margin']:g} points; conclusions are about new "
        f"items of these very tasks; {_MISSING[analysis['missing']]}",
        "everything else is exploratory",
    ]
