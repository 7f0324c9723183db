"""Stores whose file is not what was written: found, never believed, and read as far as it goes."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from test_store import CANONICAL, KEYS, rows

from promptlab.errors import StoreDamaged, StoreError
from promptlab.store import Store
from promptlab.store.rows import Decoder, Unreadable, scan
from promptlab.store.upkeep import verify

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of 2,000 answers, closed."""
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        for start in range(0, 2000, 100):
            store.put_many(rows(100, start=start))
    return path


def right(store: Store) -> int:
    """Number of answers that the store gives; each must be the one that was put."""
    found = {}
    for key in KEYS:
        with contextlib.suppress(StoreDamaged):
            found |= store.get_many([key])
    assert found.items() <= {key: response for key, _, response in rows(2000)}.items()
    return len(found)


@pytest.mark.parametrize("mode", ["use", "replay"])
@pytest.mark.parametrize(
    "content", [b"", b"x", b"these are my notes, not a database " * 500, bytes(8192)]
)
def test_a_file_that_is_no_database(path: Path, content: bytes, mode: str) -> None:
    path.write_bytes(content)
    log = path.with_name("store.sqlite-wal")
    log.write_bytes(b"a log that may still hold something")
    with pytest.raises(StoreDamaged, match=r"store\.sqlite.*promptlab store verify") as raised:
        Store(path, mode)  # type: ignore[arg-type]
    assert raised.value.file == (path.stat().st_dev, path.stat().st_ino)
    assert path.read_bytes() == content
    if len(content) < 512:  # else SQLite has seen that the log is none
        assert log.read_bytes() == b"a log that may still hold something"


@pytest.mark.parametrize("pages", [1, 5, 20])
def test_a_file_that_was_cut_short(path: Path, pages: int) -> None:
    os.truncate(path, path.stat().st_size - pages * PAGE)
    for mode in ("use", "replay"):
        with pytest.raises(StoreDamaged, match="damaged"):
            Store(path, mode)  # type: ignore[arg-type]
    found = verify(path)
    assert found.faults
    assert found.answers + len(found.damaged) == 2000
    assert len(found.damaged) <= 60 * pages


def test_a_file_whose_last_page_is_half_there(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE // 2)
    assert not verify(path).sound
    with contextlib.suppress(StoreDamaged), Store(path, "replay") as store:
        right(store)


def test_random_bytes_in_the_middle(path: Path) -> None:
    draw = random.Random(5)
    whole = path.read_bytes()
    for _ in range(5):
        at = draw.randrange(PAGE, len(whole) - 2 * PAGE)
        path.write_bytes(whole[:at] + draw.randbytes(2 * PAGE) + whole[at + 2 * PAGE :])
        with contextlib.suppress(StoreDamaged), Store(path, "replay") as store:
            right(store)
        assert not verify(path).sound


def test_a_bad_page_loses_only_its_rows(path: Path) -> None:
    whole = path.read_bytes()
    leaves = [i for i in range(0, len(whole), PAGE) if whole[i] == 0x0D and i]
    at = leaves[len(leaves) // 2]
    path.write_bytes(whole[:at] + os.urandom(PAGE) + whole[at + PAGE :])
    lost: list[int] = []
    saved = [stored for chunk in scan(path, lambda id, key: lost.append(id)) for _, stored in chunk]
    assert 0 < len(lost) < 100
    assert len(saved) + len(lost) == 2000
    assert {key for key, _, _ in saved} == set(KEYS) - {KEYS[id - 1] for id in lost}
    assert saved[:10] == [(k, CANONICAL[k], r) for k, _, r in rows(10)]
    with pytest.raises(StoreDamaged):
        list(scan(path))


def test_no_bit_of_an_answer_can_change_unnoticed(path: Path) -> None:
    decoder = Decoder()
    with contextlib.closing(sqlite3.connect(path)) as db:
        query = "SELECT id, key, dictionary, body FROM responses WHERE id = 1900"
        id, key, dictionary, body = db.execute(query).fetchone()
        assert dictionary
        assert decoder.stored(
            (id, key, dictionary, body), decoder.body(db, (id, key, dictionary, body))
        )
        for bit in range(8 * len(body)):
            flipped = bytearray(body)
            flipped[bit // 8] ^= 1 << bit % 8
            row = (id, key, dictionary, bytes(flipped))
            try:
                stored = decoder.stored(row, decoder.body(db, row))
            except Unreadable:
                continue
            assert stored == rows(1900)[-1]  # a bit of the packing that means nothing


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE responses SET body = x'28b52ffd' || substr(body, 5, 20) WHERE id = 7",
        "UPDATE responses SET body = substr(body, 1, 40) WHERE id = 7",
        "UPDATE responses SET body = 'text' WHERE id = 7",
        "UPDATE responses SET body = (SELECT body FROM responses WHERE id = 8) WHERE id = 7",
        "DELETE FROM dictionaries WHERE id = (SELECT dictionary FROM responses WHERE id = 500)",
        "UPDATE dictionaries SET data = x'00'",
    ],
)
def test_a_damaged_row(path: Path, damage: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(damage)
        db.commit()
    with Store(path) as store:
        with pytest.raises(StoreDamaged, match=r"store\.sqlite is damaged"):
            store.get_many(KEYS)
        intact = right(store)
        assert intact < 2000
    found = verify(path)
    assert not found.faults
    assert (found.answers, len(found.damaged)) == (intact, 2000 - intact)
    keys = {KEYS[id - 1][:32] for id, _ in found.damaged}
    assert {key for _, key in found.damaged} == keys


def test_a_damaged_dictionary_is_not_built_upon(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE dictionaries SET data = x'00'")
        db.commit()
    with Store(path) as store, pytest.raises(StoreDamaged, match="dictionary"):
        store.put_many(rows(1))


def test_another_request_under_the_key(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM responses WHERE id = 8")
        db.execute("UPDATE responses SET key = ? WHERE id = 7", (bytes.fromhex(KEYS[7][:32]),))
        db.commit()
    with Store(path) as store, pytest.raises(StoreDamaged, match="another request"):
        store.get_many([KEYS[7]])


def test_a_torn_log_gives_what_was_whole(tmp_path: Path) -> None:
    live, copy = tmp_path / "live.sqlite", tmp_path / "copy.sqlite"
    draw = random.Random(3)
    with Store(live) as store:
        for start in range(0, 500, 50):
            store.put_many(rows(50, start=start))
        log = live.with_name("live.sqlite-wal").read_bytes()
        assert len(log) > 50 * PAGE
        for _ in range(6):
            shutil.copy(live, copy)
            at = draw.randrange(len(log))
            torn = log[:at] if draw.random() < 0.5 else log[:at] + os.urandom(99) + log[at + 99 :]
            copy.with_name("copy.sqlite-wal").write_bytes(torn)
            with Store(copy) as found:
                kept = right(found)
                assert kept % 50 == 0, "a batch is there as a whole or not at all"
                found.put_many(rows(500))
                assert right(found) == 500
            assert verify(copy).sound
            copy.unlink()


def test_a_store_that_is_moved_while_it_is_used(path: Path) -> None:
    with Store(path) as store:
        path.rename(path.with_name("elsewhere.sqlite"))
        for write in (lambda: store.put_many(rows(1)), lambda: store.claim_many(KEYS[:1])):
            with pytest.raises(StoreDamaged, match="moved, deleted or replaced") as raised:
                write()
            assert raised.value.file is not None
        with Store(path) as new:
            assert new.stats().answers == 0
            with pytest.raises(StoreDamaged, match="moved"):
                store.put_many(rows(1))
            new.put_many(rows(5))
    assert verify(path).answers == 5


def test_the_log_of_a_deleted_store_is_not_taken_for_the_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        store.put_many(rows(50))
        log = path.with_name("store.sqlite-wal").read_bytes()
    path.unlink()
    path.with_name("store.sqlite-wal").write_bytes(log)
    with Store(path) as store:
        assert store.stats().answers == 0
        store.put_many(rows(3))
    kept = [p for p in tmp_path.iterdir() if "damaged" in p.name]
    assert [p.read_bytes() for p in kept] == [log]
    assert verify(path).answers == 3


def test_what_is_not_a_store_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes(x)")
    for mode in ("use", "replay"):
        with pytest.raises(StoreError, match="another program") as raised:
            Store(path, mode)  # type: ignore[arg-type]
        assert not isinstance(raised.value, StoreDamaged)
    with pytest.raises(StoreError, match="another program"):
        verify(path)
