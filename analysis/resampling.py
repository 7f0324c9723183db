"""All cells of an experiment at once: bootstrap, sign flips and max-T with shared resamples.

One matrix of counts a task, drawn once, serves every stimulus and every model, and so do the signs:
a column costs one row of a matrix product. Sharing also keeps the correlation of the columns, which
max-T needs. Scores on a grid (right or wrong, tenths, ...) are whole numbers inside: their sums in
32-bit floats are exact, and quantiles are read from a histogram without sorting.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from promptlab.analysis.arguments import check_choice, check_level, check_repeats
from promptlab.analysis.arrays import Array, Ints, Seed, product, safe_divide
from promptlab.analysis.flips import Side, Statistic, Tally
from promptlab.analysis.macroboot import MacroResampling, over_tasks
from promptlab.analysis.replicated import Bootstrapped, Moments, bootstrap_columns
from promptlab.analysis.results import unnested
from promptlab.analysis.streams import (
    block_sizes,
    draw_signs,
    entropy_of,
    in_order,
    stream,
    threads_from,
)
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CellResampling", "resample_cells"]

Strings = np.ndarray[Any, np.dtype[np.object_]]
_SIGNS = 1
"""First word of the place of a stream; the bootstrap's is in `replicated`, the macro level's in
`macroboot`."""


@dataclass(frozen=True, repr=False)
class CellResampling:
    """Intervals and tests of many cells. Arrays are tasks x columns.

    Attributes:
        tasks: names.
        columns: labels, such as (model, stimulus).
        n: pairs.
        estimate: mean difference; NaN without a pair.
        lower: lower end of the percentile interval.
        upper: its upper end.
        bca: lower and upper ends of the BCa interval, if it was asked for.
        pvalue: sign-flip test of each cell alone.
        single_step: adjusted by the largest of its family in the task.
        step_down: adjusted by successive maxima.
        note: why an interval is no interval; empty where there is nothing to say.
        macro: the same over tasks, one entry a column.
        level: of the intervals.
        n_resamples: of the bootstrap, and of the signs.
        method: what was done.
    """

    tasks: tuple[str, ...]
    columns: tuple[Hashable, ...]
    n: Ints
    estimate: Array
    lower: Array
    upper: Array
    bca: tuple[Array, Array] | None
    pvalue: Array
    single_step: Array
    step_down: Array
    note: Strings
    macro: MacroResampling
    level: float
    n_resamples: int
    method: str

    def to_frame(self) -> pd.DataFrame:
        """One row a cell."""
        import pandas as pd

        rows, width = self.n.shape
        named = pd.Series([*self.columns], dtype="object")
        arrays: dict[str, Any] = {
            "n": self.n,
            "estimate": self.estimate,
            "lower": self.lower,
            "upper": self.upper,
            "pvalue": self.pvalue,
            "single_step": self.single_step,
            "step_down": self.step_down,
            "note": self.note,
        }
        if self.bca is not None:
            arrays |= {"bca_lower": self.bca[0], "bca_upper": self.bca[1]}
        return pd.DataFrame(
            {
                "task": np.repeat(np.array(self.tasks, object), width),
                "column": np.tile(named.to_numpy(), rows),
                **{name: values.ravel() for name, values in arrays.items()},
            }
        )

    def __repr__(self) -> str:
        found = int((self.step_down <= 1 - self.level).sum())
        return (
            f"Of {self.n.size} cells ({self.n.shape[0]} tasks x {self.n.shape[1]} columns) {found} "
            f"differ from 0 at {1 - self.level:.2g} by step-down max-T ({unnested(self.method)})."
        )


def resample_cells(
    differences: Sequence[Any],
    *,
    families: Sequence[Hashable] | None = None,
    tasks: Sequence[str] | None = None,
    columns: Sequence[Hashable] | None = None,
    bca: bool = False,
    statistic: Statistic = "t",
    side: Side = "abs",
    level: float = 0.95,
    n_resamples: int = 10_000,
    n_threads: int | None = None,
    seed: Seed = 0,
) -> CellResampling:
    """Bootstrap, sign-flip and max-T of every cell, with the same resamples for all columns.

    For right/wrong answers in small cells prefer `tango` and `mcnemar`: a bootstrap interval
    covers too little there. Inside one task max-T holds its level only nearly; see `max_t`.

    Args:
        differences: for each task an array of items x columns, variant minus original; NaN = the
            item has no pair in that column. The columns are the same in all tasks.
        families: a label for each column, such as its model: max-T adjusts within a task over the
            columns of one label. One family if not given.
        tasks: names of the tasks; numbers if not given.
        columns: names of the columns; numbers if not given.
        bca: also BCa intervals (Efron 1987), with mid-tie z0 and jackknife acceleration.
        statistic: of max-T; `t` studentises, `mean` does not.
        side: `abs` for any change, `upper` for variant better.
        level: of the intervals.
        n_resamples: bootstrap samples, and sign patterns: p = (1 + exceedances) / (n + 1).
        n_threads: threads; all processors if not given. The result is the same for any number.
        seed: of the resamples.

    Raises:
        UserError: no task, arrays of different widths, infinite values, labels that do not fit.
    """
    check_level(level)
    check_choice("statistic", statistic, get_args(Statistic))
    check_choice("side", side, get_args(Side))
    check_repeats(n_resamples=n_resamples)
    blocks = _checked(differences)
    width = blocks[0].shape[1]
    names = tuple(str(t) for t in _labels(tasks, len(blocks), "task names"))
    labels = tuple(_labels(columns, width, "column names"))
    if n_resamples < 100:
        raise UserError(f"n_resamples must be at least 100, not {n_resamples}")
    groups = _groups(families, width)
    entropy = entropy_of(seed)
    threads = threads_from(n_threads)

    def work(t: int) -> tuple[Bootstrapped, tuple[Array, Array, Array]]:
        moments = Moments.of(blocks[t])
        found = bootstrap_columns(
            moments, entropy=entropy, task=t, n_resamples=n_resamples, level=level, bca=bca
        )
        tally = Tally(moments.signed, groups, statistic=statistic, side=side)
        for number, _, size in block_sizes(n_resamples):
            signs = draw_signs(stream(entropy, _SIGNS, t, number), len(blocks[t]), size)
            tally.add(product(moments.steps.T, signs))
        return found, tally.pvalues(n_resamples)

    cells: list[Bootstrapped] = []
    tests: list[tuple[Array, Array, Array]] = []
    sums = np.zeros((width, n_resamples))
    for found, tested in in_order(work, range(len(blocks)), threads):
        sums += np.where(found.n[:, None] > 0, found.replicates, 0.0)
        cells.append(found.without_replicates())
        tests.append(tested)
    n = np.array([c.n for c in cells])
    raw, single, down = (np.where(n > 0, np.array([t[i] for t in tests]), np.nan) for i in range(3))
    estimate = np.array([c.estimate for c in cells])
    replicates = safe_divide(sums, (n > 0).sum(axis=0)[:, None])
    bent = [c.bca for c in cells if c.bca is not None]
    return CellResampling(
        tasks=names,
        columns=labels,
        n=n,
        estimate=estimate,
        lower=np.array([c.lower for c in cells]),
        upper=np.array([c.upper for c in cells]),
        bca=(np.array([e[0] for e in bent]), np.array([e[1] for e in bent])) if bca else None,
        pvalue=raw,
        single_step=single,
        step_down=down,
        note=np.array([c.note for c in cells], dtype=object),
        macro=over_tasks(
            estimate,
            replicates,
            labels,
            groups,
            statistic=statistic,
            side=side,
            level=level,
            n_resamples=n_resamples,
            entropy=entropy,
        ),
        level=level,
        n_resamples=n_resamples,
        method=f"item bootstrap and sign-flip max-T of the {statistic}, {side}, "
        f"{n_resamples} resamples",
    )


def _checked(differences: Sequence[Any]) -> list[Array]:
    try:
        blocks = [np.asarray(d, dtype=np.float64) for d in differences]
    except (TypeError, ValueError):
        raise UserError("differences: every value must be a number") from None
    if not blocks:
        raise UserError("differences: at least one task is needed, as an array of items x columns")
    for t, block in enumerate(blocks):
        if block.ndim != 2 or 0 in block.shape:
            raise UserError(f"task {t}: an array of items x columns is needed, not {block.shape}")
        if block.shape[1] != blocks[0].shape[1]:
            raise UserError(
                f"task {t} has {block.shape[1]} columns and task 0 {blocks[0].shape[1]}; "
                "give a column of NaN where a task lacks one"
            )
        if np.isinf(block).any():
            raise UserError(f"task {t}: a difference is infinite")
    return blocks


def _labels(given: Sequence[Any] | None, count: int, what: str) -> Sequence[Any]:
    if given is None:
        return range(count)
    if len(given) != count:
        raise UserError(f"{len(given)} {what} for {count}")
    return given


def _groups(families: Sequence[Hashable] | None, width: int) -> list[Ints]:
    """Positions of the columns of each family."""
    found: dict[Hashable, list[int]] = {}
    for k, label in enumerate(_labels(families or None, width, "family labels")):
        found.setdefault(label if families else "", []).append(k)
    return [np.array(columns, dtype=np.int64) for columns in found.values()]
