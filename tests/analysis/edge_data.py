"""Awkward data: scores of items with everything that comes with them, and plain numbers."""

from __future__ import annotations

import functools
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import promptlab.analysis as pa
from promptlab.errors import UserError


@dataclass(frozen=True)
class Items:
    """Scores of items, and everything that comes with them."""

    original: Any
    variants: Any
    tasks: Any
    clusters: Any

    @functools.cached_property
    def variant(self) -> Any:
        columns = _array(self.variants)
        return columns[:, 0] if columns is not None and columns.ndim == 2 else self.variants

    @functools.cached_property
    def d(self) -> Any:
        """Differences; the raw values where they cannot be subtracted."""
        x, y = _array(self.original), _array(self.variant)
        same = x is not None and y is not None and x.shape == y.shape and x.ndim
        return y - x if same and np.isfinite([x, y]).all() else self.variant

    @functools.cached_property
    def many(self) -> Any:
        """Differences, items x stimuli."""
        x, y = _array(self.original), _array(self.variants)
        if x is None or y is None or y.ndim != 2 or x.shape != y.shape[:1]:
            return self.variants
        return y - np.where(np.isfinite(x), x, 0.0)[:, None]

    @functools.cached_property
    def prompts(self) -> Any:
        """Items x prompts, the original first."""
        x, y = _array(self.original), _array(self.variants)
        if x is None or y is None or y.ndim != 2 or x.shape != y.shape[:1]:
            return self.variants
        return np.column_stack([x, y])

    @functools.cached_property
    def task_differences(self) -> Any:
        x, y, group = _array(self.original), _array(self.variant), np.asarray(self.tasks)
        if x is None or y is None or not x.shape == y.shape == group.shape or x.ndim != 1:
            return self.variant
        d = pd.Series(y - np.where(np.isfinite(x), x, 0.0))
        return d.groupby(group).mean().to_numpy()

    @functools.cached_property
    def task_variances(self) -> Any:
        x, y, group = _array(self.original), _array(self.variant), np.asarray(self.tasks)
        if x is None or y is None or not x.shape == y.shape == group.shape or x.ndim != 1:
            return self.variant
        finite = np.isfinite(x) & np.isfinite(y)
        d = pd.Series(np.where(finite, y, 0.0) - np.where(finite, x, 0.0)).groupby(group)
        return (d.var().fillna(0.0) / d.size()).to_numpy()

    @functools.cached_property
    def rows(self) -> tuple[Any, Any, Any, Any]:
        """Long form: item, condition, score, task of every row."""
        table, tasks = self.prompts, np.asarray(self.tasks)
        if not (isinstance(table, np.ndarray) and table.ndim == 2 and tasks.ndim == 1):
            return self.clusters, self.tasks, self.variant, self.tasks
        n, k = table.shape
        tasks = tasks if tasks.size == n else np.resize(tasks, n)
        conditions = np.repeat([f"c{j}" for j in range(k)], n)
        return np.tile(np.arange(n), k), conditions, table.T.ravel(), np.tile(tasks, k)

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """A table of scores as the DataFrame functions take it."""
        item, condition, score, task = self.rows
        size = min(np.size(item), np.size(condition), np.size(score), np.size(task))
        values = np.ravel(np.asarray(score, dtype=object))[:size]
        return pd.DataFrame(
            {
                "item_id": [f"i{v}" for v in np.ravel(item)[:size]],
                "condition": [str(v).replace("c0", "original") for v in np.ravel(condition)[:size]],
                "score": pd.Series(values).infer_objects(),
                "task": [f"t{v}" for v in np.ravel(task)[:size]],
            }
        )

    @functools.cached_property
    def read_back(self) -> pd.DataFrame:
        """The table written to a file and read again."""
        with tempfile.TemporaryDirectory() as folder:
            return pa.read_scores(pa.write_table(self.frame, Path(folder) / "scores.csv"))

    @functools.cached_property
    def _contrasts(self) -> pd.DataFrame | UserError:
        try:
            return pa.contrasts(self.frame)
        except UserError as error:
            return error

    @property
    def contrasts(self) -> pd.DataFrame:
        """Computed once, for the functions that start from it; an error is raised again."""
        if isinstance(self._contrasts, UserError):
            raise self._contrasts
        return self._contrasts

    @functools.cached_property
    def best(self) -> pd.DataFrame:
        return pa.best_of_stimuli(self.frame, n_permutations=10)

    @functools.cached_property
    def conditions(self) -> pd.DataFrame:
        """The conditions of the table: an original, a stimulus, its control, a stimulus, ..."""
        names = list(dict.fromkeys(self.frame["condition"]))
        places = np.arange(len(names))
        control = (places > 0) & (places % 2 == 0)
        return pd.DataFrame(
            {
                "condition": names,
                "method": np.where(places == 0, "original", "stimulus"),
                "valence": np.where(control, "neutral", np.where(places, "positive", "none")),
                "matched_to": [
                    f"c{i - 1}" if c else "" for i, c in zip(places, control, strict=True)
                ],
                "theory": np.where(control, "", "theory"),
            }
        )

    @functools.cached_property
    def worded(self) -> pd.DataFrame:
        """The table under two wordings of the instruction."""
        other = self.frame.assign(instruction="w01", score=self.frame["score"].to_numpy()[::-1])
        return pd.concat([self.frame.assign(instruction="own"), other], ignore_index=True)

    @functools.cached_property
    def wordings(self) -> pd.DataFrame:
        return pa.wording_sensitivity(self.worded)

    @functools.cached_property
    def summary(self) -> pd.DataFrame:
        """Means by task and condition; the values themselves where they have none."""
        if self.frame["score"].dtype.kind not in "fi":
            return self.frame.rename(columns={"score": "mean"})
        cells = self.frame.groupby(["task", "condition"], sort=False)["score"]
        with np.errstate(invalid="ignore"):
            table = cells.agg(["mean", "std", "size"]).reset_index()
        return table.rename(columns={"std": "sd", "size": "n"})

    @functools.cached_property
    def summarized(self) -> pa.SummaryAnalysis:
        return pa.analyze_summary(self.summary, n_simulations=100)

    @functools.cached_property
    def race(self) -> pa.Race:
        names = list(dict.fromkeys(self.frame["condition"]))[1:]
        return pa.race(self.original, self.variants, tasks=self.tasks, names=names)


def _array(values: Any) -> Any:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _binary(seed: int, n: int, k: int = 2, rate: float = 0.5) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    table = (rng.random((n, k + 1)) < rate).astype(float)
    return table[:, 0], table[:, 1:]


def _items(original: Any, variants: Any, n_tasks: int = 6) -> Items:
    n = np.asarray(original).size
    return Items(original, variants, np.arange(n) % n_tasks, np.arange(n) % (2 * n_tasks))


def scenarios() -> dict[str, Items]:
    x, y = _binary(3, 24)
    rng = np.random.default_rng(2)
    ones, zeros = np.ones(24), np.zeros(24)
    graded = rng.random((24, 3))
    holes = y.copy()
    holes[5, 0] = np.nan
    lone = np.where(np.arange(24) < 20, np.arange(24) % 5, np.arange(24))
    return {
        "healthy": _items(x, y),
        "graded": _items(graded[:, 0], graded[:, 1:]),
        "no discordant pair": _items(x, np.column_stack([x, x])),
        "all ties": _items(np.full(24, 0.5), np.full((24, 2), 0.5)),
        "one item": _items(np.array([1.0]), np.array([[0.0, 1.0, 1.0]]), 1),
        "two items": _items(np.array([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 1.0]]), 1),
        "one task": _items(x, y, 1),
        "two tasks": _items(x, y, 2),
        "constant gain": _items(zeros, np.ones((24, 2))),
        "constant graded gain": _items(np.full(24, 0.3), np.full((24, 2), 0.7)),
        "zero baseline": _items(zeros, y),
        "zero variant": _items(x, np.zeros((24, 2))),
        "all ones": _items(ones, np.ones((24, 2))),
        "one stimulus": _items(x, y[:, :1]),
        "missing cell": _items(x, holes),
        "missing original": _items(np.where(np.arange(24) == 3, np.nan, x), y),
        "infinite": _items(np.where(np.arange(24) == 3, np.inf, x), y),
        "all missing": _items(np.full(6, np.nan), np.full((6, 3), np.nan)),
        "unequal items": Items(x, y, np.repeat([0, 1, 2], [17, 5, 2]), np.arange(24) % 12),
        "a task of one item": Items(x, y, lone, lone),
        "one cluster": Items(x, y, np.arange(24) % 6, np.zeros(24)),
        "a cluster an item": Items(x, y, np.arange(24) % 6, np.arange(24)),
        "empty": Items(np.empty(0), np.empty((0, 3)), np.empty(0), np.empty(0)),
        "strings": Items(["a"] * 6, [["b", "c"]] * 6, np.arange(6) % 2, np.arange(6) % 3),
        "none": Items([None] * 6, [[None, None]] * 6, np.arange(6) % 2, np.arange(6) % 3),
        "lengths differ": Items(x[:20], y, np.arange(24) % 6, np.arange(24) % 12),
        "labels too short": Items(x, y, np.arange(10), np.arange(10)),
        "labels missing": Items(x, y, [None] * 24, [math.nan] * 24),
        "two dimensions": Items(np.ones((6, 2)), np.ones((6, 2, 2)), np.arange(6), np.arange(6)),
        "a number": Items(1.0, 1.0, 1, 1),
        "huge": _items(x * 1e9, y * 1e9),
        "tiny": _items(x * 1e-9, y * 1e-9),
        "negative": _items(-x, -y),
    }


@dataclass(frozen=True)
class Counts:
    """Gains, losses and pairs; shares; a difference and a spread."""

    gains: Any
    losses: Any
    n: Any

    @property
    def rates(self) -> tuple[Any, Any]:
        whole = isinstance(self.n, int | float) and self.n and isinstance(self.gains, int | float)
        if not whole or not isinstance(self.losses, int | float):
            return self.gains, self.losses
        return self.gains / self.n, self.losses / self.n


COUNTS = {
    "healthy": Counts(9, 4, 60),
    "no discordant pair": Counts(0, 0, 20),
    "ties": Counts(5, 5, 20),
    "only gains": Counts(6, 0, 25),
    "all gain": Counts(20, 0, 20),
    "all lose": Counts(0, 20, 20),
    "one pair": Counts(1, 0, 1),
    "one equal pair": Counts(0, 0, 1),
    "no pair": Counts(0, 0, 0),
    "numpy counts": Counts(np.int64(9), np.int64(4), np.int64(60)),
    "negative": Counts(-1, 0, 5),
    "more than n": Counts(4, 4, 5),
    "fractions": Counts(2.5, 1, 6),
    "nan": Counts(math.nan, 1, 6),
    "infinite": Counts(1, 1, math.inf),
    "strings": Counts("a", 1, 5),
    "none": Counts(None, 1, 5),
    "lists": Counts([1, 2], [0, 1], [5, 6]),
    "large": Counts(900, 700, 10_000),
}
