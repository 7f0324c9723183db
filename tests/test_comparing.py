"""Prompts of somebody's own: pairing, refusals, and the numbers that come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import promptlab as pl
from promptlab.analysis import count_pairs, mcnemar, tango
from promptlab.analyzing import Options
from promptlab.comparing import compare
from promptlab.errors import UnpairedScores, UserError

DATA = Path(__file__).parent / "importers" / "data"
STRICT = "exact_match,strict-match"


def table(path: Path, scores: dict[str, Any], **columns: str) -> Path:
    """A CSV of item_id, score and constant columns."""
    head = ",".join(["item_id", "score", *columns])
    rows = [
        ",".join([i, "" if s is None else str(s), *columns.values()]) for i, s in scores.items()
    ]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def answers(n: int, p: float, seed: int) -> dict[str, int]:
    draws = np.random.default_rng(seed).random(n)
    return {f"q{i}": int(d < p) for i, d in enumerate(draws)}


def samples(path: Path, task: str, texts: list[str], right: list[int], **more: Any) -> Path:
    """A log in the form of lm-eval 0.4.13."""
    path.mkdir(parents=True, exist_ok=True)
    file = path / f"samples_{task}_2026-01-02T03-04-05.678.jsonl"
    with file.open("w") as out:
        for i, (text, score) in enumerate(zip(texts, right, strict=True)):
            sample = {
                "doc_id": i, "doc": {"q": text}, "target": text, "resps": [["x"]],
                "filter": "none", "metrics": ["acc"], "doc_hash": f"hash of {text}",
                "prompt_hash": f"{task} {text}", "target_hash": f"target of {text}", "acc": score,
            }  # fmt: skip
            out.write(json.dumps(sample | more) + "\n")
    return file


def test_one_task_is_mcnemar_and_tango(tmp_path: Path) -> None:
    a, b = answers(80, 0.5, 1), answers(80, 0.65, 2)
    found = compare(table(tmp_path / "plain.csv", a), table(tmp_path / "career.csv", b))
    assert found.names == ("plain", "career")
    row = found.contrasts[found.contrasts["level"] == "cell"].iloc[0]
    counts = count_pairs(list(a.values()), list(b.values()))
    assert row["pvalue"] == pytest.approx(mcnemar(counts).pvalue)
    low, high = tango(counts.gains, counts.losses, counts.n).interval
    assert (row["lower"], row["upper"]) == pytest.approx((low, high))
    assert (row["gained"], row["lost"]) == (counts.gains, counts.losses)
    assert found.pairing.to_dict("records") == [
        {"task": "all", "paired": 80, "only_plain": 0, "only_career": 0}
    ]
    (said,) = found.sentences()
    assert said.startswith("career changed accuracy by ")
    assert repr(found) == said


def test_the_order_of_rows_does_not_pair_items(tmp_path: Path) -> None:
    a, b = answers(40, 0.5, 1), answers(40, 0.6, 2)
    first = compare(table(tmp_path / "a.csv", a), table(tmp_path / "b.csv", b))
    turned = table(tmp_path / "c.csv", dict(reversed(b.items())))
    again = compare(tmp_path / "a.csv", turned, names=["a", "b"])
    assert first.contrasts.drop(columns="condition").equals(
        again.contrasts.drop(columns="condition")
    )


def test_what_does_not_pair_is_counted_and_left_out(tmp_path: Path) -> None:
    a, b = answers(30, 0.5, 1), answers(40, 0.5, 2)
    del a["q3"]
    plain, more = table(tmp_path / "a.csv", a), table(tmp_path / "b.csv", b)
    found = compare(plain, more)
    assert found.pairing.iloc[0].to_dict() == {
        "task": "all",
        "paired": 29,
        "only_a": 0,
        "only_b": 11,
    }
    assert "all: 29 scores pair; left out: 11 only in b." in found.notes
    # An item that one side never had is no failed answer, under either policy.
    wrong = compare(plain, more, options=Options(missing="as_wrong"))
    assert wrong.contrasts["n_items"].tolist() == [29, 29]


def test_an_answer_without_a_score_is_counted_as_failed(tmp_path: Path) -> None:
    a, b = answers(30, 0.5, 1), answers(30, 0.5, 2)
    b["q5"] = None  # type: ignore[assignment]
    files = table(tmp_path / "a.csv", a), table(tmp_path / "b.csv", b)
    row = compare(*files).contrasts.iloc[0]
    assert (row["n_items"], row["failed"], row["planned"]) == (29, 1, 30)
    assert compare(*files, options=Options(missing="as_wrong")).contrasts["n_items"][0] == 30


def test_nothing_in_common_is_refused_with_examples(tmp_path: Path) -> None:
    a = table(tmp_path / "a.csv", {"q1": 1, "q2": 0})
    b = table(tmp_path / "b.csv", {"x1": 1, "x2": 0, "x3": 1})
    with pytest.raises(UnpairedScores) as refused:
        compare(a, b)
    said = str(refused.value)
    assert "0 of 2 items of a and 3 items of b are in common" in said
    assert "a has q1, q2; b has x1, x2, x3" in said
    assert "item ids must be written alike" in said


def test_two_targets_for_one_item_are_an_error(tmp_path: Path) -> None:
    for name, target in (("a", "Paris"), ("b", "Lyon")):
        table(tmp_path / f"{name}.csv", {"q1": 1, "q2": 0}, target=target)
    with pytest.raises(UserError, match=r"q1 has the target 'Paris' in a and 'Lyon' in b.*2 items"):
        compare(tmp_path / "a.csv", tmp_path / "b.csv")


def test_two_tasks_of_the_same_documents_are_compared(tmp_path: Path) -> None:
    texts = [f"t{i}" for i in range(12)]
    a = samples(tmp_path / "a", "sums_plain", texts, [0, 1] * 6)
    b = samples(tmp_path / "b", "sums_career", texts[::-1], [1, 1, 0] * 4)
    found = compare(a, b)
    assert found.names == ("sums_plain", "sums_career")
    assert found.pairing["paired"].tolist() == [12]
    assert found.notes == (
        "Task sums_career was compared with task sums_plain: they hold the same items.",
    )


def test_several_tasks_pair_by_name_or_by_their_documents(tmp_path: Path) -> None:
    for side in ("one", "two"):
        for task in ("x", f"y_{side}", f"only_{side}"):
            texts = [f"{task[0]}{side if task[0] == 'o' else ''}{i}" for i in range(9)]
            samples(tmp_path / side, task, texts, [1, 0, int(side == "two")] * 3)
    found = compare(tmp_path / "one", tmp_path / "two")
    assert found.names == ("one", "two")
    assert found.pairing["task"].tolist() == ["x", "y_one"]
    said = "\n".join(found.notes)
    assert "Task y_two (of two) was compared with task y_one (of one)" in said
    assert "Only in one, so not compared: only_one." in said
    assert "Only in two, so not compared: only_two." in said
    sentences = found.sentences()
    assert len(sentences) == 3
    assert "over 2 tasks" in sentences[0]


def test_documents_that_hold_the_prompt_pair_by_their_number(tmp_path: Path) -> None:
    a = samples(tmp_path / "a", "t", ["p x", "p y"], [1, 0], target_hash="")
    b = samples(tmp_path / "b", "t", ["q x", "q y"], [1, 1], target_hash="", target="")
    with pytest.raises(UnpairedScores, match="--by id pairs by their number"):
        compare(a, b)
    assert compare(a, b, by="id").pairing["paired"].tolist() == [2]


def test_no_task_in_common_is_refused(tmp_path: Path) -> None:
    for side in "ab":
        for k in (1, 2):
            samples(tmp_path / side, f"{side}{k}", [f"{side}{k}{i}" for i in range(3)], [1, 0, 1])
    with pytest.raises(
        UnpairedScores, match="a and b have no task in common: a1 and a2; b1 and b2"
    ):
        compare(tmp_path / "a", tmp_path / "b")


def test_the_same_prompts_are_noticed(tmp_path: Path) -> None:
    texts = [f"t{i}" for i in range(6)]
    a = samples(tmp_path / "a", "t", texts, [0, 1] * 3)
    b = samples(tmp_path / "b", "t", texts, [1, 1] * 3)
    assert "were sent the same prompt for every item" in compare(a, b).notes[0]


def test_other_models_and_metrics(tmp_path: Path) -> None:
    a = table(tmp_path / "a.csv", answers(20, 0.5, 1), model="m1", metric="acc")
    b = table(tmp_path / "b.csv", answers(20, 0.5, 2), model="m2", metric="acc")
    found = compare(a, b)
    assert set(found.contrasts["model"]) == {"m1 / m2"}
    assert "The model differs (a m1, b m2)" in found.notes[0]
    c = table(tmp_path / "c.csv", answers(20, 0.5, 3), model="m1", metric="f1")
    with pytest.raises(UnpairedScores, match="scored by acc and 'c' scored by f1"):
        compare(a, c)


def test_several_models_on_one_side_are_refused(tmp_path: Path) -> None:
    rows = [f"q{i},{i % 2},m{k}" for i in range(4) for k in (1, 2)]
    (tmp_path / "a.csv").write_text("item_id,score,model\n" + "\n".join(rows))
    b = table(tmp_path / "b.csv", answers(4, 0.5, 1), model="m1")
    with pytest.raises(UserError, match=r"differ in the model, .*\(a: m1 and m2; b: m1\)"):
        compare(tmp_path / "a.csv", b)
    both = compare(tmp_path / "a.csv", tmp_path / "a.csv", names=["p", "q"])
    assert set(both.contrasts["model"]) == {"m1", "m2"}


def test_three_prompts_share_one_family(tmp_path: Path) -> None:
    files = [table(tmp_path / f"{n}.csv", answers(50, 0.5, k)) for k, n in enumerate("abc")]
    found = pl.compare(*files)
    macro = found.contrasts[found.contrasts["level"] == "macro"]
    assert macro["condition"].tolist() == ["b", "c"]
    assert macro["family_size"].tolist() == [2, 2]


def test_names(tmp_path: Path) -> None:
    for side in ("x", "y"):
        samples(tmp_path / side / "model", "t", ["a", "b"], [1, 0])
    files = [next((tmp_path / side / "model").iterdir()) for side in ("x", "y")]
    assert compare(*files).names == ("x", "y")
    assert compare(*files, names=["p", "q"]).names == ("p", "q")
    assert compare(files[0], files[0]).names == ("A", "B")
    for names in (["p"], ["p", "p"], ["p", ""]):
        with pytest.raises(UserError, match="needs 2 different names"):
            compare(*files, names=names)
    with pytest.raises(UserError, match="at least two"):
        compare(files[0])


def test_one_condition_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    rows = [f"q{i},{c},{(i * k) % 2}" for i in range(8) for k, c in enumerate(("original", "EP02"))]
    path.write_text("item_id,condition,score\n" + "\n".join(rows))
    found = compare(f"{path}:original", f"{path}:EP02")
    assert found.names == ("original", "EP02")
    with pytest.raises(UserError, match=r"several conditions; name one, as .*all\.csv:original"):
        compare(path, path)
    with pytest.raises(UserError, match="unknown condition 'EP2'; did you mean 'EP02'"):
        compare(f"{path}:original", f"{path}:EP2")


def test_conditions_of_runs(tmp_path: Path, make_run: Any) -> None:
    first, second = make_run("first", ("original", "EP02")), make_run("second", ("original",))
    found = compare(f"{first}:original", f"{first}:EP02")
    assert found.names == ("original", "EP02")
    assert found.pairing["task"].tolist() == ["suite/a", "suite/b"]
    assert found.pairing["paired"].tolist() == [10, 10]
    assert set(found.contrasts["model"]) == {"mock/m"}
    assert compare(f"{first}:EP02", second).names == ("EP02", "original")
    with pytest.raises(UserError, match=r"several conditions; name one, as .*first:original"):
        compare(first, second)
    with pytest.raises(UserError, match="unknown condition 'EP1'"):
        compare(f"{first}:EP1", second)


def test_wordings_of_a_run_pair_each_with_its_own(make_run: Any) -> None:
    run = make_run("worded", ("original", "EP02"))
    own = pd.read_parquet(run / "scores.parquet")
    both = pd.concat([own.assign(instruction=w) for w in ("own", "w01")])
    both.to_parquet(run / "scores.parquet")
    found = compare(f"{run}:original", f"{run}:EP02")
    assert found.pairing["paired"].tolist() == [20, 20]
    assert found.contrasts["n_items"].max() == 20  # 10 items of two tasks, however many wordings


def test_a_raced_run_is_refused(make_run: Any) -> None:
    run = make_run("raced", ("original", "EP02"))
    (run / "race.json").write_text("{}")
    with pytest.raises(UserError, match="was raced"):
        compare(f"{run}:original", f"{run}:EP02")


@pytest.fixture
def make_run(tmp_path: Path) -> Any:
    """A run directory with scores under two protocols, one of them primary."""

    def make(name: str, conditions: tuple[str, ...]) -> Path:
        rows = [
            {
                "model": "mock/m", "task": task, "condition": c, "shots": 0, "replicate": 0,
                "item_id": f"i{i}", "protocol": protocol, "metric": "exact_match",
                "primary": protocol == "induction", "score": float(i * (k + 2) % 3 > 0),
                "status": "ok", "method": "text",
            }
            for task in ("suite/a", "suite/b")
            for k, c in enumerate(conditions)
            for i in range(10)
            for protocol in ("induction", "negativeprompt")
        ]  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        (folder / "lock.json").write_text(json.dumps({"name": name}))
        pd.DataFrame(rows).to_parquet(folder / "scores.parquet")
        return folder

    return make


def test_real_logs_of_lm_eval() -> None:
    found = compare(DATA / "plain", DATA / "career", metrics=[STRICT])
    assert found.names == ("plain", "career")
    assert found.pairing["paired"].tolist() == [8]
    assert any("Task capitals_career" in note for note in found.notes)
    with pytest.raises(UnpairedScores, match="0 of 8 items"):
        compare(
            next((DATA / "plain").glob("samples_sums*")), DATA / "career", metrics=["acc", STRICT]
        )
