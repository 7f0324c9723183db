"""Every public function of the analysis, as a call on awkward data.

`CALLS` has one entry a public function: add a line here with every function that is added.
"""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import promptlab.analysis as pa
from promptlab.errors import UserError

FEW: dict[str, Any] = {"n_resamples": 200}


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

Call = Callable[[Items], Any]
CountCall = Callable[[Counts], Any]


def _written(frame: pd.DataFrame) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        return pa.read_scores(pa.write_table(frame, Path(folder) / "scores.csv"))


def _analyzed(frame: pd.DataFrame) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        frame.to_csv(path, index=False)
        return pa.analyze_table(path, n_permutations=10)


ITEM_CALLS: Mapping[str, Call] = {
    "t_interval": lambda s: pa.t_interval(s.d),
    "count_pairs": lambda s: pa.count_pairs(s.original, s.variant),
    "sign_flip": lambda s: pa.sign_flip(s.d, **FEW),
    "adjust": lambda s: pa.adjust(s.original),
    "adjust_families": lambda s: pa.adjust_families(s.original, s.tasks),
    "bootstrap_mean": lambda s: pa.bootstrap_mean(s.d, **FEW),
    "interval_from_replicates": lambda s: pa.interval_from_replicates(s.d, s.original),
    "fieller": lambda s: pa.fieller(s.original, s.variant),
    "log_ratio": lambda s: pa.log_ratio(s.original, s.variant),
    "paper_relative_gain": lambda s: pa.paper_relative_gain(s.original, s.variant),
    "ratio_bootstrap": lambda s: pa.ratio_bootstrap(s.original, s.variant, kind="bca", **FEW),
    "tost_t": lambda s: pa.tost_t(s.d, 0.05),
    "check_scores": lambda s: pa.check_scores(s.frame),
    "read_scores": lambda s: _written(s.frame),
    "write_table": lambda s: _written(s.frame),
    "contrasts": lambda s: s.contrasts,
    "max_t": lambda s: pa.max_t(s.many, **FEW),
    "cross_fit": lambda s: pa.cross_fit(s.original, s.variants, tasks=s.tasks, n_splits=2),
    "cliffs_delta": lambda s: pa.cliffs_delta(s.original, s.variant),
    "cohens_d_av": lambda s: pa.cohens_d_av(s.original, s.variant),
    "cohens_d_z": lambda s: pa.cohens_d_z(s.d),
    "hedges_g_av": lambda s: pa.hedges_g_av(s.original, s.variant),
    "hedges_g_z": lambda s: pa.hedges_g_z(s.d),
    "kendall_w": lambda s: pa.kendall_w(s.prompts),
    "paired_dominance": lambda s: pa.paired_dominance(s.d),
    "rank_biserial": lambda s: pa.rank_biserial(s.d),
    "macro_difference": lambda s: pa.macro_difference(s.tasks, s.original, s.variant),
    "normalized": lambda s: pa.normalized(s.original, 0.25, 1.0),
    "clustered_mean": lambda s: pa.clustered_mean(s.d, s.clusters),
    "cluster_sign_flip": lambda s: pa.cluster_sign_flip(s.d, s.clusters, **FEW),
    "random_effects": lambda s: pa.random_effects(s.task_differences, s.task_variances),
    "variance_components": lambda s: pa.variance_components(s.tasks, s.original),
    "hodges_lehmann": lambda s: pa.hodges_lehmann(s.d),
    "wilcoxon": lambda s: pa.wilcoxon(s.d),
    "cochran_q": lambda s: pa.cochran_q(s.prompts),
    "friedman": lambda s: pa.friedman(s.prompts),
    "friedman_from_ranks": lambda s: pa.friedman_from_ranks(s.original, 12),
    "fleiss_kappa": lambda s: pa.fleiss_kappa(s.variants),
    "intraclass_correlations": lambda s: pa.intraclass_correlations(s.variants),
    "krippendorff_alpha": lambda s: pa.krippendorff_alpha(s.variants, **FEW),
    "ideal_bootstrap": lambda s: pa.ideal_bootstrap(s.d),
    "conditional_logit": lambda s: pa.conditional_logit(*s.rows[:3]),
    "gee_logit": lambda s: pa.gee_logit(*s.rows[:3]),
    "random_intercept_logit": lambda s: pa.random_intercept_logit(*s.rows[:3], quadrature=5),
    "linear_mixed": lambda s: pa.linear_mixed(s.rows[3], s.rows[1], s.rows[2], slopes=False),
    "bayes_hierarchy": lambda s: pa.bayes_hierarchy(s.task_differences, s.task_variances),
    "bayes_signed_rank": lambda s: pa.bayes_signed_rank(s.task_differences, n_samples=500),
    "simultaneous_bounds": lambda s: pa.simultaneous_bounds(s.many, **FEW),
    "winner": lambda s: pa.winner(
        s.original, s.variants, tasks=s.tasks, n_splits=2, n_permutations=50, **FEW
    ),
    "bootstrap_t": lambda s: pa.bootstrap_t(s.d, **FEW),
    "cluster_bootstrap": lambda s: pa.cluster_bootstrap(s.d, s.clusters, **FEW),
    "macro_bootstrap": lambda s: pa.macro_bootstrap(s.tasks, s.original, s.variant, **FEW),
    "macro_relative_gain": lambda s: pa.macro_relative_gain(s.tasks, s.original, s.variant),
    "normalized_relative_gain": lambda s: pa.normalized_relative_gain(
        s.original, s.variant, 0.0, 1.0
    ),
    "task_relative_gains": lambda s: pa.task_relative_gains(s.tasks, s.original, s.variant),
    "crossed_ratings": lambda s: pa.crossed_ratings(s.d, s.tasks, s.clusters, **FEW),
    "noise_floor": lambda s: pa.noise_floor(s.original, s.variant, tasks=s.tasks),
    "resample_cells": lambda s: pa.resample_cells([s.many], **FEW),
    "resample_scores": lambda s: pa.resample_scores(s.frame, **FEW),
    "label_permutation": lambda s: pa.label_permutation(s.prompts, s.tasks, n_permutations=50),
    "best_of_stimuli": lambda s: s.best,
    "protocol_sensitivity": lambda s: pa.protocol_sensitivity(s.contrasts),
    "best_sentences": lambda s: pa.best_sentences(s.best),
    "sentences": lambda s: pa.sentences(s.contrasts),
    "sentence": lambda s: pa.sentence(s.contrasts.iloc[0]),
    "printable": lambda s: pa.printable(s.contrasts),
    "latex": lambda s: pa.latex(pa.printable(s.contrasts)),
    "analyze_scores": lambda s: pa.analyze_scores(s.frame, n_permutations=10),
    "analyze_table": lambda s: _analyzed(s.frame),
    "power_max_t": lambda s: pa.power_max_t(s.d, 8, n_simulations=10, n_resamples=39),
}
ITEM_OPTIONS: Mapping[str, Call] = {
    "macro_difference, fixed": lambda s: pa.macro_difference(
        s.tasks, s.original, s.variant, generalize="fixed"
    ),
    "macro_bootstrap, fixed": lambda s: pa.macro_bootstrap(
        s.tasks, s.original, s.variant, generalize="fixed", **FEW
    ),
    "macro_relative_gain, fixed": lambda s: pa.macro_relative_gain(
        s.tasks, s.original, s.variant, generalize="fixed"
    ),
    "cluster_bootstrap, percentile": lambda s: pa.cluster_bootstrap(
        s.d, s.clusters, kind="percentile", **FEW
    ),
    "random_effects, PM": lambda s: pa.random_effects(
        s.task_differences, s.task_variances, estimator="PM", hartung_knapp=True
    ),
    "cross_fit, one task": lambda s: pa.cross_fit(s.original, s.variants, n_splits=2),
    "winner, one task": lambda s: pa.winner(
        s.original, s.variants, n_splits=2, n_permutations=50, **FEW
    ),
    "krippendorff_alpha, nominal": lambda s: pa.krippendorff_alpha(s.variants, "nominal", **FEW),
    "krippendorff_alpha, ratio": lambda s: pa.krippendorff_alpha(s.variants, "ratio", **FEW),
    "gee_logit, clusters": lambda s: pa.gee_logit(*s.rows[:3], clusters=s.rows[3]),
    "label_permutation, mean": lambda s: pa.label_permutation(
        s.prompts, s.tasks, statistic="mean", n_permutations=50
    ),
    "max_t, mean": lambda s: pa.max_t(s.many, statistic="mean", side="upper", **FEW),
    "simultaneous_bounds, two-sided": lambda s: pa.simultaneous_bounds(
        s.many, side="two-sided", **FEW
    ),
    "wilcoxon, normal": lambda s: pa.wilcoxon(s.d, how="normal", zeros="drop", continuity=True),
    "noise_floor, one task": lambda s: pa.noise_floor(s.original, s.variant),
    "random_intercept_logit, Laplace": lambda s: pa.random_intercept_logit(
        *s.rows[:3], quadrature=1
    ),
}

COUNT_CALLS: Mapping[str, CountCall] = {
    "wilson": lambda c: pa.wilson(c.gains, c.n),
    "clopper_pearson": lambda c: pa.clopper_pearson(c.gains, c.n),
    "jeffreys": lambda c: pa.jeffreys(c.gains, c.n),
    "beta_interval": lambda c: pa.beta_interval(c.gains, c.n),
    "tango": lambda c: pa.tango(c.gains, c.losses, c.n),
    "bonett_price": lambda c: pa.bonett_price(c.gains, c.losses, c.n),
    "newcombe": lambda c: pa.newcombe(c.n, c.gains, c.losses, 3),
    "mcnemar": lambda c: pa.mcnemar(c.gains, c.losses, c.n),
    "matched_odds_ratio": lambda c: pa.matched_odds_ratio(c.gains, c.losses),
    "cohens_g": lambda c: pa.cohens_g(c.gains, c.losses),
    "tost_tango": lambda c: pa.tost_tango(c.gains, c.losses, c.n, 0.05),
    "probability_of_gain": lambda c: pa.probability_of_gain(c.gains, c.losses),
    "dirichlet_difference": lambda c: pa.dirichlet_difference(c.gains, c.losses, c.n, margin=0.05),
    "power_mcnemar": lambda c: pa.power_mcnemar(60, *c.rates),
    "size_mcnemar": lambda c: pa.size_mcnemar(60, *c.rates),
    "normal_power": lambda c: pa.normal_power(60, *c.rates),
    "connor_n": lambda c: pa.connor_n(*c.rates),
    "miller_n": lambda c: pa.miller_n(*c.rates),
    "mcnemar_n": lambda c: pa.mcnemar_n(*c.rates),
    "power_tost_tango": lambda c: pa.power_tost_tango(60, *c.rates, 0.1),
    "detectable_mcnemar": lambda c: pa.detectable_mcnemar(c.n, 0.2),
    "detectable_t": lambda c: pa.detectable_t(c.n, c.gains),
    "detectable_difference": lambda c: pa.detectable_difference(c.gains, c.n),
    "power_t": lambda c: pa.power_t(c.n, c.losses, c.gains),
    "t_n": lambda c: pa.t_n(c.losses, c.gains),
    "power_tost": lambda c: pa.power_tost(c.n, 0.1, c.losses, delta=c.gains),
    "tost_n": lambda c: pa.tost_n(0.1, c.losses),
    "items_needed": lambda c: pa.items_needed(c.losses, var_between=c.gains),
    "tasks_needed": lambda c: pa.tasks_needed(c.losses, sd_task=c.gains, var_item=0.2, n_items=c.n),
    "replicate_design": lambda c: pa.replicate_design(
        var_between=c.gains, var_within=c.losses, n_items=c.n
    ),
    "design_errors": lambda c: pa.design_errors(c.gains, c.losses, df=c.n),
    "exaggeration": lambda c: pa.exaggeration(c.rates[0]),
    "nemenyi_cd": lambda c: pa.nemenyi_cd(c.n, c.gains),
    "resampling_counts": lambda c: pa.resampling_counts(c.n, n_resamples=5),
    "points": lambda c: pa.points(c.gains) if isinstance(c.gains, int | float) else None,
}
"""Functions of numbers."""

KNOWN: dict[tuple[str, str], str] = {
    ("label_permutation", "strings"): "a ValueError of numpy's",
    ("label_permutation", "labels missing"): "a TypeError of numpy's",
    ("max_t", "strings"): "a ValueError of numpy's",
    ("resampling_counts", "no pair"): "a ZeroDivisionError",
    ("resampling_counts", "infinite"): "an OverflowError",
    ("resampling_counts", "lists"): "a ValueError of numpy's",
}
"""Function and scenario that still raise something else than a UserError."""

WITHOUT_DATA = {"CONTRAST_COLUMNS", "BEST_COLUMNS", "SENSITIVITY_COLUMNS"}
"""Public names that are no functions."""
