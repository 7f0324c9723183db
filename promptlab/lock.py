"""The lock of a run: hashes, seeds and versions, enough to tell whether two runs are the same."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson

from promptlab.errors import DISTRIBUTION
from promptlab.plan import Plan, demonstrations_digest
from promptlab.prompts import hash_text
from promptlab.tasks import TaskCard

__all__ = ["LOCK_VERSION", "build_lock", "items_digest"]

LOCK_VERSION = 1
_PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "xllamacpp", "litellm", "datasets")


def build_lock(plan: Plan, prices: Mapping[str, tuple[float, float] | None]) -> dict[str, Any]:
    """What a run is made of, as JSON-ready data.

    Args:
        plan: the plan.
        prices: US dollars per (prompt, completion) token by model label; None where unknown.
    """
    experiment = plan.spec.experiment
    return {
        "lock_version": LOCK_VERSION,
        "digest": plan.digest,
        "name": experiment.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec_sha256": hash_text(plan.spec.document.text),
        "seed": experiment.seed,
        **({} if experiment.demonstrations == "task" else {"demonstrations": "query"}),
        "versions": {
            "promptlab": _version(DISTRIBUTION),
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: found for name in _PACKAGES if (found := _version(name))},
        },
        "models": {
            m.label: {
                "id": m.spec.id,
                "endpoint": m.endpoint,
                "style": m.style,
                "template": m.template,
                "params": dict(m.spec.params),
                "choices": "logprob" if m.scores_choices else "text",
            }
            for m in plan.models
        },
        "prices": {label: list(price) if price else None for label, price in prices.items()},
        "stimuli": {
            s.id: {"text": s.text, "sha256": hash_text(s.text), "library": s.library}
            for c in plan.conditions
            for s in c.stimuli
        },
        "tasks": {
            task: {
                "card": card_digest(draw.task.card),
                "items": items_digest([i.item_id for i in draw.items]),
                "n_items": len(draw.items),
                "provenance": dict(draw.task.provenance()),
                "demonstrations": demonstrations_digest(draw),
                "protocols": plan.protocols(task)[0],
                "primary": plan.protocols(task)[1],
                "low": draw.task.card.low,
                "high": draw.task.card.high,
            }
            for task, draw in plan.draws.items()
        },
        **wordings_of_lock(plan),
        **methods_of_lock(plan),
        "left_out": [str(reason) for reason in plan.left_out],
        "warnings": list(plan.warnings),
    }


def wordings_of_lock(plan: Plan) -> dict[str, Any]:
    """The wordings of each task's instruction, where they are not the cards' own alone."""
    if not plan.rewords:
        return {}
    return {
        "wordings": {
            task: {w.id: {"text": w.text, "sha256": hash_text(w.text)} for w in draw.wordings}
            for task, draw in plan.draws.items()
        }
    }


def methods_of_lock(plan: Plan) -> dict[str, Any]:
    """The method of each condition that has settings, with them."""
    found = {c.id: {"method": c.method, **c.settings} for c in plan.conditions if c.settings}
    return {"methods": found} if found else {}


def card_digest(card: TaskCard) -> str:
    """Hash of a task card; a card without paraphrases has the hash it had before there were any."""
    exclude = None if card.paraphrases else {"paraphrases"}
    return hash_text(card.model_dump_json(exclude=exclude))[:16]


def items_digest(item_ids: list[str]) -> str:
    """Hash of the drawn items in their order."""
    return hash_text(orjson.dumps(item_ids).decode())[:16]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
