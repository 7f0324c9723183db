from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SPEC = """\
name: c
models: ["mock/skilled?p=0.6"]
tasks: [procedural/first_letter, procedural/plural]
conditions: [original, {stimuli: [EP02, NP01]}]
items: 30
design: {race: {block: 3}}
"""


@pytest.fixture
def said(promptlab: Run) -> Callable[..., str]:
    """Runs a command that ends well; returns what it printed."""

    def run(*words: object) -> str:
        code, printed, error = promptlab(*words)
        assert code == 0, error
        return printed

    return run


def test_plan_run_and_status_say_what_a_race_saves(
    said: Callable[..., str], tmp_path: Path
) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(SPEC)
    planned = said("plan", spec)
    assert "race: at most 180 answers" in planned
    assert "are saved (simulated)" in planned
    assert "smallest difference that the race finds" in planned
    assert "sign-flip" not in planned
    outlook = json.loads(said("plan", spec, "--json"))["race"]
    assert outlook["answers"] == 180
    ran = said("run", spec, "--no-analysis")
    assert "of 180 answers were needed" in ran
    assert "% saved" in said("status")
    status = json.loads(said("status", "--json"))
    assert status["state"] == "complete"
    assert status["progress"]["done"] == status["progress"]["total"] == status["race"]["asked"]
