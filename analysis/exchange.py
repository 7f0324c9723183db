"""Label exchange: is a mean over several prompts another than that of the rest, on one task?

One draw of the original compared with many stimuli makes item differences that are skewed and
share that draw; near the ceiling a t or sign-flip test of them rejects a true null in more than
20 % of experiments. Exchanging the prompt labels inside every item holds its level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from scipy import signal, stats

from promptlab.analysis.arguments import as_numbers, check_repeats
from promptlab.analysis.arrays import TIE, Array, Ints, Seed, rng_from
from promptlab.analysis.results import Resampled
from promptlab.errors import UserError

__all__ = ["exchange_p", "label_exchange"]

RESAMPLES = 2000
_BLOCK = 2_000_000
_DIRECT = 20_000_000
"""Products of lengths up to which a convolution is summed directly rather than by FFT."""


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelExchange(Resampled):
    """A weighted difference of prompts, tested by exchanging their labels."""

    label: ClassVar[str] = "weighted difference of the prompts"


def label_exchange(
    scores: Any, weights: Any = None, *, n_resamples: int = RESAMPLES, seed: Seed = 0
) -> LabelExchange:
    """Within-item label permutation test of a weighted difference between prompts, two-sided.

    The hypothesis is that all these prompts are the same. For right/wrong scores and equal weights
    on each side the distribution is computed exactly: the number of right answers that fall on a
    side is hypergeometric within an item (Fisher's argument), and items are added by convolution.
    Otherwise labels are drawn at random. With the original as the only member of a side it is
    `label_permutation(..., statistic="mean")` of one task.

    Args:
        scores: items x prompts.
        weights: one a prompt, positive ones summing to 1 and negative ones to -1; the mean of all
            others minus the first, if not given.
        n_resamples: where the distribution is not exact; p = (1 + exceedances) / (n + 1).
        seed: of the permutations.

    Raises:
        UserError: fewer than two prompts, no items, missing scores, or weights of another form.
    """
    check_repeats(n_resamples=n_resamples)
    table = as_numbers(scores, "label exchange")
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise UserError("label exchange needs items x prompts with at least two prompts")
    if not np.isfinite(table).all():
        raise UserError("label exchange needs every item under every prompt; leave the rest out")
    prompts = table.shape[1]
    default = np.append(-1.0, np.full(prompts - 1, 1 / (prompts - 1)))
    w = default if weights is None else as_numbers(weights, "weights")
    if w.shape != (prompts,):
        raise UserError(f"{prompts} prompts but {w.size} weights")
    sums = w[w > 0].sum() - 1, w[w < 0].sum() + 1
    if not np.isfinite(w).all() or max(map(abs, sums)) > 1e-6:
        raise UserError("positive weights must sum to 1 and negative ones to -1")
    p, used = exchange_p(table, w, n_resamples=n_resamples, rng=rng_from(seed))
    return LabelExchange(
        estimate=float((table @ w).mean()),
        pvalue=p,
        n=table.shape[0],
        method=f"label permutation, {'exact' if not used else f'{used} resamples'}",
        n_resamples=used,
        mc_error=float(np.sqrt(p * (1 - p) / used)) if used else 0.0,
    )


def exchange_p(
    table: Array, weights: Array, *, n_resamples: int, rng: np.random.Generator
) -> tuple[float, int]:
    """Two-sided p value, and the number of resamples (0 = exact)."""
    added, taken = weights > 0, weights < 0
    table, weights = table[:, added | taken], weights[added | taken]
    added = weights > 0
    level = all(np.ptp(np.abs(weights[side])) < 1e-9 for side in (added, ~added))
    if level and bool(((table == 0) | (table == 1)).all()):
        return _exact_p(table, added), 0
    observed = abs(float((table @ weights).mean()))
    n, prompts = table.shape
    block = max(1, _BLOCK // (n * prompts))
    hits = 0
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        shuffled = rng.permuted(np.repeat(table[None], size, axis=0), axis=2)
        hits += int((np.abs((shuffled @ weights).mean(axis=1)) >= observed - TIE).sum())
    return (1 + hits) / (n_resamples + 1), n_resamples


def _exact_p(table: Array, added: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """P that right answers fall on the added side as unevenly as observed, or more so."""
    prompts, side = added.size, int(added.sum())
    right = table.sum(axis=1).round().astype(np.int64)
    on_side = round(float(table[:, added].sum()))
    expected = float(right.sum()) * side / prompts
    mass, offset = np.ones(1), 0
    for count, items in _counted(right[(right > 0) & (right < prompts)]):
        mass = _convolve(mass, _power(_of_one(prompts, count, side), items))
        offset += items * max(0, count - (prompts - side))
    offset += side * int((right == prompts).sum())
    values = offset + np.arange(mass.size)
    extreme = np.abs(values - expected) >= abs(on_side - expected) - TIE
    return float(min(1.0, max(mass[extreme].sum(), 0.0)))


@lru_cache(maxsize=4096)
def _of_one(prompts: int, right: int, side: int) -> Array:
    """How many of an item's right answers fall on a side, from the least to the most possible."""
    low, high = max(0, right - (prompts - side)), min(side, right)
    mass = stats.hypergeom.pmf(np.arange(low, high + 1), prompts, right, side)
    return np.asarray(mass, np.float64)


def _counted(values: Ints) -> list[tuple[int, int]]:
    found, counts = np.unique(values, return_counts=True)
    return [(int(v), int(n)) for v, n in zip(found, counts, strict=True)]


def _power(mass: Array, times: int) -> Array:
    """The distribution of a sum of so many, by repeated squaring."""
    out = np.ones(1)
    while times:
        if times % 2:
            out = _convolve(out, mass)
        times //= 2
        if times:
            mass = _convolve(mass, mass)
    return out


def _convolve(first: Array, second: Array) -> Array:
    if first.size * second.size <= _DIRECT:
        return np.convolve(first, second)
    return np.asarray(np.clip(signal.fftconvolve(first, second), 0.0, None), np.float64)
