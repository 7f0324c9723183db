"""Methods as conditions: built in, with settings, with stimuli, and from an installed package."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import promptlab as pl
from promptlab.cli import main
from promptlab.cli.schema import schema_text
from promptlab.conclude import plan_of
from promptlab.conditions import resolve_conditions
from promptlab.errors import SpecError, UserError
from promptlab.lock import build_lock
from promptlab.methods import method_of, methods, origin
from promptlab.plan import Plan, Planned
from promptlab.planning import build_plan
from promptlab.registered import differences
from promptlab.registration import planned as registered
from promptlab.sending import _known
from promptlab.spec import load_spec, spec_from_mapping
from promptlab.tables import condition_row
from promptlab.types import Response

CARD = """\
name: first_letter
instruction: "Extract the first letter of the word.\\n"
instructions: {ape: find the letter that comes first}
source: a test
metrics: {induction: exact_match}
paraphrases: [Which letter is first?, extract the first letter of the word, Name the initial.]
max_tokens: 16
data: {loader: procedural, generator: letter, position: 1}
"""
SPEC: dict[str, Any] = {
    "name": "m",
    "models": ["mock/echo"],
    "tasks": ["procedural/plural"],
    "items": 3,
    "seed": 3,
}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cards") / "card.yaml"
    path.write_text(CARD)
    return str(path)


def plan(*conditions: Any, **changes: Any) -> Plan:
    spec = SPEC | {"conditions": ["original", *conditions]} | changes
    return build_plan(spec_from_mapping(spec))


def ids(built: Plan) -> list[str]:
    return [c.id for c in built.conditions]


def prompts(built: Plan, condition: str) -> list[Planned]:
    found = built.requests(built.models[0])
    return [p for p in found if p.cell.condition == condition]


def said(planned: Planned) -> str:
    """The whole prompt as one text."""
    if planned.request.prompt is not None:
        return planned.request.prompt
    return "\n".join(f"[{m.role}] {m.content}" for m in planned.request.messages)


# --- every method -------------------------------------------------------------------------------

TEMPLATE = """\
{{ instruction }}
{% for d in demonstrations %}Input: {{ d.input }}
{{ d.output }}
{% endfor %}
{{ input }} ->"""
EVERY: list[Any] = [
    "zero_shot_cot",
    "ape",
    {"method": "instructions", "texts": {"user/first_letter": "Say the initial."}},
    {"method": "paraphrase", "number": 3},
    "expert_persona",
    {"method": "template", "text": TEMPLATE},
]


@pytest.mark.parametrize("style", ["chat", "completion"])
def test_every_method_asks_the_same_items_with_the_same_demonstrations(
    card: str, style: str
) -> None:
    built = plan(*EVERY, tasks=[card], shots=[0, 2], style=style)
    assert {c.method for c in built.conditions} == set(methods())
    assert built.left_out == ()
    items = [i.item_id for i in built.draws["user/first_letter"].items]
    for condition in ids(built):
        found = prompts(built, condition)
        assert [p.item.item_id for p in found] == items * 2
        for p in found:
            assert p.item.input in said(p)
            assert (p.request.prompt or p.request.messages[-1].content).startswith(p.shared_prefix)
            shown = built.draws["user/first_letter"].shown(p.cell.shots, p.item)
            assert all(f"Input: {d.input}\n" in said(p) for d in shown)
    hashes = [p.hash for p in built.requests(built.models[0])]
    assert len(set(hashes)) == len(hashes) == built.n_planned


def test_a_method_without_settings_is_what_it_was() -> None:
    built = plan("zero_shot_cot", {"method": "zero_shot_cot", "name": "long", "max_tokens": 900})
    assert [dict(c.settings) for c in built.conditions] == [{}, {}, {}]
    assert [c.max_tokens for c in built.conditions] == [None, 512, 900]
    assert "methods" not in build_lock(built, {})


def test_the_triggers_of_chain_of_thought_can_be_set() -> None:
    built = plan(
        {"method": "zero_shot_cot", "trigger": "Think first.", "answer_trigger": "So:"},
        {"method": "zero_shot_cot", "name": "one_call", "answer_trigger": "", "max_tokens": 99},
    )
    first = prompts(built, "zero_shot_cot")[0]
    assert said(first).endswith("\nThink first.")
    assert first.follow_up is not None
    assert said(first.follow_up(Response("ok", "Hm."))).endswith("[assistant] Hm.\n[user] So:")
    alone = prompts(built, "one_call")[0]
    assert alone.follow_up is None
    assert alone.request.params["max_tokens"] == 99
    assert built.n_requests == 3 * (1 + 2 + 1)
    lock = build_lock(built, {})["methods"]
    assert lock["one_call"] == {"method": "zero_shot_cot", "answer_trigger": ""}


@pytest.mark.parametrize("style", ["chat", "completion"])
def test_a_mock_that_knows_the_answer_knows_it_in_a_second_call(style: str) -> None:
    built = plan({"method": "zero_shot_cot", "trigger": "Think."}, style=style)
    known = _known(built, built.models[0])
    assert known is not None
    for p in prompts(built, "zero_shot_cot"):
        assert p.follow_up is not None
        second = p.follow_up(Response("ok", "Two of them."))
        assert known(p.request) == known(second.request) == p.item.answers


def test_a_persona_stands_where_it_is_told() -> None:
    built = plan(
        "expert_persona",
        {"method": "expert_persona", "name": "in_front", "text": "You are a linguist."}
        | {"place": "before_instruction"},
    )
    first = prompts(built, "expert_persona")[0].request.messages
    assert [m.role for m in first] == ["system", "user"]
    assert first[0].content.startswith("You are an expert")
    assert said(prompts(built, "in_front")[0]).startswith(
        "[user] Instruction: You are a linguist. "
    )


def test_instructions_from_a_file(card: str, tmp_path: Path) -> None:
    (tmp_path / "ape_mine.yaml").write_text("user/first_letter: Give the initial.\n")
    path = tmp_path / "spec.yaml"
    conditions = ["original", {"method": "instructions", "file": "ape_mine.yaml"}]
    spec = SPEC | {"conditions": conditions, "tasks": [card, "procedural/plural"]}
    path.write_text(yaml.safe_dump(spec))
    built = build_plan(load_spec(path))
    assert ids(built) == ["original", "ape_mine"]
    (first, *_) = prompts(built, "ape_mine")
    assert "Instruction: Give the initial.\n\n" in said(first)  # the card's ends in a line break
    assert [str(r) for r in built.left_out] == [
        "procedural/plural, ape_mine: ape_mine.yaml has no instruction for it"
    ]
    portable = yaml.safe_load(built.spec.portable_text())
    assert portable["conditions"][1]["file"] == str(tmp_path / "ape_mine.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n", "mapping from task ids to texts"),
        ("procedural/plural: [a]\n", "ape.yaml:1: procedural/plural: an instruction is a text"),
        ("procedural/plural: ' '\n", "an instruction is a text"),
    ],
)
def test_a_file_of_instructions_that_is_none(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ape.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        plan({"method": "instructions", "file": "ape.yaml"})
    assert says in str(caught.value)


def test_a_file_of_instructions_without_a_task(tmp_path: Path) -> None:
    (tmp_path / "ape.yaml").write_text("procedural/plurals: Make it many.\n")
    built = plan({"method": "instructions", "file": str(tmp_path / "ape.yaml")})
    assert "did you mean 'procedural/plurals'" in str(built.left_out[0])
    assert prompts(built, "ape") == []


def test_a_paraphrase_is_the_wording_of_that_number(card: str) -> None:
    numbers = [{"method": "paraphrase", "number": n} for n in (1, 2, 3, 4)]
    built = plan(*numbers, tasks=[card])
    assert ids(built)[1:] == ["paraphrase-1", "paraphrase-2", "paraphrase-3", "paraphrase-4"]
    crossed = plan(tasks=[card], instructions="paraphrases")
    texts = {w.id: w.text for w in crossed.draws["user/first_letter"].wordings}
    for n in (1, 3):
        assert texts[f"w0{n}"] in said(prompts(built, f"paraphrase-{n}")[0])
    reasons = [str(r) for r in built.left_out]
    assert "number 2 is the card's own instruction or an earlier one" in reasons[0]
    assert "it has 3 paraphrases, and this is number 4" in reasons[1]


def test_a_method_with_stimuli() -> None:
    built = plan(
        {"method": "zero_shot_cot", "stimuli": ["EP02", "EP02-neutral"]},
        {"method": "expert_persona", "stimuli": ["EP02"], "position": "system", "joiner": "\n"},
        "EP02",
    )
    assert ids(built)[1:] == [
        "zero_shot_cot+EP02",
        "zero_shot_cot+EP02-neutral",
        r"expert_persona+EP02@system@joiner='\n'",
        "EP02",
    ]
    first = said(prompts(built, "zero_shot_cot+EP02")[0])
    assert "important to my career." in first.split("\n")[0]
    assert first.endswith("step by step.")
    system = prompts(built, ids(built)[3])[0].request.messages[0].content
    assert system.endswith("this one.\nThis is very important to my career.")
    rows = {row[0]: row for row in map(condition_row, built.conditions)}
    # Its control is under the same method, so it is no control of the stimulus alone.
    assert rows["zero_shot_cot+EP02-neutral"][1] == "zero_shot_cot"
    assert rows["zero_shot_cot+EP02-neutral"][5] == ""


# --- combinations -------------------------------------------------------------------------------


def test_every_pair_of_a_library() -> None:
    built = plan({"stimuli": ["emotionprompt"], "combine": 2})
    pairs = ids(built)[1:]
    assert len(pairs) == 55
    assert pairs[:2] == ["EP01+EP02", "EP01+EP03"]
    assert pairs[-1] == "EP10+EP11"
    some = plan({"stimuli": ["NP02", "EP01", "EP0[12]"], "combine": 3}, "EP01+NP02")
    assert ids(some)[1:] == ["NP02+EP01+EP02", "EP01+NP02"]
    first = some.conditions[1]
    assert first.text == " ".join(s.text for s in first.stimuli)
    assert condition_row(first)[2] == "mixed"


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({"stimuli": ["EP01"], "combine": 2}, "needs as many stimuli, and these are 1"),
        ({"stimuli": ["EP01+EP02", "EP02"], "combine": 2}, "combines a stimulus with itself"),
        ({"stimuli": ["EP01", "EP02"], "combine": 1}, "combine"),
        ({"metod": "ape"}, "did you mean 'method'"),
        ({}, "a condition has 'stimuli', 'method', or both"),
        ({"method": "zero_shot_cott"}, "did you mean 'zero_shot_cot'"),
        (
            {"method": "zero_shot_cot", "triger": "x"},
            "conditions[1].triger: unknown key 'triger'; did",
        ),
        ({"method": "zero_shot_cot", "trigger": " "}, "conditions[1].trigger"),
        ({"method": "ape", "number": 3}, "unknown key 'number'"),
        ({"method": "paraphrase"}, "'number' is missing"),
        ({"method": "paraphrase", "number": 0}, "greater than or equal to 1"),
        ({"method": "expert_persona", "place": "sytem"}, "did you mean 'system'"),
        ({"method": "ape", "combine": 2}, "a method has no 'combine'"),
        ({"method": "ape", "name": "a b"}, "conditions[1].name"),
        ({"method": "instructions"}, "write 'file: instructions.yaml', or"),
        ({"method": "instructions", "file": "no.yaml"}, "no such file"),
        (
            {"method": "instructions", "texts": {"procedural/plural": ""}},
            "an instruction is a text",
        ),
    ],
)
def test_mistakes(condition: Any, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan(condition)
    assert says in str(caught.value)
    assert "experiment.yaml:" in str(caught.value)


def test_one_id_twice_is_told_to_take_a_name() -> None:
    with pytest.raises(SpecError, match="'expert_persona' is listed twice; a method with other"):
        plan("expert_persona", {"method": "expert_persona", "text": "You are a poet."})


# --- what is recorded ---------------------------------------------------------------------------


def test_settings_are_part_of_digest_lock_and_registration() -> None:
    poet, chef = (
        plan({"method": "expert_persona", "text": f"You are a {who}."}) for who in ("poet", "chef")
    )
    assert poet.digest != chef.digest
    lock = build_lock(poet, {})["methods"]["expert_persona"]
    assert lock == {"method": "expert_persona", "text": "You are a poet.", "place": "system"}
    (found,) = differences(registered(poet), registered(chef))
    assert found.text == "other settings of the methods: expert_persona"


def test_a_file_that_changed_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("procedural/plural: Make it many.\n")
    condition = {"method": "instructions", "file": str(file)}
    spec = SPEC | {"conditions": ["original", condition]}
    run = pl.run(spec, analysis=False)
    assert set(run.scores()["condition"]) == {"original", "mine"}
    assert plan_of(run).digest == run.lock["digest"]
    file.write_text("procedural/plural: Give the plural.\n")
    with pytest.raises(UserError, match="methods of the conditions are not those of"):
        plan_of(run)


def test_the_schema_knows_the_settings() -> None:
    schema = json.loads(schema_text())["$defs"]["MethodSpec"]
    properties = schema["properties"]
    assert {"trigger", "number", "place", "file", "text", "texts"} <= set(properties)
    assert properties["number"]["type"] == "integer"
    assert "paraphrase: Which one" in properties["number"]["description"]
    assert "expert_persona" in properties["method"]["examples"]
    assert schema["additionalProperties"] is False


# --- a package of somebody's --------------------------------------------------------------------

MODULE = '''\
from dataclasses import replace

from pydantic import Field

from promptlab.methods import Method


class Polite(Method):
    """Asks nicely, and asks again."""

    name = "polite"
    description = "says please, and asks whether it is sure"
    source = "a test"

    word: str = "Please"
    """How to ask."""

    def build(self, parts):
        return replace(parts, instruction=f"{self.word}: {parts.instruction}")

    @property
    def second_call(self):
        return True

    def follow_up(self, answer):
        return f"You said {answer}. Are you sure?"


class Broken(Method):
    name = "broken"
    description = "has a setting that is a word of every condition"
    position: str = ""
'''


def install(folder: Path, points: str) -> Path:
    """A distribution as an installer leaves it: a module, its metadata and its entry points."""
    (folder / "polite_prompts.py").write_text(MODULE)
    info = folder / "polite_prompts-1.2.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polite-prompts\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[promptlab.methods]\n{points}\n")
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    methods.cache_clear()
    yield folder
    sys.modules.pop("polite_prompts", None)
    methods.cache_clear()


def test_a_method_of_an_installed_package(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(site, "polite = polite_prompts:Polite")
    assert origin(methods()["polite"]) == "polite-prompts 1.2"
    built = plan({"method": "polite", "word": "Kindly", "name": "kind"}, "polite")
    first = prompts(built, "kind")[0]
    assert said(first).startswith("[user] Instruction: Kindly: ")
    assert first.follow_up is not None
    assert said(first.follow_up(Response("ok", "cats"))).endswith("You said cats. Are you sure?")
    assert method_of(built.conditions[1]).settings() == {"word": "Kindly"}
    with pytest.raises(SpecError, match="did you mean 'word'"):
        plan({"method": "polite", "wrod": "x"})
    run = pl.run(SPEC | {"conditions": ["original", "polite"]}, analysis=False)
    assert run.status["state"] == "complete"
    assert len(run.responses()) == 3 + 3 * 2
    monkeypatch.setattr(sys, "argv", ["promptlab", "list", "methods", "polite", "--json"])
    with pytest.raises(SystemExit):
        main()
    (row,) = json.loads(capsys.readouterr().out)
    assert row["from"] == "polite-prompts 1.2"
    assert row["settings"] == "max_tokens, word"


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("polite = polite_prompts:Rude", "cannot be loaded: AttributeError"),
        ("polite = polite_prompts:MODULES", "cannot be loaded"),
        ("polite = polite_prompts:replace", "is no subclass of promptlab.methods.Method"),
        ("broken = polite_prompts:Broken", "a setting 'position', which is a word of every"),
        (
            "a = polite_prompts:Polite\nb = polite_prompts:Polite",
            "has the name 'polite', which polite-prompts 1.2 has too",
        ),
    ],
)
def test_a_package_with_a_mistake_is_named(site: Path, points: str, says: str) -> None:
    install(site, points)
    with pytest.raises(UserError) as caught:
        methods()
    assert says in str(caught.value)
    assert "polite-prompts 1.2" in str(caught.value)


def test_names_are_the_spec_s_first() -> None:
    spec = spec_from_mapping(SPEC | {"conditions": ["original", "ape", "EP02"]})
    assert [c.method for c in resolve_conditions(spec)] == ["original", "ape", "stimulus"]
