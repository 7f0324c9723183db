"""What the tests of batches share: asks, a run against the test server, and a child process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.keys import request_hash
from promptlab.providers.batch_api import BatchApi, batch_api
from promptlab.runner import Ask, Counts, Outcome, RunnerOptions
from promptlab.runner.batch import execute_batches
from promptlab.spec_sending import BatchRunner
from promptlab.store import Store
from promptlab.types import Message, Request, Response

if TYPE_CHECKING:
    from batch_server import BatchServer

QUICK = RunnerOptions(first_wait_s=0.001, poll_s=0.01)
SETTINGS = BatchRunner(poll_s=0.01, max_requests=20)
TESTS = Path(__file__).resolve().parent.parent


def asks(n: int, start: int = 0, **changes: Any) -> list[Ask]:
    """Asks tagged with their number, whose text says it too."""
    found = []
    for i in range(start, start + n):
        request = Request(
            "openai/m", (Message("user", f"question {i}"),), params={"temperature": 0}
        )
        request = replace(request, **changes)
        found.append(Ask("m", request, request_hash(request), tag=i))
    return found


def two_steps(n: int) -> list[Ask]:
    """Asks whose answer is asked about once more."""

    def following(ask: Ask) -> Callable[[Response], Ask]:
        def make(response: Response) -> Ask:
            text = f"{ask.request.messages[0].content}: {response.text}, so?"
            request = replace(ask.request, messages=(Message("user", text),))
            return Ask("m", request, request_hash(request), tag=("second", ask.tag))

        return make

    return [replace(ask, follow_up=following(ask)) for ask in asks(n)]


class Bench:
    """A store and a folder of batches, and runs on them."""

    def __init__(self, server: BatchServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.state = folder / "batches"
        self.store_path = folder / "store.sqlite"
        self.log: list[Mapping[str, Any]] = []
        self.events: list[Any] = []
        self.api: Callable[[str], BatchApi] = lambda label: batch_api(
            "openai/m", api_base=server.base
        )

    def run(
        self,
        streams: Mapping[str, Iterable[Ask]] | Iterable[Ask],
        *,
        options: RunnerOptions = QUICK,
        settings: BatchRunner = SETTINGS,
        mode: Any = "use",
        **more: Any,
    ) -> Outcome:
        with Store(self.store_path, mode=mode) as store:
            return asyncio.run(
                self.coroutine(streams, store, options=options, settings=settings, **more)
            )

    async def coroutine(
        self,
        streams: Mapping[str, Iterable[Ask]] | Iterable[Ask],
        store: Store,
        *,
        options: RunnerOptions = QUICK,
        settings: BatchRunner = SETTINGS,
        **more: Any,
    ) -> Outcome:
        self.log.clear()
        self.events.clear()
        return await execute_batches(
            streams if isinstance(streams, Mapping) else {"m": streams},
            store=store,
            batch_api_for=self.api,
            state=self.state,
            settings=settings,
            options=options,
            on_event=self.events.append,
            on_log=self.log.append,
            **more,
        )

    def stored(self, wanted: Iterable[Ask]) -> dict[str, Response]:
        with Store(self.store_path) as store:
            return store.get_many([ask.hash for ask in wanted])

    def logged(self, event: str) -> list[Mapping[str, Any]]:
        return [record for record in self.log if record["event"] == event]

    def left_on_disk(self) -> set[str]:
        return {path.name for path in self.state.iterdir()}


def all_right(bench: Bench, wanted: list[Ask]) -> bool:
    """Whether the store holds the server's answer to each, and each was run once."""
    from batch_server import answer_to  # not needed in a child, where it would take its time

    stored = bench.stored(wanted)
    texts = {ask.hash: answer_to(ask.request.messages[-1].content) for ask in wanted}
    return {key: r.text for key, r in stored.items()} == texts and (
        bench.server.asked == dict.fromkeys(texts, 1)
    )


def balanced(counts: Counts) -> bool:
    return counts.planned == (
        counts.from_store + counts.answered + counts.shared + counts.failed + counts.skipped
    )


_CHILD = """
    import sys
    from pathlib import Path
    sys.path[:0] = {paths!r}
    from batch_bench import Bench, asks, two_steps
    from promptlab.spec_sending import BatchRunner

    class Server:
        base = {base!r}

    bench = Bench(Server(), Path({folder!r}))
    settings = BatchRunner(poll_s=0.02, max_requests=20)
    print("began", flush=True)
    outcome = bench.run({wanted}, settings=settings)
    print("done", outcome.models["m"].planned, flush=True)
"""


def child(bench: Bench, wanted: str = "asks(100)", **environment: str) -> subprocess.Popen[str]:
    """A process of its own that runs batches on the same store and folder."""
    source = textwrap.dedent(_CHILD).format(
        paths=[str(TESTS), str(TESTS / "runner")],
        base=bench.server.base,
        folder=str(bench.folder),
        wanted=wanted,
    )
    return subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(10)
