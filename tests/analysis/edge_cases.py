"""Every public function of the analysis, as a call on awkward data.

`CALLS` has one entry a public function: add a line here with every function that is added.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from edge_data import Counts, Items

import promptlab.analysis as pa
from promptlab.analysis.race_simulation import Design

FEW: dict[str, Any] = {"n_resamples": 200}

Call = Callable[[Items], Any]
CountCall = Callable[[Counts], Any]


def _analyzed(frame: pd.DataFrame) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        frame.to_csv(path, index=False)
        return pa.analyze_table(path, n_permutations=10)


def _summarized(frame: pd.DataFrame) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "means.csv"
        frame.to_csv(path, index=False)
        return pa.read_summary(path)


def _asked_at_once(s: Items) -> pa.Race:
    """A race of one block over tasks that were planned to have four items."""
    state = pa.Race(["a", "b"], planned={str(t): 4 for t in np.ravel(s.tasks)[:6].tolist()})
    state.add(s.prompts, s.tasks)
    return state


def _raced(s: Items) -> pd.DataFrame:
    found = s.race.to_frame().assign(model="model", shots=0, protocol="score")
    return pa.raced_contrasts(s.contrasts, found)


def _columns(**columns: Any) -> pd.DataFrame:
    """A table of whatever there is, as long as its shortest column."""
    flat = {name: np.ravel(np.asarray(v, dtype=object)) for name, v in columns.items()}
    size = min(v.size for v in flat.values())
    return pd.DataFrame({name: v[:size] for name, v in flat.items()})


def _importance(s: Items) -> pd.DataFrame:
    """The scores as if they were the importance of words, two prompts an item."""
    frame = s.frame.rename(columns={"score": "value"})
    count = len(frame)
    return frame.assign(
        word="word",
        position=range(count),
        group=np.where(np.arange(count) % 2 == 0, "stimulus", "task"),
        positive=np.arange(count) % 3 == 0,
        condition="c1",
    )


def _weights(values: Any) -> dict[str, Any]:
    flat = np.ravel(np.asarray(values, dtype=object))[:24].tolist()
    return {("original", "c1", "c2")[i] if i < 3 else f"c{i}": v for i, v in enumerate(flat)}


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
    "read_scores": lambda s: s.read_back,
    "write_table": lambda s: s.read_back,
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
    "ideal_bootstrap": lambda s: pa.ideal_bootstrap(s.d[:6] if np.ndim(s.d) else s.d),
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
    "contrast_of": lambda s: pa.contrast_of("own", _weights(s.d)),
    "matched_pairs": lambda s: pa.matched_pairs(s.conditions),
    "named_contrasts": lambda s: pa.named_contrasts(
        pa.CONTRAST_KINDS, s.conditions, s.conditions["condition"].tolist()
    ),
    "label_exchange": lambda s: pa.label_exchange(s.prompts, n_resamples=50),
    "crossed_mean": lambda s: pa.crossed_mean(s.many),
    "wording_sensitivity": lambda s: s.wordings,
    "wording_sentences": lambda s: pa.wording_sentences(s.wordings),
    "wording_sentence": lambda s: [
        pa.wording_sentence(row)
        for row in s.wordings[s.wordings["level"] == "task"].to_dict("records")
    ],
    "confidence_sequence": lambda s: pa.confidence_sequence(s.original, s.variant, tasks=s.tasks),
    "race": lambda s: s.race,
    "Race": _asked_at_once,
    "raced_contrasts": _raced,
    "analyze_summary": lambda s: s.summarized,
    "best_of_means": lambda s: pa.best_of_means(
        s.original, s.variants, sd=0.1, runs=5, n_simulations=100
    ),
    "check_summary": lambda s: pa.check_summary(s.summary),
    "read_summary": lambda s: _summarized(s.summary),
    "word_shares": lambda s: pa.word_shares(_importance(s), **FEW),
    "positive_shares": lambda s: pa.positive_shares(_importance(s), within=None, **FEW),
    "share_sentence": lambda s: pa.share_sentence(
        pa.positive_shares(_importance(s), within=None, **FEW)
    ),
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
    "contrasts, named": lambda s: pa.contrasts(
        s.frame, s.conditions, contrasts=["vs_control", "valence"], correction="holm"
    ),
    "matched_pairs, any table": lambda s: pa.matched_pairs(
        _columns(condition=s.tasks, matched_to=s.original)
    ),
    "named_contrasts, usual": lambda s: pa.named_contrasts(
        None, s.conditions, s.conditions["condition"].tolist()
    ),
    "named_contrasts, any table": lambda s: pa.named_contrasts(
        None, _columns(condition=s.tasks, valence=s.original, theory=s.clusters), ["c1"]
    ),
    "named_contrasts, own": lambda s: pa.named_contrasts(
        [{"name": "own", "weights": _weights(s.d)}], None, list(_weights(s.d))
    ),
    "label_exchange, weights": lambda s: pa.label_exchange(
        s.prompts, [-1, 0.25, 0.75], n_resamples=50
    ),
    "crossed_mean, prompts": lambda s: pa.crossed_mean(s.prompts),
    "wording_sensitivity, fixed": lambda s: pa.wording_sensitivity(
        s.worded, tasks="fixed", missing="as_wrong"
    ),
    "confidence_sequence, looks": lambda s: pa.confidence_sequence(
        s.original, s.variant, blocks=s.clusters
    ),
    "race, one task": lambda s: pa.race(s.original, s.variants, goal="differ", block=3),
    "race, results": lambda s: {r.condition: r for r in s.race.results()},
    "race, path": lambda s: s.race.path(),
    "analyze_summary, fixed": lambda s: pa.analyze_summary(
        s.summary, tasks="fixed", n_simulations=100
    ),
    "analyze_summary, sentences": lambda s: s.summarized.sentences(),
    "best_of_means, SDs": lambda s: pa.best_of_means(
        s.original, s.variants, sd=s.prompts, runs=5, n_simulations=100
    ),
    "check_summary, scores": lambda s: pa.check_summary(
        s.frame.rename(columns={"score": "mean"}).drop_duplicates(["task", "condition"])
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
    "RaceRules": lambda c: pa.RaceRules(c.gains, c.n),
    "simulate_race": lambda c: pa.simulate_race(
        Design("edge", (c.rates[0], 0.0), tasks=2, items=c.n, block=c.n), simulations=3
    ),
    "points": lambda c: pa.points(c.gains) if isinstance(c.gains, int | float) else None,
}
"""Functions of numbers."""

WRONG_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "level": (0, 1.5, math.nan, "a"),
    "alpha": (0, 1.5, math.nan, "a"),
    "margin": (-1, math.nan, "a"),
    "power": (1.5, math.nan),
    "n_resamples": (-1, 2.5, "a"),
    "n_permutations": (0, -1, 2.5),
    "n_simulations": (0, 2.5),
    "simulations": (0, 2.5),
    "n_splits": (0, 2.5),
    "n_samples": (0,),
    "n_threads": (0,),
    "quadrature": (0, -1),
    "block": (0, -1),
    "seed": (-1, 1.5, "a"),
    "weights": ([math.nan, 1, -1],),
    **dict.fromkeys(
        (
            *("alternative", "correction", "estimator", "generalize", "goal", "how", "kind"),
            *("method", "missing", "side", "statistic", "within", "zeros"),
        ),
        ("x",),
    ),
}
"""What no function takes under these names."""

ONLY_WORDS = {"printable", "sentence", "sentences", "wording_sentence", "wording_sentences"}
"""Functions that compute nothing: `level` names rows, and `alpha` is put into the text."""

WITHOUT_DATA = {
    "BEST_COLUMNS",
    "CONTRAST_COLUMNS",
    "CONTRAST_KINDS",
    "SENSITIVITY_COLUMNS",
    "SHARE_COLUMNS",
    "SUMMARY_COLUMNS",
    "SUMMARY_CONTRASTS",
    "WORDING_COLUMNS",
}
"""Public names that are no functions."""
