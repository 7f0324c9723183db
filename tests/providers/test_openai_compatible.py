from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import pytest
from fake_server import FakeServer, Reply, as_json, chat_reply, error_reply, free_port, serving

from promptlab.errors import ProviderError, UserError
from promptlab.providers.allowance import Allowance
from promptlab.providers.failures import Unreachable, scrub
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.providers.refusals import retry_after
from promptlab.types import Message, Request, Response

KEY = "sk-planted-0123456789abcdef"
CHAT = Request(
    "openai/gpt-4o-mini",
    messages=(Message("system", "s"), Message("user", "hello")),
    params={"temperature": 0, "max_tokens": 16, "seed": None},
    replicate=3,
)
COMPLETION = Request("openai/org/name", prompt="2+2=", params={"stop": ["\n"]})


def ask(server: FakeServer | str, request: Request = CHAT, **settings: Any) -> Response:
    async def one() -> Response:
        base = server if isinstance(server, str) else server.base
        provider = OpenAICompatibleProvider(
            request.model, base, **{"api_key": KEY, "timeout_s": 5, **settings}
        )
        try:
            return await provider.ask(request)
        finally:
            await provider.close()

    return asyncio.run(one())


def test_chat() -> None:
    with serving(as_json(chat_reply("yes"))) as server:
        response = ask(server)
        seen = server.seen[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.body == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hello"}],
        "temperature": 0,
        "max_tokens": 16,
    }, "None and the replicate are not sent"
    assert (response.status, response.text, response.finish_reason) == ("ok", "yes", "stop")
    assert (response.prompt_tokens, response.completion_tokens) == (7, 2)
    assert (response.served_model, response.fingerprint) == ("served-1", "fp_1")
    assert response.created == pytest.approx(time.time(), abs=60)
    assert response.latency_s is not None
    assert 0 <= response.latency_s < 5


def test_completion() -> None:
    reply = {"choices": [{"text": " 4", "finish_reason": "stop"}], "model": "m"}
    with serving(as_json(reply)) as server:
        response = ask(server, COMPLETION)
        assert server.seen[0].path == "/v1/completions"
        assert server.seen[0].body == {"model": "org/name", "prompt": "2+2=", "stop": ["\n"]}
    assert (response.status, response.text, response.prompt_tokens) == ("ok", " 4", None)


def test_without_a_key() -> None:
    with serving(as_json(chat_reply())) as server:
        ask(server, api_key=None)
        assert server.seen[0].headers["authorization"] == "Bearer none"


@pytest.mark.parametrize(
    ("reply", "status", "text"),
    [
        (chat_reply("cut of", "length"), "truncated", "cut of"),
        (chat_reply("", "length"), "truncated", ""),
        (chat_reply("", "content_filter"), "filtered", ""),
        (chat_reply(None, "stop", refusal="I cannot"), "refused", "I cannot"),
        (chat_reply(""), "empty", ""),
        (chat_reply(None, None), "empty", ""),
        (chat_reply("\n"), "ok", "\n"),
        (chat_reply([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ok", "ab"),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_the_status_says_what_became_of_it(reply: dict[str, Any], status: str, text: str) -> None:
    with serving(as_json(reply)) as server:
        response = ask(server)
    assert (response.status, response.text) == (status, text)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (as_json(error_reply("Rate limit reached"), 429), "rate_limit", "Rate limit reached"),
        (as_json(error_reply("You are out", "insufficient_quota"), 429), "quota", "You are out"),
        (as_json(error_reply("You exceeded your current quota"), 429), "quota", "quota"),
        (as_json(error_reply("Limit 200 requests per day (RPD)"), 429), "quota", "per day"),
        (as_json(error_reply("Limit 3 requests per min (RPM)"), 429), "rate_limit", "per min"),
        (as_json(error_reply("pay"), 402), "quota", "pay"),
        (as_json(error_reply(f"Incorrect API key provided: {KEY}."), 401), "auth", "Incorrect API"),
        (as_json(error_reply("no access"), 403), "auth", "no access"),
        (as_json(error_reply("no such model"), 404), "not_found", "gpt-4o-mini"),
        (as_json(error_reply("bad", "model_not_found"), 400), "not_found", "bad"),
        (as_json(error_reply("'top_k' is not supported"), 400), "bad_request", "top_k"),
        (as_json({"detail": "prompt too long"}, 422), "bad_request", "too long"),
        (as_json({"error": "plain words"}, 400), "bad_request", "plain words"),
        (as_json(error_reply("slow"), 408), "server", "slow"),
        (as_json(error_reply("oops"), 500), "server", "oops"),
        (Reply(b"<html><h1>Bad gateway</h1></html>", 502), "server", "Bad gateway"),
        (Reply(b"", 503), "server", "503"),
        (as_json({}, 301, Location="https://elsewhere/v1"), "not_found", "elsewhere"),
        (Reply(b"this is not JSON"), "malformed", "not JSON"),
        (Reply(b'{"choices": [{"mess'), "malformed", "not all of it"),
        (Reply(b""), "malformed", "not JSON"),
        (as_json([1, 2]), "malformed", "no choices"),
        (as_json({"choices": []}), "malformed", "no choices"),
        (as_json({"choices": [{"message": None}]}), "malformed", "no choices"),
        (as_json(chat_reply(5)), "malformed", "int"),  # type: ignore[arg-type]
        (Reply(b'{"choices": []}' * 9, cut=True), "malformed", "broke off"),
        (Reply(reset=True), "connection", "broke"),
        (as_json({"error": {"message": "upstream is busy", "code": 429}}), "rate_limit", "busy"),
        (as_json({"error": {"message": "upstream fell over"}}), "server", "fell over"),
    ],
    ids=str,
)
def test_what_is_no_answer_is_an_error_of_its_kind(reply: Reply, kind: str, words: str) -> None:
    with serving(reply) as server, pytest.raises(ProviderError) as raised:
        ask(server)
    assert raised.value.kind == kind
    assert words in str(raised.value)
    assert KEY not in str(raised.value)
    assert KEY[3:-3] not in str(raised.value)


def test_a_request_refused_by_a_content_filter_is_filtered() -> None:
    with serving(as_json(error_reply("policy", "content_filter"), 400)) as server:
        assert ask(server).status == "filtered"


def test_time_runs_out() -> None:
    with serving(Reply(b"{}", delay_s=2)) as server, pytest.raises(ProviderError) as raised:
        ask(server, timeout_s=0.1)
    assert raised.value.kind == "timeout"
    assert "0.1 s" in str(raised.value)


def test_nobody_listens() -> None:
    base = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(Unreachable, match=rf"cannot connect to {base}.*is the server running"):
        ask(base)


def test_a_wrong_key_names_the_variable_and_not_the_key() -> None:
    with serving(as_json(error_reply("denied"), 401)) as server:
        with pytest.raises(ProviderError, match="environment variable MY_KEY"):
            ask(server, key_name="MY_KEY")
        with pytest.raises(ProviderError, match="MY_KEY, which is not set"):
            ask(server, key_name="MY_KEY", api_key=None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3),
        ({"retry-after": "0.05"}, 0.05),
        ({"Retry-After": "9", "Retry-After-Ms": "250"}, 0.25),
        ({"Retry-After": "in 100"}, 100),
        ({"Retry-After": "in -100"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    told = headers.get("Retry-After", "")
    if told.startswith("in "):  # a date, so that the test's name does not change with the clock
        moment = time.time() + float(told.removeprefix("in "))
        headers = {"Retry-After": formatdate(moment, usegmt=True)}
    found = retry_after(headers)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=seconds / 10))
    reply = as_json(error_reply("slow down"), 429, **headers)
    with serving(reply) as server, pytest.raises(ProviderError) as raised:
        ask(server)
    assert (raised.value.retry_after is None) == (seconds is None)


@pytest.mark.parametrize("status", [200, 429])
def test_what_the_endpoint_still_lets_through_is_handed_on(status: int) -> None:
    headers = {"X_RateLimit_Remaining_Requests": "3", "X_RateLimit_Reset_Requests": "6m0s"}
    document = chat_reply() if status == 200 else error_reply("slow down")

    async def one(base: str) -> Allowance | None:
        provider = OpenAICompatibleProvider("openai/m", base)
        assert provider.allowance is None
        with suppress(ProviderError):
            await provider.ask(CHAT)
        await provider.close()
        return provider.allowance

    with serving(as_json(document, status, **headers)) as server:
        assert asyncio.run(one(server.base)) == Allowance(3, 360.0)
    with serving(as_json(document, status)) as server:
        assert asyncio.run(one(server.base)) is None


def test_a_proxy_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(as_json(chat_reply("direct"))) as server:
        assert ask(server).text == "direct"


def test_one_provider_serves_several_loops() -> None:
    with serving(as_json(chat_reply())) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)

        async def one() -> str:
            try:
                return (await provider.ask(CHAT)).text
            finally:
                await provider.close()

        assert [asyncio.run(one()) for _ in range(2)] == ["yes", "yes"]


def test_connections_are_kept() -> None:
    ports = set()

    def handler(seen: Any) -> Reply:
        ports.add(seen.headers["host"])
        return as_json(chat_reply())

    with serving(handler) as server:

        async def many() -> None:
            provider = OpenAICompatibleProvider("openai/m", server.base)
            await asyncio.gather(*(provider.ask(CHAT) for _ in range(50)))
            await provider.close()

        asyncio.run(many())
        assert len(server.seen) == 50


@pytest.mark.parametrize(
    "base",
    [
        "127.0.0.1:8000",
        "ftp://x/v1",
        "http://",
        "http://me:secret-word@host/v1",
        "http://h/v1?key=a",
    ],
)
def test_an_address_must_be_one_and_hold_no_secret(base: str) -> None:
    with pytest.raises(UserError) as raised:
        OpenAICompatibleProvider("openai/m", base)
    assert "secret-word" not in str(raised.value)


def test_what_cannot_be_sent_is_refused() -> None:
    with serving(as_json(chat_reply())) as server:
        for request in (
            Request("openai/m", prompt="p", choices=("a", "b")),
            Request("openai/m", prompt="p", params={"stream": True}),
        ):
            with pytest.raises(ProviderError) as raised:
                ask(server, request)
            assert raised.value.kind == "bad_request"
        assert not server.seen


def test_the_endpoint_is_the_same_with_and_without_a_slash() -> None:
    one, two = (OpenAICompatibleProvider("openai/m", f"http://h/v1{s}") for s in ("", "/"))
    assert one.endpoint == two.endpoint == "http://h/v1"


@pytest.mark.parametrize(
    "leak",
    [
        "Incorrect API key provided: sk-proj-abcDEF123456.",
        "Authorization: Bearer abcdefghijkl",
        "gsk_abcdefghijklmnop",
        "the word planted-secret here",
    ],
)
def test_nothing_that_looks_like_a_key_is_told(leak: str) -> None:
    told = scrub(leak, ["planted-secret"])
    assert "***" in told
    assert not any(s in told for s in ("abcDEF", "abcdefgh", "planted"))
