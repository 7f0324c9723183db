"""Budgets are hard: nothing is sent that they have no room for, and everything sent is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from fake_server import Reply, Seen, as_json, chat_reply, error_reply, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from runner_kit import QUICK, Scripted, asks, balanced, run, texts

from promptlab.errors import ProviderError, UserError
from promptlab.keys import request_hash
from promptlab.providers.mock import MockProvider
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.runner import Ask, Budget, Outcome, Spent, execute
from promptlab.runner.budget import Purse
from promptlab.runner.needs import Need, Needs
from promptlab.store import Store
from promptlab.types import Message, Request, Response

WIDE = replace(QUICK, concurrency=64, max_attempts=30)


def limited_asks(n: int, max_tokens: int, model: str = "m") -> list[Ask]:
    found = []
    for ask in asks(n, model):
        request = replace(ask.request, params={"max_tokens": max_tokens})
        found.append(Ask(model, request, request_hash(request), tag=ask.tag))
    return found


# --- the arithmetic ---------------------------------------------------------------------------


@given(
    st.integers(0, 3000),
    st.floats(0, 3),
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 90), st.floats(0, 1), st.booleans()), max_size=120),
)
@settings(max_examples=150, deadline=None)
def test_what_is_spent_never_exceeds_the_budget_if_estimates_hold(
    tokens: int, usd: float, requests: int, wishes: list[tuple[int, float, bool]]
) -> None:
    purse = Purse(Budget(usd, tokens, requests), [], "this run")
    spent, flying = Spent(), []
    for need_tokens, share, lands in wishes:
        need = Need(need_tokens, need_tokens / 1000)
        if purse.has_room(need):
            purse.take(need)
            spent.requests += 1
            flying.append((need, share))
        if lands and flying:
            need, share = flying.pop(0)
            used = int(need.tokens * share)
            purse.settle(need, used, used / 1000)
            spent.tokens += used
            spent.usd += used / 1000
        assert spent.requests <= requests
        assert spent.tokens <= tokens
        assert spent.usd <= usd + 1e-6
        assert purse.in_flight == len(flying)


def test_estimates_are_the_prompt_and_the_limit_or_what_others_took() -> None:
    needs = Needs((1e-6, 2e-6))
    request = Request("m", messages=(Message("user", "x" * 400),), params={"max_tokens": 50})
    assert needs.of(request) == Need(150, pytest.approx(100e-6 + 100e-6), 400)
    free = replace(request, params={})
    assert needs.of(free).is_guess
    needs.learn(needs.of(request), Response("ok", "x", prompt_tokens=200, completion_tokens=30))
    needs.learn(needs.of(request), Response("ok", "x", prompt_tokens=200, completion_tokens=10))
    found = needs.of(free)
    assert (found.tokens, found.is_guess) == (200 + 20, False), "prompts take twice as much here"
    assert (
        needs.of(replace(request, prompt="x" * 400, messages=(), choices=("a", "b"))).tokens == 200
    )


# --- in a run ---------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 7, 100])
def test_no_more_requests_are_sent_than_the_budget_has(store: Store, limit: int) -> None:
    def handler(seen: Seen) -> Reply:
        turn = len(server.seen)
        if turn % 7 == 3:
            return as_json(error_reply("oops"), 500)
        if turn % 11 == 5:
            return Reply(reset=True)
        return replace(as_json(chat_reply()), delay_s=0.002 * (turn % 5))

    options = replace(WIDE, budget=Budget(requests=limit))
    with serving(handler) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        outcome = run(asks(500, endpoint=server.base), store, provider, options)
        assert len(server.seen) == limit
        stop, counts = outcome.stopped["m"], outcome.models["m"]
        assert stop.kind == "budget"
        assert f"{limit:,} of {limit:,} requests are sent" in stop.reason
        assert stop.reason.endswith(f"{counts.skipped} requests are left to ask")
        assert "\n" not in stop.reason
        assert balanced(counts)
        assert counts.failed == 0
        assert len(texts(store, asks(500, endpoint=server.base))) == counts.answered
        assert outcome.spent["m"].requests == counts.attempts == limit

        again = run(asks(500, endpoint=server.base), store, provider, WIDE)
        assert again.complete
        assert again.models["m"].from_store == counts.answered


def test_tokens_stay_within_the_budget_and_nearly_fill_it(store: Store) -> None:
    rng = random.Random(5)

    def say(request: Request, n: int) -> Response | Exception:
        return Response("ok", "x", prompt_tokens=11, completion_tokens=rng.randint(1, 40))

    options = replace(WIDE, budget=Budget(tokens=5_000))
    outcome = run(limited_asks(1000, 40), store, Scripted(say), options)
    counts, spent = outcome.models["m"], outcome.spent["m"]
    assert spent.tokens == counts.prompt_tokens + counts.completion_tokens
    assert 5_000 - 60 < spent.tokens <= 5_000
    assert (
        "of 5,000 tokens are spent, and the next request may take 5" in outcome.stopped["m"].reason
    )
    assert counts.failed == 0


def test_dollars_too_with_empty_answers_counted(store: Store) -> None:
    def say(request: Request, n: int) -> Response | Exception:
        even = int(request.messages[0].content.split("word ")[1].split("\n")[0]) % 2
        return Response("ok" if even else "empty", "", prompt_tokens=10, completion_tokens=20)

    price = (1e-3, 2e-3)
    options = replace(WIDE, budget=Budget(usd=2.0), price_of={"m": price})
    outcome = run(limited_asks(300, 20), store, Scripted(say), options)
    answers = outcome.models["m"].answered + outcome.models["m"].failed
    assert outcome.spent["m"].usd == pytest.approx(answers * 0.05)
    assert 1.9 < outcome.spent["m"].usd <= 2.0
    assert "of 2.00 US dollars are spent" in outcome.stopped["m"].reason


def test_answers_of_unknown_length_are_tried_with_one(store: Store) -> None:
    provider = Scripted(
        lambda request, n: Response("ok", "x", prompt_tokens=10, completion_tokens=490)
    )
    at_once: list[int] = []
    provider.on_ask = lambda: at_once.append(provider.in_flight + 1)
    outcome = run(asks(300), store, provider, replace(WIDE, budget=Budget(tokens=10_000)))
    assert at_once[0] == 1
    assert 9_000 < outcome.spent["m"].tokens <= 10_000


def test_a_budget_is_shared_by_the_models_of_a_run_and_each_may_have_its_own(store: Store) -> None:
    options = replace(WIDE, budget=Budget(requests=100), budget_of={"a": Budget(requests=30)})
    streams: dict[str, Iterable[Ask]] = {name: asks(90, name) for name in "abc"}
    outcome = run(streams, store, lambda label: MockProvider("mock/echo?latency_ms=2"), options)
    sent = {name: spent.requests for name, spent in outcome.spent.items()}
    assert sum(sent.values()) == 100
    assert sent["a"] <= 30
    assert {name: stop.kind for name, stop in outcome.stopped.items()} == dict.fromkeys(
        outcome.stopped, "budget"
    )
    assert any("the budget of this run" in stop.reason for stop in outcome.stopped.values())
    assert sum(c.answered for c in outcome.models.values()) == 100


def test_what_earlier_calls_have_spent_counts(store: Store) -> None:
    before = {"m": Spent(1.0, 700, 60), "other": Spent(0.5, 100, 20)}
    options = replace(WIDE, budget=Budget(requests=100), spent=before)
    outcome = run(asks(50), store, MockProvider(), options)
    assert outcome.models["m"].answered == 20
    assert outcome.spent["m"].requests == 80
    assert outcome.spent["other"] == Spent(0.5, 100, 20)
    assert before["m"] == Spent(1.0, 700, 60), "what is handed in is not changed"


def test_stored_answers_cost_nothing(store: Store) -> None:
    run(asks(40), store)
    outcome = run(asks(40), store, MockProvider(), replace(QUICK, budget=Budget(requests=0)))
    assert outcome.complete
    assert outcome.spent["m"] == Spent()


def test_what_is_spent_can_be_watched_while_the_run_goes_on(store: Store) -> None:
    outcome, seen = Outcome(), []
    price = (1e-3, 1e-3)

    def look(event: Any) -> None:
        seen.append(replace(outcome.spent["m"]))

    options = replace(QUICK, price_of={"m": price})
    returned = run(asks(50), store, MockProvider(), options, outcome=outcome, on_event=look)
    assert returned is outcome
    assert [s.requests for s in seen] == sorted(s.requests for s in seen)
    assert len({s.tokens for s in seen}) > 5
    counts = outcome.models["m"]
    assert outcome.spent["m"].usd == pytest.approx(
        (counts.prompt_tokens + counts.completion_tokens) / 1000
    )


@pytest.mark.parametrize("where", ["run", "model"])
def test_dollars_without_a_price_are_refused_before_anything_is_sent(
    store: Store, where: str
) -> None:
    budget = Budget(usd=1.0)
    more: dict[str, Any] = {"budget": budget} if where == "run" else {"budget_of": {"m": budget}}
    nobody: Callable[[str], Any] = lambda label: pytest.fail("asked")  # noqa: E731
    with pytest.raises(UserError, match="needs the price of m"):
        run(asks(3), store, nobody, replace(QUICK, **more))


def test_a_failed_request_is_paid_for_with_its_attempts(store: Store) -> None:
    provider = Scripted(lambda request, n: ProviderError("timeout", "slow"))
    options = replace(QUICK, budget=Budget(requests=10), max_attempts=3, concurrency=1)
    outcome = run(asks(20), store, provider, options)
    assert sum(provider.attempts.values()) == 10
    assert outcome.spent["m"] == Spent(0.0, 0, 10)
    assert outcome.stopped["m"].kind == "budget"


def test_an_interrupted_run_says_what_it_spent(store: Store) -> None:
    outcome = Outcome()
    provider = MockProvider("mock/echo?latency_ms=40")

    async def main() -> None:
        task = asyncio.create_task(
            execute(
                {"m": asks(500)},
                store=store,
                provider_for=lambda label: provider,
                options=QUICK,
                outcome=outcome,
            )
        )
        while len(provider.history) < 20:
            await asyncio.sleep(0.005)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert outcome.spent["m"].requests == len(provider.history) == outcome.models["m"].attempts
    assert outcome.spent["m"].tokens == sum(
        (outcome.models["m"].prompt_tokens, outcome.models["m"].completion_tokens)
    )
