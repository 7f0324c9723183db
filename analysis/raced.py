"""What a race finds of one stimulus."""

from __future__ import annotations

from dataclasses import dataclass

from promptlab.analysis.results import Difference

__all__ = ["Raced"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Raced(Difference):
    """What a race found of one stimulus.

    The interval and the p value are valid at the moment at which the stimulus left. The estimate
    is the mean of what was asked. It is biased where a stimulus left early: away from 0 if it was
    decided, because it looked large, and towards 0 if it was futile, because it looked small.

    Attributes:
        condition: the stimulus.
        p_adjusted: p value times the number of stimuli.
        verdict: `better`, `worse`, `equivalent` or `inconclusive`, against the original.
        left: why it left: `better`, `worse`, `equivalent`, `not best`, `futile`, `best` (all others
            have left), `control`
            (with its stimulus); empty if it ran to the end.
        block: the last block in which it was asked, from 1.
        beaten_by: the stimulus that was shown to be better, of one that is not the best.
        shrunken: the estimate drawn towards 0 by t^2 / (t^2 + se^2), t^2 the variance of true
            differences between this race's stimuli as their estimates show it (empirical Bayes,
            Efron and Morris 1975, JASA 70). Its mean squared error is smaller, it is not unbiased.
        planned: items of the full design.
        control_of: the stimulus that this one is a control of; it has alpha for itself.
    """

    condition: str
    p_adjusted: float
    verdict: str
    left: str
    block: int
    beaten_by: str
    shrunken: float
    planned: int
    control_of: str = ""

    def _subject(self) -> str:
        return self.condition
