from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from fake_server import Reply, Seen, as_json, chat_reply, error_reply, serving

import promptlab as pl
from promptlab.errors import StoreError, UserError
from promptlab.runs import list_runs
from promptlab.settings import runs_dir

SPEC: dict[str, Any] = {
    "name": "w",
    "models": ["mock/skilled?p=0.6"],
    "tasks": ["procedural/first_letter", "procedural/plural", "procedural/sum"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01", "EP02-neutral"]}],
    "shots": 0,
    "items": 12,
    "seed": 3,
    "max_attempts": 2,
}


def hosted(base: str, name: str = "openai/m") -> dict[str, str]:
    return {"id": name, "api_base": base}


def test_a_run_from_spec_to_report() -> None:
    run = pl.run(SPEC)
    assert run.status["state"] == "complete"
    assert run.status["responses"] == {"ok": 144}
    for name in ("spec.yaml", "lock.json", "plan.parquet", "log.jsonl", "report/index.html"):
        assert (run.path / name).is_file(), name
    scores = run.scores()
    assert len(scores) == 288  # two protocols
    assert set(scores["status"]) == {"ok"}
    rows = run.contrasts().query("level == 'macro' and primary")
    macro = rows.query("contrast == 'vs_original'")
    assert sorted(macro["condition"]) == ["EP02", "EP02-neutral", "NP01"]
    assert list(rows.query("contrast == 'vs_control'")["baseline"]) == ["EP02-neutral"]
    assert (macro["difference"] == 0).all()  # the mock knows the same items everywhere
    assert (run.path / "report" / "figures").is_dir()
    assert run.figure("forest") is not None


def test_again_is_free_and_gives_the_same_tables() -> None:
    first = pl.run(SPEC, analysis=False)
    before = {p.name: p.read_bytes() for p in first.path.glob("*.parquet")}
    second = pl.run(SPEC, analysis=False)
    assert second.path == first.path
    assert second.status["asked"] == 0
    assert {p.name: p.read_bytes() for p in second.path.glob("*.parquet")} == before


def test_a_changed_spec_is_a_new_run_that_shares_the_store() -> None:
    first = pl.run(SPEC, analysis=False)
    conditions = [*SPEC["conditions"], "NP02"]
    second = pl.run(SPEC | {"conditions": conditions}, analysis=False)
    assert second.path != first.path
    assert second.status["asked"] == 36
    assert second.status["from_store"] == 144


def test_inside_a_running_loop() -> None:
    async def cell() -> Any:
        return pl.run(SPEC, analysis=False)

    assert asyncio.run(cell()).status["state"] == "complete"
    run = asyncio.run(pl.arun(SPEC, analysis=False))
    assert run.status["asked"] == 0


def test_load_and_other_baselines() -> None:
    path = pl.run(SPEC, analysis=False).path
    run = pl.load(path)
    found = run.contrasts(baseline="EP02-neutral")
    assert set(found["baseline"]) == {"EP02-neutral"}
    with pytest.raises(UserError, match="not a run directory"):
        pl.load(path.parent)


def test_score_again_asks_nobody_and_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from promptlab.conclude import score_run

    run = pl.run(SPEC, analysis=False)
    before = run.scores()

    def gone(*_: object, **__: object) -> None:
        raise UserError("the weights are not here")

    monkeypatch.setattr("promptlab.planning.describe", gone)
    (run.path / "scores.parquet").unlink()
    with pytest.raises(UserError, match="no scores yet"):
        run.scores()
    score_run(run)
    pd.testing.assert_frame_equal(run.scores(), before)


def test_answers_of_a_hosted_model_are_scored_in_order() -> None:
    def right(seen: Seen) -> Reply:
        word = seen.text.rpartition("Input: ")[2].split("\n")[0]
        return as_json(chat_reply(word[0]))

    with serving(right) as server:
        run = pl.run(
            SPEC | {"models": [hosted(server.base)], "tasks": ["procedural/first_letter"]},
            analysis=False,
        )
    assert run.scores()["score"].mean() == 1
    assert run.status["responses"] == {"ok": 48}
    assert set(run.responses()["served_model"]) == {"served-1"}


def test_a_model_that_cannot_be_reached_stops_and_the_others_go_on() -> None:
    calls: Counter[str] = Counter()

    def refuse(seen: Seen) -> Reply:
        calls[seen.path] += 1
        return as_json(error_reply("Incorrect API key provided"), status=401)

    with serving(refuse) as server:
        models = [
            "mock/skilled?p=0.6",
            hosted(server.base, "openai/wrong-key"),
            hosted("http://127.0.0.1:9/v1", "openai/unreachable"),
        ]
        run = pl.run(SPEC | {"models": models, "concurrency": 2})
    assert sum(calls.values()) <= 2  # what was in flight
    assert set(run.status["stopped"]) == {"openai/wrong-key", "openai/unreachable"}
    assert "Incorrect API key" in run.status["stopped"]["openai/wrong-key"]["reason"]
    assert run.status["state"] == "incomplete"
    scores = run.scores()
    assert (scores.loc[scores["model"] == "mock/skilled?p=0.6", "status"] == "ok").all()
    lost = scores[scores["model"] != "mock/skilled?p=0.6"]
    assert lost["score"].isna().all()
    assert set(lost["status"]) <= {"error", "missing"}
    page = (run.path / "report" / "index.html").read_text()
    assert "Incorrect API key" in page


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (as_json(chat_reply("")), "empty"),
        (as_json(chat_reply("a long answer that was", "length")), "truncated"),
        (as_json(chat_reply("I", "content_filter")), "filtered"),
        (as_json(chat_reply(None, "stop", refusal="I cannot help")), "refused"),
        (Reply(b"<html>proxy error</html>"), "error"),
        (Reply(b'{"choices": [{"mess'), "error"),
        (as_json({"choices": []}), "error"),
    ],
)
def test_a_reply_that_is_no_answer_is_a_status_and_never_a_wrong_answer(
    reply: Reply, status: str
) -> None:
    def sometimes(seen: Seen) -> Reply:
        return reply if "career" in seen.text else as_json(chat_reply("x"))

    spec = SPEC | {"tasks": ["procedural/plural"], "items": 3, "max_attempts": 1}
    with serving(sometimes) as server:
        run = pl.run(spec | {"models": [hosted(server.base)]}, analysis=False)
    scores = run.scores()
    hit = scores[scores["condition"] == "EP02"]
    assert set(hit["status"]) == {status}
    assert hit["score"].isna().all()
    assert set(scores.loc[scores["condition"] != "EP02", "status"]) == {"ok"}
    assert run.responses().query("condition == 'EP02'")["status"].eq(status).all()


def test_failures_are_asked_again_by_the_next_run() -> None:
    broken = True

    def flaky(seen: Seen) -> Reply:
        if broken and "career" in seen.text:
            return as_json(error_reply("overloaded"), status=500)
        return as_json(chat_reply("x"))

    spec = SPEC | {"max_attempts": 1}
    with serving(flaky) as server:
        spec = spec | {"models": [hosted(server.base)]}
        first = pl.run(spec, analysis=False)
        assert first.status["responses"] == {"ok": 108, "error": 36}
        asked = len(server.seen)
        broken = False
        second = pl.run(spec, analysis=False)
        assert len(server.seen) == asked + 36
    assert second.path == first.path
    assert second.status["state"] == "complete"
    assert second.status["responses"] == {"ok": 144}


def test_replay_without_the_answers_is_an_error() -> None:
    with pytest.raises(StoreError):
        pl.run(SPEC | {"store": "replay"}, analysis=False)
    pl.run(SPEC, analysis=False)
    assert pl.run(SPEC | {"store": "replay"}, analysis=False).status["asked"] == 0


def test_no_key_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret-0123456789")

    def leak(seen: Seen) -> Reply:
        key = seen.headers["authorization"].split()[1]
        if "career" in seen.text:
            return as_json(error_reply(f"Incorrect key: {key}"), status=400)
        return as_json(chat_reply("x"))

    with serving(leak) as server:
        run = pl.run(SPEC | {"models": [hosted(server.base)]})
    assert run.status["responses"]["error"] == 36
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(written) > 20
    for path in written:
        assert b"sk-planted-secret" not in path.read_bytes(), path


def run_in_child(spec: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "promptlab", "run", str(spec), "--no-analysis"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_run_one_spec_and_pay_once(tmp_path: Path) -> None:
    with serving(lambda seen: Reply(as_json(chat_reply("x")).body, delay_s=0.02)) as server:
        spec = tmp_path / "s.yaml"
        spec.write_text(yaml.safe_dump(SPEC | {"models": [hosted(server.base)], "concurrency": 4}))
        children = [run_in_child(spec) for _ in range(2)]
        outputs = [child.communicate(timeout=120) for child in children]
        assert [child.returncode for child in children] == [0, 0], outputs
        assert len(server.seen) == 144
    runs = list_runs(runs_dir())
    tables = [r.scores() for r in runs]
    assert len(runs) in (1, 2)  # the second may have begun when the first was done
    pd.testing.assert_frame_equal(tables[0], tables[-1])


def test_ctrl_c_keeps_every_answer_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with serving(lambda seen: Reply(as_json(chat_reply("x")).body, delay_s=0.05)) as server:
        spec = tmp_path / "s.yaml"
        spec.write_text(yaml.safe_dump(SPEC | {"models": [hosted(server.base)], "concurrency": 4}))
        child = run_in_child(spec)
        deadline = time.monotonic() + 60
        while len(server.seen) < 40 and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 130, err
        assert "Traceback" not in err
        assert "the same command goes on from here" in err
        before = len(server.seen)
        assert before < 144
        again = run_in_child(spec)
        _, err = again.communicate(timeout=120)
        assert again.returncode == 0, err
        assert len(server.seen) == 144  # nothing was paid twice
    (run,) = list_runs(runs_dir())
    assert run.status["state"] == "complete"


def test_a_rehearsal_of_two_calls_finds_no_effect() -> None:
    spec = SPEC | {"conditions": ["original", "zero_shot_cot"], "items": 10}
    for style in ("chat", "completion"):
        scores = pl.run(spec | {"style": style}, analysis=False).scores()
        means = scores[scores["primary"]].groupby("condition", observed=True)["score"].mean()
        assert means["original"] == means["zero_shot_cot"] > 0


def test_only_the_baseline_is_a_run_without_contrasts() -> None:
    run = pl.run(SPEC | {"conditions": ["original"]})
    assert run.status["state"] == "complete"
    with pytest.raises(UserError, match="no contrasts yet"):
        run.contrasts()


def test_a_run_in_which_nothing_can_be_scored_says_why() -> None:
    run = pl.run(SPEC | {"models": ["mock/constant:"], "items": 2})
    assert run.status["state"] == "incomplete"
    assert "24 empty" in run.status["analysis"]


def test_a_shuffled_stimulus_is_no_neutral_control() -> None:
    conditions = ["original", "EP02", "shuffle(EP02)", "EP02-neutral"]
    table = pl.run(SPEC | {"conditions": conditions}, analysis=False).conditions()
    found = table.set_index("condition")
    assert found.loc["shuffle(EP02)", "valence"] == "none"
    assert found.loc["shuffle(EP02)", "matched_to"] == ""
    assert found.loc["EP02-neutral", "matched_to"] == "EP02"


@pytest.mark.parametrize("name", ["scores.parquet", "conditions.parquet", "lock.json"])
def test_a_damaged_run_directory_is_one_message(name: str) -> None:
    run = pl.run(SPEC, analysis=False)
    (run.path / name).write_bytes(b"[1]")
    with pytest.raises(UserError, match=f"{name} is damaged"):
        pl.load(run.path).contrasts(baseline="EP02")
