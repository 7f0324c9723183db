"""Budgets hold however many requests are in flight; an empty account is no failure."""

from __future__ import annotations

import time

from fake_server import mock_server
from lab import MakeLab, wait_until
from scripted import endpoint


def test_a_budget_of_requests_holds_with_many_in_flight(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=50) as server:
        lab = make_lab(server.base_url, items=250, concurrency=64, budget={"requests": 100})
        ended = lab.run(code=4)
        assert server.stats()["requests"] == 100
        assert len(lab.stored()) == 100
        assert lab.status()["responses"] == {"ok": 100, "missing": 150}
        lines = [line for line in ended.said.splitlines() if "budget" in line]
        assert any("150" in line for line in lines), ended.said
        again = lab.run(code=4)
        assert server.stats()["requests"] == 100
        assert "budget" in again.said
        lab.spec["budget"] = {"requests": 180}
        lab.run(code=4)
        assert server.stats()["requests"] == 180  # what was spent before counts
        lab.spec["budget"] = {"requests": 250}
        lab.run(code=0)
        assert server.stats()["requests"] == 250
    assert lab.status()["responses"] == {"ok": 250}


def test_a_budget_counts_what_was_spent_before_a_kill(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=50) as server:
        lab = make_lab(server.base_url, items=300, budget={"requests": 200})
        for enough in (60, 120):  # soon after they began to ask
            child = lab.start("--no-analysis")
            wait_until(lambda enough=enough: server.stats()["requests"] >= enough, child)
            child.kill()
            child.communicate()
        sent = server.stats()["requests"]
        assert sent < 200
        lab.run(code=4)
        total = server.stats()["requests"]
        print(f"{sent} sent before the kills, {total} in all")
        # Nobody knows what became of requests that were in flight when it was killed.
        assert 200 - 2 * 16 <= total <= 200 + 2 * 16
    kept = len(lab.stored())
    assert lab.status()["responses"] == {"ok": kept, "missing": 300 - kept}


def test_a_budget_of_one_model_leaves_the_others_alone(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=5) as server:
        models = [
            {"id": "openai/cheap", "api_base": server.base_url},
            {"id": "openai/dear", "api_base": server.base_url, "budget": {"requests": 30}},
        ]
        lab = make_lab(server.base_url, items=80, models=models)
        lab.run(code=4)
        assert server.stats()["requests"] == 110
    assert set(lab.status()["stopped"]) == {"openai/dear"}
    assert lab.status()["stopped"]["openai/dear"]["kind"] == "budget"


def test_a_budget_counts_failed_attempts_too(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, p500=0.5) as server:
        lab = make_lab(server.base_url, items=200, budget={"requests": 60}, max_attempts=12)
        lab.run(code=4)
        assert server.stats()["requests"] == 60
        assert len(lab.stored()) == server.stats()["ok"]


def test_a_budget_of_tokens(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=20) as server:
        lab = make_lab(server.base_url, items=200, budget={"tokens": 2_000})
        lab.run(code=4)
        used = lab.table("responses")[["prompt_tokens", "completion_tokens"]].sum().sum()
        each = used / server.stats()["ok"]
        spent = lab.status()["spent"]["openai/mock"]
        assert spent["tokens"] == used
        assert used <= 2_000 + 16 * each  # what was in flight could land
        lab.spec["budget"] = {"tokens": 10_000_000}
        lab.run(code=0)
        assert server.stats()["requests"] == 200


def test_an_empty_account_says_when_to_come_back(make_lab: MakeLab) -> None:
    with endpoint("quota", credit=120, retry_after=7_200, delay_s=0.01) as server:
        lab = make_lab(server.base_url, items=300)
        began = time.time()
        ended = lab.run(code=4)
        counted = server.control()
        assert counted["ok"] == len(lab.stored()) == 120  # nothing that was paid for is lost
        assert counted["requests"] <= 120 + 16  # in flight when the first refusal came
        stop = lab.status()["stopped"]["openai/mock"]
        assert stop["kind"] == "quota"
        assert abs(stop["resume_at"] - began - 7_200) < 120
        line = next(line for line in ended.said.splitlines() if "quota" in line)
        assert "the same command goes on from" in line
        print(ended.said)
        assert lab.status()["responses"] == {"ok": 120, "missing": 180}
        server.control(credit=10_000)
        lab.run(code=0)
        assert server.control()["requests"] == counted["requests"] + 180
    assert lab.status()["responses"] == {"ok": 300}
