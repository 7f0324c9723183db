"""What is in the reader's folder before a page begins, where the page takes it to be there."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["prepare"]

DATA = Path(__file__).resolve().parent / "importers" / "data"


def prepare(page: str, folder: Path) -> None:
    """Put the files of a page, if it has any, into the folder."""
    if page in _FILES:
        _FILES[page](folder)


def _compare(folder: Path) -> None:
    """Logs and tables of two prompts, as docs/compare.md names them."""
    for name in ("plain", "career"):
        shutil.copytree(DATA / name, folder / name)
        shutil.copy(DATA / "doubling.eval", folder / f"{name}.eval")
    right = {
        "original": [i % 2 for i in range(60)],
        "EP02": [int(i % 3 > 0) for i in range(60)],
        "NP03": [int(i % 5 > 2) for i in range(60)],
    }

    def write(name: str, head: str, rows: list[str]) -> None:
        (folder / name).write_text("\n".join([head, *rows]) + "\n")

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


def _wordings(folder: Path) -> None:
    """Paraphrases of a task."""
    text = "procedural/last_word: [Write the last word., What is the last word?]\n"
    (folder / "wordings.yaml").write_text(text)


def _registered(folder: Path) -> None:
    """A small experiment."""
    (folder / "experiment.yaml").write_text(
        "name: career\n"
        "models: [mock/words]\n"
        "tasks: [procedural/last_word, procedural/plural, procedural/sum]\n"
        "conditions: [original, EP02, EP03, NP01, EP02-neutral, EP03-neutral]\n"
        "items: 4\n"
        "analysis:\n"
        "  confirmatory: [EP02, NP01, career]\n"
        "  contrasts:\n"
        "    - {name: career, weights: {EP02: 1, EP03: 1, EP02-neutral: -1, EP03-neutral: -1}}\n"
    )


_FILES = {
    "compare.md": _compare,
    "preregistration.md": _registered,
    "wordings.md": _wordings,
}
