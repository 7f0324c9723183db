"""Items and wordings as crossed random factors: components by oracles, coverage by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from promptlab.analysis import crossed_mean
from promptlab.analysis.wordings import crossed_moments, error_of
from promptlab.errors import UserError

Table = np.ndarray[Any, np.dtype[np.float64]]


def simulated(
    n: int, w: int, item: float, wording: float, residual: float, tables: int, seed: int
) -> Table:
    """Tables of items x wordings with these standard deviations and mean 0."""
    rng = np.random.default_rng(seed)
    return (
        item * rng.normal(size=(n, 1, tables))
        + wording * rng.normal(size=(1, w, tables))
        + residual * rng.normal(size=(n, w, tables))
    )


def by_expectation(there: Table) -> Table:
    """What the four sums of squares expect of each component, by brute force: 3 x 3 of contrasts.

    Each uncorrected sum of squares is y'Py with a projection P; its expectation under a component
    with covariance ZZ' is the trace of PZZ'.
    """
    n, w = there.shape
    cells = [(i, j) for i in range(n) for j in range(w) if there[i, j]]
    item = np.array([[i == k for k in range(n)] for i, _ in cells], float)
    wording = np.array([[j == k for k in range(w)] for _, j in cells], float)
    one, every = np.ones((len(cells), 1)), np.eye(len(cells))

    def projection(z: Table) -> Table:
        return np.asarray(z @ np.linalg.pinv(z))

    p_item, p_wording, p_one = projection(item), projection(wording), projection(one)
    forms = [p_item - p_one, p_wording - p_one, every - p_item - p_wording + p_one]
    covariances = [item @ item.T, wording @ wording.T, every]
    return np.array([[np.trace(p @ v) for v in covariances] for p in forms])


def components(table: Table) -> Table:
    """Henderson's method 1 by matrices."""
    there = np.isfinite(table)
    n, w = table.shape
    cells = [(i, j) for i in range(n) for j in range(w) if there[i, j]]
    y = np.array([table[c] for c in cells])
    item = np.array([[i == k for k in range(n)] for i, _ in cells], float)
    wording = np.array([[j == k for k in range(w)] for _, j in cells], float)
    squares = [float(y @ z @ np.linalg.pinv(z) @ y) for z in (item, wording, np.ones((y.size, 1)))]
    sums = [squares[0] - squares[2], squares[1] - squares[2]]
    sums.append(float(y @ y) - squares[0] - squares[1] + squares[2])
    return np.linalg.solve(by_expectation(there), np.array(sums))


def test_components_are_those_of_the_analysis_of_variance() -> None:
    statsmodels = pytest.importorskip("statsmodels.api")
    from statsmodels.formula.api import ols

    table = simulated(12, 5, 0.3, 0.2, 0.4, 1, 7)[..., 0] + 0.1
    n, w = table.shape
    rows = pd.DataFrame(
        [(f"i{i}", f"w{j}", table[i, j]) for i in range(n) for j in range(w)],
        columns=["item", "wording", "d"],
    )
    anova = statsmodels.stats.anova_lm(ols("d ~ C(item) + C(wording)", rows).fit())
    ms = anova["mean_sq"]
    found = crossed_mean(table)
    assert found.var_item == pytest.approx((ms["C(item)"] - ms["Residual"]) / w)
    assert found.var_wording == pytest.approx((ms["C(wording)"] - ms["Residual"]) / n)
    assert found.var_residual == pytest.approx(ms["Residual"])
    squares = {"items": ms["C(item)"], "wordings": ms["C(wording)"], "cells": ms["Residual"]}
    variance = (squares["items"] + squares["wordings"] - squares["cells"]) / (n * w)
    assert found.se == pytest.approx(variance**0.5)
    # Clark's quasi-F of the mean, with Satterthwaite's degrees of freedom.
    df = (variance * n * w) ** 2 / sum(
        m**2 / f for m, f in zip(squares.values(), (n - 1, w - 1, (n - 1) * (w - 1)), strict=True)
    )
    assert found.df == pytest.approx(df)
    assert found.pvalue == pytest.approx(2 * stats.t.sf(abs(table.mean()) / found.se, df))
    assert found.estimate == pytest.approx(table.mean())
    assert found.items_interval == pytest.approx(
        stats.ttest_1samp(table.mean(axis=1), 0).confidence_interval()
    )


@given(
    table=arrays(np.float64, st.tuples(st.integers(3, 6), st.integers(3, 5)),
                 elements=st.floats(-1, 1, width=32)),
    gaps=st.sets(st.integers(0, 30), max_size=4),
)  # fmt: skip
def test_components_with_gaps_are_henderson_s(table: Table, gaps: set[int]) -> None:
    table = table.copy()
    table.ravel()[[g for g in gaps if g < table.size]] = np.nan
    there = np.isfinite(table)
    if not (there.any(axis=0).all() and there.any(axis=1).all()):
        return
    found = crossed_moments(table[:, :, None])
    expected = components(table)
    got = [float(v[0]) for v in (found.item, found.wording, found.residual)]
    assert got == pytest.approx(list(expected), abs=1e-8)
    assert found.mean[0] == pytest.approx(np.nanmean(table, axis=1).mean())


def test_components_are_unbiased() -> None:
    """The truth is found on average, missing values or not."""
    tables = simulated(15, 4, 0.3, 0.2, 0.4, 4000, 1)
    gaps = np.random.default_rng(2).random(tables.shape[:2]) < 0.15
    for these in (tables, np.where(gaps[..., None], np.nan, tables)):
        found = crossed_moments(these)
        for values, truth in ((found.item, 0.3), (found.wording, 0.2), (found.residual, 0.4)):
            error = float(values.std()) / len(values) ** 0.5
            assert abs(float(values.mean()) - truth**2) < 4 * error
        parts = found.by_items + found.by_wordings - found.by_cells
        assert float(parts.mean()) == pytest.approx(float(found.mean.var()), rel=0.06)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("w", [2, 3, 5, 10])
@pytest.mark.parametrize("wording", [0.0, 0.05, 0.1, 0.25])
def test_intervals_cover(n: int, w: int, wording: float) -> None:
    """At least 93 % of nominal 95 % intervals hold the truth, whatever share wordings have."""
    found = crossed_moments(simulated(n, w, 0.25, wording, 0.3, 4000, 11))
    variance, df = error_of(type(found)(**{k: v[:, None] for k, v in vars_of(found).items()}))
    covered = np.abs(found.mean) <= stats.t.isf(0.025, df) * np.sqrt(variance)
    assert covered.mean() >= 0.93 - 3 * (0.05 * 0.95 / 4000) ** 0.5
    if wording == 0.25 and n == 100:
        # The positive control: a test over items alone is wrong as often as it is right.
        naive = stats.t.isf(0.025, n - 1) * np.sqrt(found.items_only)
        assert (np.abs(found.mean) <= naive).mean() < 0.6


def vars_of(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def test_many_items_do_not_replace_wordings() -> None:
    rng = np.random.default_rng(3)
    effects = rng.normal(0.05, 0.1, 4)
    table = effects + 0.05 * rng.normal(size=(5000, 4))
    found = crossed_mean(table)
    low, high = found.items_interval
    assert low > 0  # certain, of these four wordings
    assert found.interval[0] < 0 < found.interval[1]
    assert found.se == pytest.approx(effects.std(ddof=1) / 2, rel=0.1)
    assert (high - low) < 0.1 * (found.interval[1] - found.interval[0])


@pytest.mark.parametrize(
    ("table", "note"),
    [
        ([[0.1], [0.3]], "one wording: how much wordings differ is unknown"),
        ([[0.1, 0.2, 0.4]], "one item: how much items differ is unknown"),
        ([[0.0, 0.0], [0.0, 0.0]], "degenerate: zero variance"),
        ([[0.1, np.nan], [np.nan, 0.4]], "too few pairs for three variance components"),
    ],
)
def test_what_cannot_be_known_is_said(table: Any, note: str) -> None:
    found = crossed_mean(table)
    assert found.note == note
    assert np.isnan(found.interval).all()
    assert np.isnan(found.pvalue)
    assert found.estimate == pytest.approx(np.nanmean(np.nanmean(table, axis=1)))
    if not found.degenerate:  # of which the sentence says in its own words what it means
        assert note in repr(found).lower()


def test_the_result_reads_as_a_sentence() -> None:
    found = crossed_mean(simulated(20, 4, 0.2, 0.05, 0.2, 1, 0)[..., 0])
    assert repr(found).startswith("The mean difference is ")
    assert " on 20 items, " in repr(found)
    assert "(items x 4 wordings, both random, t with " in repr(found)
    frame = found.to_frame()
    assert frame["n_wordings"].item() == 4
    assert frame["lower"].item() == found.interval[0]
    opposite = (found.wording_means * found.estimate < 0).mean()
    assert found.share_opposite == pytest.approx(opposite)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([0.1, 0.2], "a table of items x wordings"),
        ([["a"]], "every value must be a number"),
        ([[np.inf, 0.0]], "infinite"),
        ([[np.nan, np.nan]], "there is no value"),
    ],
)
def test_mistakes_in_the_table(table: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        crossed_mean(table)


@given(
    seed=st.integers(0, 1000), n=st.integers(2, 30), w=st.integers(2, 6), scale=st.floats(0.1, 10)
)
def test_laws(seed: int, n: int, w: int, scale: float) -> None:
    """Order does not matter, the unit does not matter, and wordings only add uncertainty."""
    table = simulated(n, w, 0.2, 0.1, 0.3, 1, seed)[..., 0]
    found, rng = crossed_mean(table), np.random.default_rng(seed)
    other = crossed_mean(scale * table[rng.permutation(n)][:, rng.permutation(w)])
    assert other.estimate == pytest.approx(scale * found.estimate)
    assert other.interval == pytest.approx([scale * end for end in found.interval], rel=1e-6)
    assert other.pvalue == pytest.approx(found.pvalue)
    assert found.df >= min(n, w) - 1
    low, high = found.items_interval
    assert found.se >= (high - low) / 2 / stats.t.isf(0.025, n - 1) - 1e-12
