"""Posteriors against sampling, and the hierarchy against its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import promptlab.analysis as pa
from promptlab.errors import UserError


@pytest.mark.parametrize(
    ("gains", "losses", "n", "prior"), [(9, 4, 60, 1.0), (0, 0, 20, 1.0), (6, 0, 25, 0.5)]
)
def test_the_posterior_is_that_of_sampled_tables(
    gains: int, losses: int, n: int, prior: float
) -> None:
    cells = np.array([gains, losses, n - gains - losses, 0.0]) + prior
    draws = np.random.default_rng(0).dirichlet(cells, 400_000)
    d = draws[:, 0] - draws[:, 1]
    found = pa.dirichlet_difference(gains, losses, n, prior=prior, margin=0.05)
    assert found.interval == pytest.approx(np.quantile(d, [0.025, 0.975]), abs=0.001)
    assert found.mean == pytest.approx(d.mean(), abs=5e-4)
    assert found.probability_better == pytest.approx((d > 0).mean(), abs=0.003)
    assert found.probability_equivalent == pytest.approx((np.abs(d) < 0.05).mean(), abs=0.003)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 40))
def test_swapping_the_prompts_mirrors_the_interval(gains: int, losses: int, rest: int) -> None:
    n = max(1, gains + losses + rest)
    one, two = pa.dirichlet_difference(gains, losses, n), pa.dirichlet_difference(losses, gains, n)
    assert one.interval == pytest.approx((-two.interval[1], -two.interval[0]), abs=1e-8)
    assert -1 <= one.interval[0] < one.mean < one.interval[1] <= 1


def test_the_hierarchy_is_that_of_brute_force() -> None:
    y, v = np.array([0.05, -0.01, 0.12, 0.03, 0.02]), np.array([4, 2, 9, 1, 3]) * 1e-4
    found = pa.bayes_hierarchy(y, v, margin=0.03)
    mu, tau = np.meshgrid(np.linspace(-0.4, 0.5, 901), np.linspace(1e-4, 0.6, 700))
    logs = stats.halfcauchy.logpdf(tau, scale=0.1)
    for own, error in zip(y, v, strict=True):
        logs = logs + stats.norm.logpdf(own, mu, np.sqrt(tau**2 + error))
    mass = np.exp(logs - logs.max())
    mass /= mass.sum()
    assert found.estimate == pytest.approx((mass * mu).sum(), abs=2e-4)
    assert found.probability_positive == pytest.approx(mass[mu > 0].sum(), abs=0.005)
    assert found.probability_equivalent == pytest.approx(mass[np.abs(mu) < 0.03].sum(), abs=0.01)
    cumulative = np.cumsum(mass.sum(axis=1))
    assert found.tau == pytest.approx(tau[np.searchsorted(cumulative, 0.5), 0], abs=0.002)
    assert found.interval[0] < 0 < found.estimate < found.interval[1]


def test_tasks_that_agree_are_pooled_and_others_are_shrunken() -> None:
    agree = pa.bayes_hierarchy([0.03] * 12, [1e-4] * 12)
    assert agree.estimate == pytest.approx(0.03)
    assert agree.tau < 0.01
    y = np.array([0.3, 0.0, 0.02, -0.03, 0.01, 0.0])
    wide = pa.bayes_hierarchy(y, np.full(6, 0.004))
    assert 0.05 < wide.task_estimates[0] < 0.3
    part = pa.bayes_hierarchy([0.1, 0.2, 0.0], [0.001, 0.0, 0.001])
    assert part.dropped == 1
    assert math.isnan(part.task_estimates[1])
    with pytest.raises(UserError, match="two tasks"):
        pa.bayes_hierarchy([0.1], [0.001])


def test_the_signed_rank_is_that_of_a_plain_loop() -> None:
    d = np.array([0.03, -0.01, 0.05, 0.0, 0.04, 0.01])
    found = pa.bayes_signed_rank(d, margin=0.01, n_samples=20_000)
    z, rng = np.append(0.0, d), np.random.default_rng(9)
    wins = np.zeros(3)
    for w in rng.dirichlet([0.5, *[1.0] * 6], 1000):
        regions = np.zeros(3)
        for i in range(7):
            for j in range(7):
                middle = (z[i] + z[j]) / 2
                regions[int(middle > -0.01 - 1e-12) + int(middle > 0.01 + 1e-12)] += w[i] * w[j]
        wins[np.argmax(regions)] += 1
    shares = found.probability_worse, found.probability_equivalent, found.estimate
    assert sum(shares) == pytest.approx(1)
    assert shares == pytest.approx(wins / 1000, abs=0.05)


def test_the_region_takes_what_is_small() -> None:
    rng = np.random.default_rng(3)
    small = pa.bayes_signed_rank(rng.normal(0, 0.005, 20), margin=0.02, n_samples=2000)
    assert small.probability_equivalent > 0.99
    large = pa.bayes_signed_rank(rng.normal(0.1, 0.02, 20), margin=0.02, n_samples=2000)
    assert large.estimate > 0.99
