"""Another case file of the golden form: other data, sizes and parameters, from other oracles.

Numbers come from statsmodels, scipy or brute force over every arrangement, never from this package.
`write(folder)` gives a file that PROMPTLAB_GOLDEN can name.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import integrate, optimize, stats

Case = dict[str, Any]
MAKERS: list[Callable[[np.random.Generator], list[Case]]] = []


def maker(
    function: Callable[[np.random.Generator], list[Case]],
) -> Callable[[np.random.Generator], list[Case]]:
    MAKERS.append(function)
    return function


def case(
    family: str,
    expected: Any,
    *data: pd.DataFrame,
    rtol: float = 1e-7,
    tolerance: Any = None,
    **params: Any,
) -> Case:
    return {
        "family": family,
        "frames": data,
        "params": params,
        "expected": expected,
        "rtol": rtol,
        "tolerance": tolerance or {},
    }


def binary(rng: np.random.Generator, n: int, p: float = 0.5, q: float = 0.6) -> pd.DataFrame:
    return pd.DataFrame(
        {"item": range(n), "orig": (rng.random(n) < p) * 1, "variant": (rng.random(n) < q) * 1}
    )


def graded(rng: np.random.Generator, n: int, digits: int = 3) -> pd.DataFrame:
    x = rng.random(n).round(digits)
    y = np.clip(x + 0.05 + 0.2 * rng.normal(size=n), 0, 1).round(digits)
    return pd.DataFrame({"item": range(n), "orig": x, "variant": y})


def signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product((1, -1), repeat=n)), dtype=float)


def tango_z(b: int, c: int, n: int, d: float) -> float:
    """The score statistic with the constrained maximum found by search, not by its formula."""

    def loss(p: float) -> float:
        cells = (p + d, p, 1 - 2 * p - d)
        counts = (b, c, n - b - c)
        return -sum(k * math.log(max(v, 1e-300)) for k, v in zip(counts, cells, strict=True) if k)

    low, high = max(0.0, -d), (1 - d) / 2
    p = optimize.minimize_scalar(
        loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    ).x
    return (b - c - n * d) / math.sqrt(n * (2 * p + d - d**2))


def tango_ends(b: int, c: int, n: int) -> list[float]:
    z, middle = stats.norm.ppf(0.975), (b - c) / n
    return [
        optimize.brentq(lambda d: tango_z(b, c, n, d) - z, -0.999, middle),
        optimize.brentq(lambda d: tango_z(b, c, n, d) + z, middle, 0.999),
    ]


@maker
def mcnemar(rng: np.random.Generator) -> list[Case]:
    from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
    from statsmodels.stats.proportion import proportion_confint

    out = []
    for margin, (n11, b, c, n00) in ((0.12, (31, 5, 12, 17)), (0.3, (4, 9, 2, 3))):
        n, table = n11 + b + c + n00, [[n00, b], [c, n11]]
        exact = sm_mcnemar(table, exact=True).pvalue
        plain = sm_mcnemar(table, exact=False, correction=False)
        corrected = sm_mcnemar(table, exact=False, correction=True)
        ends = tango_ends(b, c, n)
        right = n11 + b
        density = stats.beta(b + 1, c + 1).pdf
        expected = {
            "n11": n11,
            "diff": (b - c) / n,
            "exact_two": exact,
            "midp_two": exact - stats.binom.pmf(min(b, c), b + c, 0.5),
            "exact_greater": stats.binomtest(b, b + c, alternative="greater").pvalue,
            "chi2_nocorr": plain.statistic,
            "p_chi2_corr": corrected.pvalue,
            "or_exact_ci": [
                p / (1 - p) for p in stats.binomtest(b, b + c).proportion_ci(method="exact")
            ],
            "ci_tango": ends,
            "bayes_prob_gain_gt_loss_dirichlet1": integrate.quad(density, 0.5, 1)[0],
            "variant_wilson": list(proportion_confint(right, n, method="wilson")),
            "variant_clopper": list(proportion_confint(right, n, method="beta")),
            "variant_jeffreys": list(proportion_confint(right, n, method="jeffreys")),
            "tost_tango": {
                "z_lower": tango_z(b, c, n, -margin),
                "p_upper": stats.norm.cdf(tango_z(b, c, n, margin)),
            },
        }
        loose = {key: {"rtol": 1e-5} for key in ("ci_tango", "tost_tango")}
        counts = {"n11": n11, "b_gain": b, "c_loss": c, "n00": n00}
        out.append(
            case("mcnemar", expected, tolerance=loose, tost_margin=margin, table=counts, rtol=1e-6)
        )
        rows = [(0, 0)] * n00 + [(0, 1)] * b + [(1, 0)] * c + [(1, 1)] * n11
        frame = pd.DataFrame(rows, columns=["orig", "variant"]).sample(frac=1, random_state=1)
        few = {key: expected[key] for key in ("n11", "exact_two", "ci_tango")}
        out.append(case("mcnemar", few, frame, tolerance=loose))
    all_right = pd.DataFrame({"orig": [1] * 9, "variant": [1] * 9})
    nothing = {"midp_two": 1.0, "odds_ratio_b_over_c": None, "or_exact_ci": None, "cohens_g": None}
    return [*out, case("mcnemar", nothing, all_right, tost_margin=0.4)]


@maker
def sign_flips(rng: np.random.Generator) -> list[Case]:
    out = []
    for frame in (graded(rng, 11, 7), graded(rng, 13, 1)):
        d = (frame["variant"] - frame["orig"]).to_numpy()
        sums, seen = signs(d.size) @ d, d.sum()
        expected = {
            "two": (np.abs(sums) >= abs(seen) - 1e-9).mean(),
            "greater": (sums >= seen - 1e-9).mean(),
            "less": (sums <= seen + 1e-9).mean(),
            "n": d.size,
            "T": d.mean(),
        }
        out += [
            case("signflip", expected, frame),
            case("signflip", expected, differences=d.tolist()),
        ]
    wide = binary(rng, 300)
    d = wide["variant"] - wide["orig"]
    b, c = int((d > 0).sum()), int((d < 0).sum())
    return [*out, case("signflip", {"two": stats.binomtest(b, b + c).pvalue, "n": 300}, wide)]


@maker
def signed_ranks(rng: np.random.Generator) -> list[Case]:
    frame = graded(rng, 14, 6)
    d = (frame["variant"] - frame["orig"]).to_numpy()
    exact = stats.wilcoxon(d, method="exact")
    walsh = np.sort([(d[i] + d[j]) / 2 for i in range(d.size) for j in range(i, d.size)])
    ranks = stats.rankdata(np.abs(d))
    plus = ranks[d > 0].sum()
    out = [
        case(
            "wilcoxon",
            {
                "Wplus": plus,
                "p_two": exact.pvalue,
                "p_greater": stats.wilcoxon(d, method="exact", alternative="greater").pvalue,
                "hodges_lehmann": np.median(walsh),
                "rank_biserial": (2 * plus - ranks.sum()) / ranks.sum(),
            },
            frame,
        )
    ]
    tied = graded(rng, 13, 1)
    d = (tied["variant"] - tied["orig"]).round(9).to_numpy()
    kept = d[d != 0]
    ranks = stats.rankdata(np.abs(kept))
    sums, seen = signs(kept.size) @ ranks, np.sign(kept) @ ranks
    pratt = stats.rankdata(np.abs(d))[d != 0]
    psums, pseen = signs(kept.size) @ pratt, np.sign(kept) @ pratt
    both = {
        "n_zero": int((d == 0).sum()),
        "p_two_exact_ties_dropzeros": (np.abs(sums) >= abs(seen) - 1e-9).mean(),
        "p_greater_exact_ties_dropzeros": (sums >= seen - 1e-9).mean(),
        "p_two_pratt_exact": (np.abs(psums) >= abs(pseen) - 1e-9).mean(),
        "p_two_normal_cc": stats.wilcoxon(d, method="asymptotic", correction=True).pvalue,
        "p_two_normal_nocc": stats.wilcoxon(d, method="asymptotic").pvalue,
        "p_two_pratt_asymptotic": stats.wilcoxon(
            d, method="asymptotic", zero_method="pratt"
        ).pvalue,
    }
    return [*out, case("wilcoxon", both, tied)]


@maker
def adjusted(rng: np.random.Generator) -> list[Case]:
    from statsmodels.stats.multitest import multipletests

    p = np.append(rng.random(30) ** 3, [0.0, 1.0, 1.0, 0.02, 0.02])
    names = {
        "bonferroni": "bonferroni",
        "holm": "holm",
        "hochberg": "simes-hochberg",
        "BH": "fdr_bh",
        "BY": "fdr_by",
    }
    expected = {ours: multipletests(p, method=theirs)[1] for ours, theirs in names.items()}
    return [case("padjust", expected, pd.DataFrame({"p": p}), rtol=1e-9)]


@maker
def ideal(rng: np.random.Generator) -> list[Case]:
    frame = graded(rng, 6, 3)
    d = (frame["variant"] - frame["orig"]).to_numpy()
    means = np.sort([np.mean(v) for v in itertools.product(d, repeat=d.size)])
    below, at = (means < d.mean() - 1e-9).mean(), (np.abs(means - d.mean()) <= 1e-9).mean()
    z0 = stats.norm.ppf(below + at / 2)
    jack = np.array([np.delete(d, i).mean() for i in range(d.size)])
    influence = jack.mean() - jack
    a = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    z = stats.norm.ppf([0.025, 0.975])
    alphas = stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))
    place = [means[math.ceil(q * means.size - 1e-9) - 1] for q in (0.025, 0.975, *alphas)]
    t = stats.t.ppf(0.975, d.size - 1) * d.std(ddof=1) / math.sqrt(d.size)
    expected = {
        "n": d.size,
        "n_compositions": math.comb(2 * d.size - 1, d.size),
        "boot_se_ideal": means.std(),
        "z0_midtie": z0,
        "acceleration": a,
        "percentile": place[:2],
        "basic": [2 * d.mean() - place[1], 2 * d.mean() - place[0]],
        "bca_alphas": alphas,
        "bca": place[2:],
        "t_interval": [d.mean() - t, d.mean() + t],
    }
    return [case("boot_exact", expected, frame)]


@maker
def bootstraps(rng: np.random.Generator) -> list[Case]:
    frame = graded(rng, 33, 4)
    d = (frame["variant"] - frame["orig"]).to_numpy()
    stars = rng.choice(d, size=(777, d.size)).mean(axis=1)
    found = {
        kind: stats.bootstrap((d,), np.mean, n_resamples=20_000, method=kind, rng=1)
        for kind in ("percentile", "basic", "BCa")
    }
    z0 = stats.norm.ppf(((stars < d.mean()).mean() + (stars <= d.mean()).mean()) / 2)
    given = {
        "theta_hat": d.mean(),
        "z0_midtie": z0,
        "percentile_type7": np.quantile(stars, [0.025, 0.975]),
        "se": stars.std(ddof=1),
    }
    shown = {
        "perc": list(found["percentile"].confidence_interval),
        "basic": list(found["basic"].confidence_interval),
        "bca": list(found["BCa"].confidence_interval),
    }
    mc = case("boot_mc", shown, frame, R=20_000)
    del mc["rtol"]
    return [
        case("bca_given_reps", given, frame, pd.DataFrame({"theta_star": stars})),
        mc | {"atol": 0.006},
    ]


@maker
def clustered(rng: np.random.Generator) -> list[Case]:
    import statsmodels.api as sm

    out = []
    for groups in (7, 25):
        frame = binary(rng, 90).assign(cluster=[f"k{v}" for v in rng.integers(0, groups, 90)])
        for column in ("orig", "variant", "diff"):
            y = (frame["variant"] - frame["orig"] if column == "diff" else frame[column]).to_numpy()
            codes = frame["cluster"].astype("category").cat.codes.to_numpy()
            plain = sm.OLS(y, np.ones(90)).fit()
            robust = plain.get_robustcov_results(
                cov_type="cluster", groups=codes, use_correction=False, df_correction=True
            )
            count = len(set(codes))
            cr1 = float(robust.bse[0]) * math.sqrt(count / (count - 1))
            half = stats.t.ppf(0.975, count - 1) * cr1
            expected = {
                "n": 90,
                "G": count,
                "mean": y.mean(),
                "se_clt": float(plain.bse[0]),
                "se_CR0": float(robust.bse[0]),
                "se_CR1": cr1,
                "ci_CR1_t": [y.mean() - half, y.mean() + half],
                "design_effect": (cr1 / float(plain.bse[0])) ** 2,
            }
            out.append(case("cluster", expected, frame, column=column))
    lone = {"se_CR1": None, "ci_CR1_t": None, "design_effect": None, "G": 1}
    return [*out, case("cluster", lone, binary(rng, 9).assign(cluster="k"), column="diff")]


def by_task(rng: np.random.Generator) -> pd.DataFrame:
    sizes = [5, 17, 30, 9, 12, 40]
    parts = [binary(rng, n, p, p + 0.1) for n, p in zip(sizes, rng.random(6), strict=True)]
    frame = pd.concat([p.assign(task=f"q{10 - i}") for i, p in enumerate(parts)])
    frame.loc[frame["task"] == "q9", "orig"] = 0
    return frame.sample(frac=1, random_state=2)


@maker
def over_tasks(rng: np.random.Generator) -> list[Case]:
    from statsmodels.stats.meta_analysis import combine_effects
    from statsmodels.stats.weightstats import ttost_paired

    frame = by_task(rng)
    means = frame.groupby("task")[["orig", "variant"]].mean()
    d = frame.assign(d=frame["variant"] - frame["orig"]).groupby("task")["d"]
    delta, error = d.mean(), d.var() / d.size()
    t = stats.ttest_1samp(delta, 0)
    moved = delta.round(12)[delta.round(12) != 0].to_numpy()
    ranks = stats.rankdata(np.abs(moved))
    sums, seen = signs(moved.size) @ ranks, np.sign(moved) @ ranks
    ratios = (means["variant"] / means["orig"] - 1)[means["orig"] > 0]
    macro = {
        "task_orig": means["orig"],
        "task_delta": delta,
        "macro_delta": delta.mean(),
        "micro_delta": (frame["variant"] - frame["orig"]).mean(),
        "se_fixed_tasks": math.sqrt(error.sum()) / 6,
        "se_random_tasks": delta.sem(),
        "ci_random_t": list(t.confidence_interval()),
        "p_t": t.pvalue,
        "wilcoxon_p_exactties": (np.abs(sums) >= abs(seen) - 1e-9).mean(),
        "rel_ratio_of_macro_means": means["variant"].mean() / means["orig"].mean() - 1,
        "rel_mean_of_ratios_defined_tasks": ratios.mean(),
        "n_tasks_zero_baseline": int((means["orig"] == 0).sum()),
    }
    known = (error > 0).to_numpy()
    pooled = combine_effects(delta.to_numpy()[known], error.to_numpy()[known], method_re="dl")
    meta = {
        "k_tasks": int(known.sum()),
        "Q": pooled.q,
        "tau2_DL": max(0.0, pooled.tau2),
        "mu_fe": pooled.mean_effect_fe,
        "se_fe": pooled.sd_eff_w_fe,
    }
    if pooled.tau2 >= 0:
        meta |= {"mu_re": pooled.mean_effect_re, "se_re": pooled.sd_eff_w_re}
    out = [case("macro", macro, frame), case("meta", meta, frame)]
    scored = graded(rng, 37)
    for unit, data, x, y in (
        ("task", frame, means["orig"], means["variant"]),
        ("item", scored, scored["orig"], scored["variant"]),
    ):
        for margin in (0.03, 0.25):
            p, low, high = ttost_paired(y.to_numpy(), x.to_numpy(), -margin, margin)
            gap = y - x
            half = stats.t.ppf(0.95, gap.size - 1) * gap.sem()
            expected = {
                "p": p,
                "p_lower": low[1],
                "p_upper": high[1],
                "ci90": [gap.mean() - half, gap.mean() + half],
            }
            out.append(case("tost_t", expected, data, margin=margin, unit=unit))
    return out


@maker
def effects(rng: np.random.Generator) -> list[Case]:
    frame = graded(rng, 17)
    x, y = frame["orig"].to_numpy(), frame["variant"].to_numpy()
    d = y - x
    n, t = d.size, stats.ttest_rel(y, x)

    def j(df: int) -> float:
        return math.gamma(df / 2) / (math.sqrt(df / 2) * math.gamma((df - 1) / 2))

    d_av = d.mean() / math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
    return [
        case(
            "effect",
            {
                "d_z": t.statistic / math.sqrt(n),
                "hedges_gz_exactJ": j(n - 1) * t.statistic / math.sqrt(n),
                "d_av": d_av,
                "hedges_g_av_exactJ_df_2n_2": j(2 * n - 2) * d_av,
                "cliffs_delta_independent": np.mean([np.sign(b - a) for a in x for b in y]),
                "paired_dominance_dw": np.sign(d).mean(),
                "t": t.statistic,
                "p_t": t.pvalue,
                "ci_t": list(t.confidence_interval()),
            },
            frame,
        )
    ]


@maker
def relative(rng: np.random.Generator) -> list[Case]:
    frame = graded(rng, 41)
    x, y = frame["orig"].to_numpy(), frame["variant"].to_numpy()
    t = stats.t.ppf(0.975, x.size - 1)

    def outside(ratio: float) -> float:
        return float(abs(stats.ttest_1samp(y - ratio * x, 0).statistic) - t)

    point = y.mean() / x.mean()
    roots = [optimize.brentq(outside, a, b) - 1 for a, b in ((0.01, point), (point, 20))]
    expected = {
        "mean_orig": x.mean(),
        "rel_gain": point - 1,
        "fieller_g": (t * stats.sem(x) / x.mean()) ** 2,
        "fieller_type": "bounded",
        "fieller_roots_rel": roots,
    }
    zero = pd.DataFrame({"orig": [0] * 12, "variant": [1, 0] * 6})
    undefined = {"rel_gain": None, "fieller_roots_rel": [None, None], "log_delta_ci_rel": None}
    undefined |= {"boot_perc": [None, None], "boot_se": None, "fieller_type": "undefined"}
    line = pd.DataFrame({"orig": [1] + [0] * 19, "variant": [0] * 10 + [1] + [0] * 9})
    return [
        case("relgain", expected, frame),
        case("relgain", undefined, zero, R=500),
        case("relgain", {"fieller_type": "whole_line", "rel_gain": 0.0}, line),
    ]


@maker
def omnibus(rng: np.random.Generator) -> list[Case]:
    from statsmodels.stats.contingency_tables import cochrans_q

    table = rng.random((9, 4)).round(1)
    frame = pd.DataFrame(table, columns=[f"m{i}" for i in range(4)]).assign(task=range(9))
    test = stats.friedmanchisquare(*table.T)
    ranks = stats.rankdata(-table, axis=1).mean(axis=0)
    f = 8 * test.statistic / (27 - test.statistic)
    gap = math.sqrt(4 * 5 / (6 * 9))
    expected = {
        "N": 9,
        "k": 4,
        "chi2": test.statistic,
        "p": test.pvalue,
        "iman_davenport_F": f,
        "p_iman_davenport": stats.f.sf(f, 3, 24),
        "kendalls_W": test.statistic / 27,
        "mean_ranks_best1": ranks,
        "nemenyi_CD_05": stats.studentized_range.ppf(0.95, 4, np.inf) / math.sqrt(2) * gap,
        "nemenyi_CD_10": stats.studentized_range.ppf(0.9, 4, np.inf) / math.sqrt(2) * gap,
    }
    answers = (rng.random((50, 6)) < 0.6) * 1
    q = cochrans_q(answers)
    binary_frame = pd.DataFrame(answers, columns=["orig", *(f"s{i}" for i in range(1, 6))])
    return [
        case("friedman", expected, frame),
        case("cochran_q", {"Q": q.statistic, "df": 5, "p": q.pvalue}, binary_frame),
    ]


@maker
def cross_fitted(rng: np.random.Generator) -> list[Case]:
    scores = rng.random((44, 6)).round(2)
    frame = pd.DataFrame(scores, columns=["orig", *(f"s{i}" for i in range(1, 6))])
    frame["fold"] = rng.permutation(np.arange(44) % 3) + 1
    out, chosen = np.zeros(44), []
    for fold in (1, 2, 3):
        inside = (frame["fold"] == fold).to_numpy()
        best = int(np.argmax(scores[~inside, 1:].mean(axis=0)))
        chosen.append(best)
        out[inside] = scores[inside, 1 + best] - scores[inside, 0]
    t, gain = stats.ttest_1samp(out, 0), scores[:, 1:].mean(axis=0) - scores[:, 0].mean()
    expected = {
        "selected_index0_per_fold": chosen,
        "theta": out.mean(),
        "se": stats.sem(out),
        "ci_t": list(t.confidence_interval()),
        "naive_max_minus_orig": gain.max(),
        "naive_argmax_index0": int(gain.argmax()),
        "avg_minus_orig": gain.mean(),
    }
    return [case("crossfit", expected, frame)]


@maker
def westfall_young(rng: np.random.Generator) -> list[Case]:
    frame = pd.DataFrame(rng.normal(size=(8, 4)), columns=["orig", "v1", "v2", "v3"])
    frame["v2"] += 1.2
    d = frame[["v1", "v2", "v3"]].to_numpy() - frame[["orig"]].to_numpy()
    out = []
    for statistic, side in itertools.product(("t", "mean"), ("abs", "upper")):

        def of(values: np.ndarray, kind: str = statistic) -> np.ndarray:
            mean = values.mean(axis=0)
            return mean if kind == "mean" else mean / stats.sem(values, axis=0)

        seen = of(d)
        null = np.array([of(d * s[:, None]) for s in signs(8)])
        rank, nulls = (np.abs(v) if side == "abs" else v for v in (seen, null))
        order, down, before = np.argsort(-rank), np.empty(3), 0.0
        for i, k in enumerate(order):
            before = max(before, (nulls[:, order[i:]].max(axis=1) >= rank[k] - 1e-9).mean())
            down[k] = before
        expected = {
            "t": seen,
            "rawp": (nulls >= rank - 1e-9).mean(axis=0),
            "adjp_singlestep": (nulls.max(axis=1)[:, None] >= rank - 1e-9).mean(axis=0),
            "adjp_stepdown": down,
        }
        out.append(case("wy", expected, frame, statistic=statistic, side=side, rtol=1e-9))
    return out


@maker
def raters(rng: np.random.Generator) -> list[Case]:
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    truth = rng.integers(1, 6, 15)
    ratings = np.clip(truth[:, None] + rng.integers(-1, 2, (15, 3)), 1, 6)
    frame = pd.DataFrame(ratings, columns=["r0", "r1", "r2"])
    out = [case("fleiss", {"kappa": fleiss_kappa(aggregate_raters(ratings)[0])}, frame)]
    equal = {"nominal": None, "ordinal": None, "interval": None}
    out.append(case("krippendorff", equal, ratings=[[2, 2], [2, 2], [2, None]]))
    try:
        import krippendorff
    except ImportError:
        return out
    holes = np.where(rng.random((15, 3)) < 0.2, np.nan, ratings)
    scales = ("nominal", "ordinal", "interval", "ratio")
    alphas = {
        s: krippendorff.alpha(reliability_data=holes.T, level_of_measurement=s) for s in scales
    }
    listed = [[None if math.isnan(v) else v for v in row] for row in holes.T.tolist()]
    named = dict(zip("ABC", listed, strict=True))
    holed = pd.DataFrame(holes, columns=["r0", "r1", "r2"])
    return [
        *out,
        case("krippendorff", alphas, holed),
        case("krippendorff", alphas, ratings=named),
    ]


@maker
def correlations(rng: np.random.Generator) -> list[Case]:
    try:
        import pingouin
    except ImportError:
        return []
    ratings = rng.normal(size=(11, 1)) + 0.7 * rng.normal(size=(11, 5))
    long = pd.DataFrame(ratings).reset_index().melt("index", var_name="rater", value_name="score")
    found = pingouin.intraclass_corr(long, targets="index", raters="rater", ratings="score")
    names = ("ICC1", "ICC2", "ICC3", "ICC1k", "ICC2k", "ICC3k")
    expected = {
        name: {"icc": row["ICC"], "F": row["F"], "p": row["pval"]}
        for name, (_, row) in zip(names, found.iterrows(), strict=True)
    }
    return [case("icc", expected, ratings=ratings.tolist(), rtol=1e-6)]


@maker
def replicated(rng: np.random.Generator) -> list[Case]:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rows = [(f"i{i}", r, v) for i in range(12) for r, v in enumerate(rng.random(2 + i % 3))]
    frame = pd.DataFrame(rows, columns=["item", "rep", "score"])
    table = anova_lm(ols("score ~ C(item)", frame).fit())
    between, within = table["mean_sq"]
    size = frame.groupby("item").size()
    n0 = (len(frame) - (size**2).sum() / len(frame)) / (len(size) - 1)
    means = frame.groupby("item")["score"].mean()
    expected = {
        "n_items": 12,
        "MSB": between,
        "MSW": within,
        "n0": n0,
        "var_between": max(0.0, (between - within) / n0),
        "icc1": (between - within) / (between + (n0 - 1) * within),
        "se_item_means": means.sem(),
    }
    return [case("replicates", expected, frame)]


@maker
def models(rng: np.random.Generator) -> list[Case]:
    import statsmodels.api as sm
    from statsmodels.discrete.conditional_models import ConditionalLogit

    n = 40
    skill, shift = rng.normal(0, 1.2, n), np.array([0.0, 0.6])
    right = rng.random((n, 2)) < 1 / (1 + np.exp(-(skill[:, None] + shift)))
    frame = pd.DataFrame(
        {
            "item": np.repeat(np.arange(n), 2),
            "variant": ["base", "new"] * n,
            "correct": right.ravel() * 1,
        }
    )
    x = np.column_stack([np.ones(2 * n), (frame["variant"] == "new") * 1.0])
    gee = sm.GEE(
        frame["correct"], x, frame["item"], family=sm.families.Binomial(), cov_struct=None
    ).fit()
    inner = ConditionalLogit(frame["correct"], x[:, 1:], groups=frame["item"]).fit(disp=False)

    def loss(p: np.ndarray) -> float:
        nodes, weights = np.polynomial.hermite_e.hermegauss(50)
        eta = p[0] + p[1] * x[:, 1].reshape(n, 2)[:, :, None] + p[2] * nodes
        likely = 1 / (1 + np.exp(-np.where(right[:, :, None], eta, -eta)))
        return -float(np.log(likely.prod(axis=1) @ weights / math.sqrt(2 * math.pi)).sum())

    best = optimize.minimize(loss, [0.0, 0.5, 1.0], method="Nelder-Mead", options={"xatol": 1e-7})
    expected = {
        "glmer_agq25_coef": best.x[:2],
        "glmer_agq25_sd_item": abs(best.x[2]),
        "gee_indep_coef": gee.params.to_numpy(),
        "gee_indep_robust_se": gee.bse.to_numpy(),
        "clogit_coef": inner.params,
    }
    loose = {"gee_indep_coef": {"rtol": 1e-5, "atol": 1e-8}, "gee_indep_robust_se": {"rtol": 1e-5}}
    loose["glmer_agq25_coef"] = {"rtol": 2e-3, "atol": 1e-4}
    return [case("mixed", expected, frame, rtol=2e-3, tolerance=loose)]


@maker
def powers(rng: np.random.Generator) -> list[Case]:
    from statsmodels.stats.power import TTestPower

    out = []
    for n, gain, loss, alpha in ((40, 0.05, 0.3, 0.1), (25, 0.4, 0.1, 0.01)):
        exact, midp = 0.0, 0.0
        for b, c in itertools.product(range(n + 1), repeat=2):
            if b + c <= n:
                mass = stats.multinomial.pmf([b, c, n - b - c], n, [gain, loss, 1 - gain - loss])
                tail = stats.binom.cdf(min(b, c), b + c, 0.5)
                half = stats.binom.pmf(min(b, c), b + c, 0.5) / 2
                exact += mass * (b != c and 2 * tail <= alpha)
                midp += mass * (b != c and 2 * (tail - half) <= alpha)
        psi, d = gain + loss, gain - loss
        z, power = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(0.8)
        connor = (z * math.sqrt(psi) + power * math.sqrt(psi - d**2)) ** 2 / d**2
        expected = {
            "power_exact_cond": exact,
            "power_midp": midp,
            "n_connor_80": math.ceil(connor),
            "n_miller_80": math.ceil((z + power) ** 2 * (psi - d**2) / d**2),
        }
        out.append(case("power_mcnemar", expected, n=n, p_gain=gain, p_loss=loss, alpha=alpha))
    design = {"n": 31, "delta": -0.06, "sd": 0.14, "power_for_n": 0.7}
    design |= {"n_for_mde": 12, "power_for_mde": 0.95}
    t = TTestPower()
    solved = {
        "power": t.power(0.06 / 0.14, 31, 0.05),
        "n_for_power": t.solve_power(0.06 / 0.14, alpha=0.05, power=0.7),
        "mde": 0.14 * t.solve_power(nobs=12, alpha=0.05, power=0.95),
    }
    none = case("power_mcnemar", {"power_midp": 0.0}, n=30, p_gain=0.0, p_loss=0.0, alpha=0.05)
    return [*out, none, case("power_t", solved, rtol=1e-4, **design)]


@maker
def normalised(rng: np.random.Generator) -> list[Case]:
    rows = [[0.5, 0.2, 0.7], [12.0, 10.0, 20.0], [-1.0, 0.0, 4.0]]
    return [case("normalize", {"normalized": [60.0, 20.0, -25.0]}, raw_low_high=rows)]


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray | pd.Series):
        return [plain(v) for v in np.asarray(value, dtype=object).tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return None if isinstance(value, float) and math.isnan(value) else value


def write(folder: Path, seed: int = 0) -> Path:
    """The case file and its data."""
    rng = np.random.default_rng(seed)
    made = [found for make in MAKERS for found in make(rng)]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    cases = []
    for number, found in enumerate(made):
        names = []
        for index, frame in enumerate(found.pop("frames")):
            names.append(f"data/case{number}_{index}.csv")
            frame.to_csv(folder / names[-1], index=False)
        head = {"id": f"case{number}", "definition": "see golden_variants.py", "data": names}
        cases.append(head | found | {"expected": plain(found["expected"])})
    path = folder / "golden.json"
    path.write_text(json.dumps({"format": 1, "cases": cases}), encoding="utf-8")
    return path
