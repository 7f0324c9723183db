"""Arguments of a design that make sense, checked once for all of this package."""

from __future__ import annotations

import math

from promptlab.errors import UserError

__all__ = ["check_levels", "check_n", "check_sd"]


def check_levels(alpha: float, power: float = 0.8) -> None:
    """Refuse an alpha or a wanted power that no test can have."""
    if not 0 < alpha < 1:
        raise UserError(f"alpha must lie between 0 and 1, not {alpha}")
    if not alpha < power < 1:
        raise UserError(f"power must lie between alpha and 1, not {power}")


def check_n(n: float, what: str = "n", *, least: float = 1) -> None:
    """Refuse a size that is no number or too small."""
    if not (math.isfinite(n) and n >= least):
        raise UserError(f"{what} must be at least {least:g}, not {n}")


def check_sd(**values: float) -> None:
    """Refuse standard deviations or variances that are negative or no numbers."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise UserError(f"{name} must be a finite number, 0 or above, not {value}")
