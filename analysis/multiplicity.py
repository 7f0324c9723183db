"""P values adjusted for the number of tests.

NaN (no test was possible) stays NaN and is not counted.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.errors import UnknownName, UserError

__all__ = ["ADJUSTMENTS", "Adjustment", "adjust"]

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
    p = np.asarray(pvalues, dtype=np.float64)
    there = np.isfinite(p)
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
