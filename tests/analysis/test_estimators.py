"""Edge cases of the closed formulas; their values are in the golden file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import promptlab.analysis as pa
from promptlab.errors import UnknownName, UserError


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


p_values = st.lists(st.floats(0, 1), min_size=1, max_size=15)


@given(p_values)
def test_adjusted_p_values_are_ordered(p: list[float]) -> None:
    by = {m: pa.adjust(p, m) for m in ("bonferroni", "holm", "hochberg", "BH", "BY")}
    eps = 1e-12
    assert (by["BH"] <= by["hochberg"] + eps).all()
    assert (by["hochberg"] <= by["holm"] + eps).all()
    assert (by["holm"] <= by["bonferroni"] + eps).all()
    assert (by["BH"] <= by["BY"] + eps).all()
    assert all((np.asarray(p) <= v + eps).all() and (v <= 1).all() for v in by.values())
    order = np.argsort(p)
    assert all((np.diff(v[order]) >= -eps).all() for v in by.values())


def test_adjusting_leaves_out_what_was_not_tested() -> None:
    found = pa.adjust([0.01, math.nan, 0.04], "holm")
    assert found[[0, 2]].tolist() == pytest.approx([0.02, 0.04])
    assert math.isnan(found[1])
    assert np.isnan(pa.adjust([math.nan], "BH")).all()
    with pytest.raises(UserError, match="between 0 and 1"):
        pa.adjust([1.5])
    with pytest.raises(UnknownName, match="did you mean 'holm'"):
        pa.adjust([0.5], "hol")


def test_relative_gain_says_when_there_is_none() -> None:
    zero = pa.fieller([0, 0, 0], [1, 0, 1])
    assert math.isnan(zero.estimate)
    assert zero.note == "undefined"
    assert zero.set_type == "undefined"
    wide = pa.fieller([1] + [0] * 20, [1, 1] + [0] * 19)
    assert wide.note == "unbounded"
    assert math.isnan(wide.interval[0])
    shaky = pa.fieller([1] * 10 + [0] * 90, [1] * 12 + [0] * 88)
    assert (shaky.note, shaky.set_type) == ("unstable", "bounded")
    assert pa.fieller([1] * 60 + [0] * 40, [1] * 65 + [0] * 35).note == ""
    same = pa.fieller([1, 1, 1], [1, 1, 1])
    assert same.interval == (0, 0)
    assert pa.fieller([1], [1]).note == "one pair: no interval"
    assert "log of 0" in pa.log_ratio([1, 0], [0, 0]).note
    assert pa.log_ratio([0, 0], [0, 0]).note == "undefined"
    assert pa.ratio_bootstrap([0, 0], [1, 0], n_resamples=50).note == "undefined"
    paper = pa.paper_relative_gain([0.0, 0.5], [0.5, 0.75])
    assert paper.estimate == pytest.approx(0.5)
    assert paper.excluded == (0,)
    assert math.isnan(pa.paper_relative_gain([0.0], [0.5]).estimate)


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=3, max_size=30))
def test_fieller_contains_its_estimate(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs).T / 8
    found = pa.fieller(x, y)
    if found.set_type == "bounded":
        low, high = found.interval
        assert low - 1e-9 <= found.estimate <= high + 1e-9


def test_equivalence_edges() -> None:
    assert math.isnan(pa.tost_t([0.1], 0.05).pvalue)
    assert pa.tost_t([0.0] * 5, 0.05).degenerate
    assert pa.tost_tango(0, 0, 2000, 0.02).pvalue < 0.05
    assert pa.tost_tango(0, 0, 20, 0.02).pvalue > 0.05
    with pytest.raises(UserError, match="margin"):
        pa.tost_t([0.1, 0.2], 0)
    with pytest.raises(UserError, match="more than n = 10"):
        pa.tost_tango(5, 6, 10, 0.1)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 60))
def test_equivalence_agrees_with_its_interval(gains: int, losses: int, rest: int) -> None:
    found = pa.tost_tango(gains, losses, gains + losses + rest, 0.1)
    inside = found.interval[0] > -0.1 and found.interval[1] < 0.1
    if abs(found.pvalue - 0.05) > 1e-6:
        assert (found.pvalue < 0.05) == inside


def test_effect_sizes() -> None:
    assert math.isnan(pa.cohens_g(0, 0).estimate)
    assert math.isnan(pa.cohens_d_z([0.1, 0.1, 0.1]).estimate)
    assert pa.cohens_d_av([0, 1], [1, 0]).estimate == 0
    assert pa.paired_dominance([0.1, 0.0, -0.1, 0.2]).estimate == 0.25
    assert pa.cliffs_delta([0, 0], [1, 1]).estimate == 1
    assert pa.cliffs_delta([1, 2], [1, 2]).estimate == 0
    assert abs(pa.hedges_g_z([0.1, 0.2, 0.4]).estimate) < pa.cohens_d_z([0.1, 0.2, 0.4]).estimate
    with pytest.raises(UserError):
        pa.cohens_d_z([0.1])


def test_macro_edges() -> None:
    one = pa.macro_difference(["a", "a"], [0, 1], [1, 1])
    assert one.note == "one task: no interval"
    fixed = pa.macro_difference(list("aabb"), [0, 1, 0, 0], [1, 1, 0, 1], generalize="fixed")
    assert fixed.interval[0] < fixed.estimate < fixed.interval[1]
    lonely = pa.macro_difference(list("aab"), [0, 1, 0], [1, 1, 1], generalize="fixed")
    assert "variance is unknown" in lonely.note
    assert pa.macro_difference(list("ab"), [0, 0], [1, 1]).degenerate
    with pytest.raises(UserError, match="labels"):
        pa.macro_difference(["a"], [0, 1], [1, 1])
    with pytest.raises(UserError, match="differ"):
        pa.normalized(0.5, 1, 1)


def test_clusters() -> None:
    single = pa.clustered_mean([0, 1, 1], [1, 1, 1])
    assert math.isnan(single.se_cr1)
    assert single.note == "one cluster: the error is unknown"
    assert "rough" in pa.clustered_mean([0, 1, 1, 1], [1, 1, 2, 2]).note
    x = np.random.default_rng(0).random(30)
    own = pa.clustered_mean(x, np.arange(30))
    assert own.se_cr1 == pytest.approx(own.se_independent)
    assert own.design_effect == pytest.approx(1)
    with pytest.raises(UserError):
        pa.clustered_mean([1, 2], [1])


def test_pooling_edges() -> None:
    assert "fewer than two" in pa.random_effects([0.1, 0.2], [0.0, 0.1]).note
    same = pa.random_effects([0.1, 0.1, 0.1], [0.01, 0.02, 0.03])
    assert same.tau2 == 0
    assert same.estimate == pytest.approx(same.fixed)


def test_replicates_edges() -> None:
    found = pa.variance_components([1, 1, 2, 2, 3], [0.0, 1.0, 0.0, 1.0, 0.5])
    assert found.var_between == 0
    assert found.standard_error(10, 5) == pytest.approx(math.sqrt(found.var_within / 50))
    with pytest.raises(UserError, match="two replicates"):
        pa.variance_components([1, 2], [0, 1])


def test_rank_tests_edges() -> None:
    assert pa.wilcoxon([0.0, 0.0]).pvalue == 1
    assert pa.wilcoxon([0.3]).pvalue == 1
    assert pa.wilcoxon([0.1, 0.2, 0.3], how="normal", alternative="greater").pvalue < 0.1
    assert pa.hodges_lehmann([0.5]).interval == (0.5, 0.5)
    with pytest.raises(UserError):
        pa.wilcoxon([0.1], how="guess")


def test_omnibus_edges() -> None:
    assert pa.cochran_q(np.ones((5, 3))).pvalue == 1
    tied = pa.friedman(np.ones((5, 3)))
    assert (tied.estimate, tied.pvalue) == (0, 1)
    perfect = pa.friedman([[3, 2, 1]] * 6)
    assert perfect.kendall_w == pytest.approx(1)
    assert perfect.mean_ranks.tolist() == [1, 2, 3]
    for bad in ([[0.5, 1]], [[1]], [[math.nan, 1]]):
        with pytest.raises(UserError):
            pa.cochran_q(bad)


def test_agreement_edges() -> None:
    assert math.isnan(pa.krippendorff_alpha([[1, 1], [1, 1]]).estimate)
    assert "no pair" in pa.krippendorff_alpha([[1, math.nan], [math.nan, 2]]).note
    assert pa.krippendorff_alpha([[1, 1], [2, 2]], "nominal").estimate == 1
    assert math.isnan(pa.fleiss_kappa([[1, 1], [1, 1]]).estimate)
    with pytest.raises(UnknownName):
        pa.krippendorff_alpha([[1, 2]], "cardinal")
    with pytest.raises(UserError):
        pa.intraclass_correlations([[1, math.nan], [2, 3]])
    with pytest.raises(UserError, match="perfectly"):
        pa.intraclass_correlations([[1, 1], [2, 2]])


@pytest.mark.parametrize(
    "ratings",
    [
        [[1, 5], [5, 1], [2, 4]],
        [[1, 5], [5, 1]],  # also no difference between raters
        [[1, 2, 6], [6, 2, 1], [3, 3, 3], [2, 6, 1]],
        [[0.1, 0.3], [0.3, 0.1], [0.15, 0.25]],  # equal means up to rounding
    ],
)
def test_targets_with_equal_means_have_no_reliability_of_their_mean(
    ratings: list[list[float]],
) -> None:
    found = pa.intraclass_correlations(ratings)
    k = len(ratings[0])
    for name in ("ICC1", "ICC3"):
        assert found[name].estimate == pytest.approx(-1 / (k - 1))
        assert (found[name].f, found[name].pvalue) == (0, 1)
    for name in ("ICC1k", "ICC2k", "ICC3k"):
        assert math.isnan(found[name].estimate)
        assert "do not differ between targets" in str(found[name])
    for result in found.values():
        assert math.isnan(result.estimate) or result.estimate < 0
        assert not any(map(math.isinf, result.interval))


def test_logistic_models_refuse_what_has_no_answer() -> None:
    items, conditions = [1, 1, 2, 2], ["a", "b", "a", "b"]
    with pytest.raises(UserError, match="infinite"):
        pa.gee_logit(items, conditions, [1, 1, 1, 1])
    with pytest.raises(UserError, match="under 'a'"):
        pa.gee_logit(items, conditions, [1, 1, 1, 0])
    with pytest.raises(UserError, match="two conditions"):
        pa.gee_logit(items, ["a"] * 4, [1, 0, 1, 0])
    with pytest.raises(UserError, match="no item"):
        pa.conditional_logit(items, conditions, [1, 1, 0, 0])


def test_conditional_logit_of_pairs_is_the_matched_odds_ratio() -> None:
    pairs = [(0, 1)] * 12 + [(1, 0)] * 5 + [(1, 1)] * 4
    items = np.repeat(np.arange(len(pairs)), 2)
    found = pa.conditional_logit(items, ["a", "b"] * len(pairs), np.ravel(pairs))
    assert found.coef[0] == pytest.approx(math.log(12 / 5), abs=1e-5)
    assert found.groups == 17
    assert "b" in repr(found)
    assert found.to_frame()["name"].tolist() == ["b"]
