"""What every provider of answers offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from promptlab.providers.allowance import Allowance
from promptlab.types import Request, Response

__all__ = ["Provider"]


class Provider(ABC):
    """Answers requests to one model. It knows nothing of stores, retries or experiments."""

    scores_choices: bool = False
    """Whether it answers a request with `choices` by their log-probabilities."""

    max_concurrency: int | None = None
    """Most requests it can use at once; None if only the endpoint limits it."""

    endpoint: str | None = None
    """What goes into `Request.endpoint`, so that it is part of the key."""

    allowance: Allowance | None = None
    """What the endpoint last said it still lets through, if it says; whoever reads it sets it back
    to None."""

    @abstractmethod
    async def ask(self, request: Request, *, shared_prefix: str = "") -> Response:
        """One attempt at one request.

        Args:
            request: what to send.
            shared_prefix: the beginning of the rendered prompt that other requests share; a hint
                for speed that never changes the answer.

        Raises:
            ProviderError: there was no answer. An empty, truncated or refused answer is a
                `Response` with that status.
        """

    async def close(self) -> None:
        """Release connections and memory."""
        return None
