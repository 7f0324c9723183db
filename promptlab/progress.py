"""Progress of a run: counted answer by answer, looked at now and then.

A `Tally` takes the runner's events; its `snapshot` is what displays draw, what `status.json` keeps
and what programs read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from promptlab.pace import Pace
from promptlab.served import same_model
from promptlab.types import OWN, Cell, Response

if TYPE_CHECKING:
    from promptlab.runner.records import Event

__all__ = ["FLAGGED_SHARE", "MOST_FLAGGED", "Flagged", "ModelProgress", "Snapshot", "Tally"]

FLAGGED_SHARE = 0.05
"""A cell with more than this share of answers that cannot be scored is flagged."""

MOST_FLAGGED = 100
"""Flagged cells that a snapshot lists; all of them are counted."""

_CONTINUED = frozenset({"ok", "truncated"})
"""Statuses of a first answer from which a method goes on to its second request."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """A cell in which more than 5 % of the planned answers cannot be scored.

    Attributes:
        cell: which.
        planned: answers wanted in it.
        counts: answers that cannot be scored, by status (`truncated`, `empty`, `refused`,
            `filtered`, `error`).
    """

    cell: Cell
    planned: int
    counts: Mapping[str, int]

    @property
    def bad(self) -> int:
        """Answers that cannot be scored."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class ModelProgress:
    """How far one model is.

    Attributes:
        model: label.
        total: requests planned, second calls included.
        from_store: answers that were in the store, or shared with an equal request.
        answered: answers paid for by this call.
        failed: requests that ended without an answer.
        failures: those by kind (`server`, `timeout`, `empty`, ...).
        retries: attempts that failed and were made again, by kind.
        statuses: answers and failures by status.
        rate: requests answered or failed a second, over the last half minute.
        limit: most requests in flight at present; 0 while a model that does not answer is left
            alone, None where it was never said.
        prompt_tokens: paid for by this call.
        completion_tokens: paid for by this call.
        cost_usd: US dollars paid by this call; None where the price is unknown.
        forecast_usd: the same at the end, if what is left costs what the answers so far did on
            average; None where unknown.
        seconds_left: at the present pace; None where nothing moves.
        stopped: why the model stopped before its end.
        served: names of models that answered and are not the one asked.
    """

    model: str
    total: int
    from_store: int = 0
    answered: int = 0
    failed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    rate: float = 0.0
    limit: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    forecast_usd: float | None = None
    seconds_left: float | None = None
    stopped: str | None = None
    served: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Requests that need nothing more: answered, from the store, or failed."""
        return self.from_store + self.answered + self.failed

    @property
    def running(self) -> bool:
        """Whether something is left that may still be asked."""
        return self.done < self.total and self.stopped is None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far a run is, at one moment.

    Attributes:
        state: what the run is doing: `asking`, `interrupted` or `done`.
        elapsed_s: seconds since asking began.
        models: one for each model, in the plan's order.
        flagged: cells with too many answers that cannot be scored, in the order in which they
            crossed the line, at most `MOST_FLAGGED`.
        n_flagged: how many such cells there are.
    """

    state: str
    elapsed_s: float
    models: tuple[ModelProgress, ...]
    flagged: tuple[Flagged, ...] = ()
    n_flagged: int = 0

    @property
    def total(self) -> int:
        """Requests planned."""
        return sum(m.total for m in self.models)

    @property
    def done(self) -> int:
        """Requests that need nothing more."""
        return sum(m.done for m in self.models)

    @property
    def failed(self) -> int:
        """Requests that ended without an answer."""
        return sum(m.failed for m in self.models)

    @property
    def kept(self) -> int:
        """Answers had, from the store or paid for."""
        return self.done - self.failed

    @property
    def rate(self) -> float:
        """Requests answered or failed a second, over all models."""
        return sum(m.rate for m in self.models)

    @property
    def cost_usd(self) -> float | None:
        """US dollars paid by this call; None where a price is unknown."""
        return _sum(m.cost_usd for m in self.models)

    @property
    def forecast_usd(self) -> float | None:
        """The same at the end; None where unknown."""
        return _sum(m.forecast_usd for m in self.models)

    @property
    def seconds_left(self) -> float | None:
        """Of the model that takes longest; None where nothing moves, 0 at the end."""
        running = [m.seconds_left for m in self.models if m.running]
        known = [s for s in running if s is not None]
        return max(known) if known else None if running else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, totals included; `from_dict` reads it back."""
        return {
            "state": self.state,
            "elapsed_s": round(self.elapsed_s, 1),
            "done": self.done,
            "total": self.total,
            "failed": self.failed,
            "rate": self.rate,
            "cost_usd": self.cost_usd,
            "forecast_usd": self.forecast_usd,
            "seconds_left": self.seconds_left,
            "models": [{"done": m.done, **asdict(m)} for m in self.models],
            "flagged": [
                {**asdict(f.cell), "planned": f.planned, "counts": dict(f.counts)}
                for f in self.flagged
            ],
            "n_flagged": self.n_flagged,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Snapshot:
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError: it is something else.
        """
        names = [f.name for f in fields(ModelProgress)]
        return cls(
            data["state"],
            data["elapsed_s"],
            tuple(
                ModelProgress(**{k: m[k] for k in names} | {"served": tuple(m["served"])})
                for m in data["models"]
            ),
            tuple(
                Flagged(
                    Cell(
                        f["model"],
                        f["task"],
                        f["condition"],
                        f["shots"],
                        f.get("instruction", OWN),
                    ),
                    f["planned"],
                    f["counts"],
                )
                for f in data["flagged"]
            ),
            data["n_flagged"],
        )


class Tally:
    """Counts what happens in a run.

    Args:
        totals: requests planned, second calls included, by model label.
        prices: US dollars per (prompt, completion) token by model label; None where unknown.
        cells: answers planned in each cell; an ask's `tag` is its cell.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        totals: Mapping[str, int],
        prices: Mapping[str, tuple[float, float] | None],
        cells: Mapping[Cell, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cells, self._clock = cells, clock
        self._started = clock()
        self._models = {
            label: _Counts(total, prices.get(label), Pace(self._started))
            for label, total in totals.items()
        }
        self._bad: dict[Cell, Counter[str]] = {}
        self._flagged: dict[Cell, Counter[str]] = {}

    def event(self, event: Event) -> None:
        """Count an event of the runner; called for every answer, so it does very little."""
        counts, kind, response = self._models[event.model], event.kind, event.response
        if kind == "answer" and response is not None:
            if not counts.answered:
                counts.pace.begin(self._clock() - (response.latency_s or 0.0))
            counts.answered += 1
            counts.prompt_tokens += response.prompt_tokens or 0
            counts.completion_tokens += response.completion_tokens or 0
        elif kind == "hit":
            counts.from_store += 1
        else:
            self._rare(counts, event)
            return
        if response is not None:
            if response.status != "ok":
                self._not_ok(counts, event, response)
            if response.served_model != counts.last_served:
                counts.note_served(event, response)

    def drop(self, label: str, requests: int) -> None:
        """So many requests of a model will not be sent after all."""
        self._models[label].total -= requests

    def snapshot(self, state: str = "asking") -> Snapshot:
        """How far the run is now; meant to be called a few times a second."""
        now = self._clock()
        return Snapshot(
            state,
            now - self._started,
            tuple(counts.progress(label, now) for label, counts in self._models.items()),
            tuple(
                Flagged(cell, self._cells[cell], dict(counts))
                for cell, counts in list(self._flagged.items())[:MOST_FLAGGED]
            ),
            len(self._flagged),
        )

    def _rare(self, counts: _Counts, event: Event) -> None:
        if event.kind == "failed":
            response = event.response or Response("error", error=event.message)
            counts.failed += 1
            status = response.status
            counts.failures[event.failure or (status if status != "error" else "other")] += 1
            if event.tokens:
                counts.prompt_tokens += response.prompt_tokens or 0
                counts.completion_tokens += response.completion_tokens or 0
            self._not_ok(counts, event, response)
        elif event.kind == "retry":
            counts.retries[event.failure or "other"] += 1
        elif event.kind == "limit":
            counts.limit = event.limit
        elif event.kind == "stopped":
            counts.stopped = event.message

    def _not_ok(self, counts: _Counts, event: Event, response: Response) -> None:
        counts.not_ok[response.status] += 1
        ask = event.ask
        if ask is None:
            return
        if ask.follow_up is not None:
            if response.status in _CONTINUED:
                return  # the second answer is the one that is scored
            counts.total -= 1  # there will be no second request
        size = self._cells.get(ask.tag)
        if size is None:
            return
        bad = self._bad.get(ask.tag)
        if bad is None:
            bad = self._bad[ask.tag] = Counter()
        bad[response.status] += 1
        if ask.tag not in self._flagged and bad.total() > FLAGGED_SHARE * size:
            self._flagged[ask.tag] = bad


class _Counts:
    """Of one model."""

    __slots__ = (
        "answered",
        "completion_tokens",
        "failed",
        "failures",
        "from_store",
        "last_served",
        "limit",
        "not_ok",
        "pace",
        "price",
        "prompt_tokens",
        "retries",
        "served",
        "stopped",
        "total",
    )

    def __init__(self, total: int, price: tuple[float, float] | None, pace: Pace) -> None:
        self.total, self.price, self.pace = total, price, pace
        self.from_store = self.answered = self.failed = 0
        self.prompt_tokens = self.completion_tokens = 0
        self.failures: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.not_ok: Counter[str] = Counter()
        self.limit: int | None = None
        self.stopped: str | None = None
        self.last_served: str | None = None
        self.served: dict[str, None] = {}

    def note_served(self, event: Event, response: Response) -> None:
        """Another name than the last answer's answered."""
        served = self.last_served = response.served_model
        if served and event.ask and not same_model(event.ask.request.model, served):
            self.served[served] = None

    def progress(self, label: str, now: float) -> ModelProgress:
        """What there is to say about the model now."""
        done = self.from_store + self.answered + self.failed
        left = max(0, self.total - done)
        rate, seconds_left = self.pace.look(now, self.answered + self.failed, self.from_store, left)
        cost = forecast = None
        if self.price is not None:
            cost = self.price[0] * self.prompt_tokens + self.price[1] * self.completion_tokens
            if not left or self.stopped is not None or not any(self.price):
                forecast = cost
            elif self.answered:
                forecast = cost + cost / self.answered * left
        return ModelProgress(
            label,
            self.total,
            self.from_store,
            self.answered,
            self.failed,
            dict(self.failures),
            dict(self.retries),
            {"ok": done - self.not_ok.total(), **self.not_ok},
            rate,
            self.limit,
            self.prompt_tokens,
            self.completion_tokens,
            cost,
            forecast,
            seconds_left if self.stopped is None else None,
            self.stopped,
            tuple(self.served),
        )


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(v for v in known if v is not None)
