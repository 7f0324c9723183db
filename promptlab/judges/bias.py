"""Whether a judge prefers a place or a length: tendencies in its own replies.

A tendency is a share of comparisons with one half as the neutral value. Comparisons about the same
item are not independent, so items are clusters: the interval is cluster-robust, and the test flips
the signs of whole items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis import cluster_sign_flip, clustered_mean, wilson
from promptlab.analysis.results import format_p, plural
from promptlab.judges.requests import ORDERS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ITEM", "PLACE", "Tendency", "first_place", "flips", "longer", "pairs_of"]

ITEM = ["task", "item_id"]
PLACE = ["model", "task", "condition", "shots", "instruction", "replicate", "item_id"]
"""What tells one answer of a run from another."""


@dataclass(frozen=True)
class Tendency:
    """A share of comparisons, with items as clusters.

    Attributes:
        estimate: the share; NaN where there is no comparison.
        interval: cluster-robust, within [0, 1]; Wilson's on the number of items where all
            comparisons went the same way, or where every item has one comparison.
        pvalue: of one half, by sign flips of whole items; NaN for a share that has no such value.
        n: comparisons.
        items: clusters.
    """

    estimate: float
    interval: tuple[float, float]
    pvalue: float
    n: int
    items: int

    def __str__(self) -> str:
        """As it stands in a sentence: `62.5 % (95 % interval 50.1 to 73.2; 40 of 20 items)`."""
        if not self.n:
            return "undefined: nothing to compare"
        low, high = (100 * end for end in self.interval)
        test = "" if math.isnan(self.pvalue) else f", {format_p(self.pvalue)}"
        counted = f"{plural(self.n, 'comparisons')} on {plural(self.items, 'items')}"
        return (
            f"{100 * self.estimate:.1f} % (95 % interval {low:.1f} to {high:.1f}, {counted}{test})"
        )


def _tendency(values: Any, items: Any, *, neutral: bool) -> Tendency:
    x = np.asarray(values, dtype=np.float64)
    count = len(set(items))
    if not x.size:
        return Tendency(math.nan, (math.nan, math.nan), math.nan, 0, 0)
    mean = float(x.mean())
    if mean in (0.0, 1.0) or count == x.size:
        interval = wilson(round(mean * count), count).interval
    else:
        found = clustered_mean(x, items)
        low, high = found.interval if count > 1 else (0.0, 1.0)
        interval = (max(0.0, low), min(1.0, high)) if low == low else (mean, mean)
    p = cluster_sign_flip(x - 0.5, items).pvalue if neutral else math.nan
    return Tendency(mean, interval, p, int(x.size), count)


def pairs_of(judgements: pd.DataFrame) -> pd.DataFrame:
    """Pairs that were read in both orders, one row each.

    Args:
        judgements: of one judge and criterion about pairs.

    Returns:
        The columns of `PLACE`, words, words_baseline, `value_1` and `value_2` (score of the
        condition by the order in which the baseline came first, second), `flipped`, and `value`:
        1 if the condition wins in both orders, 0 if the baseline does, else 0.5.
    """
    read = judgements[judgements["status"] == "ok"]
    first, second = (read[read["order"] == order] for order in ORDERS)
    kept = [*PLACE, "words", "words_baseline", "value"]
    both = first[kept].merge(second[[*PLACE, "value"]], on=PLACE, suffixes=("_1", "_2"))
    same = both["value_1"] == both["value_2"]
    return both.assign(flipped=~same, value=both["value_1"].where(same, 0.5))


def flips(pairs: pd.DataFrame) -> Tendency:
    """Share of pairs whose verdict changes with the order; every such pair is a tie."""
    return _tendency(pairs["flipped"], _items(pairs), neutral=False)


def first_place(pairs: pd.DataFrame) -> Tendency:
    """Share of decided replies that prefer the answer shown first; one half without position bias.

    Each pair is asked in both orders, so the better answer stands first as often as second, and
    the quality of answers cannot make this share differ from one half.
    """
    shown_first = [1 - pairs["value_1"], pairs["value_2"]]
    values = np.concatenate([np.asarray(v, dtype=np.float64) for v in shown_first])
    items = [*_items(pairs), *_items(pairs)]
    decided = values != 0.5
    return _tendency(
        values[decided], [i for i, d in zip(items, decided, strict=True) if d], neutral=True
    )


def longer(judgements: pd.DataFrame, pairs: pd.DataFrame | None = None) -> Tendency:
    """Share of comparisons of unequal answers in which the judge prefers the longer one.

    Two answers to the same item are compared, by their words: of rated answers every two whose
    ratings and lengths differ, of judged pairs those with a winner. It is an association: longer
    answers may be better.

    Args:
        judgements: of one judge and criterion.
        pairs: as `pairs_of` returns them, where pairs were judged.
    """
    if pairs is not None:
        apart = pairs[(pairs["words"] != pairs["words_baseline"]) & (pairs["value"] != 0.5)]
        won = (apart["words"] > apart["words_baseline"]) == (apart["value"] == 1)
        return _tendency(won, _items(apart), neutral=True)
    read = judgements[(judgements["status"] == "ok") & judgements["rating"].notna()]
    values: list[float] = []
    items: list[str] = []
    for item, answers in read.groupby(ITEM, observed=True, sort=True):
        words = answers["words"].to_numpy(dtype=np.float64)
        ratings = answers["rating"].to_numpy(dtype=np.float64)
        sign = np.sign(words[:, None] - words) * np.sign(ratings[:, None] - ratings)
        found = sign[np.triu_indices(len(words), 1)]
        found = found[found != 0] > 0
        values += found.tolist()
        items += ["/".join(map(str, item))] * found.size
    return _tendency(values, items, neutral=True)


def _items(frame: pd.DataFrame) -> list[str]:
    return [f"{task}/{item}" for task, item in zip(frame["task"], frame["item_id"], strict=True)]
