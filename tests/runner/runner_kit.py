"""What the runner's tests share: asks, a scripted provider, and a short way to run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from promptlab.keys import request_hash
from promptlab.providers import Provider
from promptlab.providers.mock import MockProvider
from promptlab.runner import Ask, Counts, Event, Outcome, RunnerOptions, execute
from promptlab.store import Store
from promptlab.types import Message, Request, Response

QUICK = RunnerOptions(first_wait_s=0.001, poll_s=0.02, concurrency=8, probe_wait_s=0.001, probes=3)
KEY = "sk-planted-0123456789abcdef"


def asks(n: int, model: str = "m", endpoint: str | None = None, start: int = 0) -> list[Ask]:
    found = []
    for i in range(start, start + n):
        text = f"Instruction: Opposite.\n\nInput: word {i}\nAnswer: "
        request = Request(
            f"openai/{model}",
            messages=(Message("user", text),),
            params={"temperature": 0},
            endpoint=endpoint,
        )
        found.append(Ask(model, request, request_hash(request), tag=i))
    return found


def run(
    streams: Mapping[str, Iterable[Ask]] | Iterable[Ask],
    store: Store,
    provider: Provider | Callable[[str], Provider] | None = None,
    options: RunnerOptions = QUICK,
    **more: Any,
) -> Outcome:
    named = streams if isinstance(streams, Mapping) else {"m": streams}
    if provider is None:
        provider_for: Callable[[str], Provider] = lambda label: MockProvider()  # noqa: E731
    elif isinstance(provider, Provider):
        provider_for = lambda label: provider  # noqa: E731
    else:
        provider_for = provider
    return asyncio.run(
        execute(named, store=store, provider_for=provider_for, options=options, **more)
    )


def texts(store: Store, wanted: list[Ask]) -> dict[str, str]:
    found = store.get_many(list(dict.fromkeys(a.hash for a in wanted)))
    return {key: response.text for key, response in found.items()}


def told(events: Iterable[Event]) -> Counter[str]:
    """How many events of each kind but `limit`, of which every model has one or more."""
    return Counter(e.kind for e in events if e.kind != "limit")


def balanced(counts: Counts) -> bool:
    return counts.planned == (
        counts.from_store + counts.answered + counts.shared + counts.failed + counts.skipped
    )


class Scripted(Provider):
    """Answers with what a function says, or raises it."""

    def __init__(self, say: Callable[[Request, int], Response | Exception]) -> None:
        self._say = say
        self.attempts: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.closed = 0
        self.on_ask: Callable[[], None] = lambda: None

    async def ask(self, request: Request, *, shared_prefix: str = "") -> Response:
        key = request_hash(request)
        self.attempts[key] += 1
        self.on_ask()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        said = self._say(request, self.attempts[key])
        if isinstance(said, Exception):
            raise said
        return said

    async def close(self) -> None:
        self.closed += 1
