"""The example run: its analysis comes from its scores alone, its scores from its answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import promptlab as pl
from promptlab.conclude import analyse_run
from promptlab.recipes import load_recipe, recipe_names
from promptlab.repair import import_run
from promptlab.reproducing import runs_in, write_dossier
from promptlab.runs import Run
from promptlab.settings import store_path
from promptlab.store import Store
from tests.conftest import ROOT

EXAMPLE = ROOT / "runs" / "example"
TABLES = ("contrasts", "best", "sensitivity")


def runs() -> list[Run]:
    return runs_in(EXAMPLE)


@pytest.mark.parametrize("run", runs(), ids=lambda run: run.name)
def test_the_analysis_can_be_repeated_from_the_scores(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / run.path.name
    shutil.copytree(run.path, copy)
    for name in TABLES:
        (copy / f"{name}.parquet").unlink()
    written = []
    for _ in range(2):
        analyse_run(Run(copy))
        written.append([(copy / f"{name}.parquet").read_bytes() for name in TABLES])
    assert written[0] == written[1]
    for name in TABLES:
        ours, theirs = (pd.read_parquet(p / f"{name}.parquet") for p in (copy, run.path))
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("paper", recipe_names())
def test_the_dossiers_come_from_the_run(paper: str, tmp_path: Path) -> None:
    pages = [
        write_dossier(load_recipe(paper), "controlled", runs(), tmp_path / str(n)).read_bytes()
        for n in range(2)
    ]
    assert pages[0] == pages[1]
    claims = pd.read_csv(tmp_path / "0" / "tables" / "claims.csv").set_index("id")
    assert claims.loc["ii-headline", "verdict"] == "cannot tell"  # no APE instructions were asked
    answers = pd.read_csv(tmp_path / "0" / "tables" / "answers.csv")
    assert answers.groupby("benchmark")["tasks"].max().to_dict() == {
        "bigbench": 21,
        "instruction_induction": 24,
    }
    models = pd.read_csv(tmp_path / "0" / "tables" / "models.csv").set_index(["benchmark", "shots"])
    few = models.loc[("instruction_induction", 5)]
    assert 0 < few["best_chance"] < few["best_gain"]  # what the choice alone gains
    assert few["chosen_gain_lower"] < few["chosen_gain"] < few["best_gain"]


def test_it_holds_no_text_of_the_suites() -> None:
    for run in runs():
        assert not {"prompt", "input", "messages"} & set(run.responses().columns)
        assert sum(p.stat().st_size for p in run.path.rglob("*")) < 3_000_000


@pytest.mark.data
@pytest.mark.model
@pytest.mark.parametrize("run", runs(), ids=lambda run: run.name)
def test_it_can_be_replayed_from_its_answers(
    run: Run,
    suites_dir: Path,
    smollm2: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del smollm2  # its digest is part of every request
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(suites_dir))
    with Store(store_path()) as store:
        import_run(run, store)
    replayed = pl.run(run.path / "spec.yaml", set_values=["store=replay"], analysis=False)
    assert replayed.status["asked"] == 0
    pd.testing.assert_frame_equal(replayed.scores(), run.scores())
