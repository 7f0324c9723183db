"""How fast a model is asked: the rules on a clock of their own, and what a server sees of them."""

from __future__ import annotations

import heapq
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from fake_server import Reply, Seen, as_json, chat_reply, error_reply, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from runner_kit import QUICK, Scripted, asks, run

from promptlab.errors import ProviderError
from promptlab.providers.allowance import Allowance, read_allowance, seconds_until
from promptlab.providers.mock import MockProvider
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.runner import Event, Outcome, Rate
from promptlab.runner.concurrency import AUTO_CEILING, AUTO_START, Concurrency
from promptlab.runner.limiter import Bucket, Limiter
from promptlab.store import Store
from promptlab.types import Request, Response

# --- requests and tokens a minute -------------------------------------------------------------


@given(
    st.floats(0.5, 5_000),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 400)), min_size=1, max_size=150),
)
@settings(max_examples=150, deadline=None)
def test_no_minute_has_more_than_the_ceiling(
    per_minute: float, wishes: list[tuple[float, int]]
) -> None:
    bucket, now = Bucket(per_minute), 1000.0
    taken: list[tuple[float, int]] = []
    for pause, units in wishes:
        now += pause
        now += bucket.wait(units, now)
        assert bucket.wait(units, now) == 0
        bucket.take(units, now)
        taken.append((now, units))
    for i, (start, _) in enumerate(taken):
        minute = [units for at, units in taken[i:] if at - start < 60]
        # What is larger than a second's worth goes through at once, and is paid for afterwards.
        excess = max(0.0, max(minute) - max(1.0, per_minute / 60))
        assert sum(minute) <= per_minute + max(1.0, excess + 1) + 1e-6


@pytest.mark.parametrize("per_minute", [0.5, 1, 7, 60, 600, 30_000])
def test_the_ceiling_is_nearly_reached_and_never_in_one_burst(per_minute: float) -> None:
    bucket, now, n = Bucket(per_minute), 0.0, 0
    at_once = 0
    while bucket.wait(1, now) == 0:
        bucket.take(1, now)
        at_once += 1
    assert at_once <= max(1, per_minute / 60)
    minutes = max(5, 10 / per_minute)
    while now < minutes * 60:
        now += bucket.wait(1, now)
        bucket.take(1, now)
        n += 1
    assert 0.97 * per_minute * minutes - 1 <= n <= per_minute * minutes + 1


def test_estimated_tokens_are_corrected_by_what_was_used() -> None:
    bucket = Bucket(600)
    bucket.take(100, 0.0)
    waited = bucket.wait(10, 0.0)
    assert waited > 9
    bucket.correct(100 - 20)
    assert bucket.wait(10, 0.0) == pytest.approx(waited - 80 / 9.85, abs=0.2)
    bucket.correct(20 - 200)
    assert bucket.wait(10, 0.0) > waited
    bucket.correct(10**9)
    assert bucket.wait(10, 0.0) == 0
    bucket.take(10, 0.0)
    assert bucket.wait(1, 0.0) > 0, "what is given back does not become a burst"


# --- how many at once -------------------------------------------------------------------------


def landed(limit: Concurrency, n: int, now: float = 0.0, *, full: bool = True) -> list[str]:
    """What n answers change, a millisecond apart."""
    found = []
    for i in range(n):
        at_once = limit.limit if full else limit.limit // 2
        if reason := limit.answered(at_once, now + i / 1000):
            found.append(reason)
    return found


def test_it_doubles_while_all_is_well_and_the_limit_is_used() -> None:
    limit, now, seen = Concurrency(AUTO_START, AUTO_CEILING, 0.0), 0.0, []
    for _ in range(6):
        n = limit.limit
        for _ in range(max(n, 10)):
            limit.answered(n, now := now + 1 / n)
        seen.append(limit.limit)
    assert seen == [32, 64, 128, 256, 256, 256]


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    limit = Concurrency(16, 256, 0.0)
    assert landed(limit, 500, full=False) == []
    assert limit.limit == 16


def test_the_ceiling_holds_and_a_fixed_number_begins_there() -> None:
    limit = Concurrency(64, 64, 0.0)
    assert landed(limit, 1000) == []
    assert limit.limit == 64


def test_429_cuts_once_in_a_while_and_growth_is_small_from_then_on() -> None:
    limit = Concurrency(100, 200, 0.0)
    assert "429" in str(limit.limited(0.0, 0.1))
    assert limit.limit == 80
    for i in range(50):  # the rest of the same burst
        limit.limited(0.0, 0.15 + i / 1000)
    assert limit.limit == 80
    for i in range(30):
        limit.answered(1, 0.2 + i / 1000)  # the round ends: most of it was told off
    assert limit.limit == 80, "many were told off: that is where it stays"
    limit.limited(0.0, 0.3)
    assert limit.limit == 80, "not so soon"
    limit.limited(0.0, 0.4)
    assert limit.limit == 64
    for i in range(128):
        limit.answered(limit.limit, 2 + i / 100)
    assert limit.limit == 80, "few were told off since: back to where it was"
    for i in range(80):
        limit.answered(limit.limit, 4 + i / 100)
    assert limit.limit == 84


def test_retry_after_makes_the_time_between_cuts_longer() -> None:
    limit = Concurrency(100, 100, 0.0)
    limit.limited(30.0, 0.0)
    assert limit.limit == 80
    landed(limit, 100, 1.0)
    assert limit.limit == 100
    limit.limited(0.0, 20.0)
    assert limit.limit == 100
    limit.limited(20.0, 25.0)
    limit.limited(0.0, 44.0)
    assert limit.limit == 100
    limit.limited(0.0, 46.0)
    assert limit.limit == 80


def test_it_is_cut_to_one_at_least() -> None:
    limit, now = Concurrency(3, 3, 0.0), 0.0
    for _ in range(1000):
        limit.limited(0.0, now := now + 0.5)
    assert limit.limit == 1


def test_errors_of_the_server_hold_growth_and_cut_nothing() -> None:
    limit, now = Concurrency(16, 256, 0.0), 0.0
    for i in range(400):
        now += 0.01
        if i % 5:
            limit.answered(limit.limit, now)
        else:
            limit.troubled(now)
    assert limit.limit == 16
    landed(limit, 16, now)
    assert limit.limit == 17, "no longer doubling"


def test_growth_that_brings_nothing_is_taken_back() -> None:
    limit, now, most = Concurrency(16, 256, 0.0), 0.0, 0
    for _ in range(3000):  # four answers a second, however many wait for them
        limit.answered(limit.limit, now := now + 0.25)
        most = max(most, limit.limit)
    assert most <= 48
    assert limit.limit <= 32


@given(
    st.integers(1, 64),
    st.integers(1, 256),
    st.lists(st.sampled_from(["ok", "429", "later", "5xx"]), max_size=400),
)
@settings(max_examples=60, deadline=None)
def test_the_limit_stays_between_one_and_the_ceiling(
    start: int, ceiling: int, course: list[str]
) -> None:
    limit, now = Concurrency(start, ceiling, 0.0), 0.0
    for what in course:
        now += 0.3
        before = limit.limit
        if what == "ok":
            reason = limit.answered(limit.limit, now)
        elif what == "5xx":
            reason = limit.troubled(now)
            assert limit.limit >= before
        else:
            reason = limit.limited(2.0 if what == "later" else 0.0, now)
        assert 1 <= limit.limit <= ceiling
        assert (reason is None) == (limit.limit == before), "every change has a reason"


def simulated(latency_s: float, share_429: float, share_5xx: float, n: int = 12_000) -> float:
    """Mean limit of 64 requests in flight at a provider that turns away by chance."""
    rng, limit = random.Random(1), Concurrency(64, 64, 0.0)
    in_flight: list[tuple[float, int, str]] = []
    now = area = 0.0
    for i in range(n):
        while len(in_flight) < limit.limit:
            u = rng.random()
            what = "429" if u < share_429 else "5xx" if u < share_429 + share_5xx else "ok"
            took = 0.005 if what == "429" else latency_s * rng.lognormvariate(-0.125, 0.5)
            heapq.heappush(in_flight, (now + took, i * 1000 + len(in_flight), what))
        at, _, what = heapq.heappop(in_flight)
        area += limit.limit * (at - now)
        now = at
        if what == "429":
            limit.limited(0.05, now)
        elif what == "5xx":
            limit.troubled(now)
        else:
            limit.answered(len(in_flight) + 1, now)
    return area / now


@pytest.mark.parametrize("latency_s", [0.02, 0.2, 2.0, 20.0])
@pytest.mark.parametrize("share_5xx", [0.0, 0.09])
def test_a_few_429_for_ever_do_not_ruin_the_speed(latency_s: float, share_5xx: float) -> None:
    assert simulated(latency_s, 0.03, share_5xx) > 0.75 * 64


# --- pauses and allowances --------------------------------------------------------------------


def test_a_pause_is_for_the_whole_model_and_bounded() -> None:
    limiter = Limiter(4, 4, 0.0, longest_pause_s=60)
    assert limiter.wait(0, 0.0) == 0
    assert limiter.pause(10, 0.0) == 10
    assert limiter.pause(5, 1.0) == 0
    assert limiter.wait(0, 4.0) == 6
    assert limiter.pause(10**6, 4.0) == 54
    assert limiter.wait(0, 63.0) == 1
    assert limiter.wait(0, 64.0) == 0


def test_only_so_many_are_in_flight() -> None:
    limiter = Limiter(2, 2, 0.0)
    limiter.sent(0, 0.0)
    limiter.sent(0, 0.0)
    assert limiter.wait(0, 0.0) is None
    limiter.answered(0.1)
    assert limiter.wait(0, 0.1) == 0


def test_nothing_left_pauses_until_the_reset() -> None:
    limiter = Limiter(64, 64, 0.0)
    limiter.allowed(Allowance(requests=2, requests_reset_s=7.0), 10.0)
    for _ in range(2):
        assert limiter.wait(0, 10.0) == 0
        limiter.sent(0, 10.0)
    assert limiter.wait(0, 10.0) == 7
    assert limiter.wait(0, 17.0) == 0
    assert not limiter.counts_tokens
    limiter.allowed(Allowance(tokens=100, tokens_reset_s=3.0), 20.0)
    assert limiter.counts_tokens
    assert limiter.wait(80, 20.0) == 0
    limiter.sent(80, 20.0)
    assert limiter.wait(80, 20.0) == 3
    limiter.allowed(Allowance(requests=0, requests_reset_s=86_400.0), 20.0)
    assert limiter.wait(0, 20.0) == 0, "should it mean a day, a 429 will say so"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-requests": "5"}, None),
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"},
            Allowance(0, 360.0),
        ),
        (
            {"x-ratelimit-remaining-tokens": "12", "x-ratelimit-reset-tokens": "20ms"},
            Allowance(None, None, 12, 0.02),
        ),
        (
            {"anthropic-ratelimit-requests-remaining": "1"}
            | {"anthropic-ratelimit-requests-reset": "2001-01-01T00:00:00Z"},
            Allowance(1, 0.0),
        ),
        (
            {"x-ratelimit-remaining-requests": "lots", "x-ratelimit-reset-requests": "soon"},
            Allowance(),
        ),
    ],
    ids=str,
)
def test_headers_that_say_what_is_left(headers: dict[str, str], found: Allowance | None) -> None:
    assert read_allowance(headers) == found


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        *(("1s", 1), ("6m0s", 360), ("20ms", 0.02), ("2.5", 2.5), ("1h2m3.5s", 3723.5)),
        *(("1d", 86400), ("0", 0), ("-3", 0), ("", None), ("soon", None), ("nan", None)),
        ("inf", None),
    ],
)
def test_forms_of_a_reset(told: str, seconds: float | None) -> None:
    assert seconds_until(told) == (None if seconds is None else pytest.approx(seconds))


def test_moments_of_a_reset() -> None:
    in_a_minute = time.time() + 60
    for told in (f"{in_a_minute:.0f}", f"{1000 * in_a_minute:.0f}"):
        assert seconds_until(told) == pytest.approx(60, abs=5)
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(in_a_minute))
    assert seconds_until(iso) == pytest.approx(60, abs=5)


# --- with a provider or a server --------------------------------------------------------------


def limits(outcome: Outcome) -> list[int]:
    return [change.limit for change in outcome.limits["m"]]


def test_auto_begins_low_and_grows_while_the_model_is_well(store: Store) -> None:
    events: list[Event] = []
    provider = MockProvider("mock/echo?latency_ms=20")
    options = replace(QUICK, concurrency="auto")
    outcome = run(asks(700), store, provider, options, on_event=events.append)
    assert outcome.complete
    assert limits(outcome)[:2] == [AUTO_START, 2 * AUTO_START]
    told = [(e.limit, e.message) for e in events if e.kind == "limit"]
    assert told == [(change.limit, change.reason) for change in outcome.limits["m"]]


def test_auto_keeps_to_what_a_provider_can_use(store: Store) -> None:
    provider = Scripted(lambda request, n: Response("ok", "x"))
    provider.max_concurrency = 2
    outcome = run(asks(200), store, provider, replace(QUICK, concurrency="auto"))
    assert provider.most_in_flight == 2
    assert limits(outcome) == [2]


def test_stored_answers_do_not_touch_the_limit(store: Store) -> None:
    run(asks(500), store)
    outcome = run(asks(501), store, MockProvider(), replace(QUICK, concurrency="auto"))
    assert outcome.models["m"].from_store == 500
    assert limits(outcome) == [AUTO_START]


def test_429_cuts_the_limit_and_the_run_says_so(store: Store) -> None:
    def say(request: Request, n: int) -> Response | Exception:
        return ProviderError("rate_limit", "slow down") if n == 1 else Response("ok", "x")

    records: list[Any] = []
    options = replace(QUICK, concurrency=50)
    outcome = run(asks(300), store, Scripted(say), options, on_log=records.append)
    assert outcome.complete
    assert limits(outcome)[:2] == [50, 40]
    assert "429" in outcome.limits["m"][1].reason
    assert abs(outcome.limits["m"][1].time - time.time()) < 600
    logged = [r["limit"] for r in records if r["event"] == "limit"]
    assert logged == limits(outcome)


def test_retry_after_holds_back_every_request_of_the_model(store: Store) -> None:
    came: list[float] = []

    def handler(seen: Seen) -> Reply:
        came.append(time.monotonic())
        if len(came) == 1:
            return as_json(error_reply("slow down"), 429, Retry_After="0.4")
        return replace(as_json(chat_reply()), delay_s=0.05)

    with serving(handler) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        outcome = run(asks(40), store, provider, replace(QUICK, concurrency=4))
    assert outcome.complete
    assert outcome.models["m"].failed_attempts == {"rate_limit": 1}
    late = [at - came[0] for at in came if 0.2 < at - came[0] < 0.39]
    assert not late, "nothing is sent in the meantime"
    assert sum(at - came[0] < 0.2 for at in came) <= 4


@pytest.mark.parametrize("prefix", ["x-ratelimit-", "anthropic-ratelimit-"])
def test_an_endpoint_that_has_nothing_left_is_not_asked_until_its_reset(
    store: Store, prefix: str
) -> None:
    came: list[float] = []

    def handler(seen: Seen) -> Reply:
        came.append(time.monotonic())
        left = str(max(0, 3 - len(came))) if len(came) < 4 else "100"
        if prefix.startswith("x"):
            headers = {f"{prefix}remaining-requests": left, f"{prefix}reset-requests": "400ms"}
        else:
            reset = time.time() + 0.4
            iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(reset))
            headers = {
                f"{prefix}requests-remaining": left,
                f"{prefix}requests-reset": f"{iso}.{int(reset % 1 * 1000):03}Z",
            }
        return replace(as_json(chat_reply()), headers=headers)

    with serving(handler) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        outcome = run(asks(8), store, provider, replace(QUICK, concurrency=1))
    assert outcome.complete
    assert outcome.models["m"].attempts == 8
    assert came[3] - came[2] > 0.35
    assert came[2] - came[0] < came[3] - came[2]


def test_requests_a_minute_are_spread_over_it(store: Store) -> None:
    provider = Scripted(lambda request, n: Response("ok", "x"))
    came: list[float] = []
    provider.on_ask = lambda: came.append(time.monotonic())
    options = replace(QUICK, concurrency=32, rate_of={"m": Rate(requests=1200)})
    outcome = run(asks(45), store, provider, options)
    assert outcome.complete
    assert came[-1] - came[0] >= 24 / 20, "20 a second, and one second's worth at once"
    assert came[40] - came[20] >= 0.9


def test_tokens_a_minute_count_what_answers_take(store: Store) -> None:
    provider = Scripted(lambda request, n: Response("ok", "x", None, (), 10, 90))
    came: list[float] = []
    provider.on_ask = lambda: came.append(time.monotonic())
    options = replace(QUICK, concurrency=32, rate_of={"m": Rate(tokens=60_000)})
    outcome = run(asks(25), store, provider, options)
    assert outcome.complete
    assert came[-1] - came[0] >= 1.0, "2,500 at 1,000 a second, and one second's worth at once"
