"""Tables as other programs write them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from promptlab.analysis import read_scores
from promptlab.analysis.reading import choose_baseline, read_frame
from promptlab.analysis.tidying import lengthen, table_kind
from promptlab.errors import UnknownName, UnpairedScores, UserError

PLAIN = "item_id,condition,score\né1,original,1\né2,original,0\né1,EP01,1\né2,EP01,1\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.csv", b"\xef\xbb\xbf" + PLAIN.encode()),
        ("excel.txt", PLAIN.replace(",", "\t").encode("utf-16")),
        ("tabs.csv", PLAIN.replace(",", "\t").encode()),
        ("semicolons.csv", PLAIN.replace(",", ";").encode()),
        ("bars.csv", PLAIN.replace(",", "|").encode()),
        ("crlf.csv", PLAIN.replace("\n", "\r\n").encode()),
        ("packed.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
        (
            "blanks.csv",
            PLAIN.replace("item_id,condition,score", "item_id, condition ,score").encode(),
        ),
    ],
)
def test_whatever_wrote_it_the_scores_are_the_same(
    tmp_path: Path, name: str, content: bytes
) -> None:
    scores = read_scores(write(tmp_path / name, content))
    assert scores["score"].tolist() == [1, 0, 1, 1]
    assert scores["item_id"].tolist() == ["é1", "é2", "é1", "é2"]
    assert scores["condition"].tolist() == ["original", "original", "EP01", "EP01"]


def test_a_decimal_comma(tmp_path: Path) -> None:
    text = "item_id;condition;score\n007;original;0,5\n008;original;1\n"
    scores = read_scores(write(tmp_path / "t.csv", text))
    assert scores["score"].tolist() == [0.5, 1.0]
    assert scores["item_id"].tolist() == ["007", "008"]


def test_another_encoding_is_named_or_refused_with_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", PLAIN.encode("cp1252"))
    with pytest.raises(UserError, match=r"t\.csv:2: not UTF-8 text; save it as UTF-8, or name"):
        read_scores(path)
    assert read_scores(path, encoding="cp1252")["item_id"][0] == "é1"
    with pytest.raises(UserError, match="unknown encoding 'cp9999'"):
        read_scores(path, encoding="cp9999")


@pytest.mark.parametrize("start", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0rest"])
def test_a_workbook_is_refused_whatever_it_is_called(tmp_path: Path, start: bytes) -> None:
    for name in ("scores.xlsx", "scores.csv"):
        with pytest.raises(UserError, match=r"spreadsheet.*save its sheet as CSV"):
            read_scores(write(tmp_path / name, start))


def test_a_line_with_too_many_fields_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t\.csv:3: 4 fields, but the first line names 3"):
        read_scores(write(tmp_path / "t.csv", "item_id,condition,score\n1,a,1\n2,a,0,5\n"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["True", "False"], [1, 0]),
        (["yes", "NO"], [1, 0]),
        (["correct", "wrong"], [1, 0]),
        (["85 %", "50%"], [0.85, 0.5]),
    ],
)
def test_words_and_signs_for_scores(
    tmp_path: Path, values: list[str], expected: list[float]
) -> None:
    rows = "".join(f"{i},a,{v}\n" for i, v in enumerate(values))
    scores = read_scores(write(tmp_path / "t.csv", f"item_id,condition,score\n{rows}3,a,\n"))
    assert scores["score"].tolist()[:2] == expected
    assert scores["status"].tolist() == ["ok", "ok", "missing"]


def test_percentages_are_never_guessed_for_items(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "item_id,condition,score\n1,a,80\n2,a,1\n")
    with pytest.raises(UserError, match=r"outside \[0, 1\].*--percent"):
        read_scores(path)
    assert read_scores(path, percent=True)["score"].tolist() == [0.8, 0.01]


def test_one_column_a_condition(tmp_path: Path) -> None:
    text = "item_id,task,original,EP02,comment\n1,sum,1,0,fine\n2,sum,0,True,odd\n1,diff,1,1,x\n"
    path = write(tmp_path / "t.csv", text.replace("True", "1"))
    with pytest.raises(UserError, match="add --kind wide: original, EP02"):
        table_kind(read_frame(path))
    scores = read_scores(path, wide=True)
    assert len(scores) == 6
    cell = scores[(scores["condition"] == "EP02") & (scores["task"] == "sum")]
    assert cell.set_index("item_id")["score"].to_dict() == {"1": 0.0, "2": 1.0}
    with pytest.raises(UserError, match="no column 'EP99'"):
        lengthen(read_frame(path), ["original", "EP99"])
    with pytest.raises(UserError, match="fewer than two columns of scores"):
        lengthen(pd.DataFrame({"item_id": ["1"], "a": [1]}))
    with pytest.raises(UserError, match="needs a column 'item_id'"):
        lengthen(pd.DataFrame({"a": [1], "b": [1]}))


def test_a_wide_table_with_an_item_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "item_id,a,b\n1,1,0\n1,0,0\n")
    with pytest.raises(UnpairedScores, match="more than once"):
        read_scores(path, wide=True)


def test_columns_are_renamed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "question,arm,correct\n007,a,true\n008,a,false\n")
    with pytest.raises(UserError, match="needs item_id, condition and score"):
        table_kind(read_frame(path))
    names = {"item_id": "question", "condition": "arm", "score": "correct"}
    assert read_scores(path, columns=names)["item_id"].tolist() == ["007", "008"]
    with pytest.raises(UserError, match="no column 'questoin'; did you mean 'question'"):
        read_scores(path, columns={"item_id": "questoin"})
    with pytest.raises(UserError, match="'correct', which is there already"):
        read_scores(path, columns={"correct": "arm"})


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ("item_id condition score", "items"),
        ("id prompt correct", "items"),
        ("item_id task condition mean", "items"),
        ("task pnum n_iterations mean sd source", "summary"),
        ("task stimulus accuracy", "summary"),
    ],
)
def test_the_kind_of_a_table_is_told_by_its_columns(columns: str, kind: str) -> None:
    assert table_kind(pd.DataFrame(columns=columns.split())) == kind


def test_neither_kind_says_what_each_needs() -> None:
    with pytest.raises(UserError, match=r"item_id, condition and score.*task, condition and mean"):
        table_kind(pd.DataFrame(columns=["a", "b"]))


def test_a_baseline_is_guessed_by_its_name_and_said() -> None:
    assert choose_baseline(["EP01", "original"], None) == ("original", "")
    name, said = choose_baseline(["1", "0"], None)
    assert (name, "--baseline" in said) == ("0", True)
    assert choose_baseline(["Baseline", "x"], None)[0] == "Baseline"
    assert choose_baseline(["a", "b"], "b") == ("b", "")
    with pytest.raises(UnknownName, match="--baseline; conditions: a, b"):
        choose_baseline(["a", "b"], None)
    with pytest.raises(UnknownName, match="did you mean 'plain'"):
        choose_baseline(["plain", "b"], "plan")
