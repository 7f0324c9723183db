from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from fake_server import (
    FakeServer,
    Reply,
    Seen,
    as_json,
    chat_reply,
    error_reply,
    free_port,
    serving,
)

from promptlab.errors import ProviderError, UserError
from promptlab.prices import price
from promptlab.types import Message, Request, Response

pytest.importorskip("litellm", reason="the extra 'hosted' is not installed")

KEY = "sk-planted-0123456789abcdef"
CHAT = Request(
    "openai/gpt-4o-mini",
    messages=(Message("user", "hello"),),
    params={"temperature": 0, "max_tokens": 16, "seed": None},
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(
    server: FakeServer | str,
    monkeypatch: pytest.MonkeyPatch,
    request: Request = CHAT,
    **settings: Any,
) -> Response:
    from promptlab.providers.litellm import LiteLLMProvider

    base = server if isinstance(server, str) else server.base
    for provider_name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{provider_name}_BASE_URL", base)

    async def one() -> Response:
        provider = LiteLLMProvider(request.model, **{"timeout_s": 5.0, **settings})
        assert provider.endpoint == base
        try:
            return await provider.ask(request)
        finally:
            await provider.close()

    return asyncio.run(one())


def test_chat(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(as_json({"id": "1", "object": "chat.completion", **chat_reply("yes")})) as server:
        response = ask(server, monkeypatch)
        (seen,) = server.seen
    assert seen.path == "/v1/chat/completions"
    assert seen.body == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0,
        "max_tokens": 16,
    }
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (response.status, response.text, response.finish_reason) == ("ok", "yes", "stop")
    assert (response.prompt_tokens, response.completion_tokens) == (7, 2)
    assert response.served_model == "served-1"
    assert response.fingerprint == "fp_1"
    assert capfd.readouterr() == ("", ""), "litellm keeps quiet"


def test_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = {
        "id": "1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"text": " 4", "finish_reason": "stop", "index": 0}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
    request = Request("openai/gpt-3.5-turbo-instruct", prompt="2+2=", params={"max_tokens": 4})
    with serving(as_json(reply)) as server:
        response = ask(server, monkeypatch, request)
        (seen,) = server.seen
    assert seen.path == "/v1/completions"
    assert seen.body["prompt"] in ("2+2=", ["2+2="])
    assert seen.body["max_tokens"] == 4
    assert (response.status, response.text) == ("ok", " 4")


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/gpt-4o", "OPENAI_API_KEY"),
        ("azure/deployed", "AZURE_API_KEY"),
        ("anthropic/claude-3-5-sonnet-20240620", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-pro", "GEMINI_API_KEY"),
    ],
)
def test_a_key_that_is_not_set_is_final_and_names_its_variable(
    model: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptlab.providers.litellm import LiteLLMProvider

    for name in list(os.environ):
        if name.endswith(("_KEY", "_TOKEN")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_API_BASE", "https://azure.invalid")
    monkeypatch.setenv("AZURE_API_VERSION", "1")
    request = Request(model, messages=(Message("user", "hi"),))
    with pytest.raises(ProviderError) as caught:
        asyncio.run(LiteLLMProvider(model).ask(request))
    assert caught.value.kind == "auth"
    assert caught.value.stops_model
    assert not caught.value.retryable
    assert variable in str(caught.value).rpartition("(set ")[2]
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (chat_reply("cut of", "length"), "truncated"),
        (chat_reply("", "content_filter"), "filtered"),
        (chat_reply(""), "empty"),
        (chat_reply(None, "stop", refusal="I cannot"), "refused"),
    ],
    ids=str,
)
def test_the_status(reply: dict[str, Any], status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(as_json({"id": "1", "object": "chat.completion", **reply})) as server:
        assert ask(server, monkeypatch).status == status


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (as_json(error_reply("Rate limit"), 429, Retry_After="3"), "rate_limit", "Rate limit"),
        (as_json(error_reply("You are out", "insufficient_quota"), 429), "quota", "You are out"),
        (as_json(error_reply(f"Incorrect API key provided: {KEY}."), 401), "auth", "Incorrect"),
        (as_json(error_reply("forbidden"), 403), "auth", "forbidden"),
        (as_json(error_reply("no such model"), 404), "not_found", "no such model"),
        (as_json(error_reply("'top_k' is wrong"), 400), "bad_request", "top_k"),
        (as_json(error_reply("too long"), 422), "bad_request", "too long"),
        (as_json(error_reply("oops"), 500), "server", "oops"),
        (as_json(error_reply("busy"), 503), "server", "busy"),
    ],
    ids=str,
)
def test_errors_by_kind(
    reply: Reply, kind: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(reply) as server:
        with pytest.raises(ProviderError) as raised:
            ask(server, monkeypatch)
        assert len(server.seen) == 1, "litellm does not retry by itself"
    error = raised.value
    assert (error.kind, words in str(error)) == (kind, True), str(error)
    assert KEY not in str(error)
    assert error.retry_after == (3 if kind == "rate_limit" else None)


@pytest.mark.parametrize(
    "reply", [Reply(b'{"choices": [{"mess'), Reply(b"{}" * 9, cut=True), Reply(reset=True)], ids=str
)
def test_broken_replies_are_tried_again(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(reply) as server, pytest.raises(ProviderError) as raised:
        ask(server, monkeypatch)
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("model", "headers"),
    [
        (
            "openai/gpt-4o-mini",
            {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "2s"},
        ),
        (
            "anthropic/claude-3-haiku",
            {
                "anthropic_ratelimit_requests_remaining": "0",
                "anthropic_ratelimit_requests_reset": "2",
            },
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 429])
def test_what_the_provider_still_lets_through_is_handed_on(
    model: str, headers: dict[str, str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptlab.providers.allowance import Allowance
    from promptlab.providers.litellm import LiteLLMProvider

    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    document: dict[str, Any] = {"id": "1", "object": "chat.completion", **chat_reply("yes")}
    if model.startswith("anthropic"):
        document |= {
            **{"type": "message", "role": "assistant", "stop_reason": "end_turn"},
            **{"content": [{"type": "text", "text": "yes"}]},
            **{"usage": {"input_tokens": 1, "output_tokens": 1}},
        }
    if status != 200:
        document = error_reply("slow down")

    async def one(base: str) -> Allowance | None:
        for name in ("OPENAI", "ANTHROPIC"):
            monkeypatch.setenv(f"{name}_BASE_URL", base)
        provider = LiteLLMProvider(model, timeout_s=5.0)
        with suppress(ProviderError):
            await provider.ask(replace(CHAT, model=model, params={"max_tokens": 5}))
        await provider.close()
        return provider.allowance

    with serving(as_json(document, status, **headers)) as server:
        assert asyncio.run(one(server.base)) == Allowance(0, 2.0)


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Reply(b"{}", delay_s=2)) as server, pytest.raises(ProviderError) as raised:
        ask(server, monkeypatch, timeout_s=0.2)
    assert raised.value.kind == "timeout"


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    from promptlab.providers.failures import Unreachable

    with pytest.raises(Unreachable):
        ask(f"http://127.0.0.1:{free_port()}/v1", monkeypatch)


def test_a_filtered_request_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = as_json(error_reply("against our content_policy", "content_policy_violation"), 400)
    with serving(reply) as server:
        assert ask(server, monkeypatch).status == "filtered"


def test_a_parameter_is_never_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request("openai/gpt-4o-mini", messages=CHAT.messages, params={"top_k": 3})
    with serving(as_json({"id": "1", "object": "chat.completion", **chat_reply()})) as server:
        ask(server, monkeypatch, request)
        assert server.seen[0].body["top_k"] == 3
    refused = Request("anthropic/claude-3-haiku", messages=CHAT.messages, params={"logit_bias": {}})
    with pytest.raises(ProviderError, match="logit_bias") as raised:
        ask("http://127.0.0.1:1/v1", monkeypatch, refused)
    assert raised.value.kind == "bad_request"


def test_an_unknown_provider() -> None:
    from promptlab.providers.litellm import LiteLLMProvider

    with pytest.raises(UserError, match=r"no provider 'nowhere' is known.*api_base"):
        LiteLLMProvider("nowhere/model")


def test_importing_the_package_does_not_import_litellm() -> None:
    code = (
        "import sys, promptlab.providers.litellm, promptlab.prices as p\n"
        "p.price('openai/gpt-4o-mini'); assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_prices() -> None:
    known = price("openai/gpt-4o-mini")
    assert known is not None
    assert 0 < known[0] < known[1] < 1e-3
    assert price("openai/gpt-4o-mini", api_base="http://127.0.0.1/v1") is None
    assert price("openai/a-model-nobody-knows") is None
    assert price("anthropic/gpt-4o-mini") is None, "the name of another provider's model"
    assert price("local/x") == price("mock/x") == (0.0, 0.0)


def test_one_provider_serves_several_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    from promptlab.providers.litellm import LiteLLMProvider

    with serving(as_json({"id": "1", "object": "chat.completion", **chat_reply("yes")})) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base)
        provider = LiteLLMProvider("openai/gpt-4o-mini")

        async def one() -> str:
            try:
                return (await provider.ask(CHAT)).text
            finally:
                await provider.close()

        assert [asyncio.run(one()) for _ in range(3)] == ["yes"] * 3


def test_closing_one_model_leaves_the_others_their_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from promptlab.providers.litellm import LiteLLMProvider

    reply = as_json({"id": "1", "object": "chat.completion", **chat_reply("yes")})

    def handler(seen: Seen) -> Reply:
        return replace(reply, delay_s=0.3 if seen.body["model"] == "slow" else 0)

    async def both() -> str:
        slow, quick = LiteLLMProvider("openai/slow"), LiteLLMProvider("openai/quick")
        waiting = asyncio.create_task(slow.ask(CHAT))
        await quick.ask(CHAT)
        await quick.close()
        answer = await waiting
        await slow.close()
        return answer.text

    with serving(handler) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base)
        assert asyncio.run(both()) == "yes"
