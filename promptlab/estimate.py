"""What a plan would send, cost and be able to see, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from promptlab.plan import Plan, Planned, PlannedModel
from promptlab.spec import Experiment
from promptlab.spec_sending import BudgetSpec
from promptlab.store import Store
from promptlab.types import Request

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "ModelEstimate",
    "characters",
    "estimate",
    "over_budget",
    "price_of",
]

CHARACTERS_PER_TOKEN = 4.0
"""Rule of thumb for English text; real counts differ by about a quarter either way."""

_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What one model would be asked.

    Attributes:
        model: label.
        cells: number of cells.
        requests: requests in all, second calls of a method included.
        stored: how many of them the store has answered.
        prompt_tokens: estimate for the requests that are left.
        completion_tokens: upper limit for the requests that are left.
        cost_usd: at most; None where the price is unknown.
    """

    model: str
    cells: int
    requests: int
    stored: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


def estimate(plan: Plan, store_path: Path) -> list[ModelEstimate]:
    """Count requests, stored answers, tokens and cost for each model."""
    mode = plan.spec.experiment.store
    if not store_path.exists() or mode in ("off", "refresh"):
        return [_estimate(plan, model, None) for model in plan.models]
    with Store(store_path, mode="replay") as store:
        return [_estimate(plan, model, store) for model in plan.models]


def _estimate(plan: Plan, model: PlannedModel, store: Store | None) -> ModelEstimate:
    requests = stored = length = limit = 0
    stream = plan.requests(model)
    while batch := list(islice(stream, _BATCH)):
        for request, answered in _requests(batch, store):
            requests += 1
            stored += answered
            if not answered:
                length += characters(request)
                limit += 0 if request.choices else int(request.params.get("max_tokens") or 0)
    prompt_tokens = round(length / CHARACTERS_PER_TOKEN)
    price = price_of(model, plan.spec.experiment)
    cost = price[0] * prompt_tokens + price[1] * limit if price else None
    return ModelEstimate(
        model.label, len(plan.shapes), requests, stored, prompt_tokens, limit, cost
    )


def _requests(batch: list[Planned], store: Store | None) -> Iterator[tuple[Request, bool]]:
    """Every request of the batch with whether it is answered, second calls included."""
    if store is None:
        for planned in batch:
            yield planned.request, False
            if planned.follow_up:
                yield _unknown_second(planned), False
        return
    answered = store.contains_many([p.hash for p in batch])
    with_second = [p for p in batch if p.follow_up]
    first = store.get_many([p.hash for p in with_second if p.hash in answered])
    second = {
        p.hash: p.follow_up(first[p.hash]) for p in with_second if p.follow_up and p.hash in first
    }
    answered_second = store.contains_many([p.hash for p in second.values()])
    for planned in batch:
        yield planned.request, planned.hash in answered
        if planned.hash in second:
            follow = second[planned.hash]
            yield follow.request, follow.hash in answered_second
        elif planned.follow_up:
            yield _unknown_second(planned), False


def _unknown_second(planned: Planned) -> Request:
    """Stands for a second call before the first is answered; about as long as the first."""
    return planned.request


def characters(request: Request) -> int:
    """How many characters of text a request sends."""
    text = len(request.prompt or "") + sum(len(m.content) for m in request.messages)
    return text + sum(len(choice) for choice in request.choices)


def price_of(model: PlannedModel, experiment: Experiment) -> tuple[float, float] | None:
    """US dollars per (prompt, completion) token: the spec's, the price map's, or None if unknown.

    Models of this machine (`local/`, `mock/`) cost nothing. By the runner `batch` it is the
    price of the provider's batch API, where the map has one.
    """
    if model.spec.price:
        return model.spec.price.input / 1e6, model.spec.price.output / 1e6
    if model.spec.id.startswith(("local/", "mock/")):
        return 0.0, 0.0
    from promptlab.prices import price

    batch = not isinstance(experiment.runner, str) and experiment.runner.batch is not None
    return price(model.spec.id, api_base=model.spec.api_base, batch=batch)


def over_budget(plan: Plan, estimates: Sequence[ModelEstimate]) -> list[str]:
    """In words, which budgets may stop the run before its end."""
    budget = plan.spec.experiment.budget
    found = [] if budget is None else _over("the budget", budget, estimates)
    for model, estimated in zip(plan.models, estimates, strict=True):
        if model.spec.budget is not None:
            found += _over(f"the budget of {model.label}", model.spec.budget, [estimated])
    return found


def _over(name: str, budget: BudgetSpec, estimates: Sequence[ModelEstimate]) -> list[str]:
    requests = sum(e.requests - e.stored for e in estimates)
    tokens = sum(e.prompt_tokens + e.completion_tokens for e in estimates)
    usd = sum(e.cost_usd or 0.0 for e in estimates)
    return [
        f"{name} of {allowed} may not be enough: up to {wanted} to go"
        for wanted, allowed, over in (
            (f"${usd:,.2f}", f"${budget.usd or 0:,.2f}", _above(usd, budget.usd)),
            (f"{tokens:,} tokens", f"{budget.tokens or 0:,} tokens", _above(tokens, budget.tokens)),
            (
                f"{requests:,} requests",
                f"{budget.requests or 0:,} requests",
                _above(requests, budget.requests),
            ),
        )
        if over
    ]


def _above(wanted: float, allowed: float | None) -> bool:
    return allowed is not None and wanted > allowed
