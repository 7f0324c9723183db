"""The sign-flip test of a mean difference: exact wherever that is cheap, Monte Carlo elsewhere.

Under H0 each paired difference is as likely to be -d as +d. The statistic is the mean, so zeros do
not change the p value, and on differences of -1, 0, 1 the exact test is McNemar's exact test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from promptlab.analysis.arguments import check_choice, check_repeats
from promptlab.analysis.arrays import TIE, Array, Ints, Seed, as_vector, product, rng_from
from promptlab.analysis.flips import Side, Tally
from promptlab.analysis.results import Resampled, sided
from promptlab.analysis.streams import block_sizes, draw_signs
from promptlab.errors import UserError

__all__ = ["SignFlip", "common_steps", "sign_flip", "sign_flip_p"]

Alternative = Literal["two-sided", "greater", "less"]
How = Literal["auto", "exact", "monte-carlo"]

ENUMERATE = 32
"""Up to this many non-zero differences all sign patterns are counted (two halves, then merged)."""
_GRID = 50_000
_GRID_ALONE = 2_000_000
"""Longest integer distribution that is convolved: for one of many columns, and for one alone."""
_SECOND_LOOK = 200_000
"""Resamples for the columns whose first p value rests on fewer than ten exceedances."""


@dataclass(frozen=True, kw_only=True, repr=False)
class SignFlip(Resampled):
    """A sign-flip test; `estimate` is the mean difference."""

    label: ClassVar[str] = "mean difference"
    unit: ClassVar[str] = "pairs"


def sign_flip(
    differences: Any,
    *,
    alternative: Alternative = "two-sided",
    how: How = "auto",
    n_resamples: int = 9999,
    seed: Seed = 0,
) -> SignFlip:
    """Sign-flip test of H0: the differences are symmetric around 0.

    Args:
        differences: one a pair (item or task), variant - original.
        alternative: `greater` means that the variant is better.
        how: `auto` is exact for differences on a grid or for few pairs, Monte Carlo otherwise.
        n_resamples: of the Monte-Carlo test; p = (1 + exceedances) / (n_resamples + 1).
        seed: of the Monte-Carlo test.

    Raises:
        UserError: missing values; `exact` for too many differences that lie on no grid.

    Examples:
        >>> sign_flip([0.04, 0.01, -0.02, 0.05, 0.03, 0.02])
        The mean difference is 0.02167 on 6 pairs, p = 0.12 (sign-flip test, two-sided, exact).
    """
    check_choice("alternative", alternative, get_args(Alternative))
    check_choice("kind of test", how, get_args(How))
    check_repeats(n_resamples=n_resamples)
    d = as_vector(differences, "differences")
    p, used = sign_flip_p(
        d[:, None],
        alternative=alternative,
        how=how,
        n_resamples=n_resamples,
        seed=seed,
        longest=_GRID_ALONE,
    )
    resamples = int(used[0])
    pvalue = float(p[0])
    return SignFlip(
        estimate=float(d.mean()),
        pvalue=pvalue,
        n=d.size,
        method=f"sign-flip test, {sided(alternative)}, {describe(resamples)}",
        n_resamples=resamples,
        mc_error=math.sqrt(pvalue * (1 - pvalue) / resamples) if resamples else 0.0,
    )


def describe(n_resamples: int) -> str:
    """`exact`, or how many resamples."""
    return f"{n_resamples} resamples" if n_resamples else "exact"


def sign_flip_p(
    differences: Array,
    *,
    alternative: Alternative = "two-sided",
    how: How = "auto",
    n_resamples: int = 9999,
    seed: Seed = 0,
    longest: int = _GRID,
) -> tuple[Array, Ints]:
    """P values of many columns at once.

    Args:
        differences: pairs x columns; NaN is an absent pair.
        alternative: as in `sign_flip`.
        how: as in `sign_flip`.
        n_resamples: of the Monte-Carlo test; columns whose p is near its smallest possible value
            are looked at again with more.
        seed: one sign a pair and resample is shared by all columns.
        longest: integer distributions up to this length are computed exactly.

    Returns:
        P values (NaN for a column without pairs) and the number of resamples (0 = exact).
    """
    d = np.where(np.isnan(differences), 0.0, differences)
    columns = d.shape[1]
    p, used = np.full(columns, np.nan), np.zeros(columns, np.int64)
    rest: list[int] = []
    for k in range(columns):
        if np.isnan(differences[:, k]).all():
            continue
        nonzero = d[np.abs(d[:, k]) > TIE, k]
        exact = None if how == "monte-carlo" else _exact(nonzero, alternative, longest)
        if exact is not None:
            p[k] = exact
        elif how == "exact":
            raise UserError(
                f"{nonzero.size} differences on no common grid are too many for the exact test; "
                "use how='auto'"
            )
        else:
            rest.append(k)
    if rest:
        rng = rng_from(seed)
        _monte_carlo(d, rest, alternative, n_resamples, rng, p, used)
        again = [k for k in rest if p[k] * (used[k] + 1) < 11]
        if again and how == "auto" and n_resamples < _SECOND_LOOK:
            _monte_carlo(d, again, alternative, _SECOND_LOOK - 1, rng, p, used)
    return p, used


def _exact(d: Array, alternative: Alternative, longest: int) -> float | None:
    """The exact p value, or None where it would be expensive."""
    if d.size == 0:
        return 1.0
    steps = on_grid(d, longest)
    if steps is not None:
        return _convolve(steps, alternative)
    return _enumerate(d, alternative) if d.size <= ENUMERATE else None


def on_grid(d: Array, longest: int = _GRID) -> Ints | None:
    """The differences as whole multiples of one step, if such a step is coarse enough."""
    steps = common_steps(d)
    return steps if steps is not None and int(np.abs(steps).sum()) <= longest else None


def common_steps(d: Array) -> Ints | None:
    """Numbers as whole multiples of their largest common step; None if they have none."""
    sizes, where = np.unique(np.round(np.abs(d), 12), return_inverse=True)
    whole = _multiples(np.asarray(sizes, dtype=np.float64))
    if whole is None:
        return None
    whole //= max(1, int(np.gcd.reduce(whole)))
    steps = whole[where].reshape(d.shape)
    return np.where(d < 0, -steps, steps)


def _multiples(sizes: Array) -> Ints | None:
    """Sizes as multiples of 1/q for a usual q, or of the least common denominator."""
    for q in (1, 60, 100, 1000, 10_000, 100_000):
        scaled = sizes * q
        if np.abs(scaled - np.round(scaled)).max() < 1e-9:
            return np.round(scaled).astype(np.int64)
    q = 1
    fractions: list[Fraction] = []
    for size in sizes:
        fraction = Fraction(float(size)).limit_denominator(2000)
        q = math.lcm(q, fraction.denominator)
        if abs(float(fraction) - size) > 1e-11 or q > 1_000_000:
            return None
        fractions.append(fraction)
    return np.array([int(f * q) for f in fractions], dtype=np.int64)


def _convolve(steps: Ints, alternative: Alternative) -> float:
    """Tail of the exact distribution of the sum of signed whole numbers."""
    total = int(np.abs(steps).sum())
    sizes, counts = np.unique(np.abs(steps), return_counts=True)
    # Distribution of the sum of those magnitudes whose sign came up plus.
    mass = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        grown = np.zeros(mass.size + size * count)
        for j in range(count + 1):
            weight = math.comb(count, j) / 2**count
            grown[j * size : j * size + mass.size] += weight * mass
        mass = grown
    observed = int(steps.sum())
    values = 2 * np.arange(total + 1) - total
    if alternative == "two-sided":
        tail = np.abs(values) >= abs(observed)
    else:
        tail = values >= observed if alternative == "greater" else values <= observed
    return min(1.0, float(mass[tail].sum()))


def _enumerate(d: Array, alternative: Alternative) -> float:
    """All 2^n patterns: sums of both halves, and for each left sum a count of right sums."""
    left, right = (_signed_sums(half) for half in np.array_split(d, 2))
    right = np.sort(right)
    target, slack = float(d.sum()), TIE * d.size
    if alternative == "less":
        target = -target  # the distribution is symmetric
    if alternative == "two-sided":
        target = abs(target)
        if target <= slack:
            return 1.0
    reached = right.size - np.searchsorted(right, target - slack - left, side="left")
    share = float(reached.sum()) / (left.size * right.size)
    return min(1.0, 2 * share) if alternative == "two-sided" else share


def _signed_sums(values: Array) -> Array:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _monte_carlo(
    d: Array,
    columns: list[int],
    alternative: Alternative,
    n_resamples: int,
    rng: np.random.Generator,
    p: Array,
    used: Ints,
) -> None:
    """Fill in p values of some columns, in blocks that keep the memory small."""
    part = -d[:, columns] if alternative == "less" else d[:, columns]
    alone = [np.array([k]) for k in range(len(columns))]
    side: Side = "abs" if alternative == "two-sided" else "upper"
    tally = Tally(part, alone, statistic="mean", side=side)
    for _, _, size in block_sizes(n_resamples):
        tally.add(product(part.T, draw_signs(rng, d.shape[0], size)))
    p[columns] = tally.pvalues(n_resamples)[0]
    used[columns] = n_resamples
