"""Rows to Parquet and back: nothing changes, nothing half-written, nothing heavy."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptlab.parquet import read_rows, row_writer

SCHEMA = pa.schema(
    [
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("text", pa.string()),
        ("count", pa.int32()),
        ("value", pa.float64()),
        ("flag", pa.bool_()),
        ("numbers", pa.list_(pa.float64())),
    ]
)
COLUMNS = SCHEMA.names
texts = st.text(st.characters(codec="utf-8"), max_size=8)
rows = st.tuples(
    st.none() | st.sampled_from(["a", "b", "ü"]),
    st.none() | texts,
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.floats(allow_nan=False),
    st.booleans(),
    st.lists(st.floats(allow_nan=False), max_size=3),
)


def write(path: Path, given: list[tuple[Any, ...]]) -> None:
    with row_writer(path, SCHEMA) as table:
        for row in given:
            table.add(*row)
        assert table.rows == len(given)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(rows, max_size=12))
def test_what_is_written_is_read(tmp_path: Path, given: list[tuple[Any, ...]]) -> None:
    write(tmp_path / "t.parquet", given)
    assert list(read_rows(tmp_path / "t.parquet", COLUMNS)) == given
    assert pd.read_parquet(tmp_path / "t.parquet").shape == (len(given), len(COLUMNS))


def test_more_rows_than_a_group_come_in_their_order(tmp_path: Path) -> None:
    given = [("ab"[i % 2], f"text {i}", i, -math.inf, i % 3 == 0, [i / 7]) for i in range(9_001)]
    write(tmp_path / "t.parquet", given)
    assert list(read_rows(tmp_path / "t.parquet", COLUMNS)) == given
    assert list(read_rows(tmp_path / "t.parquet", ["count", "name"])) == [
        (row[2], row[0]) for row in given
    ]


def test_a_file_that_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    old = [("a", "x", 1, 0.5, True, [])]
    write(path, old)
    with pytest.raises(ValueError, match="zip"):
        write(path, [("b", "y", 2, 0.5, False, []), ("a row", "that is too short")])
    assert list(read_rows(path, COLUMNS)) == old
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o077 == 0


def test_no_table_needs_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "import pyarrow as pa\n"
        "from promptlab.parquet import read_rows, row_writer\n"
        "schema = pa.schema([('n', pa.dictionary(pa.int32(), pa.string())), ('v', pa.float64())])\n"
        "with row_writer(Path(sys.argv[1]), schema) as table:\n"
        "    table.add('a', None)\n"
        "assert list(read_rows(Path(sys.argv[1]), ['n', 'v'])) == [('a', None)]\n"
        "assert 'pandas' not in sys.modules\n"
    )
    child = [sys.executable, "-c", code, str(tmp_path / "t.parquet"), str(Path(__file__).parent)]
    subprocess.run(child, check=True, timeout=60)
