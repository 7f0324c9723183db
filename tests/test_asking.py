from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from promptlab.asking import as_ask, budgets, prices_of, runner_options, tally_of
from promptlab.errors import UserError
from promptlab.plan import Plan
from promptlab.planning import build_plan
from promptlab.runner.records import Budget, Event, Rate, Spent
from promptlab.spec import spec_from_mapping
from promptlab.types import Response


def plan(**values: object) -> Plan:
    given = {
        "name": "a",
        "models": ["mock/echo"],
        "tasks": ["procedural/plural"],
        "conditions": ["original", "zero_shot_cot"],
        "items": 20,
    }
    return build_plan(spec_from_mapping(given | values, name="a"))


def test_what_the_spec_says_reaches_the_runner() -> None:
    one = {
        "id": "openai/m",
        "api_base": "http://127.0.0.1:9/v1",
        "concurrency": 7,
        "requests_per_minute": 60,
        "price": {"input": 1, "output": 2},
        "budget": {"usd": 3},
    }
    built = plan(models=[one, "mock/echo"], budget={"tokens": 9}, max_attempts=4)
    options = runner_options(built, prices_of(built), {"mock/echo": Spent(0, 5, 6)})
    assert options.concurrency == "auto"
    assert options.concurrency_of == {"openai/m": 7}
    assert options.rate_of == {"openai/m": Rate(60, None)}
    assert options.price_of == {"openai/m": (1e-6, 2e-6), "mock/echo": (0, 0)}
    assert options.budget == Budget(tokens=9)
    assert options.budget_of == {"openai/m": Budget(usd=3)}
    assert options.spent == {"mock/echo": Spent(0, 5, 6)}
    assert options.max_attempts == 4
    assert budgets(built) == {
        "budget": {"usd": None, "tokens": 9, "requests": None},
        "budget_of": {"openai/m": {"usd": 3, "tokens": None, "requests": None}},
    }


def test_prices_are_the_persons_then_the_locks_then_the_maps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("promptlab.prices.price", lambda model, **_: (5e-6, 5e-6))
    lock = {"prices": {"openai/a": [1e-6, 1e-6], "openai/b": None, "openai/c": [1e-6, 1e-6]}}
    own = {"id": "openai/c", "price": {"input": 9, "output": 9}}
    assert prices_of(plan(models=["openai/a", "openai/b", own]), lock) == {
        "openai/a": (1e-6, 1e-6),
        "openai/b": (5e-6, 5e-6),
        "openai/c": (9e-6, 9e-6),
    }


@pytest.mark.parametrize("whose", ["run", "model"])
def test_a_budget_in_dollars_needs_a_price(whose: str) -> None:
    model: dict[str, object] = {"id": "openai/m", "api_base": "http://127.0.0.1:9/v1"}
    budget = {"budget": {"usd": 1}}
    built = plan(models=[model | budget]) if whose == "model" else plan(models=[model], **budget)
    with pytest.raises(UserError, match=r"price of openai/m.*price: \{input: \.\.\., output"):
        prices_of(built)


def test_the_tally_knows_every_request_and_the_size_of_every_cell() -> None:
    built = plan(replicates=2, params={"temperature": 1})
    tally = tally_of(built, prices_of(built))
    (model,) = built.models
    asks = [as_ask(planned) for planned in built.requests(model)]
    assert set(Counter(ask.tag for ask in asks).values()) == {40}
    cut_off = Response("truncated", "x")
    for ask in asks:
        tally.event(Event(ask.model, "answer", ask, cut_off))
        if ask.follow_up:
            second = ask.follow_up(cut_off)
            assert second is not None
            assert second.tag == ask.tag
            tally.event(Event(ask.model, "answer", second, cut_off))
    snapshot = tally.snapshot()
    assert (snapshot.done, snapshot.total) == (120, 120)
    assert [(f.planned, f.bad) for f in snapshot.flagged] == [(40, 40), (40, 40)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_not_told_by_the_logs() -> None:
    from promptlab.asking import SpentJournal
    from promptlab.runner import JsonlLog
    from promptlab.runner.records import Spent

    log, journal = JsonlLog("/dev/full"), SpentJournal(Path("/dev/full"))
    log({"event": "limit"})
    journal.add("m", Spent(1.0, 2, 3))
    log.close()
    journal.close()
