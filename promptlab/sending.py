"""Which runner sends a plan's requests, and how it reaches the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlab.asking import as_ask
from promptlab.errors import UserError
from promptlab.plan import Plan, PlannedModel
from promptlab.providers import Provider, make_provider
from promptlab.runner import Ask, Event, Outcome, RunnerOptions, execute
from promptlab.runner.records import Log
from promptlab.spec_sending import BatchRunner, NamedRunner, RayRunner
from promptlab.store import Store
from promptlab.types import Request

__all__ = ["send"]


async def send(
    plan: Plan,
    store: Store,
    *,
    run_path: Path,
    options: RunnerOptions,
    outcome: Outcome,
    on_event: Callable[[Event], None],
    on_log: Log,
    on_message: Callable[[str], None],
    asks: Mapping[str, Iterator[Ask]] | None = None,
) -> None:
    """Get an answer to every request of a plan, by the runner that its spec names.

    Args:
        plan: the plan.
        store: where answers are looked up and kept.
        run_path: the run directory; batches that are out are remembered there.
        options: limits, prices and budgets.
        outcome: filled in place.
        on_event: told of everything that happens.
        on_log: takes records of the debug log.
        on_message: takes lines that a person should see.
        asks: what is asked, by model label; every request of the plan unless given.
    """
    runner = plan.spec.experiment.runner
    if asks is None:
        asks = {m.label: map(as_ask, plan.requests(m)) for m in plan.models}
    common: dict[str, Any] = {
        "store": store,
        "options": options,
        "outcome": outcome,
        "on_event": on_event,
        "on_log": on_log,
    }
    _check_batches_are_collected(runner, run_path / "batches")
    if runner == "async":
        await execute(asks, provider_for=lambda label: _provider(plan, label), **common)
    elif runner.batch is not None:
        common["on_log"] = _telling_of_batches(on_log, on_message)
        await _send_batches(plan, asks, runner.batch, run_path / "batches", common)
    elif runner.ray is not None:
        await _send_by_ray(plan, asks, runner.ray, common)


def _check_batches_are_collected(runner: str | NamedRunner, state: Path) -> None:
    """Only the batch runner knows what is in batches; another one would pay for it again.

    Raises:
        UserError: batches of this run are still with the provider.
    """
    if not state.is_dir() or (not isinstance(runner, str) and runner.batch is not None):
        return
    from promptlab.runner.batch import still_out

    if out := still_out(state):
        batches = sum(n for n, _ in out.values())
        raise UserError(
            f"batches of this run are still with the provider ({batches}); run it with "
            f"'runner: batch' to collect them, or delete {state} to pay for them again"
        )


def _provider(plan: Plan, label: str) -> Provider:
    model = plan.model(label)
    return make_provider(model.spec.id, **_reach(plan, model), known=_known(plan, model))


def _reach(plan: Plan, model: PlannedModel) -> dict[str, Any]:
    return {
        "api_base": model.spec.api_base,
        "api_key_env": model.spec.api_key_env,
        "timeout_s": plan.spec.experiment.timeout_s,
    }


async def _send_batches(
    plan: Plan,
    asks: Mapping[str, Any],
    settings: BatchRunner,
    state: Path,
    common: Mapping[str, Any],
) -> None:
    from promptlab.providers.batch_api import BatchApi, batch_api
    from promptlab.runner.batch import execute_batches

    def api(label: str) -> BatchApi:
        model = plan.model(label)
        return batch_api(model.spec.id, **_reach(plan, model))

    await execute_batches(asks, batch_api_for=api, state=state, settings=settings, **common)


async def _send_by_ray(
    plan: Plan, asks: Mapping[str, Any], settings: RayRunner, common: Mapping[str, Any]
) -> None:
    from promptlab.providers.ray import RayWorkers

    with RayWorkers(**settings.model_dump(), on_log=common["on_log"]) as workers:

        def provider(label: str) -> Provider:
            model = plan.model(label)
            return workers.provider(
                model.spec.id, label=label, **_reach(plan, model), known=_known(plan, model)
            )

        await execute(asks, provider_for=provider, **common)
        workers.check()


def _telling_of_batches(on_log: Log, on_message: Callable[[str], None]) -> Log:
    """A log that also tells how far the batches are, whenever they have come further."""
    told: dict[str, str] = {}

    def log(record: Mapping[str, Any]) -> None:
        on_log(record)
        if record["event"] == "batches":
            model, line = (
                record["model"],
                (
                    f"{record['batches']:,} batches out, {record['completed']:,} of "
                    f"{record['requests']:,} requests completed"
                ),
            )
            if told.get(model) != line:
                told[model] = line
                on_message(f"{model}: {line}")

    return log


def _known(plan: Plan, model: PlannedModel) -> Callable[[Request], Sequence[str] | None] | None:
    """Right answers by question, so that a mock model can rehearse being right."""
    if not model.spec.id.startswith("mock/"):
        return None
    answers: dict[str, Sequence[str]] = {}
    continued: list[str] = []
    for planned in plan.requests(model):
        asked = _asked(planned.request)
        answers[asked] = planned.item.answers
        if planned.follow_up and planned.request.prompt is not None:
            continued.append(asked)
    continued.sort(key=len, reverse=True)

    def known(request: Request) -> Sequence[str] | None:
        asked = _asked(request)
        if asked in answers:
            return answers[asked]
        # A second call of completion style: the first one's text, the answer, and more.
        first = next((text for text in continued if asked.startswith(text)), None)
        return None if first is None else answers[first]

    return known


def _asked(request: Request) -> str:
    """What the first call asks, which the messages of a second call repeat."""
    if request.prompt is not None:
        return request.prompt
    return next((m.content for m in request.messages if m.role == "user"), "")
