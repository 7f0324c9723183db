"""Wilcoxon's signed-rank test, with every choice about zeros and ties said aloud."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_choice, check_level
from promptlab.analysis.arrays import Array, as_vector
from promptlab.analysis.results import Result, sided
from promptlab.analysis.signflip import Alternative, sign_flip_p
from promptlab.errors import UserError

__all__ = ["HodgesLehmann", "Wilcoxon", "hodges_lehmann", "wilcoxon"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Wilcoxon(Result):
    """Signed-rank test; the estimate is the matched rank-biserial correlation.

    Attributes:
        w_plus: sum of the ranks of positive differences.
        w_minus: sum of the ranks of negative differences.
        z: standardised statistic, without continuity correction.
        n_zero: differences of 0.
    """

    w_plus: float
    w_minus: float
    z: float
    n_zero: int

    label: ClassVar[str] = "rank-biserial correlation"
    unit: ClassVar[str] = "pairs"


def wilcoxon(
    differences: Any,
    *,
    alternative: Alternative = "two-sided",
    zeros: Literal["drop", "pratt"] = "pratt",
    how: Literal["exact", "normal"] = "exact",
    continuity: bool = False,
) -> Wilcoxon:
    """Wilcoxon signed-rank test with midranks.

    Args:
        differences: one a pair.
        alternative: `greater` means that the variant is better.
        zeros: `pratt` ranks zeros with the rest and then leaves them out (Pratt 1959), `drop`
            leaves them out first. With many zeros these test different hypotheses.
        how: `exact` is the permutation distribution of the midranks, `normal` the approximation
            with tie correction.
        continuity: correction of 1/2 for the approximation.
    """
    check_choice("alternative", alternative, get_args(Alternative))
    check_choice("treatment of zeros", zeros, ("drop", "pratt"))
    check_choice("kind of test", how, ("exact", "normal"))
    d = np.round(as_vector(differences, "differences"), 12)
    zero = d == 0
    kept = d[~zero]
    method = f"Wilcoxon signed-rank, {how}{' with continuity correction' if continuity else ''}, "
    method += "zeros by Pratt" if zeros == "pratt" else "zeros dropped"
    method += f", {sided(alternative)}"
    if kept.size == 0:
        return Wilcoxon(
            estimate=0.0,
            pvalue=1.0,
            n=d.size,
            method=method,
            note="degenerate: every difference is 0",
            w_plus=0.0,
            w_minus=0.0,
            z=0.0,
            n_zero=d.size,
        )
    ranks = stats.rankdata(np.abs(d))[~zero] if zeros == "pratt" else stats.rankdata(np.abs(kept))
    plus, minus = float(ranks[kept > 0].sum()), float(ranks[kept < 0].sum())
    sd = math.sqrt(float((ranks**2).sum()) / 4)
    gap = plus - (plus + minus) / 2
    if how == "exact":
        signed = (np.sign(kept) * ranks)[:, None]
        p = float(sign_flip_p(signed, alternative=alternative, how="exact")[0][0])
    elif how == "normal":
        p = _normal_p(gap, sd, alternative, 0.5 if continuity else 0.0)
    else:
        raise UserError(f"unknown way '{how}': exact or normal")
    return Wilcoxon(
        estimate=(plus - minus) / (plus + minus),
        pvalue=p,
        n=d.size,
        method=method,
        w_plus=plus,
        w_minus=minus,
        z=gap / sd,
        n_zero=int(zero.sum()),
    )


def _normal_p(gap: float, sd: float, alternative: Alternative, correction: float) -> float:
    if alternative == "two-sided":
        return min(1.0, float(2 * stats.norm.sf(max(abs(gap) - correction, 0.0) / sd)))
    signed = gap if alternative == "greater" else -gap
    return float(stats.norm.sf((signed - correction) / sd))


@dataclass(frozen=True, kw_only=True, repr=False)
class HodgesLehmann(Result):
    """Median of the pairwise (Walsh) averages."""

    label: ClassVar[str] = "the Hodges-Lehmann shift"
    unit: ClassVar[str] = "pairs"


def hodges_lehmann(differences: Any, *, level: float = 0.95) -> HodgesLehmann:
    """Hodges-Lehmann estimate with the interval that inverts the exact signed-rank test.

    The interval assumes no ties; its coverage is at least `level`.
    """
    check_level(level)
    d = as_vector(differences, "differences")
    i, j = np.triu_indices(d.size)
    walsh = np.sort((d[i] + d[j]) / 2)
    place = max(1, _signed_rank_quantile((1 - level) / 2, d.size))
    return HodgesLehmann(
        estimate=float(np.median(walsh)),
        interval=(float(walsh[place - 1]), float(walsh[-place])),
        n=d.size,
        method="exact signed-rank interval",
        level=level,
    )


def _signed_rank_quantile(q: float, n: int) -> int:
    """Smallest w with P(W+ <= w) >= q, for n untied differences."""
    mass: Array = np.ones(1)
    for rank in range(1, n + 1):
        grown = np.zeros(mass.size + rank)
        grown[: mass.size] += mass / 2
        grown[rank:] += mass / 2
        mass = grown
    return int(np.searchsorted(np.cumsum(mass), q * (1 - 1e-12)))
