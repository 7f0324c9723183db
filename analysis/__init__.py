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
    "multiplicity": "adjust",
    "bootstrap": "Bootstrap bootstrap_mean interval_from_replicates",
    "ratio": "RelativeGain fieller log_ratio paper_relative_gain ratio_bootstrap",
    "equivalence": "Tost tost_t tost_tango",
    "power": (
        "Detectable connor_n detectable_difference detectable_mcnemar detectable_t mcnemar_n "
        "miller_n normal_power power_mcnemar power_t size_mcnemar t_n"
    ),
    "results": "Resampled Result",
    "tables": "check_scores read_scores",
    "contrast_table": "CONTRAST_COLUMNS contrasts",
    "maxt": "MaxT max_t",
    "confidence_sequences": "ConfidenceSequence confidence_sequence",
    "racing": "Race race",
    "raced": "Raced",
    "race_rules": "RaceRules",
    "race_contrasts": "raced_contrasts",
    "race_simulation": "simulate_race",
    "crossfit": "CrossFit cross_fit",
    "effects": (
        "cliffs_delta cohens_d_av cohens_d_z cohens_g hedges_g_av hedges_g_z paired_dominance"
    ),
    "estimands": "MacroDifference macro_difference normalized",
    "clusters": "ClusteredMean clustered_mean",
    "meta": "Pooled random_effects",
    "replicates": "VarianceComponents variance_components",
    "ranks": "HodgesLehmann Wilcoxon hodges_lehmann wilcoxon",
    "omnibus": "CochranQ Friedman cochran_q friedman friedman_from_ranks nemenyi_cd",
    "agreement": ("FleissKappa Icc fleiss_kappa intraclass_correlations krippendorff_alpha"),
    "enumerated": "IdealBootstrap ideal_bootstrap",
    "logistic": "LogisticModel conditional_logit gee_logit random_intercept_logit",
    "bayes": "probability_of_gain",
    "best": "BEST_COLUMNS LabelPermutation best_of_stimuli label_permutation",
    "sensitivity": "SENSITIVITY_COLUMNS protocol_sensitivity",
    "wording": "best_sentences points sentence sentences",
    "export": "latex printable write_table",
    "analyze": "Analysis analyze_scores analyze_table",
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'promptlab.analysis' has no attribute '{name}'")
    return getattr(importlib.import_module(f"promptlab.analysis.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
