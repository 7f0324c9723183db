from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from local_requests import HEAD, MODEL, WORDS, ask, prompt, request, scored

from promptlab.errors import ProviderError
from promptlab.providers import _llama, local
from promptlab.providers.local import LocalProvider
from promptlab.types import Response

model = pytest.mark.model


class FakeEngine:
    """Notes how many requests it has at once."""

    made = 0
    most = 0

    def __init__(self, weights: Path, *, context_tokens: int, reuse: bool) -> None:
        type(self).made += 1
        self.now = 0
        self.closed = False

    def tokens(self, text: str) -> list[int]:
        return list(text.encode())

    def complete(self, ids: list[int], **settings: Any) -> _llama.Completion:
        self.now += 1
        type(self).most = max(type(self).most, self.now)
        time.sleep(0.03)
        self.now -= 1
        return _llama.Completion("x", False, len(ids), 1, ())

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Id of a model that is none, run by engines that are none."""
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    monkeypatch.setattr(local, "Engine", FakeEngine)
    monkeypatch.setattr(FakeEngine, "made", 0)
    monkeypatch.setattr(FakeEngine, "most", 0)
    (tmp_path / "fake.gguf").write_bytes(b"GGUF")
    return f"local/{tmp_path / 'fake.gguf'}"


def test_a_server_has_one_request_at_a_time(fake: str) -> None:
    async def many() -> float:
        provider = LocalProvider(fake, threads=3)
        assert provider.max_concurrency == 3
        assert FakeEngine.made == 0
        started = time.perf_counter()
        await asyncio.gather(*(provider.ask(request(str(i))) for i in range(12)))
        took = time.perf_counter() - started
        await provider.close()
        return took

    took = asyncio.run(many())
    assert FakeEngine.made == 3
    assert FakeEngine.most == 1
    assert took < 12 * 0.03


def test_one_after_the_other_needs_few_servers(fake: str) -> None:
    async def some() -> None:
        provider = LocalProvider(fake, threads=3)
        for i in range(4):
            await provider.ask(request(str(i)))
        await provider.close()
        with pytest.raises(ProviderError, match="the embedded model is closed"):
            await provider.ask(request())
        await provider.close()

    asyncio.run(some())
    assert FakeEngine.made < 3, "a thread that is only just idle may not be known to be"


def test_event_loop_is_never_blocked(fake: str) -> None:
    async def tick() -> float:
        provider = LocalProvider(fake, threads=1)
        longest, last = 0.0, time.perf_counter()
        asked = asyncio.gather(*(provider.ask(request(str(i))) for i in range(8)))
        while not asked.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
        await provider.close()
        return longest

    assert asyncio.run(tick()) < 0.2


def test_default_is_a_server_a_core(fake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, servers in ((1, 1), (4, 4), (64, 8)):
        monkeypatch.setattr(local, "_cores", lambda cores=cores: cores)
        assert LocalProvider(fake).max_concurrency == servers


@model
def test_two_servers_give_what_one_gives(provider: LocalProvider) -> None:
    asked = [request(prompt(word)) for word in WORDS[:3]] + [scored(prompt("dog"), *WORDS[:3])]

    async def together() -> list[Response]:
        two = LocalProvider(MODEL, threads=2)
        try:
            return list(await asyncio.gather(*(two.ask(r, shared_prefix=HEAD) for r in asked * 2)))
        finally:
            await two.close()

    found = [(r.text, r.choice_logprobs) for r in asyncio.run(together())]
    alone = [ask(provider, r) for r in asked]
    assert found == [(r.text, r.choice_logprobs) for r in alone] * 2


@model
def test_dead_server_is_replaced(smollm2: Path) -> None:
    provider = LocalProvider(MODEL, threads=1)
    try:
        first = ask(provider, request())
        (engine,) = provider._engines
        os.kill(engine._process.id, signal.SIGKILL)
        with pytest.raises(ProviderError) as caught:
            ask(provider, request())
        assert caught.value.kind == "connection"
        assert ask(provider, request()).text == first.text
        assert not engine._process.folder.exists()
        assert len(provider._engines) == 1
    finally:
        asyncio.run(provider.close())


@model
def test_close_ends_a_request_under_way(smollm2: Path) -> None:
    async def interrupted() -> float:
        provider = LocalProvider(MODEL, threads=1)
        await provider.ask(request())
        (engine,) = provider._engines
        long = asyncio.create_task(provider.ask(request("Once", params={"max_tokens": 3000})))
        await asyncio.sleep(0.2)
        started = time.perf_counter()
        await provider.close()
        with pytest.raises(ProviderError, match="connection"):
            await long
        assert not engine._process.folder.exists()
        return time.perf_counter() - started

    assert asyncio.run(interrupted()) < 5


@model
def test_cancelled_request_stops_its_server(smollm2: Path) -> None:
    async def cancelled() -> None:
        provider = LocalProvider(MODEL, threads=1)
        first = await provider.ask(request())
        long = asyncio.create_task(provider.ask(request("Once", params={"max_tokens": 3000})))
        waiting = asyncio.create_task(provider.ask(request()))
        await asyncio.sleep(0.2)
        started = time.perf_counter()
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        assert (await waiting).text == first.text
        assert time.perf_counter() - started < 10
        await provider.close()

    asyncio.run(cancelled())


SCRIPT = f"""
import asyncio, sys
from promptlab.providers.local import LocalProvider
from promptlab.types import Request

async def tick():  # a signal that another thread took is seen when the loop wakes
    while True:
        await asyncio.sleep(0.1)

async def main():
    provider = LocalProvider({MODEL!r}, threads=1)
    await provider.ask(Request({MODEL!r}, prompt="Once", params={{"max_tokens": 1}}))
    process = provider._engines[0]._process
    print(process.id, process.folder, flush=True)
    if sys.argv[1] == "wait":
        asyncio.create_task(tick())
        await provider.ask(Request({MODEL!r}, prompt="Once", params={{"max_tokens": 4000}}))

asyncio.run(main())
"""


def run_script(what: str) -> tuple[subprocess.Popen[str], int, Path]:
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert script.stdout is not None
    line = script.stdout.readline()
    assert line, script.communicate()[1]
    pid, _, folder = line.strip().partition(" ")
    return script, int(pid), Path(folder)


def assert_gone(pid: int, folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            if not folder.exists():
                return
        time.sleep(0.05)
    pytest.fail(f"process {pid} or {folder} is left")


@model
def test_forgotten_server_ends_with_the_interpreter(smollm2: Path) -> None:
    script, pid, folder = run_script("leave")
    _, errors = script.communicate(timeout=60)
    assert script.returncode == 0
    assert errors == ""
    assert_gone(pid, folder)


@model
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_interrupted_parent_leaves_no_server(smollm2: Path, number: signal.Signals) -> None:
    script, pid, folder = run_script("wait")
    started = time.perf_counter()
    script.send_signal(number)
    _, errors = script.communicate(timeout=60)
    assert_gone(pid, folder)
    assert time.perf_counter() - started < 10
    if number == signal.SIGINT:
        assert errors.rstrip().endswith("KeyboardInterrupt")


@model
def test_weights_that_cannot_be_loaded(smollm2: Path, tmp_path: Path) -> None:
    with smollm2.open("rb") as file:
        (tmp_path / "short.gguf").write_bytes(file.read(3_000_000))
    provider = LocalProvider(f"local/{tmp_path / 'short.gguf'}", threads=1)
    with pytest.raises(ProviderError, match=r"cannot load .*short\.gguf: .*incomplete") as caught:
        ask(provider, request())
    assert caught.value.stops_model
    asyncio.run(provider.close())


def test_threads_end_with_the_provider(fake: str) -> None:
    before = threading.active_count()
    provider = LocalProvider(fake, threads=2)
    asyncio.run(provider.ask(request()))
    asyncio.run(provider.close())
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
