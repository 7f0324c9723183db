"""A plan fixed before the data, and what an analysis is in its light."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import promptlab as pl
from promptlab.conclude import analyse_run, manifest
from promptlab.errors import SpecError, UserError
from promptlab.planning import build_plan
from promptlab.registered import Standing, differences, standing
from promptlab.registration import (
    Registration,
    find_registration,
    planned,
    read_registration,
    register,
    registration_path,
)
from promptlab.runs import Run
from promptlab.spec import load_spec

SPEC: dict[str, Any] = {
    "name": "career",
    "models": ["mock/skilled?p=0.6"],
    "tasks": ["procedural/first_letter", "procedural/plural", "procedural/sum"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01", "EP02-neutral"]}],
    "items": 8,
    "seed": 3,
    "analysis": {"confirmatory": ["EP02"], "contrasts": ["vs_control"]},
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "e.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes), encoding="utf-8")
    return path


def registered(folder: Path, **changes: Any) -> Registration:
    plan = build_plan(load_spec(write(folder, **changes)))
    return register(registration_path(plan.spec), plan, {})


def now(folder: Path, **changes: Any) -> dict[str, Any]:
    return planned(build_plan(load_spec(write(folder, **changes))))


def said(registration: Registration, plan: dict[str, Any]) -> list[str]:
    return [d.text for d in differences(registration.plan, plan)]


def test_a_registration_is_read_back_with_its_hash(tmp_path: Path) -> None:
    found = registered(tmp_path)
    assert found.path == tmp_path / "e.registered.json"
    assert read_registration(found.path) == found
    assert len(found.sha256) == 64
    assert found.registered.endswith("+00:00")
    (only,) = found.family
    assert (only["contrast"], only["condition"], only["baseline"]) == (
        "vs_original",
        "EP02",
        "original",
    )
    asked = found.plan["asked"]
    assert sorted(asked["tasks"]) == sorted(SPEC["tasks"])
    assert asked["conditions"]["EP02"]["text"] == "This is very important to my career."
    assert found.notes["versions"]["promptlab"]


def test_the_hash_is_of_canonical_json(tmp_path: Path) -> None:
    import hashlib

    found = registered(tmp_path)
    data = json.loads(found.path.read_text(encoding="utf-8"))
    stored = data.pop("sha256")
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == stored == found.sha256


@pytest.mark.parametrize("what", ["date", "family", "text"])
def test_a_changed_file_is_an_error(tmp_path: Path, what: str) -> None:
    path = registered(tmp_path).path
    data = json.loads(path.read_text(encoding="utf-8"))
    if what == "date":
        data["registered"] = "2020-01-01T00:00:00+00:00"
    elif what == "family":
        data["plan"]["analysis"]["family"][0]["condition"] = "NP01"
    else:
        data["plan"]["asked"]["conditions"]["EP02"]["text"] = "Please."
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match="was changed after it was registered"):
        read_registration(path)
    with pytest.raises(UserError, match="was changed after it was registered"):
        pl.run(tmp_path / "e.yaml")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": "x"}', '{"format": 1, "sha256": 3}'])
def test_what_is_no_registration_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "e.registered.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="is not a registration"):
        read_registration(path)


def test_the_same_plan_has_no_differences(tmp_path: Path) -> None:
    before = registered(tmp_path)
    assert said(before, now(tmp_path)) == []
    more = {"timeout_s": 7, "concurrency": 2, "description": "other words"}
    assert said(before, now(tmp_path, **more)) == []


@pytest.mark.parametrize(
    ("changes", "text", "everything"),
    [
        ({"items": 5}, "5 items a task, not 8", True),
        ({"seed": 4}, "seed: 4, not 3", True),
        ({"shots": [0, 5]}, "numbers of demonstrations: 0, 5, not 0", True),
        ({"params": {"temperature": 0.7}}, "the parameters sent: temperature 0.7, not none", True),
        ({"design": "race"}, "the design is a race (block 5, futility 0.05, goal both)", True),
        ({"models": ["mock/skilled?p=0.7"]}, "model left out: mock/skilled?p=0.6", True),
        ({"models": [*SPEC["models"], "mock/echo"]}, "model added: mock/echo", False),
        ({"tasks": SPEC["tasks"][:2]}, "task left out: procedural/sum", True),
        ({"analysis": SPEC["analysis"] | {"alpha": 0.1}}, "alpha is 0.1, not 0.05", True),
        ({"analysis": SPEC["analysis"] | {"equivalence_margin": 0.03}}, "margin is 0.03", True),
        ({"analysis": SPEC["analysis"] | {"correction": "holm"}}, "correction is holm", True),
        ({"analysis": SPEC["analysis"] | {"tasks": "fixed"}}, "generalisation is fixed", True),
        ({"analysis": SPEC["analysis"] | {"missing": "as_wrong"}}, "policy is as_wrong", True),
        (
            {"analysis": {"confirmatory": ["NP01"]}},
            "no longer confirmatory: EP02 against original",
            True,
        ),
        (
            {"analysis": {"confirmatory": ["EP02", "NP01"]}},
            "confirmatory besides what was registered: NP01 against original",
            False,
        ),
        (
            {"conditions": ["original", {"stimuli": ["EP02", "EP02-neutral"]}]},
            "condition left out: NP01",
            False,
        ),
        (
            {"conditions": ["original", {"stimuli": ["EP02", "NP01", "EP02-neutral", "EP03"]}]},
            "condition added: EP03",
            False,
        ),
    ],
)
def test_every_difference_is_told(
    tmp_path: Path, changes: dict[str, Any], text: str, everything: bool
) -> None:
    before, plan = registered(tmp_path), now(tmp_path, **changes)
    found = [d for d in differences(before.plan, plan) if text in d.text]
    assert len(found) == 1, said(before, plan)
    assert found[0].everything is everything
    assert any(d.everything for d in differences(before.plan, plan)) is everything


def test_another_text_is_another_condition(tmp_path: Path) -> None:
    before, plan = registered(tmp_path), now(tmp_path)
    changed = copy.deepcopy(plan)
    changed["asked"]["conditions"]["EP02"]["text"] = "Please."
    assert said(before, changed) == ["condition EP02 has another text"]


def test_other_wordings_are_another_plan(tmp_path: Path) -> None:
    two = {"procedural/sum": ["Add them up.", "Say what they come to."]}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(two), encoding="utf-8")
    (tmp_path / "one.yaml").write_text(yaml.safe_dump({"procedural/sum": ["Add."]}), "utf-8")
    plain, crossed = now(tmp_path), now(tmp_path, instructions={"file": "two.yaml"})
    other = now(tmp_path, instructions={"file": "one.yaml"})
    for before, after, text in (
        (crossed, plain, "in the cards' own words alone"),
        (plain, crossed, "in other words than the cards' own"),
        (crossed, other, "other wordings of the instruction: procedural/sum"),
    ):
        (found,) = differences(before, after)
        assert text in found.text
        assert found.everything
    assert list(differences(crossed, crossed)) == []


def test_an_amended_plan_keeps_the_earlier_one(tmp_path: Path) -> None:
    first = registered(tmp_path)
    plan = build_plan(load_spec(write(tmp_path, items=5)))
    second = register(first.path, plan, {}, first)
    (kept,) = second.earlier
    assert kept["sha256"] == first.sha256
    assert kept["plan"] == first.plan
    assert "amended once" in standing(second, second.plan).sentences()[-1]


def run_of(path: Path) -> Run:
    """A run without its analysis, which each test makes as it needs it."""
    run = pl.run(path, analysis=False)
    assert run.status["state"] == "complete"
    return run


def families(run: Run) -> set[tuple[str, str]]:
    rows = run.contrasts(seed=1).query("family == 'confirmatory'")
    return set(zip(rows["contrast"], rows["condition"], strict=True))


def test_a_run_says_that_it_is_the_registered_analysis(tmp_path: Path) -> None:
    found = registered(tmp_path)
    run = run_of(tmp_path / "e.yaml")
    assert run.standing().is_registered
    text = f"This is the analysis registered on {found.date} (SHA-256 {found.short})."
    assert run.standing().sentences() == [text]
    kept = analyse_run(run)
    assert set(kept.loc[kept["family"] == "confirmatory", "condition"]) == {"EP02"}
    pd.testing.assert_frame_equal(run.contrasts(), kept)
    assert manifest(run)["registration"] == {"text": [text], "registered": True, "caution": False}


def test_an_analysis_that_is_not_the_registered_one_is_exploratory(tmp_path: Path) -> None:
    registered(tmp_path)
    run = run_of(write(tmp_path, items=5))
    assert not run.standing().is_registered
    first, second = run.standing().sentences()
    assert first.endswith("5 items a task, not 8.")
    assert second == "Because of that, every result here is exploratory."
    assert families(run) == set()
    assert manifest(run)["registration"]["caution"]


def test_what_was_registered_stands_beside_what_was_not(tmp_path: Path) -> None:
    registered(tmp_path)
    run = run_of(write(tmp_path, analysis={"confirmatory": ["EP02", "NP01"]}))
    assert families(run) == {("vs_original", "EP02")}
    assert run.standing().sentences()[-1] == (
        "What was not registered is exploratory; the rest stands."
    )


def test_other_options_are_another_analysis(tmp_path: Path) -> None:
    registered(tmp_path)
    run = run_of(tmp_path / "e.yaml")
    changed = run.contrasts(alpha=0.01)
    assert "confirmatory" not in set(changed["family"])
    assert "alpha is 0.01, not 0.05" in run.standing(alpha=0.01).sentences()[0]


def test_answers_from_before_the_registration_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path)
    first = run_of(path)
    assert first.standing().sentences()[0].startswith("This analysis is not registered")
    found = registered(tmp_path)
    answers = first.responses(["created"])["created"]
    early = standing(found, found.plan, answers - 3600)
    assert early.early == len(answers) == 96
    assert not early.is_registered
    assert "96 of 96 answers were in the store before the registration" in early.sentences()[1]
    late = standing(found, found.plan, answers + 3600)
    assert late.is_registered


def test_a_run_without_a_registration(tmp_path: Path) -> None:
    run = run_of(write(tmp_path))
    assert not (run.path / "registration.json").exists()
    said = manifest(run)["registration"]
    assert said["text"][0].startswith("This analysis is not registered")
    assert not said["registered"]
    assert families(run) == {("vs_original", "EP02")}
    table = pd.DataFrame({"family": ["confirmatory"]})
    assert Standing().mark(table) is table


def test_a_changed_copy_in_the_run_is_an_error(tmp_path: Path) -> None:
    registered(tmp_path)
    run = run_of(tmp_path / "e.yaml")
    copied = run.path / "registration.json"
    text = copied.read_text(encoding="utf-8")
    copied.write_text(text.replace('"alpha": 0.05', '"alpha": 0.06'), encoding="utf-8")
    with pytest.raises(UserError, match="was changed after it was registered"):
        run.standing()


def test_a_spec_may_name_its_registration(tmp_path: Path) -> None:
    found = registered(tmp_path)
    elsewhere = tmp_path / "plans"
    elsewhere.mkdir()
    found.path.rename(elsewhere / "one.json")
    named = SPEC["analysis"] | {"registration": "plans/one.json"}
    spec = load_spec(write(tmp_path, analysis=named))
    again = find_registration(spec)
    assert again is not None
    assert again.sha256 == found.sha256
    assert build_plan(spec).digest == build_plan(load_spec(write(tmp_path))).digest
    gone = SPEC["analysis"] | {"registration": "plans/two.json"}
    with pytest.raises(SpecError, match=r"analysis\.registration: no such file"):
        find_registration(load_spec(write(tmp_path, analysis=gone)))
