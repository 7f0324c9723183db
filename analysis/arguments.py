"""Numbers and tables that a person passes in, checked with a message that says what was wrong."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.errors import UnknownName, UserError

__all__ = [
    "as_numbers",
    "as_table",
    "check_choice",
    "check_counts",
    "check_level",
    "check_numbers",
    "check_repeats",
]


def check_numbers(*, finite: bool = True, **values: Any) -> None:
    """Refuse what is no number; with `finite`, infinity too.

    Raises:
        UserError: naming the argument.
    """
    for name, value in values.items():
        real = isinstance(value, numbers.Real) and not math.isnan(value)
        if not real or (finite and math.isinf(value)):
            raise UserError(f"{name} must be a{' finite' if finite else ''} number, not {value!r}")


def check_counts(n: Any = None, **counts: Any) -> None:
    """Refuse counts that cannot be: of items, gains, losses.

    Args:
        n: all items, at least 1; None where they are not needed.
        counts: whole numbers, 0 or above, whose sum is at most n.

    Raises:
        UserError: naming the argument.
    """
    for name, count in counts.items():
        _check_count(name, count)
    if n is None:
        return
    _check_count("n", n)
    if n < 1:
        raise UserError(f"n must be at least 1, not {n}")
    if sum(counts.values()) > n:
        raise UserError(f"{' + '.join(counts)} is {sum(counts.values())}, more than n = {n}")


def _check_count(name: str, count: Any) -> None:
    check_numbers(**{name: count})
    if count < 0 or count != int(count):
        raise UserError(f"{name} must be a count, not {count}")


def check_level(level: float) -> None:
    """Refuse what is no confidence level.

    Raises:
        UserError: not between 0 and 1.
    """
    check_numbers(level=level)
    if not 0 < level < 1:
        raise UserError(f"level must lie between 0 and 1, not {level}")


def check_repeats(**counts: Any) -> None:
    """Refuse numbers of resamples, permutations, splits that are not whole or below 1.

    Raises:
        UserError: naming the argument.
    """
    for name, count in counts.items():
        if not isinstance(count, numbers.Integral) or count < 1:
            raise UserError(f"{name} must be a whole number, at least 1, not {count!r}")


def check_choice(what: str, value: Any, known: Sequence[str]) -> None:
    """Refuse a word that is none of the known ones.

    Raises:
        UnknownName: naming the nearest and all of them.
    """
    if value not in known:
        raise UnknownName(what, str(value), known, f"known: {', '.join(known)}")


def as_numbers(values: Any, what: str) -> Array:
    """A float array of any shape; None and NaN are NaN.

    Raises:
        UserError: something is no number.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{what}: every value must be a number") from None


def as_table(values: Any, what: str, *, rows: int = 1, columns: int = 2) -> Array:
    """A complete table of numbers with at least so many rows and columns.

    Raises:
        UserError: another shape, or a missing value.
    """
    table = as_numbers(values, what)
    if table.ndim != 2 or table.shape[0] < rows or table.shape[1] < columns:
        raise UserError(
            f"{what} needs a table with at least {rows} row(s) and {columns} columns (prompts), "
            f"not shape {table.shape}"
        )
    if not np.isfinite(table).all():
        raise UserError(f"{what} needs every score; leave incomplete rows out")
    return table
