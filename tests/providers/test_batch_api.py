from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from batch_server import BatchServer, answer_to, batch_server
from fake_server import chat_reply, error_reply, free_port

from promptlab.errors import MissingDependency, ProviderError, UserError
from promptlab.providers.batch_api import (
    CHAT,
    BatchApi,
    Fault,
    batch_api,
    read_batch,
    read_line,
    whole_lines,
)
from promptlab.providers.failures import Unreachable
from promptlab.types import Message, Request, Response

KEY = "sk-planted-0123456789abcdef"
T = TypeVar("T")
Made = Callable[[], BatchApi]


def asked(i: int = 0, **params: Any) -> Request:
    return Request("openai/gpt-4o-mini", (Message("user", f"question {i}"),), params=params)


@pytest.fixture(scope="module")
def one_server() -> Iterator[BatchServer]:
    with batch_server() as started:
        yield started


@pytest.fixture
def server(one_server: BatchServer) -> BatchServer:
    fresh = BatchServer()
    for name in ("on_upload", "on_create", "on_look", "on_list", "on_content"):
        setattr(one_server, name, getattr(fresh, name))
    one_server.calls.clear()
    one_server.keys.clear()
    fresh._loop.close()
    return one_server


@pytest.fixture(params=["http", "litellm"])
def make(request: Any, server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A batch API of the server, over HTTP and through litellm."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    if request.param == "http":
        return lambda: batch_api("openai/gpt-4o-mini", api_base=server.base)
    pytest.importorskip("litellm", reason="the extra 'hosted' is not installed")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base)
    return lambda: batch_api("openai/gpt-4o-mini")


def using(make: Made, work: Callable[[BatchApi], Coroutine[Any, Any, T]]) -> T:
    async def go() -> T:
        api = make()
        try:
            return await work(api)
        finally:
            await api.close()

    return asyncio.run(go())


def fails(make: Made, work: Callable[[BatchApi], Coroutine[Any, Any, Any]]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        using(make, work)
    assert KEY not in str(caught.value)
    return caught.value


async def handed_in(api: BatchApi, folder: Path, n: int = 3) -> str:
    file = folder / "x.jsonl"
    lines = [api.request_line(f"key-{i}", asked(i, temperature=0))[0] for i in range(n)]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return await api.upload(file)


# --- the whole way ----------------------------------------------------------------------------


def test_a_batch_from_its_file_to_its_answers(
    make: Made, server: BatchServer, tmp_path: Path
) -> None:
    async def work(api: BatchApi) -> None:
        file = await handed_in(api, tmp_path)
        made = await api.create(file, url=CHAT, window="24h", metadata={"name": "run-1"})
        assert (made.ended, made.input_file, made.metadata) == (False, file, {"name": "run-1"})
        listed = [batch async for batch in api.recent(made.created - 100)]
        assert (listed[0].id, listed[0].metadata) == (made.id, {"name": "run-1"})
        ended = await api.look(made.id)
        assert (ended.status, ended.total, ended.completed) == ("completed", 3, 3)
        assert ended.output_file
        raw = [line async for line in api.lines(ended.output_file)]
        lines = [read_line(line, chat=True, created=1.0) for line in raw]
        assert {line.key: getattr(line.answer, "text", None) for line in lines} == {
            f"key-{i}": answer_to(f"question {i}") for i in range(3)
        }

    using(make, work)
    assert server.keys == {f"Bearer {KEY}"}
    assert max(server.calls.values()) == 1, "nothing was asked for twice"


def test_a_list_of_several_pages_is_read_as_far_as_needed(
    make: Made, server: BatchServer, tmp_path: Path
) -> None:
    async def work(api: BatchApi) -> list[str]:
        file = await handed_in(api, tmp_path)
        for i in range(5):
            await api.create(file, url=CHAT, window="24h", metadata={"name": f"run-{i}"})
        return [batch.metadata["name"] async for batch in api.recent(0)]

    assert using(make, work)[:5] == [f"run-{i}" for i in (4, 3, 2, 1, 0)]
    assert server.calls["list"] >= 3


@pytest.mark.parametrize(
    ("reply", "kind", "word"),
    [
        ((401, error_reply(f"Incorrect API key provided: {KEY}")), "auth", "OPENAI_API_KEY"),
        ((403, error_reply("not you")), "auth", "not you"),
        ((404, error_reply("no such thing")), "not_found", "no such thing"),
        ((429, error_reply("slow down")), "rate_limit", "slow down"),
        ((429, error_reply("pay", "insufficient_quota")), "quota", "pay"),
        ((400, error_reply("bad window")), "bad_request", "bad window"),
        ((503, error_reply("busy")), "server", "busy"),
        ("lost", "connection", ""),
        ((200, {"hello": 1}), "malformed", ""),
    ],
)
def test_errors_have_their_usual_kinds(
    make: Made, server: BatchServer, reply: Any, kind: str, word: str
) -> None:
    server.files["file-0"] = b'{"custom_id": "k", "url": "/v1/chat/completions"}'
    server.on_create = lambda n: reply

    async def work(api: BatchApi) -> None:
        await api.create("file-0", url=CHAT, window="24h", metadata={"name": "x"})

    error = fails(make, work)
    assert error.kind == kind
    assert word in error.message
    assert server.calls["create"] == 1, "a creation is never tried again by a library"


def test_nothing_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{free_port()}/v1"
    error = fails(
        lambda: batch_api("openai/m", api_base=base), lambda api: handed_in(api, tmp_path)
    )
    assert isinstance(error, Unreachable)
    assert base in error.message


def test_a_file_that_breaks_off_is_an_error_after_its_whole_lines(
    make: Made, server: BatchServer
) -> None:
    server.files["file-9"] = b"".join(b'{"n": 1%06d}\n' % i for i in range(50_000))
    server.on_content = lambda n: "cut"
    came: list[bytes] = []

    async def work(api: BatchApi) -> None:
        async for line in api.lines("file-9"):
            came.append(line)

    assert fails(make, work).kind in {"malformed", "connection"}
    assert all(json.loads(line) for line in came)
    assert came == server.files["file-9"].splitlines()[: len(came)]


# --- which models -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["local/x", "mock/echo", "anthropic/claude", "nosuch/model"])
def test_models_without_batches_are_told_what_to_write(model: str) -> None:
    with pytest.raises(UserError, match="runner: async"):
        batch_api(model)


def test_what_is_written_wrongly_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="not a model id"):
        batch_api("gpt-4o")
    with pytest.raises(UserError, match="export MY_KEY"):
        batch_api("openai/m", api_key_env="MY_KEY")
    with pytest.raises(UserError, match="holds a user name"):
        batch_api("openai/m", api_base="http://me:secret@host/v1")
    monkeypatch.setitem(sys.modules, "litellm", None)
    monkeypatch.setattr("promptlab.providers.batch_litellm.is_installed", lambda: False)
    with pytest.raises(MissingDependency, match="hosted"):
        batch_api("openai/m")


def test_the_key_comes_from_the_named_variable(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("MYHOST_API_KEY", "another")
    make = partial(batch_api, "myhost/m", api_base=server.base, api_key_env="MY_KEY")
    using(make, lambda api: handed_in(api, tmp_path))
    assert server.keys == {f"Bearer {KEY}"}


def test_litellm_without_a_key_is_an_error_of_the_key(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("litellm", reason="the extra 'hosted' is not installed")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base)
    error = fails(lambda: batch_api("openai/m"), lambda api: handed_in(api, tmp_path))
    assert error.kind == "auth"
    assert "OPENAI_API_KEY" in error.message
    assert not server.calls


# --- lines ------------------------------------------------------------------------------------


def test_a_line_holds_the_request_as_the_normal_path_sends_it(make: Made) -> None:
    raw, url = make().request_line("k", asked(temperature=0, max_tokens=5, stop=None, seed=3))
    assert url == "/v1/chat/completions"
    assert json.loads(raw) == {
        "custom_id": "k",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "question 0"}],
            **{"temperature": 0, "max_tokens": 5, "seed": 3},
        },
    }
    raw, url = make().request_line("k", Request("openai/gpt-4o-mini", prompt="p"))
    assert (url, json.loads(raw)["body"]["prompt"]) == ("/v1/completions", "p")
    for bad in (Request("a/b", prompt="p", choices=("x",)), asked(stream=True)):
        with pytest.raises(ProviderError, match="bad_request"):
            make().request_line("k", bad)


def test_litellm_names_parameters_as_the_model_wants_them() -> None:
    pytest.importorskip("litellm", reason="the extra 'hosted' is not installed")
    api = batch_api("openai/o3-mini")
    raw, _ = api.request_line("k", asked(max_tokens=5, top_k=3))
    body = json.loads(raw)["body"]
    assert (body["max_completion_tokens"], body["top_k"]) == (5, 3)
    assert "max_tokens" not in body
    with pytest.raises(ProviderError, match="temperature") as caught:
        api.request_line("k", asked(temperature=0))
    assert caught.value.kind == "bad_request"


def result(response: Any = None, error: Any = None) -> bytes:
    return json.dumps({"custom_id": "k", "response": response, "error": error}).encode()


@pytest.mark.parametrize(
    ("line", "kind", "sent"),
    [
        (result({"status_code": 500, "body": error_reply("oops")}), "server", True),
        (result({"status_code": 429, "body": error_reply("slow")}), "rate_limit", True),
        (result({"status_code": 400, "body": error_reply("bad")}), "bad_request", True),
        (result({"status_code": 400, "body": None}), "bad_request", True),
        (result({"status_code": 200, "body": {"choices": []}}), "malformed", True),
        (result(error={"code": "batch_expired", "message": "late"}), "server", False),
        (result(error={"code": "server_error", "message": "oops"}), "server", True),
        (result(), "server", True),
    ],
)
def test_lines_without_an_answer(line: bytes, kind: str, sent: bool) -> None:
    found = read_line(line, chat=True, created=1.0)
    assert isinstance(found.answer, ProviderError)
    assert (found.key, found.answer.kind, found.sent) == ("k", kind, sent)


def test_lines_with_an_answer() -> None:
    body = chat_reply("cut", "length")
    found = read_line(result({"status_code": 200, "body": body}), chat=True, created=7.0).answer
    assert isinstance(found, Response)
    assert (found.status, found.text, found.created) == ("truncated", "cut", 7.0)
    assert (found.prompt_tokens, found.served_model) == (7, "served-1")
    filtered = {"status_code": 400, "body": error_reply("no", "content_filter")}
    answer = read_line(result(filtered), chat=True, created=7.0).answer
    assert isinstance(answer, Response)
    assert answer.status == "filtered"


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"custom_id": 3}', b'"x"', b"null"])
def test_a_line_that_is_none(line: bytes) -> None:
    with pytest.raises(ProviderError, match="malformed"):
        read_line(line, chat=True, created=1.0)


@pytest.mark.parametrize("document", [None, [], {}, {"id": "b"}, {"id": 3, "status": "x"}])
def test_a_reply_that_describes_no_batch(document: Any) -> None:
    with pytest.raises(ProviderError, match="malformed"):
        read_batch(document)


def test_faults() -> None:
    assert Fault("token_limit_exceeded", "").too_much_out
    assert Fault("", "Enqueued token limit reached for gpt-4o").too_much_out
    assert not Fault("invalid_request", "line 3").too_much_out
    assert Fault("billing_hard_limit_reached", "pay").error.kind == "quota"
    assert Fault("model_not_found", "which").error.kind == "not_found"
    assert Fault("mismatched_model", "two models").error.kind == "bad_request"


def test_lines_are_put_together_from_what_comes() -> None:
    text = b"one\ntwo\n\nthree"
    for size in range(1, len(text) + 1):
        lines, rest = [], b""
        for start in range(0, len(text), size):
            found, rest = whole_lines([text[start : start + size]], rest)
            lines += found
        assert (lines, rest) == ([b"one", b"two"], b"three")
