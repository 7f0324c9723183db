"""Answers that come back: from runs, and from stores that were damaged."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_store import KEYS, rows

import promptlab as pl
from promptlab.errors import StoreDamaged, StoreError, UserError
from promptlab.repair import import_run, keys_of, set_aside_and_rebuild
from promptlab.runs import Run, list_runs
from promptlab.settings import runs_dir, store_path
from promptlab.store import Store
from promptlab.store.exchange import Imported
from promptlab.store.rows import scan
from promptlab.store.upkeep import verify
from promptlab.types import Response

PAGE = 4096
SPEC: dict[str, Any] = {
    "name": "r",
    "models": ["mock/skilled?p=0.6", {"id": "mock/skilled?p=0.5", "name": "second"}],
    "tasks": ["procedural/first_letter", "procedural/plural"],
    "conditions": ["original", "zero_shot_cot", {"stimuli": ["EP02"]}],
    "items": 7,
    "replicates": 2,
    "params": {"temperature": 1},
}


def content(path: Path) -> dict[str, tuple[bytes, Response]]:
    return {key: (request, r) for chunk in scan(path) for _, (key, request, r) in chunk}


def asked(run: Run) -> int:
    return int(run.status["asked"])


def replace_column(run: Run, name: str, change: Callable[[list[Any]], list[Any]]) -> None:
    path = run.path / "responses.parquet"
    table = pq.read_table(path)
    at, field = table.column_names.index(name), table.schema.field(name)
    values = change(table.column(name).to_pylist())
    import pyarrow as pa

    pq.write_table(table.set_column(at, field, pa.array(values, type=field.type)), path)


# --- runs -------------------------------------------------------------------------------------


def test_a_run_gives_its_answers_back_to_the_last_bit(tmp_path: Path) -> None:
    run = pl.run(SPEC, analysis=False)
    before = content(store_path())
    assert len(before) == asked(run) == 2 * 2 * 7 * 2 * 4  # a second call in one of three
    new = tmp_path / "new.sqlite"
    with Store(new) as store:
        found = import_run(run, store)
        assert found == Imported(len(before), added=len(before))
        assert import_run(run, store) == Imported(len(before), known=len(before))
    assert content(new) == before
    assert set().union(*keys_of(run)) == before.keys()
    shutil.move(new, store_path())
    assert asked(pl.run(SPEC | {"name": "again"}, analysis=False)) == 0


def test_a_run_that_was_asked_something_else_is_refused(tmp_path: Path) -> None:
    run = pl.run(SPEC, analysis=False)
    replace_column(run, "request_hash", lambda keys: ["0" * 64, *keys[1:]])
    with Store(tmp_path / "new.sqlite") as store:
        found = import_run(run, store)
    assert found.refused == 1
    assert found.added == found.read - 1


def test_only_complete_answers_come_back(tmp_path: Path) -> None:
    run = pl.run(SPEC, analysis=False)
    n = pq.read_metadata(run.path / "responses.parquet").num_rows
    statuses = [
        ("ok", "truncated", "refused", "filtered", "error", "missing")[i % 6] for i in range(n)
    ]
    replace_column(run, "status", lambda _: statuses)
    with Store(tmp_path / "new.sqlite") as store:
        found = import_run(run, store)
    assert found.without_answer == sum(s in ("error", "missing") for s in statuses)
    there = {response.status for _, response in content(tmp_path / "new.sqlite").values()}
    assert there == {"ok", "truncated", "refused", "filtered"}


def test_rows_that_the_plan_has_not(tmp_path: Path) -> None:
    run = pl.run(SPEC, analysis=False)
    path = run.path / "responses.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(40), path)  # begins somewhere in the middle
    with Store(tmp_path / "new.sqlite") as store:
        assert import_run(run, store) == Imported(len(table) - 40, added=len(table) - 40)
    replace_column(run, "item_id", lambda ids: [*ids[:-1], "no such item"])
    with Store(tmp_path / "other.sqlite") as store:
        found = import_run(run, store)
    assert (found.refused, found.added) == (1, len(table) - 41)


def test_a_run_that_cannot_be_read(tmp_path: Path) -> None:
    run = pl.run(SPEC, analysis=False)
    path = run.path / "responses.parquet"
    with Store(tmp_path / "new.sqlite") as store:
        path.write_bytes(path.read_bytes()[:-50])
        with pytest.raises(UserError, match=r"responses\.parquet is damaged"):
            import_run(run, store)
        path.unlink()
        with pytest.raises(UserError, match="no responses"):
            import_run(run, store)


# --- damaged stores ---------------------------------------------------------------------------


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3 * PAGE)


def _random_page(path: Path) -> None:
    whole = path.read_bytes()
    leaves = [i for i in range(PAGE, len(whole), PAGE) if whole[i] == 0x0D]
    at = leaves[-1]
    path.write_bytes(whole[:at] + os.urandom(PAGE) + whole[at + PAGE :])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _no_database(path: Path) -> None:
    path.write_bytes(b"no database " * 999)


def _one_bit(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        body = bytearray(db.execute("SELECT body FROM responses WHERE id = 9").fetchone()[0])
        body[len(body) // 2] ^= 4
        db.execute("UPDATE responses SET body = ? WHERE id = 9", (bytes(body),))
        db.commit()


def _damage(path: Path) -> StoreDamaged:
    """What a run would meet."""
    with pytest.raises(StoreDamaged) as raised, Store(path) as store:
        store.get_many(list(content(path)))
    return raised.value


@pytest.mark.parametrize(
    "harm",
    [_cut, _random_page, _emptied, _no_database, _one_bit],
    ids=lambda f: f.__name__,
)
def test_a_damaged_store_is_made_again(harm: Callable[[Path], None]) -> None:
    run = pl.run(SPEC, analysis=False)
    path = store_path()
    of_run = content(path)
    with Store(path) as store:
        store.put_many(rows(1500))  # answers of no run: only the damaged file has them
    everything = content(path)
    harm(path)
    damage, harmed = _damage(path), path.read_bytes()
    said: list[str] = []
    assert set_aside_and_rebuild(path, runs_dir(), said.append, damage=damage) == path

    assert verify(path).sound
    there = content(path)
    assert there.items() <= everything.items()
    assert there.keys() >= of_run.keys(), "the run has them all"
    if harm in (_cut, _random_page, _one_bit):
        assert len(there) > len(of_run) + 1000, "what can be read is kept"
        assert any("could not be read" in line for line in said) or harm is _cut
    assert asked(pl.run(SPEC | {"name": "again"}, analysis=False)) == 0
    assert asked(run) == len(of_run)

    kept = next(p for p in path.parent.iterdir() if re.search(r"\.damaged-\w+Z$", p.name))
    assert kept.read_bytes() == harmed
    assert str(kept) in said[-1]
    assert not [p for p in path.parent.iterdir() if p.name.startswith(".")]
    assert {p.stat().st_mode & 0o077 for p in path.parent.iterdir()} == {0}


def test_a_store_that_was_deleted_in_use_comes_back_from_the_runs() -> None:
    run, path = pl.run(SPEC, analysis=False), store_path()
    before = content(path)
    with Store(path) as store:
        path.unlink()
        with pytest.raises(StoreDamaged) as raised:
            store.put_many(rows(1))
    said: list[str] = []
    set_aside_and_rebuild(path, runs_dir(), said.append, damage=raised.value)
    assert content(path) == before
    assert f"{asked(run)} came back from 1 run;" in said[1]
    assert not any("is kept" in line for line in said)


def test_runs_that_cannot_help_are_named() -> None:
    pl.run(SPEC, analysis=False)
    broken = runs_dir() / "20200101T000000Z_broken"
    shutil.copytree(list_runs(runs_dir())[0].path, broken)
    (broken / "spec.yaml").write_text("name: [")
    half = runs_dir() / "20200101T000000Z_half"
    shutil.copytree(broken, half)
    (half / "lock.json").write_text("{")
    store_path().write_bytes(b"")
    said: list[str] = []
    set_aside_and_rebuild(store_path(), runs_dir(), said.append)
    assert [line for line in said if broken.name in line]
    assert [line for line in said if half.name in line]
    assert asked(pl.run(SPEC, analysis=False)) == 0


def test_a_file_that_is_somebody_elses_is_never_moved(tmp_path: Path) -> None:
    other, newer = tmp_path / "other.sqlite", tmp_path / "newer.sqlite"
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE notes(x)")
    Store(newer).close()
    with contextlib.closing(sqlite3.connect(newer)) as db:
        db.execute("PRAGMA user_version = 99")
    for path, why in ((other, "another program"), (newer, "newer promptlab")):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=why):
            set_aside_and_rebuild(path, tmp_path / "runs", lambda line: None)
        assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_full_disk_leaves_the_damaged_store_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        store.put_many(rows(500))
    _one_bit(path)
    before = path.read_bytes()

    def full(*args: object, **more: object) -> int:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "put_many", full)
    with pytest.raises(StoreError, match="full"):
        set_aside_and_rebuild(path, tmp_path / "runs", lambda line: None)
    assert path.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if ".damaged-" in p.name or p.name.startswith(".")]


def _mend(path: str, barrier: Any, results: Any) -> None:
    said: list[str] = []
    try:
        with Store(path) as store:
            store.get_many(KEYS)
        raise AssertionError("no damage seen")
    except StoreDamaged as damage:
        barrier.wait()
        set_aside_and_rebuild(Path(path), Path(path).parent / "runs", said.append, damage=damage)
    with Store(path) as store:
        store.put_many(rows(3))
        results.put((len(store.get_many(KEYS)), said))


def test_processes_that_find_the_damage_at_once_mend_it_once(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        store.put_many(rows(2000))
    _one_bit(path)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    children = [context.Process(target=_mend, args=(str(path), barrier, results)) for _ in range(3)]
    for child in children:
        child.start()
    found = [results.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert {answers for answers, _ in found} == {1999}
    mended = [said for _, said in found if any("answers saved" in line for line in said)]
    assert len(mended) == 1
    assert len(list(tmp_path.glob("*.damaged-*Z"))) == 1
    assert verify(path).answers == 1999


def test_what_a_process_saves_while_another_mends_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        store.put_many(rows(100))
    _one_bit(path)
    unaware = Store(path)

    def meanwhile(line: str) -> None:
        if "mending" in line:
            unaware.put_many(rows(50, start=100))

    # It saves once while the old file is read, and once more at the last moment.
    runs = tmp_path / "runs"
    (runs / "a").mkdir(parents=True)
    (runs / "a" / "lock.json").write_text(json.dumps({"name": "a"}))
    from promptlab import repair

    def late(folder: Path, store: Store) -> tuple[int, int, dict[str, str]]:
        unaware.put_many(rows(50, start=150))
        return 0, 0, {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repair, "_from_runs", late)
        set_aside_and_rebuild(path, runs, meanwhile)
    with unaware, pytest.raises(StoreDamaged, match="moved") as raised:
        unaware.put_many(rows(50, start=200))
    again: list[str] = []
    set_aside_and_rebuild(path, runs, again.append, damage=raised.value)
    assert "another process has mended" in again[0]
    assert len(content(path)) == 199
