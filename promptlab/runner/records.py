"""What goes into the runner and what comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from promptlab.errors import FailureKind
from promptlab.types import Request, Response

__all__ = [
    "Ask",
    "Budget",
    "Counts",
    "Event",
    "EventKind",
    "LimitChange",
    "Log",
    "Outcome",
    "Rate",
    "RunnerOptions",
    "Spent",
    "Stop",
    "StopKind",
]

EventKind = Literal["hit", "answer", "failed", "retry", "limit", "stopped"]
StopKind = Literal["quota", "budget", "endpoint", "refused"]
Log = Callable[[Mapping[str, Any]], None]
"""Takes one record of the debug log."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that an experiment wants answered."""

    model: str
    """Label of the model, by which the provider is found."""
    request: Request
    hash: str
    """`request_hash(request)`."""
    shared_prefix: str = ""
    """Hint for embedded models: the beginning that the prompts of a cell share."""
    follow_up: Callable[[Response], Ask | None] | None = None
    """Makes the next call out of this one's answer (`ok` or `truncated`), for methods of several
    calls."""
    tag: Any = None
    """Whatever the caller needs to know the ask by; handed back in events."""
    canonical: bytes | None = None
    """`canonical_request(request)`, where the caller has it at hand."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one ask, for progress and tables.

    Attributes:
        model: label of the model.
        kind: `hit` (from the store, or shared with an equal request), `answer` (paid for now),
            `failed`, `retry` (an attempt failed, another follows), `limit` (how many requests may
            be in flight, at the beginning and whenever it changes), `stopped` (the model).
        ask: the ask; None for `limit` and `stopped`.
        response: what came back; of a failure, a response with status `error` or `empty`.
        tokens: prompt and completion tokens paid for now, where the provider says; an empty
            answer costs too.
        message: why, for `failed`, `retry`, `limit` and `stopped`.
        failure: kind of the failed attempt, for `retry` and `failed`; None for an empty answer.
        limit: the new limit, for `limit`; 0 while a model that does not answer is left alone.
    """

    model: str
    kind: EventKind
    ask: Ask | None = None
    response: Response | None = None
    tokens: int = 0
    message: str = ""
    failure: FailureKind | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent; None is no limit.

    Attributes:
        usd: US dollars.
        tokens: prompt and completion tokens.
        requests: requests sent, each attempt counted.
    """

    usd: float | None = None
    tokens: int | None = None
    requests: int | None = None


@dataclass(slots=True)
class Spent:
    """What has been spent on one model.

    Attributes:
        usd: US dollars; 0 where the price is unknown.
        tokens: prompt and completion tokens.
        requests: requests sent, each attempt counted.
    """

    usd: float = 0.0
    tokens: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """Ceilings of one model; None is no ceiling.

    Attributes:
        requests: requests a minute.
        tokens: prompt and completion tokens a minute.
    """

    requests: float | None = None
    tokens: float | None = None


class LimitChange(NamedTuple):
    """A change of how many requests to a model may be in flight.

    Attributes:
        time: seconds since the epoch, UTC.
        limit: the new limit; 0 while a model that does not answer is left alone.
        reason: in words.
    """

    time: float
    limit: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a model stopped before its end.

    Attributes:
        kind: `quota` (the provider's allowance is used up), `budget` (ours is), `endpoint` (it
            is dead), `refused` (key, model or parameters are wrong).
        reason: in words, with what to do.
        resume_at: seconds since the epoch from which on the provider answers again, if it says.
    """

    kind: StopKind
    reason: str
    resume_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How hard to try.

    Attributes:
        concurrency: most requests in flight for one model, unless its provider allows fewer; a
            number is also where it begins, `auto` begins low and grows while the model is well.
        concurrency_of: other limits, by the model's label.
        rate_of: ceilings of requests and tokens a minute, by the model's label.
        price_of: US dollars per (prompt, completion) token, by the model's label.
        budget: what may be spent on all models together.
        budget_of: what may be spent on one model, by its label.
        spent: what earlier calls of the same run have spent, by the model's label.
        max_attempts: attempts at one request before it has failed.
        max_wait_s: seconds one request may take with all its attempts, not counting the time in
            which nothing is sent to its model; a provider that asks to wait longer than that has
            run out of quota.
        timeout_s: seconds one attempt may take; None leaves it to the provider.
        first_wait_s: mean of the wait before the second attempt; it doubles from there.
        breaker: failed attempts in a row after which nothing more is sent to a model, but for one
            request now and then that shows whether it answers again.
        probe_wait_s: seconds before the first such request; they double from one to the next, up
            to 30.
        probes: such requests without an answer after which the model stops.
        unreachable: failed attempts in a row after which a model stops whose endpoint was never
            reached at all.
        look_up: requests looked up in the store together.
        poll_s: seconds between looks for an answer that another process is asking for.
        drain_s: seconds that requests in flight are given to land when a run is interrupted.
    """

    concurrency: int | Literal["auto"] = "auto"
    concurrency_of: Mapping[str, int | Literal["auto"]] = field(default_factory=dict)
    rate_of: Mapping[str, Rate] = field(default_factory=dict)
    price_of: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    budget: Budget = Budget()
    budget_of: Mapping[str, Budget] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)
    max_attempts: int = 6
    max_wait_s: float = 600.0
    timeout_s: float | None = None
    first_wait_s: float = 0.5
    breaker: int = 20
    probe_wait_s: float = 1.0
    probes: int = 10
    unreachable: int = 5
    look_up: int = 512
    poll_s: float = 0.25
    drain_s: float = 3.0


@dataclass(slots=True)
class Counts:
    """What became of the asks of one model.

    planned = from_store + answered + shared + failed + skipped, when the run is over.

    Attributes:
        planned: asks seen.
        from_store: answers that were there, or that another process paid for meanwhile.
        answered: answers paid for now.
        shared: asks that equal another one of this run and got its answer.
        failed: asks without an answer after all attempts, or with an empty one.
        skipped: asks not finished because the model stopped.
        attempts: requests sent.
        failed_attempts: attempts without an answer, by kind.
        statuses: answers (stored and new) by status.
        prompt_tokens: paid for now, where the provider says.
        completion_tokens: paid for now, where the provider says.
    """

    planned: int = 0
    from_store: int = 0
    answered: int = 0
    shared: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 0
    failed_attempts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        models: counts by model label.
        failures: response with status `error` or `empty` of each failed request, by key.
        stopped: why a model stopped before its end, by label.
        spent: what this and earlier calls of the same run have spent, by label; kept up to date
            while the run goes on, as the counts are.
        limits: how many requests might be in flight and when that changed, by label; of very many
            changes the first and the last.
        served: names under which models answered for now, by label, with the number of answers.
    """

    models: dict[str, Counts] = field(default_factory=dict)
    failures: dict[str, Response] = field(default_factory=dict)
    stopped: dict[str, Stop] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    limits: dict[str, list[LimitChange]] = field(default_factory=dict)
    served: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every ask has its answer."""
        return not any(c.failed or c.skipped for c in self.models.values())
