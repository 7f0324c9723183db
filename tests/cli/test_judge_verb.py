"""`promptlab judge` as a process: what it prints, its exit codes, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import promptlab as pl
from promptlab.errors import SpecError
from promptlab.planning import build_plan
from promptlab.spec import spec_from_mapping

SPEC = {
    "name": "v",
    "models": ["mock/words?n=5"],
    "tasks": ["open_questions/ten_domains"],
    "conditions": ["original", "EP02"],
    "items": 10,
    "scoring": {"protocol": "judge:human_study.truthfulness"},
}


def judge(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "promptlab", "judge", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_keeps_replies_and_the_same_command_goes_on() -> None:
    run = pl.run(SPEC, analysis=False)
    slow = (str(run.path), "--judge", "mock/words?latency_ms=400", "--no-analysis", "--json")
    process = judge(*slow, "--set", "concurrency=2")
    log = ""
    assert process.stdout is not None
    for line in process.stdout:
        log += line
        told = json.loads(line)
        if told["event"] == "progress" and told["done"] >= 2:
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, log + errors
    assert "replies are kept" in errors
    (judging,) = run.judgings()
    assert judging.status["state"] == "interrupted"
    process = judge(*slow)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    result = json.loads(out.splitlines()[-1])
    (done,) = result["judgings"]
    assert done["responses"] == {"ok": 60}
    assert done["from_store"] >= 2
    assert done["asked"] == 60 - done["from_store"]
    # the spec names the protocol that decides
    scores = run.scores()
    decides = set(scores.loc[scores["primary"], "protocol"])
    assert decides == {"judge:human_study.truthfulness@mock/words?latency_ms=400"}


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    process = judge(str(tmp_path), "--judge", "mock/words")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is not a run directory" in errors
    assert "Traceback" not in errors


def test_a_race_cannot_wait_for_a_judge() -> None:
    raced = SPEC | {"design": {"race": {"block": 5}}, "conditions": ["original", "EP02", "EP03"]}
    with pytest.raises(SpecError, match="wait for a judge"):
        build_plan(spec_from_mapping(raced))
