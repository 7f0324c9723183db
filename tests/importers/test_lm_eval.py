"""Sample logs of lm-evaluation-harness.

The logs in data/ were written by lm-eval 0.4.13 with its `dummy` model on two tasks of our own; of
their results files only what is read is kept.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from promptlab.errors import UserError
from promptlab.importers import open_source
from promptlab.importers.lm_eval import is_samples, read_samples

DATA = Path(__file__).parent / "data"
STRICT = "exact_match,strict-match"


def line(number: int, **values: Any) -> dict[str, Any]:
    """A sample in the form of lm-eval 0.4.13."""
    sample = {
        "doc_id": number,
        "doc": {"q": number},
        "target": str(number),
        "arguments": {"gen_args_0": {"arg_0": f"Q{number}"}},
        "resps": [["x"]],
        "filtered_resps": ["x"],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": f"hash{number}",
        "prompt_hash": f"prompt{number}",
        "target_hash": f"target{number}",
        "acc": 1.0,
    }
    return {k: v for k, v in (sample | values).items() if v is not ...}


def write(path: Path, *samples: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(s) + "\n" for s in samples))
    return path


# --- real logs -----------------------------------------------------------------------------


def test_a_real_log_is_read(tmp_path: Path) -> None:
    (file,) = (DATA / "plain").glob("samples_sums_*.jsonl")
    source = read_samples(file, metrics=["acc"])
    rows = source.rows
    assert (source.kind, source.label, source.content_ids) == ("lm-eval", "sums", True)
    assert (len(rows), rows["item_id"].nunique()) == (8, 8)
    assert set(rows["item_id"].str.len()) == {64}
    assert set(rows["metric"]) == {"acc"}
    with next((DATA / "plain").glob("results_*.json")).open() as results:
        written = json.load(results)
    assert rows["score"].mean() == pytest.approx(written["results"]["sums"]["acc,none"])
    assert set(rows["model"]) == {written["model_name"]}
    assert set(rows["shots"]) == {0}


def test_a_real_log_with_two_filters_needs_a_choice() -> None:
    with pytest.raises(UserError, match=rf"--metric: {STRICT}, exact_match,flexible-extract"):
        open_source(DATA / "career")
    with pytest.raises(UserError, match="'exact_match' is there in several forms"):
        open_source(DATA / "career", metrics=["exact_match"])
    source = open_source(DATA / "career", metrics=[STRICT])
    assert (len(source.rows), source.tasks) == (8, ["capitals_career"])


def test_a_folder_of_several_tasks_takes_the_first_metric_each_has() -> None:
    source = open_source(DATA / "plain", metrics=["acc", STRICT])
    chosen = source.rows.groupby("task")["metric"].unique()
    assert {t: list(m) for t, m in chosen.items()} == {"capitals_plain": [STRICT], "sums": ["acc"]}
    some = open_source(DATA / "plain", metrics=["acc"])
    assert some.notes == ("Left out, for they lack the metric: capitals_plain.",)
    with pytest.raises(UserError, match=r"no metric 'bleu'; there are: exact_match,strict-match"):
        open_source(DATA / "plain", metrics=["bleu"])


def test_the_hash_is_made_again_where_a_log_lacks_it(tmp_path: Path) -> None:
    (file,) = (DATA / "plain").glob("samples_sums_*.jsonl")
    samples = [json.loads(text) for text in file.read_text().splitlines()]
    older = [{k: v for k, v in s.items() if not k.endswith("_hash")} for s in samples]
    read = read_samples(write(tmp_path / file.name, *older), metrics=["acc"])
    assert read.rows["item_id"].tolist() == [s["doc_hash"] for s in samples]


# --- forms of a log ----------------------------------------------------------------------------


def test_a_log_without_filters_and_metrics(tmp_path: Path) -> None:
    path = write(
        tmp_path / "samples_t.jsonl", *(line(i, filter=..., metrics=...) for i in range(3))
    )
    source = open_source(path)
    assert (source.label, set(source.rows["metric"])) == ("t", {"acc"})
    assert set(source.rows["model"]) == {"model"}


def test_what_holds_no_number_is_no_metric(tmp_path: Path) -> None:
    rows = [line(i, metrics=["acc", "bleu", "ok"], bleu=["a", "b"], ok=i > 0) for i in range(3)]
    path = write(tmp_path / "samples_t.jsonl", *rows)
    with pytest.raises(UserError, match="--metric: acc, ok"):
        open_source(path)
    assert open_source(path, metrics=["ok"]).rows["score"].tolist() == [0, 1, 1]
    text = write(tmp_path / "samples_u.jsonl", line(0, acc="high"))
    with pytest.raises(UserError, match="no metric whose values are numbers"):
        open_source(text)


def test_a_metric_beyond_one_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "samples_t.jsonl", line(0, metrics=["ppl"], ppl=7.5))
    with pytest.raises(UserError, match=r"doc 0: metric 'ppl' has the value 7.5; .*\[0, 1\]"):
        open_source(path)


def test_a_score_that_is_missing_is_no_wrong_answer(tmp_path: Path) -> None:
    path = tmp_path / "samples_t.jsonl"
    path.write_text(json.dumps(line(0)) + "\n" + json.dumps(line(1, acc=None)) + "\n")
    rows = open_source(path).rows
    assert rows["status"].tolist() == ["ok", "missing"]
    assert rows["score"].isna().tolist() == [False, True]


def test_a_document_that_is_there_twice_is_two_items(tmp_path: Path) -> None:
    rows = [line(2, doc_hash="same"), line(0, doc_hash="same"), line(1)]
    source = open_source(write(tmp_path / "samples_t.jsonl", *rows))
    assert source.rows["item_id"].tolist() == ["same", "hash1", "same#2"]
    by_id = open_source(source.path, by="id")
    assert by_id.rows["item_id"].tolist() == ["0", "1", "2"]
    assert not by_id.content_ids
    twice = write(tmp_path / "samples_u.jsonl", line(0), line(0))
    with pytest.raises(UserError, match="doc_id 0 is there twice"):
        open_source(twice)


def test_the_newest_log_of_a_task_is_read(tmp_path: Path) -> None:
    for date, acc in (("2026-01-02T03-04-05.1", 0), ("2026-01-03T03-04-05.2", 1)):
        write(tmp_path / f"m/samples_my_task_{date}.jsonl", line(0, acc=acc))
    source = open_source(tmp_path)
    assert source.rows["score"].tolist() == [1]
    assert source.tasks == ["my_task"]
    assert "newest of 2 logs" in source.notes[0]
    shutil.copytree(tmp_path / "m", tmp_path / "other")
    with pytest.raises(UserError, match="logs of several models; name one: m, other"):
        open_source(tmp_path)


def test_damaged_logs_name_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "samples_t.jsonl", line(0))
    path.write_text(path.read_text() + '{"doc_id": 1, "res')
    with pytest.raises(UserError, match=r"samples_t\.jsonl:2: not JSON"):
        open_source(path)
    path.write_text(json.dumps(line(0)) + '\n{"other": 1}\n')
    with pytest.raises(UserError, match=r":2: no doc_id"):
        open_source(path)
    assert not is_samples(write(tmp_path / "t.jsonl", {"item_id": "1", "score": 1}))


def test_the_results_file_is_not_the_samples() -> None:
    (file,) = (DATA / "career").glob("results_*.json")
    with pytest.raises(UserError, match="--log_samples"):
        open_source(file)


def test_what_is_no_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder: nothing"):
        open_source("nothing")
    with pytest.raises(UserError, match="holds no samples_"):
        open_source(tmp_path)
    (tmp_path / "t.pdf").write_text("x")
    with pytest.raises(UserError, match="neither a log"):
        open_source(tmp_path / "t.pdf")
    log = write(tmp_path / "samples_t.jsonl", line(0))
    with pytest.raises(UserError, match="leave ':EP02' out"):
        open_source(f"{log}:EP02")
