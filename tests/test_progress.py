from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from promptlab.cli._drawing import dollars, duration, line, table
from promptlab.cli._progress import JsonWatch, PlainWatch
from promptlab.progress import MOST_FLAGGED, Flagged, ModelProgress, Snapshot, Tally
from promptlab.runner.records import Ask, Event
from promptlab.served import same_model
from promptlab.types import Cell, Request, Response

MODEL = "openai/gpt-4o-mini"
CELL = Cell(MODEL, "procedural/sum", "EP02", 0)
PRICE = (1e-6, 2e-6)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(cell: Cell = CELL, *, second: bool = False) -> Ask:
    follow_up = (lambda response: None) if second else None
    return Ask(cell.model, Request(cell.model), "hash", tag=cell, follow_up=follow_up)


def answer(
    kind: Any = "answer",
    status: Any = "ok",
    cell: Cell = CELL,
    second: bool = False,
    **response: Any,
) -> Event:
    given = {"prompt_tokens": 10, "completion_tokens": 5, "latency_s": 0.5} | response
    return Event(cell.model, kind, ask(cell, second=second), Response(status, "x", **given), 15)


def failed(kind: Any = "server", cell: Cell = CELL, status: Any = "error") -> Event:
    response = Response(status, error=f"{kind}: overloaded")
    return Event(cell.model, "failed", ask(cell), response, 0, response.error or "", failure=kind)


def tally(
    total: int = 1000, price: tuple[float, float] | None = PRICE, size: int = 100
) -> tuple[Tally, Clock]:
    clock = Clock()
    return Tally({MODEL: total}, {MODEL: price}, {CELL: size}, clock), clock


def feed(
    counted: Tally, clock: Clock, seconds: float, rate: float, make: Callable[[], Event] = answer
) -> Snapshot:
    """So many events a second for so many seconds, looked at five times a second."""
    snapshot = counted.snapshot()
    for tick in range(round(seconds * 5)):
        clock.now += 0.2
        for _ in range(round(rate * (tick + 1) / 5) - round(rate * tick / 5)):
            counted.event(make())
        snapshot = counted.snapshot()
    return snapshot


def test_counts_by_model_and_kind() -> None:
    counted, _ = tally(20)
    for event in (
        *(answer() for _ in range(4)),
        *(answer("hit") for _ in range(3)),
        answer(status="truncated"),
        failed("server"),
        failed("timeout"),
        replace(failed(), failure=None),
        Event(MODEL, "failed", ask(), Response("empty", prompt_tokens=10, completion_tokens=1), 11),
        *(Event(MODEL, "retry", ask(), failure="rate_limit") for _ in range(7)),
        Event(MODEL, "limit", limit=12),
        Event(MODEL, "stopped", message="quota: no credit"),
    ):
        counted.event(event)
    (model,) = counted.snapshot("done").models
    assert (model.done, model.from_store, model.answered, model.failed) == (12, 3, 5, 4)
    assert model.failures == {"server": 1, "timeout": 1, "other": 1, "empty": 1}
    assert model.retries == {"rate_limit": 7}
    assert model.statuses == {"ok": 7, "truncated": 1, "error": 3, "empty": 1}
    assert (model.limit, model.stopped, model.running) == (12, "quota: no credit", False)
    assert (model.prompt_tokens, model.completion_tokens) == (60, 26)


def test_cost_so_far_and_at_the_end() -> None:
    counted, _ = tally(100)
    assert counted.snapshot().forecast_usd is None  # nothing answered yet
    for _ in range(10):
        counted.event(answer())
    for _ in range(40):
        counted.event(answer("hit"))
    snapshot = counted.snapshot()
    each = 10 * PRICE[0] + 5 * PRICE[1]
    assert snapshot.cost_usd == pytest.approx(10 * each)
    assert snapshot.forecast_usd == pytest.approx(60 * each)  # the fifty that are left, too
    unpriced, _ = tally(price=None)
    unpriced.event(answer())
    assert (unpriced.snapshot().cost_usd, unpriced.snapshot().forecast_usd) == (None, None)
    free, _ = tally(price=(0.0, 0.0))
    assert (free.snapshot().cost_usd, free.snapshot().forecast_usd) == (0.0, 0.0)


def test_rate_is_of_the_last_half_minute() -> None:
    counted, clock = tally(100_000)
    assert feed(counted, clock, 60, 100).rate == pytest.approx(100, rel=0.05)
    assert feed(counted, clock, 31, 10).rate == pytest.approx(10, rel=0.1)
    snapshot = feed(counted, clock, 5, 0)
    assert snapshot.rate < 10
    stalled = feed(counted, clock, 31, 0)
    assert (stalled.rate, stalled.seconds_left) == (0, None)


def test_the_first_answers_are_no_burst() -> None:
    counted, clock = tally(10_000)
    clock.now += 20  # the model is slow: sixty-four answers at once after twenty seconds
    counted.snapshot()
    for _ in range(64):
        counted.event(answer(latency_s=20.0))
    clock.now += 0.2
    assert counted.snapshot().rate == pytest.approx(3.2, rel=0.05)


@pytest.mark.parametrize("stored", [0, 50_000])
def test_stored_answers_do_not_make_the_time_left_absurd(stored: int) -> None:
    counted, clock = tally(100_000)
    for _ in range(stored):
        counted.event(answer("hit"))
    clock.now += 5
    counted.snapshot()
    snapshot = feed(counted, clock, 10, 100)
    left = 100_000 - stored - 1000
    assert snapshot.seconds_left == pytest.approx(left / 100, rel=0.1)


def test_time_left_where_nothing_is_asked() -> None:
    counted, clock = tally(1_000_000)
    snapshot = feed(counted, clock, 2, 5000, lambda: answer("hit"))
    assert snapshot.rate == 0
    assert snapshot.seconds_left == pytest.approx(990_000 / 5000, rel=0.2)


def test_time_left_where_stored_answers_follow_a_few_new_ones() -> None:
    counted, clock = tally(1_000_000)
    feed(counted, clock, 10, 1)
    snapshot = feed(counted, clock, 5, 2000, lambda: answer("hit"))
    assert snapshot.seconds_left == pytest.approx(990_000 / 2000, rel=0.2)


def test_time_left_where_stored_and_new_answers_alternate() -> None:
    counted, clock = tally(10_000)
    kinds = ["hit", "answer"] * 5000
    snapshot = feed(counted, clock, 20, 100, lambda: answer(kinds.pop()))
    assert snapshot.rate == pytest.approx(50, rel=0.1)
    assert snapshot.seconds_left == pytest.approx(8000 / 100, rel=0.1)


def test_time_left_is_the_slowest_models_and_0_at_the_end() -> None:
    clock = Clock()
    cells = {Cell(name, "t", "original", 0): 50 for name in ("a/fast", "a/slow")}
    counted = Tally({"a/fast": 1000, "a/slow": 1000}, {}, cells, clock)
    fast, slow = cells
    for _ in range(50):
        clock.now += 0.2
        for _ in range(10):
            counted.event(answer(cell=fast))
        counted.event(answer(cell=slow))
        snapshot = counted.snapshot()
    assert snapshot.models[0].seconds_left == pytest.approx(10, rel=0.1)
    assert snapshot.seconds_left == pytest.approx(190, rel=0.1)
    counted.event(Event("a/slow", "stopped", message="dead"))
    assert counted.snapshot().seconds_left == pytest.approx(10, rel=0.1)
    for _ in range(500):
        counted.event(answer(cell=fast))
    assert counted.snapshot().seconds_left == 0


def test_a_cell_is_flagged_above_5_percent_of_what_was_planned() -> None:
    counted, _ = tally(size=100)
    for status in ("truncated", "refused", "filtered"):
        counted.event(answer(status=status))
    counted.event(answer("hit", "truncated"))
    counted.event(failed())
    assert counted.snapshot().flagged == ()
    counted.event(failed("empty", status="empty"))
    (flagged,) = counted.snapshot().flagged
    assert flagged == Flagged(
        CELL, 100, {"truncated": 2, "refused": 1, "filtered": 1, "error": 1, "empty": 1}
    )
    counted.event(failed())
    assert counted.snapshot().flagged[0].bad == 7


def test_a_first_answer_cut_off_is_not_the_one_that_is_scored() -> None:
    counted, _ = tally(total=20, size=10)
    for _ in range(5):
        counted.event(answer(status="truncated", second=True))
    assert counted.snapshot().n_flagged == 0
    counted.event(answer(status="refused", second=True))  # and there is no second request
    snapshot = counted.snapshot()
    assert (snapshot.n_flagged, snapshot.total) == (1, 19)


def test_many_flagged_cells_are_counted_and_a_few_listed() -> None:
    cells = {Cell(MODEL, f"t{i}", "original", 0): 1 for i in range(MOST_FLAGGED + 20)}
    counted = Tally({MODEL: 1000}, {}, cells)
    for cell in cells:
        counted.event(answer(status="truncated", cell=cell))
    snapshot = counted.snapshot()
    assert (len(snapshot.flagged), snapshot.n_flagged) == (MOST_FLAGGED, MOST_FLAGGED + 20)


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18", True),
        ("openai/gpt-4o-mini", "gpt-4o-mini", True),
        ("openai/gpt-4o-mini", "gpt-3.5-turbo", False),
        ("openai/gpt-4o", "gpt-4o-mini", False),
        ("openai/gpt-4", "gpt-4-0613", True),
        ("openai/gpt-4", "gpt-4-32k", False),
        ("openai/gpt-4", "gpt-4.1", False),
        ("openai/gpt-4-0613", "gpt-4-0314", False),
        ("anthropic/claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307", True),
        ("gemini/gemini-2.5-flash", "gemini-2.5-flash-preview-05-20", True),
        ("openai/meta-llama/Llama-3.1-8B-Instruct", "/models/Llama-3.1-8B-Instruct/", True),
        ("openai/smollm2-135m", "C:\\models\\smollm2-135m.gguf", True),
        ("ollama/llama3", "llama3:latest", True),
        ("ollama/llama3:8b", "llama3:70b", False),
        ("azure/my-deployment", "gpt-4o-2024-08-06", True),
    ],
)
def test_served_models(asked: str, served: str, same: bool) -> None:
    assert same_model(asked, served) is same


def test_a_served_model_that_differs_is_told() -> None:
    counted, _ = tally()
    for name in (None, "gpt-4o-mini-2024-07-18", "gpt-3.5-turbo", None, "gpt-3.5-turbo"):
        counted.event(answer(served_model=name))
    assert counted.snapshot().models[0].served == ("gpt-3.5-turbo",)


def test_a_snapshot_survives_json() -> None:
    counted, clock = tally(size=10)
    for event in (answer(), answer(status="truncated", served_model="other"), failed()):
        counted.event(event)
    clock.now += 3
    snapshot = counted.snapshot()
    data = json.loads(json.dumps(snapshot.to_dict()))
    assert Snapshot.from_dict(data) == snapshot
    assert (data["done"], data["total"], data["flagged"][0]["counts"]) == (
        3,
        1000,
        {"truncated": 1, "error": 1},
    )


# --- what is drawn ------------------------------------------------------------------------------


def model(name: str = MODEL, total: int = 100_000, **values: Any) -> ModelProgress:
    some = {
        "answered": int(total * 0.45),
        "rate": 312.4,
        "limit": 64,
        "cost_usd": 1.2,
        "forecast_usd": 2.7,
        "seconds_left": 740.0,
    }
    return ModelProgress(name, total, **some | values)


def snapshot(*models: ModelProgress, **values: Any) -> Snapshot:
    return Snapshot("asking", 65.0, models, **values)


def drawn(given: Snapshot, width: int, rows: int = 10) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), legacy_windows=False)
    console.print(table(given, width, most_rows=rows))
    return [text.rstrip() for text in console.export_text().splitlines() if text.strip()]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("total", [100, 1_000_000])
def test_a_table_fits_its_terminal_and_cuts_no_number(width: int, total: int) -> None:
    busy = model("openrouter/meta-llama/llama-3.1-70b-instruct", total, failed=total // 50)
    busy = replace(busy, failures={"server": 7, "timeout": 3}, retries={"rate_limit": 120})
    lines = drawn(snapshot(busy, model(total=total)), width)
    assert all(len(text) <= width for text in lines)
    header, first, second, everything, *notes = lines
    assert header.split() == ["done", "rate", "limit", "failed", "cost", "left"]
    assert "llama-3.1" in first or "instruct" in first
    for text in (first, second):
        assert "312/s" in text
        assert " 64 " in text
        assert "12 min" in text
    assert "625/s" in everything
    done = {(80, 100): "45/100", (80, 1_000_000): "450k/1.00M", (120, 100): "45/100"}
    assert done.get((width, total), "450,000/1,000,000") in second
    assert ("$1.20/$2.70" if width == 80 else "$1.20 of about $2.70") in second
    assert any("tried again: 120 rate limit" in note for note in notes)
    assert any("7 server, 3 timeout" in text for text in lines)


def test_a_free_run_from_the_store_has_no_empty_columns() -> None:
    lines = drawn(snapshot(ModelProgress("mock/echo", 100, 40, cost_usd=0.0)), 80)
    assert lines[0].split() == ["done", "left"]
    assert "40/100" in lines[1]


@pytest.mark.parametrize("width", [80, 120])
def test_many_models_stay_a_dozen_lines(width: int) -> None:
    models = [model(f"provider/model-{i:02}") for i in range(40)]
    models[0] = replace(models[0], answered=100_000)
    models[1] = replace(models[1], stopped="quota")
    lines = drawn(snapshot(*models), width)
    assert len(lines) <= 12
    text = "\n".join(lines)
    assert "model-00" not in text
    assert "model-02" in text
    assert ("1.85M/4.00M" if width == 80 else "1,855,000/4,000,000") in lines[-2]
    assert lines[-1] == "of 40 models: 30 more running, 1 done, 1 stopped"


def test_a_plain_line_says_everything() -> None:
    busy = model(from_store=1000, failed=12, failures={"server": 12}, retries={"rate_limit": 9})
    assert line(snapshot(busy)) == (
        "46,012/100,000 (46 %), 1,000 from the store, 312/s at most 64 at once, "
        "12 failed (12 server), tried again: 9 rate limit, $1.20 of about $2.70, 12 min left"
    )
    assert (
        line(snapshot(ModelProgress("a/b", 100))) == "0/100 (0 %), cost unknown, time left unknown"
    )


@pytest.mark.parametrize(
    ("total", "seconds", "most"), [(100, 10, 4), (1_000_000, 3600, 75), (1_000_000, 86_400, 330)]
)
def test_plain_lines_are_few_however_long_it_takes(
    capsys: pytest.CaptureFixture[str], total: int, seconds: int, most: int
) -> None:
    clock = Clock()
    watch = PlainWatch(clock)
    steps = 2000
    for i in range(steps + 1):
        clock.now += seconds / steps
        state = "asking" if i < steps else "done"
        done = ModelProgress("a/b", total, answered=total * i // steps, rate=1.0)
        watch.progress(Snapshot(state, seconds * i / steps, (done,)))
    lines = capsys.readouterr().err.splitlines()
    assert 4 <= len(lines) <= most
    assert f"{total:,}/{total:,} (100 %)" in lines[-1]
    for share in ("25 %", "50 %", "75 %"):
        assert any(share in text for text in lines)


def test_warnings_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    watch = PlainWatch(Clock())
    cells = [Flagged(replace(CELL, task=f"t{i}"), 100, {"truncated": 6}) for i in range(40)]
    bad = model(stopped="quota: no credit", served=("gpt-3.5-turbo",))
    for n in (1, 1, 3, 40, 40):
        watch.progress(snapshot(bad, flagged=tuple(cells[:n]), n_flagged=n))
    lines = capsys.readouterr().err.splitlines()
    assert lines.count(f"stopped: {MODEL}: quota: no credit") == 1
    assert sum("another model, gpt-3.5-turbo" in text for text in lines) == 1
    told = [text for text in lines if "cannot be scored" in text]
    assert len(told) == 6  # five cells, then how many there are
    assert told[0].endswith("· t0 · EP02 · 0 shots: 6 truncated of 100 answers")
    assert "in 40 cells by now" in told[-1]


def test_json_lines_come_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    watch = JsonWatch(clock)
    for _ in range(20):
        clock.now += 0.2
        watch.progress(snapshot(model()))
    watch.progress(replace(snapshot(model()), state="done"))
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in lines] == ["progress"] * 5
    assert lines[-1]["state"] == "done"
    assert lines[0]["models"][0]["limit"] == 64


def test_amounts_and_times() -> None:
    assert [dollars(x) for x in (0, 0.00001, 0.0042, 1.2, 12_345.6)] == [
        "$0.00",
        "<$0.0001",
        "$0.0042",
        "$1.20",
        "$12,346",
    ]
    assert [duration(s) for s in (0.4, 45, 740, 9000, 400_000)] == [
        "0 s",
        "45 s",
        "12 min",
        "2.5 h",
        "4.6 days",
    ]
