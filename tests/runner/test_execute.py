from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import (
    Reply,
    Seen,
    as_json,
    chat_reply,
    error_reply,
    free_port,
    mock_server,
    serving,
)
from runner_kit import KEY, QUICK, Scripted, asks, balanced, run, texts, told

from promptlab.errors import ProviderError, StoreError, UserError
from promptlab.keys import request_hash
from promptlab.providers import Provider, make_provider
from promptlab.providers.mock import MockProvider
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.runner import (
    Ask,
    Counts,
    Event,
    JsonlLog,
    Outcome,
    RunnerOptions,
    Stop,
    engine,
    execute,
)
from promptlab.store import Store
from promptlab.types import Message, Request, Response

# --- the usual course -------------------------------------------------------------------------


def test_every_ask_is_answered_once_and_again_is_free(store: Store) -> None:
    provider = MockProvider("mock/echo")
    events: list[Event] = []
    outcome = run(asks(1500), store, provider, on_event=events.append)
    counts = outcome.models["m"]
    assert outcome.complete
    assert (counts.planned, counts.answered, counts.attempts) == (1500, 1500, 1500)
    assert counts.statuses == {"ok": 1500}
    assert counts.prompt_tokens > 0
    assert texts(store, asks(1500)) == {a.hash: f"word {a.tag}" for a in asks(1500)}
    assert sorted(e.ask.tag for e in events if e.ask and e.kind == "answer") == [*range(1500)]
    assert sum(e.tokens for e in events) == counts.prompt_tokens + counts.completion_tokens

    events.clear()
    outcome = run(asks(1500), store, lambda label: pytest.fail("nothing is left to ask"))
    assert outcome.models["m"].from_store == 1500
    outcome = run(asks(1501), store, provider, on_event=events.append)
    assert (outcome.models["m"].from_store, outcome.models["m"].answered) == (1500, 1)
    assert told(events) == {"hit": 1500, "answer": 1}


def test_an_empty_plan(store: Store) -> None:
    assert run([], store).models["m"] == Counts()


def test_models_run_side_by_side_within_their_limits(store: Store) -> None:
    providers = {name: Scripted(lambda request, n: Response("ok", "x")) for name in "abc"}
    providers["c"].max_concurrency = 2
    options = replace(QUICK, concurrency=6, concurrency_of={"b": 4})
    streams: dict[str, Iterable[Ask]] = {name: asks(200, name) for name in "abc"}
    outcome = run(streams, store, providers.__getitem__, options)
    assert {name: c.answered for name, c in outcome.models.items()} == dict.fromkeys("abc", 200)
    assert {name: p.most_in_flight for name, p in providers.items()} == {"a": 6, "b": 4, "c": 2}
    assert all(p.closed == 1 for p in providers.values())


def test_the_stream_is_read_no_further_than_needed(store: Store) -> None:
    pulled = answered = most_ahead = 0

    def stream() -> Iterator[Ask]:
        nonlocal pulled, most_ahead
        for ask in asks(3000):
            pulled += 1
            most_ahead = max(most_ahead, pulled - answered)
            yield ask

    def count(event: Event) -> None:
        nonlocal answered
        answered += event.kind == "answer"

    run(stream(), store, on_event=count, options=replace(QUICK, look_up=100))
    assert answered == 3000
    assert most_ahead <= 100 + 3 * QUICK.concurrency


def test_the_same_request_is_sent_once(store: Store) -> None:
    provider = Scripted(lambda request, n: Response("ok", "x"))
    twice = [ask for ask in asks(300) for _ in range(2)]
    outcome = run([*twice, *asks(300)], store, provider, options=replace(QUICK, look_up=50))
    counts = outcome.models["m"]
    assert set(provider.attempts.values()) == {1}
    assert (counts.planned, counts.answered) == (900, 300)
    assert balanced(counts)


def test_the_same_request_under_two_labels_is_sent_once(store: Store) -> None:
    provider = Scripted(lambda request, n: Response("ok", "x"))
    outcome = run({"one": asks(100), "two": asks(100)}, store, provider)
    assert set(provider.attempts.values()) == {1}
    assert sum(c.answered for c in outcome.models.values()) == 100
    assert outcome.complete


def test_replicates_have_answers_of_their_own(store: Store) -> None:
    wanted = []
    for r in range(3):
        request = replace(asks(1)[0].request, replicate=r)
        wanted.append(Ask("m", request, request_hash(request)))
    outcome = run(wanted, store, MockProvider("mock/words?n=5"))
    assert outcome.models["m"].answered == 3
    assert len(set(texts(store, wanted).values())) == 3


def test_a_second_call_is_made_of_the_first_answer(store: Store) -> None:
    def with_second(ask: Ask) -> Ask:
        def second(response: Response) -> Ask:
            messages = (*ask.request.messages, Message("user", f"So? {response.text}"))
            request = replace(ask.request, messages=messages)
            return Ask(ask.model, request, request_hash(request), tag=("second", ask.tag))

        return replace(ask, follow_up=second)

    provider = MockProvider("mock/echo")
    events: list[Event] = []
    outcome = run(map(with_second, asks(700)), store, provider, on_event=events.append)
    assert outcome.models["m"].planned == outcome.models["m"].answered == 1400
    seconds = {e.ask.tag[1]: e for e in events if e.ask and isinstance(e.ask.tag, tuple)}
    assert len(seconds) == 700
    assert all(e.response and f"word {i}" in e.response.text for i, e in seconds.items())
    again = run(map(with_second, asks(700)), store, provider)
    assert again.models["m"].from_store == 1400

    empty = MockProvider("mock/constant:")
    outcome = run(map(with_second, asks(3, start=5000)), store, empty)
    assert outcome.models["m"].planned == 3, "nothing follows from no answer"


# --- store modes ------------------------------------------------------------------------------


def test_refresh_asks_again_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run(asks(300), store, MockProvider("mock/constant:old"))
    with Store(path, "refresh") as store:
        provider = Scripted(lambda request, n: Response("ok", "new"))
        outcome = run([*asks(300), *asks(300)], store, provider, replace(QUICK, look_up=64))
        assert outcome.models["m"].answered == 300
        assert set(provider.attempts.values()) == {1}
    with Store(path) as store:
        assert set(texts(store, asks(300)).values()) == {"new"}


def test_a_failed_refresh_keeps_the_old_answer(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run(asks(3), store, MockProvider("mock/constant:old"))
    with Store(path, "refresh") as store:
        run(asks(3), store, Scripted(lambda request, n: ProviderError("bad_request", "no")))
    with Store(path) as store:
        assert set(texts(store, asks(3)).values()) == {"old"}


def test_off_neither_reads_nor_writes(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run(asks(10), store, MockProvider("mock/constant:old"))
    before = path.read_bytes()
    with Store(path, "off") as store:
        provider = Scripted(lambda request, n: Response("ok", "new"))
        outcome = run([*asks(20), *asks(20)], store, provider)
        assert outcome.models["m"].answered == 20
        assert set(texts(store, asks(20)).values()) == {"new"}, "kept while it is open"
    assert path.read_bytes() == before


def test_replay_asks_nobody_and_a_miss_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run(asks(600), store)
    nobody: Callable[[str], Provider] = lambda label: pytest.fail("asked")  # noqa: E731
    with Store(path, "replay") as store:
        assert run(asks(600), store, nobody).models["m"].from_store == 600
        missing = asks(1, start=600)
        with pytest.raises(StoreError, match=rf"replay.*{missing[0].hash}.*store: use"):
            run(asks(601), store, nobody)


# --- failures ---------------------------------------------------------------------------------


def test_what_may_pass_is_tried_again(store: Store) -> None:
    kinds = ["rate_limit", "server", "timeout", "connection", "malformed"]

    def say(request: Request, n: int) -> Response | Exception:
        if n <= len(kinds):
            return ProviderError(kinds[n - 1], "try again")  # type: ignore[arg-type]
        return Response("ok", "x")

    events: list[Event] = []
    outcome = run(asks(2), store, Scripted(say), on_event=events.append)
    counts = outcome.models["m"]
    assert (counts.answered, counts.attempts) == (2, 12)
    assert counts.failed_attempts == dict.fromkeys(kinds, 2)
    assert told(events) == {"retry": 10, "answer": 2}
    found = store.get_many([a.hash for a in asks(2)])
    assert {r.attempts for r in found.values()} == {6}


def test_a_request_that_fails_to_the_end_is_recorded_and_asked_again_next_time(
    store: Store,
) -> None:
    def say(request: Request, n: int) -> Response | Exception:
        if "word 3" in request.messages[0].content:
            return ProviderError("server", "down")
        return Response("ok", "x")

    options = replace(QUICK, max_attempts=3)
    events: list[Event] = []
    twice = [*asks(9), *asks(9)]
    outcome = run(twice, store, Scripted(say), options, on_event=events.append)
    (failed,) = (a for a in asks(9) if a.tag == 3)
    assert not outcome.complete
    assert outcome.failures.keys() == {failed.hash}
    failure = outcome.failures[failed.hash]
    assert (failure.status, failure.text, failure.attempts) == ("error", "", 3)
    assert failure.error == "server: down"
    assert outcome.models["m"].failed == 2, "both asks that wanted it"
    assert balanced(outcome.models["m"])
    assert [e.ask.tag for e in events if e.ask and e.kind == "failed"] == [3, 3]
    assert failed.hash not in texts(store, asks(9))
    outcome = run(asks(9), store, MockProvider("mock/echo"))
    assert outcome.models["m"].answered == 1


def test_an_empty_answer_is_recorded_not_repeated_and_asked_again_next_time(store: Store) -> None:
    provider = Scripted(lambda request, n: Response("empty", prompt_tokens=5))
    events: list[Event] = []
    outcome = run([*asks(40), *asks(40)], store, provider, on_event=events.append)
    assert sum(e.tokens for e in events) == 200, "paid for once, though nothing was in it"
    assert set(provider.attempts.values()) == {1}
    assert {r.status for r in outcome.failures.values()} == {"empty"}
    assert outcome.models["m"].failed == 80
    assert not outcome.stopped, "an empty answer is an answer: the endpoint works"
    assert run(asks(40), store, MockProvider("mock/echo")).models["m"].answered == 40


@pytest.mark.parametrize("status", ["truncated", "refused", "filtered"])
def test_other_complete_answers_are_kept(store: Store, status: Any) -> None:
    outcome = run(asks(3), store, Scripted(lambda request, n: Response(status, "x")))
    assert outcome.complete
    assert outcome.models["m"].statuses == {status: 3}
    assert run(asks(3), store).models["m"].from_store == 3


def test_a_bad_request_fails_alone_and_is_not_repeated(store: Store) -> None:
    def say(request: Request, n: int) -> Response | Exception:
        index = int(request.messages[0].content.split("word ")[1].split("\n")[0])
        return Response("ok", "x") if index < 5 else ProviderError("bad_request", "too long")

    provider = Scripted(say)
    outcome = run(asks(100), store, provider, replace(QUICK, concurrency=1))
    assert set(provider.attempts.values()) == {1}
    assert (outcome.models["m"].answered, outcome.models["m"].failed) == (5, 95)
    assert not outcome.stopped


def test_when_every_request_is_bad_the_model_stops(store: Store) -> None:
    provider = Scripted(lambda request, n: ProviderError("bad_request", "no parameter top_k"))
    outcome = run(asks(1000), store, provider)
    assert outcome.stopped["m"].kind == "refused"
    assert "top_k" in outcome.stopped["m"].reason
    assert sum(provider.attempts.values()) < 60
    assert balanced(outcome.models["m"])


@pytest.mark.parametrize(
    ("kind", "stop"), [("auth", "refused"), ("not_found", "refused"), ("quota", "quota")]
)
def test_a_fatal_error_stops_that_model_with_one_message(
    store: Store, kind: Any, stop: str
) -> None:
    bad = Scripted(lambda request, n: ProviderError(kind, "that is final"))
    good = MockProvider("mock/echo")
    events: list[Event] = []
    outcome = run(
        {"bad": asks(500, "bad"), "good": asks(500, "good")},
        store,
        {"bad": bad, "good": good}.__getitem__,
        on_event=events.append,
    )
    assert outcome.stopped.keys() == {"bad"}
    assert outcome.stopped["bad"].kind == stop
    assert outcome.stopped["bad"].reason.startswith(f"{kind}: that is final")
    assert sum(bad.attempts.values()) <= QUICK.concurrency
    assert told(events) == {"stopped": 1, "answer": 500}
    assert outcome.models["bad"].skipped == 500
    assert outcome.models["good"].answered == 500
    assert not outcome.complete


def test_a_stopped_model_still_gets_what_is_stored(store: Store) -> None:
    run(asks(300, start=200), store)
    bad = Scripted(lambda request, n: ProviderError("quota", "no credit"))
    outcome = run(asks(500), store, bad)
    counts = outcome.models["m"]
    assert (counts.from_store, counts.skipped, counts.planned) == (300, 200, 500)


def test_a_provider_that_cannot_be_made_stops_its_model(store: Store) -> None:
    def provider_for(label: str) -> Provider:
        if label == "bad":
            raise UserError("type: pip install something")
        return MockProvider()

    streams: dict[str, Iterable[Ask]] = {"bad": asks(600, "bad"), "m": asks(5)}
    outcome = run(streams, store, provider_for)
    assert outcome.stopped == {"bad": Stop("refused", "type: pip install something")}
    assert outcome.models["bad"].skipped == 600
    assert outcome.models["m"].answered == 5


def test_a_dead_endpoint_stops_promptly(store: Store) -> None:
    base = f"http://127.0.0.1:{free_port()}/v1"
    started = time.monotonic()
    outcome = run(
        asks(5000), store, OpenAICompatibleProvider("openai/m", base), RunnerOptions(concurrency=32)
    )
    assert time.monotonic() - started < 5
    assert outcome.stopped["m"].kind == "endpoint"
    assert f"cannot connect to {base}" in outcome.stopped["m"].reason
    assert outcome.models["m"].attempts < 100
    assert outcome.models["m"].skipped == 5000


def test_one_request_at_a_time_notices_a_dead_endpoint_too(store: Store) -> None:
    base = f"http://127.0.0.1:{free_port()}/v1"
    provider = OpenAICompatibleProvider("openai/m", base)
    outcome = run(asks(50), store, provider, replace(QUICK, concurrency=1, max_attempts=2))
    assert "cannot be reached" in outcome.stopped["m"].reason
    assert outcome.models["m"].attempts <= 5


def test_an_endpoint_that_dies_stops_after_failures_in_a_row(store: Store) -> None:
    count = 0

    def say(request: Request, n: int) -> Response | Exception:
        nonlocal count
        count += 1
        return Response("ok", "x") if count <= 100 else ProviderError("server", "gone")

    outcome = run(asks(1000), store, Scripted(say))
    stop = outcome.stopped["m"]
    assert stop.kind == "endpoint"
    assert "20 attempts in a row failed" in stop.reason
    assert "the last with server: gone" in stop.reason
    assert 100 < count < 160
    assert outcome.models["m"].answered == 100


def test_rate_limits_do_not_stop_a_model(store: Store) -> None:
    def say(request: Request, n: int) -> Response | Exception:
        return Response("ok", "x") if n > 2 else ProviderError("rate_limit", "slow down")

    outcome = run(asks(100), store, Scripted(say), replace(QUICK, concurrency=64))
    assert outcome.complete


def test_the_provider_says_how_long_to_wait(store: Store) -> None:
    def handler(seen: Seen) -> Reply:
        if len(server.seen) == 1:
            return as_json(error_reply("slow down"), 429, Retry_After="0.3")
        return as_json(chat_reply())

    with serving(handler) as server:
        started = time.monotonic()
        provider = OpenAICompatibleProvider("openai/m", server.base)
        assert run(asks(1), store, provider).complete
        assert 0.28 < time.monotonic() - started < 2


def test_a_wait_of_hours_stops_the_model(store: Store) -> None:
    limited = ProviderError("rate_limit", "daily limit", retry_after=7200)
    outcome = run(asks(200), store, Scripted(lambda request, n: limited))
    stop = outcome.stopped["m"]
    assert stop.kind == "quota"
    assert stop.resume_at == pytest.approx(time.time() + 7200, abs=60)
    assert "asks to wait 7200 s; the same command goes on from " in stop.reason
    assert stop.reason.endswith(" UTC on; 200 requests are left to ask")


def test_time_for_one_request_is_bounded(store: Store) -> None:
    provider = Scripted(lambda request, n: ProviderError("server", "down"))
    options = replace(QUICK, max_attempts=1000, max_wait_s=0.2, breaker=10**6, first_wait_s=0.01)
    started = time.monotonic()
    outcome = run(asks(1), store, provider, options)
    assert time.monotonic() - started < 3
    assert outcome.models["m"].failed == 1


def test_an_attempt_may_be_given_a_time(store: Store) -> None:
    options = replace(QUICK, timeout_s=0.02, max_attempts=2)
    outcome = run(asks(1), store, MockProvider("mock/echo?latency_ms=2000"), options)
    assert outcome.models["m"].failed_attempts == {"timeout": 2}


def test_a_mistake_in_a_provider_is_not_hidden_and_loses_nothing(store: Store) -> None:
    def say(request: Request, n: int) -> Response | Exception:
        return (
            KeyError("a bug") if "word 77" in request.messages[0].content else Response("ok", "x")
        )

    with pytest.raises(KeyError, match="a bug"):
        run(asks(300), store, Scripted(say))
    assert len(texts(store, asks(300))) >= 70


def test_an_error_in_the_plan_lets_what_is_in_flight_land(store: Store) -> None:
    def stream() -> Iterator[Ask]:
        yield from asks(20)
        raise UserError("line 7 is wrong")

    with pytest.raises(UserError, match="line 7"):
        run(stream(), store, MockProvider("mock/echo?latency_ms=50"), replace(QUICK, look_up=10))
    assert len(texts(store, asks(20))) >= 8


# --- interruption -----------------------------------------------------------------------------


def test_cancelling_lands_what_is_in_flight_and_is_raised(store: Store) -> None:
    provider = MockProvider("mock/echo?latency_ms=60")

    async def main() -> None:
        task = asyncio.create_task(
            execute({"m": asks(1000)}, store=store, provider_for=lambda m: provider, options=QUICK)
        )
        await asyncio.sleep(0.2)
        task.cancel()
        await task

    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert time.monotonic() - started < 2
    sent = len(provider.history)
    assert 8 <= sent < 100
    assert len(texts(store, asks(1000))) == sent, "everything sent was saved"
    outcome = run(asks(1000), store, MockProvider("mock/echo"))
    assert outcome.models["m"].from_store == sent
    assert outcome.complete


def test_what_does_not_land_in_time_is_dropped(store: Store) -> None:
    provider = MockProvider("mock/echo?latency_ms=60000")

    async def main() -> None:
        options = replace(QUICK, drain_s=0.1)
        task = asyncio.create_task(
            execute({"m": asks(9)}, store=store, provider_for=lambda m: provider, options=options)
        )
        await asyncio.sleep(0.2)
        task.cancel()
        await task

    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert time.monotonic() - started < 2
    assert store.claim_many([a.hash for a in asks(9)]).granted == {a.hash for a in asks(9)}


class Hanging(MockProvider):
    """Never gets its connections closed."""

    async def close(self) -> None:
        await asyncio.sleep(3600)


@pytest.mark.parametrize("what", ["a provider that does not close", "a slow store"])
def test_an_interrupted_run_ends_in_bounded_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    for name in ("_CLOSE_S", "_SAVE_S", "_RELEASE_S"):
        monkeypatch.setattr(engine, name, 0.2)
    provider = Hanging("mock/echo?latency_ms=10")
    free = threading.Event()
    error: type[BaseException] = asyncio.CancelledError
    if what == "a slow store":
        provider = MockProvider("mock/echo?latency_ms=10")
        put_many = store.put_many

        def slow(*args: Any, **more: Any) -> None:
            free.wait(60)
            put_many(*args, **more)

        monkeypatch.setattr(store, "put_many", slow)
        error = StoreError

    async def main() -> None:
        options = replace(QUICK, drain_s=0.2)
        task = asyncio.create_task(
            execute({"m": asks(900)}, store=store, provider_for=lambda m: provider, options=options)
        )
        while len(provider.history) < 8:
            await asyncio.sleep(0.005)
        task.cancel()
        try:
            await task
        finally:
            ended.append(time.monotonic())

    started, ended = time.monotonic(), list[float]()
    with pytest.raises(error) as raised:
        asyncio.run(main())
    assert ended[0] - started < 5
    if error is StoreError:
        assert "were not saved; the next run takes over" in str(raised.value)
    free.set()


CHILD = """
import asyncio, sys
sys.path[:0] = [{tests!r}, {runner!r}]
from test_execute import *
path, base, n = {path!r}, {base!r}, {n}
def provider(label):
    return OpenAICompatibleProvider("openai/m", base, api_key=KEY)
with Store(path) as store:
    {body}
"""
EXECUTE = "outcome = run(asks(n, endpoint=base), store, provider, replace(QUICK, concurrency=16))"


def child(
    path: Path, base: str, n: int, body: str = EXECUTE + "; print(outcome.models['m'])"
) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    code = textwrap.dedent(CHILD).format(
        tests=str(here.parent), runner=str(here), path=str(path), base=base, n=n, body=body
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_at_once_send_each_request_once(tmp_path: Path) -> None:
    def handler(seen: Seen) -> Reply:
        return replace(as_json(chat_reply(f"answer to {seen.text}")), delay_s=0.01)

    path = tmp_path / "s.sqlite"
    with serving(handler) as server:
        base, n = server.base, 600
        children = [child(path, base, n) for _ in range(2)]
        for process in children:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            assert f"planned={n}" in out
            assert "failed=0, skipped=0" in out
        sent = Counter(seen.text for seen in server.seen)
        with Store(path) as store:
            assert len(texts(store, asks(n, endpoint=base))) == n
    assert len(sent) == n
    assert set(sent.values()) == {1}


def test_kill_minus_nine_then_again_pays_only_what_was_in_flight(tmp_path: Path) -> None:
    def handler(seen: Seen) -> Reply:
        return replace(as_json(chat_reply(f"answer to {seen.text}")), delay_s=0.02)

    path, n = tmp_path / "s.sqlite", 700
    with serving(handler) as server:
        base = server.base
        process = child(path, base, n)
        while len(server.seen) < 300:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        time.sleep(0.1)
        with Store(path) as store:
            had = len(texts(store, asks(n, endpoint=base)))
        process = child(path, base, n)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        with Store(path) as store:
            found = texts(store, asks(n, endpoint=base))
        sent = len(server.seen)
    assert 0 < had < n
    assert f"from_store={had}, answered={n - had}" in out
    assert found == {
        a.hash: f"answer to {a.request.messages[0].content}" for a in asks(n, endpoint=base)
    }
    # What was in flight, and what had come in and was being saved.
    assert sent - n <= 16 + 16


def test_ctrl_c_saves_what_was_in_flight(tmp_path: Path) -> None:
    def handler(seen: Seen) -> Reply:
        return replace(as_json(chat_reply("x")), delay_s=0.1)

    path = tmp_path / "s.sqlite"
    body = f"try:\n        {EXECUTE}\n    except KeyboardInterrupt:\n        print('INTERRUPTED')"
    with serving(handler) as server:
        base = server.base
        process = child(path, base, 2000, body)
        while len(server.seen) < 100:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        sent = len(server.seen)
    assert "INTERRUPTED" in out
    assert not err
    with Store(path) as store:
        assert len(texts(store, asks(2000, endpoint=base))) == sent


def test_a_full_disk_stops_the_run_and_says_what_was_lost(tmp_path: Path) -> None:
    long = "a long answer " * 40

    def handler(seen: Seen) -> Reply:
        return as_json(chat_reply(f"{seen.text} {os.urandom(300).hex()} {long}"))

    path, n = tmp_path / "s.sqlite", 3000
    body = (
        "import resource; limit = resource.RLIM_INFINITY\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, limit))\n"
        "    try:\n"
        f"        {EXECUTE}\n"
        "    except StoreError as error:\n"
        "        print('STOPPED', error)"
    )
    with serving(handler) as server:
        base = server.base
        process = child(path, base, n, body)
        out, err = process.communicate(timeout=60)
        assert "STOPPED" in out, err
        assert "Traceback" not in err
        assert "disk is full" in out
        assert "that had arrived were not saved; the next run takes over" in out
        assert str(path) in out
        lost = int(out.split("on from there. ")[1].split(" answer")[0])
        with Store(path) as store:
            had = len(texts(store, asks(n, endpoint=base)))
            assert lost > 0
            assert 0 < had < n
            assert had <= len(server.seen) <= had + lost + 16, "the journal took a part"
            provider = OpenAICompatibleProvider("openai/m", base)
            outcome = run(asks(n, endpoint=base), store, provider)
            assert outcome.models["m"].from_store == had
            assert outcome.complete


def test_nothing_a_run_leaves_holds_the_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def handler(seen: Seen) -> Reply:
        if len(server.seen) % 3:
            return as_json(error_reply(f"Bearer {KEY} is over its limit", "x"), 429)
        if "word 9" in seen.text:
            return as_json(error_reply(f"key {KEY}"), 400)
        return as_json(chat_reply())

    log = JsonlLog(tmp_path / "log.jsonl")
    events: list[Event] = []
    with serving(handler) as server, Store(tmp_path / "s.sqlite") as store:
        provider = OpenAICompatibleProvider("openai/m", server.base, api_key=KEY)
        options = replace(QUICK, max_attempts=30)
        outcome = run(asks(30), store, provider, options, on_event=events.append, on_log=log)
        log.close()
        assert outcome.failures
        told = f"{outcome} {events} {capfd.readouterr()}"
        files = b"".join(f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())
    assert b"attempt failed" in files
    assert KEY not in told
    assert KEY.encode() not in files
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o077 == 0


# --- against the deterministic server ---------------------------------------------------------


def _against(server: Any, n: int, store: Store, options: RunnerOptions, **more: Any) -> Outcome:
    settings: dict[str, Any] = {"timeout_s": 10.0, **more}
    return run(
        asks(n, endpoint=server.base_url),
        store,
        lambda label: make_provider("openai/m", api_base=server.base_url, **settings),
        options,
    )


def test_every_answer_is_right_under_faults(tmp_path: Path) -> None:
    n, rate = 1200, 0.03
    with mock_server(words=3, retry_after=0.01, hang_s=5) as server:
        with Store(tmp_path / "calm.sqlite") as store:
            assert _against(server, n, store, replace(QUICK, concurrency=64)).complete
            calm = texts(store, asks(n, endpoint=server.base_url))
        server.config(p429=rate, p500=rate, ptimeout=rate, ptrunc=rate, pshort=rate, preset=rate)
        server.reset()
        with Store(tmp_path / "faults.sqlite") as store:
            options = replace(QUICK, concurrency=64, max_attempts=12)
            outcome = _against(server, n, store, options, timeout_s=1.5)
            faulty = texts(store, asks(n, endpoint=server.base_url))
        stats = server.stats()
    counts = outcome.models["m"]
    assert outcome.complete
    assert not outcome.stopped
    assert faulty == calm
    assert len(set(calm.values())) > 100
    assert counts.attempts == stats["requests"]
    assert counts.attempts == n + sum(counts.failed_attempts.values())
    assert set(counts.failed_attempts) == {
        "rate_limit", "server", "timeout", "malformed", "connection",
    }  # fmt: skip


def test_empty_answers_of_the_server_are_recorded(tmp_path: Path) -> None:
    with mock_server(pempty=0.2) as server, Store(tmp_path / "s.sqlite") as store:
        first = _against(server, 300, store, QUICK)
        empty = first.models["m"].failed
        assert 20 < empty < 120
        assert first.models["m"].attempts == 300
        second = _against(server, 300, store, QUICK)
        assert second.models["m"].attempts == empty
