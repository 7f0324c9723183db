"""What a person writes about how requests are sent: runner, concurrency, prices and budgets.

None of it is part of what an experiment is: changing it continues the same run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "BatchRunner",
    "BudgetSpec",
    "Concurrency",
    "NamedRunner",
    "Price",
    "RayRunner",
    "Runner",
    "Strict",
]


class Strict(BaseModel):
    """What a person writes: unknown keys and numbers that are none are mistakes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def _check_concurrency(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or value < 1):
        raise ValueError(f"write a whole number, 1 or more, or auto (got {value!r})")
    return value


Concurrency = Annotated[int | Literal["auto"], BeforeValidator(_check_concurrency)]


class Price(Strict):
    """What a model costs, where the price map does not know it."""

    input: float = Field(ge=0)
    """US dollars per million prompt tokens."""
    output: float = Field(ge=0)
    """US dollars per million completion tokens."""


class BudgetSpec(Strict):
    """What may be spent; nothing more is sent once it is, and what is in flight may land."""

    usd: float | None = Field(default=None, ge=0)
    """US dollars."""
    tokens: int | None = Field(default=None, ge=0)
    """Prompt and completion tokens."""
    requests: int | None = Field(default=None, ge=0)
    """Requests sent, each attempt counted."""


class BatchRunner(Strict):
    """Send requests through the provider's batch API: cheaper, answered within a day."""

    poll_s: float = Field(default=30, gt=0)
    """Seconds between two looks at a batch."""
    max_requests: int = Field(default=20_000, ge=1, le=50_000)
    """Most requests in one batch."""
    window: str = "24h"
    """Time that the provider is given to complete a batch."""


class RayRunner(Strict):
    """Spread requests over the workers of a Ray cluster."""

    address: str = "auto"
    """Address of the cluster; `auto` finds the one that this machine belongs to."""
    workers: int = Field(default=2, ge=1)
    """Number of workers."""
    cpus: float = Field(default=1, gt=0)
    """Processors that each worker takes up."""
    gpus: float = Field(default=0, ge=0)
    """Graphics processors that each worker takes up."""


class NamedRunner(Strict):
    """A runner with its settings; just one of them."""

    batch: BatchRunner | None = None
    """The provider's batch API."""
    ray: RayRunner | None = None
    """A Ray cluster."""


def _as_runner(value: Any) -> Any:
    """The short forms: `batch`, `ray`, and `{ray: }` without settings."""
    if value == "async" or isinstance(value, NamedRunner):
        return value
    if isinstance(value, str) and value in NamedRunner.model_fields:
        return {value: {}}
    if isinstance(value, Mapping) and len(value) == 1:
        return {name: {} if inner is None else inner for name, inner in value.items()}
    shown = f"'{value}'" if isinstance(value, str) else str(value)
    raise ValueError(f"{shown} is no runner; write async, batch, ray or {{ray: {{workers: 4}}}}")


Runner = Annotated[Literal["async"] | NamedRunner, BeforeValidator(_as_runner)]
"""How requests are sent: at once, or by a named runner with its settings."""
