"""Servers that people run, as models with an `api_base`: llama-server, and a litellm proxy.

The proxy's dependencies are heavy, so what it passes on is replayed here in its very shapes, and
the proxy itself runs only where PROMPTLAB_LITELLM_PROXY names its command:

    python -m venv proxy && proxy/bin/pip install 'litellm[proxy]'
    PROMPTLAB_LITELLM_PROXY=proxy/bin/litellm python -m pytest tests/providers/test_real_servers.py
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from fake_server import (
    ROOT,
    FakeServer,
    Reply,
    Seen,
    as_json,
    chat_reply,
    error_reply,
    free_port,
    serving,
)

import promptlab as pl
from promptlab.errors import ProviderError, UserError
from promptlab.providers import make_provider
from promptlab.types import Message, Request, Response

KEY = "sk-planted-0123456789abcdef"

SERVER = """
import os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.api_keys = sys.argv[1], [sys.argv[2]]
params.model_alias = {"tiny"}
params.port, params.n_parallel, params.n_ctx, params.n_gpu_layers = int(sys.argv[3]), 2, 1024, 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.ui, params.verbosity = False, 1
server = xllamacpp.Server(params)
print(server.listening_address, file=answers, flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture(scope="module")
def llama_server(smollm2: Path) -> Iterator[str]:
    """llama-server as a user starts it: an alias, a key, two slots of 512 tokens."""
    command = [sys.executable, "-c", SERVER, str(smollm2), KEY, str(free_port())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the server did not start"
        yield f"{address}/v1"
        process.kill()


def model(base: str, **settings: Any) -> dict[str, Any]:
    return {"id": "openai/tiny", "api_base": base, "api_key_env": "SERVER_KEY", **settings}


CARD = """\
name: mood
instruction: Is the review positive or negative?
source: written for this test
metrics: {bigbench: multiple_choice_grade}
data: {loader: dataset, path: mood.csv, input: review, target: mood, choices: [positive, negative]}
"""


@pytest.fixture
def mood(tmp_path: Path) -> str:
    """A task of choices, which a model that gives log-probabilities would be graded by."""
    (tmp_path / "mood.csv").write_text("review,mood\nI loved it,positive\nI hated it,negative\n")
    (tmp_path / "mood.yaml").write_text(CARD)
    return str(tmp_path / "mood.yaml")


def spec(task: str, *models: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {
        "name": "servers",
        "models": list(models),
        "tasks": [task],
        "conditions": ["original"],
        "items": 2,
        "concurrency": 2,
        **settings,
    }


@pytest.mark.model
def test_an_experiment_on_llama_server(
    llama_server: str, mood: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    written = spec(
        mood,
        model(llama_server, name="chat", params={"max_tokens": 16, "cache_prompt": False}),
        model(llama_server, name="completion", style="completion"),
        model(llama_server, name="cut", params={"max_tokens": 1}),
    )
    run = pl.run(written, analysis=False)
    responses = run.responses()
    assert set(responses["served_model"]) == {"tiny"}
    assert (responses["prompt_tokens"] > 10).all()
    of = dict(list(responses.groupby("model", observed=True)))
    assert set(of["chat"]["status"]) <= {"ok", "truncated"}
    assert (of["chat"]["text"].str.len() > 0).all()
    assert set(of["completion"]["status"]) <= {"ok", "empty"}, "it ends at the end of the line"
    assert set(of["cut"]["status"]) == {"truncated"}
    assert set(of["cut"]["finish_reason"]) == {"length"}
    assert (of["cut"]["completion_tokens"] == 1).all()
    assert set(run.scores()["method"]) == {"text"}, (
        "no log-probabilities of choices: graded by text"
    )
    again = pl.run(written, analysis=False)
    assert again.status["from_store"] >= (responses["status"] != "empty").sum()
    assert list(again.responses()["text"]) == list(responses["text"])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.model
def test_llama_servers_refusals_are_told_in_its_words(
    llama_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(base: str, text: str, **params: Any) -> str:
        with pytest.raises(ProviderError) as caught:
            ask(base, text, **params)
        return f"{caught.value.kind}: {caught.value}"

    monkeypatch.setenv("SERVER_KEY", KEY)
    long = refused(llama_server, "word " * 800)
    assert long.startswith("bad_request: ")
    assert "exceeds the available context size" in long
    assert "bad_request" in refused(llama_server, "hello", temperature="warm")
    monkeypatch.setenv("SERVER_KEY", "sk-another-key-entirely")
    assert refused(llama_server, "hello").startswith("auth: ")
    assert "sk-another" not in refused(llama_server, "hello")


@pytest.mark.model
def test_choices_cannot_be_graded_by_log_probability(llama_server: str, mood: str) -> None:
    written = spec(mood, model(llama_server), scoring={"choices": "logprob"})
    with pytest.raises(UserError, match=r"openai/tiny gives no log-probabilities .*'text'"):
        pl.run(written, analysis=False)


def ask(base: str, text: str, **params: Any) -> Response:
    request = Request("openai/tiny", messages=(Message("user", text),), params=params)

    async def one() -> Response:
        provider = make_provider("openai/tiny", api_base=base, api_key_env="SERVER_KEY")
        try:
            return await provider.ask(request)
        finally:
            await provider.close()

    return asyncio.run(one())


def passed_on(said: str, status: int, **headers: str) -> Reply:
    """An error of the provider behind a litellm proxy, as the proxy hands it on."""
    message = (
        f"litellm.{said}\n\nLiteLLM: model group 'tiny' failed with the error above. "
        "No fallback was attempted."
    )
    error = {"message": message, "type": "some_error", "param": None, "code": str(status)}
    return Reply(orjson.dumps({"error": error}), status, headers)


def test_a_refusal_behind_a_litellm_proxy_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    reply = chat_reply(None, provider_specific_fields={"refusal": "I would rather not."})
    with serving(as_json(reply)) as server:
        response = ask(server.base, "hello")
    assert (response.status, response.text) == ("refused", "I would rather not.")


@pytest.mark.parametrize(
    "said",
    [
        "BadRequestError: OpenAIException - The response was filtered due to the prompt triggering "
        "Azure OpenAI's content management policy.",
        "ContentPolicyViolationError: AzureException - blocked",
    ],
)
def test_a_filter_behind_a_litellm_proxy_is_one(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    with serving(passed_on(said, 400)) as server:
        assert ask(server.base, "hello").status == "filtered"


def test_a_rate_limit_behind_a_litellm_proxy_says_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    said = "RateLimitError: RateLimitError: OpenAIException - Rate limit reached"
    reply = passed_on(said, 429, **{"llm_provider-retry-after": "3"})
    with serving(reply) as server, pytest.raises(ProviderError) as caught:
        ask(server.base, "hello")
    assert (caught.value.kind, caught.value.retry_after) == ("rate_limit", 3.0)


def test_a_quota_behind_a_litellm_proxy_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    said = "RateLimitError: OpenAIException - You exceeded your current quota, please check"
    with serving(passed_on(said, 429)) as server, pytest.raises(ProviderError) as caught:
        ask(server.base, "hello")
    assert caught.value.kind == "quota"


def behind_the_proxy(seen: Seen) -> Reply:
    if seen.body is None:  # it looks at what it is put in front of
        return as_json(error_reply("no such path"), 404)
    if "REFUSE" in seen.text:
        return as_json(chat_reply(None, refusal="I would rather not."))
    if "FILTER" in seen.text:
        said = "filtered due to the prompt triggering Azure OpenAI's content management policy"
        return as_json(error_reply(said, "content_filter"), 400)
    if "LIMIT" in seen.text:
        return as_json(error_reply("Rate limit reached"), 429, Retry_After="3")
    if "QUOTA" in seen.text:
        said = "You exceeded your current quota, please check"
        return as_json(error_reply(said, "insufficient_quota"), 429)
    return as_json(chat_reply("positive"))


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[str, FakeServer]]:
    """A litellm proxy in front of a scripted server."""
    command = os.environ.get("PROMPTLAB_LITELLM_PROXY")
    if not command:
        pytest.skip("PROMPTLAB_LITELLM_PROXY does not name a litellm command with litellm[proxy]")
    port = free_port()
    with serving(behind_the_proxy) as server:
        params = {"model": "openai/tiny", "api_base": server.base, "api_key": "none"}
        config = {
            "model_list": [{"model_name": "tiny", "litellm_params": params}],
            "general_settings": {"master_key": KEY},
            "litellm_settings": {"num_retries": 0, "drop_params": False},
            "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        }
        (tmp_path / "proxy.yaml").write_text(yaml.safe_dump(config))
        arguments = ["--config", str(tmp_path / "proxy.yaml"), "--host", "127.0.0.1"]
        with (
            (tmp_path / "proxy.log").open("wb") as log,
            subprocess.Popen(
                [str(ROOT / command), *arguments, "--port", str(port), "--telemetry", "False"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(os.environ) | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            ) as process,
        ):
            try:
                _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process)
                yield f"http://127.0.0.1:{port}/v1", server
            finally:
                process.kill()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, "the proxy ended"
        try:
            opener.open(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the proxy did not start")


def test_a_litellm_proxy(
    proxy: tuple[str, FakeServer], mood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, server = proxy
    monkeypatch.setenv("SERVER_KEY", KEY)
    run = pl.run(spec(mood, model(base)), analysis=False)
    assert list(run.responses()["text"]) == ["positive", "positive"]
    assert set(run.responses()["served_model"]) == {"tiny"}
    assert (run.responses()["prompt_tokens"] == 7).all()
    assert ask(base, "hello", top_k=5).text == "positive"
    assert server.seen[-1].body["top_k"] == 5, "parameters of its own reach the model"
    assert ask(base, "REFUSE").status == "refused"
    assert ask(base, "FILTER").status == "filtered"
    with pytest.raises(ProviderError) as limited:
        ask(base, "LIMIT")
    assert (limited.value.kind, limited.value.retry_after) == ("rate_limit", 3.0)
    with pytest.raises(ProviderError) as spent:
        ask(base, "QUOTA")
    assert spent.value.kind == "quota"
