"""From statistics to rows: what a contrasts table says of one model, over tasks and per task."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arrays import Array, Bools, safe_divide
from promptlab.analysis.cells import Cells, cell_statistics
from promptlab.analysis.contrast_kinds import Contrast
from promptlab.analysis.exchange import RESAMPLES, exchange_p
from promptlab.analysis.macro import Generalize, Macro, macro_statistics
from promptlab.analysis.pairing import Grid, Missing, Pairs
from promptlab.analysis.ratio import FiellerLimits

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Block", "compute"]


@dataclass(frozen=True)
class Block:
    """Contrasts of one grid, computed together.

    Attributes:
        contrasts: what is compared.
        found: statistics of the cells, tasks x contrasts.
        over: statistics over tasks.
        macro: rows over tasks, in the order of the contrasts.
        cells: rows per task; `_cell` is the place in the raveled arrays of `found`.
    """

    contrasts: Sequence[Contrast]
    found: Cells
    over: Macro
    macro: pd.DataFrame
    cells: pd.DataFrame


def compute(
    grid: Grid,
    contrasts: Sequence[Contrast],
    *,
    missing: Missing,
    tasks: Generalize,
    alpha: float,
    margin: float,
    seed: int,
    plain: bool = False,
) -> Block:
    """Statistics and rows of some contrasts of a grid.

    Args:
        grid: the scores.
        contrasts: all of them averaged, or none.
        missing: policy.
        tasks: what to generalise to.
        alpha: level.
        margin: of equivalence.
        seed: of resampling.
        plain: the contrasts are every condition against the grid's first, in its order.
    """
    weights = np.stack([c.vector(grid.conditions) for c in contrasts], axis=1)
    given = None if plain else weights
    pairs = grid.pairs(missing, given)
    found = cell_statistics(grid, pairs, alpha=alpha, margin=margin, seed=seed)
    if contrasts[0].averaged:
        found = _with_exchange(grid, contrasts, found, missing, seed)
    entropy = [seed, zlib.crc32(f"{grid.model}|{grid.shots}|{grid.protocol}".encode())]
    over = macro_statistics(
        found.original,
        found.variant,
        moments=found.moments,
        tasks=tasks,
        alpha=alpha,
        margin=margin,
        seed=np.random.default_rng(entropy),
    )
    wrong = _task_differences(grid, grid.pairs("as_wrong", given))
    counts = _counts(grid, weights, pairs)
    return Block(
        contrasts,
        found,
        over,
        _macro_frame(grid, contrasts, counts, found, over, wrong, margin),
        _cell_frame(grid, contrasts, weights, counts, found, wrong),
    )


def _with_exchange(
    grid: Grid, contrasts: Sequence[Contrast], found: Cells, missing: Missing, seed: int
) -> Cells:
    """Test means over several prompts by exchanging labels inside every item.

    Their item differences share draws and are skewed near the ceiling, where sign-flips fail.
    """
    pvalue, tests = found.pvalue.copy(), found.test_method.copy()
    ends = np.append(grid.task_starts, grid.item_starts.size)
    for k, contrast in enumerate(contrasts):
        vector = contrast.vector(grid.conditions)
        columns = np.flatnonzero(vector)
        items, _ = grid.complete(columns, missing)
        whole: Bools = np.asarray(np.isfinite(items).all(axis=1), dtype=np.bool_)
        for t, task in enumerate(grid.tasks):
            table = items[ends[t] : ends[t + 1]][whole[ends[t] : ends[t + 1]]]
            if not table.shape[0]:
                continue
            name = f"{grid.model}|{grid.shots}|{task}|{'|'.join(contrast.key)}"
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            p, used = exchange_p(table, vector[columns], n_resamples=RESAMPLES, rng=rng)
            pvalue[t, k] = p
            how = f"{used} resamples" if used else "exact"
            tests[t, k] = f"label permutation ({how})"
    return replace(found, pvalue=pvalue, test_method=tests)


def _task_differences(grid: Grid, pairs: Pairs) -> Array:
    """Mean differences, tasks x contrasts."""
    d = pairs.variant - pairs.original
    there = np.isfinite(d)
    sums = np.add.reduceat(np.where(there, d, 0.0), grid.task_starts, axis=0)
    return safe_divide(sums, np.add.reduceat(there.astype(np.int64), grid.task_starts, axis=0))


def _counts(grid: Grid, weights: Array, pairs: Pairs) -> dict[str, Any]:
    """Rows of the side that is added, and rows of any condition without their partners."""
    scored, added = np.isfinite(grid.scores), (weights > 0).astype(np.int64)
    return {
        "planned": grid.count(grid.planned) @ added,
        "scored": grid.count(scored) @ added,
        "failed": grid.count(grid.planned & ~scored & ~grid.truncated) @ added,
        "truncated": grid.count(grid.truncated) @ added,
        "unpaired": pairs.unpaired,
    }


def _relative(found: FiellerLimits) -> dict[str, Any]:
    gain, lower, upper, note = (
        np.ravel(v) for v in (found.gain, found.lower, found.upper, found.note)
    )
    # One item or one task has a ratio but no interval: nothing bounds it.
    note = np.where((note == "") & np.isnan(lower) & np.isfinite(gain), "unbounded", note)
    return {
        "relative_gain": gain,
        "relative_lower": lower,
        "relative_upper": upper,
        "relative_note": note.astype(object),
    }


def _named(contrasts: Sequence[Contrast]) -> dict[str, Any]:
    """The columns that say what is compared."""
    columns = {
        "contrast": [c.kind for c in contrasts],
        "condition": [c.condition for c in contrasts],
        "baseline": [c.baseline for c in contrasts],
        "valence": [c.valence for c in contrasts],
    }
    return {name: np.array(values, object) for name, values in columns.items()}


def _cell_frame(
    grid: Grid,
    contrasts: Sequence[Contrast],
    weights: Array,
    counts: dict[str, Any],
    found: Cells,
    wrong: Array,
) -> pd.DataFrame:
    """One row a task and contrast whose conditions were all planned there."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "level": "cell",
            "task": np.repeat(np.array(grid.tasks, object), len(contrasts)),
            **{name: np.tile(v, len(grid.tasks)) for name, v in _named(contrasts).items()},
            "primary": np.repeat(grid.primary, len(contrasts)),
            "n_tasks": (found.n > 0).astype(np.int64).ravel(),
            "n_items": found.n.ravel(),
            "mean_baseline": found.original.ravel(),
            "mean_condition": found.variant.ravel(),
            "difference": found.difference.ravel(),
            "lower": found.lower.ravel(),
            "upper": found.upper.ravel(),
            "interval_method": found.interval_method.ravel(),
            "pvalue": found.pvalue.ravel(),
            "test_method": found.test_method.ravel(),
            **_relative(found.relative),
            "equivalence_pvalue": found.equivalence.ravel(),
            "gained": found.gained.ravel(),
            "lost": found.lost.ravel(),
            **{name: values.ravel() for name, values in counts.items()},
            "missing_as_wrong": wrong.ravel(),
        }
    )
    has = (grid.count(grid.planned) > 0).astype(np.int64)
    involved = (weights != 0).astype(np.int64)
    frame["_cell"] = np.arange(len(frame))
    keep = np.asarray(has @ involved == involved.sum(axis=0)).ravel()
    return frame.loc[keep].reset_index(drop=True)


def _macro_frame(
    grid: Grid,
    contrasts: Sequence[Contrast],
    counts: dict[str, Any],
    found: Cells,
    over: Macro,
    wrong: Array,
    margin: float,
) -> pd.DataFrame:
    """One row a contrast; with one task its interval and test are those of the task's items."""
    import pandas as pd

    there = np.isfinite(wrong)
    counted = safe_divide(np.where(there, wrong, 0.0).sum(axis=0), there.sum(axis=0))
    frame = pd.DataFrame(
        {
            "level": "macro",
            "task": "*",
            **_named(contrasts),
            "primary": bool(grid.primary.any()),
            "n_tasks": over.n_tasks,
            "n_items": found.n.sum(axis=0),
            "mean_baseline": over.original,
            "mean_condition": over.variant,
            "difference": over.difference,
            "lower": over.lower,
            "upper": over.upper,
            "interval_method": over.interval_method,
            "pvalue": over.pvalue,
            "test_method": over.test_method,
            **_relative(over.relative),
            "equivalence_pvalue": _equivalence(found, over, margin),
            "gained": found.gained.sum(axis=0),
            "lost": found.lost.sum(axis=0),
            **{name: values.sum(axis=0) for name, values in counts.items()},
            "missing_as_wrong": counted,
        }
    )
    frame["_cell"] = -1
    cells = _relative(found.relative)
    for k in np.flatnonzero(over.n_tasks == 1):
        t = int(np.argmax(found.n[:, k]))
        at = t * len(over.n_tasks) + k
        for column, value in {
            "lower": found.lower[t, k],
            "upper": found.upper[t, k],
            "interval_method": f"{found.interval_method[t, k]} over items of one task",
            "pvalue": found.pvalue[t, k],
            "test_method": f"{found.test_method[t, k]} over items of one task",
            "equivalence_pvalue": found.equivalence[t, k],
            "_cell": at,
            **{name: values[at] for name, values in cells.items()},
        }.items():
            frame.loc[k, column] = value
    return frame


def _equivalence(found: Cells, over: Macro, margin: float) -> Array:
    """P values of equivalence, also where no score moved on any of two or more tasks.

    There the t test has no variance to work with. But a mean difference of at least the margin
    needs at least that share of items to move, and none of so many did: p = (1 - margin)^(tasks x
    items of the smallest task). It speaks of new items of these tasks.
    """
    counted = np.where(found.n > 0, found.n, np.iinfo(np.int64).max).min(axis=0)
    still = (found.gained.sum(axis=0) + found.lost.sum(axis=0) == 0) & (over.n_tasks > 1)
    unmoved = np.power(1 - margin, np.where(still, over.n_tasks * counted, 0).astype(np.float64))
    return np.where(still, unmoved, over.equivalence)
