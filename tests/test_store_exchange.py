"""Answers that move between stores as files, and the upkeep of a store."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_keys import requests
from test_store import CANONICAL, KEYS, responses, rows

from promptlab.errors import StoreDamaged, UserError
from promptlab.keys import canonical_request, request_hash
from promptlab.store import Store, Stored
from promptlab.store.exchange import FORMATS, Imported, export_rows, import_file
from promptlab.store.rows import scan
from promptlab.store.upkeep import compact, count_models, delete, find, verify
from promptlab.types import Request, Response

formats = pytest.mark.parametrize("ending", FORMATS)
answers = st.dictionaries(
    requests.map(lambda r: (request_hash(r), canonical_request(r))), responses, max_size=8
).map(lambda found: [(*key, response) for key, response in found.items()])


def content(path: Path) -> dict[str, tuple[bytes, Response]]:
    return {key: (request, r) for chunk in scan(path) for _, (key, request, r) in chunk}


def stored(path: Path) -> Iterator[Stored]:
    return (row for chunk in scan(path) for _, row in chunk)


def put(path: Path, batch: list[Stored]) -> None:
    with Store(path) as store:
        store.put_many(batch)


def import_into(path: Path, *files: Path) -> list[Imported]:
    with Store(path) as store:
        return [import_file(file, store) for file in files]


@formats
@settings(max_examples=6, deadline=None)
@given(batch=answers)
def test_what_is_exported_is_what_is_imported(ending: str, batch: list[Stored]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here, there, file = folder / "here", folder / "there", folder / f"answers{ending}"
        put(here, batch)
        assert export_rows(stored(here), file) == len(batch)
        assert import_into(there, file, file) == [
            Imported(len(batch), added=len(batch)),
            Imported(len(batch), known=len(batch)),
        ]
        assert content(there) == content(here) == {k: (c, r) for k, c, r in batch}


@settings(max_examples=6, deadline=None)
@given(batch=answers, cut=st.integers(0, 8))
def test_merging_other_answers_first_makes_no_difference(batch: list[Stored], cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, other = folder / "one.jsonl.zst", folder / "other.parquet"
        export_rows(batch[:cut], one)
        export_rows(batch[cut:], other)
        import_into(folder / "ab", one, other)
        import_into(folder / "ba", other, one)
        assert content(folder / "ab") == content(folder / "ba")
        both = folder / "both.jsonl"
        export_rows(stored(folder / "ab"), both)
        assert import_into(folder / "ba", both)[0].added == 0


def test_answers_that_are_there_stay(tmp_path: Path) -> None:
    put(tmp_path / "a", rows(10, "mine"))
    put(tmp_path / "b", rows(20, "theirs"))
    export_rows(stored(tmp_path / "b"), tmp_path / "b.parquet")
    assert import_into(tmp_path / "a", tmp_path / "b.parquet") == [Imported(20, added=10, known=10)]
    texts = [content(tmp_path / "a")[key][1].text for key in KEYS[:20]]
    assert texts == [f"{'mine' if i < 10 else 'theirs'} {i}" for i in range(20)]


@formats
def test_an_export_is_whole_and_for_the_user_alone(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x{ending}"

    def breaks_off() -> Iterator[Stored]:
        yield from rows(5)
        raise StoreDamaged("a page is damaged")

    with pytest.raises(StoreDamaged):
        export_rows(breaks_off(), file)
    assert list(tmp_path.iterdir()) == []
    old = os.umask(0)
    try:
        export_rows(rows(5), file)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(UserError, match="exists"):
        export_rows(rows(6), file)
    with pytest.raises(UserError, match="ending"):
        export_rows(rows(6), tmp_path / "x.csv")


def test_lines_can_be_read_by_any_program(tmp_path: Path) -> None:
    export_rows(rows(2), tmp_path / "x.jsonl")
    first = orjson.loads((tmp_path / "x.jsonl").read_bytes().splitlines()[0])
    assert first["key"] == KEYS[0]
    assert first["request"]["prompt"].startswith("Instruction: name the opposite.")
    assert first["response"]["text"] == "answer 0"
    assert first["created"] == 1000.0


def test_rows_that_are_not_right_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    export_rows(rows(6), file)
    lines = file.read_bytes().splitlines()
    lines[1] = lines[1].replace(b"word 1", b"word 9")  # another request under the key
    lines[2] = lines[2].replace(b'"text"', b'"test"')
    lines[3] = lines[3][:-40]
    lines[4] = b"null"
    file.write_bytes(b"\n".join(lines))
    assert import_into(tmp_path / "s", file) == [Imported(6, added=2, refused=4)]
    assert content(tmp_path / "s").keys() == {KEYS[0], KEYS[5]}


@pytest.mark.parametrize("ending", [".parquet", ".jsonl.zst"])
def test_a_file_that_breaks_off_gives_what_it_has(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x{ending}"
    export_rows(((k, CANONICAL[k], Response("ok", os.urandom(99).hex())) for k in KEYS), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(UserError, match=r"x\..*damaged"):
        import_into(tmp_path / "s", file)
    there = content(tmp_path / "s")
    assert len(there) in (range(1000, 1600) if ending == ".jsonl.zst" else {0})
    file.write_bytes(whole)
    assert import_into(tmp_path / "s", file)[0].added == 2000 - len(there)


def test_exports_in_a_row_are_one(tmp_path: Path) -> None:
    for i in range(2):
        export_rows(rows(900, start=900 * i), tmp_path / f"{i}.jsonl.zst")
    both = tmp_path / "both.jsonl.zst"
    both.write_bytes(b"".join((tmp_path / f"{i}.jsonl.zst").read_bytes() for i in range(2)))
    assert import_into(tmp_path / "s", both) == [Imported(1800, added=1800)]


@pytest.mark.parametrize(
    ("name", "data"), [("x.parquet", b"no"), ("x.jsonl.zst", b"no"), ("x.jsonl", None)]
)
def test_what_is_no_export(tmp_path: Path, name: str, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=name):
        import_into(tmp_path / "s", tmp_path / name)


# --- upkeep -----------------------------------------------------------------------------------


def mixed(path: Path) -> list[Stored]:
    """600 answers of two models, a day apart."""
    batch = []
    for i in range(600):
        request = Request(f"m/{i % 3 and 'often'}", prompt=f"word {i} of a text")
        response = Response("ok", f"answer {i}", created=86_400.0 * i if i else None)
        batch.append((request_hash(request), canonical_request(request), response))
    put(path, batch)
    return batch


def test_counting_by_model(tmp_path: Path) -> None:
    mixed(tmp_path / "s")
    seen: list[int] = []
    assert count_models(tmp_path / "s", seen.append) == {"m/often": 400, "m/0": 200}
    assert seen[-1] == 600


@pytest.mark.parametrize(
    ("before", "model", "expected"),
    [
        (86_400.0 * 100, None, range(1, 100)),
        (None, "m/0", range(0, 600, 3)),
        (86_400.0 * 100, "m/0", range(3, 100, 3)),
        (86_400.0 * 100, "m/none", ()),
    ],
)
def test_finding_and_forgetting(
    tmp_path: Path, before: float | None, model: str | None, expected: range
) -> None:
    path = tmp_path / "s"
    batch = mixed(path)
    ids = find(path, before=before, model=model)
    assert ids == [i + 1 for i in expected]
    delete(path, ids)
    compact(path)
    assert content(path).keys() == {k for i, (k, _, _) in enumerate(batch) if i not in expected}
    assert verify(path).sound


def test_forgetting_gives_the_space_back_also_under_a_store_in_use(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Store(path) as store:
        for start in range(0, 1000, 100):
            store.put_many(rows(100, "long " * 50, start=start))
        before = store.stats().bytes
        delete(path, range(1, 1000))
        compact(path)
        assert store.stats().bytes < before / 4
        # The dictionary that the store has been packing with is gone, with all that used it.
        store.put_many(rows(300))
        assert store.get_many(KEYS[:300]) == {k: r for k, _, r in rows(300)}
    assert verify(path).answers == 301
