"""What runs in the processes of a Ray cluster: the real providers, asked over Ray.

Nothing here imports Ray.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import version

from promptlab.errors import DISTRIBUTION, PromptlabError, ProviderError
from promptlab.providers import make_provider
from promptlab.providers.allowance import Allowance
from promptlab.providers.base import Provider
from promptlab.types import Request, Response

__all__ = ["About", "ModelSettings", "Offer", "Said", "Worker", "this_version"]

_right: ContextVar[Sequence[str] | None] = ContextVar("right", default=None)
"""Right answers to the request that is being asked, for models that rehearse being right."""


@dataclass(frozen=True, slots=True)
class About:
    """Who a worker is."""

    host: str
    pid: int
    version: str
    """Of promptlab."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What a worker needs to make a model's provider; see `make_provider`."""

    model: str
    api_base: str | None = None
    api_key_env: str | None = None
    timeout_s: float = 120.0
    threads: int | None = None
    rehearses: bool = False
    """Whether right answers come with the requests."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables with the model's key and address; they are kept in memory only."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker's provider of a model is like; see `Provider`."""

    endpoint: str | None
    scores_choices: bool
    max_concurrency: int | None


Said = tuple[Response | ProviderError, Allowance | None]
"""What came of an attempt, and what the endpoint said that it still lets through."""


class Worker:
    """Makes a provider for each model of a run and asks it, many requests at once.

    What went wrong on purpose (`PromptlabError`) is returned, not raised, so that it arrives as
    it is and without Ray's account of it.
    """

    def __init__(self) -> None:
        self._providers: dict[str, Provider] = {}
        self._making = asyncio.Lock()

    async def about(self) -> About:
        """Who this is; an answer says that the worker is well."""
        return About(socket.gethostname(), os.getpid(), this_version())

    async def prepare(self, label: str, settings: ModelSettings) -> Offer | PromptlabError:
        """Make a model's provider, unless it is there."""
        async with self._making:
            if label not in self._providers:
                os.environ.update(settings.environment)
                try:
                    # It may import a large library: other models' requests go on meanwhile.
                    self._providers[label] = await asyncio.to_thread(_made, settings)
                except PromptlabError as error:
                    return error
            provider = self._providers[label]
        return Offer(provider.endpoint, provider.scores_choices, provider.max_concurrency)

    async def ask(
        self,
        label: str,
        request: Request,
        shared_prefix: str,
        right: Sequence[str] | None,
    ) -> Said | None:
        """One attempt at one request; None if this worker has not been prepared for the model."""
        provider = self._providers.get(label)
        if provider is None:
            return None
        if right is not None:
            _right.set(right)
        try:
            reply: Response | ProviderError = await provider.ask(
                request, shared_prefix=shared_prefix
            )
        except ProviderError as error:
            reply = error
        allowance, provider.allowance = provider.allowance, None
        return reply, allowance

    async def end(self, label: str) -> None:
        """Close a model's provider."""
        provider = self._providers.pop(label, None)
        if provider is not None:
            await provider.close()


def this_version() -> str:
    """The version of promptlab that is installed here."""
    return version(DISTRIBUTION)


def _made(settings: ModelSettings) -> Provider:
    return make_provider(
        settings.model,
        api_base=settings.api_base,
        api_key_env=settings.api_key_env,
        timeout_s=settings.timeout_s,
        threads=settings.threads,
        known=(lambda request: _right.get()) if settings.rehearses else None,
    )
