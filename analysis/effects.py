"""Effect sizes of paired scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import special

from promptlab.analysis.arguments import check_counts
from promptlab.analysis.arrays import TIE, as_vector, paired
from promptlab.analysis.omnibus import friedman
from promptlab.analysis.ranks import wilcoxon
from promptlab.analysis.results import Result
from promptlab.errors import UserError

__all__ = [
    "cliffs_delta",
    "cohens_d_av",
    "cohens_d_z",
    "cohens_g",
    "hedges_g_av",
    "hedges_g_z",
    "kendall_w",
    "paired_dominance",
    "rank_biserial",
]


@dataclass(frozen=True, kw_only=True, repr=False)
class CohenG(Result):
    """Share of gains among the changed answers, minus one half."""

    unit: ClassVar[str] = "discordant pairs"


def cohens_g(gains: int, losses: int) -> CohenG:
    """Cohen's g = gains / (gains + losses) - 1/2; undefined without discordant pairs."""
    check_counts(gains=gains, losses=losses)
    total = int(gains + losses)
    if total == 0:
        return CohenG(
            estimate=math.nan, n=0, method="Cohen's g", note="undefined: no discordant pair"
        )
    return CohenG(estimate=gains / total - 0.5, n=total, method="Cohen's g")


def _small_sample(df: float, approximate: bool) -> float:
    """Hedges' (1981) correction J, exact or 1 - 3 / (4 df - 1)."""
    if approximate:
        return 1 - 3 / (4 * df - 1)
    return math.exp(
        float(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) - 0.5 * math.log(df / 2)
    )


def _standardized(difference: float, spread: float, n: int, factor: float, method: str) -> Result:
    if not spread > 1e-12:
        return Result(estimate=math.nan, n=n, method=method, note="undefined: zero variance")
    return Result(estimate=factor * difference / spread, n=n, method=method)


def cohens_d_z(differences: Any) -> Result:
    """d_z: mean over standard deviation of the paired differences."""
    d = as_vector(differences, "differences", least=2)
    return _standardized(float(d.mean()), float(d.std(ddof=1)), d.size, 1.0, "Cohen's d_z")


def hedges_g_z(differences: Any, *, approximate: bool = False) -> Result:
    """g_z = J(n - 1) d_z. With three pairs or more; J of one degree of freedom is 0."""
    d = as_vector(differences, "differences", least=3)
    factor = _small_sample(d.size - 1, approximate)
    return _standardized(float(d.mean()), float(d.std(ddof=1)), d.size, factor, "Hedges' g_z")


def _average_spread(original: Any, variant: Any) -> tuple[float, float, int]:
    x, y = paired(original, variant)
    if x.size < 2:
        raise UserError("a standard deviation needs at least two items")
    spread = math.sqrt((float(x.var(ddof=1)) + float(y.var(ddof=1))) / 2)
    return float((y - x).mean()), spread, x.size


def cohens_d_av(original: Any, variant: Any) -> Result:
    """d_av: mean difference over the root of the average of the two variances."""
    difference, spread, n = _average_spread(original, variant)
    return _standardized(difference, spread, n, 1.0, "Cohen's d_av")


def hedges_g_av(original: Any, variant: Any) -> Result:
    """g_av = J(2 n - 2) d_av."""
    difference, spread, n = _average_spread(original, variant)
    return _standardized(difference, spread, n, _small_sample(2 * n - 2, False), "Hedges' g_av")


def paired_dominance(differences: Any) -> Result:
    """(items that went up - items that went down) / n."""
    d = as_vector(differences, "differences")
    dominance = (int((d > TIE).sum()) - int((d < -TIE).sum())) / d.size
    return Result(estimate=dominance, n=d.size, method="paired dominance")


def cliffs_delta(first: Any, second: Any) -> Result:
    """Mean sign of second - first over all pairs of two independent samples (Cliff 1993).

    For independent samples such as ratings by different people; for paired scores use
    `paired_dominance`.
    """
    x, y = as_vector(first, "first"), as_vector(second, "second")
    ordered = np.sort(x)
    below = np.searchsorted(ordered, y - TIE, side="left").sum()
    above = x.size * y.size - np.searchsorted(ordered, y + TIE, side="right").sum()
    return Result(
        estimate=float(below - above) / (x.size * y.size),
        n=x.size + y.size,
        method="Cliff's delta, independent samples",
    )


def rank_biserial(differences: Any, *, zeros: Literal["drop", "pratt"] = "pratt") -> Result:
    """Matched-pairs rank-biserial correlation: (W+ - W-) / (W+ + W-) (Kerby 2014).

    Args:
        differences: one a pair.
        zeros: as in `wilcoxon`.
    """
    found = wilcoxon(differences, zeros=zeros, how="normal")
    how = "by Pratt" if zeros == "pratt" else "dropped"
    return Result(
        estimate=found.estimate,
        n=found.n,
        method=f"matched rank-biserial correlation, zeros {how}",
        note=found.note,
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class KendallW(Result):
    """Agreement of the tasks on the order of the prompts."""

    unit: ClassVar[str] = "tasks"


def kendall_w(scores: Any) -> KendallW:
    """Kendall's W: how far the tasks (rows) agree on the order of the prompts (columns), 0 to 1.

    It is Friedman's chi-squared over its largest value, N (k - 1); tie-corrected.
    """
    found = friedman(scores)
    return KendallW(
        estimate=found.kendall_w,
        pvalue=found.pvalue,
        n=found.n,
        method="Kendall's W, p by Friedman's chi-squared",
        note=found.note,
    )
