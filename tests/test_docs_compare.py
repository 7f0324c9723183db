"""Every command of docs/compare.md is typed, and prints what the page says."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from promptlab.cli import main

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "importers" / "data"
PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
SECTIONS = [part for part in PAGE.split("\n## ") if "```console" in part]


def commands(section: str) -> list[tuple[list[str], list[str]]]:
    """Each command of a section with the lines that it prints."""
    found: list[tuple[list[str], list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", section, flags=re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ ").split(), []))
            else:
                found[-1][1].append(line)
    return found


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page takes to be there."""
    for name in ("plain", "career"):
        shutil.copytree(DATA / name, tmp_path / name)
        shutil.copy(DATA / "doubling.eval", tmp_path / f"{name}.eval")
    right = {
        "original": [i % 2 for i in range(60)],
        "EP02": [int(i % 3 > 0) for i in range(60)],
        "NP03": [int(i % 5 > 2) for i in range(60)],
    }

    def write(name: str, head: str, rows: list[str]) -> None:
        (tmp_path / name).write_text("\n".join([head, *rows]) + "\n")

    for name, condition in (("plain", "original"), ("career", "EP02")):
        rows = [f"q{i},{s}" for i, s in enumerate(right[condition])]
        write(f"{name}.csv", "item_id,score", rows)
    long = [f"q{i},t{i % 3},{c},{s}" for c, row in right.items() for i, s in enumerate(row)]
    write("answers.csv", "item_id,task,condition,score", long)
    wide = [
        f"q{i},{','.join(map(str, row))}" for i, row in enumerate(zip(*right.values(), strict=True))
    ]
    write("wide.csv", f"item_id,{','.join(right)}", wide)
    marks = [f"q{i};base;{100 * s}\nq{i};new;{50 * s}" for i, s in enumerate(right["EP02"])]
    write("marks.csv", "question;arm;percent", marks)
    means = [
        f"t{t},{c},{0.5 + 0.02 * ((t * k) % 3):.2f},0.02,5"
        for t in range(6)
        for k, c in enumerate(right)
    ]
    write("means.csv", "task,condition,mean,sd,n", means)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")


@pytest.mark.parametrize("section", SECTIONS, ids=[s.splitlines()[0].strip("# ") for s in SECTIONS])
@pytest.mark.usefixtures("files")
def test_the_commands_print_what_the_page_says(
    section: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "Inspect" in section.splitlines()[0]:
        pytest.importorskip("inspect_ai", reason="the extra 'inspect' is not installed")
    typed = commands(section)
    assert typed
    for words, lines in typed:
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        assert not stopped.value.code, printed.err
        for line in lines:
            assert line in printed.out
