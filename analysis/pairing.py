"""From rows of scores to paired arrays: items x conditions for each model, shots and protocol.

Rows pair on (task, item, wording of the instruction, replicate). The mean over an item's paired
wordings and replicates is the item's score, so neither is ever counted as an item.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from promptlab.analysis.arrays import Array, Bools, Ints, safe_divide
from promptlab.errors import UnknownName, UnpairedScores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Grid", "Missing", "Pairs", "grids"]

Missing = Literal["drop_pair", "as_wrong"]


@dataclass(frozen=True)
class Pairs:
    """Conditions against the baseline. Arrays are items x conditions; NaN = the item has no pair.

    Attributes:
        original: item scores of the baseline, over the replicates that pair.
        variant: item scores of the conditions.
        unpaired: rows scored on one side only, tasks x conditions.
    """

    original: Array
    variant: Array
    unpaired: Ints


@dataclass(frozen=True)
class Grid:
    """All scores of one model, number of shots and protocol.

    Attributes:
        model: its id.
        shots: number of demonstrations.
        protocol: of scoring.
        tasks: sorted ids.
        conditions: ids; the first is the baseline.
        primary: of each task, whether the protocol decides for it.
        scores: rows x conditions, NaN = not scored; rows are (task, item, wording, replicate),
            sorted.
        planned: rows x conditions, whether the row was in the table at all.
        truncated: rows x conditions, whether the answer was cut off.
        item_starts: first row of each item.
        task_starts: first item of each task.
        wordings: sorted ids of the wordings of the instruction.
        row_wording: wording of each row.
        items: their ids, sorted within a task.
    """

    model: str
    shots: int
    protocol: str
    tasks: tuple[str, ...]
    conditions: tuple[str, ...]
    primary: Bools
    scores: Array
    planned: Bools
    truncated: Bools
    item_starts: Ints
    task_starts: Ints
    wordings: tuple[str, ...]
    row_wording: Ints
    items: tuple[str, ...]

    @property
    def item_task(self) -> Ints:
        """Task of each item."""
        sizes = np.diff(np.append(self.task_starts, self.item_starts.size))
        return np.repeat(np.arange(len(self.tasks)), sizes)

    @property
    def task_rows(self) -> Ints:
        """First row of each task."""
        return self.item_starts[self.task_starts]

    def count(self, flags: Bools) -> Ints:
        """Flagged rows, tasks x conditions."""
        return np.add.reduceat(flags.astype(np.int64), self.task_rows, axis=0)

    def only(self, tasks: Collection[str]) -> Grid:
        """The same grid without the other tasks."""
        rows = np.diff(np.append(self.item_starts, self.scores.shape[0]))
        items = np.isin(self.item_task, [i for i, t in enumerate(self.tasks) if t in tasks])
        kept, task = np.repeat(items, rows), self.item_task[items]
        named = np.unique(task)
        return replace(
            self,
            tasks=tuple(self.tasks[t] for t in named),
            primary=self.primary[named],
            scores=self.scores[kept],
            planned=self.planned[kept],
            truncated=self.truncated[kept],
            item_starts=np.cumsum(rows[items]) - rows[items],
            task_starts=np.searchsorted(task, named),
            row_wording=self.row_wording[kept],
            items=tuple(np.array(self.items, object)[items]),
        )

    def by_wording(self) -> Grid:
        """The same rows with every (item, wording) as an item of its own."""
        sizes = np.diff(np.append(self.item_starts, self.scores.shape[0]))
        item = np.repeat(np.arange(self.item_starts.size), sizes)
        starts = np.flatnonzero(np.diff(item, prepend=-1) | np.diff(self.row_wording, prepend=-1))
        tasks = np.searchsorted(starts, self.task_rows)
        items = tuple(self.items[i] for i in item[starts])
        return replace(self, item_starts=starts, task_starts=tasks, items=items)

    def pairs(self, missing: Missing = "drop_pair", weights: Array | None = None) -> Pairs:
        """Pair every condition with the baseline, or one weighted side with the other.

        Args:
            missing: `drop_pair` leaves out rows that lack a score on either side; `as_wrong`
                scores them 0 in the tasks that both conditions have.
            weights: conditions x contrasts; positive weights sum to 1 and make the variant,
                negative ones to -1 and make the original. A row takes part if it is scored under
                every condition with a weight. Each condition against the first if not given.
        """
        if weights is not None:
            return self._weighted(missing, weights)
        original, variant = self.scores[:, :1], self.scores[:, 1:]
        original = np.broadcast_to(original, variant.shape)
        if missing == "as_wrong":
            has = self.count(self.planned) > 0
            shared = has[:, 1:] & has[:, :1]
            rows = np.diff(np.append(self.task_rows, self.scores.shape[0]))
            wanted = np.repeat(shared, rows, axis=0) & (self.planned[:, 1:] | self.planned[:, :1])
            original = np.where(wanted & np.isnan(original), 0.0, original)
            variant = np.where(wanted & np.isnan(variant), 0.0, variant)
        there, here = np.isfinite(original), np.isfinite(variant)
        both = there & here
        return Pairs(
            original=self._item_means(original, both),
            variant=self._item_means(variant, both),
            unpaired=self.count(there ^ here),
        )

    def complete(self, columns: Ints, missing: Missing = "drop_pair") -> tuple[Array, Ints]:
        """Items x these conditions over the rows that all of them have, and rows that only some do.

        Returns:
            Item means, NaN for an item without such a row; unpaired rows of each task.
        """
        scores = self.scores[:, columns]
        if missing == "as_wrong":
            planned = self.planned[:, columns]
            shared = (self.count(planned) > 0).all(axis=1)
            rows = np.diff(np.append(self.task_rows, scores.shape[0]))
            wanted = np.repeat(shared, rows) & planned.any(axis=1)
            scores = np.where(wanted[:, None] & np.isnan(scores), 0.0, scores)
        scored = np.isfinite(scores)
        whole: Bools = np.asarray(scored.all(axis=1), dtype=np.bool_)
        means = self._item_means(scores, np.broadcast_to(whole[:, None], scores.shape))
        some: Bools = np.asarray(scored.any(axis=1), dtype=np.bool_)
        return means, self.count((some & ~whole)[:, None])[:, 0]

    def _weighted(self, missing: Missing, weights: Array) -> Pairs:
        shape = (self.item_starts.size, weights.shape[1])
        original, variant = np.empty(shape), np.empty(shape)
        unpaired = np.empty((len(self.tasks), weights.shape[1]), np.int64)
        for k in range(weights.shape[1]):
            columns = np.flatnonzero(weights[:, k])
            w = weights[columns, k]
            items, unpaired[:, k] = self.complete(columns, missing)
            variant[:, k] = _side(items[:, w > 0], w[w > 0])
            original[:, k] = _side(items[:, w < 0], -w[w < 0])
        return Pairs(original=original, variant=variant, unpaired=unpaired)

    def _item_means(self, scores: Array, use: Bools) -> Array:
        if self.item_starts.size == scores.shape[0]:
            return np.where(use, scores, np.nan)
        sums = np.add.reduceat(np.where(use, scores, 0.0), self.item_starts, axis=0)
        return safe_divide(sums, np.add.reduceat(use.astype(np.int64), self.item_starts, axis=0))


def _side(items: Array, weights: Array) -> Array:
    """Weighted means; equal weights divide once, so that right/wrong scores stay exact."""
    if np.ptp(weights) < 1e-12:
        return np.asarray(items.sum(axis=1) / weights.size)
    return np.asarray((items * weights).sum(axis=1))


def grids(scores: pd.DataFrame, baseline: str, order: Sequence[str] = ()) -> Iterator[Grid]:
    """One grid for each (model, shots, protocol), in the order of first appearance.

    Args:
        scores: as `check_scores` returns them.
        baseline: the condition to compare with.
        order: preferred order of the conditions; others follow as they appear.

    Raises:
        UnknownName: no row has the baseline.
        UnpairedScores: within a task answers were read or scored in two ways, or a condition and
            the baseline share no item.
    """
    known = [str(c) for c in scores["condition"].unique()]
    if baseline not in known:
        raise UnknownName("baseline", baseline, known, f"conditions: {', '.join(known)}")
    if len(known) < 2:
        raise UnpairedScores(f"there is only the baseline '{baseline}'; nothing to compare it with")
    ranked = [c for c in order if c in known] + [c for c in known if c not in set(order)]
    conditions = [baseline, *(c for c in ranked if c != baseline)]
    _one_reading(scores)
    for key, part in scores.groupby(["model", "shots", "protocol"], sort=False):
        model, shots, protocol = (str(k) for k in key)
        grid = _grid(part, model, int(shots), protocol, conditions)
        _check_overlap(grid)
        yield grid


def _grid(part: pd.DataFrame, model: str, shots: int, protocol: str, conditions: list[str]) -> Grid:
    import pandas as pd

    task, tasks = pd.factorize(part["task"], sort=True)
    item, items = pd.factorize(part["item_id"], sort=True)
    wording, wordings = pd.factorize(part["instruction"], sort=True)
    replicates = int(part["replicate"].max()) + 1
    repeat = wording.astype(np.int64) * replicates + part["replicate"].to_numpy()
    repeats = len(wordings) * replicates
    present = set(part["condition"].unique())
    used = [c for c in conditions if c in present or c == conditions[0]]
    column = pd.Categorical(part["condition"], categories=used).codes
    item_key = task.astype(np.int64) * len(items) + item
    row_keys, row = np.unique(item_key * repeats + repeat, return_inverse=True)
    item_keys, item_starts = np.unique(row_keys // repeats, return_index=True)
    _, task_starts = np.unique(item_keys // len(items), return_index=True)
    shape = (row_keys.size, len(used))
    values, planned = np.full(shape, np.nan), np.zeros(shape, bool)
    truncated = np.zeros(shape, bool)
    values[row, column] = part["score"].to_numpy()
    planned[row, column] = True
    truncated[row, column] = (part["status"] == "truncated").to_numpy()
    primary = np.zeros(len(tasks), bool)
    np.logical_or.at(primary, task, part["primary"].to_numpy())
    return Grid(
        model=model,
        shots=shots,
        protocol=protocol,
        tasks=tuple(str(t) for t in tasks),
        conditions=tuple(used),
        primary=primary,
        scores=values,
        planned=planned,
        truncated=truncated,
        item_starts=item_starts.astype(np.int64),
        task_starts=task_starts.astype(np.int64),
        wordings=tuple(str(w) for w in wordings),
        row_wording=row_keys % repeats // replicates,
        items=tuple(items.astype(object)[item_keys % len(items)]),
    )


def _one_reading(scores: pd.DataFrame) -> None:
    """Within a task, all conditions must be read and scored in the same way."""
    scored = scores[scores["score"].notna()]
    for column, how in (("method", "read from"), ("metric", "scored by")):
        if scored[column].nunique() < 2:
            continue
        groups = ["model", "shots", "protocol", "task"]
        kinds = scored.drop_duplicates([*groups, "condition", column])
        several = kinds.groupby(groups, sort=False)[column].transform("nunique") > 1
        if several.any():
            mixed = kinds[several]
            first = mixed.iloc[0]
            same = (mixed[groups] == first[groups]).all(axis=1)
            other = mixed[same & (mixed[column] != first[column])].iloc[0]
            raise UnpairedScores(
                f"task {first['task']} ({first['model']}, protocol {first['protocol']}, "
                f"{first['shots']} shots): '{first['condition']}' was {how} {first[column]} and "
                f"'{other['condition']}' {how} {other[column]}; such scores cannot be compared: "
                "score both in one way, or leave the condition out for this task"
            )


def _check_overlap(grid: Grid) -> None:
    where = f"model {grid.model}, {grid.shots} shots, protocol {grid.protocol}"
    has = grid.count(grid.planned) > 0
    if not has[:, 0].any():
        raise UnpairedScores(
            f"{where}: no row of the baseline '{grid.conditions[0]}'; add it, or choose another"
        )
    shared = grid.count(grid.planned[:, 1:] & grid.planned[:, :1]) > 0
    for k, condition in enumerate(grid.conditions[1:]):
        apart = np.flatnonzero(has[:, k + 1] & has[:, 0] & ~shared[:, k])
        if apart.size:
            raise UnpairedScores(
                f"{where}, task {grid.tasks[apart[0]]}: '{condition}' and "
                f"'{grid.conditions[0]}' have no item in common; give the same items (item_id, "
                "instruction and replicate) in both"
            )
        if not shared[:, k].any():
            raise UnpairedScores(
                f"{where}: '{condition}' and '{grid.conditions[0]}' have no task in common"
            )
