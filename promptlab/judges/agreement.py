"""Do judges agree with each other, and with people?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from promptlab.analysis import (
    Result,
    clustered_mean,
    fleiss_kappa,
    intraclass_correlations,
    krippendorff_alpha,
)
from promptlab.errors import UserError
from promptlab.judges.bias import PLACE, pairs_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["between_judges", "between_people", "ratings_of", "with_people"]


def ratings_of(judgements: pd.DataFrame) -> pd.DataFrame:
    """What judges found, units x judges; NaN where a reply was not read.

    A unit is an answer with its rating, or a pair with its outcome over both orders (0, 0.5, 1).

    Args:
        judgements: of one rubric, criterion and baseline, by any number of judges.
    """
    import pandas as pd

    columns = {}
    for judge, rows in judgements.groupby("judge", observed=True, sort=False):
        if (rows["order"] != "").any():
            found = pairs_of(rows).set_index(PLACE)["value"]
        else:
            found = rows.set_index(PLACE)["rating"]
        columns[str(judge)] = found
    return pd.DataFrame(columns)


def between_judges(ratings: pd.DataFrame, *, ordered: bool) -> Iterator[tuple[str, Result]]:
    """Agreement of several judges, as (statistic, result).

    Krippendorff's alpha always; of complete ratings also ICC2 (ordered) or Fleiss' kappa, where
    they are defined.

    Args:
        ratings: units x judges.
        ordered: whether values are on a scale (ordinal), or mere words (nominal).
    """
    scale: Literal["ordinal", "nominal"] = "ordinal" if ordered else "nominal"
    yield _found("krippendorff_alpha", lambda: krippendorff_alpha(ratings, scale), len(ratings))
    complete = ratings.dropna()
    if len(complete) < 2:
        return
    if not ordered:
        yield _found("fleiss_kappa", lambda: fleiss_kappa(complete), len(complete))
    elif complete.nunique(axis=1).max() > 1:  # of perfect agreement alpha says it
        yield _found("icc2", lambda: intraclass_correlations(complete)["ICC2"], len(complete))


def between_people(ratings: pd.DataFrame) -> Result | None:
    """Agreement of the people among themselves; None with one rater.

    Args:
        ratings: of one criterion, as `read_ratings` returns them.
    """
    wide = ratings.pivot_table("rating", PLACE, "rater", observed=True)
    if wide.shape[1] < 2:
        return None
    return _found("krippendorff_alpha", lambda: krippendorff_alpha(wide, "ordinal"), len(wide))[1]


def with_people(judged: pd.Series, ratings: pd.DataFrame) -> Iterator[tuple[str, Result]]:
    """Agreement of one judge with the mean of the people, as (statistic, result).

    Krippendorff's alpha on an interval scale, and the judge's mean difference from the people,
    with items as clusters (positive: the judge is milder).

    Args:
        judged: the judge's ratings, indexed by `PLACE`.
        ratings: people's, of the same criterion.
    """
    people = ratings.groupby(PLACE, observed=True)["rating"].mean()
    both = judged.rename("judge").to_frame().join(people.rename("people"), how="inner").dropna()
    if both.empty:
        return
    n = len(both)
    yield _found("krippendorff_alpha", lambda: krippendorff_alpha(both, "interval"), n)
    places = both.index.to_frame(index=False)
    items = [f"{t}/{i}" for t, i in zip(places["task"], places["item_id"], strict=True)]
    difference = both["judge"] - both["people"]
    yield _found("mean_difference", lambda: clustered_mean(difference, items), n)


def _found(name: str, compute: Callable[[], Result], n: int) -> tuple[str, Result]:
    """A statistic; where it cannot be computed the reason, so that the others are still told."""
    try:
        return name, compute()
    except (UserError, ArithmeticError, ValueError) as error:
        said = name.replace("_", " ")
        return name, Result(estimate=math.nan, n=n, method=said, note=f"undefined: {error}")
