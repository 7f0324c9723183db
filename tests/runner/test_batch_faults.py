"""Batches and what can go wrong with them: lines, whole batches, and the provider itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_bench import QUICK, Bench, all_right, asks, balanced
from batch_server import answer_to, batch_server, text_of
from fake_server import chat_reply, error_reply

from promptlab.errors import UserError
from promptlab.runner.batch import still_out
from promptlab.spec_sending import BatchRunner


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with batch_server() as server:
        yield Bench(server, tmp_path)


# --- failures ---------------------------------------------------------------------------------


def test_failed_lines_are_sent_again_and_counted(bench: Bench) -> None:
    def line(body: Any, n: int) -> Any:
        number = int(text_of(body).split()[1])
        if n > 1 or number >= 5:
            return None
        return [
            (500, error_reply("oops")),
            (429, error_reply("slow down")),
            "missing",
            "server_error",
            (200, {"choices": []}),
        ][number]

    bench.server.line = line
    outcome = bench.run(asks(30))
    counts = outcome.models["m"]
    assert outcome.complete
    assert (counts.answered, counts.attempts) == (30, 35)
    assert counts.failed_attempts == {"server": 2, "rate_limit": 1, "malformed": 2}
    assert Counter(e.kind for e in bench.events) == {"answer": 30, "retry": 5}
    assert {e.ask.tag for e in bench.events if e.kind == "retry"} == {*range(5)}
    stored = bench.stored(asks(30))
    assert Counter(r.attempts for r in stored.values()) == {1: 25, 2: 5}
    assert sorted(bench.server.asked.values()) == [1] * 25 + [2] * 5
    assert outcome.spent["m"].requests == 35


def test_a_line_that_fails_to_the_end_is_recorded_and_asked_again_next_time(bench: Bench) -> None:
    bench.server.line = lambda body, n: (
        (500, error_reply("oops")) if text_of(body) == "question 3" else None
    )
    outcome = bench.run([*asks(9), *asks(9)], options=replace(QUICK, max_attempts=3))
    (failed,) = (a for a in asks(9) if a.tag == 3)
    assert outcome.failures.keys() == {failed.hash}
    failure = outcome.failures[failed.hash]
    assert (failure.status, failure.error, failure.attempts) == (
        "error",
        "server: HTTP 500: oops",
        3,
    )
    assert outcome.models["m"].failed == 2
    assert balanced(outcome.models["m"])
    assert bench.server.asked[failed.hash] == 3
    assert [e.failure for e in bench.events if e.kind == "failed"] == ["server", "server"]
    bench.server.line = lambda body, n: None
    assert bench.run(asks(9)).models["m"].answered == 1


def test_a_refused_line_is_final_and_other_statuses_are_as_usual(bench: Bench) -> None:
    replies: dict[str, Any] = {
        "question 0": (400, error_reply("too long")),
        "question 1": (200, chat_reply("")),
        "question 2": (200, chat_reply("cut", "length")),
        "question 3": (400, error_reply("no", "content_filter")),
        "question 4": (200, chat_reply(None, refusal="I will not")),
    }
    bench.server.line = lambda body, n: replies.get(text_of(body))
    outcome = bench.run(asks(10))
    counts = outcome.models["m"]
    assert counts.statuses == {
        **{"ok": 5, "error": 1, "empty": 1, "truncated": 1, "filtered": 1, "refused": 1}
    }
    assert (counts.answered, counts.failed, counts.attempts) == (8, 2, 10)
    assert {r.status for r in outcome.failures.values()} == {"error", "empty"}
    assert not outcome.stopped
    assert len(bench.stored(asks(10))) == 8
    assert bench.run(asks(10)).models["m"].attempts == 2


def test_when_every_line_is_refused_the_model_stops(bench: Bench) -> None:
    bench.server.looks = 2
    bench.server.line = lambda body, n: (400, error_reply("no parameter top_k"))
    outcome = bench.run(iter(asks(40)), settings=BatchRunner(poll_s=0.01, max_requests=40))
    assert outcome.stopped["m"].kind == "refused"
    assert "top_k" in outcome.stopped["m"].reason
    assert set(bench.server.asked.values()) == {1}


def test_a_line_without_credit_stops_the_model_and_keeps_the_rest(bench: Bench) -> None:
    bench.server.line = lambda body, n: (
        (429, error_reply("pay", "insufficient_quota")) if text_of(body) > "question 5" else None
    )
    outcome = bench.run(asks(10))
    assert outcome.stopped["m"].kind == "quota"
    assert (outcome.models["m"].answered, outcome.models["m"].skipped) == (6, 4)
    assert not outcome.failures


def test_a_request_that_batches_have_no_form_for_fails_alone(bench: Bench) -> None:
    graded = asks(1, start=99, messages=(), prompt="Is it", choices=(" yes", " no"))
    outcome = bench.run([*asks(3), *graded])
    assert (outcome.models["m"].answered, outcome.models["m"].failed) == (3, 1)
    assert "log-probabilities" in (outcome.failures[graded[0].hash].error or "")


def test_an_expired_batch_keeps_what_it_has_and_the_rest_is_sent_anew(bench: Bench) -> None:
    first = True

    def ends(batch: Any) -> tuple[str, int]:
        nonlocal first
        if first:
            first = False
            return "expired", 12
        return "completed", len(batch.lines)

    bench.server.ends = ends
    outcome = bench.run(asks(20))
    assert outcome.complete
    assert all_right(bench, asks(20))
    assert [len(b.lines) for b in bench.server.batches.values()] == [20, 8]
    assert outcome.models["m"].failed_attempts == {"timeout": 8}
    assert outcome.spent["m"].requests == 20, "what expired was never run"


def test_a_cancelled_batch_keeps_what_it_has_and_stops_the_model(bench: Bench) -> None:
    bench.server.ends = lambda batch: ("cancelled", 12)
    outcome = bench.run(asks(20))
    assert "was cancelled at the provider" in outcome.stopped["m"].reason
    assert (outcome.models["m"].answered, outcome.models["m"].skipped) == (12, 8)
    bench.server.ends = lambda batch: ("completed", len(batch.lines))
    assert bench.run(asks(20)).models["m"].answered == 8
    assert all_right(bench, asks(20))


def test_a_batch_refused_for_some_lines_loses_only_those(bench: Bench) -> None:
    bench.server.refuse = lambda batch: (
        [{"code": "invalid_request", "message": "line 3 is bad", "line": 3}]
        if len(batch.lines) == 20
        else []
    )
    outcome = bench.run(asks(20))
    assert (outcome.models["m"].answered, outcome.models["m"].failed) == (19, 1)
    assert outcome.failures.keys() == {asks(20)[2].hash}
    assert set(bench.server.asked.values()) == {1}
    assert outcome.spent["m"].requests == 19


@pytest.mark.parametrize(
    ("code", "kind"), [("model_not_found", "refused"), ("billing_hard_limit_reached", "quota")]
)
def test_a_batch_refused_altogether_stops_the_model(bench: Bench, code: str, kind: str) -> None:
    bench.server.refuse = lambda batch: [{"code": code, "message": "we do not do that"}]
    outcome = bench.run(asks(50))
    assert outcome.stopped["m"].kind == kind
    assert "we do not do that" in outcome.stopped["m"].reason
    assert outcome.models["m"].skipped == 50
    assert not bench.server.asked
    assert outcome.spent["m"].requests == 0
    assert still_out(bench.state) == {}


ENQUEUED = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]


def test_a_batch_waits_while_too_much_of_ours_is_out(bench: Bench) -> None:
    server = bench.server
    server.looks = 3
    server.refuse = lambda batch: ENQUEUED if len(server.live) >= 2 else []
    outcome = bench.run(asks(100))
    assert outcome.complete
    assert all_right(bench, asks(100))
    assert server.calls["upload"] == 5, "the provider has the file already"
    assert server.calls["create"] > 5
    assert bench.logged("held back")
    assert outcome.models["m"].attempts == outcome.spent["m"].requests == 100


def test_a_batch_that_is_too_large_by_itself_is_handed_in_in_parts(bench: Bench) -> None:
    bench.server.refuse = lambda batch: ENQUEUED if len(batch.lines) > 6 else []
    outcome = bench.run(asks(40))
    assert outcome.complete
    assert all_right(bench, asks(40))
    assert outcome.spent["m"].requests == 40
    assert max(len(b.lines) for b in bench.server.batches.values() if b.status != "failed") <= 6


def test_a_provider_that_takes_nothing_is_out_of_quota(bench: Bench) -> None:
    bench.server.refuse = lambda batch: ENQUEUED
    outcome = bench.run(asks(5))
    assert outcome.stopped["m"].kind == "quota"
    assert "Enqueued token limit reached; 5 requests are left" in outcome.stopped["m"].reason
    assert outcome.models["m"].skipped == 5
    assert balanced(outcome.models["m"])


# --- a provider in trouble --------------------------------------------------------------------


def test_looks_that_fail_never_lose_a_batch(bench: Bench) -> None:
    trouble: list[Any] = [(500, {}), (429, {}), "lost", (503, {})]
    bench.server.on_look = lambda n: trouble[n - 1] if n <= 4 else None
    outcome = bench.run(asks(10))
    assert outcome.complete
    assert all_right(bench, asks(10))
    assert len(bench.logged("look failed")) >= 3


def test_files_that_break_off_are_fetched_again(bench: Bench) -> None:
    trouble = ["cut", (500, {}), "lost"]
    bench.server.on_content = lambda n: trouble[n - 1] if n <= 3 else None
    outcome = bench.run(asks(20))
    assert all_right(bench, asks(20))
    assert outcome.models["m"].answered == 20
    assert outcome.spent["m"].tokens == 180, "what came twice is paid for once"
    assert len(bench.logged("collecting failed")) >= 2


def test_a_line_that_stays_torn_is_asked_again(bench: Bench) -> None:
    end = bench.server._end

    def torn(batch: Any) -> None:
        end(batch)
        if batch.id == "batch_1":
            whole = bench.server.files[batch.output_file]
            bench.server.files[batch.output_file] = whole[:-20]

    bench.server._end = torn  # type: ignore[method-assign]
    outcome = bench.run(asks(20), options=replace(QUICK, max_attempts=2))
    assert outcome.complete
    assert sorted(bench.server.asked.values()) == [1] * 19 + [2]


@pytest.mark.parametrize("lost", ["lost", (502, {}), (200, {"hello": 1})])
def test_a_lost_reply_to_a_creation_is_not_paid_for_twice(bench: Bench, lost: Any) -> None:
    bench.server.instead = {2: lost}
    outcome = bench.run(asks(60))
    assert outcome.complete
    assert all_right(bench, asks(60))
    assert len(bench.server.batches) == bench.server.calls["create"] == 3
    assert len(bench.logged("batch found")) == 1


def test_a_creation_that_failed_is_tried_again(bench: Bench) -> None:
    trouble: list[Any] = [(503, {}), (429, error_reply("slow down")), (500, {})]
    bench.server.on_create = lambda n: trouble[n - 1] if n <= 3 else None
    bench.server.on_upload = lambda n: trouble[n - 1] if n <= 3 else None
    assert bench.run(asks(20)).complete
    assert len(bench.server.batches) == 1
    assert all_right(bench, asks(20))


def test_a_batch_that_cannot_be_looked_for_is_not_made_again(bench: Bench) -> None:
    bench.server.on_create = lambda n: "lost" if n == 1 else None
    bench.server.on_list = lambda n: (404, {})
    outcome = bench.run(asks(20))
    assert "may have been created" in outcome.stopped["m"].reason
    assert "batches.json" in outcome.stopped["m"].reason
    assert outcome.models["m"].skipped == 20
    assert len(bench.server.batches) == 1
    bench.server.on_list = lambda n: None
    assert bench.run(asks(20)).models["m"].from_store == 20
    assert all_right(bench, asks(20))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((401, error_reply("who are you")), "refused"),
        ((404, error_reply("no such page")), "refused"),
        ((429, error_reply("pay", "insufficient_quota")), "quota"),
        ((400, error_reply("bad window")), "refused"),
        ((500, {}), "endpoint"),
    ],
)
@pytest.mark.parametrize("where", ["on_upload", "on_create"])
def test_what_the_provider_will_not_take_stops_the_model(
    bench: Bench, where: str, reply: Any, kind: str
) -> None:
    setattr(bench.server, where, lambda n: reply)
    outcome = bench.run(asks(50), options=replace(QUICK, max_attempts=2))
    assert outcome.stopped["m"].kind == kind
    assert Counter(e.kind for e in bench.events) == {"stopped": 1}
    assert (outcome.models["m"].skipped, outcome.models["m"].planned) == (50, 50)
    assert outcome.spent["m"].requests == 0
    assert still_out(bench.state) == {}
    assert bench.left_on_disk() <= {"batches.json"}


def test_a_provider_that_asks_to_come_back_later(bench: Bench) -> None:
    bench.server.on_upload = lambda n: (429, error_reply("tomorrow"), {"Retry-After": "86400"})
    outcome = bench.run(asks(5))
    stop = outcome.stopped["m"]
    assert stop.kind == "quota"
    assert stop.resume_at is not None


def test_a_stopped_model_still_gets_what_is_stored_and_what_is_out(bench: Bench) -> None:
    bench.run(asks(10))
    bench.server.looks = 3
    bench.server.on_create = lambda n: (401, error_reply("revoked")) if n == 3 else None
    outcome = bench.run(asks(60))
    counts = outcome.models["m"]
    assert (counts.from_store, counts.answered, counts.skipped) == (10, 20, 30)
    assert balanced(counts)


def test_a_batch_that_the_provider_does_not_know_is_kept(bench: Bench) -> None:
    bench.server.on_look = lambda n: (404, error_reply("no such batch"))
    outcome = bench.run(asks(20))
    assert "same account" in outcome.stopped["m"].reason
    assert still_out(bench.state) == {"m": (1, 20)}
    bench.server.on_look = lambda n: None
    assert bench.run(asks(20)).models["m"].from_store == 20
    assert all_right(bench, asks(20))


def test_a_silent_provider_is_given_up_and_its_batches_are_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlab.runner.batch.watch._SILENT_S", 0.1)
    bench.server.on_look = lambda n: (500, {})
    outcome = bench.run(asks(20))
    assert outcome.stopped["m"].kind == "endpoint"
    bench.server.on_look = lambda n: None
    assert bench.run(asks(20)).complete
    assert all_right(bench, asks(20))


def test_an_api_that_cannot_be_made_stops_its_model(bench: Bench) -> None:
    def api(label: str) -> Any:
        raise UserError("type: export OPENAI_API_KEY=...")

    bench.api = api
    outcome = bench.run(asks(5))
    assert outcome.stopped["m"].reason == "type: export OPENAI_API_KEY=..."
    assert outcome.models["m"].skipped == 5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_everything_at_once_every_answer_is_right_and_paid_for_once(
    bench: Bench, seed: int
) -> None:
    server, rng = bench.server, random.Random(seed)
    answered: Counter[str] = Counter()
    run = 0

    def line(body: Any, n: int) -> Any:
        nonlocal run
        run += 1
        said = rng.choices(
            [None, "missing", (500, error_reply("oops")), (429, error_reply("slow down"))],
            [85, 3, 10, 2],
        )[0]
        answered[text_of(body)] += said is None
        return said

    def trouble(share: float, *kinds: Any) -> Callable[[int], Any]:
        return lambda n: rng.choice(kinds) if rng.random() < share else None

    server.line, server.looks = line, 2
    server.on_look = trouble(0.15, (500, {}), "lost", (503, {}))
    server.on_content = trouble(0.2, "cut", (500, {}), "lost")
    server.on_upload = trouble(0.15, (500, {}), "lost")
    server.on_create = trouble(0.25, "lost", (500, {}), (429, {}))
    server.on_list = trouble(0.15, (500, {}), "lost")
    server.refuse = lambda batch: ENQUEUED if len(server.live) >= 3 else []
    outcome = bench.run(asks(90), options=replace(QUICK, max_attempts=12))
    assert outcome.complete
    assert answered == {f"question {i}": 1 for i in range(90)}
    assert {k: r.text for k, r in bench.stored(asks(90)).items()} == {
        ask.hash: answer_to(f"question {ask.tag}") for ask in asks(90)
    }
    assert outcome.spent["m"].requests == outcome.models["m"].attempts == run
    assert sum(outcome.models["m"].failed_attempts.values()) == run - 90
    assert not server.live
    assert still_out(bench.state) == {}
