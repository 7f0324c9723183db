"""A model that fails again and again: left alone, tried now and then, given up."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import pytest
from fake_server import FakeServer, Reply, Seen, as_json, chat_reply, error_reply, free_port
from runner_kit import QUICK, Scripted, asks, balanced, run, texts, told

from promptlab.errors import ProviderError
from promptlab.providers.failures import Unreachable
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.runner import Event, RunnerOptions
from promptlab.runner.breaker import Breaker
from promptlab.store import Store
from promptlab.types import Request, Response

DOWN = ProviderError("server", "down")


def opened() -> Breaker:
    breaker = Breaker(RunnerOptions(breaker=3, probe_wait_s=1, probes=4))
    breaker.success()
    for _ in range(3):
        assert not breaker.is_open
        assert breaker.failure(DOWN, 10.0) is None
    assert breaker.is_open
    return breaker


def test_after_failures_in_a_row_one_request_at_a_time_goes_out() -> None:
    breaker, now, waits = opened(), 10.0, []
    for _ in range(4):
        wait = breaker.wait(now)
        assert wait
        waits.append(wait)
        now += wait
        assert breaker.wait(now) == 0
        assert breaker.sent()
        assert breaker.wait(now + 99) is None, "until the probe has landed"
        breaker.failure(DOWN, now, is_probe=False)  # sent before the breaker opened
        assert breaker.wait(now + 99) is None
        stop = breaker.failure(DOWN, now, is_probe=True)
    assert waits == [1, 2, 4, 8]
    assert stop is not None
    assert stop.kind == "endpoint"
    assert "3 attempts in a row failed and so did 4 more in 15 s" in stop.reason


def test_an_answer_closes_the_breaker() -> None:
    breaker = opened()
    breaker.wait(11.0)
    assert breaker.sent()
    assert breaker.success()
    assert not breaker.is_open
    assert breaker.wait(11.0) == 0
    assert not breaker.sent()
    for _ in range(2):
        assert breaker.failure(DOWN, 12.0) is None
    assert not breaker.is_open, "it counts from the beginning"


def test_a_probe_that_is_told_to_slow_down_shows_a_living_endpoint() -> None:
    breaker = opened()
    breaker.sent()
    breaker.failure(ProviderError("rate_limit", "slow"), 11.0, is_probe=True)
    assert not breaker.is_open


def test_a_probe_that_is_dropped_is_sent_again() -> None:
    breaker = opened()
    breaker.sent()
    breaker.dropped(is_probe=True)
    assert breaker.wait(11.0) == 0


def test_an_endpoint_that_was_never_reached_is_given_up_at_once() -> None:
    breaker = Breaker(RunnerOptions(unreachable=3))
    assert [breaker.failure(Unreachable("no"), 0.0) is None for _ in range(3)] == [
        True,
        True,
        False,
    ]
    stop = Breaker(RunnerOptions()).failure(Unreachable("no"), 0.0, gave_up=True)
    assert stop is not None
    assert "cannot be reached" in stop.reason


def test_nothing_but_rate_limits_for_long_is_a_quota() -> None:
    slow = ProviderError("rate_limit", "slow down")
    breaker = Breaker(RunnerOptions(max_wait_s=600))
    assert all(breaker.failure(slow, float(t)) is None for t in range(0, 600, 10))
    breaker.success()
    assert all(breaker.failure(slow, float(t)) is None for t in range(600, 1200, 10))
    stop = breaker.failure(slow, 1200.0)
    assert stop is not None
    assert stop.kind == "quota"
    assert breaker.opened == 0


def test_failures_by_chance_do_not_open_the_breaker() -> None:
    rng, breaker = random.Random(3), Breaker(RunnerOptions())
    for i in range(100_000):
        if rng.random() < 0.18:
            breaker.failure(DOWN, float(i))
        else:
            breaker.success()
    assert breaker.opened == 0


# --- in a run ---------------------------------------------------------------------------------


def answer(seen: Seen) -> Reply:
    return replace(as_json(chat_reply(f"answer to {seen.text}")), delay_s=0.01)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_server_that_restarts_is_survived(store: Store, concurrency: int) -> None:
    port, n = free_port(), 300
    server = FakeServer(answer, port).start()
    wanted = asks(n, endpoint=server.base)
    events: list[Event] = []
    closed, reopened = threading.Event(), threading.Event()

    def again() -> FakeServer:
        assert reopened.wait(20)
        return FakeServer(answer, port).start()

    later: list[FakeServer] = []
    helper = threading.Thread(target=lambda: later.append(again()))
    helper.start()

    def watch(event: Event) -> None:
        events.append(event)
        if event.kind == "answer" and len(events) > 60 and not closed.is_set():
            closed.set()
            server.stop()
        if event.kind == "limit" and event.limit == 0:
            reopened.set()

    provider = OpenAICompatibleProvider("openai/m", server.base, timeout_s=5)
    # However few attempts a request has: what was sent while the server was away is held.
    options = replace(QUICK, concurrency=concurrency, max_attempts=6, probe_wait_s=0.05, probes=10)
    try:
        outcome = run(wanted, store, provider, options, on_event=watch)
    finally:
        reopened.set()
        helper.join()
        for each in later:
            each.stop()
    assert closed.is_set()
    assert outcome.complete, outcome
    assert not outcome.stopped
    assert texts(store, wanted) == {
        a.hash: f"answer to {a.request.messages[0].content}" for a in wanted
    }
    changes = [(change.limit, change.reason) for change in outcome.limits["m"]]
    assert any(limit == 0 and "attempts in a row failed" in why for limit, why in changes)
    assert any(limit > 0 and "answers again" in why for limit, why in changes)


def test_nothing_is_sent_while_the_breaker_is_open_but_the_probes(store: Store) -> None:
    sent_at: list[float] = []

    def say(request: Request, n: int) -> Response | Exception:
        sent_at.append(time.monotonic())
        return Response("ok", "x") if len(sent_at) <= 50 else ProviderError("server", "gone")

    options = replace(QUICK, concurrency=64, breaker=20, probe_wait_s=0.05, probes=3)
    outcome = run(asks(2000), store, Scripted(say), options)
    counts = outcome.models["m"]
    assert outcome.stopped["m"].kind == "endpoint"
    assert "and so did 3 more" in outcome.stopped["m"].reason
    assert (counts.answered, counts.failed, counts.skipped) == (50, 0, 1950)
    assert 50 + 20 + 3 <= counts.attempts <= 50 + 20 + 64 + 3
    assert balanced(counts)
    first, second, third = sent_at[-3:]
    assert second - first >= 0.1
    assert third - second >= 0.2


def test_requests_that_were_used_up_while_the_breaker_was_open_are_held(store: Store) -> None:
    failures = 0

    def say(request: Request, n: int) -> Response | Exception:
        nonlocal failures
        if sum(provider.attempts.values()) >= 100 and failures < 60:
            failures += 1
            return ProviderError("server", "gone")
        return Response("ok", "x")

    provider = Scripted(say)
    options = replace(QUICK, concurrency=50, max_attempts=1, probe_wait_s=0.001, probes=50)
    events: list[Event] = []
    outcome = run(asks(400), store, provider, options, on_event=events.append)
    counts = outcome.models["m"]
    # The failures up to the one that opened the breaker were final, none of the others.
    assert counts.failed == 19
    assert counts.answered == 381
    assert told(events)["failed"] == 19
    assert failures == 60


def test_a_request_that_kills_its_server_is_given_up(store: Store) -> None:
    poison = asks(1)[0].hash
    down_until = 0.0

    def say(request: Request, n: int) -> Response | Exception:
        nonlocal down_until
        now = time.monotonic()
        if "word 0\n" in request.messages[0].content:
            down_until = now + 0.05
        return ProviderError("connection", "gone") if now < down_until else Response("ok", "x")

    options = replace(QUICK, max_attempts=6, first_wait_s=0.02, probe_wait_s=0.01, probes=20)
    outcome = run(asks(300), store, Scripted(say), options)
    assert outcome.failures.keys() == {poison}
    assert outcome.models["m"].answered == 299
    assert not outcome.stopped


def test_a_loading_server_is_waited_for(store: Store) -> None:
    count = 0

    def handler(seen: Seen) -> Reply:
        nonlocal count
        count += 1
        return as_json(error_reply("loading"), 503) if count <= 40 else answer(seen)

    server = FakeServer(handler).start()
    try:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        options = replace(QUICK, max_attempts=2, probe_wait_s=0.001, probes=30, concurrency=32)
        outcome = run(asks(100), store, provider, options)
    finally:
        server.stop()
    assert not outcome.stopped
    assert outcome.models["m"].answered >= 80
