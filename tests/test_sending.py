"""Prices and budgets before anything is sent, and batches that are still out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import promptlab as pl
from promptlab import prices
from promptlab.errors import UserError
from promptlab.estimate import estimate, over_budget, price_of
from promptlab.planning import build_plan
from promptlab.settings import store_path
from promptlab.spec import spec_from_mapping

SPEC: dict[str, Any] = {
    "name": "sending",
    "models": [{"id": "mock/echo", "price": {"input": 1, "output": 2}}],
    "tasks": ["procedural/word_sorting"],
    "conditions": ["original"],
    "items": 10,
}


def over(**changes: Any) -> list[str]:
    plan = build_plan(spec_from_mapping(SPEC | changes))
    return over_budget(plan, estimate(plan, store_path()))


def test_a_plan_says_which_budgets_it_may_pass() -> None:
    assert over() == []
    assert over(budget={"requests": 10, "usd": 1}) == []
    (line,) = over(budget={"requests": 9})
    assert line == "the budget of 9 requests may not be enough: up to 10 requests to go"
    model = SPEC["models"][0] | {"budget": {"tokens": 20}}
    (line,) = over(models=[model])
    assert line.startswith("the budget of mock/echo of 20 tokens may not be enough: up to ")


def test_batches_have_their_own_price(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6}
    batch = {"input_cost_per_token_batches": 1e-6, "output_cost_per_token_batches": 4e-6}
    known = {"openai/a": usual | batch, "openai/b": usual}
    monkeypatch.setattr(prices, "_prices", lambda: known)
    assert prices.price("openai/a") == (2e-6, 8e-6)
    assert prices.price("openai/a", batch=True) == (1e-6, 4e-6)
    assert prices.price("openai/b", batch=True) == (2e-6, 8e-6)
    for runner, expected in (("async", (2e-6, 8e-6)), ("batch", (1e-6, 4e-6))):
        plan = build_plan(spec_from_mapping(SPEC | {"models": ["openai/a"], "runner": runner}))
        assert price_of(plan.models[0], plan.spec.experiment) == expected


def test_no_other_runner_pays_for_what_is_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    run = pl.run(SPEC | {"items": 2}, analysis=False)
    (run.path / "batches").mkdir()
    monkeypatch.setattr("promptlab.runner.batch.still_out", lambda state: {"mock/echo": (3, 90)})
    with pytest.raises(UserError, match=r"still with the provider \(3\).*'runner: batch'"):
        pl.run(SPEC | {"items": 2}, analysis=False)
    monkeypatch.setattr("promptlab.runner.batch.still_out", lambda state: {})
    assert pl.run(SPEC | {"items": 2}, analysis=False).path == run.path


def test_what_was_spent_is_in_the_journal_before_the_status(tmp_path: Path) -> None:
    from promptlab.asking import SpentJournal, spent_before
    from promptlab.runner.records import Spent

    run = pl.run(SPEC | {"items": 2, "budget": {"requests": 50}}, analysis=False)
    assert spent_before(run)["mock/echo"].requests == 2
    journal = SpentJournal(run.path / "spent.jsonl")
    journal.add("mock/echo", Spent(0.5, 70, 9))
    journal.add("mock/echo", Spent(0.6, 80, 11))
    journal.close()
    with (run.path / "spent.jsonl").open("ab") as file:
        file.write(b'["mock/echo", {"usd": 0.')  # a process killed while it wrote
    assert spent_before(run) == {"mock/echo": Spent(0.6, 80, 11)}
