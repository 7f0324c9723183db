"""The recipes that promptlab brings: their specs are valid, their facts are the quoted ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from promptlab.analysis.papers.published import RECALLED, read_published
from promptlab.errors import SpecError, UnknownName, UserError
from promptlab.planning import build_plan
from promptlab.recipes import load_recipe, recipe_names
from promptlab.spec import load_spec
from tests.own_recipe import CLAIMS, PUBLISHED, RECIPE, write_recipe

PAPERS = ("emotionprompt", "negativeprompt")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_recipe(tmp_path / "paper")


def test_there_is_one_for_each_paper() -> None:
    assert recipe_names() == list(PAPERS)


@pytest.mark.data
@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("protocol", ["controlled", "as-published"])
def test_every_experiment_can_be_planned(
    paper: str, protocol: str, suites_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(suites_dir))
    recipe = load_recipe(paper)
    experiments = recipe.experiments(protocol, models=["mock/echo"], limit=2)
    names = [e.spec.experiment.name for e in experiments]
    assert len(set(names)) == len(names)
    stimuli = 11 if paper == "emotionprompt" else 10
    for experiment in experiments:
        plan = build_plan(experiment.spec)
        n_tasks = {"bigbench": 21, "truthfulqa": 1, "open-questions": 1}
        assert len(plan.draws) == n_tasks.get(experiment.name, 24)
        own = [
            c.id
            for c in plan.conditions
            if len(c.stimuli) == 1 and c.stimuli[0].library == recipe.paper.library
        ]
        assert len(own) == stimuli
        controls = [c for c in plan.conditions if c.stimuli and c.stimuli[0].matched_to]
        wanted = protocol == "controlled" and experiment.part.role == "main"
        assert len(controls) == (stimuli if wanted else 0)


@pytest.mark.parametrize("paper", PAPERS)
def test_published_values_carry_status_and_source(paper: str) -> None:
    recipe = load_recipe(paper)
    every = recipe.published(recalled=True)
    assert (every["source"].str.len() > 5).all()
    assert not (recipe.published()["status"] == RECALLED).any()
    claimed = {round(c.published, 2) for c in recipe.claims}
    headlines = every.loc[every["table"] == "headline", "value"]
    assert {round(v, 2) for v in headlines} <= claimed


def test_published_tables_are_the_quoted_ones(published_dir: Path) -> None:
    quoted = pd.read_csv(published_dir / "emotionprompt_table1.csv")
    ours = load_recipe("emotionprompt").published(recalled=True)
    main = ours[ours["table"] == "main"]
    assert list(main["value"]) == list(quoted["value"])
    assert list(main["status"]) == list(quoted["status"])


def test_the_headlines_follow_from_the_table() -> None:
    """8.00 and 115 % are what the formulas in the claims give on the published averages."""
    table = load_recipe("emotionprompt").published(recalled=True)
    average = table[(table["table"] == "main") & (table["model"] == "Average")]
    score = average.set_index(["benchmark", "shots", "base", "row"])["value"]

    def gains(benchmark: str) -> list[float]:
        kinds = score[benchmark].index.droplevel("row").unique()
        return [
            score[(benchmark, shots, base, "best")] / score[(benchmark, shots, base, "original")]
            - 1
            for shots, base in kinds
        ]

    assert 100 * sum(gains("instruction_induction")) / 4 == pytest.approx(8.00, abs=0.01)
    human, ape = gains("bigbench")
    assert 100 * human == pytest.approx(17.32, abs=0.01)
    assert 50 * (human + ape) == pytest.approx(115, abs=0.1)


def test_a_recipe_of_ones_own(own: Path) -> None:
    recipe = load_recipe(str(own))
    found = recipe.experiments("controlled", set_values=["seed=7"])
    assert [e.name for e in found] == ["first", "warm-0.5", "warm-1.0"]
    experiment = found[2].spec.experiment
    assert (experiment.shots, experiment.params, experiment.seed) == ((0,), {"temperature": 1.0}, 7)
    assert experiment.name == "paper-controlled-warm-1.0"


def test_parts_for_a_judge_are_left_out_without_one(own: Path) -> None:
    recipe = load_recipe("emotionprompt")
    rubrics = {p.name: p.rubric for p in recipe.protocol("controlled").parts if p.rubric}
    assert rubrics == {"truthfulqa": "truthfulqa", "open-questions": "human_study"}
    names = [e.name for e in recipe.experiments("controlled", judged=False)]
    assert not set(rubrics) & set(names)
    with pytest.raises(UserError, match="add --judge"):
        recipe.experiments("controlled", parts=["truthfulqa"], judged=False)
    # A rubric of one's own lies beside the recipe.
    (own / "recipe.yaml").write_text(RECIPE.replace("shots: 2}", "shots: 2}, rubric: mine.yaml"))
    recipe = load_recipe(str(own))
    with pytest.raises(UserError, match=r"paper/mine\.yaml"):
        recipe.rubric(recipe.protocol("controlled").parts[0])


def test_mistakes_say_where(own: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'emotionprompt'"):
        load_recipe("emotionpromt")
    with pytest.raises(UserError, match=r"takes recipe\.yaml"):
        load_recipe(str(own.parent / "nowhere" / "recipe.yaml"))
    recipe = load_recipe(str(own))
    with pytest.raises(UnknownName, match="protocols: controlled"):
        recipe.experiments("controled")
    with pytest.raises(UnknownName, match="parts: first, warm"):
        recipe.experiments("controlled", parts=["second"])
    (own / "claims.yaml").write_text(CLAIMS.replace("gain_of_best", "gain_of_bets"))
    with pytest.raises(SpecError, match=r"claims\.yaml.*gain_of_best"):
        load_recipe(str(own))
    (own / "recipe.yaml").write_text(RECIPE.replace("short:", "shrot:"))
    with pytest.raises(SpecError, match=r"recipe\.yaml.*shrot"):
        load_recipe(str(own))


def test_a_published_value_without_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED + "main,b,zero,human,best,m,score,1.5,points,CONFIRMED,\n")
    with pytest.raises(UserError, match="line 2"):
        read_published(path)
    path.write_text("table,value\nmain,1\n")
    with pytest.raises(UserError, match="no column"):
        read_published(path)


@pytest.mark.parametrize("paper", PAPERS)
def test_specs_are_valid_alone(paper: str) -> None:
    paths = sorted(load_recipe(paper).folder.glob("*/*.yaml"))
    parts = [p for way in load_recipe(paper).paper.protocols.values() for p in way.parts]
    assert {load_recipe(paper).folder / p.spec for p in parts} == set(paths)
    for path in paths:
        assert load_spec(path).experiment.models


def test_the_main_table_marks_values_that_were_only_recalled() -> None:
    from promptlab.report.dossier_rows import main_rows

    ours = pd.DataFrame(
        {
            "model": "m",
            "benchmark": "instruction_induction",
            "shots": [0, 5],
            "base": "human",
            "row": "original",
            "value": [20.0, 30.0],
        }
    )
    recipe = load_recipe("emotionprompt")
    zero, few = (
        next(r for r in main_rows(ours, recipe.published(recalled=True)).rows if word in r.group)
        for word in ("zero-shot", "few-shot")
    )
    assert zero.cells[:3] == ("Original", "20.00", "25.25")
    assert few.cells[2] == "28.75*"
    table = main_rows(ours, recipe.published())
    assert not any("*" in cell for row in table.rows for cell in row.cells)
    assert "transcribed" in table.notes[0]
