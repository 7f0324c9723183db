"""Bootstrap of whole units with a studentised mean: tasks, clusters of items.

The percentile interval of a few tasks is too short; dividing every resample's deviation by its own
standard error repairs that (Efron and Tibshirani 1993, ch. 12.5; Davison and Hinkley 1997,
ch. 5.2). Resampling whole units carries the noise of their items already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from promptlab.analysis.arguments import check_repeats
from promptlab.analysis.arrays import Array, Seed, as_vector, paired, rng_from
from promptlab.analysis.bootstrap import count_matrix
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import NO_INTERVAL, Resampled, plural
from promptlab.analysis.several import labels_of
from promptlab.errors import UnknownName, UserError

__all__ = [
    "UnitBootstrap",
    "bootstrap_t",
    "cluster_bootstrap",
    "macro_bootstrap",
    "studentized",
]

_BLOCK = 2000


@dataclass(frozen=True, kw_only=True, repr=False)
class UnitBootstrap(Resampled):
    """A bootstrap interval from whole units, or from items within tasks.

    Attributes:
        se: standard deviation of the replicates.
        units: what was resampled: values, clusters, tasks, or items within tasks.
    """

    se: float
    units: str

    label: ClassVar[str] = "mean"

    def _counted(self) -> str:
        return plural(self.n, "tasks" if "tasks" in self.method else self.unit)


def studentized(counts: Array, sums: Array, sizes: Any = None) -> tuple[Array, Array]:
    """Studentised deviations of resampled means, and the deviations themselves.

    Args:
        counts: resamples x units, how often each was drawn.
        sums: units x columns, sum of each unit's deviations from the overall mean.
        sizes: items of each unit; 1 if not given.

    Returns:
        Resamples x columns each. A resample without variation has a deviation of 0, or an
        infinite one: never a small one.
    """
    size = np.ones(sums.shape[0]) if sizes is None else np.asarray(sizes, np.float64)
    n = counts @ size
    units = counts.sum(axis=1)
    shift = (counts @ sums) / n[:, None]
    # Sum of squared unit residuals sum_c - shift size_c, expanded (CR1; the plain error for
    # units of one item).
    squares = (
        counts @ sums**2
        - 2 * shift * (counts @ (sums * size[:, None]))
        + shift**2 * (counts @ size**2)[:, None]
    )
    floor = 1e-12 * np.maximum((sums**2).max(axis=0), 1e-300)
    se = np.sqrt(np.where(squares > floor, squares, 0.0) * (units / (units - 1))[:, None])
    se = se / n[:, None]
    small = np.abs(shift) <= 1e-12
    t = np.where(small, 0.0, np.copysign(np.inf, shift))
    np.divide(shift, se, out=t, where=se > 0)
    return t, shift


def bootstrap_t(
    values: Any, *, level: float = 0.95, n_resamples: int = 10_000, seed: Seed = 0
) -> UnitBootstrap:
    """Bootstrap-t interval of a mean: of task differences, or of graded item differences.

    Args:
        values: one a unit.
        level: confidence level.
        n_resamples: of the units.
        seed: of the resamples.
    """
    x = as_vector(values)
    return _units(x, np.ones(x.size), "values", x.size, "t", level, n_resamples, seed)


def cluster_bootstrap(
    values: Any,
    clusters: Any,
    *,
    kind: Literal["t", "percentile"] = "t",
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> UnitBootstrap:
    """Mean of items that come in clusters, with whole clusters resampled.

    Args:
        values: one an item.
        clusters: the cluster of each item.
        kind: `t` studentises with CR1 (default), `percentile` is short for few clusters.
        level: confidence level.
        n_resamples: of the clusters.
        seed: of the resamples.
    """
    if kind not in ("t", "percentile"):
        raise UnknownName("bootstrap interval", str(kind), ("t", "percentile"))
    x = as_vector(values)
    group = np.unique(labels_of(clusters, x.size, "cluster"), return_inverse=True)[1].reshape(-1)
    sums = np.bincount(group, weights=x).astype(np.float64)
    sizes = np.bincount(group).astype(np.float64)
    return _units(sums, sizes, "clusters", x.size, kind, level, n_resamples, seed)


def macro_bootstrap(
    tasks: Any,
    original: Any,
    variant: Any,
    *,
    generalize: Literal["random", "fixed"] = "random",
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> UnitBootstrap:
    """Bootstrap interval of the macro difference.

    Args:
        tasks: the task of each item.
        original: item scores.
        variant: item scores of the same items.
        generalize: `random` to new tasks: whole tasks are drawn, bootstrap-t. `fixed` to new items
            of these tasks: items are drawn within every task, percentile interval. They answer
            different questions.
        level: confidence level.
        n_resamples: of tasks or items.
        seed: of the resamples.
    """
    if generalize not in ("random", "fixed"):
        raise UnknownName("unit of generalisation", str(generalize), ("random", "fixed"))
    x, y = paired(original, variant)
    d = y - x
    group = np.unique(labels_of(tasks, d.size, "task"), return_inverse=True)[1].reshape(-1)
    size = np.bincount(group).astype(np.float64)
    if generalize == "random":
        delta = np.bincount(group, weights=d) / size
        return _units(
            delta, np.ones(delta.size), "tasks", delta.size, "t", level, n_resamples, seed
        )
    return _within(d, group, level, n_resamples, seed)


def _units(
    sums: Array,
    sizes: Array,
    units: str,
    n: int,
    kind: str,
    level: float,
    n_resamples: int,
    seed: Seed,
) -> UnitBootstrap:
    critical_z(level)
    _check_resamples(n_resamples)
    count, mean = sums.size, float(sums.sum() / sizes.sum())
    off = (sums - mean * sizes)[:, None]
    common: dict[str, Any] = {
        "estimate": mean,
        "n": n,
        "method": f"bootstrap-{kind} over {units}, {n_resamples} resamples"
        if kind == "t"
        else f"{kind} bootstrap over {units}, {n_resamples} resamples",
        "level": level,
        "n_resamples": n_resamples,
        "units": units,
    }
    if count < 2:
        one = {"values": "value", "clusters": "cluster", "tasks": "task"}[units]
        return UnitBootstrap(**common, note=f"one {one}: no interval", se=math.nan)
    if float(np.abs(off).max()) < 1e-12:
        return UnitBootstrap(
            **common, interval=(mean, mean), note="degenerate: zero variance", se=0.0
        )
    rng = rng_from(seed)
    parts = [
        studentized(count_matrix(count, min(_BLOCK, n_resamples - start), rng), off, sizes)
        for start in range(0, n_resamples, _BLOCK)
    ]
    t, shift = (np.concatenate([part[i][:, 0] for part in parts]) for i in (0, 1))
    alphas = ((1 - level) / 2, (1 + level) / 2)
    note = ""
    if kind == "t":
        scale = math.sqrt(float((off**2).sum()) * count / (count - 1)) / float(sizes.sum())
        # Infinite replicates cannot be interpolated: take the next one outwards.
        low = float(np.quantile(t, alphas[0], method="lower"))
        high = float(np.quantile(t, alphas[1], method="higher"))
        interval = (mean - high * scale, mean - low * scale)
        if count < 5:
            note = f"only {count} {units}: the interval is rough"
        if not all(math.isfinite(end) for end in interval):
            note = f"{count} {units} are too few, or vary too little: the interval is unbounded"
    else:
        first, last = np.quantile(mean + shift, alphas)
        interval = (float(first), float(last))
        if count < 10:
            note = f"only {count} {units}: the interval is short"
    return UnitBootstrap(**common, interval=interval, note=note, se=float(shift.std(ddof=1)))


def _within(d: Array, group: Any, level: float, n_resamples: int, seed: Seed) -> UnitBootstrap:
    """Items resampled within every task; the tasks stay."""
    critical_z(level)
    _check_resamples(n_resamples)
    size = np.bincount(group)
    delta = np.bincount(group, weights=d) / size
    rng = rng_from(seed)
    replicates = np.zeros(n_resamples)
    for task in range(size.size):
        own = d[group == task]
        for start in range(0, n_resamples, _BLOCK):
            stop = min(start + _BLOCK, n_resamples)
            replicates[start:stop] += count_matrix(own.size, stop - start, rng) @ own / own.size
    replicates /= size.size
    mean, se = float(delta.mean()), float(replicates.std(ddof=1))
    note, interval = "", NO_INTERVAL
    if (size < 2).any():
        note = "a task has one item: its variance is unknown"
    elif float(np.abs(d - delta[group]).max()) < 1e-12:
        note, interval = "degenerate: zero variance", (mean, mean)
    else:
        low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
        interval = (float(low), float(high))
    return UnitBootstrap(
        estimate=mean,
        interval=interval,
        n=size.size,
        method=f"percentile bootstrap of items within fixed tasks, {n_resamples} resamples",
        level=level,
        note=note,
        n_resamples=n_resamples,
        se=se if interval is not NO_INTERVAL else math.nan,
        units="items within tasks",
    )


def _check_resamples(n_resamples: int) -> None:
    check_repeats(n_resamples=n_resamples)
    if n_resamples < 100:
        raise UserError(f"at least 100 resamples are needed, not {n_resamples}")
