"""Every kind of fault that an endpoint has, a few in a hundred of each."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from typing import Any

from fake_server import mock_server
from lab import Lab, MakeLab, answers, assert_same_run

KINDS = ("p429", "p500", "ptimeout", "ptrunc", "pshort", "preset")


def healthy_server() -> AbstractContextManager[Any]:
    """Faults go by seed, prompt and attempt, so which requests fail does not depend on timing."""
    return mock_server(seed=11, words=8, latency_ms=2, retry_after=0.05, hang_s=600)


def faults(share: float) -> dict[str, float]:
    """That share of the attempts for each kind."""
    return dict.fromkeys(KINDS, share)


def assert_accounted(lab: Lab, stats: dict[str, int], asked: int) -> Counter[str]:
    """The client's failures are the server's, one by one."""
    failed = lab.failed_attempts()
    late = failed["timeout"] - stats["timeouts"]  # answers that came when nobody waited any more
    assert failed == Counter(
        rate_limit=stats["e429"],
        server=stats["e500"],
        timeout=stats["timeouts"] + late,
        malformed=stats["truncated"] + stats["short"],
        connection=stats["resets"],
    )
    assert late >= 0
    assert stats["ok"] == asked + late
    assert stats["requests"] == asked + failed.total()
    return failed


def assert_breaker_never_opened(lab: Lab) -> None:
    """Requests that hang come back together, but the endpoint has answered others meanwhile."""
    limits = [record for record in lab.log() if record["event"] == "limit"]
    assert limits
    assert not [record["reason"] for record in limits if record["limit"] == 0]


def test_a_run_through_all_faults_equals_one_without_any(make_lab: MakeLab) -> None:
    plan: dict[str, Any] = {
        "items": 2500,
        "conditions": ["original", "EP02"],
        "concurrency": 64,
        "max_attempts": 12,
        "timeout_s": 2,
    }
    with healthy_server() as server:
        calm = make_lab(server.base_url, **plan)
        calm.run(code=0)
        assert server.stats()["requests"] == server.stats()["distinct"] == 5000
        server.reset()
        server.config(**faults(0.03))
        stormy = make_lab(server.base_url, **plan)
        ended = stormy.run(code=0)
        stats = server.stats()
    print(f"{ended.seconds:.1f} s; {stats}")
    kinds = ("e429", "e500", "timeouts", "truncated", "short", "resets")
    assert min(stats[kind] for kind in kinds) > 100  # each of them happened, many times
    assert_accounted(stormy, stats, asked=5000)
    assert_breaker_never_opened(stormy)
    assert_same_run(calm, stormy)
    assert len(set(answers(stormy.table("responses")).values())) == 5000  # none for another's
    status = stormy.status()
    assert status["state"] == "complete"
    assert status["responses"] == {"ok": 5000}
    assert not status["stopped"]
    (progress,) = status["progress"]["models"]
    assert progress["retries"] == dict(stormy.failed_attempts())
    assert progress["failures"] == {}
    assert status["spent"]["openai/mock"]["requests"] == stats["requests"]


def test_empty_answers_are_recorded_and_asked_again_by_the_next_run(make_lab: MakeLab) -> None:
    with mock_server(seed=2, words=4, pempty=0.1) as server:
        lab = make_lab(server.base_url, items=300)
        lab.run()
        first = server.stats()
        empty = first["empty"]
        assert empty > 10
        assert first["requests"] == 300  # none was tried again
        assert lab.status()["responses"] == {"ok": 300 - empty, "empty": empty}
        assert len(lab.stored()) == 300 - empty
        rows = lab.table("responses")
        assert (rows.loc[rows["status"] == "empty", "text"] == "").all()
        scores = lab.table("scores")
        assert scores.loc[scores["status"] == "empty", "score"].isna().sum() == empty
        server.config(pempty=0)
        lab.run(code=0)
        assert server.stats()["requests"] == 300 + empty
    assert lab.status()["responses"] == {"ok": 300}


def test_a_storm_of_faults_loses_requests_but_never_an_answer(make_lab: MakeLab) -> None:
    plan: dict[str, Any] = {
        "items": 300,
        "concurrency": 64,
        "max_attempts": 2,
        "timeout_s": 1.5,
    }
    with healthy_server() as server:
        calm = make_lab(server.base_url, **plan)
        calm.run(code=0)
        right = answers(calm.table("responses"))
        server.reset()
        server.config(**faults(0.10))
        stormy = make_lab(server.base_url, **plan)
        ended = stormy.run(code=3)
        stats = server.stats()
        print(f"{ended.seconds:.1f} s; {stats}")
        found = answers(stormy.table("responses"))
        assert found.keys() == right.keys()
        had = {key: answer for key, answer in found.items() if answer[0] != "error"}
        assert had == stormy.stored()
        assert all(answer == right[key] for key, answer in had.items())
        assert_accounted(stormy, stats, asked=len(had))
        assert_breaker_never_opened(stormy)
        lost = len(found) - len(had)
        assert 0 < lost < 300
        assert stormy.status()["responses"] == {"ok": 300 - lost, "error": lost}
        assert stormy.status()["progress"]["models"][0]["failed"] == lost
        stormy.run()
        again = answers(stormy.table("responses"))
        assert had.items() <= again.items()
        left = sum(answer[0] == "error" for answer in again.values())
        assert left < lost
        assert server.stats()["ok"] >= stats["ok"] + lost - left
        server.config(**faults(0))
        stormy.run(code=0)
    assert_same_run(calm, stormy)
