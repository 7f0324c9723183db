"""Runs of batches that end before their time: killed, interrupted, and side by side."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_bench import QUICK, Bench, all_right, asks, child, kill, two_steps
from batch_server import answer_to, batch_server, text_of
from fake_server import error_reply

from promptlab.errors import UserError
from promptlab.providers.openai_compatible import OpenAICompatibleProvider
from promptlab.runner import execute
from promptlab.runner.batch import still_out
from promptlab.runner.records import Budget
from promptlab.store import Store


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with batch_server() as server:
        yield Bench(server, tmp_path)


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def killed_while_out(bench: Bench, wanted: str = "asks(100)") -> None:
    """A process hands in all batches, and is killed while it waits for them."""
    bench.server.hold.set()
    process = child(bench, wanted)
    until(lambda: bench.server.calls["look"] > 12)
    kill(process)
    assert not bench.server.asked
    bench.server.hold.clear()


# --- killed -----------------------------------------------------------------------------------


def test_what_a_killed_process_handed_in_is_collected_and_not_sent_again(bench: Bench) -> None:
    killed_while_out(bench)
    assert still_out(bench.state) == {"m": (5, 100)}
    assert {p.suffix for p in bench.state.iterdir()} == {".json", ".requests"}
    outcome = bench.run(asks(100))
    assert outcome.complete
    assert outcome.models["m"].from_store == 100
    assert outcome.spent["m"].tokens == 900
    assert outcome.spent["m"].requests == 100
    assert all_right(bench, asks(100))
    assert bench.server.calls["create"] == 5
    assert bench.left_on_disk() == {"batches.json"}


def test_killed_at_every_kind_of_moment_every_request_is_run_once(bench: Bench) -> None:
    server, wanted = bench.server, [*asks(100)]
    processes: list[Any] = []

    def killing(moment: int, said: Any = None) -> Callable[[int], Any]:
        def strike(n: int) -> Any:
            if n != moment:
                return None
            os.kill(processes[-1].pid, signal.SIGKILL)
            return said

        return strike

    usual = server.on_look
    moments: list[tuple[str, Callable[[], int], Any]] = [
        ("on_upload", lambda: server.calls["upload"] + 1, None),
        ("on_create", lambda: server.calls["create"] + 1, "lost"),
        ("on_create", lambda: server.calls["create"] + 3, "lost"),
        ("on_upload", lambda: server.calls["upload"] + 1, (500, {})),
        ("on_look", lambda: server.calls["look"] + 4, None),
        ("on_content", lambda: server.calls["content"] + 2, "cut"),
    ]
    server.hold.set()
    for where, moment, said in moments:
        if where == "on_content":
            server.hold.clear()
        setattr(server, where, killing(moment(), said))
        processes.append(child(bench))
        assert processes[-1].wait(20) == -signal.SIGKILL, where
        setattr(server, where, usual)
    outcome = bench.run(wanted)
    assert outcome.complete
    assert all_right(bench, wanted)
    assert bench.left_on_disk() == {"batches.json"}


def test_second_calls_survive_a_kill_too(bench: Bench) -> None:
    killed_while_out(bench, "two_steps(100)")
    outcome = bench.run(two_steps(100))
    assert outcome.models["m"].planned == 200
    assert (outcome.models["m"].from_store, outcome.models["m"].answered) == (100, 100)
    assert set(bench.server.asked.values()) == {1}


def test_attempts_and_budget_go_on_where_a_killed_process_stopped(bench: Bench) -> None:
    bench.server.line = lambda body, n: (
        (500, error_reply("oops")) if text_of(body) == "question 3" else None
    )
    killed_while_out(bench)
    options = replace(QUICK, max_attempts=2, budget=Budget(requests=111))
    outcome = bench.run(asks(120), options=options)
    (failed,) = asks(1, start=3)
    assert bench.server.asked[failed.hash] == 2
    assert outcome.failures[failed.hash].attempts == 2
    assert outcome.stopped["m"].kind == "budget"
    assert outcome.spent["m"].requests == 111
    assert (outcome.models["m"].from_store, outcome.models["m"].answered) == (99, 10)


def test_batches_whose_requests_were_answered_meanwhile_are_collected_and_kept_apart(
    bench: Bench,
) -> None:
    killed_while_out(bench)
    provider = OpenAICompatibleProvider("openai/m", bench.server.base)
    with Store(bench.store_path) as store:
        asyncio.run(execute({"m": asks(50)}, store=store, provider_for=lambda label: provider))
    outcome = bench.run(asks(100))
    assert outcome.complete
    assert still_out(bench.state) == {}
    assert outcome.spent["m"].tokens == 900, "paid for, whether it was needed or not"
    assert all_right(bench, asks(100))


def test_a_file_of_requests_that_is_gone_is_told(bench: Bench) -> None:
    killed_while_out(bench)
    whole = (bench.state / "2.requests").read_bytes()
    (bench.state / "2.requests").unlink()
    with pytest.raises(UserError, match=r"2\.requests cannot be read"):
        bench.run(asks(100))
    (bench.state / "2.requests").write_bytes(b"torn" + whole[:7])
    with pytest.raises(UserError, match=r"2\.requests cannot be read \(it is damaged"):
        bench.run(asks(100))
    (bench.state / "2.requests").write_bytes(whole)
    assert bench.run(asks(100)).complete
    assert all_right(bench, asks(100))


# --- interrupted ------------------------------------------------------------------------------


async def _interrupted(bench: Bench, when: Callable[[], Any], **more: Any) -> None:
    with Store(bench.store_path) as store:
        task = asyncio.create_task(bench.coroutine(asks(100), store, **more))
        while not when():
            assert not task.done(), task
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_an_interrupted_run_leaves_its_batches_and_says_so(bench: Bench) -> None:
    bench.server.hold.set()
    asyncio.run(_interrupted(bench, lambda: bench.server.calls["look"] > 6))
    (event,) = bench.events
    assert event.kind == "stopped"
    assert event.message == (
        "5 batches of 100 requests left with the provider, which works on; "
        "the same command collects them"
    )
    assert bench.logged("left")[0]["requests"] == 100
    assert still_out(bench.state) == {"m": (5, 100)}
    bench.server.hold.clear()
    assert bench.run(asks(100)).complete
    assert all_right(bench, asks(100))


def test_an_upload_is_not_waited_for_when_a_run_is_interrupted(bench: Bench) -> None:
    gate = {"open": False}

    def slow(n: int) -> None:
        until(lambda: n < 3 or gate["open"])

    bench.server.on_upload = slow
    outcome: Any = {}
    started = time.monotonic()

    async def go() -> None:
        from promptlab.runner import Outcome

        outcome["is"] = Outcome()
        await _interrupted(bench, lambda: bench.server.calls["upload"] == 3, outcome=outcome["is"])

    try:
        asyncio.run(go())
    finally:
        gate["open"] = True
    assert time.monotonic() - started < 10
    assert outcome["is"].spent["m"].requests == 40, "only what was handed in"
    assert bench.run(asks(100)).complete
    assert all_right(bench, asks(100))


def test_ctrl_c_ends_a_real_process_promptly(bench: Bench) -> None:
    bench.server.hold.set()
    process = child(bench)
    until(lambda: bench.server.calls["look"] > 6)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) != 0
    assert still_out(bench.state) == {"m": (5, 100)}
    bench.server.hold.clear()
    assert bench.run(asks(100)).models["m"].from_store == 100
    assert all_right(bench, asks(100))


# --- side by side -----------------------------------------------------------------------------


def test_what_is_out_is_claimed_while_the_process_lives(bench: Bench) -> None:
    bench.server.hold.set()
    keys = [ask.hash for ask in asks(100)]

    async def go() -> None:
        with Store(bench.store_path) as store, Store(bench.store_path) as other:
            task = asyncio.create_task(bench.coroutine(asks(100), store))
            while bench.server.calls["look"] < 5:
                await asyncio.sleep(0.005)
            assert other.claim_many(keys).busy == {*keys}
            task.cancel()
            await asyncio.wait({task})
            assert other.claim_many(keys).granted == {*keys}
            other.release_all()
            # Whoever takes the batches up claims what is in them.
            bench.log.clear()
            task = asyncio.create_task(bench.coroutine(asks(100), store))
            while not bench.logged("batches"):
                await asyncio.sleep(0.005)
            assert other.claim_many(keys).busy == {*keys}
            bench.server.hold.clear()
            assert (await task).complete

    asyncio.run(go())
    assert all_right(bench, asks(100))


def test_two_runs_at_once_pay_once(bench: Bench, tmp_path: Path) -> None:
    bench.server.hold.set()
    second = Bench(bench.server, tmp_path)
    second.state = tmp_path / "others"

    async def go() -> None:
        with Store(bench.store_path) as one, Store(bench.store_path) as two:
            runs = [
                asyncio.create_task(bench.coroutine(asks(60), one)),
                asyncio.create_task(second.coroutine(asks(80, start=20), two)),
            ]
            while bench.server.calls["create"] < 5:
                await asyncio.sleep(0.005)
            bench.server.hold.clear()
            outcomes = await asyncio.gather(*runs)
        assert all(outcome.complete for outcome in outcomes)
        counts = [outcome.models["m"] for outcome in outcomes]
        assert counts[0].answered + counts[1].answered == 100
        assert counts[0].from_store + counts[1].from_store == 40

    asyncio.run(go())
    assert all_right(bench, asks(100))


def test_what_another_process_was_getting_is_taken_over_when_it_dies(bench: Bench) -> None:
    bench.server.hold.set()
    process = child(bench)
    until(lambda: bench.server.calls["look"] > 6)
    second = Bench(bench.server, bench.folder)
    second.state = bench.folder / "others"

    async def go() -> Any:
        with Store(bench.store_path) as store:
            task = asyncio.create_task(second.coroutine(asks(100), store))
            await asyncio.wait({task}, timeout=0.2)
            assert bench.server.calls["create"] == 5, "it waits"
            process.kill()
            process.wait(10)
            bench.server.hold.clear()
            return await task

    outcome = asyncio.run(go())
    assert outcome.complete
    texts = {r.text for r in bench.stored(asks(100)).values()}
    assert texts == {answer_to(f"question {i}") for i in range(100)}
