"""Families of tests: who shares an error rate with whom, and how p values are adjusted for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from promptlab.analysis.arrays import Array, Seed
from promptlab.analysis.maxt import max_t
from promptlab.analysis.multiplicity import adjust

__all__ = ["CORRECTIONS", "Correction", "adjust_together", "over_models"]

Correction = Literal["max_t", "holm"]
CORRECTIONS: tuple[Correction, ...] = ("max_t", "holm")


def adjust_together(
    pvalues: Array,
    differences: Array,
    *,
    correction: Correction = "max_t",
    tasks: str = "random",
    seed: Seed = 0,
) -> tuple[Array, str]:
    """Adjust the confirmatory tests of one model.

    Args:
        pvalues: raw, one a contrast; NaN = no test, not counted.
        differences: of the tasks, tasks x contrasts; NaN = the task is not part of the contrast.
        correction: `max_t`, step-down over the tasks (Westfall and Young 1993): one random sign a
            task for all contrasts together; `holm` (1979).
        tasks: `random` or `fixed`; with fixed tasks their signs cannot be exchanged.
        seed: of the sign patterns.

    Returns:
        Adjusted p values, never below the raw ones, and what was done: max-T falls back to Holm
        where it cannot be computed, and the text says why.
    """
    out = np.full(pvalues.shape, np.nan)
    tested = np.isfinite(pvalues)
    if correction == "holm" or not tested.any():
        return adjust(pvalues, "holm"), "Holm"
    d = differences[:, tested]
    d = d[np.isfinite(d).any(axis=1)]
    if tasks == "fixed":
        why = "as max-T needs random tasks"
    elif d.shape[0] < 2:
        why = "as max-T needs two tasks"
    elif not np.isfinite(d).all():
        why = "as max-T needs every condition on every task"
    else:
        out[tested] = np.maximum(max_t(d, seed=seed).step_down, pvalues[tested])
        return out, "max-T"
    return adjust(pvalues, "holm"), f"Holm, {why}"


def over_models(families: Sequence[Array]) -> list[Array]:
    """Adjust the models' adjusted p values for the number of models, as Holm does.

    With M models each is tested at level alpha / M. A model all of whose tests are rejected gives
    its share to the others: they are tested at alpha / (M - 1), and so on. Before the first error
    no model with a true hypothesis has given its share away, so the m models that have one are
    each tested at alpha / m at most, and the error rate over all models is at most alpha. With one
    test a model this is Holm (1979).

    Args:
        families: adjusted p values within each model; NaN = no test. A model without a test is
            not counted.
    """
    largest = [float(np.nanmax(p)) if np.isfinite(p).any() else np.nan for p in families]
    tested = [k for k, p in enumerate(largest) if np.isfinite(p)]
    out = []
    for k, p in enumerate(families):
        others = sorted(largest[j] for j in tested if j != k)
        count, given = len(others) + 1, 0.0
        best = count * p
        for i, other in enumerate(others):
            given = max(given, (count - i) * other)
            best = np.minimum(best, np.maximum(given, (count - 1 - i) * p))
        out.append(np.minimum(1.0, best))
    return out
