"""A disk that is full, and a store that is not what was written there."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lab import Lab, MakeLab
from scripted import endpoint

_LIMITED = (
    "import os, resource, signal, sys;"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)


def limited(most_bytes: int) -> tuple[str, ...]:
    """Starts a child that cannot write a file beyond a size, as on a disk that is full."""
    return (sys.executable, "-c", _LIMITED, str(most_bytes))


@pytest.mark.parametrize("most_bytes", [150_000, 600_000])
def test_a_disk_that_fills_up_is_said_and_costs_nothing(make_lab: MakeLab, most_bytes: int) -> None:
    with endpoint("plain") as server:
        lab = make_lab(server.base_url, items=800)
        ended = lab.run(launcher=limited(most_bytes))
        assert ended.code not in (0, 1, 3), ended
        (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert "disk is full, or a limit on file size" in line
        assert "run again" in line
        asked, saved = server.control()["requests"], len(lab.stored())
        print(f"{asked} asked, {saved} saved; {line}")
        assert 0 < saved <= asked < 800
        assert "that had arrived were not saved; the next run takes over" in line
        assert asked - saved <= 16  # in flight: what the store did not take, the journal took
        lab.run(code=0)
        assert server.control()["requests"] == asked + 800 - saved
    assert lab.status()["responses"] == {"ok": 800}


def test_a_disk_that_is_full_from_the_start(make_lab: MakeLab) -> None:
    with endpoint("plain") as server:
        lab = make_lab(server.base_url, items=300)
        ended = lab.run(launcher=limited(4_000))
        assert ended.code not in (0, 1, 3), ended
        assert ended.err.count("error: ") == 1
        assert server.control()["requests"] == 0
        lab.run(code=0)


def test_a_disk_that_is_full_when_tables_are_written_leaves_the_old_ones(
    make_lab: MakeLab,
) -> None:
    with endpoint("plain") as server:
        lab = make_lab(server.base_url, items=800)
        lab.run(code=0)
        before = (lab.path / "responses.parquet").read_bytes()
        ended = lab.run(launcher=limited(36_000))
        assert ended.code not in (0, 1, 3), ended
        assert ended.err.count("error: ") == 1
        assert "File too large" in ended.err
        assert (lab.path / "responses.parquet").read_bytes() == before
        lab.run(code=0)
        assert server.control()["requests"] == 800


def torn(store: Path) -> None:
    with store.open("r+b") as file:
        file.truncate(store.stat().st_size // 2)


def scribbled(store: Path) -> None:
    noise = random.Random(4).randbytes(30_000)
    with store.open("r+b") as file:
        file.seek(store.stat().st_size // 3)
        file.write(noise)


def emptied(store: Path) -> None:
    store.write_bytes(b"")


def replaced(store: Path) -> None:
    store.write_bytes(b"this was a store once\n" * 500)


DAMAGES: list[Callable[[Path], None]] = [torn, scribbled, emptied, replaced]


def finished(lab: Lab) -> None:
    """Merge the write-ahead log into the file, so that damage to the file is damage."""
    connection = sqlite3.connect(lab.store)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_a_damaged_store_is_set_aside_and_rebuilt_from_the_runs(
    make_lab: MakeLab, damage: Callable[[Path], None]
) -> None:
    with endpoint("plain") as server:
        lab = make_lab(server.base_url, items=300)
        lab.run(code=0)
        finished(lab)
        answers = lab.stored()
        damage(lab.store)
        damaged = lab.store.read_bytes()
        ended = lab.run(code=0)
        (kept,) = lab.store.parent.glob("store.sqlite.damaged-*Z")
        assert kept.read_bytes() == damaged
        assert str(kept) in ended.err
        assert "is mended" in ended.err
        # Its tables hold every answer, so that nothing is asked again.
        assert server.control()["requests"] == 300
    assert lab.status()["responses"] == {"ok": 300}
    assert lab.stored() == answers


@pytest.mark.parametrize("damage", [torn, replaced], ids=lambda d: d.__name__)
def test_a_store_damaged_between_two_calls_of_an_unfinished_run(
    make_lab: MakeLab, damage: Callable[[Path], None]
) -> None:
    with endpoint("quota", credit=200) as server:
        lab = make_lab(server.base_url, items=300)
        lab.run(code=4)
        answers = lab.stored()
        assert len(answers) == 200
        asked = server.control()["requests"]
        finished(lab)
        damage(lab.store)
        server.control(credit=10_000)
        lab.run(code=0)
        # The run's own table had the 200: only what never was answered is asked for.
        assert server.control()["requests"] == asked + 100
        stored = lab.stored()
        assert {key: stored[key] for key in answers} == answers
    assert lab.status()["responses"] == {"ok": 300}


def test_only_what_cannot_be_saved_is_asked_again(make_lab: MakeLab) -> None:
    with endpoint("plain") as server:
        lab = make_lab(server.base_url, items=300)
        lab.run(code=0)
        finished(lab)
        answers = lab.stored()
        shutil.rmtree(lab.runs)  # no tables to go by: the damaged file is all there is
        with lab.store.open("r+b") as file:
            file.seek(-5 * 4096, os.SEEK_END)  # the newest answers, and more
            file.write(random.Random(1).randbytes(5 * 4096))
        ended = lab.run(code=0)
        again = server.control()["requests"] - 300
        assert 0 < again < 300
        assert f"{300 - again} answers saved" in ended.err
        assert f"{again} could not be read" in ended.err
    assert lab.stored() == answers
