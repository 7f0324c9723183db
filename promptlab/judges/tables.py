"""The tables of a judging: what the judge replied, and the scores that follow from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.judges.reading import likeliest, read_reply
from promptlab.judges.requests import ORDERS, Answer, Inquiry, Judge
from promptlab.judges.rubric import Criterion, Rubric
from promptlab.parquet import RowWriter, row_writer
from promptlab.store import Store
from promptlab.tables import score_schema
from promptlab.types import Response

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Judgement", "protocol", "write_judged"]

_BATCH = 2_000
_TIE = 0.5


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one inquiry.

    Attributes:
        inquiry: what was asked.
        response: what came back; None if it was not asked.
        status: `ok`, `unread` (a reply without a verdict), `no_answer` (nothing to judge),
            `no_baseline` (the baseline did not answer), `equal` (a pair of equal texts: a tie that
            no judge was asked about), `missing` (not asked yet), or the status of the reply
            (`error`, `empty`, `refused`, ...).
        label: the verdict, in the judge's word; None unless the status is `ok`.
        probability: the label's share of the labels' probability; NaN where it was read as text.
    """

    inquiry: Inquiry
    response: Response | None
    status: str
    label: str | None
    probability: float = math.nan

    @property
    def value(self) -> float | None:
        """Score in [0, 1] of the answer (of a pair, of the condition's) by this reply alone."""
        if self.status == "equal":
            return _TIE
        if self.label is None:
            return None
        if not self.inquiry.order:
            return self.inquiry.criterion.value(self.label)
        side = self.inquiry.criterion.side(self.label)
        if side == "tie":
            return _TIE
        return float((side == "second") == (self.inquiry.order == ORDERS[0]))


def judged(inquiry: Inquiry, response: Response | None) -> Judgement:
    """Read the reply to an inquiry."""
    if inquiry.request is None:
        return Judgement(inquiry, None, inquiry.unasked, None)
    if response is None:
        return Judgement(inquiry, None, "missing", None)
    if response.choice_logprobs:
        label, share = likeliest(response.choice_logprobs, inquiry.criterion.labels)
        return Judgement(inquiry, response, "ok" if label else "unread", label, share)
    if response.status not in ("ok", "truncated"):
        return Judgement(inquiry, response, response.status, None)
    label = read_reply(response.text, inquiry.criterion.labels, inquiry.criterion.cue)
    return Judgement(inquiry, response, "ok" if label else "unread", label)


def protocol(rubric: Rubric, criterion: str, judge: str, versus: str = "") -> str:
    """Name of the scoring protocol of a criterion.

    Args:
        rubric: the rubric.
        criterion: name of the criterion, or of the overall score.
        judge: label of the judge.
        versus: of pairs, the baseline where it is not that of the analysis.
    """
    return f"judge:{rubric.name}{f'({versus})' if versus else ''}.{criterion}@{judge}"


def write_judged(
    asked: Iterable[Inquiry],
    baselines: Iterable[Answer],
    *,
    rubric: Rubric,
    judge: Judge,
    versus: str,
    store: Store,
    failures: Mapping[str, Response],
    folder: Path,
) -> dict[str, int]:
    """Write `judgements.parquet` and `scores.parquet`; returns the number of replies by status.

    Args:
        asked: the inquiries, those about one answer next to each other.
        baselines: of pairs, the baseline's answers, which score a tie with themselves.
        rubric: what was asked.
        judge: whom.
        versus: as of `protocol`.
        store: where the replies are.
        failures: requests that ended without a reply, by key.
        folder: of the judging.
    """
    counts: dict[str, int] = {}
    name = _namer(rubric, judge, versus)
    with (
        row_writer(folder / "judgements.parquet", _schema()) as replies,
        row_writer(folder / "scores.parquet", score_schema()) as scores,
    ):
        found = _looked_up(asked, store, failures)
        for _, group in groupby(found, key=_about):
            judgements = list(group)
            for judgement in judgements:
                counts[judgement.status] = counts.get(judgement.status, 0) + 1
                replies.add(*_reply_row(judgement, rubric, judge))
            answer = judgements[0].inquiry.answer
            by_criterion = _by_criterion(judgements)
            _add_scores(scores, answer, by_criterion, rubric, judge, name)
        for answer in baselines:
            tie = _TIE if answer.can_be_judged(rubric) else None
            values = {c.name: tie for c in rubric.criteria}
            _add_scores(scores, answer, values, rubric, judge, name)
    return counts


def _looked_up(
    asked: Iterable[Inquiry], store: Store, failures: Mapping[str, Response]
) -> Iterator[Judgement]:
    stream = iter(asked)
    while batch := list(islice(stream, _BATCH)):
        found = store.get_many([i.hash for i in batch if i.hash])
        for inquiry in batch:
            yield judged(inquiry, found.get(inquiry.hash) or failures.get(inquiry.hash))


def _about(judgement: Judgement) -> tuple[Any, ...]:
    answer = judgement.inquiry.answer
    return (*answer.place, answer.condition)


def _by_criterion(judgements: Sequence[Judgement]) -> dict[str, float | None]:
    """Score by criterion; of a pair, a tie where the two orders disagree."""
    values: dict[str, list[float | None]] = {}
    for judgement in judgements:
        values.setdefault(judgement.inquiry.criterion.name, []).append(judgement.value)
    return {name: _together(found) for name, found in values.items()}


def _together(values: Sequence[float | None]) -> float | None:
    if any(v is None for v in values):
        return None
    known = {v for v in values if v is not None}
    return known.pop() if len(known) == 1 else _TIE


def _add_scores(
    table: RowWriter,
    answer: Answer,
    values: Mapping[str, float | None],
    rubric: Rubric,
    judge: Judge,
    name: Callable[[str], str],
) -> None:
    every = dict(values)
    if overall := rubric.card.overall:
        every[overall.name] = _overall([values[n] for n in overall.of], overall.how)
    for criterion, value in every.items():
        waits = answer.can_be_judged(rubric)
        status = "ok" if value is not None else "unjudged" if waits else _absent(answer)
        table.add(
            *(answer.model, answer.task.split("/", 1)[0], answer.task, answer.condition),
            *(answer.shots, answer.instruction, answer.replicate, answer.item.item_id),
            *(name(criterion), rubric.label, False, judge.how, value, status, answer.text.strip()),
        )


def _absent(answer: Answer) -> str:
    return "empty" if answer.status == "ok" else answer.status


def _overall(values: Sequence[float | None], how: str) -> float | None:
    known = [v for v in values if v is not None]
    if len(known) < len(values):
        return None
    return math.prod(known) if how == "all" else math.fsum(known) / len(known)


def _namer(rubric: Rubric, judge: Judge, versus: str) -> Callable[[str], str]:
    return lambda criterion: protocol(rubric, criterion, judge.label, versus)


def _reply_row(judgement: Judgement, rubric: Rubric, judge: Judge) -> tuple[Any, ...]:
    inquiry, response = judgement.inquiry, judgement.response or Response("error", attempts=0)
    answer, other = inquiry.answer, inquiry.baseline
    return (
        *(answer.model, answer.task, answer.condition, answer.shots, answer.instruction),
        *(answer.replicate, answer.item.item_id, rubric.name, rubric.card.version),
        *(inquiry.criterion.name, judge.label, inquiry.versus, inquiry.order),
        *(inquiry.hash, judgement.status, response.text, judgement.label),
        *(_rating(judgement, inquiry.criterion), judgement.value),
        None if math.isnan(judgement.probability) else judgement.probability,
        len(answer.text.split()),
        len(other.text.split()) if other else None,
        *(response.served_model, response.fingerprint, response.prompt_tokens),
        *(response.completion_tokens, response.created, response.attempts, response.error),
    )


def _rating(judgement: Judgement, criterion: Criterion) -> float | None:
    if judgement.label is None or judgement.inquiry.order:
        return None
    return criterion.rating(judgement.label)


def _schema() -> pa.Schema:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    number, count = pa.float64(), pa.int32()
    return pa.schema(
        [
            *[(c, name) for c in ("model", "task", "condition")],
            ("shots", pa.int16()),
            ("instruction", name),
            ("replicate", pa.int16()),
            ("item_id", pa.string()),
            ("rubric", name),
            ("version", count),
            *[(c, name) for c in ("criterion", "judge", "baseline", "order")],
            ("request_hash", pa.string()),
            ("status", name),
            ("reply", pa.string()),
            ("label", name),
            *[(c, number) for c in ("rating", "value", "probability")],
            *[(c, count) for c in ("words", "words_baseline")],
            *[(c, name) for c in ("served_model", "fingerprint")],
            *[(c, count) for c in ("prompt_tokens", "completion_tokens")],
            ("created", number),
            ("attempts", pa.int16()),
            ("error", pa.string()),
        ]
    )
