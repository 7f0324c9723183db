"""What a person types to analyse and compare data of their own, and what they read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

QWEN = "replication_negativeprompt_qwen2.5-0.5b.csv"


@pytest.fixture
def means(tmp_path: Path) -> Path:
    """A summary of five tasks and three prompts, in percent."""
    rows = ["task,prompt,mean,sd,n"]
    for t in range(5):
        for k, prompt in enumerate(("plain", "career", "threat")):
            rows.append(f"t{t},{prompt},{40 + 3 * t + 2 * k * (t % 2)},{1 + k},5")
    path = tmp_path / "means.csv"
    path.write_text("\n".join(rows))
    return path


def scores(path: Path, column: str = "score", shift: int = 0) -> Path:
    rows = [f"q{i},{(i * 7 + shift * (i % 3)) % 5 % 2}" for i in range(40)]
    path.write_text("\n".join([f"item_id,{column}", *rows]))
    return path


def test_the_published_replication(promptlab: Run, published_dir: Path, tmp_path: Path) -> None:
    code, out, _ = promptlab("analyze", published_dir / QWEN, "--out", tmp_path / "r")
    assert code == 0
    page = (tmp_path / "r" / "index.html").read_text()
    for text in (out, page):
        for number in ("39.24", "33.39", "42.02", "+7.07"):
            assert number in text.replace("\u00a0", " ")
        assert "NP03 changed the score by" in text
    assert "−14.90 %" in page.replace("\u00a0", " ")
    assert "6 is NP04" in out
    assert "What can and cannot be said" in page
    assert "no McNemar test" in page
    assert "It&#39;s clear you&#39;re out of your depth here." in page
    for name in ("tables/contrasts.csv", "tables/overall.csv", "figures/forest.svg"):
        assert (tmp_path / "r" / name).is_file()
    code, again, _ = promptlab("analyze", published_dir / QWEN, "--baseline", "0", "--json")
    found = json.loads(again)
    assert (found["baseline"], found["kind"]) == ("original", "summary")
    assert round(100 * found["overall"][0]["mean_of_max"], 2) == 42.02


def test_a_summary_of_ones_own(promptlab: Run, means: Path) -> None:
    code, _, err = promptlab("analyze", means)
    assert code == 2
    assert "name it with --baseline; conditions: plain, career, threat" in err
    code, out, err = promptlab("analyze", means, "--baseline", "plain")
    assert (code, err) == (0, "")
    assert "Column 'prompt' was read as the condition." in out
    assert "Means and SDs were read as percentages" in out
    assert "best condition of each task" in out
    assert "no effect at all" in out
    code, out, _ = promptlab("analyze", means, "--baseline", "plain", "--tasks", "fixed", "--json")
    rows = json.loads(out)["contrasts"]
    assert rows[0]["test_method"] == "Welch over runs, fixed tasks"
    code, _, err = promptlab("analyze", means, "--baseline", "plain", "--missing", "as_wrong")
    assert (code, "leave --missing out" in err) == (2, True)


def test_options_reach_the_analysis(promptlab: Run, tmp_path: Path) -> None:
    rows = ["item_id,task,original,A,B"]
    rows += [f"q{i},t{i % 6},{i % 2},{i * i % 7 // 4},{i % 3 // 2}" for i in range(120)]
    path = tmp_path / "wide.csv"
    path.write_text("\n".join(rows))
    code, _, err = promptlab("analyze", path)
    assert (code, "add --kind wide: original, A, B" in err) == (2, True)
    options = ["--kind", "wide", "--confirmatory", "B", "--tasks", "fixed", "--alpha", "0.1"]
    code, out, _ = promptlab("analyze", path, *options, "--margin", "0.2", "--seed", "3", "--json")
    found = json.loads(out)
    macro = {r["condition"]: r for r in found["contrasts"] if r["level"] == "macro"}
    assert code == 0
    assert (macro["B"]["family"], macro["A"]["family"]) == ("confirmatory", "exploratory")
    assert macro["A"]["margin"] == 0.2
    assert macro["A"]["interval_method"] == "z, fixed tasks"
    assert (found["alpha"], found["seed"], found["tasks"]) == (0.1, 3, "fixed")
    assert len(found["best"]) == 1
    assert found["report"] is None


def test_columns_and_percentages(promptlab: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [
        f"{i};{c};{(i * k) % 3 * 50}" for i in range(20) for k, c in enumerate(("base", "x"), 1)
    ]
    path.write_text("frage;arm;punkte\n" + "\n".join(rows))
    names = ["--column", "item_id=frage", "--column", "condition=arm", "--column", "score=punkte"]
    code, _, err = promptlab("analyze", path, *names)
    assert (code, "(--percent does)" in err) == (2, True)
    code, out, _ = promptlab("analyze", path, *names, "--percent")
    assert code == 0
    assert "The baseline is 'base', by its name" in out
    code, _, err = promptlab("analyze", path, "--column", "score")
    assert (code, "write OURS=YOURS" in err) == (2, True)


def test_a_log_of_another_tool_is_for_compare(promptlab: Run) -> None:
    data = Path(__file__).parents[1] / "importers" / "data"
    for log, tool in (
        (next((data / "career").glob("samples*")), "lm-eval"),
        (data / "doubling.eval", "Inspect"),
    ):
        code, _, err = promptlab("analyze", log)
        assert code == 2
        assert f"is a log of {tool}, which holds one prompt" in err


def test_one_task_is_not_generalised_from(promptlab: Run, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("task,condition,mean,sd,n\nx,original,0.5,0.02,5\nx,EP02,0.6,0.02,5\n")
    code, out, _ = promptlab("analyze", path)
    assert code == 0
    assert "1 task, means without items" in out
    assert "Cannot be said: anything about other tasks" in out
    assert "p = 1.00" not in out
    code, out, _ = promptlab("analyze", path, "--tasks", "fixed")
    assert (code, "better (Holm-adjusted" in out) == (0, True)


def test_help_teaches(promptlab: Run) -> None:
    code, out, _ = promptlab("analyze", "--help")
    assert code == 0
    for word in ("item_id", "--kind wide", "task, condition, mean", "promptlab compare A B"):
        assert word in out
    code, out, _ = promptlab("compare", "--help")
    assert code == 0
    for word in ("--log_samples", "RUN:EP02", "the first is the baseline", "--by"):
        assert word in out


def test_compare_two_tables(promptlab: Run, tmp_path: Path) -> None:
    a, b = scores(tmp_path / "plain.csv"), scores(tmp_path / "career.csv", shift=1)
    code, out, err = promptlab("compare", a, b, "--out", tmp_path / "r")
    assert (code, err) == (0, "")
    assert "career changed accuracy by" in out
    assert f"plain: {a} (table, score)" in out
    assert (tmp_path / "r" / "index.html").is_file()
    code, out, _ = promptlab("compare", a, b, "--names", "P, Q", "--json")
    found = json.loads(out)
    assert [p["name"] for p in found["prompts"]] == ["P", "Q"]
    assert found["pairing"] == [{"task": "all", "paired": 40, "only_P": 0, "only_Q": 0}]
    assert found["sentences"][0].startswith("Q changed accuracy by")


def test_compare_refuses_in_one_line(promptlab: Run, tmp_path: Path) -> None:
    a = scores(tmp_path / "plain.csv")
    for words, says in (
        ([a], "at least two prompts"),
        ([a, tmp_path / "none.csv"], "no such file or folder"),
        ([a, a, "--names", "P"], "needs 2 different names"),
        ([a, scores(tmp_path / "odd.csv", "right")], "column 'score' is missing"),
    ):
        code, _, err = promptlab("compare", *words)
        assert code == 2
        assert says in err
        assert "Traceback" not in err
    code, _, _ = promptlab("compare", a, tmp_path / "odd.csv", "--column", "score=right")
    assert code == 2  # the first has no such column
