"""Data sets by card: local CSV, JSONL and Parquet files, and hub data sets."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptlab.errors import MissingData, MissingDependency, SpecError, UserError
from promptlab.tasks import Task, find_tasks, load_card

datasets = pytest.importorskip("datasets")

HEAD = """\
name: mine
instruction: Answer.
source: made up
metrics: {induction: exact_match}
data:
  loader: dataset
"""
ROWS: list[dict[str, Any]] = [{"q": f"question {i}", "a": f"answer {i}", "n": i} for i in range(10)]
CHOICES: list[dict[str, Any]] = [
    {"q": "one", "c": ["x", "y"], "g": 0, "s": [1.0, 0.0], "a": "x"},
    {"q": "two", "c": ["x", "y", "z"], "g": 2, "s": [0.0, 0.5, 1.0], "a": "z"},
]
SIMPLE = "  input: q\n  target: a\n"
MakeTask = Callable[[str], Task]


@pytest.fixture
def make(tmp_path: Path) -> MakeTask:
    def made(data: str) -> Task:
        card = tmp_path / "card.yaml"
        card.write_text(HEAD + data, encoding="utf-8")
        return find_tasks([str(card)])[0]

    return made


def write_csv(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    pd.DataFrame(rows).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("d.csv", write_csv), ("d.jsonl", write_jsonl), ("d.parquet", write_parquet)],
)
def test_the_kind_of_file_makes_no_difference(
    tmp_path: Path, make: MakeTask, name: str, write: Callable[[Path, list[Any]], None]
) -> None:
    write(tmp_path / name, ROWS)
    task = make(f"  path: {name}\n{SIMPLE}")
    items = task.items(None, 0)
    assert {(i.input, i.answers) for i in items} == {(r["q"], (r["a"],)) for r in ROWS}
    assert task.size() == len(ROWS)
    assert task.items(3, 0) == items[:3]
    assert [i.item_id for i in items] == EXPECTED_ORDER
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert task.provenance() == {name: digest}
    assert not task.has_demonstrations
    assert task.demonstrations(2, 0) == ()


def expected_order() -> list[str]:
    from promptlab.tasks import in_drawing_order, make_item

    items = [make_item(r["q"], [r["a"]]) for r in ROWS]
    return [i.item_id for i in in_drawing_order(items, "user/mine", 0)]


EXPECTED_ORDER = expected_order()


def test_items_are_known_by_their_content_not_by_the_file(tmp_path: Path, make: MakeTask) -> None:
    write_jsonl(tmp_path / "d.jsonl", ROWS[:4])
    before = make(f"  path: d.jsonl\n{SIMPLE}").items(None, 0)
    write_jsonl(tmp_path / "d.jsonl", ROWS[3::-1])
    assert make(f"  path: d.jsonl\n{SIMPLE}").items(None, 0) == before
    write_jsonl(tmp_path / "d.jsonl", [*ROWS[:3], {**ROWS[3], "a": "other"}])
    after = make(f"  path: d.jsonl\n{SIMPLE}").items(None, 0)
    assert len({i.item_id for i in after} & {i.item_id for i in before}) == 3


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=9)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
def test_cells_of_a_csv_are_read_as_written(
    tmp_path: Path, make: MakeTask, rows: list[tuple[str, str]]
) -> None:
    write_csv(tmp_path / "d.csv", [{"q": q, "a": a} for q, a in rows])
    items = make(f"  path: d.csv\n{SIMPLE}").items(None, 0)
    assert sorted((i.input, i.answers[0]) for i in items) == sorted(set(rows))


@pytest.mark.parametrize("cell", ["007", "1.0", "NA", "None", "null", "true", "1e5", " x "])
def test_a_csv_has_texts_not_numbers_or_gaps(tmp_path: Path, make: MakeTask, cell: str) -> None:
    write_csv(tmp_path / "d.csv", [{"q": cell, "a": cell}], encoding="utf-8-sig")
    (item,) = make(f"  path: d.csv\n{SIMPLE}").items(None, 0)
    assert (item.input, item.answers) == (cell, (cell,))


def test_a_row_that_stands_twice_is_one_item(tmp_path: Path, make: MakeTask) -> None:
    write_jsonl(tmp_path / "d.jsonl", [ROWS[0], ROWS[0], ROWS[1], ROWS[0]])
    items = make(f"  path: d.jsonl\n{SIMPLE}").items(None, 0)
    assert len(items) == len({i.item_id for i in items}) == 2


def test_a_part_of_a_file_for_demonstrations(tmp_path: Path, make: MakeTask) -> None:
    write_jsonl(tmp_path / "d.jsonl", ROWS)
    task = make(f"  path: d.jsonl\n  split: train[:6]\n  fewshot_split: train[4:]\n{SIMPLE}")
    inputs = {i.input for i in task.items(None, 0)}
    shown = task.demonstrations(100, 0)
    assert task.has_demonstrations
    assert len(inputs) == 6
    assert {d.input for d in shown} == {f"question {i}" for i in range(6, 10)}
    assert task.demonstrations(2, 0) == shown[:2]


def test_a_file_for_each_split(tmp_path: Path, make: MakeTask) -> None:
    (tmp_path / "a[1] b").mkdir()
    write_jsonl(tmp_path / "a[1] b" / "test.jsonl", ROWS[:2])
    write_csv(tmp_path / "few.csv", [{"q": "shown", "a": "so"}])
    paths = "{test: 'a[1] b/test.jsonl', few: few.csv}"
    task = make(f"  path: {paths}\n  split: test\n  fewshot_split: few\n{SIMPLE}")
    assert task.size() == 2
    assert [(d.input, d.output) for d in task.demonstrations(5, 0)] == [("shown", "so")]
    assert list(task.provenance()) == ["a[1] b/test.jsonl"]


def test_columns_can_get_names_that_templates_can_write(tmp_path: Path, make: MakeTask) -> None:
    write_jsonl(tmp_path / "d.jsonl", [{"The Question": "q", "Best Answer": "a"}])
    columns = "  columns: {The Question: question, Best Answer: best}\n"
    task = make(f"  path: d.jsonl\n{columns}  input: 'Q: {{{{ question }}}}'\n  target: best\n")
    assert [(i.input, i.answers) for i in task.items(None, 0)] == [("Q: q", ("a",))]


@pytest.mark.parametrize(
    "answer",
    ["gold: g", "gold: '{{ g }}'", "target: a", "target_scores: s", "target: '{{ c[g] }}'"],
)
@pytest.mark.parametrize("choices", ["c", "'{{ c }}'"])
def test_choices(tmp_path: Path, make: MakeTask, choices: str, answer: str) -> None:
    write_jsonl(tmp_path / "d.jsonl", CHOICES)
    task = make(f"  path: d.jsonl\n  input: q\n  choices: {choices}\n  {answer}\n")
    found = {i.input: i for i in task.items(None, 0)}
    for row in CHOICES:
        item = found[row["q"]]
        assert list(item.choices) == row["c"]
        assert item.answers == (row["a"],)
        assert item.target_scores[row["g"]] == max(item.target_scores) == 1


@pytest.mark.parametrize(
    ("data", "choices", "scores"),
    [
        ("choices: [x, w]\n  gold: '{{ g // 2 }}'", ("x", "w"), (0, 1)),
        ("choices: ['{{ a }}', 'not {{ a }}']\n  target: a", ("z", "not z"), (1, 0)),
        ("choices: c\n  target_scores: \"{{ {'x': 0, 'y': 0.5, 'z': 1} }}\"", "xyz", (0, 0.5, 1)),
        ("choices: [x, w]\n  target_scores: ['{{ n1 }}', '1']", ("x", "w"), (0.25, 1)),
        ("choices: c\n  target: '{{ c[1:] }}'", "xyz", (0, 1, 1)),
    ],
)
def test_other_ways_to_write_choices(
    tmp_path: Path, make: MakeTask, data: str, choices: tuple[str, ...], scores: tuple[float, ...]
) -> None:
    write_jsonl(tmp_path / "d.jsonl", [{**CHOICES[1], "n1": 0.25}])
    (item,) = make(f"  path: d.jsonl\n  input: q\n  {data}\n").items(None, 0)
    assert item.choices == tuple(choices)
    assert item.target_scores == scores


@pytest.mark.parametrize("target", ["l", "'{{ l }}'", "[q, a]", "['{{ q }}', '{{ a }}']"])
def test_several_accepted_answers(tmp_path: Path, make: MakeTask, target: str) -> None:
    write_jsonl(tmp_path / "d.jsonl", [{"q": "x", "a": "y", "l": ["x", "y"]}])
    (item,) = make(f"  path: d.jsonl\n  input: q\n  target: {target}\n").items(None, 0)
    assert item.answers == ("x", "y")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SIMPLE, r"card.yaml:5: data: 'path' is missing"),
        (f"  path: d.jsonl\n  inputs: q\n{SIMPLE}", r":8: data.inputs: .*did you mean 'input'"),
        ("  path: d.jsonl\n  input: q\n", r":5: data: 'target' is missing"),
        ("  path: d.jsonl\n  input: q\n  gold: g\n", r":5: data: 'target' is missing"),
        ("  path: d.jsonl\n  input: q\n  choices: c\n", ":5: data: which choice is right"),
        (
            "  path: d.jsonl\n  input: q\n  choices: c\n  gold: g\n  target: a\n",
            "the answer is given twice: target and gold",
        ),
        (
            "  path: d.jsonl\n  input: q\n  choices: [yes, no]\n  target: a\n",
            r":9: data.choices\[0\]: YAML reads yes, no, true, false as truth values; quote it",
        ),
        (f"  path: ./d.txt\n{SIMPLE}", r":7: data.path: './d.txt' is no file of a kind .*\.csv"),
        (f"  path: {{a: d.txt}}\n  split: a\n{SIMPLE}", r":7: data.path.a: 'd.txt' is no file"),
        (f"  path: d.jsonl\n  name: x\n{SIMPLE}", r":8: data.name: 'name' is for hub data sets"),
        (f"  path: d.jsonl\n  split: test\n{SIMPLE}", r":8: data.split: no split 'test'; there"),
        (f"  path: someone/something\n{SIMPLE}", r"'split' is missing: which split"),
        ("  path: d.jsonl\n  input: '{{ q'\n  target: a\n", r":8: data.input: line 1 of the te"),
    ],
)
def test_a_mistake_in_the_card_is_found_before_any_data_is_read(
    tmp_path: Path, data: str, message: str
) -> None:
    card = tmp_path / "card.yaml"
    card.write_text(HEAD + data, encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_card(card)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("  input: question\n  target: a\n", r":8: data.input: no column 'question'; .*columns: q"),
        ("  input: q\n  target: '{{ answer }}'\n", r":9: data.target: no column 'answer'"),
        ("  input: q\n  target: '{{ a.b }}'\n", r":9: data.target: row 1: .*has no attribute 'b'"),
        ("  input: q\n  target: '{{ a[9] }}'\n", r":9: data.target: row 1: "),
        ("  input: c\n  target: a\n", r":8: data.input: row 1: a list where a text is needed"),
        ("  input: q\n  choices: [x, x]\n  target: a\n", r":9: .*row 1: choices must be several"),
        ("  input: q\n  choices: [x, w]\n  target: a\n", r":10: data.target: row 2: 'z' is not"),
        ("  input: q\n  choices: [x, w]\n  gold: g\n", r":10: data.gold: row 2: 2 is not an index"),
        ("  input: q\n  choices: c\n  gold: a\n", r":10: data.gold: row 1: 'x' is not a number"),
        ("  input: q\n  choices: [x, w]\n  target_scores: s\n", r"row 2: 3 scores for 2 choices"),
        ("  input: q\n  choices: [x, w]\n  target_scores: ['2', '0']\n", r"scores must be in \[0"),
        ("  split: train[:0]\n  input: q\n  target: a\n", r"split train\[:0\]: there are no rows"),
        ("  split: train[x]\n  input: q\n  target: a\n", r"cannot read .*d\.jsonl"),
        ("  columns: {b: e}\n  input: q\n  target: a\n", r":8: data.columns: no column 'b'; col"),
        ("  columns: {a: q}\n  input: q\n  target: a\n", r":8: data.columns.a: 'q' is also"),
    ],
)
def test_a_card_that_does_not_fit_the_data(
    tmp_path: Path, make: MakeTask, data: str, message: str
) -> None:
    write_jsonl(tmp_path / "d.jsonl", CHOICES)
    with pytest.raises(UserError, match=message):
        make(f"  path: d.jsonl\n{data}").items(None, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", b"", "is empty"),
        ("d.csv", b"q,a\n", "there are no rows"),
        ("d.csv", b"q,q\n1,2\n", "every column needs a name of its own"),
        ("d.csv", b"q,a\n1,2\n1,2,3\n", r"d\.csv:3: 3 fields, but the first line names 2"),
        ("d.csv", b"q,\xff\n", "not UTF-8"),
        ("d.csv", b"q,a\n1,\n", "row 1: the template gives an empty value"),
        ("d.jsonl", b'{"q": 1\n', "cannot read"),
        ("d.parquet", b"no parquet at all", "cannot read"),
    ],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path,
    make: MakeTask,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    message: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        make(f"  path: {name}\n{SIMPLE}").items(None, 0)
    assert "Traceback" not in str(caught.value)
    assert "Failed to" not in capsys.readouterr().err


def test_a_file_that_is_not_there(make: MakeTask) -> None:
    with pytest.raises(MissingData, match=r"no such file: .*absent\.csv"):
        make(f"  path: absent.csv\n{SIMPLE}").items(None, 0)


def test_only_the_hub_needs_the_library(
    tmp_path: Path, make: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    write_jsonl(tmp_path / "d.jsonl", ROWS)
    assert make(f"  path: d.jsonl\n{SIMPLE}").size() == len(ROWS)
    with pytest.raises(MissingDependency, match=r"pip install '.*\[hub\]'"):
        make(f"  path: someone/something\n  split: test\n{SIMPLE}").items(None, 0)


@pytest.mark.parametrize(
    "split", ["train[2:5]", "train[-3:]", "train[:25%]", "train[-40%:]", "train[:1]+train[8:]"]
)
def test_a_part_of_a_file_is_the_part_the_hub_would_give(
    tmp_path: Path, make: MakeTask, split: str
) -> None:
    write_jsonl(tmp_path / "d.jsonl", ROWS)
    task = make(f"  path: d.jsonl\n  split: {split}\n{SIMPLE}")
    hub = datasets.load_dataset(
        "json", data_files=str(tmp_path / "d.jsonl"), split=split, cache_dir=str(tmp_path / "c")
    )
    assert sorted(i.input for i in task.items(None, 0)) == sorted(hub["q"])


def test_a_json_file_is_a_list_or_lines(tmp_path: Path, make: MakeTask) -> None:
    (tmp_path / "list.json").write_text(json.dumps(ROWS), encoding="utf-8")
    (tmp_path / "one.json").write_text(json.dumps(ROWS[0]), encoding="utf-8")
    assert make(f"  path: list.json\n{SIMPLE}").size() == len(ROWS)
    assert make(f"  path: one.json\n{SIMPLE}").size() == 1


def test_dates_stay_texts(tmp_path: Path, make: MakeTask) -> None:
    write_jsonl(tmp_path / "d.jsonl", [{"q": "2020-01-02T03:04:05", "a": "2020-01-02"}])
    (item,) = make(f"  path: d.jsonl\n{SIMPLE}").items(None, 0)
    assert (item.input, item.answers) == ("2020-01-02T03:04:05", ("2020-01-02",))


def test_a_hub_data_set(make: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(path: str, name: str | None, *, split: str, revision: str | None) -> Any:
        asked.append((path, name, split, revision))
        return datasets.Dataset.from_list(ROWS[:3] if split == "test" else ROWS[3:5])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    more = "  name: main\n  split: test\n  fewshot_split: dev\n  revision: abc\n"
    task = make(f"  path: someone/something\n{more}{SIMPLE}")
    assert task.size() == 3
    assert len(task.demonstrations(5, 0)) == 2
    assert asked == [
        ("someone/something", "main", "test", "abc"),
        ("someone/something", "main", "dev", "abc"),
    ]
    assert list(task.provenance()) == ["someone/something/main/test@abc"]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ConnectionError("no route"), MissingData, "cannot get someone/something.*no route"),
        (FileNotFoundError("no such set"), MissingData, "cannot get .*no such set"),
        (ValueError('Unknown split "test".'), UserError, "cannot read .*Unknown split"),
    ],
)
def test_a_hub_that_does_not_answer(
    make: MakeTask,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kind: type[UserError],
    message: str,
) -> None:
    def load_dataset(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(kind, match=message):
        make(f"  path: someone/something\n  split: test\n{SIMPLE}").items(None, 0)
