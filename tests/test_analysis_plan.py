"""The plan of an analysis in a spec: mistakes are found before anything is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import promptlab as pl
from promptlab.analysis_plan import confirmatory, named
from promptlab.errors import SpecError
from promptlab.planning import build_plan
from promptlab.spec import load_spec

SPEC: dict[str, Any] = {
    "name": "plan",
    "models": ["mock/echo"],
    "tasks": ["procedural/sum"],
    "conditions": ["original", {"stimuli": ["EP02", "EP03", "NP01", "EP02-neutral"]}],
    "items": 4,
}
CAREER = {"name": "career", "weights": {"EP02": 1, "EP03": 1, "EP02-neutral": -1}}


def plan(tmp_path: Path, **analysis: Any) -> Any:
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(SPEC | {"analysis": analysis}, sort_keys=False))
    return build_plan(load_spec(path))


def family(built: Any) -> list[tuple[str, str]]:
    found = confirmatory(built.spec.experiment.analysis, built.conditions)
    return [(kind, condition) for kind, condition, _ in found]


def test_the_usual_plan_confirms_the_emotional_stimuli(tmp_path: Path) -> None:
    built = plan(tmp_path)
    assert family(built) == [("vs_original", c) for c in ("EP02", "EP03", "NP01")]
    others = named(built.spec.experiment.analysis, built.conditions)
    assert [c.key for c in others] == [("vs_control", "EP02", "EP02-neutral")]


def test_contrasts_can_be_named_and_confirmed(tmp_path: Path) -> None:
    built = plan(
        tmp_path,
        contrasts=["vs_original", "vs_control", "valence", "theory", CAREER],
        confirmatory=["NP01", "career", "vs_control"],
    )
    assert family(built) == [
        ("vs_original", "NP01"),
        ("vs_control", "EP02"),
        ("career", "EP02, EP03"),
    ]
    options = built.spec.experiment.analysis.options()
    assert options["contrasts"][-1] == CAREER
    assert (options["correction"], options["tasks"]) == ("max_t", "random")


@pytest.mark.parametrize(
    ("analysis", "message"),
    [
        ({"contrasts": ["valance"]}, r"contrasts\[0\]: unknown contrast .* mean 'valence'"),
        (
            {"contrasts": [{"name": "a", "weights": {"EP022": 1, "original": -1}}]},
            r"e\.yaml:\d+: analysis\.contrasts\[0\]\.weights\.EP022: .* did you mean 'EP02'",
        ),
        (
            {"contrasts": [{"name": "a", "weights": {"EP02": 1}}]},
            "contrast 'a' has no negative weight",
        ),
        ({"contrasts": [CAREER | {"name": "EP02"}]}, r"contrasts\[0\]\.name: the name 'EP02'"),
        ({"contrasts": [CAREER, CAREER]}, r"contrasts\[1\]: contrast 'career' is listed twice"),
        ({"confirmatory": ["valence"]}, "'valence' is not one of the contrasts; add it to"),
        ({"confirmatory": ["carer"], "contrasts": [CAREER]}, "did you mean 'career'"),
        ({"correction": "maxt"}, "did you mean 'max_t'"),
        ({"tasks": "some"}, "'some' is not one of 'random' or 'fixed'"),
    ],
)
def test_mistakes_say_where(tmp_path: Path, analysis: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(tmp_path, **analysis)


def test_a_kind_with_nothing_to_compare_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    changed = {"conditions": ["original", "EP02"], "analysis": {"contrasts": ["vs_control"]}}
    path.write_text(yaml.safe_dump(SPEC | changed))
    with pytest.raises(SpecError, match="no condition is the matched neutral control"):
        build_plan(load_spec(path))


def test_only_the_plan_of_the_analysis_changed_asks_nothing_again() -> None:
    first = pl.run(SPEC, analysis=False)
    changed = pl.run(SPEC | {"analysis": {"alpha": 0.01, "contrasts": ["valence"]}}, analysis=False)
    assert first.status["asked"] > 0
    assert changed.status["asked"] == 0
    assert changed.analysis.options()["contrasts"] == ("valence",)


def test_a_race_confirms_only_what_it_tests(tmp_path: Path) -> None:
    analysis = {"contrasts": ["vs_control", CAREER], "confirmatory": ["EP02", "career"]}
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(SPEC | {"items": 20, "design": "race", "analysis": analysis}))
    with pytest.raises(SpecError, match=r"confirmatory\[1\]: a race .* leave 'career' out"):
        build_plan(load_spec(path))
