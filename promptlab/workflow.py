"""Run an experiment from spec to report: plan minus store, ask, score, analyse, write.

A run is resumed by running it again: what is in the store is not asked twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab import settings
from promptlab.asking import (
    OnProgress,
    Prices,
    budgets,
    journal_of,
    prices_of,
    runner_options,
    spent_before,
    tally_of,
    watching,
)
from promptlab.conclude import analyse_run, report_run, score_run, update_status
from promptlab.errors import NothingScored, PromptlabError, StoreDamaged, Unjudged, UserError
from promptlab.files import write_private
from promptlab.lock import build_lock
from promptlab.loops import to_its_end
from promptlab.plan import Plan
from promptlab.planning import build_plan
from promptlab.progress import Tally
from promptlab.registration import Registration, find_registration
from promptlab.repair import set_aside_and_rebuild
from promptlab.runner import Event, Outcome
from promptlab.runs import Run, locked_directory, write_json
from promptlab.sending import send
from promptlab.spec import Spec, load_spec, spec_from_mapping
from promptlab.store import Store
from promptlab.tables import write_conditions, write_plan, write_responses

if TYPE_CHECKING:
    from promptlab.racing_asks import RaceAsks

__all__ = ["arun", "run"]

_SPENDING = ("answer", "failed", "retry")
_LOGGER = logging.getLogger("promptlab")

OnEvent = Callable[[Event], None]
OnStage = Callable[[str], None]
OnPlan = Callable[[Plan], None]
OnMessage = Callable[[str], None]
OnRun = Callable[[Run], None]


def run(
    spec: Spec | Path | str | Mapping[str, Any],
    *,
    limit: int | None = None,
    models: Sequence[str] = (),
    set_values: Sequence[str] = (),
    analysis: bool = True,
    on_event: OnEvent | None = None,
    on_progress: OnProgress | None = None,
    on_stage: OnStage | None = None,
    on_plan: OnPlan | None = None,
    on_run: OnRun | None = None,
    on_message: OnMessage | None = None,
) -> Run:
    """Run an experiment and return the handle on its run; also inside a running event loop.

    Args:
        spec: path of a YAML file, a mapping of the same form, or a checked `Spec`.
        limit: at most this many items a task.
        models: model ids instead of the spec's.
        set_values: overrides `dotted.key=value`.
        analysis: also analyse and write the report.
        on_event: called for every answer, failure and stop; should be quick.
        on_progress: called a few times a second while models are asked, and at the end of that.
        on_stage: called with the name of each stage as it begins.
        on_plan: called with the plan before anything is asked.
        on_run: called with the handle on the run before anything is asked.
        on_message: takes lines that a person should see, such as that a damaged store was set
            aside; the logger `promptlab` unless given.

    Raises:
        UserError: a mistake in the spec or a folder that cannot be used.
    """
    coroutine = arun(
        spec,
        limit=limit,
        models=models,
        set_values=set_values,
        analysis=analysis,
        on_event=on_event,
        on_progress=on_progress,
        on_stage=on_stage,
        on_plan=on_plan,
        on_run=on_run,
        on_message=on_message,
    )
    return to_its_end(coroutine)


async def arun(
    spec: Spec | Path | str | Mapping[str, Any],
    *,
    limit: int | None = None,
    models: Sequence[str] = (),
    set_values: Sequence[str] = (),
    analysis: bool = True,
    on_event: OnEvent | None = None,
    on_progress: OnProgress | None = None,
    on_stage: OnStage | None = None,
    on_plan: OnPlan | None = None,
    on_run: OnRun | None = None,
    on_message: OnMessage | None = None,
) -> Run:
    """`run` as a coroutine."""
    tell, say = on_stage or (lambda name: None), on_message or _LOGGER.warning
    tell("planning")
    plan = build_plan(_as_spec(spec, limit, models, set_values))
    prices_of(plan)  # a budget that cannot be kept is said before anything is written
    registration = find_registration(plan.spec)
    if on_plan:
        on_plan(plan)
    experiment = plan.spec.experiment
    folder = plan.spec.resolve(experiment.runs_dir) if experiment.runs_dir else settings.runs_dir()
    with locked_directory(plan, folder) as path:
        handle = _begin(plan, path, registration)

        def stage(name: str) -> None:
            update_status(handle, stage=name)
            tell(name)

        try:
            if on_run:
                on_run(handle)
            try:
                await _ask_and_keep(plan, handle, stage, say, on_event, on_progress)
            except StoreDamaged as damage:
                if experiment.store not in ("use", "refresh"):
                    raise
                stage("mending")
                set_aside_and_rebuild(settings.store_path(), folder, say, damage=damage)
                await _ask_and_keep(plan, handle, stage, say, on_event, on_progress)
            stage("scoring")
            update_status(handle, score_rows=score_run(handle, plan))
            if analysis and len(plan.conditions) > 1:
                stage("analysing")
                _conclude(handle)
            update_status(handle, stage="done")
        except BaseException as error:
            _ended_early(handle, error)
            raise
    return handle


async def _ask_and_keep(
    plan: Plan,
    handle: Run,
    stage: OnStage,
    say: OnMessage,
    on_event: OnEvent | None,
    on_progress: OnProgress | None,
) -> None:
    """Get the answers and write the run's own copy of them."""
    started = time.monotonic()
    prices, mode = prices_of(plan, handle.lock), plan.spec.experiment.store
    with Store(settings.store_path(), mode=mode) as store:
        stage("asking")
        tally = tally_of(plan, prices)
        race = _race(plan, tally, say)
        outcome = await _ask(plan, store, handle, tally, race, prices, say, on_event, on_progress)
        stage("writing")
        table = handle.path / "responses.parquet"
        is_asked = race.is_asked if race else None
        counts = write_responses(plan, store, outcome.failures, table, is_asked)
    update_status(handle, **_status(prices, outcome, counts, time.monotonic() - started))


def _ended_early(handle: Run, error: BaseException) -> None:
    """Say so in the status, which else goes on saying that the run is running."""
    interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
    with suppress(OSError, UserError):  # a full disk may be what ended it
        if interrupted or handle.status["state"] == "running":
            said = {"error": str(error)} if isinstance(error, PromptlabError) else {}
            update_status(handle, state="interrupted", **said)


def _as_spec(
    spec: Spec | Path | str | Mapping[str, Any],
    limit: int | None,
    models: Sequence[str],
    set_values: Sequence[str],
) -> Spec:
    if isinstance(spec, Spec):
        return spec
    if isinstance(spec, Mapping):
        data = dict(spec)
        if limit is not None:
            data["items"] = limit
        if models:
            data["models"] = list(models)
        return spec_from_mapping(data, name=str(data.get("name", "experiment")))
    return load_spec(spec, set_values=set_values, limit=limit, models=models)


def _begin(plan: Plan, path: Path, registration: Registration | None) -> Run:
    """Lay out the run directory: what will be asked is on disk before anything is asked."""
    if not (path / "lock.json").exists():
        write_plan(plan, path / "plan.parquet")
        write_conditions(plan, path / "conditions.parquet")
        write_private(path / "spec.yaml", plan.spec.portable_text().encode())
        write_json(path / "lock.json", build_lock(plan, prices_of(plan)))
    if registration is not None:
        write_private(path / "registration.json", registration.path.read_bytes())
    handle = Run(path)
    # Of earlier calls only what they spent still holds.
    spent = {label: asdict(s) for label, s in spent_before(handle).items()}
    status = {"state": "running", "planned": plan.n_planned, "spent": spent}
    write_json(path / "status.json", status | budgets(plan))
    return handle


def _race(plan: Plan, tally: Tally, say: OnMessage) -> RaceAsks | None:
    """The asks of a race, where the design is one."""
    if plan.spec.experiment.race is None:
        return None
    from promptlab.racing_asks import RaceAsks

    return RaceAsks(plan, on_dropped=tally.drop, on_message=say)


async def _ask(
    plan: Plan,
    store: Store,
    handle: Run,
    tally: Tally,
    race: RaceAsks | None,
    prices: Prices,
    say: OnMessage,
    on_event: OnEvent | None,
    on_progress: OnProgress | None,
) -> Outcome:
    outcome = Outcome()
    spent, journal = spent_before(handle), journal_of(handle, plan)

    def heard(event: Event) -> None:
        tally.event(event)
        if race is not None:
            race.heard(event)
        if journal is not None and event.kind in _SPENDING:
            journal.add(event.model, outcome.spent[event.model])
        if on_event is not None:
            on_event(event)

    async with watching(handle, tally, outcome, journal, on_progress) as log:
        await send(
            plan,
            store,
            run_path=handle.path,
            options=runner_options(plan, prices, spent),
            outcome=outcome,
            on_event=heard,
            on_log=log,
            on_message=say,
            asks=race.streams() if race else None,
        )
    return outcome


def _status(
    prices: Prices, outcome: Outcome, counts: Mapping[str, int], wall_s: float
) -> dict[str, Any]:
    unfinished = sum(counts.get(status, 0) for status in ("error", "missing", "empty"))
    return {
        "state": "incomplete" if unfinished or outcome.stopped else "complete",
        "responses": dict(counts),
        "asked": sum(c.answered for c in outcome.models.values()),
        "from_store": sum(c.from_store + c.shared for c in outcome.models.values()),
        "cost_usd": _cost(prices, outcome),
        "stopped": {label: asdict(stop) for label, stop in outcome.stopped.items()},
        "wall_s": round(wall_s, 3),
    }


def _cost(prices: Prices, outcome: Outcome) -> float | None:
    """US dollars paid by this call; None where a price is unknown."""
    total = 0.0
    for label, counts in outcome.models.items():
        price = prices[label]
        if not counts.answered:
            continue
        if price is None:
            return None
        total += price[0] * counts.prompt_tokens + price[1] * counts.completion_tokens
    return total


def _conclude(handle: Run) -> None:
    """Analyse and report; the answers are kept whatever comes of it."""
    try:
        analyse_run(handle)
        report_run(handle)
    except Unjudged as error:
        update_status(handle, analysis=str(error))
    except NothingScored as error:
        update_status(handle, analysis=str(error), state="incomplete")
    except UserError as error:
        update_status(handle, analysis=str(error))
        raise
