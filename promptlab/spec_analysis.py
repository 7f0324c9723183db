"""What a person writes about the analysis: its plan, fixed before the answers are seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from promptlab.spec_sending import Strict

__all__ = ["AnalysisSpec", "ContrastSpec"]


class ContrastSpec(Strict):
    """A contrast of one's own: a weighting over conditions."""

    name: str = Field(min_length=1)
    """What it is called; may be named under `confirmatory`."""
    weights: Mapping[str, float]
    """By condition: positive is added, negative subtracted; each side is scaled to sum to 1."""

    @model_validator(mode="after")
    def _has_two_sides(self) -> ContrastSpec:
        for side, sign in (("positive", 1), ("negative", -1)):
            if not any(sign * weight > 0 for weight in self.weights.values()):
                raise ValueError(
                    f"contrast '{self.name}' has no {side} weight; write both sides, such as "
                    "{EP02: 1, EP02-neutral: -1}"
                )
        return self


class AnalysisSpec(Strict):
    """The plan of the analysis; how answers are scored, and by what first, is `scoring`."""

    baseline: str = "original"
    """Condition that the others are compared with."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Family-wise error rate of the confirmatory family; false discovery rate of the rest."""
    equivalence_margin: float = Field(default=0.02, gt=0, lt=1)
    """Macro differences inside plus or minus this (0.02 = 2 points) are called equivalent."""
    confirmatory: Sequence[str] = ()
    """Conditions (against the baseline) and names of contrasts that are confirmatory; all but
    neutral stimuli against the baseline unless given."""
    contrasts: Sequence[ContrastSpec | str] | None = None
    """`vs_original` (always there), `vs_control`, `valence`, `theory`, and your own as
    `{name: ..., weights: {condition: weight}}`; vs_control where there are matched controls
    unless given."""
    correction: Literal["max_t", "holm"] = "max_t"
    """Of the confirmatory family: step-down max-T over the tasks, or Holm."""
    tasks: Literal["random", "fixed"] = "random"
    """What is concluded about: new tasks like these, or new items of these very tasks."""
    missing: Literal["drop_pair", "as_wrong"] = "drop_pair"
    """What becomes of an item with a failed or truncated answer."""
    registration: str | None = None
    """File that `promptlab preregister` wrote, relative to this one; `<spec>.registered.json`
    unless given."""

    def options(self) -> dict[str, Any]:
        """As keyword arguments of `promptlab.analysis.contrasts`."""
        return {
            "baseline": self.baseline,
            "alpha": self.alpha,
            "margin": self.equivalence_margin,
            "confirmatory": tuple(self.confirmatory),
            "contrasts": None
            if self.contrasts is None
            else tuple(
                c if isinstance(c, str) else {"name": c.name, "weights": dict(c.weights)}
                for c in self.contrasts
            ),
            "correction": self.correction,
            "missing": self.missing,
            "tasks": self.tasks,
        }
