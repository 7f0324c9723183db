"""What a person and a program see of a run: `run --json`, `status`, signals and exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from fake_server import FakeServer, Reply, Seen, as_json, chat_reply, error_reply, serving

from promptlab.cli.run import exit_code
from promptlab.runs import Run, list_runs
from promptlab.settings import runs_dir
from tests.cli.conftest import Run as Command

SPEC: dict[str, Any] = {
    "name": "seen",
    "tasks": ["procedural/first_letter", "procedural/plural"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01"]}],
    "items": 20,
    "concurrency": 4,
    "max_attempts": 2,
}
PLANNED = 120
DEADLINE_S = 60


def reply(text: str = "x", delay_s: float = 0.0) -> Reply:
    return Reply(as_json(chat_reply(text) | {"model": "m-2024-07-18"}).body, delay_s=delay_s)


@pytest.fixture
def held() -> Iterator[Held]:
    with serving(lambda seen: reply()) as server:
        yield Held(server)


class Held:
    """A server that answers so many requests at once and lets the others wait."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.after = 30
        self.delay_s = 300.0
        server.handler = self.answer

    def answer(self, seen: Seen) -> Reply:
        return reply(delay_s=0.0 if len(self.server.seen) <= self.after else self.delay_s)

    @property
    def reached(self) -> bool:
        """Whether the run is stuck at those that wait."""
        return self.server.in_flight >= SPEC["concurrency"]


@pytest.fixture
def spec(tmp_path: Path, held: Held) -> Path:
    return write(tmp_path, held.server)


def write(folder: Path, server: FakeServer, **values: Any) -> Path:
    path = folder / "s.yaml"
    model = {"id": "openai/m", "api_base": server.base, "price": {"input": 1, "output": 2}}
    path.write_text(yaml.safe_dump({"models": [model]} | SPEC | values))
    return path


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "promptlab", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], bool], child: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        assert child is None or child.poll() is None, child.communicate()
        time.sleep(0.02)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def kept(run: Run, at_least: int) -> bool:
    """Whether its status file has heard of so many answers."""
    return int((run.status.get("progress") or {}).get("done", 0)) >= at_least


def test_json_lines_tell_a_run_and_end_in_its_result(
    promptlab: Command, held: Held, spec: Path
) -> None:
    held.after = PLANNED
    code, out, err = promptlab("run", spec, "--json", "--no-analysis")
    lines = lines_of(out)
    assert (code, err) == (0, "")
    stages = [one["stage"] for one in lines if one["event"] == "stage"]
    assert stages == ["planning", "asking", "writing", "scoring"]
    (plan,) = [one for one in lines if one["event"] == "plan"]
    assert (plan["cells"], plan["answers"], plan["models"]) == (6, PLANNED, ["openai/m"])
    progress = [one for one in lines if one["event"] == "progress"]
    assert (progress[-1]["state"], progress[-1]["done"]) == ("done", PLANNED)
    assert progress[-1]["cost_usd"] == pytest.approx(PLANNED * (7 * 1 + 2 * 2) / 1e6)
    result = lines[-1]
    assert (result["event"], result["state"], result["exit_code"]) == ("result", "complete", 0)
    assert (result["run"], result["responses"]) == (plan["run"], {"ok": PLANNED})
    assert not [one for one in lines if one["event"] == "warning"]  # m-2024-07-18 is m


def test_json_warns_of_stopped_models_other_models_and_bad_cells(
    promptlab: Command, tmp_path: Path
) -> None:
    def bad(seen: Seen) -> Reply:
        if seen.body["model"] == "closed":
            return as_json(error_reply("no such key"), status=401)
        finish = "length" if "career" in seen.text else "stop"
        return as_json(chat_reply("x", finish) | {"model": "quite-another"})

    with serving(bad) as server:
        models = [{"id": f"openai/{name}", "api_base": server.base} for name in ("m", "closed")]
        code, out, _ = promptlab(
            "run", write(tmp_path, server, models=models), "--json", "--no-analysis"
        )
    lines = lines_of(out)
    warnings = [one for one in lines if one["event"] == "warning"]
    assert {one["kind"] for one in warnings} == {"stopped", "served", "flagged"}
    assert [one["served"] for one in warnings if one["kind"] == "served"] == ["quite-another"]
    flagged = [one for one in warnings if one["kind"] == "flagged"]
    assert {(one["task"], one["condition"]) for one in flagged} == {
        ("procedural/first_letter", "EP02"),
        ("procedural/plural", "EP02"),
    }
    assert (code, lines[-1]["exit_code"], lines[-1]["state"]) == (3, 3, "incomplete")
    shown = promptlab("status")[1]
    assert "no such key" in shown
    assert "answers come from another model, quite-another" in shown
    assert "20 truncated of 20 answers" in shown


def test_status_of_a_running_run_and_of_a_killed_one(
    promptlab: Command, held: Held, spec: Path
) -> None:
    child = start("run", spec, "--quiet")
    try:
        until(lambda: held.reached, child)
        (run,) = list_runs(runs_dir())
        until(lambda: kept(run, 30), child)
        code, out, _ = promptlab("status")
        assert code == 0
        assert f"{run.path}: running, asking" in out
        assert "30/120" in out
        data = json.loads(promptlab("status", run.path.name, "--json")[1])
        assert (data["state"], data["alive"], data["progress"]["done"]) == ("running", True, 30)
        assert data["spent"] is not None
    finally:
        child.kill()
        child.communicate()
    for given in ((), (run.path,), (run.path.name,), ("seen",)):
        out = promptlab("status", *given)[1]
        assert "interrupted: its process has ended while asking (killed?)" in out
        assert f"to go on, type: promptlab run {spec} --quiet" in out
    data = json.loads(promptlab("status", "--json")[1])
    assert (data["state"], data["alive"]) == ("interrupted", False)

    held.delay_s = 0.0
    assert promptlab("run", spec, "--quiet", "--no-analysis")[0] == 0
    (run.path / "report").mkdir()
    (run.path / "report" / "index.html").touch()
    out = promptlab("status", "seen")[1]
    assert ": complete" in out
    assert f"report: {run.path / 'report' / 'index.html'}" in out
    assert len(held.server.seen) <= PLANNED + SPEC["concurrency"]


def test_status_watches_until_the_end(held: Held, spec: Path) -> None:
    child = start("run", spec, "--quiet", "--no-analysis")
    until(lambda: held.reached, child)
    (run,) = list_runs(runs_dir())
    until(lambda: kept(run, 30), child)
    watching = start("status", "--watch", "--json")
    plain = start("status", "--watch")
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())
    assert (first["state"], first["progress"]["done"]) == ("running", 30)
    child.send_signal(signal.SIGTERM)
    assert child.wait(DEADLINE_S) == 143
    rest, _ = watching.communicate(timeout=DEADLINE_S)
    assert lines_of(rest)[-1]["state"] == "interrupted"
    out, _ = plain.communicate(timeout=DEADLINE_S)
    assert "interrupted while asking" in out
    assert "promptlab run" in out


def test_status_without_runs_and_of_an_unknown_one(
    promptlab: Command, held: Held, spec: Path
) -> None:
    code, _, err = promptlab("status")
    assert (code, "promptlab run SPEC" in err) == (2, True)
    held.after = PLANNED
    promptlab("run", spec, "--quiet", "--no-analysis")
    code, _, err = promptlab("status", "sean")
    assert (code, "unknown run 'sean'; did you mean 'seen'?" in err) == (2, True)


@pytest.mark.parametrize("how", ["--quiet", "--json"])
def test_sigterm_drains_and_the_same_command_goes_on(
    promptlab: Command, tmp_path: Path, held: Held, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.delay_s = 1.0
    spec = write(tmp_path, held.server)
    child = start("run", spec, how, "--no-analysis")
    until(lambda: held.reached, child)
    before = time.monotonic()
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=DEADLINE_S)
    assert time.monotonic() - before < 10
    assert child.returncode == 143
    assert "Traceback" not in err
    sent = len(held.server.seen)
    # What was in flight has landed and is kept.
    assert f"interrupted: {sent} of {PLANNED} answers are kept; the same command goes on" in err
    if how == "--json":
        result = lines_of(out)[-1]
        assert (result["event"], result["state"]) == ("result", "interrupted")
        assert result["exit_code"] == 143
    held.delay_s = 0.0
    assert promptlab("run", spec, how, "--no-analysis")[0] == 0
    assert len(held.server.seen) == PLANNED  # nothing was paid twice
    resumed = list_runs(runs_dir())[0].scores()
    monkeypatch.setenv("PROMPTLAB_CACHE_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("PROMPTLAB_RUNS_DIR", str(tmp_path / "others"))
    assert promptlab("run", spec, how, "--no-analysis")[0] == 0
    pd.testing.assert_frame_equal(list_runs(runs_dir())[0].scores(), resumed)


def test_a_second_ctrl_c_ends_at_once(held: Held, spec: Path) -> None:
    child = start("run", spec, "--no-analysis")
    until(lambda: held.reached, child)
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    said = ""
    while "Ctrl-C again ends at once" not in said:
        said = child.stderr.readline()
        assert said
    before = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=DEADLINE_S)
    assert time.monotonic() - before < 2.5  # the drain itself takes three seconds
    assert child.returncode == 130
    assert "interrupted: 30 of 120 answers are kept" in err


def test_a_reader_that_goes_away_does_not_end_the_run(held: Held, spec: Path) -> None:
    held.after = PLANNED
    child = start("run", spec, "--json", "--no-analysis")
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == ""
    assert child.wait(DEADLINE_S) == 0
    assert list_runs(runs_dir())[0].status["state"] == "complete"


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("planning", signal.SIGTERM),
        ("writing", signal.SIGINT),
        ("scoring", signal.SIGTERM),
        ("analysing", signal.SIGINT),
    ],
)
def test_a_signal_ends_every_stage(
    held: Held, spec: Path, stage: str, number: signal.Signals
) -> None:
    held.after = PLANNED
    # The stage's own function says that it has begun and then does not end by itself.
    stuck = {
        "planning": "promptlab.workflow.build_plan",
        "writing": "promptlab.workflow.write_responses",
        "scoring": "promptlab.workflow.score_run",
        "analysing": "promptlab.workflow.analyse_run",
    }[stage]
    module, name = stuck.rsplit(".", 1)
    code = (
        f"import sys, time, {module} as module\n"
        "def stuck(*args, **options):\n"
        "    print('stuck', file=sys.stderr, flush=True)\n"
        "    while True: time.sleep(0.05)\n"
        f"module.{name} = stuck\n"
        f"sys.argv = ['promptlab', 'run', {str(spec)!r}, '--quiet']\n"
        "from promptlab.cli import main\n"
        "main()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    assert child.stderr.readline() == "stuck\n"
    child.send_signal(number)
    _, err = child.communicate(timeout=DEADLINE_S)
    assert child.returncode == 128 + number
    assert "Traceback" not in err
    if stage == "planning":
        assert err == "interrupted: planning; nothing was asked, the same command begins again\n"
        return
    assert f"interrupted: {PLANNED} of {PLANNED} answers are kept" in err
    (run,) = list_runs(runs_dir())
    assert (run.status["state"], run.status["stage"]) == ("interrupted", stage)


@pytest.mark.parametrize(
    ("state", "kinds", "code"),
    [
        ("complete", [], 0),
        ("incomplete", [], 3),
        ("incomplete", ["endpoint", "refused"], 3),
        ("incomplete", ["endpoint", "budget"], 4),
        ("incomplete", ["quota"], 4),
    ],
)
def test_exit_codes(state: str, kinds: list[str], code: int) -> None:
    stopped = {f"a/{kind}": {"kind": kind, "reason": "", "resume_at": None} for kind in kinds}
    assert exit_code({"state": state, "stopped": stopped}) == code


def test_a_budget_that_is_used_up_is_one_line(promptlab: Command, tmp_path: Path) -> None:
    with serving(lambda seen: reply()) as server:
        spec = write(tmp_path, server, budget={"requests": 50})
        code, out, _ = promptlab("run", spec, "--no-analysis")
        assert code == 4
        assert len(server.seen) == 50
        (line,) = [text for text in out.splitlines() if "is used up" in text]
        assert "50 of 50 requests spent; 70 requests are left" in line
        assert f"raise 'budget' in the spec and type: promptlab run {spec} --no-analysis" in line
        assert line in promptlab("status")[1]
        code, out, _ = promptlab("run", spec, "--no-analysis")
        assert (code, len(server.seen)) == (4, 50)  # what the first call spent counts
        write(tmp_path, server, budget={"requests": 200})
        code, out, _ = promptlab("run", spec, "--no-analysis")
        assert (code, len(server.seen)) == (0, PLANNED)
    (run,) = list_runs(runs_dir())
    assert run.status["spent"]["openai/m"]["requests"] == PLANNED


def test_a_budget_in_dollars_needs_prices(promptlab: Command, tmp_path: Path) -> None:
    with serving(lambda seen: reply()) as server:
        models = [{"id": "openai/unheard-of", "api_base": server.base}]
        spec = write(tmp_path, server, models=models, budget={"usd": 1})
        code, _, err = promptlab("run", spec)
        assert (code, len(server.seen)) == (2, 0)
    assert "price of openai/unheard-of" in err
    assert "price: {input: ..., output: ...}" in err
    assert list_runs(runs_dir()) == []


def test_a_resumed_run_keeps_the_prices_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import promptlab as pl

    monkeypatch.setattr("promptlab.prices.price", lambda model, **_: (1e-6, 1e-6))
    with serving(lambda seen: reply()) as server:
        monkeypatch.setattr("promptlab.sending._provider", _provider_of(server))
        given = SPEC | {"models": ["openai/hosted"], "budget": {"requests": 10}}
        run = pl.run(given, analysis=False)
        assert run.lock["prices"] == {"openai/hosted": [1e-6, 1e-6]}
        monkeypatch.setattr("promptlab.prices.price", lambda model, **_: (5e-6, 5e-6))
        run = pl.run(given | {"budget": {"requests": 20}}, analysis=False)
    assert run.status["cost_usd"] == pytest.approx(10 * 9e-6)
    assert run.status["spent"]["openai/hosted"]["usd"] == pytest.approx(20 * 9e-6)


def _provider_of(server: FakeServer) -> Callable[..., Any]:
    from promptlab.providers import make_provider

    return lambda plan, label: make_provider(label, api_base=server.base)
