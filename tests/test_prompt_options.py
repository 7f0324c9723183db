"""How prompts are built, as a spec says it: instructions, demonstrations, joiner and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import promptlab as pl
from promptlab.cli.schema import schema_text
from promptlab.conclude import score_run
from promptlab.errors import SpecError, UserError
from promptlab.lock import build_lock
from promptlab.plan import Plan, Planned
from promptlab.planning import build_plan
from promptlab.registered import differences
from promptlab.registration import planned as registered
from promptlab.rehearsing import shape_of
from promptlab.report import pictures
from promptlab.spec import spec_from_mapping

CARD = """\
name: first_letter
instruction: Extract the first letter of the word.
instructions: {ape: find the letter that comes first, brief: First letter.}
source: a test
metrics: {induction: exact_match}
paraphrases: [Which letter is first?, Name the initial.]
max_tokens: 16
data: {loader: procedural, generator: letter, position: 1}
"""
SPEC: dict[str, Any] = {
    "name": "o",
    "models": ["mock/echo"],
    "tasks": ["procedural/first_letter", "procedural/plural"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01"]}],
    "items": 4,
    "seed": 3,
}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cards") / "card.yaml"
    path.write_text(CARD)
    return str(path)


def plan(**changes: Any) -> Plan:
    return build_plan(spec_from_mapping(SPEC | changes))


def planned(built: Plan) -> list[Planned]:
    return [p for model in built.models for p in built.requests(model)]


def user_text(found: Planned) -> str:
    request = found.request
    return request.messages[-1].content if request.prompt is None else request.prompt


def without_stimulus(built: Plan, found: Planned) -> str:
    condition = next(c for c in built.conditions if c.id == found.cell.condition)
    added = condition.joiner + condition.text if condition.text else ""
    return user_text(found).replace(added, "", 1)


# --- another instruction of the card ------------------------------------------------------------


def test_another_instruction_stands_under_every_condition(card: str) -> None:
    built = plan(tasks=[card], instructions="ape")
    found = planned(built)
    assert {p.cell.condition for p in found} == {"original", "EP02", "NP01"}
    assert {p.cell.instruction for p in found} == {"ape"}
    for p in found:
        assert user_text(p).startswith("Instruction: find the letter that comes first")
        assert without_stimulus(built, p).startswith(
            "Instruction: find the letter that comes first\n\n"
        )
    assert not built.crosses_wordings
    assert built.rewords
    own, brief = plan(tasks=[card]), plan(tasks=[card], instructions="brief")
    assert len({own.digest, built.digest, brief.digest}) == 3
    assert [p.item.item_id for p in found] == [p.item.item_id for p in planned(own)]
    assert build_lock(built, {})["wordings"]["user/first_letter"]["ape"]["text"].startswith("find")
    assert shape_of(built).notes == ()


def test_a_task_without_the_instruction_is_left_out(card: str) -> None:
    built = plan(tasks=[card, "procedural/plural"], instructions="ape")
    assert list(built.draws) == ["user/first_letter"]
    assert [str(r) for r in built.left_out] == [
        "procedural/plural: the task card has no 'ape' instruction"
    ]
    assert {p.cell.task for p in planned(built)} == {"user/first_letter"}


def test_an_instruction_that_no_card_has(card: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan(tasks=[card, "procedural/plural"], instructions="breif")
    message = str(caught.value)
    assert "experiment.yaml:14: " in message
    assert "instructions: no task card has an instruction 'breif'; did you mean 'brief'" in message
    with pytest.raises(SpecError, match="did you mean 'paraphrases'"):
        plan(tasks=[card], instructions="paraphrase")


def test_two_instructions_for_one_condition_are_refused(card: str) -> None:
    with pytest.raises(SpecError, match="the condition 'ape' brings an instruction of its own"):
        plan(tasks=[card], instructions="ape", conditions=["original", "ape", "EP02"])


def test_one_other_instruction_is_no_crossing_for_the_analysis(
    card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "save", lambda figure, stem: "<svg></svg>")
    changes = {"tasks": [card], "models": ["mock/skilled?p=0.5"], "items": 12}
    run = pl.run(SPEC | changes | {"instructions": "ape"})
    assert set(run.scores()["instruction"]) == {"ape"}
    assert run.wordings().empty
    macro = run.contrasts().query("level == 'macro'")
    assert set(macro["condition"]) == {"EP02", "NP01"}
    assert macro["difference"].notna().all()
    page = (run.path / "report" / "index.html").read_text()
    assert "wording of the instruction?" not in page
    assert "find the letter that comes first" in page


# --- demonstrations -----------------------------------------------------------------------------


def shown(built: Plan) -> dict[tuple[str, int, str], set[str]]:
    """Every prompt of an item, without its stimulus."""
    found: dict[tuple[str, int, str], set[str]] = {}
    for p in planned(built):
        key = (p.cell.task, p.cell.shots, p.item.item_id)
        found.setdefault(key, set()).add(without_stimulus(built, p))
    return found


def test_each_item_has_demonstrations_of_its_own_under_every_condition() -> None:
    built = plan(demonstrations="query", shots=[0, 3], items=6)
    by_item = shown(built)
    assert all(len(texts) == 1 for texts in by_item.values())
    blocks: dict[tuple[str, int], set[str]] = {}
    for (task, shots, _), (text,) in by_item.items():
        blocks.setdefault((task, shots), set()).add(text.rpartition("\nInput: ")[0])
        assert text.count("Output: ") == shots
    assert {len(found) for (_, shots), found in blocks.items() if shots == 0} == {1}
    assert {len(found) for (_, shots), found in blocks.items() if shots} == {6}


def test_an_item_s_demonstrations_depend_on_seed_task_and_item_alone() -> None:
    few, many = (plan(demonstrations="query", shots=s, items=n) for s, n in ((2, 3), (5, 9)))
    for task, draw in few.draws.items():
        for item in draw.items:
            more = many.draws[task].shown(5, item)
            assert draw.shown(2, item) == more[:2]
            assert len({d.input for d in more}) == 5
    other = plan(demonstrations="query", shots=2, items=3, seed=4)
    assert other.draws["procedural/plural"].by_item != few.draws["procedural/plural"].by_item


@pytest.mark.data
def test_records_are_drawn_for_an_item_like_generated_ones(suites_dir: Path) -> None:
    changes = {"tasks": ["instruction_induction/*"], "data_dir": str(suites_dir), "items": 20}
    built = plan(**changes, demonstrations="query", shots=[2, 5])
    for task, draw in built.draws.items():
        inputs = {item.input for item in draw.items}
        used: set[str] = set()
        for item in draw.items:
            drawn = draw.shown(5, item)
            assert draw.shown(2, item) == drawn[:2]
            assert len({d.input for d in drawn}) == 5, task
            assert not {d.input for d in drawn} & inputs
            used |= {d.input for d in drawn}
        assert len(used) >= min(15, 5 * len(inputs)), task


def test_the_shared_beginning_is_only_what_items_share() -> None:
    for how, style in (("query", "completion"), ("query", "chat"), ("task", "completion")):
        built = plan(demonstrations=how, shots=[0, 2], style=style)
        cells: dict[Any, list[Planned]] = {}
        for p in planned(built):
            cells.setdefault(p.cell, []).append(p)
        for cell, found in cells.items():
            (prefix,) = {p.shared_prefix for p in found}
            assert all(user_text(p).startswith(prefix) for p in found)
            own = how == "query" and cell.shots
            assert prefix.endswith("\n\n" if own else "Input: ")


def test_plan_and_lock_record_how_demonstrations_were_drawn() -> None:
    task, query = plan(shots=2), plan(shots=2, demonstrations="query")
    assert plan(shots=2, demonstrations="task").digest == task.digest != query.digest
    locks = [build_lock(built, {}) for built in (task, query)]
    assert [lock.get("demonstrations") for lock in locks] == [None, "query"]
    of_task, of_query = (lock["tasks"]["procedural/plural"]["demonstrations"] for lock in locks)
    assert of_task != of_query


def test_a_run_with_demonstrations_of_each_item_is_scored_again_alike() -> None:
    changes = {"models": ["mock/skilled?p=0.5"], "shots": 2, "demonstrations": "query"}
    run = pl.run(SPEC | changes, analysis=False)
    before = (run.path / "scores.parquet").read_bytes()
    (run.path / "scores.parquet").unlink()
    score_run(run)
    assert (run.path / "scores.parquet").read_bytes() == before


# --- joiner -------------------------------------------------------------------------------------


def test_the_experiment_s_joiner_is_that_of_conditions_without_one() -> None:
    conditions = ["original", "EP02", {"stimuli": ["EP02"], "joiner": " "}, {"stimuli": ["NP01"]}]
    built = plan(joiner="", conditions=conditions)
    assert [c.id for c in built.conditions] == ["original", "EP02", "EP02@joiner=' '", "NP01"]
    texts = {p.cell.condition: user_text(p) for p in planned(built) if "plural" in p.cell.task}
    assert ".This is very important" in texts["EP02"]
    assert ". This is very important" in texts["EP02@joiner=' '"]
    assert ".You've never been" in texts["NP01"]


def test_a_joiner_counts_only_where_it_is_another() -> None:
    assert plan(joiner=" ").digest == plan().digest != plan(joiner="").digest
    (found,) = differences(registered(plan()), registered(plan(joiner="")))
    assert found.text == "stimuli are joined by '', not by ' '"
    assert found.everything


# --- template -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "demonstration", "end"),
    [
        ("paper", "Output: ", "Answer: "),
        ({"variant": "paper"}, "Output: ", "Answer: "),
        ({"variant": "paper", "trailing_space": False}, "Output: ", "Answer:"),
        ({"variant": "paper", "answer_label": "Output:"}, "Output: ", "Output: "),
        (
            {"variant": "plain", "answer_label": "Answer: ", "demonstration_label": "Answer:"},
            "Answer: ",
            "Answer:",
        ),
        ({"variant": "plain", "trailing_space": True}, "Output: ", "Output: "),
        ({"answer_label": "A:"}, "Output: ", "A: "),  # chat, so paper
    ],
)
def test_labels_of_a_template(template: Any, demonstration: str, end: str) -> None:
    for p in planned(plan(template=template, shots=1)):
        lines = user_text(p).split("\n")
        assert lines[-1] == end
        assert lines[3].startswith(demonstration)


def test_a_template_s_long_form_asks_the_same() -> None:
    short, long = plan(template="paper", shots=2), plan(template={"variant": "paper"}, shots=2)
    assert [p.hash for p in planned(short)] == [p.hash for p in planned(long)]
    changed = plan(template={"variant": "paper", "answer_label": "Output:"})
    lock = build_lock(changed, {})
    assert lock["models"]["mock/echo"]["template"] == "paper; answer_label 'Output:'"
    assert build_lock(short, {})["models"]["mock/echo"]["template"] == "paper"


@pytest.mark.data
def test_bigbench_brings_its_labels_with_it(suites_dir: Path) -> None:
    changes = {"tasks": ["bigbench/snarks"], "data_dir": str(suites_dir), "items": 1}
    with pytest.raises(SpecError, match="bigbench/snarks: 'answer_label' means nothing"):
        plan(**changes, template={"answer_label": "Output:"})
    with pytest.raises(SpecError, match="'demonstration_label' means nothing"):
        plan(**changes, template={"demonstration_label": "Output:"})
    ends = [
        user_text(planned(plan(**changes, template=template))[0])[-4:]
        for template in ("paper", {"variant": "paper", "trailing_space": False})
    ]
    assert ends == ["\nA: ", " \nA:"] or ends[1].endswith("\nA:")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"template": "papr"}, "'papr' is no template; write auto, paper, plain or"),
        ({"template": {"varient": "paper"}}, "did you mean 'variant'"),
        ({"template": {"variant": "papr"}}, "did you mean 'paper'"),
        ({"template": {"answer_label": " "}}, "template.answer_label"),
        ({"template": {"answer_label": "a\nb:"}}, "a label is one line"),
        ({"demonstrations": "item"}, "'item' is not one of 'task' or 'query'"),
        ({"demonstrations": "querry"}, "did you mean 'query'"),
        ({"joiner": 3}, "joiner"),
        ({"instructions": ""}, "write own, paraphrases, ape"),
    ],
)
def test_mistakes(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        plan(**changes)
    assert says in str(caught.value)


def test_the_schema_describes_them() -> None:
    schema = json.loads(schema_text())
    for key in ("instructions", "demonstrations", "joiner", "template"):
        assert schema["properties"][key]["description"]
    assert schema["properties"]["demonstrations"]["enum"] == ["task", "query"]
    assert schema["properties"]["joiner"]["default"] == " "
    options = schema["$defs"]["TemplateSpec"]["properties"]
    assert set(options) == {"variant", "answer_label", "demonstration_label", "trailing_space"}
    assert all(option["description"] for option in options.values())
