"""Arguments of a design that make sense, checked once for all of this package."""

from __future__ import annotations

from typing import Any

from promptlab.analysis.arguments import check_numbers
from promptlab.errors import UserError

__all__ = ["check_levels", "check_n", "check_sd"]


def check_levels(alpha: float, power: float = 0.8) -> None:
    """Refuse an alpha or a wanted power that no test can have."""
    check_numbers(alpha=alpha, power=power)
    if not 0 < alpha < 1:
        raise UserError(f"alpha must lie between 0 and 1, not {alpha}")
    if not alpha < power < 1:
        raise UserError(f"power must lie between alpha and 1, not {power}")


def check_n(n: Any, what: str = "n", *, least: float = 1) -> None:
    """Refuse a size that is no number or too small."""
    check_numbers(**{what: n})
    if n < least:
        raise UserError(f"{what} must be at least {least:g}, not {n}")


def check_sd(**values: Any) -> None:
    """Refuse standard deviations or variances that are negative or no numbers."""
    check_numbers(**values)
    for name, value in values.items():
        if value < 0:
            raise UserError(f"{name} must be 0 or above, not {value}")
