"""McNemar's test of paired right/wrong answers: mid-p by default, exact and chi-squared too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_choice, check_counts, check_level
from promptlab.analysis.arrays import Array, paired
from promptlab.analysis.intervals import tango
from promptlab.analysis.results import NO_INTERVAL, RIGHT, Difference, Result, sided
from promptlab.errors import UserError

__all__ = [
    "MatchedOdds",
    "McNemar",
    "PairedCounts",
    "count_pairs",
    "matched_odds_ratio",
    "mcnemar",
    "mcnemar_p",
]

Alternative = Literal["two-sided", "greater", "less"]
Variant = Literal["midp", "exact", "chi2", "chi2_corrected"]


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """The two-by-two table of paired answers."""

    both: int
    """Right in both."""
    gains: int
    """Wrong in the original, right in the variant."""
    losses: int
    """Right in the original, wrong in the variant."""
    neither: int
    """Wrong in both."""

    def __post_init__(self) -> None:
        check_counts(both=self.both, gains=self.gains, losses=self.losses, neither=self.neither)
        check_counts(self.n)

    @property
    def n(self) -> int:
        """All pairs."""
        return self.both + self.gains + self.losses + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the variant minus accuracy of the original."""
        return (self.gains - self.losses) / self.n

    @property
    def standard_error(self) -> float:
        """Wald standard error of the difference: for comparison, not for intervals."""
        b, c, n = self.gains, self.losses, self.n
        return math.sqrt(b + c - (b - c) ** 2 / n) / n

    @property
    def variant_right(self) -> int:
        """Right answers of the variant."""
        return self.both + self.gains

    @property
    def original_right(self) -> int:
        """Right answers of the original."""
        return self.both + self.losses


def count_pairs(original: Any, variant: Any) -> PairedCounts:
    """Count the four kinds of pairs.

    Raises:
        UserError: a score is neither 0 nor 1, is missing, or the lengths differ.
    """
    first, second = paired(original, variant)
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise UserError("McNemar's test needs scores of 0 and 1; use sign_flip for graded scores")
    return PairedCounts(
        both=int(np.sum((first == 1) & (second == 1))),
        gains=int(np.sum((first == 0) & (second == 1))),
        losses=int(np.sum((first == 1) & (second == 0))),
        neither=int(np.sum((first == 0) & (second == 0))),
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class McNemar(Difference):
    """A paired comparison of right/wrong answers."""

    gains: int
    losses: int
    statistic: float = math.nan
    """Chi-squared, for the variants that have one."""

    words: ClassVar[tuple[str, str, str]] = RIGHT

    def _remark(self) -> str:
        return "" if self.gains + self.losses else "no answer changed"


@dataclass(frozen=True, kw_only=True, repr=False)
class MatchedOdds(Result):
    """Odds ratio of matched pairs."""

    label: ClassVar[str] = "matched odds ratio"
    unit: ClassVar[str] = "discordant pairs"


def mcnemar_p(
    gains: Any,
    losses: Any,
    *,
    alternative: Alternative = "two-sided",
    variant: Literal["midp", "exact"] = "midp",
) -> Array:
    """P values for many cells at once; 1 without discordant pairs.

    Mid-p counts half the probability of the observed split (Lancaster 1961; Fagerland, Lydersen
    and Laake 2013).
    """
    b, c = np.broadcast_arrays(np.asarray(gains, np.int64), np.asarray(losses, np.int64))
    total = b + c
    low = {"two-sided": np.minimum(b, c), "greater": c, "less": b}[alternative]
    p = stats.binom.cdf(low, total, 0.5)
    if variant == "midp":
        p = p - stats.binom.pmf(low, total, 0.5) / 2
    if alternative == "two-sided":
        p = np.where(b == c, 1.0, np.minimum(1.0, 2 * p))
    return np.asarray(np.where(total == 0, 1.0, p), dtype=np.float64)


def mcnemar(
    gains: int | PairedCounts,
    losses: int | None = None,
    n: int | None = None,
    *,
    alternative: Alternative = "two-sided",
    variant: Variant = "midp",
    level: float = 0.95,
) -> McNemar:
    """McNemar's test with Tango's interval.

    Args:
        gains: items that went from wrong to right, or the `PairedCounts` of a comparison.
        losses: items that went from right to wrong.
        n: all pairs.
        alternative: `greater` means that the variant is better.
        variant: `midp` (default), `exact`, `chi2`, or `chi2_corrected` (|b - c| - 1, and 0 when
            b = c, as in R).
        level: of the interval.

    Raises:
        UserError: impossible counts, or a one-sided chi-squared test.

    Examples:
        >>> mcnemar(gains=18, losses=7, n=100)
        The variant was right 11.0 points more often than the original (95 % interval +1.3 to
        +21.0) on 100 items, p = 0.029 (McNemar mid-p, two-sided, Tango score interval).
        >>> mcnemar(count_pairs([0, 1, 1, 0], [1, 1, 0, 1]), variant="exact").pvalue
        1.0
    """
    check_choice("alternative", alternative, get_args(Alternative))
    if isinstance(gains, PairedCounts):
        counts = gains
        gains, losses, n = counts.gains, counts.losses, counts.n
    if losses is None or n is None:
        raise UserError("mcnemar needs gains, losses and n, or the result of count_pairs")
    found = tango(gains, losses, n, level=level)
    statistic = math.nan
    if variant in ("chi2", "chi2_corrected"):
        if alternative != "two-sided":
            raise UserError("the chi-squared forms are two-sided; use variant='midp'")
        gap = max(abs(gains - losses) - (variant == "chi2_corrected"), 0)
        statistic = gap**2 / (gains + losses) if gains + losses else 0.0
        p = float(stats.chi2.sf(statistic, 1))
    else:
        exact: Literal["midp", "exact"] = "exact" if variant == "exact" else "midp"
        p = float(mcnemar_p(gains, losses, alternative=alternative, variant=exact))
    return McNemar(
        estimate=found.estimate,
        interval=found.interval,
        pvalue=p,
        n=n,
        method=f"McNemar {variant.replace('midp', 'mid-p').replace('_', ', ')}, "
        f"{sided(alternative)}, {found.method}",
        level=level,
        gains=gains,
        losses=losses,
        statistic=statistic,
    )


def matched_odds_ratio(gains: int, losses: int, *, level: float = 0.95) -> MatchedOdds:
    """Odds ratio of matched pairs, gains / losses, with its exact interval.

    The interval is Clopper-Pearson's of gains / (gains + losses), as odds; infinite ends are
    `inf`. Undefined without discordant pairs.
    """
    check_level(level)
    check_counts(gains=gains, losses=losses)
    total = int(gains + losses)
    if total == 0:
        return MatchedOdds(
            estimate=math.nan,
            interval=NO_INTERVAL,
            n=0,
            method="matched odds ratio",
            level=level,
            note="undefined: no discordant pair",
        )
    ci = stats.binomtest(int(gains), total).proportion_ci(level, method="exact")

    def odds(p: float) -> float:
        return math.inf if p >= 1 else p / (1 - p)

    return MatchedOdds(
        estimate=gains / losses if losses else math.inf,
        interval=(odds(float(ci.low)), odds(float(ci.high))),
        n=total,
        method="matched odds ratio, exact interval",
        level=level,
    )
