from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.analysis import (
    beta_interval,
    bonett_price,
    clopper_pearson,
    jeffreys,
    newcombe,
    t_interval,
    tango,
    wilson,
)
from promptlab.analysis.intervals import tango_limits, tango_z
from promptlab.errors import UserError

counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).filter(sum)


@given(counts)
def test_tango_contains_the_estimate_and_solves_its_equation(abc: tuple[int, int, int]) -> None:
    gains, losses, n = abc[0], abc[1], sum(abc)
    low, high = tango(gains, losses, n).interval
    estimate = (gains - losses) / n
    assert -1 <= low <= estimate <= high <= 1
    for end in (low, high):
        if -1 < end < 1 and abs(end) < 0.999:
            assert abs(float(tango_z(gains, losses, n, end))) == pytest.approx(1.959964, abs=1e-4)


@settings(max_examples=40)
@given(counts)
def test_swapping_conditions_mirrors_the_interval(abc: tuple[int, int, int]) -> None:
    gains, losses, n = abc[0], abc[1], sum(abc)
    for interval in (tango, bonett_price):
        low, high = interval(gains, losses, n).interval
        mirrored = interval(losses, gains, n).interval
        assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]), abs=1e-9)


@settings(max_examples=30)
@given(st.lists(counts, min_size=1, max_size=5))
def test_many_cells_at_once(cells: list[tuple[int, int, int]]) -> None:
    gains, losses, rest = np.array(cells).T
    low, high = tango_limits(gains, losses, gains + losses + rest)
    for k, (b, c, r) in enumerate(cells):
        assert (low[k], high[k]) == pytest.approx(tango(b, c, b + c + r).interval)


def test_no_items_is_nan_and_no_warning() -> None:
    low, high = tango_limits([0], [0], [0])
    assert math.isnan(low[0])
    assert math.isnan(high[0])


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, jeffreys, beta_interval])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20)])
def test_proportions_stay_inside(interval: object, successes: int, n: int) -> None:
    result = interval(successes, n)  # type: ignore[operator]
    low, high = result.interval
    assert 0 <= low <= high <= 1
    assert result.n == n


def test_clopper_pearson_covers_wilson_does_not_reach_beyond() -> None:
    assert clopper_pearson(3, 30).interval[0] < wilson(3, 30).interval[0]
    assert jeffreys(0, 10).interval[0] == 0
    assert jeffreys(10, 10).interval[1] == 1


def test_newcombe_without_discordant_pairs_or_margins() -> None:
    low, high = newcombe(10, 0, 0, 0).interval
    assert low < 0 < high
    assert newcombe(0, 10, 0, 0).interval[1] <= 1


def test_t_interval_edges() -> None:
    assert math.isnan(t_interval([0.3]).interval[0])
    flat = t_interval([0.25] * 5)
    assert flat.degenerate
    assert flat.interval == (0.25, 0.25)
    assert math.isnan(flat.pvalue)


@pytest.mark.parametrize("bad", [[1.0, float("nan")], [], [[1.0, 2.0]], ["a"]])
def test_bad_vectors_are_refused(bad: object) -> None:
    with pytest.raises(UserError):
        t_interval(bad)


def test_bad_counts_are_refused() -> None:
    with pytest.raises(UserError, match="more than n"):
        tango(5, 6, 10)
    with pytest.raises(UserError, match="count"):
        wilson(-1, 10)
    with pytest.raises(UserError, match="at least 1"):
        wilson(0, 0)
    with pytest.raises(UserError, match="level"):
        wilson(1, 2, level=1.5)


def test_repr_reads_as_a_sentence() -> None:
    text = repr(tango(18, 7, 100))
    assert text == (
        "The variant was right 11.0 points more often than the original "
        "(95 % interval +1.3 to +21.0) on 100 items (Tango score interval)."
    )
    frame = tango(18, 7, 100).to_frame()
    assert list(frame.columns[:2]) == ["estimate", "n"]
    assert frame["lower"].iloc[0] == pytest.approx(0.0127832, abs=1e-6)
