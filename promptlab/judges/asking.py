"""Whom to ask: a judge from what a person wrote, and the runner's limits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import yaml

from promptlab.documents import load_document, parse_document, validate
from promptlab.errors import UserError
from promptlab.judges.requests import Inquiry, Judge
from promptlab.providers import Provider, describe, make_provider
from promptlab.runner import Ask, RunnerOptions
from promptlab.runner.records import Budget, Rate, Spent
from promptlab.spec import ModelSpec, assign
from promptlab.types import Style

__all__ = [
    "By",
    "as_judge",
    "asks",
    "budget_of",
    "described",
    "options",
    "price_of",
    "provider_of",
]

By = Literal["auto", "logprob", "text"]
_STOP = ("\n",)


def as_judge(
    written: ModelSpec | Mapping[str, Any] | Path | str,
    *,
    by: By = "auto",
    set_values: Sequence[str] = (),
    provider: Provider | None = None,
) -> Judge:
    """A judge from what a person wrote.

    Args:
        written: model id, mapping as under `models` of a spec, or the path of such a YAML file.
        by: how verdicts are read; `auto` takes log-probabilities where the judge gives them.
        set_values: overrides `dotted.key=value` of the mapping.
        provider: where replies come from instead.

    Raises:
        UserError: no such model, or it gives no log-probabilities of choices.
        SpecError: a mistake in the file or mapping.
    """
    spec = written if isinstance(written, ModelSpec) else _read(written, set_values)
    if provider is not None:
        endpoint, scores_choices = provider.endpoint, provider.scores_choices
    else:
        endpoint, scores_choices = describe(spec.id, api_base=spec.api_base)
    if by == "logprob" and not scores_choices:
        raise UserError(
            f"{spec.label} gives no log-probabilities of choices; write 'auto' or 'text'"
        )
    style: Style = spec.style or ("completion" if spec.id.startswith("local/") else "chat")
    how: Literal["logprob", "text"] = "logprob" if scores_choices and by != "text" else "text"
    if how == "text" and style == "completion" and "stop" not in spec.params:
        spec = spec.model_copy(update={"params": {**spec.params, "stop": list(_STOP)}})
    return Judge(spec, endpoint, style, how)


def _read(written: Mapping[str, Any] | Path | str, set_values: Sequence[str]) -> ModelSpec:
    if isinstance(written, Mapping):
        data, path = dict(written), "the judge"
    elif str(written).endswith((".yaml", ".yml")):
        document = load_document(Path(written).expanduser())
        if not isinstance(document.data, dict):
            raise document.error("a judge is a mapping of keys such as id, price, budget")
        if not set_values:
            return validate(ModelSpec, document)
        data, path = document.data, document.path
    else:
        data, path = {"id": str(written)}, "the judge"
    for assignment in set_values:
        assign(data, assignment)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return validate(ModelSpec, parse_document(text, path))


def price_of(judge: Judge) -> tuple[float, float] | None:
    """US dollars per (prompt, completion) token; None where unknown.

    Raises:
        UserError: a budget in dollars, and the price is unknown.
    """
    spec = judge.spec
    if spec.price:
        return spec.price.input / 1e6, spec.price.output / 1e6
    if spec.id.startswith(("local/", "mock/")):
        return 0.0, 0.0
    from promptlab.prices import price

    known = price(spec.id, api_base=spec.api_base)
    if known is None and spec.budget is not None and spec.budget.usd is not None:
        raise UserError(
            f"budget.usd needs the price of {judge.label}, which is not known; add --set "
            "price.input=... --set price.output=... (US dollars per million tokens), or take "
            "budget.usd out"
        )
    return known


def budget_of(judge: Judge) -> Budget | None:
    """What may be spent on all calls of a judging, however often it is resumed."""
    written = judge.spec.budget
    return None if written is None else Budget(**written.model_dump())


def options(
    judge: Judge, price: tuple[float, float] | None, spent: Mapping[str, Spent]
) -> RunnerOptions:
    """The judge's limits, price and budget as the runner takes them."""
    spec, label, budget = judge.spec, judge.label, budget_of(judge)
    limited = spec.requests_per_minute or spec.tokens_per_minute
    rate = Rate(spec.requests_per_minute, spec.tokens_per_minute)
    return RunnerOptions(
        concurrency_of={label: spec.concurrency} if spec.concurrency else {},
        rate_of={label: rate} if limited else {},
        price_of={label: price} if price else {},
        budget_of={label: budget} if budget else {},
        spent=spent,
    )


def asks(inquiries: Iterator[Inquiry], judge: Judge) -> Iterator[Ask]:
    """What the runner is given: the inquiries that have a request."""
    for inquiry in inquiries:
        if inquiry.request is not None:
            yield Ask(judge.label, inquiry.request, inquiry.hash, canonical=inquiry.canonical)


def provider_of(judge: Judge) -> Callable[[str], Provider]:
    """Makes the provider of the judge when a request has to be sent."""
    spec = judge.spec
    return lambda label: make_provider(
        spec.id, api_base=spec.api_base, api_key_env=spec.api_key_env
    )


def described(judge: Judge) -> dict[str, Any]:
    """The judge as JSON-ready data, without keys."""
    spec = judge.spec
    return {
        "label": judge.label,
        "id": spec.id,
        "endpoint": judge.endpoint,
        "style": judge.style,
        "read_by": judge.how,
        "params": dict(spec.params),
        "budget": asdict(budget) if (budget := budget_of(judge)) else None,
    }
