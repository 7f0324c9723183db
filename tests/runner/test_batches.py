from __future__ import annotations

import asyncio
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_bench import QUICK, SETTINGS, Bench, all_right, asks, two_steps
from batch_server import answer_to, batch_server, text_of
from fake_server import error_reply

from promptlab.errors import StoreError, UserError
from promptlab.keys import canonical_request, request_hash
from promptlab.providers.batch_api import batch_api
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.runner import Ask, execute
from promptlab.runner.batch import still_out
from promptlab.runner.batch.state import BatchState, request_from
from promptlab.runner.records import Budget, Spent
from promptlab.spec_sending import BatchRunner
from promptlab.store import Store
from promptlab.types import Message, Request

KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with batch_server() as server:
        yield Bench(server, tmp_path)


# --- the usual course -------------------------------------------------------------------------


def test_every_ask_is_answered_once_and_again_is_free(bench: Bench) -> None:
    outcome = bench.run(asks(50))
    counts = outcome.models["m"]
    assert outcome.complete
    assert all_right(bench, asks(50))
    assert (counts.planned, counts.answered, counts.attempts) == (50, 50, 50)
    assert counts.statuses == {"ok": 50}
    assert (counts.prompt_tokens, counts.completion_tokens) == (350, 100)
    assert outcome.spent["m"] == Spent(0.0, 450, 50)
    assert outcome.served["m"] == {"served-1": 50}
    assert sorted(e.ask.tag for e in bench.events) == [*range(50)]
    assert {e.kind for e in bench.events} == {"answer"}
    assert sum(e.tokens for e in bench.events) == 450
    assert all(e.ask.request == asks(50)[e.ask.tag].request for e in bench.events)
    assert [len(b.lines) for b in bench.server.batches.values()] == [20, 20, 10]
    assert bench.left_on_disk() == {"batches.json"}
    assert still_out(bench.state) == {}

    bench.api = lambda label: pytest.fail("nothing is left to ask")
    assert bench.run(asks(50)).models["m"].from_store == 50


def test_answers_are_those_of_the_normal_path(bench: Bench) -> None:
    bench.run(asks(30))
    provider = OpenAICompatibleProvider("openai/m", bench.server.base)
    with Store(bench.folder / "other.sqlite") as other:
        asyncio.run(execute({"m": asks(30)}, store=other, provider_for=lambda label: provider))
        normal = other.get_many([a.hash for a in asks(30)])
    batched = bench.stored(asks(30))
    without = {"latency_s": None, "created": None}
    assert len(batched) == 30
    assert {k: replace(r, **without) for k, r in batched.items()} == {
        k: replace(r, **without) for k, r in normal.items()
    }


def test_replicates_are_requests_of_their_own_and_equal_asks_are_one(bench: Bench) -> None:
    wanted = [*asks(5), *asks(5, replicate=1), *asks(5)]
    outcome = bench.run(wanted)
    assert (outcome.models["m"].answered, outcome.models["m"].shared) == (10, 5)
    assert bench.server.seen == {f"question {i}": 2 for i in range(5)}
    assert Counter(e.kind for e in bench.events) == {"answer": 10, "hit": 5}


def test_completion_and_chat_go_into_batches_of_their_own(bench: Bench) -> None:
    completion = asks(3, messages=(), prompt="Say: ")[:1]
    outcome = bench.run([*asks(2), *completion, *asks(2, start=2)])
    assert outcome.complete
    assert [b.url for b in bench.server.batches.values()] == [
        *("/v1/chat/completions", "/v1/completions", "/v1/chat/completions")
    ]
    assert bench.stored(completion)[completion[0].hash].text == answer_to("Say: ")


def test_second_calls_are_a_later_round(bench: Bench) -> None:
    outcome = bench.run(two_steps(30))
    counts = outcome.models["m"]
    assert (counts.planned, counts.answered) == (60, 60)
    assert set(bench.server.asked.values()) == {1}
    second = [e.ask for e in bench.events if isinstance(e.ask.tag, tuple)]
    assert {a.tag[1] for a in second} == {*range(30)}
    assert len(bench.stored(second)) == 30
    assert bench.run(two_steps(30)).models["m"].from_store == 60


def test_models_share_a_state_and_a_store(bench: Bench) -> None:
    other = [
        replace(ask, model="n", request=request, hash=request_hash(request))
        for ask in asks(25)
        for request in [replace(ask.request, model="openai/n")]
    ]
    same = [replace(ask, model="o") for ask in asks(25)]
    outcome = bench.run({"m": asks(25), "n": other, "o": same})
    assert outcome.complete
    assert outcome.models["n"].answered == 25
    assert outcome.models["m"].answered + outcome.models["o"].answered == 25
    assert set(bench.server.asked.values()) == {1}
    assert len(bench.server.asked) == 50


def test_a_file_is_no_larger_than_the_provider_takes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlab.runner.batch.run.MOST_BYTES", 2_000)
    bench.run(asks(30), settings=BatchRunner(poll_s=0.01))
    sizes = [len(bench.server.files[b.input_file]) for b in bench.server.batches.values()]
    assert len(sizes) > 3
    assert max(sizes) <= 2_000
    assert all_right(bench, asks(30))


def test_progress_is_logged_at_each_look(bench: Bench) -> None:
    bench.server.looks = 3
    bench.run(asks(50))
    looks = bench.logged("batches")
    assert [(r["batches"], r["requests"], r["completed"]) for r in looks] == [
        (3, 50, 0),
        (3, 50, 0),
        (3, 50, 50),
    ]


@pytest.mark.parametrize("lost", [False, True])
def test_through_litellm(bench: Bench, monkeypatch: pytest.MonkeyPatch, lost: bool) -> None:
    pytest.importorskip("litellm", reason="the extra 'hosted' is not installed")
    monkeypatch.setenv("OPENAI_BASE_URL", bench.server.base)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.api = lambda label: batch_api("openai/m")
    bench.server.on_create = lambda n: "lost" if lost and n == 2 else None
    bench.server.line = lambda body, n: (
        (500, error_reply("oops")) if text_of(body) == "question 3" and n == 1 else None
    )
    outcome = bench.run(asks(50))
    assert outcome.complete
    assert outcome.models["m"].failed_attempts == {"server": 1}
    assert sorted(bench.server.asked.values()) == [1] * 49 + [2]
    assert {r.text for r in bench.stored(asks(50)).values()} == {
        answer_to(f"question {i}") for i in range(50)
    }
    assert len(bench.server.batches) == 4


# --- budgets ----------------------------------------------------------------------------------


def test_a_batch_is_cut_to_what_the_budget_has_room_for(bench: Bench) -> None:
    options = replace(QUICK, budget=Budget(requests=33))
    outcome = bench.run(asks(60), options=options)
    assert outcome.stopped["m"].kind == "budget"
    assert "33 of 33 requests" in outcome.stopped["m"].reason
    assert (outcome.models["m"].answered, outcome.models["m"].skipped) == (33, 27)
    assert [len(b.lines) for b in bench.server.batches.values()] == [20, 13]
    more = bench.run(asks(60), options=replace(options, spent=outcome.spent))
    assert (more.models["m"].from_store, more.models["m"].answered) == (33, 0)
    more = bench.run(asks(60), options=replace(QUICK, spent=more.spent, budget=Budget(requests=60)))
    assert more.complete
    assert more.spent["m"] == Spent(0.0, 540, 60)


def test_tokens_and_dollars_are_foretold_and_what_was_not_used_is_spent_later(
    bench: Bench,
) -> None:
    limited = asks(60, params={"max_tokens": 10})
    for budget in (Budget(tokens=200), Budget(usd=0.02)):
        bench.store_path = bench.folder / f"{budget.usd}.sqlite"
        options = replace(QUICK, price_of={"m": (0.0001, 0.0001)}, budget_of={"m": budget})
        outcome = bench.run(limited, options=options)
        spent = outcome.spent["m"]
        assert outcome.stopped["m"].kind == "budget"
        assert 180 < spent.tokens <= 200
        assert spent.usd == pytest.approx(spent.tokens * 0.0001)
        assert outcome.models["m"].answered == spent.requests == spent.tokens // 9
        (bench.state / "batches.json").unlink()


# --- modes, disk, secrets ---------------------------------------------------------------------


def test_replay_never_touches_the_provider(bench: Bench) -> None:
    bench.run(asks(5))
    calls = dict(bench.server.calls)
    assert bench.run(asks(5), mode="replay").models["m"].from_store == 5
    with pytest.raises(StoreError, match="has no answer to request"):
        bench.run(asks(6), mode="replay")
    assert bench.server.calls == calls


def test_a_store_that_is_off_and_one_that_is_refreshed(bench: Bench) -> None:
    assert bench.run(asks(5), mode="off").models["m"].answered == 5
    assert bench.run(asks(5)).models["m"].answered == 5
    assert bench.run(asks(5), mode="refresh").models["m"].answered == 5
    assert set(bench.server.asked.values()) == {3}


def test_files_are_the_users_alone_and_hold_no_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    seen: dict[str, int] = {}

    def note(n: int) -> Any:
        for path in [bench.state, *bench.state.iterdir()]:
            seen[path.name] = stat.S_IMODE(path.stat().st_mode)
            assert path.is_dir() or KEY.encode() not in path.read_bytes()
        return (401, error_reply(f"Incorrect API key provided: {KEY}")) if n == 4 else None

    bench.server.on_upload = note
    outcome = bench.run(asks(70))
    assert {*seen} >= {"batches", "batches.json", "1.jsonl", "1.requests", "4.jsonl"}
    assert {mode for name, mode in seen.items() if "." in name} == {0o600}
    assert seen["batches"] == 0o700
    assert f"Bearer {KEY}" in bench.server.keys
    assert "Incorrect API key" in outcome.stopped["m"].reason
    assert KEY not in str([outcome, bench.log, bench.events])

    monkeypatch.setenv("OPENAI_API_KEY", "an-unusual-secret")
    bench.server.on_upload = lambda n: None
    bench.server.line = lambda body, n: (400, error_reply("you sent an-unusual-secret"))
    outcome = bench.run(asks(70))
    assert "you sent ***" in str(outcome)
    assert "unusual" not in str([outcome, bench.log, bench.events])


def test_a_damaged_list_of_batches_is_told(bench: Bench) -> None:
    bench.state.mkdir()
    (bench.state / "batches.json").write_text('{"version": 1, "bat')
    with pytest.raises(UserError, match=r"batches\.json cannot be read"):
        bench.run(asks(1))
    (bench.state / "batches.json").write_text('{"version": 9, "name": "", "last": 1, "spent": {}}')
    with pytest.raises(UserError, match="another promptlab"):
        still_out(bench.state)


@pytest.mark.parametrize(
    "request_",
    [
        Request("openai/m", (Message("system", "sé\n"), Message("user", "a")), replicate=3),
        Request("x/y", prompt="p", params={"stop": ["\n"], "seed": 1, "t": 0.5, "n": 1.0}),
        Request("x/y", prompt="", choices=(" a", " b"), endpoint="http://h/v1"),
    ],
)
def test_a_request_is_what_its_canonical_form_says(request_: Request) -> None:
    again = request_from(canonical_request(request_))
    assert again == request_
    assert request_hash(again) == request_hash(request_)
    with pytest.raises(StoreError):
        request_from(canonical_request(request_).replace(b'"model"', b'"modem"'))


def test_numbers_of_batches_are_not_used_twice(tmp_path: Path) -> None:
    state = BatchState(tmp_path)
    assert [state.new_number(), state.new_number()] == [1, 2]
    state.saved()()
    again = BatchState(tmp_path)
    assert (again.new_number(), again.name) == (3, state.name)


def test_asks_come_as_a_stream(bench: Bench) -> None:
    read = 0

    def stream() -> Iterator[Ask]:
        nonlocal read
        for ask in asks(60):
            read += 1
            yield ask

    most_ahead = 0

    def note(n: int) -> None:
        nonlocal most_ahead
        most_ahead = max(most_ahead, read - 20 * (n - 1))

    bench.server.on_upload = note
    bench.run(stream(), options=replace(QUICK, look_up=10), settings=SETTINGS)
    assert most_ahead <= 30
