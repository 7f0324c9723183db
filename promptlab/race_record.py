"""What is written of a race, and what may be expected of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from promptlab.plan import Plan
from promptlab.racing import Panel, panels_of
from promptlab.runs import Run, write_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["outlook", "replayed", "write_race"]

_KEY = ("model", "shots", "protocol")


def replayed(plan: Plan, scores: pd.DataFrame) -> list[Panel]:
    """The races that these scores make, as far as their blocks are complete.

    Args:
        plan: the plan.
        scores: the scores of a run; rows with status `missing` were not asked yet.
    """
    panels = panels_of(plan)
    mine = scores[scores["primary"]]
    for panel in panels:
        here = mine[
            (mine["model"] == panel.model)
            & (mine["shots"] == panel.shots)
            & (mine["protocol"] == panel.protocol)
        ]
        values: dict[tuple[str, str, str], list[float]] = {}
        columns = (here[c] for c in ("task", "condition", "item_id", "score", "status"))
        for task, condition, item, score, status in zip(*columns, strict=True):
            if status != "missing":
                values.setdefault((task, condition, item), []).append(float(score))
        while not panel.over and _complete(panel, values):
            panel.judge(values)
    return panels


def _complete(panel: Panel, values: Mapping[tuple[str, str, str], Sequence[float]]) -> bool:
    return all(
        len(values.get((p.cell.task, p.cell.condition, p.item.item_id), ()))
        >= panel.answers_to_an_item(p.cell.task, p.cell.condition)
        for p in panel.requests()
        if p.replicate == 0
    )


def write_race(run: Run, plan: Plan) -> dict[str, Any]:
    """Write the races of a scored run: `race.json`, `race.parquet` and `race_path.parquet`.

    Returns:
        What is in `race.json`.
    """
    import pandas as pd

    panels = replayed(plan, run.scores())
    results, paths = [], []
    told: list[dict[str, Any]] = []
    for panel in panels:
        key: dict[str, Any] = dict(
            zip(_KEY, (panel.model, panel.shots, panel.protocol), strict=True)
        )
        results.append(panel.race.to_frame().assign(**key))
        paths.append(panel.race.path().assign(**key))
        told.append(
            {
                **key,
                "blocks": panel.n_blocks,
                "judged": panel.block,
                "over": panel.over,
                "answers": panel.n_requests,
                "asked": panel.n_asked,
            }
        )
    full, asked = (sum(p[name] for p in told) for name in ("answers", "asked"))
    settings = plan.spec.experiment.race
    assert settings is not None
    found = {
        **settings.model_dump(),
        "alpha": plan.spec.experiment.analysis.alpha,
        "margin": plan.spec.experiment.analysis.equivalence_margin,
        "over": all(p["over"] for p in told),
        "answers": full,
        "asked": asked,
        "saved": 1 - asked / full if full else 0.0,
        "panels": told,
    }
    for name, frames in (("race", results), ("race_path", paths)):
        whole = pd.concat(frames, ignore_index=True)
        order = [*_KEY, *(c for c in whole.columns if c not in _KEY)]
        whole[order].to_parquet(run.path / f"{name}.parquet", index=False)
    write_json(run.path / "race.json", found)
    return found


def outlook(plan: Plan, *, simulations: int = 40) -> dict[str, Any]:
    """What a race may save, before anything is asked.

    Returns:
        `answers` of the full design, and `saved_without_effect`: the share that is saved on
        average where no condition has an effect, for `noisy` answers (37 % of pairs differ) and
        `stable` ones (16.5 %), by simulation; `detectable`, for the same: the smallest difference
        that the race with the fewest items finds with 80 % power if it runs to the end.
    """
    from promptlab.analysis.calibration.designs import NOISY, STABLE
    from promptlab.rehearsing import race_shape_of

    shape = race_shape_of(plan)
    saved = {
        name: shape.saved_without_effect(concentration, simulations=simulations)
        for name, concentration in (("noisy", NOISY), ("stable", STABLE))
    }
    return {
        "answers": round(sum(sum(design.answers) for design in shape.designs)) * len(plan.models),
        "saved_without_effect": saved,
        "detectable": {"noisy": shape.detectable(0.37), "stable": shape.detectable(0.165)},
    }
