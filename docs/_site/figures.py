"""The pictures of README and of the pages, from the run in runs/example; no model is asked.

`make figures` writes them into docs/figures; the same run gives the same bytes.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from promptlab.analysis import figures, papers, style
from promptlab.conclude import tasks_table
from promptlab.runs import Run, list_runs

EXAMPLE = Path(__file__).resolve().parents[2] / "runs" / "example"
NAMES = ("forest.svg", "best_of_eleven.svg")


def draw(run: Run) -> dict[str, Axes]:
    """EmotionPrompt's contrasts with the original, and its best sentence of each task."""
    contrasts, conditions = run.contrasts(), run.conditions()
    own = contrasts["condition"].str.startswith("EP") & (contrasts["contrast"] == "vs_original")
    texts = dict(zip(conditions["condition"], conditions["text"], strict=True))
    part = papers.Part(
        name="example", scores=run.scores(), conditions=conditions, tasks=tasks_table(run)
    )
    (setting,) = papers.gather([part], "emotionprompt").where()
    null = 100 * (setting.null.best - setting.null.original)
    observed = 100 * float(np.ravel(setting.observed.best - setting.observed.original)[0])
    forest = figures.forest(contrasts[own & contrasts["primary"]], texts=texts)
    best = figures.best_of_many(observed, null)
    return dict(zip(NAMES, (forest, best), strict=True))


def write(folder: Path, example: Path = EXAMPLE) -> list[Path]:
    """Draw all and write them; returns the files."""
    (run,) = (r for r in list_runs(example) if r.name == "example-instruction-induction")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, ax in draw(run).items():
        buffer = io.BytesIO()
        with style.context(svg_hashsalt=f"promptlab/{name}"):
            style.figure_of(ax).savefig(buffer, format="svg", metadata={"Date": None})
        (folder / name).write_bytes(buffer.getvalue())
        written.append(folder / name)
    return written


if __name__ == "__main__":
    for path in write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures")):
        print(path)
