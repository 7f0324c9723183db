"""What the benchmark of the statistics measures: cells by program, and tables of scores."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.process import CommandFailed, Usage, measure

_PROGRAM = Path(__file__).resolve().parent.parent / "contenders" / "cells.py"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    tasks: int
    models: int
    stimuli: int
    items: int
    resamples: int
    bootstrap_sample: int
    """Cells that scipy's bootstrap does."""
    permutation_sample: int
    """Cells that scipy's permutation test does."""
    rows: int
    """Rows of the table of scores, at least."""
    repeats: int

    @property
    def cells(self) -> int:
        """Paired cells."""
        return self.tasks * self.models * self.stimuli


WHOLE = Size(45, 6, 21, 100, 10_000, 20, 3, 1_000_000, 3)
QUICK = Size(4, 2, 3, 30, 500, 2, 1, 240, 1)


@dataclass(frozen=True, slots=True)
class Took:
    """The least of all repeats: of the work by a cell, and of the whole process."""

    cpu_ms: float
    wall_ms: float
    process_cpu_s: float
    process_wall_s: float
    peak_bytes: int


@dataclass
class Cells:
    """Runs of the programs, in turns."""

    size: Size
    folder: Path
    say: Say
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Every single measurement, by name."""

    def compare(self, programs: Sequence[str]) -> dict[str, Took]:
        """Each program as often as wanted; a change of the machine's speed meets all of them."""
        for _ in range(self.size.repeats):
            for program in programs:
                self._run(program)
        return {program: self._least(program) for program in programs}

    def _run(self, program: str) -> None:
        one = self.size
        some = one.permutation_sample if program.endswith("permutation") else one.bootstrap_sample
        sizes = (one.tasks, one.models, one.stimuli, one.items, one.resamples, some)
        used = run([str(_PROGRAM), program, *map(str, sizes)], self.folder)
        found = json.loads(used.output.splitlines()[-1])
        for what, value in (
            ("cpu_ms", found["cpu_s"] * 1_000 / found["cells"]),
            ("wall_ms", found["wall_s"] * 1_000 / found["cells"]),
            ("process_cpu_s", used.cpu_s),
            ("process_wall_s", used.wall_s),
            ("peak_bytes", used.peak_bytes),
        ):
            self.samples[f"{program}, {what}"].append(round(value, 5))
        self.say(
            f"{program}: {found['cells']:,} cells in {found['cpu_s']:.2f} s CPU, "
            f"{found['wall_s']:.2f} s"
        )

    def _least(self, program: str) -> Took:
        of = {what: self.samples[f"{program}, {what}"] for what in Took.__slots__}
        return Took(
            cpu_ms=min(of["cpu_ms"]),
            wall_ms=min(of["wall_ms"]),
            process_cpu_s=min(of["process_cpu_s"]),
            process_wall_s=min(of["process_wall_s"]),
            peak_bytes=int(max(of["peak_bytes"])),
        )


def run(arguments: Sequence[str], folder: Path) -> Usage:
    """A Python program as a whole process."""
    return measure(
        [sys.executable, *arguments],
        folder=folder,
        printed=folder / "printed.txt",
        env=dict(os.environ),
    )


def analyze(table: Path, folder: Path, *, report: bool = False) -> Usage:
    """`promptlab analyze`, from the start of the process to its last sentence."""
    out = ["--out", str(folder / "report")] if report else []
    used = run(["-m", "promptlab", "analyze", str(table), *out], folder)
    wanted = "report:" if report else "Choosing the best"
    if wanted not in used.output:
        raise CommandFailed(f"promptlab analyze did not say '{wanted}'\n{used.output}")
    return used


def write_table(path: Path, rows: int, protocols: int) -> int:
    """A table of scores with at least so many rows; returns how many.

    45 tasks x 22 conditions, 101 items, right/wrong but for one graded task, as many models as it
    takes. A second protocol reads 3 % of the answers as wrong.
    """
    import pandas as pd

    rng = np.random.default_rng(0)
    tasks, conditions = (45, 22) if rows >= 100_000 else (3, 4)
    items = 101 if rows >= 100_000 else 20
    models = max(1, round(rows / (tasks * conditions * items * protocols)))
    shape = (models, tasks, conditions, items)
    ability = rng.beta(1.5, 1.5, (models, tasks, 1, items))
    score = (rng.random(shape) < ability).astype(np.float64)
    graded = ability[:, :1] + 0.2 * rng.normal(size=(models, 1, conditions, items))
    score[:, :1] = np.clip(graded, 0, 1).round(6)
    labels = (
        [f"model{m}" for m in range(models)],
        [f"suite/task{t:02}" for t in range(tasks)],
        ["original", *(f"EP{k:02}" for k in range(1, conditions))],
        [f"item{i:03}" for i in range(items)],
    )
    columns = {
        name: np.array(known, dtype=object)[np.broadcast_to(place, shape).ravel()]
        for name, known, place in zip(
            ("model", "task", "condition", "item_id"), labels, np.indices(shape), strict=True
        )
    }
    read = [score, np.where(rng.random(shape) < 0.03, 0.0, score)][:protocols]
    frames = [
        pd.DataFrame(columns | {"score": one.ravel(), "protocol": f"p{p}", "primary": p == 0})
        for p, one in enumerate(read)
    ]
    table = pd.concat(frames, ignore_index=True)
    table.to_parquet(path, index=False)
    return len(table)
