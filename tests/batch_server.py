"""A server on 127.0.0.1 with files, batches and chat, whose faults a test scripts.

It answers a request by its text alone, so a batch and a plain call get the same answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from fake_server import chat_reply, error_reply

Result = tuple[int, dict[str, Any]] | str | None
"""Status and body of a line; or `missing`, or an error's code; None is the usual answer."""


def text_of(body: dict[str, Any]) -> str:
    return str(body.get("prompt") or body["messages"][-1]["content"])


def answer_to(text: str) -> str:
    return f"answer {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def reply_to(body: dict[str, Any]) -> dict[str, Any]:
    text = answer_to(text_of(body))
    reply = chat_reply(text)
    if "prompt" in body:
        reply["choices"] = [{"text": text, "finish_reason": "stop", "index": 0}]
    return reply


@dataclass
class Batch:
    """What the server knows of one batch."""

    id: str
    input_file: str
    url: str
    metadata: dict[str, str]
    lines: list[dict[str, Any]]
    created: int
    status: str = "validating"
    looks: int = 0
    completed: int = 0
    failed: int = 0
    output_file: str | None = None
    error_file: str | None = None
    faults: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.url,
            "input_file_id": self.input_file,
            "completion_window": "24h",
            "status": self.status,
            "created_at": self.created,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "errors": {"object": "list", "data": self.faults} if self.faults else None,
            "request_counts": {
                "total": len(self.lines),
                "completed": self.completed,
                "failed": self.failed,
            },
            "metadata": self.metadata,
        }


def _as_usual(n: int) -> Any:
    """Nothing out of the ordinary at the n-th call."""


class BatchServer:
    """Scripted by its public attributes, which may be changed while it runs.

    Attributes:
        looks: looks at a batch until it has ended.
        hold: while set, no batch ends.
        line: decides about a line, by its body and how often that custom id was run.
        ends: how a batch ends: a status and how many of its lines were run until then.
        refuse: faults of a whole batch when it is created; an empty list takes it.
        on_upload, on_create, on_look, on_list, on_content: called before the reply; return a
            (status, body[, headers]) instead of it, or `lost` to break the connection once it is
            done.
        instead: said in place of a batch that was created, by the number of the call.
        asked: how often each custom id was run; `seen`, each text.
    """

    def __init__(self) -> None:
        self.looks = 1
        self.hold = threading.Event()
        self.line: Callable[[dict[str, Any], int], Result] = lambda body, n: None
        self.ends: Callable[[Batch], tuple[str, int]] = lambda b: ("completed", len(b.lines))
        self.refuse: Callable[[Batch], list[dict[str, Any]]] = lambda batch: []
        self.on_upload = self.on_create = self.on_look = self.on_list = self.on_content = _as_usual
        self.asked: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.instead: dict[int, Any] = {}
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def live(self) -> list[Batch]:
        return [b for b in self.batches.values() if b.status in {"validating", "in_progress"}]

    def start(self) -> BatchServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{id}", self._look)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    # --- what is asked ------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        self._count("upload", request)
        data, purpose = b"", ""
        async for part in await request.multipart():
            if part.name == "file":
                data = bytes(await part.read())
            else:
                purpose = (await part.read()).decode()
        assert purpose == "batch"
        if said := self.on_upload(self.calls["upload"]):
            return await self._said(request, said)
        name = f"file-{len(self.files) + 1}"
        self.files[name] = data
        document = {"id": name, "object": "file", "bytes": len(data), "purpose": "batch"}
        return web.json_response(
            document | {"created_at": int(time.time()), "filename": "x", "status": "processed"}
        )

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self._count("create", request)
        body = await request.json()
        said = self.on_create(self.calls["create"])
        if said and said != "lost":
            return await self._said(request, said)
        lines = [orjson.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert {line["url"] for line in lines} == {body["endpoint"]}
        assert len({line["custom_id"] for line in lines}) == len(lines)
        batch = Batch(
            f"batch_{len(self.batches) + 1}",
            body["input_file_id"],
            body["endpoint"],
            body.get("metadata") or {},
            lines,
            int(time.time()),
        )
        batch.faults = self.refuse(batch)
        if batch.faults:
            batch.status = "failed"
        self.batches[batch.id] = batch
        if said := said or self.instead.get(self.calls["create"]):
            return await self._said(request, said)
        return web.json_response(batch.document() | {"status": "validating", "errors": None})

    async def _look(self, request: web.Request) -> web.StreamResponse:
        self._count("look", request)
        if said := self.on_look(self.calls["look"]):
            return await self._said(request, said)
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return web.json_response(error_reply("no such batch"), status=404)
        batch.looks += 1
        if batch in self.live:
            batch.status = "in_progress"
            if batch.looks >= self.looks and not self.hold.is_set():
                self._end(batch)
        return web.json_response(batch.document())

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self._count("list", request)
        if said := self.on_list(self.calls["list"]):
            return await self._said(request, said)
        newest = list(reversed(self.batches.values()))
        if after := request.query.get("after"):
            newest = newest[[b.id for b in newest].index(after) + 1 :]
        limit = min(int(request.query.get("limit", 20)), 2)  # so that there are pages
        page = [b.document() for b in newest[:limit]]
        more = len(newest) > limit
        ids = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return web.json_response({"object": "list", "data": page, "has_more": more, **ids})

    async def _content(self, request: web.Request) -> web.StreamResponse:
        self._count("content", request)
        said = self.on_content(self.calls["content"])
        data = self.files[request.match_info["id"]]
        if said == "cut":
            reply = web.StreamResponse(headers={"Content-Length": str(len(data))})
            await reply.prepare(request)
            await reply.write(data[: len(data) // 2])
            assert request.transport
            request.transport.close()
            return reply
        if said:
            return await self._said(request, said)
        return web.Response(body=data)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._count("chat", request)
        body = await request.json()
        self.seen[text_of(body)] += 1
        result = self.line(body, 1)
        if isinstance(result, tuple):
            return web.json_response(result[1], status=result[0])
        return web.json_response(reply_to(body))

    # --- what becomes of it -------------------------------------------------------------------

    def _end(self, batch: Batch) -> None:
        status, run = self.ends(batch)
        output, errors = [], []
        for i, line in enumerate(batch.lines):
            if i >= run:
                errors.append(_result(line, None, {"code": f"batch_{status}", "message": "late"}))
                continue
            key, body = line["custom_id"], line["body"]
            self.asked[key] += 1
            self.seen[text_of(body)] += 1
            said = self.line(body, self.asked[key])
            if said is None:
                output.append(_result(line, (200, reply_to(body)), None))
            elif isinstance(said, tuple):
                (output if said[0] == 200 else errors).append(_result(line, said, None))
            elif said != "missing":
                errors.append(_result(line, None, {"code": said, "message": said}))
        batch.status, batch.completed, batch.failed = status, len(output), len(errors)
        # Providers do not keep the order of the lines.
        batch.output_file = self._file(output[::-1])
        batch.error_file = self._file(errors)

    def _file(self, lines: list[bytes]) -> str | None:
        if not lines:
            return None
        name = f"file-{len(self.files) + 1}"
        self.files[name] = b"\n".join(lines) + b"\n"
        return name

    def _count(self, what: str, request: web.Request) -> None:
        self.calls[what] += 1
        self.keys.add(request.headers.get("Authorization", ""))

    async def _said(self, request: web.Request, said: Any) -> web.StreamResponse:
        if said == "lost":
            assert request.transport
            request.transport.abort()
            return web.Response()
        status, body, *headers = said
        return web.json_response(body, status=status, headers=headers[0] if headers else None)


def _result(line: dict[str, Any], reply: Any, error: Any) -> bytes:
    response = {"status_code": reply[0], "request_id": "r", "body": reply[1]} if reply else None
    return orjson.dumps(
        {"id": "b", "custom_id": line["custom_id"], "response": response, "error": error}
    )


@contextmanager
def batch_server() -> Iterator[BatchServer]:
    server = BatchServer().start()
    try:
        yield server
    finally:
        server.stop()
