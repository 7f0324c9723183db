"""From a plan to what its analysis will see: the shape of the scores. Asks no model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.errors import UserError
from promptlab.plan import Plan
from promptlab.tables import write_conditions

if TYPE_CHECKING:
    from promptlab.analysis.calibration.rehearsal import Shape
    from promptlab.analysis.power import Detectable

__all__ = ["detectable_effect", "first_tested", "shape_of"]


def shape_of(plan: Plan) -> Shape:
    """Models, cells, items, conditions and analysis options of an experiment."""
    import pandas as pd

    from promptlab.analysis.calibration.rehearsal import Shape

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
    )


def first_tested(plan: Plan) -> str | None:
    """The first condition of the confirmatory family; None if no condition is in it."""
    analysis = plan.spec.experiment.analysis
    ids = [c.id for c in plan.conditions if c.id != analysis.baseline]
    declared = [name for name in analysis.confirmatory if name in ids]
    stimuli = [c.id for c in plan.conditions if c.method == "stimulus" and c.valence != "neutral"]
    return next(iter([*declared, *(s for s in stimuli if s in ids), *ids]), None)


def detectable_effect(plan: Plan, *, discordance: float, spread: float) -> Detectable:
    """The difference that the design should find with 80 % power, or the reason for none.

    For the protocol with the most tasks, with
    alpha shared by the confirmatory family.
    """
    from promptlab.analysis.power import detectable_difference

    sizes: dict[str, list[int]] = {}
    for task, draw in plan.draws.items():
        sizes.setdefault(plan.protocols(task)[1], []).append(len(draw.items))
    counts = max(sizes.values(), key=len)
    analysis = plan.spec.experiment.analysis
    family = len(analysis.confirmatory) or sum(
        c.method == "stimulus" and c.valence != "neutral" for c in plan.conditions
    )
    return detectable_difference(
        len(counts),
        len(counts) / sum(1 / n for n in counts),
        sd_task=spread,
        discordance=discordance,
        alpha=analysis.alpha,
        tests=max(family, 1),
    )
