"""Pooling, mixed models, clusters and raters against statsmodels and brute force."""

from __future__ import annotations

import builtins
import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import promptlab.analysis as pa
from promptlab.errors import UnknownName, UserError

Y = np.array([0.09, -0.04, 0.16, 0.18, 0.02, 0.05])
V = np.array([12, 8, 20, 15, 6, 30]) * 1e-4


def test_pooling_is_that_of_statsmodels() -> None:
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    for ours, theirs in (("DL", "dl"), ("PM", "iterated")):
        wanted = meta.combine_effects(Y, V, method_re=theirs, atol=1e-14, maxiter=500)
        found = pa.random_effects(Y, V, estimator=ours)  # type: ignore[arg-type]
        assert found.tau2 == pytest.approx(wanted.tau2, rel=1e-6)
        assert found.estimate == pytest.approx(wanted.mean_effect_re, rel=1e-6)
        assert found.se == pytest.approx(wanted.sd_eff_w_re, rel=1e-6)
        adjusted = pa.random_effects(Y, V, estimator=ours, hartung_knapp=True)  # type: ignore[arg-type]
        assert adjusted.se == pytest.approx(wanted.sd_eff_w_re_hksj, rel=1e-6)
        half = stats.t.ppf(0.975, 5) * wanted.sd_eff_w_re_hksj
        assert adjusted.interval[1] == pytest.approx(wanted.mean_effect_re + half, rel=1e-6)
    with pytest.raises(UnknownName, match="unknown estimator"):
        pa.random_effects(Y, V, estimator="REML")  # type: ignore[arg-type]


def test_a_new_task_is_less_certain_than_the_mean() -> None:
    found = pa.random_effects(Y, V)
    half = stats.t.ppf(0.975, 4) * math.sqrt(found.tau2 + found.se**2)
    assert found.prediction == pytest.approx((found.estimate - half, found.estimate + half))
    same = pa.random_effects([0.05, 0.05, 0.05], [0.01, 0.02, 0.03], estimator="PM")
    assert same.tau2 == 0.0


def rows(n_tasks: int = 10, n_items: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        itertools.product(range(n_tasks), range(n_items), ("new", "old")),
        columns=["task", "item", "condition"],
    )
    task = rng.normal(0, 0.2, n_tasks)[table["task"]]
    item = rng.normal(0, 0.1, (n_tasks, n_items))[table["task"], table["item"]]
    table["score"] = 0.5 + task + item + 0.08 * (table["condition"] == "new")
    table["score"] += rng.normal(0, 0.1, len(table))
    table["right"] = (table["score"] > 0.5) * 1
    return table


def test_the_mixed_model_finds_effect_and_spreads() -> None:
    smf = pytest.importorskip("statsmodels.formula.api")
    table = rows()
    columns = table["task"], table["condition"], table["score"]
    plain = pa.linear_mixed(*columns, reference="old", slopes=False)
    wanted = smf.mixedlm(
        "score ~ C(condition, Treatment('old'))", table, groups=table["task"]
    ).fit()
    assert plain.estimate == pytest.approx(wanted.fe_params.to_numpy(), rel=1e-4)
    assert plain.se == pytest.approx(wanted.bse_fe.to_numpy(), rel=1e-3)
    assert plain.names == ("intercept", "new")
    full = pa.linear_mixed(*columns, items=table["item"], reference="old", slopes=False)
    assert full.sd_item == pytest.approx(0.1, abs=0.03)
    assert full.sd_residual == pytest.approx(0.1, abs=0.03)
    assert full.sd_task == pytest.approx(0.2, abs=0.12)
    assert full.se[1] < plain.se[1], "pairing by item takes out noise"
    assert full.estimate[1] == pytest.approx(0.08, abs=3 * full.se[1])
    assert "new" in repr(full)
    sloped = pa.linear_mixed(*columns, reference="old")
    assert len(sloped.sd_slopes) == 1


def test_without_statsmodels_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("statsmodels"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    table = rows(3, 4)
    with pytest.raises(UserError, match=r"promptlab-experiments\[models\]"):
        pa.linear_mixed(table["task"], table["condition"], table["score"])


def test_gee_with_tasks_as_clusters_is_that_of_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    table = rows(12, 10)
    x = np.column_stack([np.ones(len(table)), table["condition"] == "old"]).astype(float)
    wanted = sm.GEE(table["right"], x, table["task"], family=sm.families.Binomial()).fit()
    columns = table["item"], table["condition"], table["right"]
    found = pa.gee_logit(*columns, clusters=table["task"])
    assert found.coef == pytest.approx(wanted.params.to_numpy(), rel=1e-6)
    assert found.se == pytest.approx(wanted.bse.to_numpy(), rel=1e-5)
    assert found.groups == 12
    assert found.to_frame()["pvalue"].tolist() == pytest.approx(wanted.pvalues.tolist(), rel=1e-4)
    few = pa.gee_logit(*columns, clusters=table["task"] % 4)
    assert "only 4 clusters" in few.note


def test_an_infinite_odds_ratio_is_an_error() -> None:
    items, conditions = np.repeat(np.arange(30), 2), ["a", "b"] * 30
    wins = np.tile([0, 1], 30)
    wins[:10], wins[10:20] = 1, 0
    with pytest.raises(UserError, match="infinite"):
        pa.conditional_logit(items, conditions, wins)
    same = np.repeat(np.arange(30) % 2, 2)
    with pytest.raises(UserError, match="always right or always wrong"):
        pa.random_intercept_logit(items, conditions, same)


def test_flipping_whole_clusters_is_enumerated() -> None:
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(8), rng.integers(1, 6, 8))
    d = rng.normal(0.3, 1, cluster.size)
    signs = np.array(list(itertools.product((1, -1), repeat=8)))
    sums = (signs[:, cluster] * d).sum(axis=1)
    found = pa.cluster_sign_flip(d, cluster)
    assert found.pvalue == pytest.approx((np.abs(sums) >= abs(d.sum()) - 1e-9).mean())
    assert found.estimate == pytest.approx(d.mean())
    assert found.n == d.size


def test_crossed_raters_and_items_take_the_larger_error() -> None:
    rng = np.random.default_rng(2)
    rater, item = (v.ravel() for v in np.meshgrid(np.arange(12), np.arange(30)))
    d = 0.1 + 0.8 * rng.normal(size=12)[rater] + 0.2 * rng.normal(size=360)
    found = pa.crossed_ratings(d, rater, item)
    assert found.se == found.se_raters > 3 * found.se_items
    assert found.pvalue == max(found.p_raters, found.p_items)
    assert found.interval == pa.clustered_mean(d, rater).interval
    assert (found.raters, found.items, found.n) == (12, 30, 360)
    one = pa.crossed_ratings(d[rater == 0], rater[rater == 0], item[rater == 0])
    assert one.se == one.se_items
    assert math.isnan(one.se_raters)
    assert "raters: one cluster" in one.note


def test_alpha_has_an_interval_over_units() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(1, 6, 60)
    ratings = np.clip(truth[:, None] + rng.integers(-1, 2, (60, 4)), 1, 5).astype(float)
    ratings[rng.random((60, 4)) < 0.2] = np.nan
    for scale in ("nominal", "ordinal", "interval", "ratio"):
        kind: Any = scale
        found = pa.krippendorff_alpha(ratings, kind, n_resamples=400)
        drawn = (ratings[rng.integers(0, 60, 60)] for _ in range(200))
        plain = [pa.krippendorff_alpha(r, kind, n_resamples=0).estimate for r in drawn]
        assert found.interval == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.05)
        assert found.interval[0] < found.estimate < found.interval[1]
    with pytest.raises(UserError, match="ratio scale"):
        pa.krippendorff_alpha([[-1, 1], [1, 1]], "ratio")


def test_noise_floor_of_the_original_against_itself() -> None:
    rng = np.random.default_rng(5)
    p = rng.beta(1, 1, 800)
    one, two = ((rng.random(800) < p) * 1.0 for _ in range(2))
    found = pa.noise_floor(one, two, tasks=np.arange(800) % 8)
    assert found.pvalue > 0.05
    assert found.discordance == pytest.approx((one != two).mean())
    assert found.largest_task > abs(found.estimate)
    assert found.tasks == 8
    assert "of the items changed" in repr(found)
    drift = pa.noise_floor(one, np.maximum(two, rng.random(800) < 0.3))
    assert "the two runs differ" in drift.note


def test_families_of_tests() -> None:
    found = pa.adjust_families([0.01, 0.04, 0.5, 0.03, math.nan], ["m1", "m1", "m1", "m2", "m2"])
    assert found["within"][:4].tolist() == pytest.approx([0.03, 0.08, 0.5, 0.03])
    assert found["across"][:4].tolist() == pytest.approx([0.06, 0.16, 1.0, 0.06])
    assert found["family_adjusted"].tolist() == pytest.approx([0.06] * 5)
    assert found["tests"].tolist() == [3, 3, 3, 1, 1]
    assert math.isnan(found["within"][4])


def test_thin_effect_sizes_are_those_of_their_tests() -> None:
    rng = np.random.default_rng(6)
    d, table = rng.normal(size=20), rng.random((9, 4))
    assert pa.rank_biserial(d).estimate == pa.wilcoxon(d).estimate
    assert pa.kendall_w(table).estimate == pa.friedman(table).kendall_w
    assert pa.kendall_w(np.tile([1, 2, 3], (5, 1))).estimate == pytest.approx(1)
