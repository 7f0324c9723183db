from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from promptlab.cli import main

SPEC = """\
name: c
models: ["mock/skilled?p=0.6"]
tasks: [procedural/first_letter, procedural/plural]
conditions: [original, {stimuli: [EP02, NP01]}]
items: 30
design: {race: {block: 3}}
"""
Run = Callable[..., str]


@pytest.fixture
def promptlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["promptlab", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        return capsys.readouterr().out

    return run


def test_plan_run_and_status_say_what_a_race_saves(promptlab: Run, tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(SPEC)
    planned = promptlab("plan", spec)
    assert "race: at most 180 answers" in planned
    assert "are saved (simulated)" in planned
    assert "smallest difference that the race finds" in planned
    assert "sign-flip" not in planned
    outlook = json.loads(promptlab("plan", spec, "--json"))["race"]
    assert outlook["answers"] == 180
    ran = promptlab("run", spec, "--no-analysis")
    assert "of 180 answers were needed" in ran
    assert "% saved" in promptlab("status")
    status = json.loads(promptlab("status", "--json"))
    assert status["state"] == "complete"
    assert status["progress"]["done"] == status["progress"]["total"] == status["race"]["asked"]
