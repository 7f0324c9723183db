"""One hash for what decides an experiment's requests and analysis.

It names the run, so it must not change when a spec learns a new word: what a spec does not use is
left out, and what is used is written as it was from the beginning.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from promptlab.planned import demonstrations_digest
from promptlab.spec import Experiment

if TYPE_CHECKING:
    from promptlab.plan import Plan

__all__ = ["plan_digest"]

_HOW_TO_ASK = (
    *("runner", "concurrency", "budget", "timeout_s", "max_attempts"),
    *("store", "data_dir", "runs_dir"),
)
_HOW_TO_ASK_ONE = (
    *("concurrency", "requests_per_minute", "tokens_per_minute"),
    *("price", "budget", "api_key_env"),
)
_CAME_LATER = ("instructions", "design", "demonstrations", "joiner")
"""Keys of a spec that were not there from the beginning; only what is not the default counts."""


def plan_digest(plan: Plan) -> str:
    """SHA-256 of what decides the requests and the analysis, and not of how they are sent."""
    content: dict[str, Any] = {
        "experiment": _written(plan.spec.experiment),
        "conditions": [[c.id, c.text, c.position, c.joiner] for c in plan.conditions],
        "endpoints": [m.endpoint for m in plan.models],
        "items": {t: [i.item_id for i in d.items] for t, d in plan.draws.items()},
        "demonstrations": {t: demonstrations_digest(d) for t, d in plan.draws.items()},
    }
    if settings := {c.id: [c.method, c.settings] for c in plan.conditions if c.settings}:
        content["methods"] = settings
    if plan.rewords:
        content["wordings"] = {
            t: [[w.id, w.text] for w in d.wordings] for t, d in plan.draws.items()
        }
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _written(experiment: Experiment) -> dict[str, Any]:
    fields = type(experiment).model_fields
    unused = [k for k in _CAME_LATER if getattr(experiment, k) == fields[k].default]
    written = experiment.model_dump(
        mode="json",
        exclude={
            **dict.fromkeys((*_HOW_TO_ASK, *unused), True),
            "models": {"__all__": set(_HOW_TO_ASK_ONE)},
            "analysis": {"registration"},
            **({"scoring": {"incomplete"}} if experiment.scoring.incomplete == "skip" else {}),
        },
    )
    written["conditions"] = [_as_before(c) for c in written["conditions"]]
    return written


def _as_before(condition: Any) -> Any:
    """A condition as it was written before there was more to write."""
    if isinstance(condition, str):
        return condition
    unused = [k for k in ("combine", "name") if condition.get(k) is None]
    kept = {k: v for k, v in condition.items() if k not in unused}
    joiner = kept["joiner"]
    return {"method": None} | kept | {"joiner": " " if joiner is None else joiner}
