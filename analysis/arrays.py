"""Plain arrays, checked: the few helpers that every estimator starts with."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlab.errors import UserError

__all__ = [
    "TIE",
    "Array",
    "Bools",
    "Floats",
    "Ints",
    "Seed",
    "as_vector",
    "paired",
    "product",
    "rng_from",
    "safe_divide",
    "whole_seed",
]

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[Any]
"""Floats of 32 or 64 bits: sums of whole numbers below 2^24 are exact in both."""
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Seed = int | np.random.Generator

TIE = 1e-9
"""Scores closer than this are the same score; sums of floats differ in the last bits."""


def as_vector(values: Any, what: str = "values", *, least: int = 1) -> Array:
    """A one-dimensional float array without NaN.

    Raises:
        UserError: another shape, fewer than `least` values, or a value that is not a finite number.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{what}: every value must be a number") from None
    if array.ndim != 1:
        raise UserError(f"{what}: one value an item is needed, not shape {array.shape}")
    if array.size < least:
        raise UserError(f"{what}: {least} value(s) needed, there are {array.size}")
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise UserError(f"{what}: {bad} of {array.size} values are missing; leave those pairs out")
    return array


def paired(original: Any, variant: Any) -> tuple[Array, Array]:
    """Two checked vectors of the same items in the same order.

    Raises:
        UserError: their lengths differ, or see `as_vector`.
    """
    first, second = as_vector(original, "original"), as_vector(variant, "variant")
    if first.size != second.size:
        raise UserError(
            f"original has {first.size} items and variant {second.size}; "
            "give the same items in the same order"
        )
    return first, second


_ALONE = 1 << 18
"""Multiplications up to which OpenBLAS computes a product in the thread that asked for it."""
_TALL, _NARROW = 64, 8


def product(left: Floats, right: Floats) -> Floats:
    """Matrix product, in pieces so small that BLAS starts no threads for them.

    On a busy machine BLAS threads wait for each other, and a product can take twenty times as
    long; pieces cost a third more on an idle one. They also leave the processors to our threads.
    """
    (rows, depth), width = left.shape, right.shape[1]
    out = np.empty((rows, width), np.result_type(left, right))
    tall = max(1, min(rows, _TALL, _ALONE // (_NARROW * depth)))
    for top in range(0, rows, tall):
        part, into = left[top : top + tall], out[top : top + tall]
        step = max(1, min(width, _ALONE // (part.shape[0] * depth)))
        even = width // step * step
        pieces = right[:, :even].reshape(depth, -1, step).transpose(1, 0, 2)
        np.matmul(
            part, pieces, out=into[:, :even].reshape(part.shape[0], -1, step).transpose(1, 0, 2)
        )
        if even < width:
            np.matmul(part, right[:, even:], out=into[:, even:])
    return out


def rng_from(seed: Seed) -> np.random.Generator:
    """A generator from a seed, or the generator itself.

    Raises:
        UserError: no whole number, or a negative one.
    """
    return (
        seed if isinstance(seed, np.random.Generator) else np.random.default_rng(whole_seed(seed))
    )


def whole_seed(seed: Any) -> int:
    """The seed as a number.

    Raises:
        UserError: no whole number, or a negative one.
    """
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise UserError(f"seed must be a whole number, 0 or above, not {seed!r}")
    return int(seed)


def safe_divide(numerator: Any, denominator: Any) -> Array:
    """Quotient with NaN where the denominator is zero or NaN, without a warning."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    out = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=(bottom != 0) & np.isfinite(bottom))
    return out
