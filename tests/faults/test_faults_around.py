"""What goes wrong around a run: the clock, the server, the model behind an endpoint."""

from __future__ import annotations

import os
import time
from pathlib import Path

import orjson
import pytest
from fake_server import mock_server
from lab import MakeLab, ending, wait_until
from scripted import endpoint

CLOCK = str(Path(__file__).parent / "clock")
DAY_S = 86_400


@pytest.mark.parametrize(
    "jumps", [(f"60:{DAY_S}", f"60:-{DAY_S}"), (f"50:-{DAY_S},150:{2 * DAY_S}", "")], ids=str
)
def test_a_clock_that_jumps_voids_no_claim_and_loses_nothing(
    make_lab: MakeLab, jumps: tuple[str, str]
) -> None:
    with mock_server(seed=3, words=8, latency_ms=30) as server:
        lab = make_lab(server.base_url, items=400, concurrency=8)
        other = make_lab(server.base_url, items=400, concurrency=8)
        other.environment["PROMPTLAB_CACHE_DIR"] = lab.environment["PROMPTLAB_CACHE_DIR"]
        children = [
            one.start("--no-analysis", PYTHONPATH=CLOCK, FAULTS_CLOCK=jump)
            for one, jump in zip((lab, other), jumps, strict=True)
        ]
        ended = [ending(child) for child in children]
        stats = server.stats()
    assert [one.code for one in ended] == [0, 0], ended
    assert stats["requests"] == stats["distinct"] == 400
    for one in (lab, other):
        assert one.status()["responses"] == {"ok": 400}
        created = one.table("responses")["created"]
        assert created.max() - created.min() > 0.9 * DAY_S  # it did jump while answers came
        assert 0 <= one.status()["wall_s"] < 600


def test_a_server_that_restarts_is_waited_for(make_lab: MakeLab) -> None:
    with mock_server(seed=3, words=8, latency_ms=40) as server:
        lab = make_lab(server.base_url, items=600, max_attempts=12)
        calm = make_lab(server.base_url, items=600)
        child = lab.start("--no-analysis")
        wait_until(lambda: server.stats()["ok"] >= 150, child)
        server.p.kill()
        server.p.wait()
        kept = len(lab.stored())
        time.sleep(3)
        assert child.poll() is None, ending(child)
        server.__enter__()
        ended = ending(child)
        stats = server.stats()
        assert ended.code == 0, ended
        calm.run(code=0)
    print(f"{kept} kept, {stats['requests']} asked of the new one, {ended.seconds:.1f} s")
    assert stats["repeats"] == 0
    assert stats["requests"] <= 600 - kept
    assert lab.status()["responses"] == {"ok": 600}
    assert not lab.status()["stopped"]
    assert lab.stored() == calm.stored()


def test_an_endpoint_that_answers_for_another_model_is_flagged(make_lab: MakeLab) -> None:
    with endpoint("other_model") as server:
        lab = make_lab(server.base_url, items=40, conditions=["original", "EP02"])
        ended = lab.run("--analysis", code=0)
        assert "smaller-model-3b" in ended.err
        lines = make_lab(server.base_url, items=40).run("--no-analysis", "--json", code=0)
    told = [orjson.loads(line) for line in lines.said.splitlines() if line.startswith("{")]
    warnings = [line for line in told if "smaller-model-3b" in str(line.get("message", ""))]
    assert warnings, lines.said
    status = lab.status()
    assert status["state"] == "complete"
    assert status["progress"]["models"][0]["served"] == ["smaller-model-3b"]
    assert set(lab.table("responses")["served_model"]) == {"smaller-model-3b"}
    page = (lab.path / "report" / "index.html").read_text()
    assert "answered for another model than openai/mock: smaller-model-3b" in page


def test_the_environment_of_these_tests_has_no_clock_of_its_own() -> None:
    assert "FAULTS_CLOCK" not in os.environ
