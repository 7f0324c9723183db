"""What is to be said of the judges of a run: replies, biases, agreement, as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.analysis import Result
from promptlab.errors import UserError
from promptlab.files import only_mine
from promptlab.judges import agreement, bias
from promptlab.judges.handle import Judging, judgements, list_judgings
from promptlab.judges.people import KEPT, Range, keep_ratings, read_ratings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["REPORT_COLUMNS", "judge_report", "write_judge_report"]

REPORT_COLUMNS = (
    *("topic", "rubric", "criterion", "baseline", "judge", "statistic"),
    *("estimate", "lower", "upper", "pvalue", "n", "sentence"),
)
_NOT_ASKED = ("no_answer", "no_baseline", "equal", "missing")
_SAID = {
    "no_answer": "without an answer to judge",
    "no_baseline": "without an answer of the baseline",
    "equal": "about equal texts, which are ties and were not asked",
}


def judge_report(run: Path, ratings: Path | None = None) -> pd.DataFrame:
    """Replies, biases and agreement of a run's judges, one row a statistic.

    Args:
        run: the run directory.
        ratings: people's ratings as a CSV file (`promptlab.judges.people`); those that the run
            keeps unless given.

    Returns:
        Columns `REPORT_COLUMNS`. `topic` is `replies`, `position`, `length`, `judges` (agreement
        between them) or `people` (agreement with them); `sentence` says it in words.

    Raises:
        UserError: no judge was asked, or the ratings cannot be used.
    """
    import pandas as pd

    frame = judgements(run)
    judgings = list_judgings(run, finished=True)
    rows = [*_by_judge(frame), *_between(frame, _kinds(judgings))]
    kept = run / "judges" / KEPT
    if ratings is not None:
        rows += _people(frame, ratings, _ranges(judgings))
    elif kept.is_file():
        try:
            rows += _people(frame, kept, _ranges(judgings))
        except UserError as error:  # the run has changed since; what judges say is told
            rows.append(_unusable(error))
    return pd.DataFrame(rows, columns=list(REPORT_COLUMNS))


def write_judge_report(run: Path, ratings: Path | None = None) -> pd.DataFrame:
    """`judge_report`, kept as `judges/report.parquet` and `.csv`, with a copy of the ratings."""
    table = judge_report(run, ratings)
    if ratings is not None:
        keep_ratings(ratings, run / "judges")
    with only_mine():
        table.to_parquet(run / "judges" / "report.parquet", index=False)
        table.to_csv(run / "judges" / "report.csv", index=False)
    return table


def _kinds(judgings: list[Judging]) -> dict[tuple[str, str], bool]:
    """Whether a criterion's values are ordered, by (rubric, criterion)."""
    return {
        (j.rubric, name): about["ordered"] or j.facts["rubric"]["pairs"]
        for j in judgings
        for name, about in j.facts["rubric"]["criteria"].items()
    }


def _ranges(judgings: list[Judging]) -> dict[tuple[str, str], Range]:
    """Lowest and highest rating, by (rubric, criterion)."""
    return {
        (j.rubric, name): (about["range"][0], about["range"][1])
        for j in judgings
        for name, about in j.facts["rubric"]["criteria"].items()
        if about.get("range")
    }


def _by_judge(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    keys = ["rubric", "criterion", "baseline", "judge"]
    for key, rows in frame.groupby(keys, observed=True, sort=False):
        about = dict(zip(keys, map(str, key), strict=True))
        yield _replies(rows, about)
        pairs = None
        if about["baseline"]:
            pairs = bias.pairs_of(rows)
            flipped, first = bias.flips(pairs), bias.first_place(pairs)
            yield _tendency(
                "position",
                "flip_rate",
                flipped,
                about,
                "changes its verdict with the order of the two answers in",
            )
            yield _tendency(
                "position", "first_preferred", first, about, "prefers the answer shown first in"
            )
        longer = bias.longer(rows, pairs)
        yield _tendency(
            "length",
            "longer_preferred",
            longer,
            about,
            "prefers the longer of two answers to the same question in",
        )


def _replies(rows: pd.DataFrame, about: dict[str, str]) -> dict[str, Any]:
    counts = {str(k): int(n) for k, n in rows["status"].value_counts().items()}
    asked = sum(n for status, n in counts.items() if status not in _NOT_ASKED)
    read = counts.get("ok", 0)
    others = ", ".join(
        f"{n:,} {_SAID.get(status, status)}" for status, n in counts.items() if status != "ok"
    )
    return _row(
        *("replies", "read", about),
        estimate=read / asked if asked else float("nan"),
        n=asked,
        sentence=f"{_subject(about)}: {read:,} of {asked:,} replies give a verdict"
        + (f" ({others})" if others else ""),
    )


def _tendency(
    topic: str, statistic: str, found: bias.Tendency, about: dict[str, str], claim: str
) -> dict[str, Any]:
    said = f"{_subject(about)} {claim} {found}"
    if not found.n:
        said = f"{_subject(about)}: {statistic.replace('_', ' ')} is {found}"
    return _row(
        *(topic, statistic, about),
        estimate=found.estimate,
        lower=found.interval[0],
        upper=found.interval[1],
        pvalue=found.pvalue,
        n=found.n,
        sentence=said,
    )


def _between(frame: pd.DataFrame, kinds: dict[tuple[str, str], bool]) -> Iterator[dict[str, Any]]:
    keys = ["rubric", "criterion", "baseline"]
    for key, rows in frame.groupby(keys, observed=True, sort=False):
        about = dict(zip(keys, map(str, key), strict=True))
        judges = list(dict.fromkeys(map(str, rows["judge"])))
        if len(judges) < 2:
            continue
        about["judge"] = ", ".join(judges)
        ordered = kinds[about["rubric"], about["criterion"]]
        for name, result in agreement.between_judges(agreement.ratings_of(rows), ordered=ordered):
            yield _result("judges", name, result, about, f"{len(judges)} judges")


def _people(
    frame: pd.DataFrame, path: Path, ranges: dict[tuple[str, str], Range]
) -> Iterator[dict[str, Any]]:
    single = frame[frame["order"] == ""]
    scales: dict[str, list[Range]] = {}
    for (_, criterion), scale in ranges.items():
        scales.setdefault(criterion, []).append(scale)
    ratings = read_ratings(path, single, scales)
    for key, rows in single.groupby(["rubric", "criterion"], observed=True, sort=False):
        about = dict(zip(("rubric", "criterion"), map(str, key), strict=True)) | {"baseline": ""}
        given = ratings[ratings["criterion"] == about["criterion"]]
        low, high = ranges.get((about["rubric"], about["criterion"]), (-math.inf, math.inf))
        if given.empty or not given["rating"].between(low, high).all():
            continue  # rated on the scale of another rubric with a criterion of that name
        alone = agreement.between_people(given)
        if alone is not None:
            people = {**about, "judge": ""}
            yield _result("people", "krippendorff_alpha", alone, people, "people among themselves")
        for judge, column in agreement.ratings_of(rows).items():
            who = f"{judge} and the people's mean"
            for name, result in agreement.with_people(column, given):
                subject = f"{judge} minus people" if name == "mean_difference" else who
                yield _result("people", name, result, {**about, "judge": str(judge)}, subject)


def _unusable(error: UserError) -> dict[str, Any]:
    about = {"rubric": "", "criterion": "", "baseline": "", "judge": ""}
    return _row(
        *("people", "ratings", about),
        estimate=math.nan,
        n=0,
        sentence=f"The ratings that this run keeps cannot be used any more: {error}",
    )


def _result(
    topic: str, statistic: str, found: Result, about: dict[str, str], subject: str
) -> dict[str, Any]:
    return _row(
        *(topic, statistic, about),
        estimate=found.estimate,
        lower=found.interval[0],
        upper=found.interval[1],
        pvalue=found.pvalue,
        n=found.n,
        sentence=f"{about['rubric']}.{about['criterion']}, {subject}: {found}".rstrip("."),
    )


def _row(topic: str, statistic: str, about: dict[str, str], **more: Any) -> dict[str, Any]:
    nothing = float("nan")
    numbers = {"lower": nothing, "upper": nothing, "pvalue": nothing}
    return {"topic": topic, **about, "statistic": statistic, **numbers, **more}


def _subject(about: dict[str, str]) -> str:
    versus = f" (against {about['baseline']})" if about["baseline"] else ""
    return f"{about['judge']} on {about['rubric']}.{about['criterion']}{versus}"
