"""A table of scores in, the answer out: the engine of `promptlab analyze`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.analysis import contrast_table
from promptlab.analysis.best import best_of_stimuli
from promptlab.analysis.contrast_words import best_sentences, sentences
from promptlab.analysis.families import Correction
from promptlab.analysis.macro import Generalize
from promptlab.analysis.pairing import Missing
from promptlab.analysis.sensitivity import protocol_sensitivity
from promptlab.analysis.tables import check_scores, read_scores
from promptlab.analysis.wording_table import wording_sensitivity
from promptlab.analysis.wording_words import wording_sentences

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Analysis", "analyze_scores", "analyze_table"]


@dataclass(frozen=True, repr=False)
class Analysis:
    """Everything that is computed from a table of scores.

    Attributes:
        scores: the checked table.
        contrasts: every condition against the baseline and the named contrasts, over tasks and
            per task.
        best: the best stimulus per task beside its null, one row a model, shots and protocol.
        sensitivity: verdicts that depend on the scoring protocol.
        alpha: level of the verdicts.
        wordings: verdicts that depend on the wording of the instruction; empty with one wording.
    """

    scores: pd.DataFrame
    contrasts: pd.DataFrame
    best: pd.DataFrame
    sensitivity: pd.DataFrame
    alpha: float = 0.05
    wordings: pd.DataFrame | None = None

    def sentences(self, level: str | None = "macro") -> list[str]:
        """A sentence for every contrast of that level, and on the best stimuli and wordings."""
        said = sentences(self.contrasts, level=level, alpha=self.alpha)
        several = self.best[self.best["n_stimuli"] > 1]
        said += best_sentences(several)
        if self.wordings is not None and len(self.wordings):
            said += wording_sentences(self.wordings, alpha=self.alpha)
        return said

    def to_frame(self) -> pd.DataFrame:
        """The contrasts table."""
        return self.contrasts

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def analyze_scores(
    scores: pd.DataFrame,
    conditions: pd.DataFrame | None = None,
    *,
    baseline: str = "original",
    alpha: float = 0.05,
    margin: float = 0.02,
    confirmatory: Sequence[str] = (),
    contrasts: Sequence[str | Mapping[str, Any]] | None = None,
    correction: Correction = "max_t",
    missing: Missing = "drop_pair",
    tasks: Generalize = "random",
    n_permutations: int = 2000,
    seed: int = 0,
) -> Analysis:
    """All analyses of a table of scores; arguments as in `contrasts` and `best_of_stimuli`.

    Examples:
        >>> import pandas as pd
        >>> rows = [("original", i, s) for i, s in enumerate([0, 0, 1, 1, 0, 1, 0, 1])]
        >>> rows += [("EP02", i, s) for i, s in enumerate([1, 0, 1, 1, 1, 1, 1, 1])]
        >>> scores = pd.DataFrame(rows, columns=["condition", "item_id", "score"])
        >>> found = analyze_scores(scores)
        >>> found.contrasts[["level", "condition", "difference", "verdict"]]
           level condition  difference       verdict
        0  macro      EP02       0.375  inconclusive
        1   cell      EP02       0.375  inconclusive
    """
    table = check_scores(scores)
    found = contrast_table.contrasts(
        table,
        conditions,
        baseline=baseline,
        alpha=alpha,
        margin=margin,
        confirmatory=confirmatory,
        contrasts=contrasts,
        correction=correction,
        missing=missing,
        tasks=tasks,
        seed=seed,
    )
    best = best_of_stimuli(
        table, conditions, baseline=baseline, n_permutations=n_permutations, seed=seed
    )
    return Analysis(
        scores=table,
        contrasts=found,
        best=best,
        sensitivity=protocol_sensitivity(found, alpha=alpha),
        alpha=alpha,
        wordings=wording_sensitivity(
            table,
            conditions,
            baseline=baseline,
            alpha=alpha,
            margin=margin,
            tasks=tasks,
            missing=missing,
            seed=seed,
        ),
    )


def analyze_table(
    path: Path | str,
    *,
    baseline: str = "original",
    alpha: float = 0.05,
    margin: float = 0.02,
    confirmatory: Sequence[str] = (),
    contrasts: Sequence[str | Mapping[str, Any]] | None = None,
    correction: Correction = "max_t",
    missing: Missing = "drop_pair",
    tasks: Generalize = "random",
    n_permutations: int = 2000,
    seed: int = 0,
) -> Analysis:
    """Read a table of per-item scores and analyse it; columns as in `promptlab.analysis.tables`.

    Raises:
        UserError: the file cannot be read, or a column is missing or wrong.
        UnpairedScores: the rows do not pair; the message says why.
    """
    return analyze_scores(
        read_scores(path),
        baseline=baseline,
        alpha=alpha,
        margin=margin,
        confirmatory=confirmatory,
        contrasts=contrasts,
        correction=correction,
        missing=missing,
        tasks=tasks,
        n_permutations=n_permutations,
        seed=seed,
    )
