"""Are K + 1 prompts all the same? Cochran's Q within a task, Friedman over tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import as_numbers, as_table, check_numbers
from promptlab.analysis.arrays import Array
from promptlab.analysis.results import Result
from promptlab.errors import UserError

__all__ = ["CochranQ", "Friedman", "cochran_q", "friedman", "friedman_from_ranks", "nemenyi_cd"]


@dataclass(frozen=True, kw_only=True, repr=False)
class CochranQ(Result):
    """Cochran's Q; the estimate is the statistic."""

    df: int

    label: ClassVar[str] = "Cochran's Q"


@dataclass(frozen=True, kw_only=True, repr=False)
class Friedman(Result):
    """Friedman's test; the estimate is the tie-corrected chi-squared statistic.

    Attributes:
        k: prompts.
        mean_ranks: of each prompt; rank 1 is the best.
        iman_davenport: Iman and Davenport's (1980) F, the less conservative form.
        p_iman_davenport: its p value.
        kendall_w: agreement of the tasks on the order of the prompts, 0 to 1.
        nemenyi_p: prompts x prompts, all-pairs p values from the studentised range.
    """

    k: int
    mean_ranks: Array
    iman_davenport: float
    p_iman_davenport: float
    kendall_w: float
    nemenyi_p: Array

    label: ClassVar[str] = "Friedman's chi-squared"
    unit: ClassVar[str] = "tasks"

    def critical_difference(self, alpha: float = 0.05) -> float:
        """Nemenyi's critical difference of mean ranks."""
        return nemenyi_cd(self.n, self.k, alpha=alpha)


def cochran_q(scores: Any) -> CochranQ:
    """Cochran's Q over items x prompts of 0 and 1; Q = 0, p = 1 if no item tells prompts apart."""
    table = as_table(scores, "Cochran's Q")
    if not np.isin(table, (0, 1)).all():
        raise UserError("Cochran's Q needs scores of 0 and 1; use friedman for graded scores")
    n, k = table.shape
    columns, rows = table.sum(axis=0), table.sum(axis=1)
    bottom = k * float(rows.sum()) - float((rows**2).sum())
    top = (k - 1) * (k * float((columns**2).sum()) - float(columns.sum()) ** 2)
    q = top / bottom if bottom > 0 else 0.0
    return CochranQ(
        estimate=q,
        pvalue=float(stats.chi2.sf(q, k - 1)),
        n=n,
        method=f"chi-squared, {k - 1} df",
        df=k - 1,
    )


def friedman(scores: Any) -> Friedman:
    """Friedman's test over tasks x prompts; a higher score is better, ties share their rank."""
    table = np.round(as_table(scores, "Friedman's test"), 12)
    n, k = table.shape
    ranks = stats.rankdata(-table, axis=1)
    ties = sum(
        float((counts**3 - counts).sum())
        for counts in (np.unique(row, return_counts=True)[1] for row in table)
    )
    correction = 1 - ties / (n * k * (k**2 - 1))
    return friedman_from_ranks(ranks.mean(axis=0), n, correction=correction)


def friedman_from_ranks(mean_ranks: Any, n_tasks: int, *, correction: float = 1.0) -> Friedman:
    """Friedman's test from published mean ranks.

    Args:
        mean_ranks: of each prompt.
        n_tasks: over which they were averaged.
        correction: 1 - sum(t^3 - t) / (N k (k^2 - 1)) over ties of size t; 1 without ties.
    """
    check_numbers(n_tasks=n_tasks, correction=correction)
    ranks = as_numbers(mean_ranks, "mean ranks")
    k, n = ranks.size, int(n_tasks)
    if ranks.ndim != 1 or k < 2 or n < 1:
        raise UserError("Friedman's test needs at least two prompts and one task")
    if not np.isfinite(ranks).all():
        raise UserError("every prompt needs a mean rank")
    raw = 12 * n / (k * (k + 1)) * (float((ranks**2).sum()) - k * (k + 1) ** 2 / 4)
    chi2 = max(raw, 0.0) / correction if correction > 1e-12 else 0.0
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-12 else math.inf
    df = (k - 1) * (n - 1)
    gaps = np.abs(ranks[:, None] - ranks[None, :]) / math.sqrt(k * (k + 1) / (6 * n))
    nemenyi = np.asarray(stats.studentized_range.sf(gaps * math.sqrt(2), k, np.inf))
    np.fill_diagonal(nemenyi, 1.0)
    return Friedman(
        estimate=chi2,
        pvalue=float(stats.chi2.sf(chi2, k - 1)),
        n=n,
        method="Friedman test, tie-corrected",
        k=k,
        mean_ranks=ranks,
        iman_davenport=f,
        p_iman_davenport=float(stats.f.sf(f, k - 1, df)) if df else math.nan,
        note="" if df else "one task: no Iman-Davenport test",
        kendall_w=min(1.0, chi2 / (n * (k - 1))),
        nemenyi_p=nemenyi,
    )


def nemenyi_cd(n_tasks: int, k: int, *, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference: q(alpha, k) / sqrt(2) * sqrt(k (k + 1) / (6 N))."""
    check_numbers(n_tasks=n_tasks, k=k, alpha=alpha)
    if n_tasks < 1 or k < 2 or not 0 < alpha < 1:
        raise UserError(f"a task and two prompts are needed, not {n_tasks} and {k}; 0 < alpha < 1")
    q = float(stats.studentized_range.isf(alpha, k, np.inf))
    return q / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n_tasks))
