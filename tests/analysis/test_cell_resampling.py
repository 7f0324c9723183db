from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import promptlab.analysis as pa
from promptlab.analysis.arrays import product
from promptlab.analysis.flips import flip_tests
from promptlab.analysis.macroboot import bootstrap_t
from promptlab.analysis.streams import draw_signs, in_order, stream
from promptlab.errors import UserError


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def differences(
    kind: str, tasks: int = 6, columns: int = 5, items: int = 40, seed: int = 0
) -> list[np.ndarray]:
    """Paired differences of right/wrong, tenths or real scores."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(tasks):
        p = rng.random((items, 1))
        if kind == "binary":
            scores = (rng.random((items, columns + 1)) < p).astype(float)
        else:
            scores = np.clip(p + 0.2 * rng.normal(size=(items, columns + 1)), 0, 1)
            scores = scores.round(1) if kind == "tenths" else scores
        out.append(scores[:, 1:] - scores[:, :1])
    return out


def same(first: Any, second: Any) -> None:
    for name in ("n", "estimate", "lower", "upper", "pvalue", "single_step", "step_down"):
        assert np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True), name
    for name in ("lower", "upper", "fixed_lower", "fixed_upper", "step_down"):
        assert np.array_equal(
            getattr(first.macro, name), getattr(second.macro, name), equal_nan=True
        ), name
    assert all(np.array_equal(a, b) for a, b in zip(first.bca, second.bca, strict=True))


@pytest.mark.parametrize("kind", ["binary", "tenths", "real"])
def test_threads_do_not_change_a_bit(kind: str) -> None:
    d = differences(kind)
    one, two, four = (
        pa.resample_cells(d, bca=True, n_resamples=6000, n_threads=n, seed=5) for n in (1, 2, 4)
    )
    same(one, two)
    same(one, four)
    other = pa.resample_cells(d, bca=True, n_resamples=6000, n_threads=2, seed=6)
    assert (one.lower != other.lower).any() or (one.pvalue != other.pvalue).any()


@pytest.mark.parametrize("kind", ["binary", "tenths", "real"])
def test_it_is_the_bootstrap_with_the_counts_it_says(kind: str) -> None:
    d = differences(kind, tasks=3)
    found = pa.resample_cells(d, bca=True, n_resamples=3000, seed=9)
    theta = []
    for t, block in enumerate(d):
        counts = pa.resampling_counts(len(block), task=t, n_resamples=3000, seed=9)
        assert (counts.sum(axis=1) == len(block)).all()
        replicates = counts @ block / len(block)
        theta.append(replicates)
        close = 1e-4 / len(block)
        assert np.allclose(
            np.quantile(replicates, [0.025, 0.975], axis=0),
            [found.lower[t], found.upper[t]],
            rtol=0,
            atol=close,
        )
        for k in range(block.shape[1]):
            alone = pa.interval_from_replicates(block[:, k], replicates[:, k])
            ends = (found.bca[0][t, k], found.bca[1][t, k])
            # A sum on a grid jumps by a step; a real one moves with the rank.
            assert ends == pytest.approx(alone.interval, abs=close if kind != "real" else 1e-3)
    fixed = np.quantile(np.mean(theta, axis=0), [0.025, 0.975], axis=0)
    assert np.allclose(fixed, [found.macro.fixed_lower, found.macro.fixed_upper], atol=1e-6)


def test_float32_sums_are_those_of_float64() -> None:
    for kind in ("binary", "tenths", "real"):
        (block,) = differences(kind, tasks=1, items=100)
        counts = pa.resampling_counts(100, n_resamples=2000)
        exact = counts.astype(np.float64) @ block
        single = product(block.T.astype(np.float32), counts.T.astype(np.float32)).T
        assert np.abs(single - exact).max() / 100 <= 1e-4 / 100


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 700), st.integers(0, 9))
def test_products_in_pieces_are_products(rows: int, depth: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = (rng.integers(-9, 9, s).astype(float) for s in ((rows, depth), (depth, width)))
    assert (product(left, right) == left @ right).all()
    assert (product(left, np.asfortranarray(right)) == left @ right).all()


def test_bca_and_percentile_agree_with_scipy() -> None:
    (block,) = differences("real", tasks=1, columns=2, items=60)
    found = pa.resample_cells([block**3], bca=True, n_resamples=20_000, seed=1)
    for k in range(2):
        for method, ends in (("percentile", (found.lower, found.upper)), ("bca", found.bca)):
            theirs = stats.bootstrap(
                (block[:, k] ** 3,), np.mean, n_resamples=20_000, method=method, rng=2
            ).confidence_interval
            ours = (ends[0][0, k], ends[1][0, k])
            assert ours == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_p_values_are_those_of_the_exact_tests() -> None:
    d = differences("binary", tasks=2, columns=4, items=30)
    found = pa.resample_cells(d, n_resamples=20_000, seed=3)
    for t, block in enumerate(d):
        for k in range(4):
            exact = pa.sign_flip(block[:, k]).pvalue
            assert found.pvalue[t, k] == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 20_000))
        drawn = pa.max_t(block, n_resamples=20_000, seed=8)
        assert found.single_step[t] == pytest.approx(drawn.single_step, abs=0.02)
        assert found.step_down[t] == pytest.approx(drawn.step_down, abs=0.02)
    macro = pa.max_t(np.array([b.mean(axis=0) for b in d]))
    assert found.macro.exact
    assert found.macro.step_down == pytest.approx(macro.step_down)


def test_max_t_stays_within_its_family() -> None:
    d = differences("binary", columns=6)
    families = ["a", "b", "a", "b", "a", "b"]
    found = pa.resample_cells(d, families=families, n_resamples=1000)
    for family in "ab":
        mine = [k for k, f in enumerate(families) if f == family]
        alone = pa.resample_cells([b[:, mine] for b in d], n_resamples=1000)
        assert np.array_equal(found.step_down[:, mine], alone.step_down)
        assert np.array_equal(found.macro.step_down[mine], alone.macro.step_down)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["binary", "tenths", "real"]))
def test_laws(seed: int, kind: str) -> None:
    d = differences(kind, tasks=2, columns=3, items=9, seed=seed)
    d[0][0, 1] = np.nan
    found = pa.resample_cells(d, bca=True, n_resamples=500, seed=seed)
    eps = 1e-12
    for level in (found, found.macro):
        assert (level.pvalue <= level.step_down + eps).all()
        assert (level.step_down <= level.single_step + eps).all()
        assert (level.single_step <= 1).all()
    assert (found.lower <= found.upper).all()
    assert (found.lower >= [np.nanmin(b, axis=0) - 1e-6 for b in d]).all()
    assert (found.upper <= [np.nanmax(b, axis=0) + 1e-6 for b in d]).all()
    flipped = pa.resample_cells([-b for b in d], n_resamples=500, seed=seed)
    assert np.array_equal(flipped.pvalue, found.pvalue)
    assert flipped.lower == pytest.approx(-found.upper, abs=1e-6)


def test_gaps_leave_the_other_columns_alone_and_count_for_themselves() -> None:
    (block,) = differences("tenths", tasks=1, columns=2, items=60)
    holed = block.copy()
    holed[::3, 1] = np.nan
    found = pa.resample_cells([holed], n_resamples=20_000, seed=2)
    whole = pa.resample_cells([block], n_resamples=20_000, seed=2)
    assert found.n.tolist() == [[60, 40]]
    assert found.lower[0, 0] == pytest.approx(whole.lower[0, 0], abs=1e-6)
    kept = holed[~np.isnan(holed[:, 1]), 1]
    alone = pa.bootstrap_mean(kept, kind="percentile", n_resamples=20_000).interval
    assert (found.lower[0, 1], found.upper[0, 1]) == pytest.approx(alone, abs=0.01)
    assert found.estimate[0, 1] == pytest.approx(kept.mean())
    p = pa.sign_flip(kept).pvalue
    assert found.pvalue[0, 1] == pytest.approx(p, abs=4 * np.sqrt(0.25 / 20_000))


def test_edges_say_what_they_are() -> None:
    block = np.array(
        [[0.0, 0.25, np.nan, 1.0], [0.0, 0.25, np.nan, np.nan], [0.0, 0.25, np.nan, 0]]
    )
    block[2, 3] = np.nan
    found = pa.resample_cells([block, block], bca=True, n_resamples=200)
    assert found.note[0].tolist() == [
        "degenerate: zero variance",
        "degenerate: zero variance",
        "no paired item",
        "degenerate: one item",
    ]
    for ends in ((found.lower, found.upper), found.bca):
        assert ends[0][0].tolist() == pytest.approx([0, 0.25, np.nan, 1], nan_ok=True)
        assert ends[1][0].tolist() == pytest.approx([0, 0.25, np.nan, 1], nan_ok=True)
    assert found.pvalue[0, 0] == 1
    assert found.pvalue[0, 3] == 1
    assert np.isnan(found.pvalue[0, 2])
    assert np.isnan(found.macro.pvalue[2])
    assert found.macro.note.tolist()[2] == "no paired item"
    assert found.macro.lower[1] == found.macro.upper[1] == 0.25
    frame = found.to_frame()
    assert len(frame) == 8
    assert {"bca_lower", "note"} <= set(frame)
    assert len(found.macro.to_frame()) == 4
    assert "8 cells" in repr(found)
    assert "2 tasks" in repr(found.macro)
    one = pa.resample_cells([[[0.5]]], n_resamples=100)
    assert (one.estimate[0, 0], one.lower[0, 0], one.pvalue[0, 0]) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "at least one task"),
        ([[1.0, 2.0]], "items x columns"),
        ([np.zeros((3, 2)), np.zeros((3, 1))], "a column of NaN"),
        ([[[np.inf]]], "infinite"),
        ([[["yes"]]], "must be a number"),
    ],
)
def test_what_cannot_be_resampled_is_refused(bad: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        pa.resample_cells(bad)
    fine = [np.zeros((3, 2))]
    for options, words in (
        ({"families": ["a"]}, "family labels"),
        ({"tasks": ["a", "b"]}, "task names"),
        ({"n_threads": 0}, "n_threads"),
        ({"n_resamples": 10}, "n_resamples"),
        ({"level": 95}, "level"),
    ):
        with pytest.raises(UserError, match=words):
            pa.resample_cells(fine, **options)


def test_bootstrap_t_covers_where_the_percentile_is_short() -> None:
    """With few tasks the percentile interval lacks the width of t; the bootstrap-t has it."""
    rng, simulations = np.random.default_rng(4), 400
    d = rng.normal(0, 1, (12, simulations))
    counts = np.stack([np.bincount(rng.integers(0, 12, 12), minlength=12) for _ in range(2000)])
    low, high = bootstrap_t(d, counts)
    covered = ((low <= 0) & (high >= 0)).mean()
    assert covered == pytest.approx(0.95, abs=0.035)
    short = np.quantile(counts @ d / 12, [0.025, 0.975], axis=0)
    assert ((short[0] <= 0) & (short[1] >= 0)).mean() < covered
    few = bootstrap_t(rng.normal(size=(4, 1)), np.ones((10, 4), int))
    assert np.isnan(few[0][0])


def test_all_patterns_are_half_of_them_twice() -> None:
    d = np.random.default_rng(0).normal(0.2, 1, (9, 4))
    patterns = 1 - 2 * ((np.arange(512)[:, None] >> np.arange(9)) & 1)
    t = (patterns @ d) / np.sqrt(9 * (d**2).sum(axis=0) - (patterns @ d) ** 2)
    for side, null in (("abs", np.abs(t)), ("upper", t)):
        raw, single, _ = flip_tests(d, [np.arange(4)], side=side, rng=np.random.default_rng(0))
        assert raw == pytest.approx((null >= null[0] - 1e-9).mean(axis=0))
        top = null.max(axis=1)[:, None]
        assert single == pytest.approx((top >= null[0] - 1e-9).mean(axis=0))


def test_max_t_of_sixty_contrasts_is_exact_for_twenty_tasks() -> None:
    d = np.random.default_rng(1).normal(0.02, 0.1, (20, 60))
    found = pa.max_t(d)
    assert found.n_resamples == 0
    assert found.pvalue[3] == pytest.approx(pa.sign_flip(d[:, 3]).pvalue)


def test_max_t_edges_stay_silent() -> None:
    one = pa.max_t(np.random.default_rng(0).normal(size=(8, 1)))
    assert one.pvalue[0] == one.single_step[0] == one.step_down[0]
    some = pa.max_t(np.column_stack([np.zeros(30), np.random.default_rng(1).normal(1, 1, 30)]))
    assert some.step_down[0] == 1
    assert some.step_down[1] < 0.01
    assert some.statistic[0] == 0


def test_signs_are_fair_and_streams_apart() -> None:
    signs = draw_signs(stream(0, 1, 2), 7, 2500)
    assert signs.shape == (7, 2500)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.03
    assert (signs != draw_signs(stream(0, 1, 3), 7, 2500)).any()


def test_results_come_in_the_order_of_the_jobs_and_errors_reach_the_caller() -> None:
    assert list(in_order(lambda n: n * n, range(50), 4)) == [n * n for n in range(50)]

    def fails(n: int) -> int:
        raise UserError(f"job {n}")

    with pytest.raises(UserError, match="job 0"):
        list(in_order(fails, range(5), 2))


def test_a_table_of_scores_is_resampled_like_its_arrays(make_scores: Any) -> None:
    first, second = make_scores(3, 20), make_scores(3, 20, seed=1)
    second = second[second["item_id"] != "i4"]  # the models need not have the same items
    scores = pd.concat([first.assign(model="a"), second.assign(model="b")], ignore_index=True)
    found = pa.resample_scores(scores, bca=True, n_resamples=1000, seed=3)
    assert found["level"].tolist() == ["cell"] * 12 + ["macro"] * 4
    assert found["n"].tolist() == [20, 20, 19, 19] * 3 + [3] * 4
    table = pa.contrasts(scores)
    key = ["level", "model", "task", "condition"]
    both = found.merge(table, on=key, suffixes=("", "_table"))
    assert len(both) == 16
    assert both["estimate"].to_numpy() == pytest.approx(both["difference"].to_numpy())
    assert (both["lower"] - both["lower_table"]).abs()[:12].max() < 0.1
    wide = first.pivot(index=["task", "item_id"], columns="condition", values="score")
    blocks = [
        block[["EP01", "EP02"]].sub(block["original"], axis=0).to_numpy()
        for _, block in wide.groupby("task")
    ]
    alone = pa.resample_scores(first, n_resamples=1000, seed=3)
    direct = pa.resample_cells(blocks, n_resamples=1000, seed=3)
    assert alone["step_down"][:6].tolist() == direct.step_down.ravel().tolist()
    assert alone["lower"][:6].tolist() == direct.lower.ravel().tolist()
    assert alone["lower"][6:].isna().all()  # three tasks are too few
    assert alone["note"][6:].str.contains("fewer than 5 tasks").all()
    assert "bca_lower" in found
    assert "bca_lower" not in alone
