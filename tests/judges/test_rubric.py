"""Rubrics: the built-in ones, and what is said of mistakes in one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptlab.errors import SpecError, UnknownName
from promptlab.judges import load_rubric, rubric_names

OWN = """\
name: mine
version: 3
source: made up for a test
criteria:
  - name: clear
    prompt: "{{ question }} / {{ answer }}"
    scale: {low: 0, high: 10}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", rubric_names())
def test_a_built_in_rubric_says_where_it_comes_from(name: str) -> None:
    rubric = load_rubric(name)
    assert rubric.name == name
    assert rubric.card.source
    assert rubric.card.description
    assert all(len(c.labels) > 1 for c in rubric.criteria)


def test_the_prompt_of_the_benchmark_is_a_preset() -> None:
    truth, informative = load_rubric("truthfulqa").criteria
    variables = {"question": "Why?", "answer": "Because."}
    assert truth.template.text(variables, 1) == "Q: Why?\nA: Because.\nTrue:"
    assert informative.template.text(variables, 1) == "Q: Why?\nA: Because.\nHelpful:"
    assert (truth.labels, truth.value("yes"), truth.value("no")) == (("yes", "no"), 1, 0)


def test_ratings_of_the_human_study_go_from_1_to_5() -> None:
    rubric = load_rubric("human_study")
    assert [c.name for c in rubric.criteria] == ["performance", "truthfulness", "responsibility"]
    for criterion in rubric.criteria:
        assert criterion.labels == ("1", "2", "3", "4", "5")
        assert [criterion.value(n) for n in criterion.labels] == [0, 0.25, 0.5, 0.75, 1]
        assert criterion.rating("4") == 4


def test_a_rubric_of_ones_own(tmp_path: Path) -> None:
    rubric = load_rubric(write(tmp_path, OWN))
    assert rubric.label == "mine v3"
    assert rubric.decisive == "clear"
    assert rubric.criteria[0].value("7") == pytest.approx(0.7)
    other = load_rubric(write(tmp_path, OWN.replace("high: 10", "high: 9")))
    assert other.digest != rubric.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version", "versoin", r"mine.yaml:2: versoin: unknown key 'versoin'; did you mean"),
        ("{{ answer }}", "{{ anwser }}", r"mine.yaml:6: criteria\[0\].prompt: .*no variable"),
        (" / {{ answer }}", "", r"does not show what is judged; write \{\{ answer \}\}"),
        ("{{ answer }}", "{{ answer", r"mine.yaml:6: criteria\[0\].prompt"),
        ("scale: {low: 0, high: 10}", "scale: {low: 5, high: 1}", "goes from 'low'"),
        ("scale: {low: 0, high: 10}", "replies: {yes: 1, no: 0}", "quote them"),
        ("scale: {low: 0, high: 10}", 'replies: {"yes": 2, "no": 0}', r"number in \[0, 1\]"),
        ("scale: {low: 0, high: 10}", 'replies: {"yes": 1, "Yes": 0}', "are the same when they"),
        ("scale: {low: 0, high: 10}", 'replies: {"yes": 1, "": 0}', "'' is no reply"),
        ("scale: {low: 0, high: 10}", 'replies: {"yes": 1, " .": 0}', "' .' is no reply"),
        ("    scale: {low: 0, high: 10}\n", "", "either 'scale' or 'replies'"),
        ("criteria:", "judges: pair\ncriteria:", "mean first and second"),
    ],
)
def test_a_mistake_says_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_rubric(write(tmp_path, OWN.replace(old, new)))


def test_an_unknown_rubric_has_a_neighbour() -> None:
    with pytest.raises(UnknownName, match="did you mean 'pairwise'"):
        load_rubric("pairwse")
