from __future__ import annotations

import asyncio
import math
import time

import pytest

from promptlab.errors import MissingDependency, ProviderError, UnknownName, UserError
from promptlab.providers import describe, make_provider
from promptlab.providers.base import Provider
from promptlab.providers.mock import MockProvider, item_text
from promptlab.types import Message, Request, Response


def chat(text: str, **more: object) -> Request:
    return Request("mock/x", messages=(Message("user", text),), **more)  # type: ignore[arg-type]


def ask(provider: MockProvider, request: Request) -> Response:
    return asyncio.run(provider.ask(request))


def prompts(n: int, stimulus: str = "") -> list[Request]:
    return [
        chat(f"Instruction: Opposite.{stimulus}\n\nInput: word {i}\nAnswer: ") for i in range(n)
    ]


@pytest.mark.parametrize(
    ("prompt", "item"),
    [
        ("Instruction: Do it.\n\nInput: won\nAnswer: ", "won"),
        ("Instruction: Do it.\n\nInput: a\nOutput: b\n\nInput: won\nOutput:", "won"),
        ("Who?\n\nQ: What is it?\nA:", "What is it?"),
        ("Input: two\nlines\nOutput:", "two\nlines"),
        ("just one line", "just one line"),
        ("several\nlines", "lines"),
        ("", ""),
    ],
)
def test_the_items_part_of_a_prompt(prompt: str, item: str) -> None:
    assert item_text(Request("m/x", prompt=prompt)) == item
    assert item_text(chat(prompt)) == item


def test_echo_and_constant() -> None:
    assert ask(MockProvider("mock/echo"), prompts(1)[0]).text == "word 0"
    assert ask(MockProvider("mock/constant:yes: it is"), prompts(1)[0]).text == "yes: it is"
    assert ask(MockProvider("mock/constant?text=no"), prompts(1)[0]).text == "no"
    assert ask(MockProvider("mock/constant:"), prompts(1)[0]).status == "empty"


def test_words_depend_on_request_and_seed_alone() -> None:
    def said(model: str) -> list[str]:
        return [ask(MockProvider(model), r).text for r in prompts(40)]

    one = said("mock/words?n=3")
    assert one == said("mock/words?n=3")
    assert one != said("mock/words?n=3&seed=1")
    assert {len(text.split()) for text in one} == {3}
    assert len(set(one)) > 30


def test_skilled_is_right_for_its_share_of_items_under_every_condition() -> None:
    provider = MockProvider("mock/skilled?p=0.7", known=lambda request: ["right"])
    plain = [ask(provider, r).text == "right" for r in prompts(400)]
    moved = [ask(provider, r).text == "right" for r in prompts(400, " Believe in yourself.")]
    assert plain == moved
    assert 0.6 < sum(plain) / 400 < 0.8
    other = MockProvider("mock/skilled?p=0.7&seed=5", known=lambda request: ["right"])
    assert [ask(other, r).text == "right" for r in prompts(400)] != plain


def test_skilled_without_known_answers_still_answers() -> None:
    assert ask(MockProvider("mock/skilled?p=1"), prompts(1)[0]).status == "ok"


def test_choices_are_scored() -> None:
    request = chat("Q: 1+1?\nA:", choices=("2", "3", "4"))
    response = ask(MockProvider("mock/words"), request)
    assert math.isclose(sum(math.exp(v) for v in response.choice_logprobs), 1)
    best = response.choice_logprobs.index(max(response.choice_logprobs))
    assert response.text == request.choices[best]
    assert MockProvider("mock/words").scores_choices
    for p, right in ((1, True), (0, False)):
        provider = MockProvider(f"mock/skilled?p={p}", known=lambda request: ["3"])
        assert (ask(provider, request).text == "3") == right


def test_a_script_comes_first() -> None:
    provider = MockProvider("mock/constant:later")
    limited = ProviderError("rate_limit", "slow down", retry_after=1)
    provider.enqueue(["now", Response("refused", "no"), limited, ""])
    requests = prompts(5)
    assert ask(provider, requests[0]).text == "now"
    assert ask(provider, requests[1]).status == "refused"
    with pytest.raises(ProviderError, match="slow down"):
        ask(provider, requests[2])
    assert ask(provider, requests[3]).status == "empty"
    assert ask(provider, requests[4]).text == "later"
    assert list(provider.history) == requests


def test_answers_by_function_or_mapping() -> None:
    by_function = MockProvider(answers=lambda request: request.messages[-1].content[::-1])
    assert ask(by_function, chat("abc")).text == "cba"
    by_mapping = MockProvider(answers={"abc": "x"})
    assert ask(by_mapping, chat("abc")).text == "x"
    with pytest.raises(ProviderError, match="no answer"):
        ask(by_mapping, chat("other"))


def test_a_slow_model() -> None:
    started = time.perf_counter()
    response = ask(MockProvider("mock/echo?latency_ms=30"), chat("x"))
    assert time.perf_counter() - started >= 0.03
    assert response.latency_s is not None
    assert response.latency_s >= 0.03


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("mock/ecko", "did you mean 'mock/echo'"),
        ("mock/words?m=3", "unknown setting"),
        ("mock/words?n=many", "'many' is not a number"),
    ],
)
def test_wrong_ids(model: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        MockProvider(model)


# --- make_provider ----------------------------------------------------------------------------


def test_a_provider_for_every_form_of_id(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_provider("mock/echo"), MockProvider)
    monkeypatch.setenv("MY_HOST_API_KEY", "k" * 10)
    hosted = make_provider("my-host/model", api_base="http://127.0.0.1:1/v1")
    assert type(hosted).__name__ == "OpenAICompatibleProvider"
    assert hosted.endpoint == "http://127.0.0.1:1/v1"
    assert _key_of(hosted) == "k" * 10
    with pytest.raises(UnknownName):
        make_provider("mock/none")


@pytest.mark.parametrize("model", ["gpt-4o-mini", "/x", "openai/", ""])
def test_an_id_has_a_provider(model: str) -> None:
    for make in (make_provider, describe):
        with pytest.raises(UserError, match=r"provider/model, such as .*openai/gpt-4o-mini"):
            make(model)


def _key_of(provider: Provider) -> str | None:
    """The key that requests would be sent with."""
    key: str | None = vars(vars(provider)["_there"])["_key"]
    return key


def test_a_key_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    base = "http://127.0.0.1:1/v1"
    monkeypatch.delenv("TEAM_KEY", raising=False)
    with pytest.raises(UserError, match="export TEAM_KEY="):
        make_provider("openai/m", api_base=base, api_key_env="TEAM_KEY")
    monkeypatch.setenv("TEAM_KEY", "team-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "usual-secret")
    assert _key_of(make_provider("openai/m", api_base=base)) == "usual-secret"
    named = make_provider("openai/m", api_base=base, api_key_env="TEAM_KEY")
    assert _key_of(named) == "team-secret"
    elsewhere = make_provider("vllm/m", api_base=base)
    assert _key_of(elsewhere) is None, "OpenAI's key is for OpenAI's ids"


def test_without_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    from promptlab.providers import litellm

    monkeypatch.setattr(litellm, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install .*\[hosted\]"):
        make_provider("openai/gpt-4o-mini")


def test_what_a_plan_needs_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe("mock/echo") == (None, True)
    assert describe("openai/m", api_base="http://h/v1/") == ("http://h/v1", False)
    assert describe("openai/m") == (None, False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy.example/v1")
    assert describe("openai/m") == ("http://proxy.example/v1", False)
    with pytest.raises(UserError):
        describe("openai/m", api_base="nonsense")


def test_an_installed_package_brings_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    import promptlab.providers as providers

    made = []

    class Entry:
        name = "theirs"

        def load(self) -> object:
            def factory(model: str, **settings: object) -> MockProvider:
                made.append((model, settings))
                return MockProvider()

            return factory

    monkeypatch.setattr(providers, "_installed", lambda: {"theirs": Entry()})
    assert isinstance(make_provider("theirs/m", timeout_s=3), MockProvider)
    assert made == [("theirs/m", {"api_base": None, "api_key_env": None, "timeout_s": 3})]
    assert describe("theirs/m") == (None, True)
