"""From a spec to its plan: find tasks and conditions, draw items, say what cannot be done.

Every mistake that can be known before anything is asked is found here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from promptlab.analysis_plan import check_analysis
from promptlab.conditions import resolve_conditions
from promptlab.errors import MissingData, SpecError, UserError, did_you_mean
from promptlab.methods import method_of
from promptlab.plan import Draw, LeftOut, Plan, PlannedModel
from promptlab.prompts import Labels, Variant, check_labels, check_layout
from promptlab.providers import describe
from promptlab.scoring import get_metric
from promptlab.scoring.judged import JUDGED
from promptlab.spec import Spec
from promptlab.spec_template import TemplateSpec
from promptlab.tasks import Task, find_tasks
from promptlab.types import OWN, Condition, Demonstration
from promptlab.wordings import read_wordings, wordings_of

__all__ = ["build_plan", "missing_message"]


def build_plan(
    spec: Spec,
    *,
    allow_missing: bool = False,
    described: Mapping[str, tuple[str | None, bool]] | None = None,
) -> Plan:
    """Draw items and demonstrations and lay out every cell.

    Args:
        spec: a checked spec.
        allow_missing: leave out tasks whose data is not there and list them in `Plan.missing`.
        described: endpoint, and whether choices are scored by log-probability, by model label;
            looked up unless given (for an embedded model that takes its weights).

    Raises:
        SpecError: an unknown name, with file and line.
        MissingData: data is absent (unless allowed); says what to type.
    """
    experiment = spec.experiment
    conditions = resolve_conditions(spec)
    check_analysis(spec, conditions)
    tasks = _find_tasks(spec)
    _check_cards(tasks)
    _check_protocol(spec, tasks)
    models = tuple(_planned_model(spec, i, described) for i in range(len(experiment.models)))
    left_out: list[LeftOut] = []
    missing: dict[str, str] = {}
    draws: dict[str, Draw] = {}
    given = read_wordings(spec)
    _check_wordings(spec, given, tasks)
    _check_instruction(spec, conditions, tasks)
    _check_labels(spec, tasks)
    for task in tasks:
        if (lacks := _lacks_instruction(spec, task)) is not None:
            left_out.append(lacks)
            continue
        try:
            draw = _draw(spec, task, given, left_out)
            left_out += _without_instruction(draw, conditions)
            draws[task.id] = draw
        except MissingData as error:
            missing[task.id] = str(error)
            continue
    draws = {t: d for t, d in draws.items() if d.demonstrations}
    if missing and not allow_missing:
        raise MissingData(missing_message(missing))
    if not draws and not missing:
        raise UserError("no cell is left:\n" + "\n".join(f"  {reason}" for reason in left_out))
    if draws and not isinstance(experiment.instructions, str) and not missing:
        _check_crossing(spec, draws)
    plan = Plan(spec, models, conditions, draws, tuple(left_out), missing)
    _check_race(plan)
    _check_prompts(plan)
    return plan


def _find_tasks(spec: Spec) -> list[Task]:
    experiment = spec.experiment
    folder = spec.resolve(experiment.data_dir) if experiment.data_dir else None
    patterns: list[str] = []
    for i, pattern in enumerate(experiment.tasks):
        is_card = pattern.endswith((".yaml", ".yml"))
        patterns.append(str(spec.resolve(pattern)) if is_card else pattern)
        try:
            found = find_tasks(patterns, data_dir=folder)
        except SpecError:
            raise
        except UserError as error:
            raise spec.document.error(str(error), ("tasks", i)) from None
    return found


def _planned_model(
    spec: Spec, index: int, described: Mapping[str, tuple[str | None, bool]] | None
) -> PlannedModel:
    experiment = spec.experiment
    model = experiment.models[index]
    style = experiment.style_of(model)
    layout = experiment.layout
    variant: Variant
    if layout.variant == "auto":
        variant = "paper" if style == "chat" else "plain"
    else:
        variant = layout.variant
    labels = _labels(layout)
    if described is not None:
        return PlannedModel(model, style, variant, *described[model.label], labels)
    try:
        endpoint, scores_choices = describe(model.id, api_base=model.api_base)
    except UserError as error:
        raise spec.document.error(str(error), ("models", index)) from None
    return PlannedModel(model, style, variant, endpoint, scores_choices, labels)


def _labels(layout: TemplateSpec) -> Labels:
    return Labels(layout.answer_label, layout.demonstration_label, layout.trailing_space)


def _draw(
    spec: Spec, task: Task, given: Mapping[str, Sequence[str]] | None, left_out: list[LeftOut]
) -> Draw:
    experiment = spec.experiment
    n = None if experiment.items == "all" else experiment.items
    items = task.items(n, experiment.seed)
    if not items:
        raise UserError(f"{task.id} has no items")
    demonstrations: dict[int, tuple[Demonstration, ...]] = {}
    by_item: dict[int, dict[str, tuple[Demonstration, ...]]] = {}
    for shots in experiment.shots:
        if shots and not task.has_demonstrations:
            left_out.append(LeftOut(task.id, shots, None, "the suite has no demonstrations"))
            continue
        drawn = task.demonstrations(shots, experiment.seed) if shots else ()
        if len(drawn) < shots:
            reason = f"only {len(drawn)} demonstrations exist"
            left_out.append(LeftOut(task.id, shots, None, reason))
            continue
        demonstrations[shots] = drawn
        if shots and experiment.demonstrations == "query":
            demonstrations[shots] = ()
            by_item[shots] = {
                item.item_id: task.demonstrations_of(item, shots, experiment.seed) for item in items
            }
    return Draw(task, items, demonstrations, wordings_of(spec, task, given), by_item)


def _without_instruction(draw: Draw, conditions: tuple[Condition, ...]) -> Iterator[LeftOut]:
    task = draw.task
    for condition in conditions:
        method = method_of(condition)
        if not method.replaces_instruction:
            continue
        try:
            method.instruction(task)
        except MissingData:
            raise
        except UserError as error:
            yield LeftOut(task.id, None, condition.id, str(error))
            continue
        if all(wording.id != OWN for wording in draw.wordings):
            reason = "it is compared under the card's own instruction, which is not asked"
            yield LeftOut(task.id, None, condition.id, reason)


def _lacks_instruction(spec: Spec, task: Task) -> LeftOut | None:
    wanted = spec.experiment.instructions
    if not isinstance(wanted, str) or wanted == OWN or wanted in task.card.instructions:
        return None
    return LeftOut(task.id, None, None, f"the task card has no '{wanted}' instruction")


def _check_instruction(spec: Spec, conditions: tuple[Condition, ...], tasks: list[Task]) -> None:
    """An instruction that takes the place of the cards' own: some card must have it."""
    wanted = spec.experiment.instructions
    if not isinstance(wanted, str) or wanted == OWN:
        return
    known = sorted({name for task in tasks for name in task.card.instructions})
    if wanted not in known:
        names = ", ".join([OWN, "paraphrases", *known])
        raise spec.document.error(
            f"no task card has an instruction '{wanted}'"
            f"{did_you_mean(wanted, [OWN, 'paraphrases', *known])}; write {names}, "
            "{paraphrases: 4} or {file: wordings.yaml}",
            ("instructions",),
        )
    for condition in conditions:
        if method_of(condition).replaces_instruction:
            raise spec.document.error(
                f"'{wanted}' takes the place of the instruction under every condition, and the "
                f"condition '{condition.id}' brings an instruction of its own; leave one of them "
                "out",
                ("instructions",),
            )


def _check_labels(spec: Spec, tasks: list[Task]) -> None:
    labels = _labels(spec.experiment.layout)
    for task in tasks:
        try:
            check_labels(task.card.template, labels)
        except UserError as error:
            raise spec.document.error(f"{task.id}: {error}", ("template",)) from None


def _check_wordings(
    spec: Spec, given: Mapping[str, Sequence[str]] | None, tasks: list[Task]
) -> None:
    """A file of wordings may serve several experiments, but must name a task of this one."""
    ids = [task.id for task in tasks]
    if given is not None and not set(given) & set(ids):
        first = next(iter(given))
        raise spec.document.error(
            f"the file has wordings of no task of this experiment: '{first}'"
            f"{did_you_mean(first, ids)}",
            ("instructions", "file"),
        )


def _check_crossing(spec: Spec, draws: Mapping[str, Draw]) -> None:
    if all(wording.id == OWN for draw in draws.values() for wording in draw.wordings):
        raise spec.document.error(
            "no task has paraphrases; give a task card 'paraphrases: [...]', or write "
            "{file: wordings.yaml} with lists of instructions by task id",
            ("instructions",),
        )


def _check_cards(tasks: list[Task]) -> None:
    for task in tasks:
        try:
            check_layout(task.card.template)
            for name in task.card.metrics.values():
                get_metric(name)
        except UserError as error:
            raise UserError(f"the card of {task.id}: {error}") from None


def _check_race(plan: Plan) -> None:
    """A race needs somebody to compare, on items that make more than one block."""
    race, baseline = plan.spec.experiment.race, plan.spec.experiment.analysis.baseline
    if race is None or not plan.draws:
        return
    others, where = len(plan.conditions) - 1, ("design",)
    for task in plan.draws:
        metrics, primary = plan.protocols(task)
        if metrics[primary] == JUDGED:
            raise plan.spec.document.error(
                f"a race needs scores as it goes, and the answers to {task} wait for a judge; "
                "write 'design: full'",
                where,
            )
    if others < 1 + (race.goal == "best"):
        needed = "two conditions" if race.goal == "best" else "a condition"
        raise plan.spec.document.error(f"a race needs {needed} beside '{baseline}'", where)
    for left_out in plan.left_out:
        if left_out.condition == baseline:
            raise plan.spec.document.error(
                f"a race needs the baseline '{baseline}' on every task, and {left_out.task} cannot "
                f"have it ({left_out.reason}); leave the task out or write 'design: full'",
                where,
            )
    for task, draw in plan.draws.items():
        if len(draw.items) < 2:
            raise plan.spec.document.error(
                f"a race needs two items of every task, and {task} has one; leave it out or write "
                "'design: full'",
                where,
            )


def _check_prompts(plan: Plan) -> None:
    """Build one prompt of every method with settings: what fails is known before it is asked."""
    built: set[tuple[str, str, int]] = set()
    for task, condition, shots, wording in plan.shapes:
        if not condition.settings or (task, condition.id, shots) in built:
            continue
        built.add((task, condition.id, shots))
        first = plan.draws[task].items[:1]
        try:
            next(plan.cell_requests(plan.models[0], task, condition, shots, wording, first))
        except UserError as error:
            raise UserError(f"condition '{condition.id}' of {task}: {error}") from None


def _check_protocol(spec: Spec, tasks: list[Task]) -> None:
    wanted = spec.experiment.scoring.protocol
    known = {protocol for task in tasks for protocol in task.card.metrics}
    if wanted is not None and wanted.startswith("judge:"):
        return  # of a judge that will be asked when the run is finished
    if wanted is not None and wanted not in known:
        raise spec.document.error(
            f"no task has a scoring protocol '{wanted}'{did_you_mean(wanted, known)}; "
            f"these tasks have: {', '.join(sorted(known))}",
            ("scoring", "protocol"),
        )


def missing_message(missing: Mapping[str, str]) -> str:
    """Which tasks lack their data, and what to type."""
    if len(missing) == 1:
        return next(iter(missing.values()))
    suites: dict[str, list[str]] = {}
    for task in missing:
        suites.setdefault(task.split("/", 1)[0], []).append(task)
    tasks = ", ".join(
        f"{len(names)} tasks of {suite}" if len(names) > 3 else ", ".join(names)
        for suite, names in suites.items()
    )
    commands = " && ".join(f"promptlab data pull {suite}" for suite in suites)
    return f"the data of {tasks} is not there or not right; type: {commands}"
