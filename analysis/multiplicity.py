"""P values adjusted for the number of tests.

NaN (no test was possible) stays NaN and is not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from promptlab.analysis.arguments import as_numbers
from promptlab.analysis.arrays import Array
from promptlab.analysis.several import labels_of
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ADJUSTMENTS", "Adjustment", "adjust", "adjust_families"]

Adjustment = Literal["none", "bonferroni", "holm", "hochberg", "BH", "BY"]
ADJUSTMENTS: tuple[Adjustment, ...] = ("none", "bonferroni", "holm", "hochberg", "BH", "BY")


def adjust(pvalues: Any, method: Adjustment = "holm") -> Array:
    """Adjusted p values in the order given.

    Args:
        pvalues: raw p values of one family; NaN entries are left out of the family.
        method: `bonferroni`, `holm` (1979), `hochberg` (1988): family-wise error rate;
            `BH` (Benjamini and Hochberg 1995), `BY` (Benjamini and Yekutieli 2001): false
            discovery rate; `none`.

    Raises:
        UserError: a p value outside [0, 1].
        UnknownName: another method.

    Examples:
        >>> adjust([0.01, 0.04, 0.03]).round(3)
        array([0.03, 0.06, 0.06])
        >>> adjust([0.01, 0.04, 0.03], "BH").round(3)
        array([0.03, 0.04, 0.04])
    """
    if method not in ADJUSTMENTS:
        raise UnknownName("adjustment", str(method), ADJUSTMENTS)
    p = as_numbers(pvalues, "p values")
    there = ~np.isnan(p)
    if ((p[there] < 0) | (p[there] > 1)).any():
        raise UserError("p values must lie between 0 and 1")
    out = np.full(p.shape, np.nan)
    if there.any():
        out[there] = _adjust(p[there], method)
    return out


def _adjust(p: Array, method: Adjustment) -> Array:
    m = p.size
    if method == "none":
        return p
    if method == "bonferroni":
        return np.minimum(1.0, m * p)
    if method in ("BH", "BY"):
        from scipy.stats import false_discovery_control

        return np.asarray(false_discovery_control(p, method=method.lower()), dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (m - np.arange(m))
    if method == "holm":
        steps = np.maximum.accumulate(scaled)
    else:
        steps = np.minimum.accumulate(scaled[::-1])[::-1]
    out = np.empty(m)
    out[order] = np.minimum(1.0, steps)
    return out


def adjust_families(pvalues: Any, families: Any, *, within: Adjustment = "holm") -> pd.DataFrame:
    """Several families of tests, for instance one a model: within each, and across all of them.

    A family's own p value is the smallest adjusted one in it (`something in this model has an
    effect`); these are adjusted by Holm across families. A single test is adjusted for all
    families by multiplying its within-family value by their number (Bonferroni): Holm's later
    steps would need every test of an earlier family to be rejected.

    Args:
        pvalues: one a test; with `within="none"`, already adjusted inside its family (max-T).
        families: the family of each test.
        within: adjustment inside a family; it must control the family-wise error rate for
            `across` and `family_adjusted` to do so.

    Returns:
        One row a test, in the order given: family, pvalue, within, across, family_pvalue,
        family_adjusted, tests (number in the family). NaN stays NaN.
    """
    import pandas as pd

    p = as_numbers(pvalues, "p values")
    if p.ndim != 1 or p.size == 0:
        raise UserError("adjust_families needs one p value a test")
    names, group = np.unique(labels_of(families, p.size, "family"), return_inverse=True)
    group = group.reshape(-1)
    inside, smallest = np.full(p.size, np.nan), np.full(names.size, np.nan)
    tests = np.zeros(names.size, np.int64)
    for index in range(names.size):
        own = group == index
        inside[own] = adjust(p[own], within)
        finite = inside[own][np.isfinite(inside[own])]
        tests[index] = finite.size
        smallest[index] = finite.min() if finite.size else np.nan
    tested = int(np.isfinite(smallest).sum())
    adjusted = adjust(smallest, "holm")
    return pd.DataFrame(
        {
            "family": names[group],
            "pvalue": p,
            "within": inside,
            "across": np.minimum(1.0, inside * tested),
            "family_pvalue": smallest[group],
            "family_adjusted": adjusted[group],
            "tests": tests[group],
        }
    )
