from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.analysis import confidence_sequence
from promptlab.analysis.confidence_sequences import (
    Bets,
    Wealth,
    blocks_of,
    growth,
    plan_bets,
)
from promptlab.errors import UserError


def test_the_first_wealth_is_one() -> None:
    for planned in (1, 20, 2400, 10**6):
        bets = plan_bets(planned, error=0.0025)
        assert bets.shares.sum() == pytest.approx(1)
        assert ((bets.stakes > 0) & (bets.stakes < 1)).all()
        assert bets.log_wealth(np.zeros(bets.stakes.size)) == pytest.approx(0)


@settings(max_examples=25, deadline=None)
@given(
    chances=st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=2
    ),
    above=st.floats(0, 0.3),
    sizes=st.lists(st.integers(1, 2), min_size=2, max_size=2),
)
def test_wealth_is_a_supermartingale_whatever_the_tasks(
    chances: list[tuple[float, float, float]], above: float, sizes: list[int]
) -> None:
    """The exact expected growth of a block is at most 1, for a mean at or below the hypothesis."""
    laws = []
    for a, b, c in chances:
        total = a + b + c + 1e-9
        laws.append({1.0: a / total, -1.0: b / total, 0.0: 1 - (a + b) / total})
    mean = float(np.mean([law[1.0] - law[-1.0] for law in laws]))
    null = min(mean + above, 1.0)
    tasks = [t for t in range(len(laws)) for _ in range(sizes[t])]
    bets = plan_bets(40, error=0.05)
    expected = 0.0
    for values in itertools.product((1.0, -1.0, 0.0), repeat=len(tasks)):
        chance = math.prod(laws[t][v] for t, v in zip(tasks, values, strict=True))
        wealth = Wealth(bets, range(len(laws)))
        wealth.add(np.array(values), tasks)
        expected += chance * math.exp(wealth.log_wealth(null, "above"))
    assert expected <= 1 + 1e-9


def test_wealth_is_the_product_of_its_bets() -> None:
    d = np.array([1.0, 0.0, -1.0, 1.0, 0.5])
    bets = Bets(np.array([0.3]), np.array([1.0]))
    wealth = Wealth(bets, ["a"])
    wealth.add(d[:2], ["a"] * 2)
    wealth.add(d[2:], ["a"] * 3)
    assert wealth.log_wealth(0.1, "above") == pytest.approx(np.log(1 + 0.3 * (d - 0.1)).sum())
    assert wealth.log_wealth(0.1, "below") == pytest.approx(np.log(1 - 0.3 * (d - 0.1)).sum())
    counts = np.array([2.0, 1.0, 1.0, 1.0])
    found = growth([1.0, 0.0, -1.0, 0.5], counts, bets, null=0.1, side="above")
    assert found[0] == pytest.approx(wealth.log_wealth(0.1, "above"))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), graded=st.booleans())
def test_intervals_are_nested_and_turn_with_the_sign(seed: int, graded: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    x, y = rng.random((2, n))
    if not graded:
        x, y = (x < 0.5) * 1.0, (y < rng.random()) * 1.0
    tasks, blocks = np.arange(n) % 3, np.arange(n) // 12
    found = confidence_sequence(x, y, tasks=tasks, blocks=blocks)
    turned = confidence_sequence(y, x, tasks=tasks, blocks=blocks)
    assert (np.diff(found.lowers) >= 0).all()
    assert (np.diff(found.uppers) <= 0).all()
    assert found.interval == (found.lowers[-1], found.uppers[-1])
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]), abs=1e-6)
    assert turned.pvalue == pytest.approx(found.pvalue)
    excludes = found.interval[0] > 0 or found.interval[1] < 0
    assert excludes == (found.pvalue <= 0.05)
    order = rng.permutation(n)
    again = confidence_sequence(x[order], y[order], tasks=tasks[order], blocks=blocks[order])
    assert again.interval == pytest.approx(found.interval, abs=1e-6)


@pytest.mark.parametrize(("mean", "spread"), [(0.5, 0.0), (0.97, 0.0), (0.5, 0.3)])
def test_the_mean_is_missed_at_any_look_with_the_stated_probability(
    mean: float, spread: float
) -> None:
    """Next to the ceiling, with a look after every item, and with tasks that differ."""
    rng = np.random.default_rng(7)
    tasks = np.arange(4)
    moved = np.where(tasks % 2, spread, -spread)
    missed, n = 0, 120
    for _ in range(n):
        wealth = Wealth(plan_bets(100, error=0.05), tasks)
        best = 0.0
        for _ in range(25):
            x = (rng.random(4) < mean) * 1.0
            y = (rng.random(4) < np.clip(mean + moved, 0, 1)) * 1.0
            wealth.add(y - x, tasks)
            best = max(best, wealth.log_wealth(0, "above"), wealth.log_wealth(0, "below"))
        missed += best >= math.log(1 / 0.05)
    assert missed / n <= 0.1 + 3 * math.sqrt(0.09 / n)


def test_a_large_difference_is_found_and_repr_is_a_sentence() -> None:
    x = np.zeros(40)
    found = confidence_sequence(x, np.ones(40), blocks=np.arange(40) // 10)
    assert found.estimate == 1
    assert found.interval[0] > 0.5
    assert found.pvalue < 1e-4
    assert found.e_value > 1e4
    assert repr(found).startswith("The variant scored 100.0 points higher than the original (95 %")
    assert "4 looks" in repr(found)
    assert found.to_frame()["lower"].iloc[0] == found.interval[0]


def test_no_difference_has_an_interval_around_zero() -> None:
    found = confidence_sequence([1.0] * 30, [1.0] * 30)
    assert found.estimate == 0
    assert found.pvalue == 1
    assert found.interval[0] < 0 < found.interval[1]


def test_items_wait_for_one_of_every_task() -> None:
    wealth = Wealth(plan_bets(10, error=0.05), ["a", "b"])
    wealth.add(np.array([1.0, np.nan]), ["a", "b"])
    assert (wealth.n, wealth.waiting) == (0, 1)
    assert math.isnan(wealth.estimate)
    wealth.add(np.array([1.0]), ["b"])
    assert (wealth.n, wealth.waiting) == (2, 0)
    assert wealth.estimate == 1
    found = confidence_sequence([0, 0, 1], [1, 0, 1], tasks=["a", "a", "b"], blocks=[0, 1, 0])
    assert (found.n, found.waiting) == (2, 1)


def test_every_task_counts_the_same_however_many_items_it_has() -> None:
    x, y = np.zeros(12), np.array([1.0] * 2 + [0.0] * 10)
    found = confidence_sequence(x, y, tasks=["few"] * 2 + ["many"] * 10)
    assert found.estimate == 0.5


def test_blocks_are_even_and_none_is_empty() -> None:
    big, small = blocks_of([100, 15], 5)
    assert big.max() == small.max() == 14
    assert np.bincount(big).min() >= 6
    assert (np.bincount(small) == 1).all()
    assert [b.max() for b in blocks_of([100, 40], 5)] == [19, 19]
    assert blocks_of([3], 5)[0].tolist() == [0, 0, 0]
    with pytest.raises(UserError):
        blocks_of([], 5)


@pytest.mark.parametrize(
    ("x", "y", "more", "message"),
    [
        ([0.0, 2.0], [0.0, 1.0], {}, "scores in"),
        ([0.0, math.nan], [0.0, 1.0], {}, "missing"),
        ([0.0], [0.0, 1.0], {}, "same items"),
        ([0.0, 1.0], [0.0, 1.0], {"tasks": ["a"]}, "one task and one block"),
    ],
)
def test_wrong_input_is_a_clear_error(
    x: list[float], y: list[float], more: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        confidence_sequence(x, y, **more)  # type: ignore[arg-type]
