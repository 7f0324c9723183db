from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.errors import StoreDamaged, StoreError
from promptlab.keys import canonical_request, request_hash
from promptlab.store import Store, claims
from promptlab.store.codec import decode_response, encode_response
from promptlab.types import Request, Response

REQUESTS = [
    Request("mock/words", prompt=f"Instruction: name the opposite.\n\nInput: word {i}\nOutput:")
    for i in range(2000)
]
KEYS = [request_hash(r) for r in REQUESTS]
CANONICAL = {k: canonical_request(r) for k, r in zip(KEYS, REQUESTS, strict=True)}


def rows(n: int, text: str = "answer", start: int = 0) -> list[tuple[str, bytes, Response]]:
    return [
        (k, CANONICAL[k], Response("ok", f"{text} {i}", "stop", created=1000.0 + i, attempts=2))
        for i, k in enumerate(KEYS[start : start + n], start)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "store.sqlite"


responses = st.builds(
    Response,
    status=st.sampled_from(["ok", "truncated", "refused", "filtered"]),
    text=st.text(st.characters(codec="utf-8")),
    finish_reason=st.none() | st.just("stop"),
    choice_logprobs=st.lists(st.floats(max_value=0, allow_nan=False), max_size=3).map(tuple),
    prompt_tokens=st.none() | st.integers(0, 10**6),
    completion_tokens=st.none() | st.integers(0, 10**6),
    served_model=st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
    fingerprint=st.none() | st.just("fp"),
    latency_s=st.none() | st.floats(0, 1e6),
    created=st.none() | st.floats(0, 1e10),
    attempts=st.integers(1, 99),
    error=st.none() | st.just("e"),
)


@given(responses)
def test_a_response_comes_back_as_it_went_in(response: Response) -> None:
    assert decode_response(encode_response(response)) == response


@given(st.lists(responses, max_size=30))
def test_any_batch_comes_back(batch: list[Response]) -> None:
    with Store("unused", "off") as store:
        store.put_many([(k, CANONICAL[k], r) for k, r in zip(KEYS, batch, strict=False)])
        assert store.get_many(KEYS[:30]) == dict(zip(KEYS, batch, strict=False))


def test_answers_come_back_in_another_process(path: Path) -> None:
    with Store(path) as store:
        for start in range(0, 2000, 100):
            store.put_many(rows(100, start=start))
    with Store(path) as store:
        found = store.get_many(KEYS)
        assert found == {k: r for k, _, r in rows(2000)}
        assert store.contains_many([*KEYS[:5], "00" * 32]) == set(KEYS[:5])
        assert store.stats().answers == 2000
        assert (store.stats().oldest, store.stats().newest) == (1000.0, 2999.0)


def test_what_requests_share_is_kept_once(path: Path) -> None:
    for half in (0, 450):
        with Store(path) as store:  # a second process goes on with what the first has learnt
            for start in range(half, half + 450, 3):  # a slow model: few rows at a time
                store.put_many(rows(3, start=start))
    plain = sum(len(c) for c in CANONICAL.values()) / 2000
    with contextlib.closing(sqlite3.connect(path)) as db:
        packed = db.execute("SELECT avg(length(body)) FROM responses WHERE id > 200").fetchone()[0]
        dictionaries = db.execute("SELECT count(*) FROM dictionaries").fetchone()[0]
    assert packed < plain / 3  # request and answer together
    assert dictionaries < 10


def test_long_and_odd_texts_come_back(path: Path) -> None:
    prompts = ["", "\0", "a" * 200_000, os.urandom(60_000).hex(), "\N{SNOWMAN}\r\n" * 3_000]
    requests = [Request("m/x", prompt=p, replicate=i) for i in range(30) for p in prompts]
    batch = [
        (request_hash(r), canonical_request(r), Response("ok", (r.prompt or "")[::-1]))
        for r in requests
    ]
    with Store(path) as store:
        for start in range(0, len(batch), 7):
            store.put_many(batch[start : start + 7])
        assert store.get_many([key for key, _, _ in batch]) == {k: r for k, _, r in batch}


def test_only_complete_answers_are_kept(path: Path) -> None:
    statuses = ["ok", "truncated", "refused", "filtered", "empty", "error"]
    with Store(path) as store:
        store.put_many(
            [(k, CANONICAL[k], Response(s)) for k, s in zip(KEYS, statuses, strict=False)]  # type: ignore[arg-type]
        )
        found = store.get_many(KEYS[:6])
    assert [found[k].status for k in KEYS[:6] if k in found] == statuses[:4]


def test_use_keeps_the_first_answer_and_refresh_replaces_it(path: Path) -> None:
    with Store(path) as store:
        store.put_many(rows(3, "first"))
        store.put_many(rows(1, "second"))
        assert store.get_many(KEYS[:1])[KEYS[0]].text == "first 0"
    with Store(path, "refresh") as store:
        assert not store.contains_many(KEYS[:3])
        assert not store.get_many(KEYS[:3])
        assert store.claim_many(KEYS[2:3]).granted == {KEYS[2]}
        store.put_many([*rows(1, "third", 2), *rows(1, "third", 0)])
        assert {k: r.text for k, r in store.get_many(KEYS[:3]).items()} == {
            KEYS[0]: "third 0",
            KEYS[2]: "third 2",
        }
    with Store(path) as store:
        texts = [r.text for r in store.get_many(KEYS[:3]).values()]
        assert sorted(texts) == ["first 1", "third 0", "third 2"]


def test_off_touches_no_file(path: Path) -> None:
    with Store(path, "off") as store:
        store.put_many(rows(3))
        assert len(store.get_many(KEYS[:5])) == 3
        assert store.stats().path is None
    assert not path.parent.exists()


def test_replay_reads_and_never_writes(path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        Store(path, "replay")
    with Store(path) as store:
        store.put_many(rows(3))
    before = path.read_bytes()
    with Store(path, "replay") as store:
        assert len(store.get_many(KEYS[:5])) == 3
        with pytest.raises(StoreError, match="replay"):
            store.put_many(rows(1, start=4))
        with pytest.raises(StoreError, match="replay"):
            store.claim_many(KEYS[:1])
    assert path.read_bytes() == before


def test_replay_sees_what_a_living_process_has_written(path: Path) -> None:
    with Store(path) as store:
        store.put_many(rows(3))
        with Store(path, "replay") as reader:
            assert len(reader.get_many(KEYS[:5])) == 3


def test_files_are_for_the_user_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        with Store(path) as store:
            store.put_many(rows(3))
            files = [path.parent, *path.parent.iterdir()]
            modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in files}
    finally:
        os.umask(old)
    assert modes.pop("cache") == 0o700
    assert modes == dict.fromkeys(["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"], 0o600)


def test_threads_may_share_a_store(path: Path) -> None:
    with Store(path) as store:

        def work(i: int) -> None:
            for start in range(i * 100, i * 100 + 100, 10):
                store.put_many(rows(10, start=start))
                store.get_many(KEYS[start : start + 10])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.stats().answers == 800


# --- claims ---------------------------------------------------------------------------------


def test_a_claim_is_granted_once(path: Path) -> None:
    with Store(path) as one, Store(path) as two:
        one.put_many(rows(1))
        assert one.claim_many(KEYS[:3]) == claims.Claims({KEYS[1], KEYS[2]}, {KEYS[0]}, set())
        assert one.claim_many(KEYS[1:2]).busy == {KEYS[1]}, "not even to its owner twice"
        other = two.claim_many(KEYS[:4])
        assert (other.granted, other.busy) == ({KEYS[3]}, {KEYS[1], KEYS[2]})
        one.put_many(rows(1, start=1), release=[KEYS[2]])
        other = two.claim_many(KEYS[1:3])
        assert (other.granted, other.answered) == ({KEYS[2]}, {KEYS[1]})
        two.release_all()
        assert one.claim_many(KEYS[2:4]).granted == {KEYS[2], KEYS[3]}


def test_closing_gives_up_claims(path: Path) -> None:
    with Store(path) as one:
        one.claim_many(KEYS[:3])
    with Store(path) as two:
        assert len(two.claim_many(KEYS[:3]).granted) == 3


def test_claims_of_a_killed_process_are_void(path: Path) -> None:
    code = f"""
        import os, signal
        from promptlab.store import Store
        Store({str(path)!r}).claim_many({KEYS[:3]!r})
        print("claimed", flush=True)
        signal.pause()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    with Store(path) as store:
        assert store.claim_many(KEYS[:3]).busy == set(KEYS[:3])
        child.kill()
        assert _soon(lambda: len(store.claim_many(KEYS[:3]).granted) == 3), "zombies hold nothing"
        child.wait()
    child.stdout.close()


def _soon(check: object, seconds: float = 5.0) -> bool:
    assert callable(check)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return False


class Clock:
    """Time as the tests want it; machines have clocks of their own, so both can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monotonic, self.utc = 1_000.0, 1.7e9
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)
        monkeypatch.setattr(time, "time", lambda: self.utc)

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.utc += seconds


@pytest.mark.parametrize("elsewhere", [False, True])
def test_claims_lapse_without_a_sign_of_life(
    path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    clock = Clock(monkeypatch)
    with Store(path) as one, Store(path) as two:
        one.claim_many(KEYS[:1])
        if elsewhere:
            monkeypatch.setattr(claims, "machine", lambda: "another machine")
        assert two.claim_many(KEYS[:1]).busy
        clock.passes(claims.LEASE_S - 1)
        assert two.claim_many(KEYS[:1]).busy
        one.heartbeat()
        clock.passes(claims.LEASE_S - 1)
        assert two.claim_many(KEYS[:1]).busy, "it has been heard of since"
        clock.passes(claims.LEASE_S)
        assert two.claim_many(KEYS[:1]).busy, "heard of, as far as the last look could tell"
        clock.passes(claims.LEASE_S + 1)
        assert two.claim_many(KEYS[:1]).granted
        one.heartbeat()  # told late that it was given up: it lives on as a new owner
        assert one.claim_many(KEYS[:1]).busy


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("jump", [-10 * 365 * 86_400, -3_600, 3_600, 10 * 365 * 86_400])
def test_setting_the_clock_neither_voids_a_claim_nor_keeps_it_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch, jump: float, elsewhere: bool
) -> None:
    clock = Clock(monkeypatch)
    with Store(path) as one, Store(path) as two:
        one.claim_many(KEYS[:1])
        if elsewhere:
            monkeypatch.setattr(claims, "machine", lambda: "another machine")
        assert two.claim_many(KEYS[:1]).busy
        clock.utc += jump
        if elsewhere:
            clock.monotonic += 20  # a reboot of the other machine would set its clock to nothing
        assert two.claim_many(KEYS[:1]).busy
        for _ in range(10):  # it lives, and says so
            clock.passes(20)
            one.heartbeat()
            assert two.claim_many(KEYS[:1]).busy
        clock.passes(claims.LEASE_S + 1)
        assert two.claim_many(KEYS[:1]).granted, "and now it has been silent for long enough"


def _claim_and_answer(path: str, barrier: object, index: int, results: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    granted = 0
    with Store(path) as store:
        for start in range(0, 1000, 50):
            keys = KEYS[start : start + 50]
            mine = store.claim_many(keys).granted
            granted += len(mine)
            store.put_many([row for row in rows(50, start=start) if row[0] in mine])
        results.put(granted)  # type: ignore[attr-defined]


def test_processes_that_start_at_once_share_the_work_without_overlap(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    children = [
        context.Process(target=_claim_and_answer, args=(str(path), barrier, i, results))
        for i in range(4)
    ]
    for child in children:
        child.start()
    granted = [results.get(timeout=30) for _ in children]
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    assert sum(granted) == 1000
    with Store(path) as store:
        assert store.stats().answers == 1000


# --- what goes wrong --------------------------------------------------------------------------


def test_an_answer_is_durable_when_put_returns(path: Path) -> None:
    code = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_store import *
        store = Store({str(path)!r})
        for start in range(0, 100, 10):
            store.put_many(rows(10, start=start))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -9
    with Store(path) as store:
        assert len(store.get_many(KEYS[:200])) == 100


def test_a_database_of_another_program(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes(x)")
    with pytest.raises(StoreError, match="another program"):
        Store(path)


def test_a_store_of_a_newer_version(path: Path) -> None:
    Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer promptlab.*upgrade"):
        Store(path)


def test_a_store_from_before_the_first_release(path: Path) -> None:
    Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreError, match="before its first release") as raised:
        Store(path)
    assert not isinstance(raised.value, StoreDamaged)


def test_a_locked_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptlab.store import sqlite

    monkeypatch.setattr(sqlite, "_BUSY_S", 0.1)
    with Store(path) as store, contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"):
            store.put_many(rows(1))
        other.execute("ROLLBACK")
        store.put_many(rows(1))


def test_a_full_disk_loses_nothing_that_was_saved(path: Path) -> None:
    code = f"""
        import resource, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_store import *
        store = Store({str(path)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        saved = 0
        try:
            for start in range(0, 2000, 50):
                store.put_many(rows(50, "long " * 40 + str(start), start=start))
                saved += 50
        except StoreError as error:
            print(saved, error)
        # Room again: the same store goes on, with a dictionary that is really there.
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        store.put_many(rows(50, start=saved))
        print("went on", len(store.get_many(KEYS)) - saved)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert "disk is full" in done.stdout, done.stdout + done.stderr
    assert str(path) in done.stdout
    assert "Traceback" not in done.stderr
    saved = int(done.stdout.split()[0])
    assert 0 < saved < 2000
    assert "went on 50" in done.stdout
    with Store(path) as store:
        assert len(store.get_many(KEYS)) == saved + 50


def test_a_batch_that_could_not_be_saved_leaves_the_store_usable(path: Path) -> None:
    with Store(path) as store:
        with pytest.raises(TypeError):
            store.put_many([*rows(50), (KEYS[60], CANONICAL[KEYS[60]], Response("ok", b"x"))])  # type: ignore[arg-type]
        bad = [*rows(49), (KEYS[49], CANONICAL[KEYS[49]], Response("ok", created=1e30))]
        with pytest.raises(OverflowError):  # inside the transaction, with a dictionary learnt
            store.put_many(bad)
        store.put_many(rows(20))
        assert len(store.get_many(KEYS[:60])) == 20


DROP_RIGHTS = """
if os.getuid() == 0:  # root may write anywhere
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that any user may reach."""
    folder = tmp_path
    while folder != folder.parent and folder.stat().st_uid == os.getuid():
        if os.getuid() == 0 and str(folder).startswith(str(tmp_path.parents[2])):
            folder.chmod(0o755)
        folder = folder.parent
    return tmp_path / "shared"


def test_a_folder_that_cannot_be_written(open_path: Path) -> None:
    file = open_path / "store.sqlite"
    with Store(file) as store:
        store.put_many(rows(3))
    file.chmod(0o444)
    open_path.chmod(0o555)
    try:
        code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_store import *
{DROP_RIGHTS}
with Store({str(file)!r}, "replay") as store:
    print("replay found", len(store.get_many(KEYS[:9])))
for target in ({str(file)!r}, {str(open_path / "new" / "store.sqlite")!r}):
    try:
        Store(target)
    except StoreError as error:
        print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    finally:
        open_path.chmod(0o755)
        file.chmod(0o644)
    lines = done.stdout.splitlines()
    assert lines[:1] == ["replay found 3"], done.stdout + done.stderr
    assert len(lines) == 3, done.stderr
    assert all("PROMPTLAB_CACHE_DIR" in line and str(open_path) in line for line in lines[1:])
