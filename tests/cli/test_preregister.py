"""`promptlab preregister`: once, again, amended, checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from promptlab.cli import main
from promptlab.cli._app import app
from promptlab.errors import UserError

assert main  # the import registers the verbs
SPEC = {
    "name": "career",
    "models": ["mock/echo", "mock/words"],
    "tasks": ["procedural/first_letter", "procedural/plural"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01"]}],
    "items": 6,
}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return path


def call(*args: object) -> Result:
    from promptlab.cli import preregister  # noqa: F401

    return CliRunner().invoke(app, ["preregister", *map(str, args)])


def test_it_prints_hash_date_and_the_family_in_plain_words(spec: Path) -> None:
    found = call(spec)
    assert found.exit_code == 0, found.output
    written = json.loads(spec.with_name("e.registered.json").read_text(encoding="utf-8"))
    assert f"SHA-256 {written['sha256']}" in found.output
    assert found.output.startswith("registered on ")
    assert "confirmatory, 4 tests" in found.output
    assert "EP02, NP01 against original" in found.output
    assert "step-down max-T over the tasks, then Holm over 2 models" in found.output
    assert "no difference, however large, can be found" in found.output


def test_a_race_is_told_by_its_own_rule(spec: Path) -> None:
    spec.write_text(yaml.safe_dump(SPEC | {"items": 12, "design": "race"}))
    found = call(spec)
    assert found.exit_code == 0, found.output
    assert "confidence sequences that hold at every block of 5 items" in found.output
    assert "new items of these very tasks" in found.output
    for wrong in ("max-T", "sign-flip", "new tasks", "smallest difference"):
        assert wrong not in found.output


def test_again_changes_nothing(spec: Path) -> None:
    call(spec)
    path = spec.with_name("e.registered.json")
    before = path.read_bytes()
    found = call(spec)
    assert found.output.startswith("already registered on ")
    assert path.read_bytes() == before
    assert call(spec, "--check").exit_code == 0


def test_a_changed_plan_is_refused_and_can_be_amended(spec: Path) -> None:
    call(spec)
    path = spec.with_name("e.registered.json")
    before = json.loads(path.read_text(encoding="utf-8"))
    spec.write_text(yaml.safe_dump(SPEC | {"items": 9}))
    for option in ("--check", None):
        refused = call(spec, *([option] if option else []))
        assert isinstance(refused.exception, UserError)
        assert "9 items a task, not 6" in str(refused.exception)
    assert "--amend" in str(refused.exception)
    found = call(spec, "--amend")
    assert f"amends the plan of {before['registered'][:10]}" in found.output
    after = json.loads(path.read_text(encoding="utf-8"))
    assert after["earlier"][0]["sha256"] == before["sha256"]


def test_check_needs_a_registration(spec: Path) -> None:
    found = call(spec, "--check")
    assert isinstance(found.exception, UserError)
    assert "promptlab preregister" in str(found.exception)
    assert not spec.with_name("e.registered.json").exists()


def test_another_file_is_named_in_the_spec(spec: Path, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    found = call(spec, "--out", target)
    assert f"analysis: {{registration: {target}}}" in found.output
    assert target.is_file()


def test_json_is_for_programs(spec: Path) -> None:
    data = json.loads(call(spec, "--json").output)
    assert data["new"] is True
    assert [c["condition"] for c in data["family"]] == ["EP02", "NP01"]
    assert data["notes"]["answered_before"] == 0
