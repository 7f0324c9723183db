"""The tables of a run on disk: plan, responses and scores, written as streams.

Rows come in plan order whatever order the answers came in, so the same answers give the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from promptlab.parquet import read_rows, row_writer
from promptlab.plan import Plan, Planned
from promptlab.scoring import score_response
from promptlab.store import Store
from promptlab.types import OWN, Condition, Response, Status

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ABSENT",
    "CONDITION_COLUMNS",
    "condition_row",
    "response_of",
    "score_schema",
    "write_conditions",
    "write_plan",
    "write_responses",
    "write_scores",
]

_BATCH = 2_000
T = TypeVar("T")


def _cell_fields() -> list[tuple[str, Any]]:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    return [
        ("model", name),
        ("task", name),
        ("condition", name),
        ("shots", pa.int16()),
        ("instruction", name),
        ("replicate", pa.int16()),
        ("item_id", pa.string()),
    ]


def _plan_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([*_cell_fields(), ("request_hash", pa.string())])


def _response_schema() -> pa.Schema:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            *_cell_fields(),
            ("step", pa.int8()),
            ("request_hash", pa.string()),
            ("status", name),
            ("text", pa.string()),
            ("finish_reason", name),
            ("choice_logprobs", pa.list_(pa.float64())),
            ("prompt_tokens", pa.int32()),
            ("completion_tokens", pa.int32()),
            ("served_model", name),
            ("fingerprint", name),
            ("latency_s", pa.float64()),
            ("created", pa.float64()),
            ("attempts", pa.int16()),
            ("error", pa.string()),
        ]
    )


def score_schema() -> pa.Schema:
    """Columns of the table of scores."""
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    cell = _cell_fields()
    return pa.schema(
        [
            cell[0],
            ("suite", name),
            *cell[1:],
            ("protocol", name),
            ("metric", name),
            ("primary", pa.bool_()),
            ("method", name),
            ("score", pa.float64()),
            ("status", name),
            ("answer", pa.string()),
        ]
    )


def write_plan(plan: Plan, path: Path) -> int:
    """Write one row for each planned request; returns the number of rows."""
    with row_writer(path, _plan_schema()) as table:
        for model in plan.models:
            for planned in plan.requests(model):
                table.add(*_cell_values(planned), planned.hash)
        return table.rows


def write_responses(
    plan: Plan,
    store: Store,
    failures: Mapping[str, Response],
    path: Path,
    is_asked: Callable[[Planned], bool] | None = None,
) -> dict[str, int]:
    """Write the run's own copy of every response; returns the number of rows by status.

    A request with neither a stored answer nor a recorded failure was never sent; its row says so.

    Args:
        plan: the plan.
        store: where the answers are.
        failures: requests that ended without an answer, by key.
        path: of the table.
        is_asked: which requests the run asks; the others have no row. All unless given.
    """
    counts: dict[str, int] = {}
    with row_writer(path, _response_schema()) as table:
        for planned, step, response in _responses(plan, store, failures, is_asked):
            status = response.status if response else "missing"
            counts[status] = counts.get(status, 0) + 1
            table.add(*_cell_values(planned), step, planned.hash, *_response_values(response))
    return counts


def _responses(
    plan: Plan,
    store: Store,
    failures: Mapping[str, Response],
    is_asked: Callable[[Planned], bool] | None,
) -> Iterator[tuple[Planned, int, Response | None]]:
    for model in plan.models:
        for batch in _batched(filter(is_asked, plan.requests(model)), _BATCH):
            first = _look_up(batch, store, failures)
            follow = {
                i: planned.follow_up(response)
                for i, (planned, response) in enumerate(zip(batch, first, strict=True))
                if planned.follow_up and response and response.status in ("ok", "truncated")
            }
            second = dict(
                zip(follow, _look_up(list(follow.values()), store, failures), strict=True)
            )
            for i, (planned, response) in enumerate(zip(batch, first, strict=True)):
                yield planned, 0, response
                if i in follow:
                    yield follow[i], 1, second[i]


def _look_up(
    batch: list[Planned], store: Store, failures: Mapping[str, Response]
) -> list[Response | None]:
    found = store.get_many([p.hash for p in batch])
    return [found.get(p.hash) or failures.get(p.hash) for p in batch]


def _cell_values(planned: Planned) -> tuple[Any, ...]:
    cell = planned.cell
    return (
        cell.model,
        cell.task,
        cell.condition,
        cell.shots,
        cell.instruction,
        planned.replicate,
        planned.item.item_id,
    )


def _response_values(response: Response | None) -> tuple[Any, ...]:
    if response is None:
        return ("missing", "", None, (), *[None] * 6, 0, "not asked")
    return (
        response.status,
        response.text,
        response.finish_reason,
        response.choice_logprobs,
        response.prompt_tokens,
        response.completion_tokens,
        response.served_model,
        response.fingerprint,
        response.latency_s,
        response.created,
        response.attempts,
        response.error,
    )


def write_scores(plan: Plan, responses: Path, path: Path) -> int:
    """Score a run's responses under every protocol of their tasks; asks no model.

    Only the last step of a request is scored. Returns the number of rows.
    """
    items = {task: {item.item_id: item for item in draw.items} for task, draw in plan.draws.items()}
    protocols = {task: plan.protocols(task) for task in plan.draws}
    methods = {
        # An answer that never came says nothing of how it would have been read.
        (model.label, task): "logprob" if plan.by_logprob(model, task) else "text"
        for model in plan.models
        for task in plan.draws
    }
    two_steps = {c.id for c in plan.conditions if plan.has_second_call(c)}
    suites = {task: task.split("/", 1)[0] for task in plan.draws}
    incomplete = plan.spec.experiment.scoring.incomplete
    with row_writer(path, score_schema()) as table:
        for row in read_rows(responses, _SCORED, ABSENT):
            model, task, condition, shots, wording, replicate, item_id, step, status = row[:9]
            if condition in two_steps and step == 0 and status in ("ok", "truncated"):
                continue  # the second call decides
            metrics, primary = protocols[task]
            cell = (model, suites[task], task, condition, shots, wording, replicate, item_id)
            method = methods[model, task]
            answer = response_of(**dict(zip(_ANSWER, row[_CELL:], strict=True)))
            for score in score_response(
                items[task][item_id], answer, metrics, incomplete=incomplete
            ):
                table.add(
                    *cell,
                    score.protocol,
                    score.metric,
                    score.protocol == primary,
                    method,
                    score.value,
                    "missing" if status == "missing" else score.status,
                    score.answer,
                )
        return table.rows


ABSENT = {"instruction": OWN}
"""Columns that runs of older versions do not have, with what they stand for."""

_CELL = 8
_ANSWER = ("status", "text", "finish_reason", "choice_logprobs")
_SCORED = (
    *("model", "task", "condition", "shots", "instruction", "replicate", "item_id", "step"),
    *_ANSWER,
)


def response_of(
    *, status: str, choice_logprobs: Sequence[float] | None = None, **more: Any
) -> Response:
    """The response in a row of the table of responses; an error where nothing was asked.

    Args:
        status: as in the table, where `missing` means that the request was not asked.
        choice_logprobs: log-probabilities of the choices.
        more: any other fields of a response.
    """
    known = cast(Status, "error" if status == "missing" else status)
    return Response(known, choice_logprobs=tuple(choice_logprobs or ()), **more)


def write_conditions(plan: Plan, path: Path) -> None:
    """Write one row for each condition: what the analysis needs to group and name it."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in CONDITION_COLUMNS])
    with row_writer(path, schema) as table:
        for c in plan.conditions:
            table.add(*condition_row(c))


CONDITION_COLUMNS = ("condition", "method", "valence", "library", "text", "matched_to", "theory")


def condition_row(c: Condition) -> tuple[str, ...]:
    """What the analysis knows of a condition; the columns are `CONDITION_COLUMNS`."""
    shuffled = _is_shuffled(c)
    return (
        c.id,
        c.method,
        "none" if shuffled else c.valence,
        ", ".join(dict.fromkeys(s.library for s in c.stimuli)),
        c.text,
        c.stimuli[0].matched_to if _is_single(c) and not shuffled else "",
        "" if shuffled else ", ".join(dict.fromkeys(t for s in c.stimuli for t in s.theories)),
    )


def _is_single(condition: Condition) -> bool:
    """Whether it is one stimulus and nothing else, as its control is."""
    return condition.method == "stimulus" and len(condition.stimuli) == 1


def _is_shuffled(condition: Condition) -> bool:
    """Whether it holds a stimulus' own words out of order: a control of order, not of emotion."""
    return any(s.library == "shuffled" for s in condition.stimuli)


def _batched(stream: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(stream)
    while batch := list(islice(iterator, size)):
        yield batch
