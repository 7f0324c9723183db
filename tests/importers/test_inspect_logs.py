"""Inspect logs, written by inspect_ai itself.

data/doubling.eval is the log of an evaluation by inspect_ai 0.3.285 with its mock model: four sums,
two epochs, the scorers match and includes, even numbers answered right; its events were left out.
"""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from promptlab.errors import DISTRIBUTION, MissingDependency, UserError
from promptlab.importers import open_source
from promptlab.importers.inspect_logs import read_logs

DATA = Path(__file__).parent / "data"
pytest.importorskip("inspect_ai", reason="the extra 'inspect' is not installed")


def sample(id: Any, value: Any = "C", *, epoch: int = 1, scorer: str = "match", **more: Any) -> Any:
    from inspect_ai.log import EvalSample
    from inspect_ai.scorer import Score

    scores = None if value is None else {scorer: Score(value=value)}
    return EvalSample(id=id, epoch=epoch, input=f"Q{id}", target="yes", scores=scores, **more)


def write_log(path: Path, samples: list[Any], **spec: Any) -> Path:
    """A log from hand-made objects, through inspect_ai's writer."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec, write_eval_log

    status = spec.pop("status", "success")
    about = {"created": "2026-01-02T03:04:05+00:00", "task": "riddles", "model": "mockllm/model"}
    log = EvalLog(
        status=status,
        eval=EvalSpec(
            **(about | spec),
            dataset=EvalDataset(name="d", samples=len(samples)),
            config=EvalConfig(epochs=1),
        ),
        samples=samples,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(log, str(path))
    return path


@pytest.mark.parametrize("ending", ["eval", "json"])
def test_what_inspect_writes_is_read(tmp_path: Path, ending: str) -> None:
    samples = [sample("a", "C"), sample("b", "I"), sample(3, "P"), sample("d", "N")]
    source = open_source(write_log(tmp_path / f"log.{ending}", samples))
    rows = source.rows.set_index("item_id")
    assert rows["score"].to_dict() == {"a": 1.0, "b": 0.0, "3": 0.5, "d": 0.0}
    assert (source.kind, source.label) == ("Inspect", "riddles")
    assert set(rows["target"]) == {"yes"}
    assert set(rows["model"]) == {"mockllm/model"}
    assert source.notes == ("riddles: 1 without an answer (N) count as 0, as Inspect does.",)


def test_every_kind_of_value(tmp_path: Path) -> None:
    values = [True, False, 0.25, 1, "0.75", "yes", "No"]
    samples = [sample(i, v) for i, v in enumerate(values)]
    rows = open_source(write_log(tmp_path / "log.eval", samples)).rows
    assert rows["score"].tolist() == [1, 0, 0.25, 1, 0.75, 1, 0]
    lists = write_log(tmp_path / "lists.eval", [sample(1, [1, 0])])
    with pytest.raises(UserError, match="no score whose values are numbers"):
        open_source(lists)
    beyond = write_log(tmp_path / "beyond.eval", [sample(1, 7)])
    with pytest.raises(UserError, match="metric 'match' has the value 7"):
        open_source(beyond)


def test_a_score_of_several_values_is_chosen_by_key(tmp_path: Path) -> None:
    samples = [sample(i, {"facts": i / 4, "style": "C"}, scorer="pkg/judge") for i in range(3)]
    path = write_log(tmp_path / "log.eval", samples)
    with pytest.raises(UserError, match="--metric: pkg/judge/facts, pkg/judge/style"):
        open_source(path)
    assert open_source(path, metrics=["pkg/judge/facts"]).rows["score"].tolist() == [0, 0.25, 0.5]
    with pytest.raises(UserError, match="no metric 'pkg/judge/fact'; did you mean"):
        open_source(path, metrics=["pkg/judge/fact"])


def test_epochs_are_replicates_and_failures_are_no_wrong_answers(tmp_path: Path) -> None:
    from inspect_ai.log import EvalError
    from inspect_ai.scorer import Score

    failed = EvalError(message="boom", traceback="", traceback_ansi="")
    samples = [
        sample("a", "C", epoch=1),
        sample("a", "I", epoch=2),
        sample("b", "C", epoch=1, error=failed),
        sample("b", None, epoch=2),
    ]
    unscored = sample("c", "C")
    unscored.scores = {"match": Score.unscored(reason="grader_failed")}
    source = open_source(write_log(tmp_path / "log.eval", [*samples, unscored], status="error"))
    rows = source.rows.sort_values(["item_id", "replicate"])
    assert rows["replicate"].tolist() == [0, 1, 0, 1, 0]
    assert rows["status"].tolist() == ["ok", "ok", "error", "missing", "missing"]
    assert rows["score"].isna().tolist() == [False, False, True, True, True]
    assert "status is 'error'" in source.notes[0]


def test_answers_that_were_cut_off_are_counted(tmp_path: Path) -> None:
    from inspect_ai.model import ModelOutput

    cut = ModelOutput.from_content("m", "and then", stop_reason="max_tokens")
    path = write_log(tmp_path / "log.eval", [sample("a", output=cut), sample("b")])
    assert "1 answers were cut off" in open_source(path).notes[0]


def test_a_folder_gives_the_newest_log_of_each_task(tmp_path: Path) -> None:
    write_log(tmp_path / "1.eval", [sample("a", "I")], created="2026-01-01T00:00:00+00:00")
    write_log(tmp_path / "2.eval", [sample("a", "C")], created="2026-01-02T00:00:00+00:00")
    write_log(tmp_path / "3.json", [sample("a", "C")], task="sums")
    source = open_source(tmp_path)
    assert source.tasks == ["riddles", "sums"]
    assert source.rows["score"].tolist() == [1, 1]
    assert "the newest of 2 logs was read, 2.eval" in source.notes[0]
    write_log(tmp_path / "4.eval", [sample("a", "C")], model="other/model")
    with pytest.raises(UserError, match=r"several models \(mockllm/model, other/model\)"):
        open_source(tmp_path)


def test_logs_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.eval").write_bytes(b"not a zip")
    with pytest.raises(UserError, match=r"bad\.eval: Inspect cannot read this log"):
        open_source(tmp_path / "bad.eval")
    empty = write_log(tmp_path / "empty.eval", [])
    with pytest.raises(UserError, match="holds no samples"):
        open_source(empty)


def test_without_the_extra_the_line_to_type_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("inspect_ai"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=rf"pip install '{DISTRIBUTION}\[inspect\]'"):
        read_logs(tmp_path / "log.eval")


def test_the_log_of_a_real_evaluation_is_read() -> None:
    source = open_source(DATA / "doubling.eval", metrics=["match"])
    rows = source.rows.sort_values(["item_id", "replicate"])
    assert rows["item_id"].tolist() == [q for q in ("q1", "q2", "q3", "q4") for _ in range(2)]
    assert rows["replicate"].tolist() == [0, 1] * 4
    assert rows["score"].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert source.tasks == ["doubling"]
    with pytest.raises(UserError, match="--metric: match, includes"):
        open_source(DATA / "doubling.eval")
