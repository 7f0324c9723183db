"""Bootstrap of whole units: against brute force, and where the percentile interval is short."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import promptlab.analysis as pa
from promptlab.analysis.studentized import studentized
from promptlab.errors import UnknownName, UserError


def test_studentized_deviations_are_those_of_each_resample() -> None:
    rng = np.random.default_rng(0)
    x, cluster = rng.normal(size=30), rng.integers(0, 6, 30)
    sums = np.bincount(cluster, weights=x - x.mean())[:, None]
    sizes = np.bincount(cluster)
    drawn = rng.integers(0, 6, (40, 6))
    counts = np.array([np.bincount(row, minlength=6) for row in drawn], dtype=float)
    t, shift = studentized(counts, sums, sizes)
    for i, row in enumerate(drawn):
        values = np.concatenate([x[cluster == c] for c in row])
        labels = np.repeat(np.arange(6), [int((cluster == c).sum()) for c in row])
        found = pa.clustered_mean(values, labels)
        assert shift[i, 0] == pytest.approx(found.estimate - x.mean())
        assert t[i, 0] == pytest.approx((found.estimate - x.mean()) / found.se_cr1)


def test_bootstrap_t_is_the_enumerated_one() -> None:
    x = np.array([0.1, 0.35, -0.2, 0.5, 0.22])
    t = []
    for row in itertools.product(x, repeat=5):
        sd = np.std(row, ddof=1)
        gap = np.mean(row) - x.mean()
        t.append(gap / (sd / math.sqrt(5)) if sd > 1e-12 else math.copysign(math.inf, gap))
    low, high = np.quantile(t, [0.05, 0.95], method="nearest")
    se = x.std(ddof=1) / math.sqrt(5)
    found = pa.bootstrap_t(x, level=0.9, n_resamples=40_000)
    assert found.interval == pytest.approx((x.mean() - high * se, x.mean() - low * se), abs=0.02)


def test_coverage_over_tasks() -> None:
    """8 tasks: the percentile interval is short, bootstrap-t is not (statistics: .896, .954)."""
    rng = np.random.default_rng(1)
    hits = np.zeros(2)
    for seed in range(300):
        d = rng.normal(0.02, 0.06, 8)
        own = pa.bootstrap_t(d, n_resamples=500, seed=seed).interval
        percentile = pa.cluster_bootstrap(
            d, np.arange(8), kind="percentile", n_resamples=500, seed=seed
        ).interval
        hits += [own[0] <= 0.02 <= own[1], percentile[0] <= 0.02 <= percentile[1]]
    assert hits[0] / 300 >= 0.91
    assert hits[1] / 300 <= 0.935


def test_macro_random_and_fixed_answer_different_questions() -> None:
    rng = np.random.default_rng(2)
    tasks = np.repeat(np.arange(10), 50)
    effect = rng.normal(0, 0.2, 10)[tasks]
    x = rng.random(500)
    y = x + effect + 0.1 * rng.normal(size=500)
    new = pa.macro_bootstrap(tasks, x, y, n_resamples=2000)
    same = pa.macro_bootstrap(tasks, x, y, generalize="fixed", n_resamples=2000)
    closed = pa.macro_difference(tasks, x, y)
    assert new.estimate == same.estimate == pytest.approx(closed.estimate)
    assert same.se == pytest.approx(closed.se_fixed, rel=0.06)
    assert new.se == pytest.approx(closed.se_random * math.sqrt(9 / 10), rel=0.06)
    assert np.diff(same.interval) < np.diff(new.interval) / 5
    with pytest.raises(UnknownName, match="unknown unit"):
        pa.macro_bootstrap(tasks, x, y, generalize="both")  # type: ignore[arg-type]


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(20), 10)
    x = rng.normal(size=20)[cluster] + 0.3 * rng.normal(size=200)
    alone, whole = pa.bootstrap_t(x), pa.cluster_bootstrap(x, cluster)
    assert np.diff(whole.interval) > 2 * np.diff(alone.interval)
    assert whole.se == pytest.approx(pa.clustered_mean(x, cluster).se_cr0, rel=0.05)
    with pytest.raises(UserError, match="100 resamples"):
        pa.bootstrap_t(x, n_resamples=5)
