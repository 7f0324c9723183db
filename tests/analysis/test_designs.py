"""Designs: power of equivalence and of max-T, replicates, type M errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import promptlab.analysis as pa
from promptlab.analysis.equivalence import tost_tango_p
from promptlab.errors import UserError


@pytest.mark.parametrize(
    ("n", "sd", "margin", "delta"), [(12, 0.06, 0.05, 0.0), (40, 0.1, 0.05, 0.02)]
)
def test_power_of_equivalence_is_the_simulated_one(
    n: int, sd: float, margin: float, delta: float
) -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(delta, sd, (100_000, n))
    se = d.std(axis=1, ddof=1) / math.sqrt(n)
    hit = np.abs(d.mean(axis=1)) + stats.t.ppf(0.95, n - 1) * se <= margin
    found = pa.power_tost(n, sd, margin, delta=delta)
    assert found == pytest.approx(hit.mean(), abs=0.005)


def test_power_of_equivalence_at_the_known_designs() -> None:
    """Discordance .15, margin .05 (statistics, D.6): hopeless with 100 items, .65 with 400."""
    sd = math.sqrt(0.15)
    assert pa.power_tost(100, sd, 0.05) < 0.01
    assert pa.power_tost(400, sd, 0.05) == pytest.approx(0.65, abs=0.02)
    assert pa.power_tost(1000, sd, 0.05) == pytest.approx(0.986, abs=0.006)
    assert pa.power_tost(400, sd, 0.05, delta=0.05) <= 0.05
    needed = pa.tost_n(sd, 0.05)
    assert pa.power_tost(needed, sd, 0.05) >= 0.8 > pa.power_tost(needed - 1, sd, 0.05)
    with pytest.raises(UserError, match="not inside the margin"):
        pa.tost_n(sd, 0.05, delta=0.05)


def test_power_of_the_score_test_of_equivalence() -> None:
    rng = np.random.default_rng(1)
    cells = rng.multinomial(300, [0.08, 0.06, 0.86], 20_000)
    hit = tost_tango_p(cells[:, 0], cells[:, 1], 300, 0.08) <= 0.05
    assert pa.power_tost_tango(300, 0.08, 0.06, 0.08) == pytest.approx(hit.mean(), abs=0.012)
    assert pa.power_tost_tango(300, 0.14, 0.06, 0.08) < 0.06


@pytest.mark.parametrize(("shift", "df"), [(0.4, math.inf), (2.0, math.inf), (1.0, 9.0)])
def test_exaggeration_is_the_simulated_one(shift: float, df: float) -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=400_000) if math.isinf(df) else rng.standard_t(df, 400_000)
    seen = shift + noise
    critical = stats.norm.ppf(0.975) if math.isinf(df) else stats.t.ppf(0.975, df)
    kept = seen[np.abs(seen) > critical]
    found = pa.design_errors(shift, 1.0, df=df)
    assert found.power == pytest.approx(kept.size / seen.size, abs=0.003)
    assert found.type_s == pytest.approx((kept < 0).mean(), abs=0.01)
    assert found.estimate == pytest.approx(np.abs(kept).mean() / shift, rel=0.01)
    same = pa.design_errors(-10 * shift, 10.0, df=df)
    assert (same.power, same.estimate) == pytest.approx((found.power, found.estimate))


def test_a_weak_design_exaggerates() -> None:
    found = [pa.exaggeration(power) for power in (0.06, 0.2, 0.5, 0.8, 0.99)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 8
    assert found[-1] == pytest.approx(1, abs=0.02)


def test_replicates_help_as_far_as_the_noise_within_items_goes() -> None:
    table = pa.replicate_design(
        var_between=0.02, var_within=0.18, n_items=100, delta=0.05, replicates=(1, 4, 1000)
    )
    assert table["se"].tolist() == pytest.approx(
        [math.sqrt(v / 100) for v in (0.2, 0.065, 0.02018)]
    )
    assert table["requests"].tolist() == [100, 400, 100_000]
    for row in table.itertuples():
        needed = pa.items_needed(
            0.05, var_between=0.02, var_within=0.18, replicates=int(row.replicates)
        )
        assert row.items_needed == needed
        assert row.requests_needed == needed * row.replicates
    # Right/wrong answers: psi - d^2 is the variance between items of one answer each.
    assert pa.items_needed(0.1, var_between=0.2 - 0.01) == pa.miller_n(0.15, 0.05)


def test_replicate_design_takes_variance_components() -> None:
    rng = np.random.default_rng(3)
    item = np.repeat(np.arange(200), 4)
    d = rng.normal(0, 0.3, 200)[item] + rng.normal(0, 0.6, 800)
    parts = pa.variance_components(item, d)
    table = pa.replicate_design(
        var_between=parts.var_between, var_within=parts.var_within, n_items=200, replicates=(4,)
    )
    assert table["se"][0] == pytest.approx(parts.standard_error(200, 4))
    assert table["se"][0] == pytest.approx(parts.se, rel=1e-9)


def test_tasks_needed_reach_the_power() -> None:
    design = {"sd_task": 0.04, "var_item": 0.2, "n_items": 50}
    needed = pa.tasks_needed(0.03, **design)
    sd = math.sqrt(0.04**2 + 0.2 / 50)
    assert pa.power_t(needed, 0.03, sd) >= 0.8 > pa.power_t(needed - 1, 0.03, sd)
    less = pa.tasks_needed(0.03, var_within=0.1, replicates=100, **design)
    assert needed <= less < pa.tasks_needed(0.03, var_within=0.1, **design)


def test_power_of_max_t() -> None:
    null = pa.power_max_t([0.0] * 8, 12, n_simulations=300, n_resamples=199)
    assert math.isnan(null.estimate)
    assert null.false_positive <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    found = pa.power_max_t([0.06, *[0.0] * 7], 12, n_simulations=300, n_resamples=199)
    single = pa.power_t(12, 0.06, math.sqrt(0.04**2 + 0.2 / 100))
    assert 0.3 < found.estimate < single, "max-T pays for eight stimuli"
    assert found.each[0] == found.estimate
    assert found.interval[0] < found.estimate < found.interval[1]
    alone = pa.power_max_t([0.06], 12, n_simulations=300, n_resamples=199)
    assert alone.estimate == pytest.approx(single, abs=0.09)


def test_power_of_many_items_is_quick_and_that_of_the_normal() -> None:
    assert pa.power_mcnemar(100_000, 0.101, 0.099) == pytest.approx(
        pa.normal_power(100_000, 0.101, 0.099), abs=0.005
    )
    assert pa.normal_power(5, 1.0, 0.0) == 1.0
