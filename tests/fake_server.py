"""A scripted HTTP server on 127.0.0.1, and the deterministic mock server where it can be built."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: Any

    @property
    def text(self) -> str:
        return str(self.body.get("prompt") or self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Reply:
    """What to send: `cut` sends half of the promised body, `reset` nothing at all."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False
    reset: bool = False


def chat_reply(
    text: str | None = "yes", finish_reason: str | None = "stop", **message: Any
) -> dict[str, Any]:
    return {
        "model": "served-1",
        "system_fingerprint": "fp_1",
        "choices": [
            {"message": {"content": text, **message}, "finish_reason": finish_reason, "index": 0}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }


def error_reply(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "some_error", "code": code}}


def as_json(document: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(
        orjson.dumps(document), status, {k.replace("_", "-"): v for k, v in headers.items()}
    )


class FakeServer:
    """Answers each request with what `handler` says; keeps what it saw in `seen`."""

    def __init__(self, handler: Callable[[Seen], Reply], port: int = 0) -> None:
        self.handler = handler
        self.seen: list[Seen] = []
        self.in_flight = self.most_in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = port

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> FakeServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", self.port)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))  # connections close a step later
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        seen = Seen(first.split()[1], headers, orjson.loads(body) if body else None)
        self.seen.append(seen)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        reply = self.handler(seen)
        await asyncio.sleep(reply.delay_s)
        self.in_flight -= 1
        if reply.reset:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        lines = [f"HTTP/1.1 {reply.status} X", f"Content-Length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        sent = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
        writer.write("\r\n".join([*lines, "", ""]).encode() + sent)
        await writer.drain()
        return not reply.cut


@contextmanager
def serving(handler: Callable[[Seen], Reply] | Reply, port: int = 0) -> Iterator[FakeServer]:
    given = handler
    server = FakeServer(given if callable(given) else lambda seen: given, port).start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mock_server(**settings: float) -> Iterator[Any]:
    """The deterministic C server beside the project; skips where it cannot be had."""
    source = ROOT.parent / "shared" / "mock_server" / "mock_server.py"
    if not source.exists():
        pytest.skip(f"no mock server at {source}")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to build the mock server with")
    spec = importlib.util.spec_from_file_location("shared_mock_server", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.MockServer(port=free_port(), core=None, **settings) as server:
        yield server
