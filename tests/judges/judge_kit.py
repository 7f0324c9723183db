"""A small judged run, and judges that are functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import promptlab as pl
from promptlab.providers.mock import MockProvider
from promptlab.runs import Run
from promptlab.types import Request

SPEC: dict[str, Any] = {
    "name": "j",
    "models": ["mock/words?n=5"],
    "tasks": ["open_questions/ten_domains"],
    "conditions": ["original", "EP02", "NP01"],
    "items": 6,
}


def open_run(**changes: Any) -> Run:
    """A finished run of open questions, not analysed."""
    return pl.run(SPEC | changes, analysis=False)


def replying(reply: Callable[[str], str]) -> MockProvider:
    """A judge that replies with a function of what it reads; it gives no log-probabilities."""
    provider = MockProvider(answers=lambda request: reply(read(request)))
    provider.scores_choices = False
    return provider


def read(request: Request) -> str:
    """What the judge reads."""
    return request.prompt or request.messages[-1].content


def shown(prompt: str) -> tuple[str, str]:
    """The two answers of the built-in pairwise prompt."""
    found = re.search(r"Answer A: (.*?)\n\nAnswer B: (.*?)\n\n", prompt, re.DOTALL)
    assert found is not None
    return found[1], found[2]
