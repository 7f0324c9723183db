"""TruthfulQA: the CSV's answers as choices."""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.tasks import get_task
from promptlab.tasks.loaders.truthfulqa import split_answers


@pytest.mark.data
def test_the_questions_load(suites_dir: Path) -> None:
    task = get_task("truthfulqa/multiple_choice", suites_dir)
    items = task.items(None, 0)
    assert len({i.item_id for i in items}) == len(items) == task.size()
    assert task.items(10, 0) == items[:10]
    assert not task.has_demonstrations
    assert list(task.provenance()) == ["truthfulqa/TruthfulQA.csv"]
    for item in items:
        correct = [c for c, s in zip(item.choices, item.target_scores, strict=True) if s == 1]
        assert item.fields["best"] in correct
        assert tuple(correct) == item.answers
        assert len(set(item.choices)) == len(item.choices) > len(correct)
        assert item.target_scores == tuple(sorted(item.target_scores, reverse=True))
        assert all(c == c.strip() and c for c in item.choices)


@pytest.mark.data
def test_every_row_of_the_csv_is_an_item(suites_dir: Path) -> None:
    items = {i.input: i for i in get_task("truthfulqa/multiple_choice", suites_dir).items(None, 0)}
    with (suites_dir / "truthfulqa" / "TruthfulQA.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(items)
    for row in rows:
        item = items[row["Question"]]
        assert item.fields == {"best": row["Best Answer"].strip()}
        assert set(item.answers) == set(split_answers(row["Correct Answers"]))
        both = {*item.answers, *split_answers(row["Incorrect Answers"])}
        assert set(item.choices) == both


@given(st.lists(st.text(st.characters(exclude_characters=";"), max_size=8)))
def test_answers_are_split_at_semicolons(answers: list[str]) -> None:
    assert split_answers("; ".join(answers)) == [a.strip() for a in answers if a.strip()]
    assert split_answers(";" + ";".join(answers) + ";;") == split_answers(";".join(answers))


@pytest.mark.data
def test_generation_asks_the_same_questions_without_choices(suites_dir: Path) -> None:
    chosen = {i.input: i for i in get_task("truthfulqa/multiple_choice", suites_dir).items(None, 0)}
    items = get_task("truthfulqa/generation", suites_dir).items(None, 0)
    assert {i.input for i in items} == set(chosen)
    for item in items:
        other = chosen[item.input]
        assert not item.choices
        assert item.answers == other.answers
        assert item.fields["best"] in item.answers
        assert (*item.answers, *item.fields["incorrect"]) == other.choices


@pytest.mark.data
def test_mc1_and_mc2_on_the_real_csv_are_those_of_their_definition(suites_dir: Path) -> None:
    # From the CSV's own cells, without the loader's choices: pseudo-random log-probabilities.
    from promptlab.scoring.truthfulqa import mc1, mc2

    items = {i.input: i for i in get_task("truthfulqa/multiple_choice", suites_dir).items(None, 0)}
    with (suites_dir / "truthfulqa" / "TruthfulQA.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))

    def cell(text: str) -> set[str]:
        return {part.strip() for part in text.split(";")} - {""}

    def logprob(answer: str) -> float:
        return -float(int(hashlib.sha256(answer.encode()).hexdigest()[:6], 16) % 997) / 50

    wins = 0
    for row in rows:
        correct = cell(row["Correct Answers"])
        wrong = cell(row["Incorrect Answers"]) - correct
        right, all_mass = (
            math.fsum(math.exp(logprob(a)) for a in answers)
            for answers in (correct, correct | wrong)
        )
        item = items[row["Question"]]
        logprobs = [logprob(choice) for choice in item.choices]
        best = logprob(row["Best Answer"].strip())
        wins += best > max(map(logprob, wrong))
        assert mc1(item, logprobs) == float(best > max(map(logprob, wrong)))
        assert mc2(item, logprobs) == pytest.approx(right / all_mass)
    assert 0 < wins < len(rows)


@pytest.mark.data
def test_shown_choices_do_not_begin_with_the_correct_ones(suites_dir: Path) -> None:
    from promptlab.methods.template import TemplateMethod
    from promptlab.prompts import render
    from promptlab.types import Condition

    template = TemplateMethod(text="{{ input }}|{{ choices | join('|') }}")
    items = get_task("truthfulqa/multiple_choice", suites_dir).items(None, 0)
    first_is_correct = expected = 0.0
    for item in items:
        prompts = [
            render(
                *("truthfulqa", "", Condition("original"), item, ()),
                style="completion",
                variant="plain",
                list_choices=False,
                build=template.build,
            )
            for _ in range(2)
        ]
        assert prompts[0] == prompts[1]
        shown = str(prompts[0]).removeprefix(f"{item.input}|").split("|")
        assert sorted(shown) == sorted(item.choices)
        first_is_correct += shown[0] in item.answers
        expected += len(item.answers) / len(item.choices)
    assert abs(first_is_correct - expected) < 4 * (len(items) / 4) ** 0.5
