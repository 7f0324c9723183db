"""Where answers come from: hosted models, any OpenAI-compatible endpoint, embedded ones, mocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from promptlab.providers.addresses import (
    checked_address,
    environment_address,
    named_key,
    provider_of,
    variable_prefix,
)
from promptlab.providers.base import Provider
from promptlab.types import Request

__all__ = ["Provider", "describe", "make_provider"]


def make_provider(
    model: str,
    *,
    api_base: str | None = None,
    api_key_env: str | None = None,
    timeout_s: float = 120.0,
    threads: int | None = None,
    known: Callable[[Request], Sequence[str] | None] | None = None,
) -> Provider:
    """The provider of a model; nothing is sent and no connection is opened yet.

    Args:
        model: id: `local/...`, `mock/...`, `provider/name`, or one that an installed package
            brings through the entry-point group `promptlab.providers`.
        api_base: address of an OpenAI-compatible endpoint that serves the model.
        api_key_env: environment variable that holds the key; by convention `OPENAI_API_KEY` for
            `openai/...` and likewise for others.
        timeout_s: seconds one attempt may take.
        threads: processor threads of an embedded model; all unless given.
        known: right answers by request, for `mock/skilled`.

    Raises:
        UserError: the id is not one, or the named variable is not set.
        MissingDependency: the package that reaches this provider is not installed.
    """
    prefix = provider_of(model)
    key = named_key(api_key_env, model)
    if prefix == "local":
        from promptlab.providers.local import LocalProvider

        return LocalProvider(model, threads=threads)
    if prefix == "mock":
        from promptlab.providers.mock import MockProvider

        return MockProvider(model, known=known)
    if prefix in _installed():
        factory = _installed()[prefix].load()
        made: Provider = factory(
            model, api_base=api_base, api_key_env=api_key_env, timeout_s=timeout_s
        )
        return made
    if api_base is not None:
        from promptlab.providers.openai_compatible import OpenAICompatibleProvider

        variable = api_key_env or f"{variable_prefix(prefix)}_API_KEY"
        return OpenAICompatibleProvider(
            model,
            api_base,
            api_key=key or os.environ.get(variable) or None,
            key_name=variable,
            timeout_s=timeout_s,
        )
    from promptlab.providers.litellm import LiteLLMProvider

    return LiteLLMProvider(model, api_key=key, key_name=api_key_env, timeout_s=timeout_s)


def describe(model: str, *, api_base: str | None = None) -> tuple[str | None, bool]:
    """(endpoint, whether it gives log-probabilities of choices) of a model, without loading it.

    The endpoint is what belongs into `Request.endpoint`.

    Raises:
        UserError: the id or the address is not one, or an embedded model's weights are not here.
    """
    prefix = provider_of(model)
    if prefix == "local":
        from promptlab.models import find

        return f"sha256:{find(model).sha256}", True
    if prefix == "mock" or prefix in _installed():
        made = make_provider(model, api_base=api_base)
        return made.endpoint, made.scores_choices
    if api_base is not None:
        return checked_address(api_base), False
    return environment_address(prefix), False


@cache
def _installed() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group="promptlab.providers")}
