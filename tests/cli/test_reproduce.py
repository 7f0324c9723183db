"""`promptlab reproduce` from a recipe to a dossier, with a model that needs no network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Run
from tests.own_recipe import write_recipe

FILES = ("index.html", "dossier.tex", "dossier.json", "tables/claims.csv", "figures/gains.pdf")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_recipe(tmp_path / "paper")


@pytest.fixture
def dossier(promptlab: Run, own: Path, tmp_path: Path) -> Path:
    out = tmp_path / "dossier"
    code, printed, _ = promptlab("reproduce", own, "--limit", 4, "--out", out)
    assert code == 0, printed
    assert "warm-0.5" in printed
    assert "dossier:" in printed
    return out


def test_from_recipe_to_dossier(dossier: Path, promptlab: Run, own: Path, tmp_path: Path) -> None:
    for name in FILES:
        assert (dossier / name).stat().st_size > 0
    page = (dossier / "index.html").read_text()
    assert "In one page" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    claims = pd.read_csv(dossier / "tables" / "claims.csv")
    assert list(claims["id"]) == ["gain"]
    # The same runs give the same bytes, and asking again asks nothing.
    again = tmp_path / "again"
    code, printed, _ = promptlab("reproduce", own, "--from", tmp_path / "runs", "--out", again)
    assert code == 0, printed
    for name in FILES:
        assert (again / name).read_bytes() == (dossier / name).read_bytes(), name
    code, printed, _ = promptlab("reproduce", own, "--limit", 4, "--dry-run")
    assert code == 0
    assert "at most $0.00" in printed


def test_nothing_paid_is_sent_without_a_yes(promptlab: Run, own: Path) -> None:
    code, _, error = promptlab("reproduce", own, "--model", "openai/gpt-4o-mini", "--limit", 1)
    assert code == 2
    assert "--yes" in error


def test_mistakes(promptlab: Run, own: Path, tmp_path: Path) -> None:
    for words, said in (
        (("emotionpromt",), "did you mean 'emotionprompt'"),
        ((own, "--protocol", "controled"), "did you mean 'controlled'"),
        ((own, "--part", "frist"), "did you mean 'first'"),
        ((own, "--from", tmp_path / "empty"), "no run with scores"),
    ):
        code, _, error = promptlab("reproduce", *words)
        assert code == 2
        assert said in error


def test_only_an_earlier_dossier_is_replaced(
    dossier: Path, promptlab: Run, own: Path, tmp_path: Path
) -> None:
    (dossier / "mine.txt").write_text("mine")
    assert promptlab("reproduce", own, "--from", tmp_path / "runs", "--out", dossier)[0] == 0
    assert (dossier / "mine.txt").read_text() == "mine"
    other = tmp_path / "figures of mine"
    (other / "figures").mkdir(parents=True)
    (other / "figures" / "mine.pdf").write_text("mine")
    for words in (("--from", tmp_path / "runs"), ("--limit", 4)):
        code, _, error = promptlab("reproduce", own, *words, "--out", other)
        assert code == 2
        assert "name another folder (--out)" in error
    assert (other / "figures" / "mine.pdf").read_text() == "mine"


def test_a_single_part_of_another_table_makes_a_dossier(
    promptlab: Run, own: Path, tmp_path: Path
) -> None:
    with (own / "published.csv").open("a") as file:
        file.write("models,b,zero,human,13B,m,gain of best,1.5,points,CONFIRMED,the paper\n")
    out = tmp_path / "warm"
    code, printed, _ = promptlab("reproduce", own, "--limit", 4, "--part", "warm", "--out", out)
    assert code == 0, printed
    assert len(pd.read_csv(out / "tables" / "temperatures.csv")) == 2


def test_two_models_asked_one_after_the_other_stand_side_by_side(
    promptlab: Run, own: Path, tmp_path: Path
) -> None:
    for p in (0.5, 0.7):
        words = ("--limit", 4, "--part", "first", "--model", f"mock/skilled?p={p}")
        code, printed, _ = promptlab("reproduce", own, *words)
        assert code == 0, printed
    out = tmp_path / "both"
    assert promptlab("reproduce", own, "--from", tmp_path / "runs", "--out", out)[0] == 0
    assert pd.read_csv(out / "tables" / "models.csv")["model"].nunique() == 2


def test_the_protocol_is_that_of_the_runs(promptlab: Run, own: Path, tmp_path: Path) -> None:
    with (own / "recipe.yaml").open("a") as file:
        file.write(
            "  as-published:\n    description: As they did.\n"
            "    parts: [{name: first, spec: first.yaml}]\n"
        )
    asked = ("reproduce", own, "--limit", 4, "--part", "first")
    runs, out = tmp_path / "runs", tmp_path / "out"
    assert promptlab(*asked, "--protocol", "as-published", "--out", out)[0] == 0
    assert promptlab("reproduce", own, "--from", runs, "--out", out)[0] == 0
    assert "protocol as-published" in (out / "index.html").read_text()
    code, _, error = promptlab(
        "reproduce", own, "--from", runs, "--protocol", "controlled", "--out", out
    )
    assert code == 2
    assert "--protocol as-published" in error
    # Runs of both are told apart.
    assert promptlab(*asked, "--out", out)[0] == 0
    code, printed, _ = promptlab(
        "reproduce", own, "--from", runs, "--protocol", "controlled", "--out", out
    )
    assert code == 0
    assert "left out: 1 run" in printed
    assert "What is done." in (out / "index.html").read_text()


def test_free_answers_go_to_a_judge(promptlab: Run, tmp_path: Path) -> None:
    part = ("--part", "open-questions", "--limit", 6)
    asked = ("reproduce", "emotionprompt", "--model", "mock/words?n=9", *part)
    code, printed, _ = promptlab(*asked, "--judge", "mock/words", "--dry-run")
    assert code == 0
    assert "open-questions, judged" in printed
    assert "414" in printed  # 6 questions x 23 prompts x 3 criteria
    out = tmp_path / "dossier"
    code, printed, _ = promptlab(*asked, "--judge", "mock/words", "--out", out)
    assert code == 0, printed
    claims = pd.read_csv(out / "tables" / "claims.csv").set_index("id")
    assert claims.loc["human-study", "n_items"] == 6
    assert claims.loc["human-study", "upper"] - claims.loc["human-study", "lower"] > 0
    # A second judge does not change what the first one said, and its scores are asked for by name.
    other = tmp_path / "other"
    code, printed, _ = promptlab(*asked, "--judge", "mock/words?seed=2", "--out", other)
    assert code == 0, printed
    again = tmp_path / "again"
    told = ("--from", tmp_path / "runs", "--judge", "mock/words", "--out", again)
    assert promptlab("reproduce", "emotionprompt", *told)[0] == 0
    first, second, repeated = (
        (f / "tables" / "claims.csv").read_text() for f in (out, other, again)
    )
    assert first == repeated != second


def test_a_judge_who_may_cost_money_needs_a_yes(promptlab: Run) -> None:
    part = ("--part", "open-questions", "--limit", 1, "--model", "mock/echo")
    code, _, error = promptlab("reproduce", "emotionprompt", *part, "--judge", "openai/gpt-4o-mini")
    assert code == 2
    assert "--yes" in error


def test_tables_compile(dossier: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed (texlive-latex-base)")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "dossier.tex"],
        cwd=dossier,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (dossier / "dossier.pdf").stat().st_size > 10_000


def test_of_runs_of_one_name_the_newest_counts(
    dossier: Path, promptlab: Run, own: Path, tmp_path: Path
) -> None:
    del dossier
    more = tmp_path / "more"
    assert promptlab("reproduce", own, "--limit", 6, "--out", more)[0] == 0
    code, printed, _ = promptlab("reproduce", own, "--from", tmp_path / "runs", "--out", more)
    assert code == 0, printed
    assert pd.read_csv(more / "tables" / "main.csv")["n_items"].max() == 18
