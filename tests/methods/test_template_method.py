"""Templates of one's own as conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptlab.errors import UserError
from promptlab.plan import Plan
from promptlab.planning import build_plan
from promptlab.spec import spec_from_mapping

SPEC: dict[str, Any] = {
    "name": "t",
    "models": ["mock/echo"],
    "tasks": ["procedural/plural"],
    "items": 3,
    "seed": 3,
}
SOLVED = """\
# {{ instruction }}
{% for d in demonstrations %}
{{ d.input }} => {{ d.output }}
{% endfor %}
{{ input }} =>
"""


def plan(*conditions: Any, **changes: Any) -> Plan:
    spec = SPEC | {"conditions": ["original", *conditions]} | changes
    return build_plan(spec_from_mapping(spec))


def texts(built: Plan, condition: str) -> list[str]:
    found = built.requests(built.models[0])
    return [p.request.messages[-1].content for p in found if p.cell.condition == condition]


def test_a_template_lays_out_the_whole_prompt() -> None:
    built = plan({"method": "template", "text": SOLVED}, shots=2)
    draw = built.draws["procedural/plural"]
    for item, text in zip(draw.items, texts(built, "template"), strict=True):
        pairs = [f"{d.input} => {d.output}" for d in draw.demonstrations[2]]
        own = draw.task.card.instruction
        assert text == "\n".join([f"# {own}", *pairs, f"{item.input} =>"])


def test_items_share_what_stands_before_the_input() -> None:
    for how, beginning in (("task", "# "), ("query", "")):
        built = plan({"method": "template", "text": SOLVED}, shots=2, demonstrations=how)
        found = [p for p in built.requests(built.models[0]) if p.cell.condition == "template"]
        (prefix,) = {p.shared_prefix for p in found}
        assert prefix.startswith(beginning)
        assert bool(prefix) is bool(beginning)
        assert all(p.request.messages[-1].content.startswith(prefix) for p in found)


def test_a_stimulus_stands_where_the_template_puts_it() -> None:
    built = plan(
        {"method": "template", "name": "mine", "stimuli": ["EP02"]}
        | {"text": "{{ stimulus }}|{{ instruction }}|{{ input }}"},
        {"method": "template", "name": "theirs", "stimuli": ["EP02"]}
        | {"text": "{{ instruction }}|{{ input }}"},
        {"method": "template", "name": "after", "stimuli": ["EP02"], "position": "after_input"}
        | {"text": "{{ instruction }}|{{ input }}"},
    )
    sentence = "This is very important to my career."
    for condition, place in (("mine", 0), ("theirs", 0), ("after", 1)):
        found = texts(built, f"{condition}+EP02" + ("@after_input" if place else ""))
        for text in found:
            parts = text.split("|")
            assert text.count(sentence) == 1
            assert sentence in parts[place]
            assert (parts[place] == sentence) is (condition == "mine")


def test_a_template_without_demonstrations_is_warned_of() -> None:
    without = {"method": "template", "text": "{{ instruction }} {{ input }}"}
    (warning,) = plan(without, shots=[0, 2]).warnings
    assert warning.startswith("condition 'template' shows no demonstrations")
    assert plan(without).warnings == ()
    assert plan({"method": "template", "text": SOLVED}, shots=[0, 2]).warnings == ()


def test_a_template_from_a_file_gives_the_condition_its_name(tmp_path: Path) -> None:
    (tmp_path / "arrow.txt.jinja").write_text(SOLVED)
    built = plan({"method": "template", "file": str(tmp_path / "arrow.txt.jinja")})
    assert built.conditions[1].id == "arrow"
    assert built.conditions[1].settings["text"] == SOLVED
    assert texts(built, "arrow")[0].startswith("# ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ input }}\n{{ instrution }}", ("2", "no variable 'instrution'; did you mean 'instruc")),
        ("{{ input }}\n{{ answers }}", ("2", "no variable 'answers'", "there is instruction")),
        ("a\n{% for d in x %}{{ input }}", ("2", "Unexpected end of template")),
        ("{{ instruction }}", (None, "it does not use 'input'")),
        ("{{ input }}\n\n{{ input.foo }}", ("3", "has no attribute 'foo'")),
        ("{{ input }}{{ demonstrations[0].input }}", ("1", "has no element 0")),
        ("{{ input + 1 }}", ("1", "TypeError")),
        ("{{ input.__class__.__mro__ }}", ("1", "unsafe")),
        ("{% if false %}{{ input }}{% endif %}", (None, "gives an empty prompt")),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_mistake_names_variable_file_and_line(
    text: str, says: tuple[str | None, ...], in_file: bool, tmp_path: Path
) -> None:
    (tmp_path / "mine.jinja").write_text(text)
    file = {"file": str(tmp_path / "mine.jinja")}
    with pytest.raises(UserError) as caught:
        plan({"method": "template"} | (file if in_file else {"text": text}))
    message = str(caught.value)
    line, *parts = says
    for part in parts:
        assert str(part) in message
    if in_file:
        assert "mine.jinja" in message
    else:
        assert "conditions[1]" in message or "condition 'template'" in message
    if line:
        assert f"line {line}" in message or f"mine.jinja:{line}:" in message


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "write 'text: "),
        ({"text": "{{ input }}", "file": "a"}, "write 'text: "),
        ({"file": "absent.jinja"}, "no such file"),
        ({"txt": "x"}, "did you mean 'text'"),
    ],
)
def test_settings_that_are_none(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        plan({"method": "template"} | settings)
    assert "conditions[1]" in str(caught.value)


@pytest.mark.data
def test_choices_can_be_listed(suites_dir: Path) -> None:
    text = "{{ input }}\n{% for c in choices %}* {{ c }}\n{% endfor %}{{ task }}"
    built = plan(
        {"method": "template", "text": text}, tasks=["bigbench/snarks"], data_dir=str(suites_dir)
    )
    for item, shown in zip(
        built.draws["bigbench/snarks"].items, texts(built, "template"), strict=True
    ):
        assert all(f"* {choice}\n" in shown for choice in item.choices)
        assert shown.endswith("bigbench/snarks")
