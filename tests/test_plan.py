from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from promptlab.errors import MissingData, PromptlabError
from promptlab.keys import request_hash
from promptlab.plan import Plan
from promptlab.planning import build_plan
from promptlab.spec import spec_from_mapping
from promptlab.types import Response

SPEC: dict[str, Any] = {
    "name": "p",
    "models": ["mock/echo"],
    "tasks": ["procedural/first_letter", "procedural/plural"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01"]}],
    "shots": [0, 2],
    "items": 5,
    "seed": 3,
}


def plan(**changes: Any) -> Plan:
    return build_plan(spec_from_mapping(SPEC | changes))


def test_conditions_share_items_and_demonstrations() -> None:
    built = plan()
    model = built.models[0]
    cells: dict[tuple[str, int, str], list[str]] = {}
    for planned in built.requests(model):
        cell = planned.cell
        cells.setdefault((cell.task, cell.shots, cell.condition), []).append(planned.item.item_id)
    assert len(cells) == built.n_cells == 12
    for (task, shots, _), items in cells.items():
        assert items == cells[(task, shots, "original")]
    assert built.n_planned == built.n_requests == 60


def test_the_same_spec_gives_the_same_plan() -> None:
    one, other = plan(), plan()
    assert [p.hash for p in one.requests(one.models[0])] == [
        p.hash for p in other.requests(other.models[0])
    ]
    assert one.digest == other.digest
    assert plan(seed=4).digest != one.digest
    assert plan(concurrency=3, timeout_s=9, max_attempts=1).digest == one.digest


CONDITIONS: list[Any] = [
    "original",
    "EP02",
    {"stimuli": ["EP01+EP02", "NP01"], "position": "after_input"},
    {"stimuli": ["EP02"], "joiner": ""},
    "zero_shot_cot",
]
PINNED: dict[str, tuple[dict[str, Any], str, str]] = {
    "conditions": ({"conditions": CONDITIONS}, "7c671c42d4d7bfc8", "ff6576442a6d1647"),
    "paper": (
        {
            "template": "paper",
            "conditions": ["original", {"stimuli": ["NP0*"], "position": "before_instruction"}],
        },
        "dcf30d366576bace",
        "25c498e4203221b5",
    ),
    "race": (
        {
            "template": "plain",
            "items": 12,
            "design": {"race": {"block": 3}},
            "conditions": ["original", "EP02", {"stimuli": ["EP03"], "position": "system"}],
        },
        "8373c64579ce466e",
        "35bd8a18d26557dc",
    ),
    "limits": (
        {
            "conditions": [
                "original",
                {"method": "zero_shot_cot", "max_tokens": 64},
                {"stimuli": ["EP01"], "max_tokens": 99},
            ],
            "replicates": 2,
            "params": {"temperature": 0.7},
        },
        "0a9cfbd22a3d1ceb",
        "d8534dbf572758aa",
    ),
    "wordings": (
        {"conditions": ["original", "EP02"], "instructions": {"file": "w.yaml"}},
        "242344818409caf9",
        "167f9b8062da8b82",
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_what_was_asked_once_is_found_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests and keys of specs as they were before there were more words to write them with."""
    changes, digest, keys = PINNED[name]
    (tmp_path / "w.yaml").write_text("procedural/plural: [Make it many., Give the plural.]\n")
    monkeypatch.chdir(tmp_path)
    words = {"id": "mock/words", "style": "completion", "params": {"max_tokens": 9}}
    built = plan(**{"name": "pinned", "models": ["mock/echo", words], "items": 3} | changes)
    assert built.digest.startswith(digest)
    asked = "".join(p.hash for model in built.models for p in built.requests(model))
    assert hashlib.sha256(asked.encode()).hexdigest().startswith(keys)


def test_a_limit_is_the_beginning_of_the_longer_draw() -> None:
    long, short = plan(), plan(items=2)
    for task, draw in short.draws.items():
        assert draw.items == long.draws[task].items[:2]


def test_hash_is_the_request_s() -> None:
    built = plan()
    for planned in built.requests(built.models[0]):
        assert planned.hash == request_hash(planned.request)


def test_replicates_are_requests_of_their_own() -> None:
    built = plan(replicates=3, params={"temperature": 1})
    hashes = [p.hash for p in built.requests(built.models[0])]
    assert len(set(hashes)) == len(hashes) == built.n_planned == 180


def test_parameters_by_precedence() -> None:
    built = plan(
        params={"max_tokens": 9, "top_p": 0.5},
        models=["mock/echo", {"id": "mock/words", "params": {"max_tokens": 3}}],
    )
    first, second = (next(built.requests(m)).request.params for m in built.models)
    assert (first["max_tokens"], first["top_p"], first["temperature"]) == (9, 0.5, 0)
    assert second["max_tokens"] == 3


def test_completion_style_stops_at_a_line_break_and_takes_the_plain_template() -> None:
    built = plan(style="completion")
    request = next(built.requests(built.models[0])).request
    assert request.params["stop"] == ["\n"]
    assert str(request.prompt).endswith("Output:")
    assert not request.messages


def test_chain_of_thought_is_two_requests_with_limits_of_their_own() -> None:
    built = plan(conditions=["original", "zero_shot_cot"], shots=0)
    assert built.n_requests == 2 * built.n_planned - 10
    planned = next(
        p for p in built.requests(built.models[0]) if p.cell.condition == "zero_shot_cot"
    )
    assert planned.request.params["max_tokens"] == 512
    assert planned.request.messages[-1].content.endswith("Let's think step by step.")
    assert planned.follow_up is not None
    second = planned.follow_up(Response("ok", "It begins with c."))
    assert second.request.params["max_tokens"] < 512
    assert [m.role for m in second.request.messages] == ["user", "assistant", "user"]
    assert second.cell == planned.cell


def test_cells_a_suite_cannot_fill_are_left_out_by_name(
    suites_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(suites_dir))
    built = plan(
        tasks=["bigbench/snarks", "instruction_induction/sum"], conditions=["original", "ape"]
    )
    assert [str(reason) for reason in built.left_out] == [
        "bigbench/snarks, 2 shots: the suite has no demonstrations",
        "bigbench/snarks, ape: the task card has no 'ape' instruction",
    ]
    assert built.n_cells == 5


def test_choices_are_graded_by_logprob_only_where_the_model_gives_them(
    suites_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(suites_dir))
    hosted = {"id": "openai/x", "api_base": "http://127.0.0.1:9/v1"}
    built = plan(tasks=["bigbench/snarks"], shots=0, models=["mock/echo", hosted])
    by_logprob, by_text = (next(built.requests(m)).request for m in built.models)
    assert by_logprob.choices
    assert not by_logprob.params
    assert not by_text.choices
    forced = plan(
        tasks=["bigbench/snarks"], shots=0, models=[hosted], scoring={"choices": "logprob"}
    )
    with pytest.raises(PromptlabError, match="gives no log-probabilities"):
        next(forced.requests(forced.models[0]))


def test_missing_data_names_the_command(tmp_path: Path) -> None:
    changes = {"tasks": ["bigbench/snarks", "procedural/plural"], "data_dir": str(tmp_path)}
    with pytest.raises(MissingData, match="promptlab data pull bigbench"):
        plan(**changes)
    built = build_plan(spec_from_mapping(SPEC | changes), allow_missing=True)
    assert list(built.missing) == ["bigbench/snarks"]
    assert list(built.draws) == ["procedural/plural"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tasks": ["procedural/plurall"]}, "did you mean 'procedural/plural'"),
        ({"tasks": ["nothing/*"]}, "nothing/*"),
        ({"analysis": {"baseline": "EP03"}}, "did you mean 'EP02'"),
        ({"analysis": {"confirmatory": ["EP20"]}}, "did you mean 'EP02'"),
        ({"scoring": {"protocol": "inducton"}}, "did you mean 'induction'"),
        ({"models": ["mock/ecoh"]}, "mock"),
        ({"models": ["local/absent.gguf"]}, "absent.gguf"),
    ],
)
def test_unknown_names(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PromptlabError) as caught:
        plan(**changes)
    assert says in str(caught.value)


def test_a_card_with_an_unknown_metric_or_template(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("q,a\nx,y\n")
    card = (
        "name: mine\ninstruction: Do.\nsource: us\n"
        "metrics: {own: exact_macth}\n"
        "data: {loader: dataset, path: rows.csv, input: '{{ q }}', target: '{{ a }}'}\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text(card)
    with pytest.raises(PromptlabError, match="did you mean 'exact_match'"):
        plan(tasks=[str(path)], shots=0)
    path.write_text(card.replace("exact_macth", "exact_match") + "template: bigbenhc\n")
    with pytest.raises(PromptlabError, match="did you mean 'bigbench'"):
        plan(tasks=[str(path)], shots=0)


def test_replicates_at_temperature_0_are_warned_of() -> None:
    assert plan().warnings == ()
    (warning,) = plan(replicates=2).warnings
    assert "replicates at temperature 0" in warning
    assert plan(replicates=2, params={"temperature": 0.7}).warnings == ()


def test_a_bigbench_stimulus_after_the_input_stays_before_the_answer_label(
    suites_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(suites_dir))
    built = plan(
        tasks=["bigbench/*"],
        shots=0,
        items=1,
        conditions=["original", {"stimuli": ["EP02"], "position": "after_input"}],
    )
    texts: dict[str, list[str]] = {}
    for planned in built.requests(built.models[0]):
        texts.setdefault(planned.cell.task, []).append(planned.request.messages[0].content)
    for task, (original, changed) in texts.items():
        label = built.draws[task].task.answer_label
        assert original.endswith(label)
        assert changed.endswith(label)
        assert "This is very important to my career." in changed.removesuffix(label)
