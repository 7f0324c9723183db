"""Paraphrases of the instruction crossed with everything else, from the spec to the report."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from fake_server import Reply, Seen, as_json, chat_reply, serving
from hypothesis import given, settings
from hypothesis import strategies as st

import promptlab as pl
from promptlab.conclude import analyse_run, report_run, score_run
from promptlab.errors import MissingData, SpecError, UserError
from promptlab.plan import Plan
from promptlab.planning import build_plan
from promptlab.rehearsing import race_shape_of, shape_of
from promptlab.repair import import_run
from promptlab.runs import Run
from promptlab.spec import spec_from_mapping
from promptlab.store import Store

TEXTS = [
    "Write the first letter of the word.",
    "write the first letter of the word",  # the one before it, but for case and stop
    "Which letter does the word begin with?",
    "Give the letter that comes first.",
    "What is the initial of the word?",
]
CARD = """\
name: first_letter
instruction: Extract the first letter of the word.
instructions: {{ape: find the letter that comes first}}
source: a test
metrics: {{induction: exact_match, contains: gold_inside}}
paraphrases: {paraphrases}
max_tokens: 16
data: {{loader: procedural, generator: letter, position: 1}}
"""
SPEC: dict[str, Any] = {
    "name": "w",
    "models": ["mock/echo"],
    "conditions": ["original", {"stimuli": ["EP02", "NP01"]}],
    "items": 4,
    "seed": 3,
}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("cards"), TEXTS)


def written(folder: Path, texts: list[str]) -> Path:
    path = folder / "card.yaml"
    path.write_text(CARD.format(paraphrases=texts))
    return path


def plan(card: Path, instructions: Any = "paraphrases", **changes: Any) -> Plan:
    spec = SPEC | {"tasks": [str(card)], "instructions": instructions} | changes
    return build_plan(spec_from_mapping(spec))


def ids(built: Plan, task: str = "user/first_letter") -> list[str]:
    return [w.id for w in built.draws[task].wordings]


def cells(built: Plan) -> dict[tuple[str, str, int], set[tuple[str, str, int]]]:
    """Items, wordings and replicates of every task, condition and number of shots."""
    found: dict[tuple[str, str, int], set[tuple[str, str, int]]] = {}
    for model in built.models:
        for p in built.requests(model):
            key = (p.cell.task, p.cell.condition, p.cell.shots)
            found.setdefault(key, set()).add((p.item.item_id, p.cell.instruction, p.replicate))
    return found


def test_without_the_key_nothing_changes(card: Path) -> None:
    own, unsaid = plan(card, "own"), build_plan(spec_from_mapping(SPEC | {"tasks": [str(card)]}))
    assert own.digest == unsaid.digest
    assert ids(unsaid) == ["own"]
    crossed = plan(card)
    assert crossed.digest != own.digest
    asked = [p.hash for p in crossed.requests(crossed.models[0]) if p.cell.instruction == "own"]
    assert asked == [p.hash for p in own.requests(own.models[0])]


@pytest.mark.parametrize("design", ["full", "race"])
def test_a_rehearsal_says_that_it_has_one_wording(card: Path, design: str) -> None:
    shape = race_shape_of if design == "race" else shape_of
    crossed, own = (
        shape(plan(card, how, design=design, items=20)) for how in ("paraphrases", "own")
    )
    (note,) = crossed.notes
    assert "5 wordings of its instruction; the rehearsal has one wording an item" in note
    assert not own.notes


def test_a_wording_is_named_by_its_place_and_none_is_asked_twice(card: Path) -> None:
    assert ids(plan(card)) == ["own", "w01", "w03", "w04", "w05"]
    drawn = [ids(plan(card, {"paraphrases": n})) for n in (1, 2, 3)]
    for fewer, more in itertools.pairwise(drawn):
        assert set(fewer) < set(more)
        assert more == sorted(more)
    assert any(ids(plan(card, {"paraphrases": 2}, seed=s)) != drawn[1] for s in range(8))
    assert ids(plan(card, {"own": False})) == ["w01", "w03", "w04", "w05"]


def test_the_card_s_own_instruction_is_not_its_own_paraphrase(tmp_path: Path) -> None:
    card = written(tmp_path, ["extract the first letter of the word", "Name the first letter."])
    assert ids(plan(card)) == ["own", "w02"]


def test_the_prompt_holds_the_wording(card: Path) -> None:
    built = plan(card)
    texts = {w.id: w.text for w in built.draws["user/first_letter"].wordings}
    for p in built.requests(built.models[0]):
        stimulus = {"original": "", "EP02": " This is very important"}.get(p.cell.condition, "")
        start = f"Instruction: {texts[p.cell.instruction]}{stimulus}"
        assert p.request.messages[0].content.startswith(start)
    hashes = [p.hash for p in built.requests(built.models[0])]
    assert len(set(hashes)) == len(hashes) == built.n_planned == built.n_requests == 3 * 4 * 5
    assert built.n_cells == 15


def test_white_space_that_ends_an_instruction_stays(tmp_path: Path) -> None:
    card = written(tmp_path, ["Name the first letter."])
    text = card.read_text()
    own = "instruction: Extract the first letter of the word."
    assert own in text
    card.write_text(text.replace(own, 'instruction: "Extract the first letter.\\n"'))
    built = plan(card)
    assert [w.text for w in built.draws["user/first_letter"].wordings] == [
        "Extract the first letter.\n",
        "Name the first letter.\n",
    ]


@settings(deadline=None, max_examples=20)
@given(
    wanted=st.one_of(st.just("all"), st.integers(1, 6)),
    own=st.booleans(),
    shots=st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True),
    replicates=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_paired_by_construction(
    card: Path, wanted: Any, own: bool, shots: list[int], replicates: int, seed: int
) -> None:
    instructions = {"paraphrases": wanted, "own": own}
    changes = {"shots": shots, "replicates": replicates, "seed": seed}
    built = plan(card, instructions, tasks=[str(card), "procedural/plural"], **changes)
    found = cells(built)
    for (task, _, k), asked in found.items():
        assert asked == found[task, "original", k]
        assert {w for _, w, _ in asked} == set(ids(built, task))
    assert sum(len(asked) for asked in found.values()) == built.n_planned


def test_a_condition_with_an_instruction_of_its_own_has_one_wording(card: Path) -> None:
    built = plan(card, conditions=["original", "ape"])
    assert {w for _, w, _ in cells(built)["user/first_letter", "ape", 0]} == {"own"}
    built = plan(card, {"own": False}, conditions=["original", "ape", "EP02"])
    assert ("user/first_letter", "ape", 0) not in cells(built)
    assert "card's own instruction, which is not asked" in str(built.left_out[0])


def test_a_task_without_paraphrases_is_said(card: Path) -> None:
    built = plan(card, {"paraphrases": 9}, tasks=[str(card), "procedural/plural"])
    assert ids(built, "procedural/plural") == ["own"]
    assert built.warnings == (
        "user/first_letter has 4 paraphrases, not 9; all are used",
        "procedural/plural has no paraphrases; it is asked under its own instruction alone",
    )
    with pytest.raises(SpecError, match="no task has paraphrases"):
        plan(card, tasks=["procedural/plural"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("other", "write own, paraphrases, "),
        (3, "write own, paraphrases, "),
        ({"paraphrase": 3}, "did you mean 'paraphrases'"),
        ({"paraphrases": 0}, "greater than or equal to 1"),
        ({"file": "absent.yaml"}, "no such file"),
    ],
)
def test_mistakes_in_the_spec(card: Path, given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(card, given)


def test_wordings_of_one_s_own(card: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("procedural/plural: [Make it many.]\nprocedural/sum: [Add them.]\n")
    built = plan(card, {"file": str(mine)}, tasks=[str(card), "procedural/plural"])
    assert ids(built) == ["own"]  # the file's, not the card's
    assert [w.text for w in built.draws["procedural/plural"].wordings][1:] == ["Make it many."]
    absolute = built.spec.portable_text()
    assert f"file: {mine}" in absolute
    for text, message in (
        ("- a\n", "a mapping from task ids"),
        ("procedural/plural: Make it many.\n", "write a list of instructions"),
        ("procedural/plural: [' ']\n", "an instruction is a text"),
        ("procedural/plurals: [Many.]\n", "did you mean 'procedural/plural'"),
    ):
        mine.write_text(text)
        with pytest.raises(SpecError, match=message):
            plan(card, {"file": str(mine)}, tasks=["procedural/plural"])


@pytest.mark.data
def test_the_annotations_of_instruction_induction(suites_dir: Path) -> None:
    spec = SPEC | {
        "tasks": ["instruction_induction/*"],
        "instructions": "paraphrases",
        "data_dir": str(suites_dir),
        "items": 1,
    }
    built = build_plan(spec_from_mapping(spec))
    assert not [w for w in built.warnings if "paraphrases" in w]
    for task, draw in built.draws.items():
        assert draw.wordings[0].id == "own"
        assert 3 <= len(draw.wordings) <= 11, task
        for wording in draw.wordings:
            # A stimulus that follows is a sentence of its own.
            assert wording.text == wording.text.strip()
            assert wording.text.endswith((".", ":", "?", "!"))
    letters = {w.id for w in built.draws["instruction_induction/first_word_letter"].wordings}
    assert "w02" in letters
    assert "w03" not in letters
    found = cells(built)
    for (task, _, shots), asked in found.items():
        assert asked == found[task, "original", shots]


@pytest.mark.data
def test_absent_annotations_are_told(suites_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(
        suites_dir / "instruction_induction" / "raw", tmp_path / "instruction_induction" / "raw"
    )
    spec = SPEC | {"tasks": ["instruction_induction/sum"], "data_dir": str(tmp_path)}
    assert build_plan(spec_from_mapping(spec)).draws
    with pytest.raises(MissingData, match=r"annotations/sum\.json"):
        build_plan(spec_from_mapping(spec | {"instructions": "paraphrases"}))


# --- a whole run --------------------------------------------------------------------------------


def answer(seen: Seen) -> Reply:
    """The first letter, for a share of the items that depends on the wording and the stimulus."""
    word = seen.text.rpartition("Input: ")[2].split("\n")[0]
    instruction = seen.text.partition("\n")[0]
    share = 0.3 + 0.5 * _uniform(instruction)
    return as_json(chat_reply(word[0] if _uniform(word + instruction) < share else "no"))


def _uniform(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


@pytest.fixture
def crossed(card: Path) -> Iterator[dict[str, Any]]:
    with serving(answer) as server:
        yield SPEC | {
            "models": [{"id": "openai/m", "api_base": server.base}],
            "tasks": [str(card), "procedural/first_letter"],
            "instructions": {"paraphrases": 3},
            "items": 12,
        }


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but not in three formats."""
    from promptlab.report import pictures

    def save(figure: Any, stem: Path) -> str:
        stem.with_name(f"{stem.name}.svg").write_text("<svg></svg>")
        return "<svg></svg>"

    monkeypatch.setattr(pictures, "save", save)


@pytest.mark.usefixtures("quick")
def test_a_run_from_spec_to_report(crossed: dict[str, Any]) -> None:
    run = pl.run(crossed)
    assert run.status["state"] == "complete"
    rows = 3 * 12 * (4 + 1)
    for table in (run.responses(), pd.read_parquet(run.path / "plan.parquet")):
        assert len(table) == rows
        assert set(table["instruction"]) >= {"own"}
    scores = run.scores()
    assert len(scores) == 2 * rows
    per_task = scores.groupby("task", observed=True)["instruction"].nunique().to_dict()
    assert per_task == {"user/first_letter": 4, "procedural/first_letter": 1}
    locked = run.lock["wordings"]["user/first_letter"]
    assert set(locked) == set(scores["instruction"])
    assert locked["own"]["text"] == "Extract the first letter of the word."

    macro = run.contrasts().query("level == 'macro' and primary").set_index("condition")
    found = run.wordings().query("level == 'macro' and primary").set_index("condition")
    assert set(found.index) == {"EP02", "NP01"}
    # The wordings' table is of the one task that has several; the contrasts are of both.
    assert (found["n_tasks"] == 1).all()
    assert (macro["n_tasks"] == 2).all()
    assert (found["n_wordings"] == 4).all()
    cell = run.contrasts().query("level == 'cell' and primary and task == 'user/first_letter'")
    for row in cell.to_dict("records"):
        assert row["n_items"] == 12  # wordings are not counted as items
        assert found.loc[row["condition"], "difference"] == pytest.approx(row["difference"])
        assert row["planned"] == 48
    page = (run.path / "report" / "index.html").read_text()
    assert "Does it depend on the wording of the instruction?" in page
    assert (run.path / "report" / "figures" / "wordings.svg").is_file()
    assert (run.path / "report" / "tables" / "wordings.csv").is_file()
    assert "(wording w0" in page  # an example of a moved item
    assert run.figure("wordings") is not None


@pytest.mark.usefixtures("quick")
def test_a_race_has_no_intervals_over_wordings(card: Path) -> None:
    spec = SPEC | {"models": ["mock/skilled?p=0.6"], "tasks": [str(card)], "items": 16}
    run = pl.run(spec | {"instructions": {"paraphrases": 2}, "design": "race"})
    assert run.scores()["instruction"].nunique() == 3
    assert run.wordings().empty
    page = (run.path / "report" / "index.html").read_text()
    assert "wording of the instruction?" not in page


def test_again_is_free_and_scores_come_back(crossed: dict[str, Any], tmp_path: Path) -> None:
    run = pl.run(crossed, analysis=False)
    before = {p.name: p.read_bytes() for p in run.path.glob("*.parquet")}
    again = pl.run(crossed, analysis=False)
    assert again.path == run.path
    assert again.status["asked"] == 0
    assert {p.name: p.read_bytes() for p in run.path.glob("*.parquet")} == before
    (run.path / "scores.parquet").unlink()
    score_run(run)
    assert (run.path / "scores.parquet").read_bytes() == before["scores.parquet"]
    with Store(tmp_path / "other.sqlite") as store:
        assert import_run(run, store).added == 180
        assert import_run(run, store).added == 0


def test_the_own_wording_shares_the_store(crossed: dict[str, Any]) -> None:
    plain = pl.run(crossed | {"instructions": "own"}, analysis=False)
    run = pl.run(crossed, analysis=False)
    assert run.path != plain.path
    # Both tasks have the same items and the same own instruction or not; none is asked again.
    assert run.status["from_store"] >= 72
    assert run.status["asked"] == 3 * 12 * 3


def test_changed_wordings_are_told(crossed: dict[str, Any], tmp_path: Path) -> None:
    changing = written(tmp_path, TEXTS)
    run = pl.run(crossed | {"tasks": [str(changing)]}, analysis=False)
    written(tmp_path, [text.replace("letter", "sign") for text in TEXTS])
    with pytest.raises(UserError, match="wordings of the instructions are not those"):
        score_run(run)


@pytest.mark.usefixtures("quick")
def test_a_run_of_before_is_read_as_under_the_own_instruction(crossed: dict[str, Any]) -> None:
    run = pl.run(crossed | {"instructions": "own"}, analysis=False)
    before = run.scores()
    for name in ("plan", "responses", "scores"):
        path = run.path / f"{name}.parquet"
        pq.write_table(pq.read_table(path).drop_columns(["instruction"]), path)
    old = Run(run.path)
    assert len(old.contrasts(baseline="EP02"))
    assert old.wordings().empty
    analyse_run(old)
    assert report_run(old).is_file()
    score_run(old)
    pd.testing.assert_frame_equal(old.scores(), before)


def test_show_and_plan_name_the_wording(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import json
    import sys

    import yaml

    from promptlab.cli import main

    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(SPEC | {"tasks": [str(card)], "instructions": "paraphrases"}))

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["promptlab", words[0], str(path), *words[1:]])
        with pytest.raises(SystemExit):
            main()
        printed = capsys.readouterr()
        return printed.out + printed.err

    monkeypatch.setenv("COLUMNS", "200")
    assert "x shots 0 x 5 wordings = 15 cells, 60 answers" in run("plan")
    shown = json.loads(run("show", "--instruction", "w0*", "--condition", "EP02", "--json"))
    assert [s["instruction"] for s in shown] == ["w01", "w03", "w04", "w05"]
    assert "· wording own ·" in run("show")
    assert "wordings: own, w01, w03, w04, w05" in run("show", "--instruction", "w2")
