"""What the runner is told of a plan, and what is kept of its progress while it asks."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from promptlab.conclude import update_status
from promptlab.errors import UserError
from promptlab.estimate import price_of
from promptlab.plan import Plan, Planned
from promptlab.progress import Snapshot, Tally
from promptlab.runner import Ask, JsonlLog, Outcome, RunnerOptions
from promptlab.runner.records import Budget, Rate, Spent
from promptlab.runs import Asked, Run
from promptlab.spec_sending import BudgetSpec
from promptlab.types import Cell

__all__ = [
    "OnProgress",
    "Prices",
    "SpentJournal",
    "as_ask",
    "budgets",
    "journal_of",
    "keep",
    "prices_of",
    "runner_options",
    "spent_before",
    "tally_of",
    "watching",
]

OnProgress = Callable[[Snapshot], None]
Prices = Mapping[str, tuple[float, float] | None]
"""US dollars per (prompt, completion) token by model label; None where unknown."""

_TICK_S = 0.2
_KEEP_S = 1.0
_JOURNAL = "spent.jsonl"
_LIMITS_KEPT = 20


def prices_of(plan: Plan, lock: Mapping[str, Any] | None = None) -> Prices:
    """What each model costs.

    What the person wrote counts, then what the run began with, then the price map of today.

    Args:
        plan: the plan.
        lock: the lock of the run, where there is one.

    Raises:
        UserError: a budget in dollars, and a model whose price is unknown.
    """
    locked = (lock or {}).get("prices", {})
    prices: dict[str, tuple[float, float] | None] = {}
    for model in plan.models:
        kept = locked.get(model.label)
        prices[model.label] = (
            (kept[0], kept[1])
            if kept and model.spec.price is None
            else price_of(model, plan.spec.experiment)
        )
    for model in plan.models:
        for budget, where in (
            (plan.spec.experiment.budget, "budget.usd"),
            (model.spec.budget, f"budget.usd of {model.label}"),
        ):
            if prices[model.label] is None and budget is not None and budget.usd is not None:
                raise UserError(
                    f"{where} needs the price of {model.label}, which is not known; write "
                    "'price: {input: ..., output: ...}' (US dollars per million tokens) beside "
                    f"'id: {model.spec.id}' under 'models', or take budget.usd out"
                )
    return prices


def runner_options(plan: Plan, prices: Prices, spent: Mapping[str, Spent]) -> RunnerOptions:
    """The spec's limits, prices and budgets as the runner takes them.

    Args:
        plan: the plan.
        prices: of each model.
        spent: by earlier calls of the same run, by model label.
    """
    experiment = plan.spec.experiment
    return RunnerOptions(
        concurrency=experiment.concurrency,
        concurrency_of={m.label: m.spec.concurrency for m in plan.models if m.spec.concurrency},
        rate_of={
            m.label: Rate(m.spec.requests_per_minute, m.spec.tokens_per_minute)
            for m in plan.models
            if m.spec.requests_per_minute or m.spec.tokens_per_minute
        },
        price_of={label: price for label, price in prices.items() if price is not None},
        budget=_budget(experiment.budget),
        budget_of={m.label: _budget(m.spec.budget) for m in plan.models if m.spec.budget},
        spent=spent,
        max_attempts=experiment.max_attempts,
    )


def budgets(plan: Plan) -> dict[str, Any]:
    """The budgets that hold, of the run and by model label, as JSON-ready data."""
    written = plan.spec.experiment.budget
    return {
        "budget": asdict(_budget(written)) if written else None,
        "budget_of": {
            m.label: asdict(_budget(m.spec.budget)) for m in plan.models if m.spec.budget
        },
    }


def _budget(written: BudgetSpec | None) -> Budget:
    return Budget() if written is None else Budget(**written.model_dump())


def tally_of(plan: Plan, prices: Prices) -> Tally:
    """A tally of everything that is planned."""
    replicates = plan.spec.experiment.replicates
    sizes = [
        (task, condition.id, shots, wording.id, replicates * len(plan.draws[task].items))
        for task, condition, shots, wording in plan.shapes
    ]
    return Tally(
        {model.label: plan.n_requests for model in plan.models},
        prices,
        {
            Cell(model.label, task, condition, shots, wording): size
            for model in plan.models
            for task, condition, shots, wording, size in sizes
        },
    )


def as_ask(planned: Planned, then: Callable[[Planned], Ask] | None = None) -> Ask:
    """What the runner needs of a planned request.

    Args:
        planned: the request.
        then: makes the ask of its second call; `as_ask` unless given.
    """
    second, follow = planned.follow_up, then or as_ask
    return Ask(
        model=planned.model,
        request=planned.request,
        hash=planned.hash,
        canonical=planned.canonical,
        shared_prefix=planned.shared_prefix,
        follow_up=(lambda response: follow(second(response))) if second else None,
        tag=planned.cell,
    )


class SpentJournal:
    """What a run with a budget has spent, on disk as it is spent, so that a kill forgets nothing.

    Args:
        path: the file; emptied whenever the status file has caught up.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, label: str, spent: Spent) -> None:
        """Write what all calls have spent on a model so far."""
        with suppress(OSError):  # a full disk is the store's to tell
            os.write(self._file, orjson.dumps([label, asdict(spent)]) + b"\n")

    def clear(self) -> None:
        """Forget what is in the status file by now."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def journal_of(run: Run, plan: Plan) -> SpentJournal | None:
    """The journal of a run that has a budget."""
    budgets = [plan.spec.experiment.budget, *(m.spec.budget for m in plan.models)]
    return SpentJournal(run.path / _JOURNAL) if any(budgets) else None


def spent_before(run: Asked) -> dict[str, Spent]:
    """What earlier calls of a run have spent, by model label."""
    told = dict(run.status.get("spent", {}))
    with suppress(FileNotFoundError):
        for line in (run.path / _JOURNAL).read_bytes().splitlines():
            with suppress(orjson.JSONDecodeError):  # the last line of a process that was killed
                label, spent = orjson.loads(line)
                told[label] = max(told.get(label, spent), spent, key=lambda s: s["requests"])
    return {label: Spent(**spent) for label, spent in told.items()}


@asynccontextmanager
async def watching(
    run: Asked,
    tally: Tally,
    outcome: Outcome,
    journal: SpentJournal | None,
    on_progress: OnProgress | None,
) -> AsyncIterator[JsonlLog]:
    """While models are asked: show and keep how far it is, and at the end how it ended.

    Gives the log of the run to write to.
    """
    state, log = "interrupted", JsonlLog(run.path / "log.jsonl")
    watch = asyncio.create_task(_watch(run, tally, outcome, journal, on_progress))
    try:
        yield log
        state = "done"
    finally:
        watch.cancel()
        log.close()
        snapshot = tally.snapshot(state)
        with suppress(OSError, UserError):  # a full disk is the store's to tell
            keep(run, snapshot, outcome, journal)
        if journal is not None:
            journal.close()
        if on_progress is not None:
            on_progress(snapshot)


async def _watch(
    run: Asked,
    tally: Tally,
    outcome: Outcome,
    journal: SpentJournal | None,
    on_progress: OnProgress | None,
) -> None:
    """Show progress a few times a second and keep it on disk once a second, until cancelled.

    Waking the loop has a use of its own: a Ctrl-C that another thread took is seen only then.
    """
    kept = time.monotonic()
    while True:
        await asyncio.sleep(_TICK_S)
        snapshot = tally.snapshot()
        if on_progress is not None:
            on_progress(snapshot)
        if time.monotonic() - kept >= _KEEP_S:
            kept = time.monotonic()
            with suppress(OSError):  # a full disk is the store's to tell
                keep(run, snapshot, outcome, journal)


def keep(run: Asked, snapshot: Snapshot, outcome: Outcome, journal: SpentJournal | None) -> None:
    """Write progress, what was spent and the latest limits into the run's status file."""
    update_status(
        run,
        progress=snapshot.to_dict(),
        spent=run.status.get("spent", {}) | {k: asdict(v) for k, v in outcome.spent.items()},
        limits={
            label: [change._asdict() for change in changes[-_LIMITS_KEPT:]]
            for label, changes in outcome.limits.items()
        },
        updated=round(time.time(), 1),
    )
    if journal is not None:
        journal.clear()
