"""Killed, told to stop, two at once: nothing is lost, and nothing is paid for twice."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from typing import Any

import pytest
from fake_server import mock_server
from lab import MakeLab, assert_same_run, assert_same_tables, ending, wait_until

CONCURRENCY = 16
KILLS, LATE_KILLS = 30, 4


def test_killed_thirty_times_a_run_ends_as_if_it_never_was(make_lab: MakeLab) -> None:
    rng = random.Random(20_240_607)
    plan: dict[str, Any] = {
        "items": 1100,
        "conditions": ["original", "EP02"],
        "concurrency": CONCURRENCY,
    }
    lost: list[int] = []
    with mock_server(seed=5, words=8, latency_ms=15, sigma=0.5) as server:
        calm = make_lab(server.base_url, **plan)
        calm.run(code=0)
        assert server.stats()["requests"] == 2200
        server.reset()
        killed = make_lab(server.base_url, **plan)

        def kill(child: subprocess.Popen[str]) -> bool:
            """Whether there was something to kill; counts what it had asked for in vain."""
            child.kill()
            child.communicate()
            lost.append(server.stats()["requests"] - len(killed.stored()) - sum(lost))
            return child.returncode == -signal.SIGKILL

        for n in range(KILLS):
            # Every fifth at a moment when it may as well be starting or planning.
            moment = time.monotonic() + (rng.uniform(0.05, 1.2) if n % 5 == 4 else 60)
            enough = server.stats()["requests"] + rng.randint(1, 80)
            child = killed.start("--no-analysis")
            while time.monotonic() < moment and server.stats()["requests"] < enough:
                time.sleep(0.003)
            assert kill(child)
        for _ in range(LATE_KILLS):  # when all is answered, while tables are written
            child = killed.start("--no-analysis")
            wait_until(lambda: server.stats()["distinct"] == 2200, child)
            time.sleep(rng.uniform(0, 1))
            if not kill(child):
                break
        killed.run(code=0)
        stats = server.stats()
    print(f"{len(lost)} kills; lost at each: {lost}; paid twice: {stats['repeats']}")
    assert stats["distinct"] == 2200
    assert stats["requests"] == 2200 + sum(lost)
    assert_same_run(calm, killed)
    assert max(lost) <= CONCURRENCY, "nothing is lost but what was in flight"


def test_two_runners_on_one_store_ask_once(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=10) as server:
        lab = make_lab(server.base_url, items=600, concurrency=8)
        other = make_lab(server.base_url, items=600, concurrency=8)
        other.environment["PROMPTLAB_CACHE_DIR"] = lab.environment["PROMPTLAB_CACHE_DIR"]
        children = [one.start("--no-analysis") for one in (lab, other)]
        ended = [ending(child) for child in children]
        stats = server.stats()
    assert [one.code for one in ended] == [0, 0], ended
    assert stats["requests"] == stats["distinct"] == 600
    asked = [one.status()["asked"] for one in (lab, other)]
    print(f"asked by each: {asked}")
    assert sum(asked) == 600
    assert [one.status()["from_store"] for one in (lab, other)] == [600 - n for n in asked]
    assert_same_tables(lab, other)


def test_the_claims_of_a_killed_runner_pass_to_the_other(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=20) as server:
        lab = make_lab(server.base_url, items=500)
        other = make_lab(server.base_url, items=500)
        other.environment["PROMPTLAB_CACHE_DIR"] = lab.environment["PROMPTLAB_CACHE_DIR"]
        doomed, survivor = (one.start("--no-analysis") for one in (lab, other))
        wait_until(lambda: server.stats()["peak_inflight"] > CONCURRENCY, survivor)  # both ask
        doomed.kill()
        doomed.communicate()
        ended = ending(survivor)
        stats = server.stats()
    assert ended.code == 0, ended
    assert ended.seconds < 30  # it did not wait for a lease to run out
    assert stats["distinct"] == 500
    assert stats["repeats"] <= 2 * CONCURRENCY
    assert other.status()["responses"] == {"ok": 500}


def test_sigterm_lands_what_is_in_flight_and_the_same_command_goes_on(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=100) as server:
        lab = make_lab(server.base_url, items=300)
        child = lab.start("--no-analysis")
        wait_until(lambda: server.stats()["ok"] >= 60, child)
        child.send_signal(signal.SIGTERM)
        ended = ending(child)
        assert ended.code == 143, ended
        assert ended.seconds < 10
        assert "the same command goes on" in ended.err
        stats = server.stats()
        assert stats["requests"] == stats["ok"] == len(lab.stored()) < 300
        assert lab.status()["state"] == "interrupted"
        lab.run(code=0)
        assert server.stats()["requests"] == 300
    assert lab.status()["responses"] == {"ok": 300}


def test_sigterm_while_nothing_answers(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8) as server:
        lab = make_lab(server.base_url, items=120)
        child = lab.start("--no-analysis")
        wait_until(lambda: server.stats()["ok"] >= 20, child)
        server.config(ptimeout=1, hang_s=600)
        wait_until(lambda: server.stats()["inflight"] == CONCURRENCY, child)
        child.send_signal(signal.SIGTERM)
        ended = ending(child)
        assert ended.code == 143, ended
        assert ended.seconds < 10
        stats = server.stats()
        assert len(lab.stored()) == stats["ok"]
        server.config(ptimeout=0)
        lab.run(code=0)
        assert server.stats()["requests"] == 120 + stats["timeouts"]
    assert lab.status()["responses"] == {"ok": 120}


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_lose_what_arrived(make_lab: MakeLab, again: int) -> None:
    with mock_server(seed=3, words=8) as server:
        lab = make_lab(server.base_url, items=300)
        child = lab.start("--no-analysis")
        wait_until(lambda: server.stats()["ok"] >= 30, child)
        server.config(latency_ms=2_500)  # so that the second one finds it draining
        wait_until(lambda: server.stats()["inflight"] == CONCURRENCY, child)
        arrived = server.stats()["ok"]
        child.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        child.send_signal(again)
        ended = ending(child)
        assert ended.code == 143, ended
        assert len(lab.stored()) >= arrived
