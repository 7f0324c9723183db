"""Ratings by people: a blinded sheet to fill in, and what came back.

A sheet shows question and answer under an `answer_id`, in a random order, without model, condition
or judge. Ratings come back in it (one column a criterion), or as any table that names its answers
by task, item_id and condition and has the columns criterion, rater and rating.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError, did_you_mean
from promptlab.judges.bias import PLACE
from promptlab.judges.requests import answers_of
from promptlab.judges.rubric import Rubric

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.plan import Plan

__all__ = ["answer_id", "read_ratings", "write_sheet"]

_NAMED = ("task", "item_id", "condition")
_TEXTS = ("answer_id", "rater", "model", "task", "condition", "instruction", "item_id", "criterion")


def answer_id(place: Sequence[Any]) -> str:
    """Id of an answer that tells nothing about it: 12 hex digits of the hash of its place.

    Args:
        place: values of `PLACE`, in its order.
    """
    return hashlib.sha256("\0".join(map(str, place)).encode()).hexdigest()[:12]


def write_sheet(plan: Plan, responses: Path, rubric: Rubric, path: Path) -> int:
    """Write a sheet for one rater; returns the number of answers.

    Args:
        plan: the run's plan.
        responses: its table of responses.
        rubric: whose criteria people rate.
        path: the CSV file.

    Raises:
        UserError: the rubric is about pairs, or the file cannot be written.
    """
    if rubric.pairs:
        raise UserError(f"'{rubric.name}' compares pairs; a sheet is for ratings of single answers")
    names = [c.name for c in rubric.criteria]
    rows = [
        [_id(a), "", a.item.input, a.text.strip(), *[""] * len(names)]
        for a in answers_of(plan, responses)
        if a.can_be_judged(rubric)
    ]
    random.Random(plan.spec.experiment.seed).shuffle(rows)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["answer_id", "rater", "question", "answer", *names])
            table.writerows(rows)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    return len(rows)


def _id(answer: Any) -> str:
    named = (answer.model, answer.task, answer.condition, answer.shots, answer.instruction)
    return answer_id((*named, answer.replicate, answer.item.item_id))


def read_ratings(path: Path, judgements: pd.DataFrame) -> pd.DataFrame:
    """People's ratings of answers that a judge was asked about.

    Args:
        path: a CSV file; see the module.
        judgements: of the run's judges.

    Returns:
        Columns of `PLACE`, criterion, rater, rating; one row a rating.

    Raises:
        UserError: the file cannot be read, lacks a column, or rates answers that are not there.
    """
    import pandas as pd

    try:
        # An id may consist of digits, or look like 1e10.
        frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, "str"))
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    criteria = list(dict.fromkeys(judgements["criterion"]))
    if "rater" not in frame:
        raise UserError(f"{path}: column 'rater' is missing; found: {', '.join(frame.columns)}")
    long = _long(frame, criteria, path)
    answers = judgements[PLACE].drop_duplicates().reset_index(drop=True)
    if "answer_id" in long:
        ids = [answer_id(place) for place in answers.itertuples(index=False, name=None)]
        key = ["answer_id"]
        answers = answers.assign(answer_id=ids)
    else:
        key = [c for c in PLACE if c in long]
        absent = [c for c in _NAMED if c not in long]
        if absent:
            raise UserError(
                f"{path}: an answer is named by answer_id, or by task, item_id and condition; "
                f"'{absent[0]}' is missing"
            )
        if answers.duplicated(key).any():
            rest = ", ".join(c for c in PLACE if c not in key)
            raise UserError(f"{path}: several answers fit a row; add columns that tell: {rest}")
    found = long.merge(answers, on=key, how="left", indicator=True)
    unknown = found[found["_merge"] == "left_only"]
    if len(unknown):
        first = ", ".join(f"{k} {unknown.iloc[0][k]}" for k in key)
        raise UserError(
            f"{path}: {len(unknown)} rating(s) of answers that no judge was asked about, "
            f"the first: {first}"
        )
    return found[[*PLACE, "criterion", "rater", "rating"]]


def _long(frame: pd.DataFrame, criteria: Sequence[str], path: Path) -> pd.DataFrame:
    """One row a rating, whichever way the file is laid out."""
    import pandas as pd

    if "rating" in frame and "criterion" in frame:
        unknown = sorted(set(map(str, frame["criterion"])) - set(criteria))
        if unknown:
            known = ", ".join(criteria)
            raise UserError(
                f"{path}: unknown criterion '{unknown[0]}'{did_you_mean(unknown[0], criteria)}; "
                f"judges were asked about {known}"
            )
        long = frame
    else:
        columns = [c for c in criteria if c in frame]
        if not columns:
            raise UserError(
                f"{path}: neither 'criterion' and 'rating' nor a column of a criterion "
                f"({', '.join(criteria)}); found: {', '.join(frame.columns)}"
            )
        about = [c for c in frame if c in ("answer_id", "rater", *PLACE)]
        long = frame.melt(about, columns, var_name="criterion", value_name="rating")
    numbers = pd.to_numeric(long["rating"], errors="coerce")
    bad = long[numbers.isna() & long["rating"].notna()]
    if len(bad):
        raise UserError(f"{path}: a rating is a number, not '{bad.iloc[0]['rating']}'")
    long = long.assign(rating=numbers)[numbers.notna()]
    if not len(long):
        raise UserError(f"{path} has no ratings")
    if long["rater"].isna().any():
        raise UserError(f"{path}: column 'rater' is empty in a row with a rating")
    return long
