"""Outcomes of simulated experiments, added up: what can be merged from many processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["Claim", "Sum", "Tally"]

Claim = Literal["valid", "naive", "control", "shown", "other"]
"""What is claimed of a procedure in a design.

`valid`: it holds its level or covers. `naive`: what is done without correction. `control`: naive,
and must be seen to fail in more than half of the experiments. `shown`: nothing is claimed.
`other`: it tests another hypothesis, which is false in this design.
"""


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum, sum of squares and number of outcomes; `n` = 0 marks a number that was computed."""

    claim: Claim
    total: float
    squares: float
    n: int

    @property
    def mean(self) -> float:
        """Mean outcome."""
        return self.total / self.n if self.n else self.total

    @property
    def sd(self) -> float:
        """Standard deviation of an outcome; for shares it is never quite 0.

        A share of 0 or 1 gets the deviation of Agresti and Coull's (1998) adjusted share.
        """
        if self.n < 2:
            return 0.0
        variance = max(self.squares / self.n - self.mean**2, 0.0)
        if self.mean in (0.0, 1.0) and variance < 1e-12:
            share = (self.total + 2) / (self.n + 4)
            variance = share * (1 - share)
        return math.sqrt(variance)

    @property
    def error(self) -> float:
        """Monte-Carlo standard error of the mean."""
        return self.sd / math.sqrt(self.n) if self.n else 0.0

    def __add__(self, other: Sum) -> Sum:
        """Both together; of two computed numbers, which are the same, the first."""
        if not self.n:
            return self
        return Sum(
            self.claim, self.total + other.total, self.squares + other.squares, self.n + other.n
        )


class Tally:
    """Sums by (procedure, quantity), in the order in which they were first added."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], Sum] = {}

    def add(self, procedure: str, quantity: str, outcomes: Any, *, claim: Claim = "shown") -> None:
        """Add outcomes, one for each simulated experiment; NaN = there was none."""
        values = np.atleast_1d(np.asarray(outcomes, dtype=np.float64)).ravel()
        values = values[np.isfinite(values)]
        self._add(
            (procedure, quantity),
            Sum(claim, float(values.sum()), float((values**2).sum()), values.size),
        )

    def add_exact(
        self, procedure: str, quantity: str, value: float, *, claim: Claim = "shown"
    ) -> None:
        """Add a number without Monte-Carlo error."""
        self._add((procedure, quantity), Sum(claim, float(value), 0.0, 0))

    def merge(self, other: Tally) -> None:
        """Add the sums of another tally."""
        for key, value in other.sums.items():
            self._add(key, value)

    def _add(self, key: tuple[str, str], value: Sum) -> None:
        self.sums[key] = self.sums[key] + value if key in self.sums else value

    def __iter__(self) -> Iterator[tuple[str, str, Sum]]:
        return ((procedure, quantity, value) for (procedure, quantity), value in self.sums.items())
