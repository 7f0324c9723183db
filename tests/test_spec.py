from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promptlab.conditions import resolve_conditions
from promptlab.errors import PromptlabError, UserError
from promptlab.spec import Experiment, load_spec, spec_from_mapping

SPEC = """\
name: emotion-vs-control
models:
  - local/smollm2-135m
  - {id: openai/gpt-4o-mini, api_base: "http://127.0.0.1:8399/v1", params: {max_tokens: 16}}
tasks: [instruction_induction/antonyms, "instruction_induction/*_letter", bigbench/snarks]
conditions:
  - original
  - {stimuli: [emotionprompt, NP01, NP02]}
  - {stimuli: [neutral], position: after_instruction, joiner: " "}
  - zero_shot_cot
shots: [0, 5]
items: 50
seed: 20260101
scoring: {protocol: induction}
analysis: {baseline: original, alpha: 0.05, equivalence_margin: 0.02, confirmatory: [EP02, EP06]}
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def _write(text: str) -> Path:
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        return path

    return _write


def test_the_published_example_is_valid(write: Any) -> None:
    spec = load_spec(write(SPEC))
    assert [m.id for m in spec.experiment.models] == ["local/smollm2-135m", "openai/gpt-4o-mini"]
    assert [spec.experiment.style_of(m) for m in spec.experiment.models] == ["completion", "chat"]
    conditions = resolve_conditions(spec)
    ids = [c.id for c in conditions]
    assert ids[:3] == ["original", "EP01", "EP02"]
    assert ids[-1] == "zero_shot_cot"
    assert conditions[-1].max_tokens == 512
    assert len([c for c in conditions if c.valence == "neutral"]) == 21


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("shots:", "shotss:", 11, "did you mean 'shots'"),
        ("position: after_instruction", "positon: system", 9, "did you mean 'position'"),
        ("after_instruction", "after_instructions", 9, "did you mean 'after_instruction'"),
        ("items: 50", "items: fifty", 12, "items"),
        ("  - local/smollm2-135m", "  - smollm2", 3, "provider/model"),
        ("name: emotion-vs-control", "name: a b", 1, "folder's name"),
        ("NP02", "NP2", 8, "did you mean 'NP02'"),
        ("zero_shot_cot", "zero_shot_cott", 10, "did you mean 'zero_shot_cot'"),
        ("alpha: 0.05", "alpha: 2", 15, "less than 0.5"),
        ("NP01, NP02", "NP01, NP01", 8, "listed twice"),
        ("shots: [0, 5]", "shots: [0, 0]", None, "each number once"),
        ("conditions:\n", "conditions: []\nc:\n", 6, "conditions"),
    ],
)
def test_mistakes_name_line_and_nearest(
    write: Any, old: str, new: str, line: int | None, says: str
) -> None:
    path = write(SPEC.replace(old, new, 1))
    with pytest.raises(PromptlabError) as caught:
        resolve_conditions(load_spec(path))
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    if line:
        assert f":{line}" in message


def test_one_model_twice_needs_names() -> None:
    data = yaml.safe_load(SPEC)
    data["models"] = ["mock/echo", {"id": "mock/echo", "params": {"temperature": 1}}]
    with pytest.raises(UserError, match="give one of them a 'name'"):
        spec_from_mapping(data)
    data["models"][1]["name"] = "warm"
    labels = [m.label for m in spec_from_mapping(data).experiment.models]
    assert labels == ["mock/echo", "warm"]


def test_overrides(write: Any) -> None:
    path = write(SPEC)
    spec = load_spec(
        path,
        set_values=["analysis.alpha=0.1", "shots=[5]", "description=a test"],
        limit=7,
        models=["openai/gpt-4o-mini", "mock/echo"],
    )
    experiment = spec.experiment
    assert (experiment.analysis.alpha, experiment.shots, experiment.items) == (0.1, [5], 7)
    # a listed model keeps its settings
    assert experiment.models[0].api_base == "http://127.0.0.1:8399/v1"
    assert experiment.models[1].label == "mock/echo"
    assert load_spec(path, limit=500).experiment.items == 50


@pytest.mark.parametrize("bad", ["alpha", "=3", "name.x=1", "items=[1"])
def test_bad_overrides(write: Any, bad: str) -> None:
    with pytest.raises(UserError, match="--set"):
        load_spec(write(SPEC), set_values=[bad])


def test_conditions_of_other_places_have_other_ids() -> None:
    data = yaml.safe_load(SPEC) | {
        "conditions": [
            "original",
            "EP02",
            {"stimuli": ["EP02"], "position": "system"},
            {"stimuli": ["EP02"], "joiner": ""},
            {"stimuli": ["EP01+EP02", "shuffle(EP02)"]},
        ]
    }
    ids = [c.id for c in resolve_conditions(spec_from_mapping(data))]
    assert ids == [
        "original",
        "EP02",
        "EP02@system",
        "EP02@joiner=''",
        "EP01+EP02",
        "shuffle(EP02)",
    ]


def test_a_library_of_ones_own(tmp_path: Path, write: Any) -> None:
    (tmp_path / "mine.yaml").write_text(
        "library: mine\ndescription: ours\nsource: us\nstimuli:\n"
        "  - {id: MY01, text: The cake is ready., valence: positive, words: 4}\n"
    )
    text = SPEC.replace("NP01, NP02", "MY01") + "stimuli: [mine.yaml]\n"
    assert "MY01" in [c.id for c in resolve_conditions(load_spec(write(text)))]


@given(st.text(max_size=20))
def test_any_unknown_key_is_refused(key: str) -> None:
    if key in Experiment.model_fields:
        return
    data = yaml.safe_load(SPEC) | {key: 1}
    with pytest.raises(UserError):
        spec_from_mapping(data)


def test_the_portable_text_can_be_read_from_any_folder(tmp_path: Path, write: Any) -> None:
    (tmp_path / "mine.yaml").write_text("x: 1\n")
    text = SPEC.replace("bigbench/snarks", "./card.yaml")
    text += "stimuli: [mine.yaml]\ndata_dir: suites\n"
    data = yaml.safe_load(load_spec(write(text)).portable_text())
    assert data["stimuli"] == [str(tmp_path / "mine.yaml")]
    assert data["tasks"][-1] == str(tmp_path / "card.yaml")
    assert data["data_dir"] == str(tmp_path / "suites")
    assert load_spec(write(SPEC)).portable_text() == SPEC


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"items": True}, "items"),
        ({"items": 0}, "items: Input should be greater than or equal to 1"),
        ({"shots": []}, "write 0 for zero-shot"),
        ({"name": "x" * 101}, "at most 100"),
        ({"models": None}, "models: write a list"),
        ({"tasks": "procedural/sum"}, "tasks: write a list"),
        ({"params": {"temperature": "hot"}}, "temperature is a number"),
        ({"params": {"max_tokens": -1}}, "max_tokens is a whole number"),
        ({"conditions": [{"method": "zero_shot_cot", "position": "system"}]}, "no 'position'"),
        ({"conditions": [{"stimuli": []}]}, "'stimuli' is empty"),
        ({"scoring": []}, "scoring: write a mapping"),
    ],
)
def test_values_of_the_wrong_kind(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        spec_from_mapping(yaml.safe_load(SPEC) | changes)
    assert says in str(caught.value)


@pytest.mark.parametrize("written", ["off", "'off'", "false"])
def test_off_is_a_word_and_not_what_yaml_takes_it_for(write: Any, written: str) -> None:
    assert load_spec(write(SPEC + f"store: {written}\n")).experiment.store == "off"


@pytest.mark.parametrize(
    ("written", "runner"),
    [
        ("batch", {"batch": {"poll_s": 30, "max_requests": 20_000, "window": "24h"}, "ray": None}),
        (
            "{ray: {workers: 4}}",
            {"ray": {"address": "auto", "workers": 4, "cpus": 1, "gpus": 0}, "batch": None},
        ),
        (
            "{ray: }",
            {"ray": {"address": "auto", "workers": 2, "cpus": 1, "gpus": 0}, "batch": None},
        ),
    ],
)
def test_runners_have_short_and_long_forms(write: Any, written: str, runner: Any) -> None:
    found = load_spec(write(SPEC + f"runner: {written}\n")).experiment.runner
    assert found != "async"
    assert found.model_dump() == runner


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("runner: slurm", "'slurm' is no runner; write async, batch, ray or"),
        ("runner: {batch: {}, ray: {}}", "is no runner; write async, batch, ray or"),
        ("runner: {ray: {worker: 2}}", "did you mean 'workers'"),
        ("concurrency: 0", "write a whole number, 1 or more, or auto"),
        ("concurrency: true", "write a whole number, 1 or more, or auto"),
        ("budget: {usd: .inf}", "finite"),
        ("timeout_s: .nan", "finite|greater"),
        ("runner: {batch: {poll_s: .inf}}", "finite"),
        ("budget: {usd: -1}", "greater than or equal to 0"),
        ("budget: {dollars: 1}", "unknown key 'dollars'"),
    ],
)
def test_mistakes_in_how_to_ask_are_said_with_their_line(
    write: Any, written: str, says: str
) -> None:
    with pytest.raises(UserError, match=says) as caught:
        load_spec(write(SPEC + written + "\n"))
    assert "spec.yaml:16" in str(caught.value)
