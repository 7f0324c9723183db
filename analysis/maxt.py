"""Max-T: adjusted p values that know how the contrasts hang together (Westfall and Young 1993)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from promptlab.analysis.arrays import TIE, Array, Ints, Seed, rng_from, safe_divide
from promptlab.analysis.results import format_p, number, plural, sided
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MaxT", "max_t"]

_EXACT_UNITS = 20
"""Up to this many units all sign patterns are used."""


@dataclass(frozen=True, repr=False)
class MaxT:
    """Tests of several contrasts that share their units.

    Attributes:
        estimate: mean difference of each contrast.
        statistic: studentised mean, or the mean itself.
        pvalue: raw, of each contrast alone.
        single_step: adjusted by the maximum over all contrasts.
        step_down: adjusted by successive maxima; never larger than the single-step value of the
            most significant contrast requires.
        n: units (tasks, or items of one task).
        method: what was done.
        n_resamples: 0 = all sign patterns.
    """

    estimate: Array
    statistic: Array
    pvalue: Array
    single_step: Array
    step_down: Array
    n: int
    method: str
    n_resamples: int

    @property
    def best(self) -> int:
        """Position of the contrast with the largest statistic."""
        return int(np.argmax(self.statistic))

    def to_frame(self) -> pd.DataFrame:
        """One row a contrast."""
        import pandas as pd

        columns = ("estimate", "statistic", "pvalue", "single_step", "step_down")
        return pd.DataFrame({name: getattr(self, name) for name in columns})

    def __repr__(self) -> str:
        k, size = self.best, self.estimate.size
        return (
            f"Of {plural(size, 'contrasts')} over {plural(self.n, 'units')}, number {k + 1} stands "
            f"out most: its mean difference is {number(float(self.estimate[k]))}, "
            f"{format_p(float(self.step_down[k]))} after adjustment for all {size} ({self.method})."
        )


def max_t(
    differences: Any,
    *,
    statistic: Literal["t", "mean"] = "t",
    side: Literal["abs", "upper"] = "abs",
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> MaxT:
    """Sign-flip max-T: one sign a unit, applied to all contrasts together.

    It is the test of `some stimulus changes something`, and of the winner. Over tasks it holds its
    level; inside one task only nearly so, because the differences share the original's draw: use
    `label_permutation` there.

    Args:
        differences: units x contrasts (tasks, or items of one task).
        statistic: `t` studentises, `mean` does not.
        side: `abs` for any change, `upper` for variant better.
        n_resamples: where there are more than 20 units; p = (1 + exceedances) / (n_resamples + 1).
        seed: of the signs.

    Raises:
        UserError: missing values, or fewer than two units.

    Examples:
        Three stimuli over eight tasks, of which the first helps:

        >>> noise = np.random.default_rng(0).normal(0, 0.02, size=(8, 3))
        >>> found = max_t(noise + [0.05, 0, 0])
        >>> found
        Of 3 contrasts over 8 units, number 1 stands out most: its mean difference is 0.04748, p =
        0.0078 after adjustment for all 3 (step-down max-T of the t, two-sided, all sign
        patterns).
        >>> found.step_down.round(3)
        array([0.008, 0.828, 0.828])
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2 or d.shape[0] < 2 or d.shape[1] < 1:
        raise UserError("max-T needs units x contrasts with at least two units")
    if not np.isfinite(d).all():
        raise UserError("max-T needs every unit in every contrast; leave incomplete units out")
    n = d.shape[0]
    exact = n <= _EXACT_UNITS
    observed = _statistic(d.sum(axis=0)[None, :], d, statistic)[0]
    ranked = np.abs(observed) if side == "abs" else observed
    order = np.argsort(-ranked, kind="stable")
    raw, single, successive = (np.zeros(d.shape[1], np.int64) for _ in range(3))
    for signs in _sign_patterns(n, 0 if exact else n_resamples, rng_from(seed)):
        null = _statistic(signs @ d, d, statistic)
        null = np.abs(null) if side == "abs" else null
        raw += (null >= ranked - TIE).sum(axis=0)
        single += (null.max(axis=1)[:, None] >= ranked - TIE).sum(axis=0)
        maxima = np.maximum.accumulate(null[:, order[::-1]], axis=1)[:, ::-1]
        successive[order] += (maxima >= ranked[order] - TIE).sum(axis=0)

    def share(hits: Ints) -> Array:
        return hits / 2**n if exact else (1 + hits) / (n_resamples + 1)

    down = np.empty(d.shape[1])
    down[order] = np.maximum.accumulate(share(successive)[order])
    how = "all sign patterns" if exact else f"{n_resamples} sign patterns"
    return MaxT(
        estimate=d.mean(axis=0),
        statistic=observed,
        pvalue=share(raw),
        single_step=share(single),
        step_down=down,
        n=n,
        method=f"step-down max-T of the {statistic}, "
        f"{'two-sided' if side == 'abs' else sided('greater')}, {how}",
        n_resamples=0 if exact else n_resamples,
    )


def _sign_patterns(n: int, n_resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """Blocks of sign patterns: all 2^n of them, or so many random ones."""
    block = 1 << 15
    for start in range(0, n_resamples or 2**n, block):
        if n_resamples:
            size = min(block, n_resamples - start)
            flips = rng.integers(0, 2, size=(size, n), dtype=np.int8)
        else:
            numbers = np.arange(start, min(start + block, 2**n))
            flips = ((numbers[:, None] >> np.arange(n)) & 1).astype(np.int8)
        yield 1.0 - 2.0 * flips.astype(np.float64)


def _statistic(sums: Array, d: Array, statistic: str) -> Array:
    """Means or paired t values from signed sums; the squares do not change with the signs.

    A contrast whose differences are all alike has an infinite t, one of zeros has 0.
    """
    n = d.shape[0]
    means = sums / n
    if statistic == "mean":
        return np.asarray(means)
    squares = (d**2).sum(axis=0)
    variance = np.maximum(squares - n * means**2, 0.0) / (n - 1)
    flat = variance <= 1e-15 * np.maximum(squares, 1e-300)
    t = safe_divide(means, np.sqrt(np.where(flat, 1.0, variance) / n))
    infinite = np.where(np.abs(means) < 1e-15, 0.0, np.copysign(np.inf, means))
    return np.where(flat, infinite, t)
