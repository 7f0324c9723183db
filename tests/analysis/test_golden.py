"""Every golden case through the public functions; one thin adapter a family."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import promptlab.analysis as pa

Found = dict[str, Any]
"""What an adapter computes; a value that is a function is only called if the case expects it."""

Adapter = Callable[[list[pd.DataFrame], dict[str, Any]], Found]

ADAPTERS: dict[str, Adapter] = {}


def adapter(family: str) -> Callable[[Adapter], Adapter]:
    def register(function: Adapter) -> Adapter:
        ADAPTERS[family] = function
        return function

    return register


def scores(data: list[pd.DataFrame], params: dict[str, Any]) -> pd.DataFrame:
    """The table of a case: its file, or the numbers in its parameters."""
    frame = data[0] if data else pd.DataFrame(params["ratings"], dtype=float)
    raters = [c for c in frame.columns if str(c).startswith("r") and str(c)[1:].isdigit()]
    return frame[raters] if raters else frame


def gaps(frame: pd.DataFrame) -> np.ndarray:
    return (frame["variant"] - frame["orig"]).to_numpy()


def stimuli(frame: pd.DataFrame, prefix: str) -> np.ndarray:
    names = [str(c) for c in frame.columns]
    return frame[[c for c in names if c.startswith(prefix) and c[1:].isdigit()]].to_numpy()


@adapter("mcnemar")
def _mcnemar(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    if data:
        c = pa.count_pairs(data[0]["orig"], data[0]["variant"])
    else:
        t = params["table"]
        c = pa.PairedCounts(t["n11"], t["b_gain"], t["c_loss"], t["n00"])
    nocorr, corr = pa.mcnemar(c, variant="chi2"), pa.mcnemar(c, variant="chi2_corrected")
    odds = pa.matched_odds_ratio(c.gains, c.losses)
    right = (c.variant_right, c.n)

    def tost() -> Found:
        found = pa.tost_tango(c.gains, c.losses, c.n, params["tost_margin"])
        return {
            "z_lower": found.z_lower,
            "z_upper": found.z_upper,
            "p_lower": found.p_lower,
            "p_upper": found.p_upper,
            "p": found.pvalue,
        }

    return {
        "n11": c.both,
        "b_gain": c.gains,
        "c_loss": c.losses,
        "n00": c.neither,
        "diff": c.difference,
        "exact_two": pa.mcnemar(c, variant="exact").pvalue,
        "midp_two": pa.mcnemar(c).pvalue,
        "exact_greater": pa.mcnemar(c, variant="exact", alternative="greater").pvalue,
        "midp_greater": pa.mcnemar(c, alternative="greater").pvalue,
        "chi2_nocorr": nocorr.statistic,
        "p_chi2_nocorr": nocorr.pvalue,
        "chi2_corr": corr.statistic,
        "p_chi2_corr": corr.pvalue,
        "cohens_g": pa.cohens_g(c.gains, c.losses).estimate,
        "odds_ratio_b_over_c": odds.estimate,
        "or_exact_ci": odds.interval,
        "se_wald": c.standard_error,
        "ci_tango": pa.tango(c.gains, c.losses, c.n).interval,
        "ci_newcombe10": pa.newcombe(c.both, c.gains, c.losses, c.neither).interval,
        "ci_bonett_price": pa.bonett_price(c.gains, c.losses, c.n).interval,
        "bayes_prob_gain_gt_loss_dirichlet1": pa.probability_of_gain(c.gains, c.losses),
        "variant_wilson": pa.wilson(*right).interval,
        "variant_clopper": pa.clopper_pearson(*right).interval,
        "variant_jeffreys": pa.jeffreys(*right).interval,
        "variant_bayes_uniform": pa.beta_interval(*right).interval,
        "tost_tango": tost,
    }


@adapter("signflip")
def _signflip(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    d = gaps(data[0]) if data else params["differences"]
    two = pa.sign_flip(d)
    return {
        "two": two.pvalue,
        "greater": pa.sign_flip(d, alternative="greater").pvalue,
        "less": pa.sign_flip(d, alternative="less").pvalue,
        "n": two.n,
        "T": two.estimate,
    }


@adapter("wilcoxon")
def _wilcoxon(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    d = gaps(data[0]) if data else params["differences"]
    dropped = pa.wilcoxon(d, zeros="drop")
    greater = pa.wilcoxon(d, zeros="drop", alternative="greater")
    pratt = pa.wilcoxon(d, zeros="pratt", how="normal")
    return {
        "Wplus": dropped.w_plus,
        "p_two": dropped.pvalue,
        "p_greater": greater.pvalue,
        "hodges_lehmann": lambda: pa.hodges_lehmann(d).estimate,
        "hl_ci": lambda: pa.hodges_lehmann(d).interval,
        "rank_biserial": dropped.estimate,
        "n_zero": dropped.n_zero,
        "p_two_normal_cc": pa.wilcoxon(d, zeros="drop", how="normal", continuity=True).pvalue,
        "p_two_normal_nocc": pa.wilcoxon(d, zeros="drop", how="normal").pvalue,
        "p_two_exact_ties_dropzeros": dropped.pvalue,
        "p_greater_exact_ties_dropzeros": greater.pvalue,
        "pratt_Z": pratt.z,
        "p_two_pratt_asymptotic": pratt.pvalue,
        "p_two_pratt_exact": pa.wilcoxon(d, zeros="pratt").pvalue,
    }


@adapter("padjust")
def _padjust(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    p = data[0]["p"] if data else params["p"]
    methods: tuple[Any, ...] = ("bonferroni", "holm", "hochberg", "BH", "BY")
    return {method: pa.adjust(p, method) for method in methods}


@adapter("boot_exact")
def _boot_exact(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    d = gaps(data[0])
    found = pa.ideal_bootstrap(d)
    return {
        "n": found.n,
        "n_compositions": found.n_compositions,
        "theta_hat": found.estimate,
        "boot_se_ideal": found.se,
        "z0_midtie": found.z0,
        "z0_strict": found.z0_strict,
        "acceleration": found.acceleration,
        "percentile": found.percentile,
        "basic": found.basic,
        "bca_alphas": found.alphas,
        "bca": found.interval,
        "t_interval": pa.t_interval(d).interval,
    }


@adapter("bca_given_reps")
def _bca_given_reps(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    d, stars = gaps(data[0]), data[1]["theta_star"]
    found = pa.interval_from_replicates(d, stars, kind="bca")
    return {
        "theta_hat": found.estimate,
        "z0_midtie": found.z0,
        "acceleration": found.acceleration,
        "bca_alphas": found.alphas,
        "bca_type7": found.interval,
        "percentile_type7": pa.interval_from_replicates(d, stars, kind="percentile").interval,
        "se": found.se,
    }


@adapter("boot_mc")
def _boot_mc(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    d, n_resamples = gaps(data[0]), params["R"]
    bca = pa.bootstrap_mean(d, kind="bca", n_resamples=n_resamples)
    return {
        "perc": pa.bootstrap_mean(d, kind="percentile", n_resamples=n_resamples).interval,
        "bca": bca.interval,
        "basic": pa.bootstrap_mean(d, kind="basic", n_resamples=n_resamples).interval,
        "norm": pa.bootstrap_mean(d, kind="normal", n_resamples=n_resamples).interval,
        "ideal_se": bca.se,
    }


@adapter("cluster")
def _cluster(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    frame, column = data[0], params["column"]
    values = gaps(frame) if column == "diff" else frame[column]
    found = pa.clustered_mean(values, frame["cluster"])
    return {
        "n": found.n,
        "G": found.clusters,
        "mean": found.estimate,
        "se_clt": found.se_independent,
        "se_miller": found.se_miller,
        "se_CR0": found.se_cr0,
        "se_CR1": found.se_cr1,
        "ci_CR1_t": found.interval,
        "design_effect": found.design_effect,
    }


def _macro_of(frame: pd.DataFrame) -> pa.MacroDifference:
    return pa.macro_difference(frame["task"], frame["orig"], frame["variant"])


@adapter("macro")
def _macro(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    found = _macro_of(data[0])
    paper = pa.paper_relative_gain(found.task_original, found.task_variant)
    return {
        "task_orig": found.task_original,
        "task_variant": found.task_variant,
        "task_delta": found.task_difference,
        "macro_delta": found.estimate,
        "micro_delta": found.micro,
        "se_fixed_tasks": found.se_fixed,
        "se_random_tasks": found.se_random,
        "ci_random_t": found.interval,
        "p_t": found.pvalue,
        "wilcoxon_p_exactties": pa.wilcoxon(found.task_difference, zeros="drop").pvalue,
        "rel_ratio_of_macro_means": pa.macro_relative_gain(
            data[0]["task"], data[0]["orig"], data[0]["variant"]
        ).estimate,
        "rel_mean_of_ratios_defined_tasks": paper.estimate,
        "n_tasks_zero_baseline": len(paper.excluded),
    }


@adapter("meta")
def _meta(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    macro = _macro_of(data[0])
    found = pa.random_effects(macro.task_difference, macro.task_error_variance)
    return {
        "k_tasks": found.n,
        "Q": found.q,
        "p_Q": found.p_q,
        "tau2_DL": found.tau2,
        "mu_re": found.estimate,
        "se_re": found.se,
        "mu_fe": found.fixed,
        "se_fe": found.se_fixed,
        "I2": found.i2,
    }


@adapter("tost_t")
def _tost_t(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    per_task = params.get("unit", "item") == "task"
    d = _macro_of(data[0]).task_difference if per_task else gaps(data[0])
    found = pa.tost_t(d, params["margin"])
    return {
        "p_lower": found.p_lower,
        "p_upper": found.p_upper,
        "p": found.pvalue,
        "ci90": found.interval,
    }


@adapter("effect")
def _effect(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    x, y, d = data[0]["orig"], data[0]["variant"], gaps(data[0])
    t = pa.t_interval(d)
    return {
        "d_z": pa.cohens_d_z(d).estimate,
        "hedges_gz_exactJ": pa.hedges_g_z(d).estimate,
        "d_av": pa.cohens_d_av(x, y).estimate,
        "hedges_g_av_exactJ_df_2n_2": pa.hedges_g_av(x, y).estimate,
        "hedges_gz_approxJ": pa.hedges_g_z(d, approximate=True).estimate,
        "cliffs_delta_independent": pa.cliffs_delta(x, y).estimate,
        "paired_dominance_dw": pa.paired_dominance(d).estimate,
        "t": t.statistic,
        "p_t": t.pvalue,
        "ci_t": t.interval,
    }


@adapter("relgain")
def _relgain(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    x, y = data[0]["orig"], data[0]["variant"]
    found, logs = pa.fieller(x, y), pa.log_ratio(x, y)
    resamples = params.get("R", 2000)

    @functools.cache
    def boot(kind: Any) -> Any:
        return pa.ratio_bootstrap(x, y, kind=kind, n_resamples=resamples)

    return {
        "mean_orig": found.mean_original,
        "mean_variant": found.mean_variant,
        "rel_gain": found.estimate,
        "fieller_g": found.g,
        "fieller_type": found.set_type,
        "fieller_roots_rel": found.roots,
        "log_delta_se": logs.se,
        "log_delta_ci_rel": logs.interval,
        "boot_perc": lambda: boot("percentile").interval,
        "boot_bca": lambda: boot("bca").interval,
        "boot_se": lambda: boot("percentile").se,
    }


@adapter("friedman")
def _friedman(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    if data:
        found = pa.friedman(stimuli(data[0], "m"))
    else:
        found = pa.friedman_from_ranks(params["mean_ranks"], params["N"])
    return {
        "N": found.n,
        "k": found.k,
        "chi2": found.estimate,
        "p": found.pvalue,
        "iman_davenport_F": found.iman_davenport,
        "p_iman_davenport": found.p_iman_davenport,
        "kendalls_W": found.kendall_w,
        "mean_ranks_best1": found.mean_ranks,
        "nemenyi_CD_05": found.critical_difference(0.05),
        "nemenyi_CD_10": found.critical_difference(0.10),
        "nemenyi_p": found.nemenyi_p,
    }


@adapter("cochran_q")
def _cochran_q(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    frame = data[0]
    found = pa.cochran_q(np.column_stack([frame["orig"], stimuli(frame, "s")]))
    return {"Q": found.estimate, "df": found.df, "p": found.pvalue}


@adapter("crossfit")
def _crossfit(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    frame = data[0]
    found = pa.cross_fit(frame["orig"], stimuli(frame, "s"), folds=frame["fold"])
    return {
        "selected_index0_per_fold": found.selected,
        "theta": found.estimate,
        "se": found.se,
        "ci_t": found.interval,
        "naive_max_minus_orig": found.naive,
        "naive_argmax_index0": found.naive_best,
        "avg_minus_orig": found.average,
    }


@adapter("krippendorff")
def _krippendorff(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    def alpha(scale: Any) -> float:
        return pa.krippendorff_alpha(scores(data, params), scale, n_resamples=0).estimate

    scales = ("nominal", "ordinal", "interval", "ratio")
    return {scale: functools.partial(alpha, scale) for scale in scales}


@adapter("icc")
def _icc(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    found = pa.intraclass_correlations(scores(data, params))
    return {
        name: {
            "icc": icc.estimate,
            "F": icc.f,
            "p": icc.pvalue,
            "lower": icc.interval[0],
            "upper": icc.interval[1],
        }
        for name, icc in found.items()
    }


@adapter("fleiss")
def _fleiss(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    found = pa.fleiss_kappa(scores(data, params))
    return {
        "kappa": found.estimate,
        "se0": found.se0,
        "z": found.z,
        "observed": found.observed,
        "expected": found.expected,
    }


@adapter("wy")
def _wy(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    frame = data[0]
    d = stimuli(frame, "v") - frame["orig"].to_numpy()[:, None]
    found = pa.max_t(d, statistic=params["statistic"], side=params["side"])
    return {
        "t": found.statistic,
        "rawp": found.pvalue,
        "adjp_stepdown": found.step_down,
        "adjp_singlestep": found.single_step,
    }


@adapter("replicates")
def _replicates(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    found = pa.variance_components(data[0]["item"], data[0]["score"])
    return {
        "n_items": found.n,
        "MSB": found.ms_between,
        "MSW": found.ms_within,
        "n0": found.n0,
        "var_between": found.var_between,
        "var_within": found.var_within,
        "icc1": found.icc1,
        "mean_of_item_means": found.estimate,
        "se_item_means": found.se,
        "grand_mean": found.grand_mean,
    }


@adapter("mixed")
def _mixed(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    columns = data[0]["item"], data[0]["variant"], data[0]["correct"]

    @functools.cache
    def fit(quadrature: int) -> pa.LogisticModel:
        return pa.random_intercept_logit(*columns, quadrature=quadrature)

    return {
        "glmer_laplace_coef": lambda: fit(1).coef,
        "glmer_laplace_se": lambda: fit(1).se,
        "glmer_laplace_sd_item": lambda: fit(1).sd_item,
        "glmer_agq25_coef": lambda: fit(25).coef,
        "glmer_agq25_se": lambda: fit(25).se,
        "glmer_agq25_sd_item": lambda: fit(25).sd_item,
        "gee_indep_coef": lambda: pa.gee_logit(*columns).coef,
        "gee_indep_robust_se": lambda: pa.gee_logit(*columns).se,
        "clogit_coef": lambda: pa.conditional_logit(*columns).coef,
        "clogit_se": lambda: pa.conditional_logit(*columns).se,
    }


@adapter("power_mcnemar")
def _power_mcnemar(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    n, rates = params["n"], (params["p_gain"], params["p_loss"])
    alpha = params.get("alpha", 0.05)
    return {
        "power_exact_cond": lambda: pa.power_mcnemar(n, *rates, alpha=alpha, test="exact"),
        "power_midp": lambda: pa.power_mcnemar(n, *rates, alpha=alpha),
        "size_exact_cond": lambda: pa.size_mcnemar(n, *rates, alpha=alpha, test="exact"),
        "size_midp": lambda: pa.size_mcnemar(n, *rates, alpha=alpha),
        "power_normal_connor": lambda: pa.normal_power(n, *rates, alpha=alpha),
        "n_connor_80": lambda: pa.connor_n(*rates, alpha=alpha),
        "n_miller_80": lambda: pa.miller_n(*rates, alpha=alpha),
        "n_midp_80": lambda: pa.mcnemar_n(*rates, alpha=alpha),
    }


@adapter("power_t")
def _power_t(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    delta, sd, alpha = params["delta"], params["sd"], params.get("alpha", 0.05)
    return {
        "power": lambda: pa.power_t(params["n"], delta, sd, alpha=alpha),
        "n_for_power": lambda: pa.t_n(delta, sd, alpha=alpha, power=params["power_for_n"]),
        "mde": lambda: pa.detectable_t(
            params["n_for_mde"], sd, alpha=alpha, power=params["power_for_mde"]
        ),
    }


@adapter("normalize")
def _normalize(data: list[pd.DataFrame], params: dict[str, Any]) -> Found:
    raw, low, high = zip(*params["raw_low_high"], strict=True)
    return {"normalized": pa.normalized(raw, low, high)}


def undefined(found: Any) -> bool:
    """Whether a number, or every number of a sequence, is NaN."""
    values = np.ravel(np.asarray(found, dtype=object))
    return all(isinstance(v, float) and math.isnan(v) for v in values)


def compare(found: Any, expected: Any, where: str, rtol: float, atol: float) -> list[str]:
    """Everything in which `found` differs from `expected`."""
    if callable(found):
        found = found()
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return [f"{where}: {found!r}, expected {sorted(expected)}"]
        return [
            problem
            for key, value in expected.items()
            for problem in (
                compare(found[key], value, f"{where}.{key}", rtol, atol)
                if key in found
                else [f"{where}.{key}: not computed"]
            )
        ]
    if isinstance(expected, list):
        values = list(found) if np.ndim(found) else [found]
        if len(values) != len(expected):
            return [f"{where}: {len(values)} values, {len(expected)} expected"]
        return [
            problem
            for i, (f, e) in enumerate(zip(values, expected, strict=True))
            for problem in compare(f, e, f"{where}[{i}]", rtol, atol)
        ]
    if expected is None:
        return [] if undefined(found) else [f"{where}: {found}, expected undefined"]
    if isinstance(expected, str) and expected not in ("inf", "-inf"):
        return [] if found == expected else [f"{where}: {found}, expected {expected}"]
    if np.ndim(found) or isinstance(found, str | dict):
        return [f"{where}: {found!r}, expected {expected}"]
    target, value = float(expected), float(found)
    good = value == target
    if math.isfinite(target):
        good = good or abs(value - target) <= max(atol, rtol * abs(target))
    return [] if good else [f"{where}: {value!r}, expected {target!r}"]


def check(case: dict[str, Any], folder: Path) -> list[str]:
    """Everything in which the functions differ from a case."""
    if case["family"] not in ADAPTERS:
        return [f"unknown family '{case['family']}'"]
    data = [pd.read_csv(folder / name) for name in case.get("data", ())]
    found = ADAPTERS[case["family"]](data, case.get("params", {}))
    problems = []
    for key, value in case["expected"].items():
        limits = case.get("tolerance", {}).get(key, case)
        rtol, atol = limits.get("rtol", 0.0), limits.get("atol", 1e-9)
        if key not in found:
            problems.append(f"{key}: not computed")
        else:
            problems += compare(found[key], value, key, rtol, atol)
    return problems


def cases_of(golden_file: Path) -> list[dict[str, Any]]:
    content = json.loads(golden_file.read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert content["cases"], "the case file is empty"
    return list(content["cases"])


@pytest.mark.golden
def test_every_family_is_known(golden_file: Path) -> None:
    families = {case["id"]: case["family"] for case in cases_of(golden_file)}
    assert {case: family for case, family in families.items() if family not in ADAPTERS} == {}


@pytest.mark.golden
@pytest.mark.parametrize("family", sorted(ADAPTERS))
def test_golden(family: str, golden_file: Path) -> None:
    cases = [case for case in cases_of(golden_file) if case["family"] == family]
    if not cases:
        pytest.skip(f"the case file has no case of family '{family}'")
    problems = {case["id"]: check(case, golden_file.parent) for case in cases}
    assert {case: found for case, found in problems.items() if found} == {}


def test_a_wrong_number_is_found() -> None:
    params = {"n": 20, "delta": 0.05, "sd": 0.1}
    params |= {"power_for_n": 0.9, "n_for_mde": 45, "power_for_mde": 0.8}
    case: dict[str, Any] = {"family": "power_t", "data": [], "params": params, "rtol": 1e-4}
    case["expected"] = {"power": 0.5, "absent": 1.0, "mde": 0.0427031308370244}
    assert len(check(case, Path())) == 2
    assert check(case | {"family": "of another kind"}, Path()) == [
        "unknown family 'of another kind'"
    ]


@pytest.mark.parametrize(
    ("found", "expected", "differs"),
    [
        (math.nan, None, False),
        ((math.nan, math.nan), None, False),
        ((math.nan, math.nan), [None, None], False),
        (0.0, None, True),
        (math.inf, "inf", False),
        (math.inf, "-inf", True),
        (math.inf, 1e300, True),
        (math.nan, 1.0, True),
        (1.0, "inf", True),
        ((1.0, 2.0), 1.0, True),
        ("bounded", "bounded", False),
        ("bounded", 1.0, True),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, True),
        (1.0, {"a": 1.0}, True),
        (lambda: 1.0 + 1e-8, 1.0, False),
    ],
)
def test_comparing(found: Any, expected: Any, differs: bool) -> None:
    assert bool(compare(found, expected, "value", 1e-6, 1e-9)) == differs
