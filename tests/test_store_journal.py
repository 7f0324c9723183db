"""What a killed process had noted and not saved is in the store that is opened next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from promptlab.keys import canonical_request, key_of
from promptlab.store import Store, Stored
from promptlab.types import Message, Request, Response


def row(i: int) -> Stored:
    canonical = canonical_request(Request("openai/m", (Message("user", f"word {i}"),)))
    return key_of(canonical), canonical, Response("ok", f"answer {i}", created=float(i))


ROWS = [row(i) for i in range(40)]
KEYS = [key for key, _, _ in ROWS]

CHILD = """\
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store_journal import ROWS
from promptlab.store import Store
store = Store(Path(sys.argv[1]))
journal = store.journal()
journal.add(ROWS[:5])
journal.add(ROWS[5:10])
journal.turn()
journal.add(ROWS[10:20])
print("noted", flush=True)
time.sleep(60)
"""


def journals(store: Path) -> list[Path]:
    return sorted(store.parent.glob(f"{store.name}.arrived-*"))


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def killed(store_path: Path) -> None:
    """A process that noted twenty answers and was killed before it saved one."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(store_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"noted\n"
    with Store(store_path) as other:
        assert not other.contains_many(KEYS), "what a living process has noted is its own"
    assert len(journals(store_path)) == 2
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()


def test_what_a_killed_process_had_noted_is_taken_over(store_path: Path) -> None:
    killed(store_path)
    with Store(store_path) as store:
        assert store.get_many(KEYS) == {key: answer for key, _, answer in ROWS[:20]}
    assert journals(store_path) == []


@pytest.mark.parametrize("cut", [2, 30, len(ROWS[19][1])])
def test_a_note_that_was_cut_off_is_left_out(store_path: Path, cut: int) -> None:
    killed(store_path)
    last = journals(store_path)[1]
    last.write_bytes(last.read_bytes()[:-cut])
    with Store(store_path) as store:
        found = store.contains_many(KEYS)
    assert found == set(KEYS[:19])


def test_what_was_saved_is_not_noted_any_more(store_path: Path) -> None:
    with Store(store_path) as store:
        journal = store.journal()
        assert journal is not None
        for turn in range(4):
            journal.add(ROWS[10 * turn : 10 * turn + 10])
            assert all(path.stat().st_mode & 0o077 == 0 for path in journals(store_path))
            journal.turn()
            store.put_many(ROWS[10 * turn : 10 * turn + 10])
            journal.saved()
            assert not any(b"answer" in path.read_bytes() for path in journals(store_path))
        journal.close(keep=False)
        assert journals(store_path) == []


def test_what_could_not_be_saved_is_there_for_the_same_process(store_path: Path) -> None:
    with Store(store_path) as store:
        journal = store.journal()
        assert journal is not None
        journal.add(ROWS[:1])
        journal.close(keep=True)
    with Store(store_path) as store:
        assert store.contains_many(KEYS) == {KEYS[0]}


def test_notes_of_another_machine_wait_until_they_are_nobodys(store_path: Path) -> None:
    Store(store_path).close()
    path = store_path.with_name(f"{store_path.name}.arrived-7-0-0")
    key, canonical, response = ROWS[0]
    owner = orjson.dumps(["elsewhere", 7, "1"])
    answer = orjson.dumps({"status": response.status, "text": response.text, "created": 0.0})
    path.write_bytes(b"\n".join([owner, canonical, answer, b""]))
    with Store(store_path) as store:
        assert not store.contains_many([key])
    long_ago = time.time() - 7_200
    os.utime(path, (long_ago, long_ago))
    with Store(store_path) as store:
        assert store.get_many([key])[key].text == "answer 0"
    assert not path.exists()


def test_nothing_is_noted_where_nothing_is_kept(store_path: Path) -> None:
    with Store(store_path, mode="off") as store:
        assert store.journal() is None
    assert not journals(store_path)
