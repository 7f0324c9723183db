"""Estimates, intervals, tests and tables from per-item scores; usable alone, on anybody's scores.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "intervals": (
        "beta_interval bonett_price clopper_pearson jeffreys newcombe t_interval tango wilson"
    ),
    "paired": "McNemar PairedCounts count_pairs matched_odds_ratio mcnemar",
    "signflip": "SignFlip sign_flip",
    "multiplicity": "adjust adjust_families",
    "bootstrap": "Bootstrap bootstrap_mean interval_from_replicates",
    "ratio": "RelativeGain fieller log_ratio paper_relative_gain ratio_bootstrap",
    "equivalence": "Tost tost_t tost_tango",
    "power": (
        "DesignErrors Detectable MaxTPower connor_n design_errors detectable_difference "
        "detectable_mcnemar detectable_t exaggeration items_needed mcnemar_n miller_n "
        "normal_power power_max_t power_mcnemar power_t power_tost power_tost_tango "
        "replicate_design size_mcnemar t_n tasks_needed tost_n"
    ),
    "results": "Resampled Result",
    "tables": "check_scores read_scores",
    "contrast_table": "CONTRAST_COLUMNS contrasts",
    "contrast_kinds": "CONTRAST_KINDS Contrast contrast_of matched_pairs named_contrasts",
    "exchange": "label_exchange",
    "maxt": "MaxT max_t",
    "resampling": "CellResampling resample_cells",
    "resampled": "resample_scores",
    "replicated": "resampling_counts",
    "macroboot": "MacroResampling",
    "confidence_sequences": "ConfidenceSequence confidence_sequence",
    "racing": "Race race",
    "raced": "Raced",
    "race_rules": "RaceRules",
    "race_contrasts": "raced_contrasts",
    "race_simulation": "simulate_race",
    "crossfit": "CrossFit cross_fit",
    "effects": (
        "cliffs_delta cohens_d_av cohens_d_z cohens_g hedges_g_av hedges_g_z kendall_w "
        "paired_dominance rank_biserial"
    ),
    "estimands": "MacroDifference macro_difference normalized",
    "clusters": "ClusteredMean cluster_sign_flip clustered_mean",
    "meta": "Pooled random_effects",
    "replicates": "VarianceComponents variance_components",
    "ranks": "HodgesLehmann Wilcoxon hodges_lehmann wilcoxon",
    "omnibus": "CochranQ Friedman cochran_q friedman friedman_from_ranks nemenyi_cd",
    "agreement": (
        "FleissKappa Icc KrippendorffAlpha fleiss_kappa intraclass_correlations krippendorff_alpha"
    ),
    "enumerated": "IdealBootstrap ideal_bootstrap",
    "logistic": "LogisticModel conditional_logit gee_logit",
    "intercepts": "random_intercept_logit",
    "mixed": "MixedModel linear_mixed",
    "bayes": "PosteriorDifference dirichlet_difference probability_of_gain",
    "hierarchy": "BayesHierarchy BayesSignedRank bayes_hierarchy bayes_signed_rank",
    "several": "Several",
    "simultaneous": "SimultaneousBounds simultaneous_bounds",
    "selection": "Winner winner",
    "studentized": "UnitBootstrap bootstrap_t cluster_bootstrap macro_bootstrap",
    "gains": (
        "MacroRelativeGain TaskGains macro_relative_gain normalized_relative_gain "
        "task_relative_gains"
    ),
    "crossed": "CrossedRatings crossed_ratings",
    "noise": "NoiseFloor noise_floor",
    "best": "BEST_COLUMNS LabelPermutation best_of_stimuli label_permutation",
    "sensitivity": "SENSITIVITY_COLUMNS protocol_sensitivity",
    "contrast_words": "best_sentences points sentence sentences",
    "wordings": "CrossedMean crossed_mean",
    "wording_table": "WORDING_COLUMNS wording_sensitivity",
    "wording_words": "wording_sentence wording_sentences",
    "importance_shares": "SHARE_COLUMNS positive_shares share_sentence word_shares",
    "export": "latex printable write_table",
    "analyze": "Analysis analyze_scores analyze_table",
    "summary": "SUMMARY_CONTRASTS SummaryAnalysis analyze_summary",
    "summary_null": "BestOfMeans best_of_means",
    "summary_tables": "SUMMARY_COLUMNS SummaryTable check_summary read_summary",
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'promptlab.analysis' has no attribute '{name}'")
    return getattr(importlib.import_module(f"promptlab.analysis.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
