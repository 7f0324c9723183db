"""The best of many stimuli beside what the best would be if no stimulus did anything.

Under the complete null an item's scores under all prompts are exchangeable. Exchanging the prompt
labels inside every item gives the distribution of any statistic, such as the mean over tasks of the
best stimulus' gain: a number that is far above zero even when nothing works.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from promptlab.analysis.arguments import as_numbers, check_choice, check_repeats
from promptlab.analysis.arrays import TIE, Array, Bools, Ints, Seed, safe_divide, whole_seed
from promptlab.analysis.pairing import Grid, grids
from promptlab.analysis.permuted import permuted_means
from promptlab.analysis.results import Resampled, Scale, number, plural
from promptlab.analysis.several import labels_of
from promptlab.analysis.streams import entropy_of, threads_from
from promptlab.analysis.tables import check_scores
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BEST_COLUMNS", "LabelPermutation", "best_of_stimuli", "label_permutation"]

BEST_COLUMNS = (
    "model",
    "shots",
    "protocol",
    "n_tasks",
    "n_stimuli",
    "mean_of_max",
    "null_mean",
    "null_upper",
    "pvalue",
    "relative",
    "relative_null_mean",
    "excluded_tasks",
)
Statistic = Literal["max", "mean"]


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelPermutation(Resampled):
    """A statistic beside its distribution under `all prompts are the same`.

    A small p value rejects that hypothesis; it does not say which stimulus helps.

    Attributes:
        null_mean: what the statistic is on average without any effect.
        null_upper: its 95th percentile without any effect.
        n_stimuli: prompts besides the original.
        n_tasks: groups of items.
    """

    null_mean: float
    null_upper: float
    n_stimuli: int
    n_tasks: int

    scale: ClassVar[Scale] = "points"

    def _counted(self) -> str:
        return f"{plural(self.n, self.unit)} of {plural(self.n_tasks, 'tasks')}"

    def _remark(self) -> str:
        mean, upper = (number(v, self.scale) for v in (self.null_mean, self.null_upper))
        return (
            f"without any effect it would be {mean} points on average, and at most {upper} in "
            "95 % of experiments"
        )


def label_permutation(
    scores: Any,
    tasks: Any = None,
    *,
    statistic: Statistic = "max",
    n_permutations: int = 2000,
    seed: Seed = 0,
) -> LabelPermutation:
    """Within-item label permutation test of the complete null.

    Args:
        scores: items x prompts; the first column is the original.
        tasks: the task of each item; one task if not given.
        statistic: `max`, the mean over tasks of the best stimulus minus the original (one-sided),
            or `mean`, of the average stimulus minus the original (two-sided).
        n_permutations: p = (1 + exceedances) / (n_permutations + 1).
        seed: of the permutations.

    Raises:
        UserError: fewer than two prompts, no items, missing scores, or labels that do not fit.

    Examples:
        Four prompts with the same answers but for chance, 50 items of each of two tasks:

        >>> rng = np.random.default_rng(0)
        >>> scores = rng.random((100, 4)) < 0.6
        >>> label_permutation(scores, tasks=np.repeat(["a", "b"], 50), n_permutations=500)
        The best stimulus of each task minus the original is +4.0 points on 100 items of 2 tasks,
        p = 0.69 (label permutation, one-sided, 500 resamples). Without any effect it would be
        +6.1 points on average, and at most +17.0 in 95 % of experiments.
    """
    check_choice("statistic", statistic, get_args(Statistic))
    check_repeats(n_permutations=n_permutations)
    table = as_numbers(scores, "label permutation")
    if table.ndim != 2 or table.shape[1] < 2 or table.shape[0] < 1:
        raise UserError("label permutation needs items x prompts with at least two prompts")
    if not np.isfinite(table).all():
        raise UserError("label permutation needs every item under every prompt; leave the rest out")
    n = table.shape[0]
    groups = np.zeros(n) if tasks is None else labels_of(tasks, n, "task")
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    of_means = _mean_of_max if statistic == "max" else _mean_of_mean
    observed, null = _permute(
        table[order], starts.astype(np.int64), [of_means], n_permutations, entropy_of(seed)
    )
    reached = null[0] >= observed[0] - TIE
    if statistic == "mean":
        reached = np.abs(null[0]) >= abs(observed[0]) - TIE
    p = (1 + int(reached.sum())) / (n_permutations + 1)
    what = "best stimulus of each task" if statistic == "max" else "average stimulus"
    sides = "one-sided" if statistic == "max" else "two-sided"
    return LabelPermutation(
        estimate=float(observed[0]),
        pvalue=p,
        n=table.shape[0],
        method=f"{what} minus the original, label permutation, {sides}, {n_permutations} resamples",
        n_resamples=n_permutations,
        mc_error=float(np.sqrt(p * (1 - p) / n_permutations)),
        null_mean=float(null[0].mean()),
        null_upper=float(np.quantile(null[0], 0.95)),
        n_stimuli=table.shape[1] - 1,
        n_tasks=starts.size,
    )


def _mean_of_max(means: Array) -> Array:
    return np.asarray((means[1:].max(axis=0) - means[0]).mean(axis=0))


def _mean_of_mean(means: Array) -> Array:
    return np.asarray((means[1:].mean(axis=0) - means[0]).mean(axis=0))


def _relative_of_max(means: Array) -> Array:
    ratio = safe_divide(means[1:].max(axis=0), means[0]) - 1
    defined = np.isfinite(ratio)
    return safe_divide(np.where(defined, ratio, 0.0).sum(axis=0), defined.sum(axis=0))


def _permute(
    table: Array,
    starts: Ints,
    statistics: list[Callable[[Array], Array]],
    n_permutations: int,
    entropy: int,
    *place: int,
) -> tuple[Array, Array]:
    """Observed statistics of the task means, and statistics x permutations under the null.

    A statistic is a function of prompts x tasks x permutations.
    """
    sizes = np.diff(np.append(starts, table.shape[0]))[:, None]
    means = (np.add.reduceat(table, starts, axis=0) / sizes).T[..., None]
    observed = np.concatenate([s(means) for s in statistics])
    blocks = permuted_means(
        table, starts, n_permutations, entropy, *place, n_threads=threads_from(None)
    )
    null = [np.stack([s(shuffled) for s in statistics]) for shuffled in blocks]
    return observed, np.concatenate(null, axis=1)


def best_of_stimuli(
    scores: pd.DataFrame,
    conditions: pd.DataFrame | None = None,
    *,
    baseline: str = "original",
    n_permutations: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """`Best stimulus per task`, averaged over tasks, beside what it would be with no effect.

    Args:
        scores: one row an item, condition and protocol.
        conditions: optional, with columns condition, method, valence; keeps baseline methods and,
            if there are others, neutral controls out of the contest.
        baseline: the condition to compare with.
        n_permutations: of the labels inside each item.
        seed: of the permutations.

    Returns:
        One row for each (model, shots, protocol), columns `BEST_COLUMNS`: mean_of_max, null_mean
        and null_upper (95th percentile) in score units; relative is the mean over tasks of the
        per-task maximal relative gain, without the excluded_tasks (a count) whose original is 0.
        Only items scored under every condition are used. NaN where there are none.
    """
    check_repeats(n_permutations=n_permutations)
    whole_seed(seed)
    import pandas as pd

    table = check_scores(scores)
    wanted = _contestants(conditions)
    rows = []
    for grid in grids(table, baseline, order=sorted(wanted)):
        items, starts = _complete(grid, wanted)
        row: dict[str, Any] = dict.fromkeys(BEST_COLUMNS, np.nan)
        row |= {"model": grid.model, "shots": grid.shots, "protocol": grid.protocol}
        row |= {"n_tasks": starts.size, "n_stimuli": items.shape[1] - 1, "excluded_tasks": 0}
        if starts.size and items.shape[1] > 1:
            place = zlib.crc32(f"{grid.model}|{grid.shots}|{grid.protocol}".encode())
            observed, null = _permute(
                items, starts, [_mean_of_max, _relative_of_max], n_permutations, seed, place
            )
            sums = np.add.reduceat(items[:, 0], starts)
            finite = null[1][np.isfinite(null[1])]
            row |= {
                "mean_of_max": observed[0],
                "null_mean": null[0].mean(),
                "null_upper": np.quantile(null[0], 0.95),
                "pvalue": (1 + int((null[0] >= observed[0] - TIE).sum())) / (n_permutations + 1),
                "relative": observed[1],
                "relative_null_mean": finite.mean() if finite.size else np.nan,
                "excluded_tasks": int((sums == 0).sum()),
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=list(BEST_COLUMNS))


def _contestants(conditions: pd.DataFrame | None) -> set[str]:
    """Conditions that compete to be the best; empty = all."""
    if conditions is None or "method" not in conditions:
        return set()
    stimuli = conditions[conditions["method"] == "stimulus"]
    if "valence" in stimuli and (stimuli["valence"] != "neutral").any():
        stimuli = stimuli[stimuli["valence"] != "neutral"]
    return set(stimuli["condition"])


def _complete(grid: Grid, wanted: set[str]) -> tuple[Array, Ints]:
    """Item means of the original and the contestants, for items that all of them have."""
    scored = np.isfinite(grid.scores)
    columns = [
        k
        for k, c in enumerate(grid.conditions)
        if k == 0 or ((not wanted or c in wanted) and scored[:, k].any())
    ]
    values = grid.scores[:, columns]
    whole: Bools = np.asarray(np.isfinite(values).all(axis=1), dtype=np.bool_)
    sums = np.add.reduceat(np.where(whole[:, None], values, 0.0), grid.item_starts, axis=0)
    count = np.add.reduceat(whole.astype(np.int64), grid.item_starts)
    keep = np.flatnonzero(count)
    _, starts = np.unique(grid.item_task[keep], return_index=True)
    return sums[keep] / count[keep, None], starts.astype(np.int64)
