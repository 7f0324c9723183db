"""Models that judge answers: rubrics, the requests they make, scores, bias and agreement.

    run = pl.load("runs/...")
    run.judge("openai/gpt-4o", "human_study")
    run.contrasts()          # with the protocols judge:human_study.mean@openai/gpt-4o, ...

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptlab.judges.handle import Judging, judgements, list_judgings
    from promptlab.judges.rubric import Rubric, load_rubric, rubric_names
    from promptlab.judges.summary import judge_report
    from promptlab.judges.work import ajudge_run, judge_run

__all__ = [
    "Judging",
    "Rubric",
    "ajudge_run",
    "judge_report",
    "judge_run",
    "judgements",
    "list_judgings",
    "load_rubric",
    "rubric_names",
]

_HOMES = {
    "Judging": "handle",
    "Rubric": "rubric",
    "ajudge_run": "work",
    "judge_report": "summary",
    "judge_run": "work",
    "judgements": "handle",
    "list_judgings": "handle",
    "load_rubric": "rubric",
    "rubric_names": "rubric",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'promptlab.judges' has no attribute '{name}'")
    return getattr(importlib.import_module(f"promptlab.judges.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
