from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import promptlab as pl
from promptlab.cli import main
from promptlab.runs import Run
from promptlab.settings import store_path

Result = tuple[int, str, str]
Command = Callable[..., Result]
SPEC = {
    "name": "s",
    "models": ["mock/skilled?p=0.6", {"id": "mock/skilled?p=0.5", "name": "other"}],
    "tasks": ["procedural/first_letter"],
    "conditions": ["original", {"stimuli": ["EP02"]}],
    "items": 20,
}


@pytest.fixture
def run() -> Run:
    return pl.run(SPEC, analysis=False)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("COLUMNS", "120")

    def command(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["promptlab", "store", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return command


def edit(statement: str) -> None:
    with contextlib.closing(sqlite3.connect(store_path())) as db:
        db.execute(statement)
        db.commit()


@pytest.mark.parametrize("verb", ["stats", "verify", "prune", "export", "import"])
def test_every_verb_says_what_it_does(store: Command, verb: str) -> None:
    code, out, _ = store(verb, "--help")
    assert code == 0
    assert "--json" in out


@pytest.mark.parametrize("verb", [["stats"], ["verify"], ["prune", "--older-than", "1d"]])
def test_before_the_first_run(store: Command, verb: list[str]) -> None:
    code, _, err = store(*verb)
    assert code == 2
    assert "no store at" in err
    assert not store_path().exists()


def test_stats(store: Command, run: Run) -> None:
    code, out, _ = store("stats", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["answers"] == 80
    assert found["models"] == {"mock/skilled?p=0.6": 40, "mock/skilled?p=0.5": 40}
    assert found["bytes"] == store_path().stat().st_size
    assert found["claims"] == 0
    assert found["oldest"] <= found["newest"]
    text = store("stats")[1]
    assert str(store_path()) in text
    assert "40  mock/skilled?p=0.5" in text


def test_verify_finds_and_removes_a_damaged_answer(store: Command, run: Run) -> None:
    assert store("verify")[:2] == (0, f"{store_path()}: 80 answers, all as they were written\n")
    edit("UPDATE responses SET body = substr(body, 1, 30) WHERE id IN (5, 6)")
    code, out, _ = store("verify")
    assert code == 3
    assert "78 answers are right, 2 are damaged" in out
    assert "verify --remove" in out
    code, out, _ = store("verify", "--json")
    found = json.loads(out)
    assert code == 3
    assert (found["answers"], found["damaged"], len(found["keys"])) == (78, 2, 2)
    assert {key for key in run.responses()["request_hash"] if key[:32] in found["keys"]}
    assert store("verify", "--remove")[0] == 0
    assert store("verify")[1].startswith(f"{store_path()}: 78 answers, all")
    assert pl.run(SPEC | {"name": "again"}, analysis=False).status["asked"] == 2


def test_verify_makes_a_file_anew_that_is_damaged_as_a_whole(store: Command, run: Run) -> None:
    os.truncate(store_path(), store_path().stat().st_size - 4096)
    code, out, _ = store("verify")
    assert code == 3
    assert "file: database disk image is malformed" in out
    code, out, err = store("verify", "--remove", "--json")
    assert code == 0
    assert json.loads(out)["removed"] is True
    assert "the damaged file is kept" in err
    assert store("verify")[1].startswith(f"{store_path()}: 80 answers, all")


def test_prune_says_what_it_would_delete(store: Command, run: Run) -> None:
    code, out, _ = store("prune", "--model", "mock/skilled?p=0.5")
    assert code == 0
    assert "would delete 40 of 80 answers" in out
    assert "--yes" in out
    assert json.loads(store("stats", "--json")[1])["answers"] == 80
    edit("UPDATE responses SET created = created - 100 * 86400 WHERE id % 2")
    found = json.loads(store("prune", "--older-than", "90d", "--yes", "--json")[1])
    assert (found["matching"], found["deleted"]) == (40, 40)
    assert store("prune", "--older-than", "90d", "--yes")[1].startswith("none of the 40")
    assert json.loads(store("stats", "--json")[1])["answers"] == 40


@pytest.mark.parametrize("words", [[], ["--older-than", "soon"], ["--older-than", "d"]])
def test_prune_needs_to_be_told_what(store: Command, run: Run, words: list[str]) -> None:
    code, _, err = store("prune", *words)
    assert code == 2
    assert "90d" in err


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl.zst", "a.jsonl"])
def test_answers_move_to_another_machine(
    store: Command, run: Run, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    code, out, _ = store("export", file)
    assert code == 0
    assert "80 answers" in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert store("export", file)[0] == 2, "nothing is overwritten"
    store_path().unlink()
    assert store("import", file)[1] == f"{file}: 80 answers added, 0 already there\n"
    code, out, _ = store("import", file, "--json")
    assert json.loads(out)[str(file)] == {
        "read": 80,
        "added": 0,
        "known": 80,
        "refused": 0,
        "without_answer": 0,
    }
    assert pl.run(SPEC | {"name": "again"}, analysis=False).status["asked"] == 0


def test_a_part_of_the_store(store: Command, run: Run, tmp_path: Path) -> None:
    pl.run(SPEC | {"name": "more", "items": 25}, analysis=False)
    assert store("export", tmp_path / "all.jsonl")[1].startswith(f"{tmp_path / 'all.jsonl'}: 100")
    words = ["--run", run.path.name, "--model", "mock/skilled?p=0.5", "--json"]
    found = json.loads(store("export", tmp_path / "part.jsonl", *words)[1])
    assert found["rows"] == 40
    keys = {json.loads(line)["key"] for line in (tmp_path / "part.jsonl").open()}
    rows = run.responses()
    assert keys == set(rows.loc[rows["model"] == "other", "request_hash"])
    assert store("export", tmp_path / "none.jsonl", "--run", "nowhere")[0] == 2
    assert not (tmp_path / "none.jsonl").exists()


def test_a_run_is_a_source_too(store: Command, run: Run) -> None:
    store_path().unlink()
    assert store("import", run.path.name)[1] == (
        f"{run.path.name}: 80 answers added, 0 already there\n"
    )
    assert store("import", run.path)[1].endswith("0 answers added, 80 already there\n")


def test_what_is_refused_shows_in_the_exit_code(store: Command, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    store("export", file)
    file.write_text(file.read_text().replace('"replicate":0', '"replicate":1', 3))
    code, out, _ = store("import", file)
    assert code == 3
    assert "3 refused" in out
    code, _, err = store("import", tmp_path / "b.jsonl")
    assert code == 2
    assert "no file" in err
