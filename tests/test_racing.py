"""Races through `promptlab run`: what is asked, what is not, and that it always goes one way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from fake_server import Reply, Seen, as_json, chat_reply, error_reply, serving

import promptlab as pl
from promptlab.errors import SpecError, StoreError, UserError
from promptlab.planning import build_plan
from promptlab.progress import Snapshot
from promptlab.providers.mock import MockProvider
from promptlab.race_record import outlook, replayed
from promptlab.racing import panels_of
from promptlab.runs import list_runs
from promptlab.settings import runs_dir
from promptlab.spec import spec_from_mapping
from promptlab.types import Request

SPEC: dict[str, Any] = {
    "name": "r",
    "models": ["mock/skilled?p=0.8"],
    "tasks": ["procedural/first_letter", "procedural/plural", "procedural/sum"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01", "EP02-neutral"]}],
    "shots": 0,
    "items": 40,
    "seed": 3,
    "max_attempts": 1,
    "design": "race",
}
FULL = 3 * 4 * 40


class Hurt(MockProvider):
    """A skilled model that EP02 ("career") makes answer wrongly every second time."""

    def _is_skilled(self, request: Request) -> bool:
        prompt = request.messages[-1].content
        hurt = "career" in prompt and self._unit(f"hurt {prompt}") < 0.5
        return super()._is_skilled(request) and not hurt


@pytest.fixture
def hurt(monkeypatch: pytest.MonkeyPatch) -> list[Hurt]:
    made: list[Hurt] = []

    def make(model: str, known: Any = None, **_: Any) -> Hurt:
        made.append(Hurt(model, known=known))
        return made[-1]

    monkeypatch.setattr("promptlab.sending.make_provider", make)
    return made


def by_name(run: Any) -> pd.DataFrame:
    return run.race().set_index("condition")


def test_a_race_asks_less_and_says_so(hurt: list[Hurt]) -> None:
    seen: list[Snapshot] = []
    told: list[str] = []
    run = pl.run(SPEC, on_progress=seen.append, on_message=told.append)
    table, race = by_name(run), run.status["race"]
    assert table.loc["EP02", ["verdict", "left"]].tolist() == ["worse", "worse"]
    assert table.loc["NP01", ["verdict", "left"]].tolist() == ["inconclusive", "futile"]
    assert table.loc["EP02-neutral", "left"] == "control"
    assert table.loc["EP02-neutral", "block"] == table.loc["EP02", "block"]
    sent = sum(len(provider.history) for provider in hurt)
    assert sent == race["asked"] == len(run.responses()) < FULL / 2
    assert race["answers"] == run.status["planned"] == FULL
    assert race["saved"] == pytest.approx(1 - sent / FULL)
    assert race["over"]
    assert run.status["state"] == "complete"
    assert run.status["responses"] == {"ok": sent}
    assert len(hurt) == 1  # one provider, whatever the number of blocks
    assert (seen[-1].done, seen[-1].total) == (sent, sent)
    assert any("EP02 worse" in line for line in told)
    _check_tables(run, table)


def _check_tables(run: Any, table: pd.DataFrame) -> None:
    path = run.race(path=True)
    assert path.groupby("condition")["block"].max().to_dict() == table["block"].to_dict()
    contrasts = run.contrasts()
    macro = contrasts[
        (contrasts["level"] == "macro")
        & contrasts["primary"]
        & (contrasts["contrast"] == "vs_original")
    ]
    for row in macro.to_dict("records"):
        found = table.loc[row["condition"]]
        assert (row["lower"], row["upper"]) == (found["lower"], found["upper"])
        assert row["verdict"] == found["verdict"]
        assert row["interval_method"] == "confidence sequence"
        assert row["planned"] == row["scored"] == found["n"]
        assert row["failed"] == row["unpaired"] == 0
    others = contrasts.drop(macro.index)
    assert set(others["verdict"]) == {"descriptive"}
    assert others[["lower", "upper", "pvalue", "p_adjusted"]].isna().all(axis=None)
    assert set(others["family"]) == {"exploratory"}
    assert (contrasts["unpaired"] == 0).all()
    assert contrasts["missing_as_wrong"].isna().all()
    assert run.best()["pvalue"].isna().all()
    anew = run.contrasts(correction="holm")
    tested = anew[anew["pvalue"].notna()]
    assert set(tested["test_method"]) == {"betting, valid at every look"}
    for other in ({"alpha": 0.1}, {"baseline": "EP02"}):
        with pytest.raises(UserError, match="was raced with its own"):
            run.contrasts(**other)
    page = (run.path / "report" / "index.html").read_text(encoding="utf-8")
    assert "The race" in page
    assert "adjusted p = –" not in page
    assert "Choosing alone would explain it" not in page
    assert f"it saved {100 * run.status['race']['saved']:.0f} % of the requests" in page.replace(
        "\u00a0", " "
    )
    for name in ("tables/race.csv", "tables/race_path.csv", "figures/race.pdf"):
        assert (run.path / "report" / name).is_file(), name


def test_again_is_free_and_goes_the_same_way(hurt: list[Hurt]) -> None:
    first = pl.run(SPEC, analysis=False)
    names = ("responses", "scores", "race", "race_path")
    before = {n: (first.path / f"{n}.parquet").read_bytes() for n in names}
    asked = first.status["asked"]
    for more in ({}, {"store": "replay"}, {"concurrency": 1}):
        again = pl.run(SPEC | more, analysis=False)
        assert again.path == first.path
        assert again.status["asked"] == 0
        assert again.status["from_store"] == asked
        assert {n: (again.path / f"{n}.parquet").read_bytes() for n in names} == before


def test_a_race_in_a_store_that_has_everything_still_leaves_answers_out(hurt: list[Hurt]) -> None:
    full = pl.run({k: v for k, v in SPEC.items() if k != "design"}, analysis=False)
    assert full.status["asked"] == FULL
    race = pl.run(SPEC, analysis=False)
    assert race.path != full.path
    assert race.status["asked"] == 0
    assert len(race.responses()) < FULL / 2
    with pytest.raises(UserError, match="is not a race"):
        full.race()


def test_the_full_design_is_the_run_it_was() -> None:
    spec = {k: v for k, v in SPEC.items() if k != "design"}
    plain, named, race = (
        build_plan(spec_from_mapping(s)).digest for s in (spec, spec | {"design": "full"}, SPEC)
    )
    assert plain == named != race


def test_several_models_shots_and_replicates_are_races_of_their_own(hurt: list[Hurt]) -> None:
    spec = SPEC | {
        "models": ["mock/skilled?p=0.8", "mock/skilled?p=0.5&seed=1"],
        "shots": [0, 2],
        "items": 20,
        "replicates": 2,
    }
    run = pl.run(spec, analysis=False)
    panels = run.status["race"]["panels"]
    assert len(panels) == 4
    assert len(run.race()) == 12
    assert sum(p["asked"] for p in panels) == len(run.responses())
    assert run.status["state"] == "complete"


def test_methods_of_two_calls_race_too(hurt: list[Hurt]) -> None:
    spec = SPEC | {"conditions": ["original", "EP02", "zero_shot_cot"], "items": 20}
    seen: list[Snapshot] = []
    run = pl.run(spec, analysis=False, on_progress=seen.append)
    assert run.status["state"] == "complete"
    assert "zero_shot_cot" in set(run.race()["condition"])
    assert seen[-1].total == seen[-1].done
    steps = run.responses()
    assert (steps.loc[steps["condition"] == "zero_shot_cot", "step"] == 1).any()


def test_failed_answers_are_left_out_or_count_as_wrong() -> None:
    def reply(seen: Seen) -> Reply:
        if "career" in seen.text:
            return as_json(error_reply("overloaded"), status=500)
        return as_json(chat_reply(seen.text.rpartition("Input: ")[2][0]))

    spec = SPEC | {"tasks": ["procedural/first_letter"], "conditions": ["original", "EP02", "NP01"]}
    with serving(reply) as server:
        spec |= {"models": [{"id": "openai/m", "api_base": server.base}], "max_attempts": 1}
        dropped = pl.run(spec, analysis=False)
        wrong = pl.run(spec | {"analysis": {"missing": "as_wrong"}}, analysis=False)
    found = by_name(dropped).loc["EP02"]
    assert (found["n"], found["verdict"]) == (0, "inconclusive")
    assert dropped.status["state"] == "incomplete"
    assert set(dropped.scores().query("condition == 'EP02'")["status"]) == {"error"}
    assert by_name(wrong).loc["EP02", "verdict"] == "worse"
    assert by_name(wrong).loc["EP02", "n"] < 40


def test_a_budget_stops_a_race_and_more_budget_ends_it(hurt: list[Hurt]) -> None:
    run = pl.run(SPEC | {"budget": {"requests": 70}, "concurrency": 1}, analysis=False)
    assert run.status["state"] == "incomplete"
    assert not run.status["race"]["over"]
    assert run.status["race"]["panels"][0]["judged"] == 1
    whole = pl.run(SPEC | {"budget": {"requests": 400}}, analysis=False)
    assert whole.path == run.path
    assert whole.status["state"] == "complete"
    assert sum(len(p.history) for p in hurt) == whole.status["race"]["asked"]


def test_replaying_the_scores_finds_the_same_races(hurt: list[Hurt]) -> None:
    run = pl.run(SPEC, analysis=False)
    plan = build_plan(spec_from_mapping(SPEC))
    (panel,) = replayed(plan, run.scores())
    assert panel.over
    assert panel.n_asked == len(run.responses())
    scores = run.scores()
    half = scores.assign(status=scores["status"].astype(str))
    late = half["item_id"].isin(plan.draws["procedural/sum"].items[7].item_id for _ in range(1))
    half.loc[late, "status"] = "missing"
    (panel,) = replayed(plan, half)
    assert panel.block == 1
    assert not panel.over


def test_replay_without_the_answers_is_an_error() -> None:
    with pytest.raises(StoreError):
        pl.run(SPEC | {"store": "replay"}, analysis=False)


def test_the_outlook_says_what_is_saved_at_least_where_nothing_has_an_effect() -> None:
    plan = build_plan(spec_from_mapping(SPEC | {"shots": [0, 2]}))
    assert len(panels_of(plan)) == 2
    found = outlook(plan, simulations=20)
    assert found["answers"] == 2 * FULL
    for share in found["saved_without_effect"].values():
        assert 0.2 < share < 0.9
    assert 0 < found["detectable"]["stable"] < found["detectable"]["noisy"] < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"design": "raze"}, "'raze' is no design"),
        ({"design": {"race": {"blok": 3}}}, "did you mean 'block'"),
        ({"design": {"race": {"goal": "win"}}}, "design.race.goal"),
        ({"design": {"race": {"block": 40}}}, "nothing to race"),
        ({"runner": "batch"}, "a batch may take a day"),
        ({"conditions": ["original"]}, "needs a condition beside"),
        ({"conditions": ["original", "EP02"], "design": {"race": {"goal": "best"}}}, "needs two"),
        (
            {"conditions": ["ape", "original"], "analysis": {"baseline": "ape"}},
            "needs the baseline 'ape' on every task",
        ),
    ],
)
def test_what_cannot_race_is_refused_with_the_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises((SpecError, UserError), match=message):
        build_plan(spec_from_mapping(SPEC | change))


def _in_child(spec: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "promptlab", "run", str(spec), "--no-analysis"],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_an_interrupted_race_goes_on_and_pays_once(tmp_path: Path, how: signal.Signals) -> None:
    def reply(seen: Seen) -> Reply:
        letter = seen.text.rpartition("Input: ")[2][0]
        return Reply(
            as_json(chat_reply("?" if "career" in seen.text else letter)).body, delay_s=0.03
        )

    with serving(reply) as server:
        written = SPEC | {
            "models": [{"id": "openai/m", "api_base": server.base}],
            "tasks": ["procedural/first_letter"],
            "design": {"race": {"block": 4}},
            "concurrency": 2,
        }
        spec = tmp_path / "s.yaml"
        spec.write_text(yaml.safe_dump(written))
        child = _in_child(spec)
        _until(lambda: len(server.seen) >= 22)  # in the second block
        child.send_signal(how)
        child.communicate(timeout=60)
        before = len(server.seen)
        run = pl.run(written, analysis=False)
        sent = len(server.seen)
        assert [r.path for r in list_runs(runs_dir())] == [run.path]
        asked = run.status["race"]["asked"]
        lost = 2 if how is signal.SIGKILL else 0  # at most what was in flight
        slack = 4 if how is signal.SIGKILL else 0  # and what was not yet written
        assert before < asked <= sent <= asked + lost + slack
        assert run.status["race"]["over"]
        assert by_name(run).loc["EP02", "verdict"] == "worse"
        pl.run(written, analysis=False)
        assert len(server.seen) == sent


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert done()
