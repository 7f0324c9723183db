"""Ratings by people: what is refused, what the run keeps, and where they are told."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from judge_kit import open_run
from typer.testing import CliRunner

from promptlab.cli import load
from promptlab.cli._app import app
from promptlab.errors import UserError
from promptlab.judges import judge_report
from promptlab.judges.handle import judge_sentences
from promptlab.judges.summary import write_judge_report
from promptlab.runs import Run

load()  # every verb


@pytest.fixture
def judged() -> Run:
    run = open_run(items=3)
    run.judge("mock/words", analysis=False)
    return run


def ratings(run: Run, path: Path, values: list[object], raters: list[str] | None = None) -> Path:
    """A file with these ratings of performance, of the first answers."""
    answers = run.judgements().query("criterion == 'performance'").head(len(values))
    named = answers[["task", "item_id", "condition", "criterion"]]
    rater = raters or ["ann"] * len(values)
    named.assign(rater=rater, rating=values).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("value", [55, 0, -3, 5.5, "inf"])
def test_a_rating_outside_the_scale_names_its_row(
    judged: Run, tmp_path: Path, value: object
) -> None:
    path = ratings(judged, tmp_path / "r.csv", [3, 4, value])
    with pytest.raises(UserError, match=r"r\.csv, row 4: a rating of 'performance' is .* 1 to 5"):
        judge_report(judged.path, path)


def test_two_ratings_of_an_answer_by_one_person_name_both_rows(judged: Run, tmp_path: Path) -> None:
    path = ratings(judged, tmp_path / "r.csv", [3, 4, 5])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[2].replace(",4", ",2")]))
    with pytest.raises(UserError, match=r"row 5: ann has rated 'performance' .* row 3 already"):
        judge_report(judged.path, path)


def test_a_word_and_an_empty_rater_name_their_rows(judged: Run, tmp_path: Path) -> None:
    path = ratings(judged, tmp_path / "r.csv", [3, "good"])
    with pytest.raises(UserError, match="row 3: a rating is a number, not 'good'"):
        judge_report(judged.path, path)
    path = ratings(judged, tmp_path / "r.csv", [3, 4], ["ann", ""])
    with pytest.raises(UserError, match="row 3: column 'rater' is empty"):
        judge_report(judged.path, path)


def test_ratings_are_kept_and_told_with_every_later_judge(tmp_path: Path) -> None:
    run = open_run(items=3)
    run.judge("mock/words", analysis=False)
    path = ratings(run, tmp_path / "r.csv", [3, 4, 5, 2])
    write_judge_report(run.path, path)
    path.unlink()
    run.judge({"id": "mock/words?seed=4", "name": "second"}, analysis=False)
    table = pd.read_parquet(run.path / "judges" / "report.parquet")
    people = table[table["topic"] == "people"]
    assert set(people["judge"]) == {"mock/words", "second"}
    assert any("minus people" in sentence for sentence in judge_sentences(run.path))


def test_kept_ratings_that_fit_no_more_are_said_and_end_nothing(tmp_path: Path) -> None:
    run = open_run(items=3)
    run.judge("mock/words", analysis=False)
    write_judge_report(run.path, ratings(run, tmp_path / "r.csv", [3, 4]))
    kept = run.path / "judges" / "people.csv"
    kept.write_text(kept.read_text().replace(",4", ",9"))
    people = judge_report(run.path).query("topic == 'people'")
    assert "cannot be used any more" in people["sentence"].item()


def test_a_file_that_is_no_ratings_costs_nothing(tmp_path: Path) -> None:
    run = open_run(items=2)
    path = tmp_path / "r.csv"
    path.write_text("answer_id,performance\n1,2\n")
    with pytest.raises(UserError, match="column 'rater' is missing"):
        run.judge("mock/words", people=path)
    assert run.judgings() == []


def test_the_verb_writes_a_sheet_of_the_tasks_that_it_is_given(tmp_path: Path) -> None:
    run = open_run(tasks=["procedural/plural", "procedural/last_word"], items=2)
    sheet = tmp_path / "sheet.csv"
    words = ["judge", str(run.path), "--sheet", str(sheet), "--task", "*/plural"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert len(pd.read_csv(sheet)) == 6
    assert pd.read_csv(sheet)["task_instruction"].nunique() == 1
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, UserError)
    assert "name another file" in str(again.exception)


def test_the_verb_puts_people_on_the_page(tmp_path: Path) -> None:
    run = open_run(items=3)
    run.judge("mock/words")
    path = ratings(run, tmp_path / "r.csv", [3, 4, 5, 2])
    found = CliRunner().invoke(app, ["judge", str(run.path), "--people", str(path)])
    assert found.exit_code == 0, found.output
    assert "minus people" in found.output
    assert "minus people" in (run.path / "report" / "index.html").read_text(encoding="utf-8")


def test_the_help_fits_eighty_columns_and_shows_what_to_type() -> None:
    found = CliRunner().invoke(app, ["judge", "--help"], env={"COLUMNS": "80"})
    lines = [line.strip() for line in found.output.splitlines()]
    for line in (
        "• promptlab judge RUN --judge openai/gpt-4o --set budget.usd=5",
        "• task, item_id, condition, criterion, rating: a row for each rating",
        "Rubrics say what is asked; promptlab list rubrics shows them.",
    ):
        assert line in lines
