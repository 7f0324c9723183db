"""Ratings by people: a blinded sheet to fill in, and what came back.

A sheet shows instruction, question and answer under an `answer_id`, in a random order, without
model, condition or judge. Ratings come back in it (one column a criterion), or as any table that
names its answers by task, item_id and condition and has the columns criterion, rater and rating.
Ratings that were used once are kept in the run, as `judges/people.csv`.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError, did_you_mean
from promptlab.files import write_private
from promptlab.judges.bias import PLACE
from promptlab.judges.requests import Answer, answers_of
from promptlab.judges.rubric import Rubric

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.plan import Plan

__all__ = ["KEPT", "answer_id", "check_file", "keep_ratings", "read_ratings", "write_sheet"]

KEPT = "people.csv"
"""Name of the copy of people's ratings in the folder of the judgings."""

Range = tuple[float, float]

_NAMED = ("task", "item_id", "condition")
_ASKED = "task_instruction"
"""Not `instruction`, which in tables of answers is the id of a wording."""
_TEXTS = ("answer_id", "rater", "model", "task", "condition", "instruction", "item_id", "criterion")


def answer_id(place: Sequence[Any]) -> str:
    """Id of an answer that tells nothing about it: 12 hex digits of the hash of its place.

    Args:
        place: values of `PLACE`, in its order.
    """
    return hashlib.sha256("\0".join(map(str, place)).encode()).hexdigest()[:12]


def write_sheet(
    plan: Plan,
    responses: Path,
    rubric: Rubric,
    path: Path,
    *,
    tasks: frozenset[str] | None = None,
) -> int:
    """Write a sheet for one rater; returns the number of answers.

    Args:
        plan: the run's plan.
        responses: its table of responses.
        rubric: whose criteria people rate.
        path: the CSV file, which must not be there yet: it may hold somebody's ratings.
        tasks: only these.

    Raises:
        UserError: the rubric is about pairs, there is no answer to rate, or the file is there or
            cannot be written.
    """
    if rubric.pairs:
        raise UserError(f"'{rubric.name}' compares pairs; a sheet is for ratings of single answers")
    names = [c.name for c in rubric.criteria]
    rows = [
        [_id(a), "", _instruction(plan, a), a.item.input, a.text.strip(), *[""] * len(names)]
        for a in answers_of(plan, responses, tasks)
        if a.can_be_judged(rubric)
    ]
    if not rows:
        raise UserError(f"{responses.parent.name} has no answer that could be rated")
    random.Random(plan.spec.experiment.seed).shuffle(rows)
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["answer_id", "rater", _ASKED, "question", "answer", *names])
            table.writerows(rows)
    except FileExistsError:
        raise UserError(
            f"{path} is there already, and may hold ratings; name another file: "
            f"--sheet {path.with_name(f'{path.stem}-2{path.suffix}')}"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    return len(rows)


def _instruction(plan: Plan, answer: Answer) -> str:
    return plan.draws[answer.task].task.card.instruction.strip()


def _id(answer: Any) -> str:
    named = (answer.model, answer.task, answer.condition, answer.shots, answer.instruction)
    return answer_id((*named, answer.replicate, answer.item.item_id))


def check_file(path: Path) -> pd.DataFrame:
    """A file of ratings as it is, one row a line.

    Args:
        path: a CSV file.

    Raises:
        UserError: it cannot be read, or does not say who rated.
    """
    import pandas as pd

    try:
        # An id may consist of digits, or look like 1e10. Blank lines count, to number the rows.
        frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, "str"), skip_blank_lines=False)
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if "rater" not in frame:
        found = ", ".join(map(str, frame.columns))
        raise UserError(f"{path}: column 'rater' is missing; found: {found}")
    return frame


def keep_ratings(path: Path, judges: Path) -> None:
    """Copy a file of ratings into the folder of the judgings, in place of an earlier one.

    Raises:
        UserError: it cannot be copied.
    """
    kept = judges / KEPT
    try:
        if not (kept.exists() and kept.samefile(path)):
            write_private(kept, path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot copy {path} to {kept}: {error.strerror or error}") from None


def read_ratings(
    path: Path, judgements: pd.DataFrame, ranges: Mapping[str, Sequence[Range]] | None = None
) -> pd.DataFrame:
    """People's ratings of answers that a judge was asked about.

    Args:
        path: a CSV file; see the module.
        judgements: of the run's judges.
        ranges: by criterion, the lowest and highest rating under each rubric that has it.

    Returns:
        Columns of `PLACE`, criterion, rater, rating; one row a rating.

    Raises:
        UserError: the file cannot be read, lacks a column, rates answers that are not there, has
            a rating outside the scale, or two by the same rater. A row is named as a spreadsheet
            numbers it: the header is row 1.
    """
    frame = check_file(path)
    criteria = list(dict.fromkeys(judgements["criterion"]))
    long = _long(frame, criteria, path)
    _check_ranges(long, ranges or {}, path)
    answers = judgements[PLACE].drop_duplicates().reset_index(drop=True)
    if "answer_id" in long:
        ids = [answer_id(place) for place in answers.itertuples(index=False, name=None)]
        key = ["answer_id"]
        answers = answers.assign(answer_id=ids)
        long = long.drop(columns=[c for c in PLACE if c in long])
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
            f"{path}, row {unknown.iloc[0]['row']}: {len(unknown)} rating(s) of answers that no "
            f"judge was asked about, the first: {first}"
        )
    _check_twice(found, path)
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
        long = frame.melt(
            about, columns, var_name="criterion", value_name="rating", ignore_index=False
        )
    long = long.assign(row=long.index + 2)
    numbers = pd.to_numeric(long["rating"], errors="coerce")
    bad = long[numbers.isna() & long["rating"].notna()]
    if len(bad):
        first = bad.iloc[0]
        raise UserError(
            f"{path}, row {first['row']}: a rating is a number, not '{first['rating']}'"
        )
    long = long.assign(rating=numbers)[numbers.notna()]
    if not len(long):
        raise UserError(f"{path} has no ratings")
    nobody = long[long["rater"].isna()]
    if len(nobody):
        row = nobody.iloc[0]["row"]
        raise UserError(f"{path}, row {row}: column 'rater' is empty beside a rating")
    return long.reset_index(drop=True)


def _check_ranges(long: pd.DataFrame, ranges: Mapping[str, Sequence[Range]], path: Path) -> None:
    """A rating lies on the scale of a rubric that has its criterion."""
    for row, criterion, rating in zip(long["row"], long["criterion"], long["rating"], strict=True):
        scales = ranges.get(criterion, ())
        if scales and not any(low <= rating <= high for low, high in scales):
            said = " or ".join(dict.fromkeys(f"{low:g} to {high:g}" for low, high in scales))
            raise UserError(
                f"{path}, row {row}: a rating of '{criterion}' is a number from {said}, "
                f"not {rating:g}"
            )


def _check_twice(found: pd.DataFrame, path: Path) -> None:
    """Nobody rates an answer twice on one criterion."""
    same = [*PLACE, "criterion", "rater"]
    twice = found[found.duplicated(same)]
    if len(twice):
        one = twice.iloc[0]
        first = found[(found[same] == one[same]).all(axis=1)].iloc[0]
        raise UserError(
            f"{path}, row {one['row']}: {one['rater']} has rated '{one['criterion']}' of this "
            f"answer in row {first['row']} already; keep one of the two"
        )
