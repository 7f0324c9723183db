"""The contrasts of a raced experiment: what the race found, in the place of fixed-sample tests.

When asking stopped depends on the scores, intervals and tests made for a fixed number of items do
not hold. So the macro rows of a condition against the baseline, under the deciding protocol, carry
the race's interval, p value and verdict, and every other row is descriptive: its estimate is
there, without an interval or a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["raced_contrasts"]

_KEY = ["model", "shots", "protocol", "condition"]
_INFERENCE = ("lower", "upper", "relative_lower", "relative_upper", "pvalue", "p_adjusted",
              "equivalence_pvalue", "detectable")  # fmt: skip


def raced_contrasts(contrasts: pd.DataFrame, raced: pd.DataFrame) -> pd.DataFrame:
    """A table of contrasts with the results of a race.

    Args:
        contrasts: as `promptlab.analysis.contrasts` returns it, of the scores that were asked,
            with `missing="drop_pair"`: what was not asked is not wrong.
        raced: results of the race with columns model, shots and protocol: a run's `race()`.

    Returns:
        A copy with the same columns. Raced macro rows against the baseline have the race's
        difference, interval, p values and verdict, and no detectable difference; other rows have
        neither interval nor p value, are exploratory, and their verdict is `descriptive`. Nothing
        counts as unpaired, for most of that was not asked.
    """
    out = contrasts.copy()
    for column in _INFERENCE:
        out[column] = np.nan
    out["interval_method"], out["test_method"], out["adjust_method"] = "none", "none", "none"
    out["family"], out["family_size"] = "exploratory", 0
    out["verdict"] = "descriptive"
    # The baseline is asked on when a condition has left: what was not asked is not missing.
    out["unpaired"], out["missing_as_wrong"] = 0, np.nan
    found = raced.set_index(_KEY)
    keys = list(zip(*(out[c] for c in _KEY), strict=True))
    main = (out["level"] == "macro") & out["primary"] & (out["contrast"] == "vs_original")
    rows = [int(i) for i in np.flatnonzero(main) if keys[i] in found.index]
    results = found.loc[[keys[i] for i in rows]]
    places = out.index[rows]
    alone = results["control_of"].ne("").to_numpy()
    tests = results["control_of"].eq("").groupby(level=_KEY[:3], sort=False).transform("sum")
    for column, values in {
        "n_items": results["n"],
        "difference": results["estimate"],
        "lower": results["lower"],
        "upper": results["upper"],
        "interval_method": "confidence sequence",
        "pvalue": results["pvalue"],
        "test_method": "betting, valid at every look",
        "p_adjusted": results["p_adjusted"],
        "adjust_method": np.where(alone, "none", "Bonferroni"),
        "family": np.where(alone, "exploratory", "confirmatory"),
        "family_size": np.where(alone, 1, tests.to_numpy()),
        "verdict": results["verdict"],
    }.items():
        out.loc[places, column] = values if isinstance(values, str) else np.asarray(values)
    return out
