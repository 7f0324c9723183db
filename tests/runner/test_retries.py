"""Which failures are tried again, which are final, and what a model stops for."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from fake_server import Reply, Seen, as_json, chat_reply, error_reply, serving
from runner_kit import QUICK, Scripted, asks, balanced, run

from promptlab.errors import ProviderError
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.runner import Event, RunnerOptions
from promptlab.store import Store
from promptlab.types import Request, Response

AGAIN = [
    *((status, as_json(error_reply("later"), status)) for status in (408, 409, 425, 429)),
    *((status, as_json(error_reply("oops"), status)) for status in (500, 502, 503, 504, 529)),
    ("reset", Reply(reset=True)),
    ("short", Reply(b'{"choices": []}' * 9, cut=True)),
    ("no JSON", Reply(b"half of a JS")),
    ("late", Reply(b"{}", delay_s=3.0)),
]


@pytest.mark.parametrize("reply", [r for _, r in AGAIN], ids=[str(name) for name, _ in AGAIN])
def test_what_may_pass_is_tried_again(store: Store, reply: Reply) -> None:
    def handler(seen: Seen) -> Reply:
        return reply if len(server.seen) <= 2 else as_json(chat_reply())

    events: list[Event] = []
    with serving(handler) as server:
        # On a busy machine a good answer is late, too: only what has to be late gets little time.
        timeout_s = 1.0 if reply.delay_s else 30.0
        provider = OpenAICompatibleProvider("openai/m", server.base, timeout_s=timeout_s)
        options = replace(QUICK, concurrency=1)
        outcome = run(asks(1), store, provider, options, on_event=events.append)
        assert len(server.seen) == 3
    counts = outcome.models["m"]
    assert outcome.complete
    assert (counts.attempts, counts.failed_attempts.total()) == (3, 2)
    retries = [e for e in events if e.kind == "retry"]
    assert [e.failure for e in retries] == [*counts.failed_attempts.elements()]
    assert all(e.message for e in retries)


@pytest.mark.parametrize(
    ("status", "kind", "stops"),
    [
        (400, "bad_request", False),
        (422, "bad_request", False),
        (401, "auth", True),
        (403, "auth", True),
        (404, "not_found", True),
        (402, "quota", True),
    ],
)
def test_what_is_final_is_not_and_has_the_providers_own_words(
    store: Store, status: int, kind: str, stops: bool
) -> None:
    events: list[Event] = []
    with serving(as_json(error_reply("the provider's own words"), status)) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        options = replace(QUICK, concurrency=1)
        outcome = run(asks(3), store, provider, options, on_event=events.append)
        sent = len(server.seen)
    counts = outcome.models["m"]
    assert counts.failed_attempts == {kind: sent}
    if stops:
        assert sent == 1
        assert "the provider's own words" in outcome.stopped["m"].reason
        assert (counts.failed, counts.skipped) == (0, 3)
    else:
        assert sent == 3
        assert not outcome.stopped
        assert all("the provider's own words" in str(r.error) for r in outcome.failures.values())
        assert [e.failure for e in events if e.kind == "failed"] == [kind] * 3
    assert not [e for e in events if e.kind == "retry"]
    assert balanced(counts)


def test_attempts_are_bounded(store: Store) -> None:
    provider = Scripted(lambda request, n: ProviderError("timeout", "slow"))
    options = replace(QUICK, max_attempts=4, breaker=10**6)
    events: list[Event] = []
    outcome = run(asks(30), store, provider, options, on_event=events.append)
    assert set(provider.attempts.values()) == {4}
    assert {r.attempts for r in outcome.failures.values()} == {4}
    assert Counter(e.failure for e in events) == {"timeout": 120, None: 1}


def test_a_request_that_waits_leaves_its_place_to_others(store: Store) -> None:
    def say(request: Request, n: int) -> Response | Exception:
        first = "word 0\n" in request.messages[0].content
        return ProviderError("malformed", "half") if first and n == 1 else Response("ok", "x")

    landed: list[Any] = []
    options = replace(QUICK, concurrency=1, first_wait_s=0.3)
    outcome = run(
        asks(20),
        store,
        Scripted(say),
        options,
        on_event=lambda e: landed.append(e.ask.tag) if e.ask and e.kind == "answer" else None,
    )
    assert outcome.complete
    assert landed[-1] == 0


# --- out of quota -----------------------------------------------------------------------------

GOOGLE = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
        ],
    }
}
RESET_MS = 4_102_444_800_000
OPENROUTER = {
    "error": {
        "message": "Rate limit exceeded: free-models-per-day. Add credits to unlock more",
        "code": 429,
        "metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{RESET_MS}"}},
    }
}


@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        (as_json(error_reply("You are out", "insufficient_quota"), 429), None),
        (as_json(error_reply("Limit 200 requests per day (RPD): used 200"), 429), None),
        (as_json(error_reply("tokens per day (TPD). Please try again in 1h2m0s."), 429), 3720),
        (as_json(error_reply("You have reached your daily limit; try again in 6h"), 429), 21_600),
        (as_json(error_reply("slow down"), 429, Retry_After="7200"), 7200),
        (
            as_json(
                error_reply("slow down"),
                429,
                x_ratelimit_remaining_tokens="0",
                x_ratelimit_reset_tokens="3h0m0s",
            ),
            10_800,
        ),
        (as_json(GOOGLE, 429), None),
        (as_json(OPENROUTER, 429), RESET_MS / 1000 - time.time()),
    ],
    ids=[
        *("credit", "requests a day", "tokens a day", "daily", "retry-after", "reset"),
        *("google", "openrouter"),
    ],
)
def test_an_exhausted_quota_stops_the_model_and_says_when_to_come_back(
    store: Store, reply: Reply, wait_s: float | None
) -> None:
    def handler(seen: Seen) -> Reply:
        return as_json(chat_reply()) if len(server.seen) <= 5 else reply

    with serving(handler) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        outcome = run(asks(100), store, provider, replace(QUICK, concurrency=2))
    stop, counts = outcome.stopped["m"], outcome.models["m"]
    assert stop.kind == "quota"
    assert (counts.answered, counts.failed, counts.skipped) == (5, 0, 95)
    assert counts.attempts <= 7
    assert "the same command goes on" in stop.reason
    assert stop.reason.endswith("95 requests are left to ask")
    if wait_s is None:
        assert stop.resume_at is None
    else:
        longest = 366 * 86_400
        assert stop.resume_at == pytest.approx(time.time() + min(wait_s, longest), abs=60)
        assert " UTC on" in stop.reason


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached on requests per min (RPM). Please try again in 100ms. Visit", 0.1),
        ("Requests have exceeded the call rate limit. Please retry after 1 second.", 1.0),
    ],
)
def test_a_rate_limit_in_words_is_waited_for(store: Store, words: str, seconds: float) -> None:
    def handler(seen: Seen) -> Reply:
        came.append(time.monotonic())
        if len(came) == 1:
            return as_json(error_reply(words), 429)
        return as_json(chat_reply())

    came: list[float] = []
    with serving(handler) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        outcome = run(asks(3), store, provider, replace(QUICK, concurrency=1))
    assert outcome.complete
    assert came[1] - came[0] >= seconds - 0.01


def test_googles_limit_a_minute_is_not_its_quota_of_the_day(store: Store) -> None:
    minute = {
        "error": GOOGLE["error"]
        | {"details": [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}]}
    }

    def handler(seen: Seen) -> Reply:
        return as_json(minute, 429) if len(server.seen) == 1 else as_json(chat_reply())

    with serving(handler) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        assert run(asks(3), store, provider).complete


def test_a_server_that_is_away_for_hours_stops_the_model(store: Store) -> None:
    with serving(as_json(error_reply("maintenance"), 503, Retry_After="9000")) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        outcome = run(asks(50), store, provider, RunnerOptions(concurrency=2))
        assert len(server.seen) <= 2
    stop = outcome.stopped["m"]
    assert stop.kind == "endpoint"
    assert stop.resume_at == pytest.approx(time.time() + 9000, abs=60)


# --- who answered -----------------------------------------------------------------------------


def test_names_of_the_models_that_answered_are_counted(store: Store) -> None:
    def handler(seen: Seen) -> Reply:
        return as_json(chat_reply() | {"model": "other" if "word 1" in seen.text else "asked"})

    with serving(handler) as server:
        provider = OpenAICompatibleProvider("openai/m", server.base)
        assert run(asks(20), store, provider).served == {"m": {"asked": 9, "other": 11}}
        again = run(asks(20), store, provider)
    assert not again.served["m"], "answers from the store were seen when they were new"
