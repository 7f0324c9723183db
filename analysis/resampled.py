"""`resample_cells` on a table of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from promptlab.analysis.arguments import check_choice
from promptlab.analysis.arrays import Array
from promptlab.analysis.flips import Side, Statistic
from promptlab.analysis.pairing import Grid, Missing, grids
from promptlab.analysis.resampling import resample_cells
from promptlab.analysis.tables import check_scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["resample_scores"]


def resample_scores(
    scores: pd.DataFrame,
    *,
    baseline: str = "original",
    bca: bool = False,
    missing: Missing = "drop_pair",
    statistic: Statistic = "t",
    side: Side = "abs",
    level: float = 0.95,
    n_resamples: int = 10_000,
    n_threads: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Bootstrap and max-T of every condition against the baseline, per task and over tasks.

    All models and conditions of one (shots, protocol) share their resamples, item by item. Max-T
    adjusts over the conditions of a model.

    Args:
        scores: one row an item, condition and protocol; see `promptlab.analysis.tables`.
        baseline: the condition to compare with.
        bca: also BCa intervals of the cells.
        missing: as in `contrasts`.
        statistic: as in `resample_cells`, like all that follow.
        side: of the tests.
        level: of the intervals.
        n_resamples: bootstrap samples and sign patterns.
        n_threads: they do not change the result.
        seed: of the resamples.

    Returns:
        One row a cell (`level` = cell, `n` = items), then one a condition over tasks (`level` =
        macro, `n` = tasks). Over tasks, lower and upper hold for new tasks (bootstrap-t),
        fixed_lower and fixed_upper for new items of these tasks.

    Raises:
        UserError: a malformed table or a wrong argument.
        UnpairedScores: the rows do not pair; the message says why.
    """
    check_choice("missing-data policy", missing, get_args(Missing))
    import pandas as pd

    together: dict[tuple[int, str], list[Grid]] = {}
    for grid in grids(check_scores(scores), baseline):
        together.setdefault((grid.shots, grid.protocol), []).append(grid)
    parts: list[pd.DataFrame] = []
    for (shots, protocol), several in together.items():
        tasks = sorted({task for grid in several for task in grid.tasks})
        columns = [(grid.model, c) for grid in several for c in grid.conditions[1:]]
        found = resample_cells(
            _blocks(several, tasks, missing),
            families=[model for model, _ in columns],
            tasks=tasks,
            columns=columns,
            bca=bca,
            statistic=statistic,
            side=side,
            level=level,
            n_resamples=n_resamples,
            n_threads=n_threads,
            seed=seed,
        )
        cells = found.to_frame().assign(level="cell")
        macro = found.macro.to_frame().rename(columns={"n_tasks": "n"})
        for frame in (cells, macro.assign(level="macro", task="*")):
            named = frame.pop("column").to_list()
            frame = frame.assign(shots=shots, protocol=protocol)
            frame["model"], frame["condition"] = zip(*named, strict=True)
            parts.append(frame)
    out = pd.concat(parts, ignore_index=True)
    first = ["level", "model", "shots", "protocol", "task", "condition"]
    # Conditions that a task lacks altogether are no cells.
    out = out[(out["level"] == "macro") | (out["n"] > 0)]
    out = out.sort_values("level", kind="stable", ignore_index=True)
    return out[[*first, *(c for c in out if c not in first)]]


def _blocks(several: list[Grid], tasks: list[str], missing: Missing) -> list[Array]:
    """For each task the differences of all models, on the items that any of them has."""
    pairs = [grid.pairs(missing) for grid in several]
    widths = np.cumsum([0, *(p.variant.shape[1] for p in pairs)])
    blocks = []
    for task in tasks:
        where = [_items(grid, task) for grid in several]
        items = sorted({item for names, _ in where for item in names})
        place = {item: i for i, item in enumerate(items)}
        block = np.full((len(items), int(widths[-1])), np.nan)
        for (names, rows), pair, left, right in zip(
            where, pairs, widths[:-1], widths[1:], strict=True
        ):
            at = [place[item] for item in names]
            block[at, left:right] = pair.variant[rows] - pair.original[rows]
        blocks.append(block)
    return blocks


def _items(grid: Grid, task: str) -> tuple[tuple[str, ...], slice]:
    """The items of a task in a grid: their ids and their rows."""
    if task not in grid.tasks:
        return (), slice(0, 0)
    t = grid.tasks.index(task)
    ends = np.append(grid.task_starts, len(grid.items))
    rows = slice(int(ends[t]), int(ends[t + 1]))
    return grid.items[rows], rows
