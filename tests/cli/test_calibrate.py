from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from promptlab.cli import main

Result = tuple[int, str, str]
Run = Callable[..., Result]

SPEC = """\
name: small
models: ["mock/skilled?p=0.6"]
tasks: []
conditions: [original, {stimuli: [EP02, NP01]}]
items: 10
"""


@pytest.fixture
def promptlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "140")

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["promptlab", "calibrate", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    from promptlab.tasks import find_tasks

    names = [task.id for task in find_tasks(["procedural/*"])][:9]
    path = tmp_path / "spec.yaml"
    path.write_text(re.sub(r"tasks: \[.*?\]", f"tasks: [{', '.join(names)}]", SPEC, flags=re.S))
    return path


def test_the_table_beside_the_reference(promptlab: Run, tmp_path: Path) -> None:
    parts = ("--only", "equivalent", "--only", "replicates")
    code, out, _ = promptlab(
        *parts, "--simulations", 20, "--processes", 1, "--out", tmp_path / "docs"
    )
    assert code == 0
    assert "t of replicates as items" in out
    assert "false claims" in out
    assert "All 4 claims to hold a level or to cover are kept" in out
    page = (tmp_path / "docs" / "calibration.md").read_text()
    assert "promptlab calibrate --simulations 20 --seed 0 --only equivalent" in page
    assert "| type I | R=5 | R=20 |" in page
    table = pd.read_csv(tmp_path / "docs" / "calibration" / "calibration.csv")
    assert {"value", "mc_error", "reference", "valid", "verdict"} <= set(table.columns)


def test_figures_are_written(promptlab: Run, tmp_path: Path) -> None:
    code, *_ = promptlab(
        *("--only", "over_tasks", "--simulations", 5, "--processes", 1, "--out", tmp_path)
    )
    assert code == 0
    kinds = {p.suffix for p in (tmp_path / "calibration").glob("coverage_over_tasks.*")}
    assert kinds == {".svg", ".pdf", ".png"}
    assert "![" in (tmp_path / "calibration.md").read_text()


def test_json_and_the_exit_code_of_a_broken_rule(
    promptlab: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--only", "equivalent", "--simulations", 5, "--processes", 1, "--json")
    code, out, _ = promptlab(*words)
    found = json.loads(out)
    assert (code, found["failures"]) == (0, 0)
    assert found["rows"][0]["procedure"] == "TOST by Tango's score"
    from promptlab.analysis.calibration import equivalent

    monkeypatch.setattr(equivalent, "tost_t_p", lambda mean, *rest: 0.0 * mean)
    code, out, _ = promptlab(*words)
    assert code == 1
    assert json.loads(out)["failures"] == 1


def test_a_spec_is_rehearsed_and_nothing_is_asked(
    promptlab: Run, spec: Path, tmp_path: Path
) -> None:
    code, out, _ = promptlab(
        spec, "--simulations", 4, "--processes", 1, "--effect", "EP02=+20", "--out", tmp_path / "r"
    )
    assert code == 0
    assert "small, rehearsed: 4 rehearsals of each scenario, no model asked" in out
    assert "If EP02 truly changes accuracy by +20.0 points" in out
    assert not (tmp_path / "runs").exists()
    assert not list((tmp_path / "cache").rglob("*.sqlite*"))
    assert "rehearsed" in (tmp_path / "r" / "rehearsal.md").read_text()
    assert len(pd.read_csv(tmp_path / "r" / "rehearsal.csv")) > 10


def test_without_an_effect_the_plan_gives_one(promptlab: Run, spec: Path) -> None:
    words = (spec, "--simulations", 2, "--processes", 1, "--json", "--answers", "stable")
    code, out, _ = promptlab(*words)
    found = json.loads(out)
    assert code == 0
    assert "disagree about 16 %" in found["assumption"]
    powers = [r for r in found["rows"] if r["quantity"] == "power"]
    assert [r["condition"] for r in powers] == ["EP02"]


def test_a_race_is_rehearsed_as_a_race(promptlab: Run, spec: Path, tmp_path: Path) -> None:
    changes = ("--set", "design=race", "--set", "replicates=2")
    words = (spec, *changes, "--simulations", 20, "--processes", 1, "--effect", "EP02=+20")
    code, out, _ = promptlab(*words, "--out", tmp_path)
    assert code == 0
    assert "With no effect at all a race would call some condition better or worse in" in out
    assert "of the requests of the full design" in out
    assert "note: The rehearsal has one answer to a prompt" in out
    assert "one answer to a prompt" in (tmp_path / "rehearsal.md").read_text()
    found = json.loads(promptlab(*words, "--json")[1])
    powers = [r for r in found["rows"] if r["quantity"] == "power of the full design"]
    assert [r["condition"] for r in powers] == ["EP02"]
    assert len(found["notes"]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--effect", "EP02=+5"), "name its spec"),
        (("SPEC", "--only", "many"), "--only is for the table"),
        (("SPEC", "--effect", "EP2=+5"), "did you mean 'EP02'"),
        (("SPEC", "--effect", "EP02"), "CONDITION=POINTS"),
        (("SPEC", "--effect", "all=+60"), "leaves the scale"),
        (("SPEC", "--discordance", "0.9"), "is not possible"),
        (("--only", "manny"), "did you mean 'many'"),
    ],
)
def test_mistakes_say_what_to_type(
    promptlab: Run, spec: Path, words: tuple[str, ...], message: str
) -> None:
    code, _, err = promptlab(*(spec if w == "SPEC" else w for w in words))
    assert code == 2
    assert message in err


def test_a_design_that_finds_nothing_says_so(promptlab: Run, spec: Path) -> None:
    few = ("--set", "tasks=[procedural/first_letter, procedural/plural]")
    code, out, err = promptlab(spec, *few, "--simulations", 2, "--processes", 1)
    assert code == 0
    assert "no effect was stated, and the plan finds none: the sign-flip test over 2 tasks" in err
    assert "truly changes" not in out


def test_what_is_named_alone_wins_over_all() -> None:
    from promptlab.cli.calibrate import _effects

    assert _effects(["all=+2", "b=-1"], ("a", "b")) == {"a": 0.02, "b": -0.01}
    assert _effects(["b=-1", "all=2"], ("a", "b")) == {"a": 0.02, "b": -0.01}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    words = ["calibrate", "--processes", "2", "--only", "one_task", "--out", str(tmp_path / "o")]
    child = subprocess.Popen(
        [sys.executable, "-m", "promptlab", *words],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    begun = time.monotonic()
    workers: list[str] = []
    while len(workers) < 3 and time.monotonic() < begun + 60:  # two, and one that tracks resources
        time.sleep(0.1)
        workers = children.read_text().split() if children.exists() else []
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    assert not (tmp_path / "o").exists()
    ended = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < ended:
        time.sleep(0.1)
    assert len(workers) >= 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
