"""From a plan to what its analysis will see: the shape of the scores. Asks no model."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.analysis_plan import confirmatory
from promptlab.errors import UserError
from promptlab.plan import Plan
from promptlab.racing import Panel, panels_of
from promptlab.tables import write_conditions

if TYPE_CHECKING:
    from promptlab.analysis.calibration.race_rehearsal import RaceShape
    from promptlab.analysis.calibration.worlds import Shape
    from promptlab.analysis.power import Detectable
    from promptlab.analysis.race_designs import Design

__all__ = ["default_effect", "detectable_effect", "first_tested", "race_shape_of", "shape_of"]


def shape_of(plan: Plan) -> Shape:
    """Models, cells, items, conditions and analysis options of an experiment."""
    import pandas as pd

    from promptlab.analysis.calibration.worlds import Shape

    if len(plan.conditions) < 2:
        raise UserError("there is only one condition; nothing would be compared")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conditions.parquet"
        write_conditions(plan, path)
        conditions = pd.read_parquet(path)
    experiment = plan.spec.experiment
    return Shape(
        models=tuple(model.label for model in plan.models),
        cells=tuple(dict.fromkeys((task, c.id, shots) for task, c, shots, _ in plan.shapes)),
        items={task: len(draw.items) for task, draw in plan.draws.items()},
        protocols={task: plan.protocols(task)[1] for task in plan.draws},
        conditions=tuple(
            {str(k): v for k, v in row.items()} for row in conditions.to_dict("records")
        ),
        replicates=experiment.replicates,
        options=experiment.analysis.options(),
        notes=tuple(_wording_notes(plan)),
    )


def race_shape_of(plan: Plan) -> RaceShape:
    """The races of an experiment with `design: race`; each has its tasks evened out."""
    from promptlab.analysis.calibration.race_rehearsal import RaceShape
    from promptlab.analysis.race_designs import Design

    panels = [p for p in panels_of(plan) if p.model == plan.models[0].label]
    designs = []
    for panel in panels:
        race, tasks = panel.race, len(panel.tasks)
        block = max(1, round(race.rules.planned / tasks / panel.n_blocks))
        teams = [
            [name, *(c for c, stimulus in race.controls.items() if stimulus == name)]
            for name in race.contestants
        ]
        designs.append(
            Design(
                panel.title,
                effects=(0.0,) * len(teams),
                tasks=tasks,
                items=block * panel.n_blocks,
                block=block,
                answers=tuple(float(panel.answers_to(t)) for t in ([panel.baseline], *teams)),
            )
        )
    return RaceShape(
        designs=tuple(designs),
        rules=tuple(panel.race.rules for panel in panels),
        contestants=tuple(panel.race.contestants for panel in panels),
        baseline=plan.spec.experiment.analysis.baseline,
        notes=(*_wording_notes(plan), *_race_notes(plan, panels, designs)),
    )


def _wording_notes(plan: Plan) -> Iterator[str]:
    """What the simulated scores leave out where instructions have several wordings."""
    counts = Counter((task, c.id, shots) for task, c, shots, _ in plan.shapes)
    most = max(counts.values(), default=1)
    if most > 1:
        yield (
            f"Every item is asked with up to {most} wordings of its instruction; the rehearsal has "
            "one wording an item, so it says nothing of effects that depend on the wording."
        )


def _race_notes(plan: Plan, panels: Sequence[Panel], designs: Sequence[Design]) -> Iterator[str]:
    """What the simulated races leave out."""
    for panel, design in zip(panels, designs, strict=True):
        sizes = {len(plan.draws[task].items) for task in panel.tasks}
        if sizes != {design.items}:
            has = f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else str(min(sizes))
            yield (
                f"Tasks have {has} items; the rehearsal gives each of the {design.tasks} tasks "
                f"{design.items}, in {design.blocks} blocks."
            )
            break
    if plan.spec.experiment.replicates > 1:
        yield "The rehearsal has one answer to a prompt, the experiment several."
    controls = sorted({name for panel in panels for name in panel.race.controls})
    if controls:
        yield (
            f"Neutral controls ({', '.join(controls)}) are asked as long as their stimuli and have "
            "no part in the contest: their requests are counted, their results not rehearsed."
        )


def default_effect(
    plan: Plan, *, accuracy: float, concentration: float, spread: float
) -> tuple[dict[str, float], str]:
    """The smallest effect that the plan says is found, on the first condition that is tested.

    Returns:
        Effects by condition; without any, the reason for it.
    """
    from promptlab.analysis.calibration.designs import discordance_of

    moved, room = discordance_of(accuracy, concentration), 1 - accuracy
    first: str | None
    if plan.spec.experiment.race is not None:
        shape = race_shape_of(plan)
        first, least, why = shape.names[0], shape.detectable(moved), ""
        room -= spread
    else:
        smallest = detectable_effect(plan, discordance=moved, spread=spread)
        first, least, why = first_tested(plan), smallest.estimate, smallest.note
    if first is not None and least < room:
        return {first: round(least, 3)}, ""
    return {}, why or f"only {least:.2f} or more would do"


def first_tested(plan: Plan) -> str | None:
    """The first condition of the confirmatory family; else the first stimulus or condition."""
    analysis = plan.spec.experiment.analysis
    ids = [c.id for c in plan.conditions if c.id != analysis.baseline]
    family = confirmatory(analysis, plan.conditions)
    declared = [condition for _, condition, _ in family if condition in ids]
    stimuli = [c.id for c in plan.conditions if c.method == "stimulus" and c.valence != "neutral"]
    return next(iter([*declared, *(s for s in stimuli if s in ids), *ids]), None)


def detectable_effect(plan: Plan, *, discordance: float, spread: float) -> Detectable:
    """The difference that the design should find with 80 % power, or the reason for none.

    For the protocol with the most tasks, with alpha shared by the confirmatory family.
    """
    from promptlab.analysis.power import detectable_difference

    sizes: dict[str, list[int]] = {}
    for task, draw in plan.draws.items():
        sizes.setdefault(plan.protocols(task)[1], []).append(len(draw.items))
    counts = max(sizes.values(), key=len)
    analysis = plan.spec.experiment.analysis
    family = confirmatory(analysis, plan.conditions)
    return detectable_difference(
        len(counts),
        len(counts) / sum(1 / n for n in counts),
        sd_task=spread,
        discordance=discordance,
        alpha=analysis.alpha,
        tests=max(len(family), 1),
    )
