"""The store's tables, how its file is opened, and what SQLite's errors mean to a person."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from promptlab.errors import StoreDamaged, StoreError

__all__ = [
    "SCHEMA_VERSION",
    "connect",
    "connect_private",
    "damage",
    "explained",
    "identity",
    "is_damage",
    "parts",
    "replace",
    "transaction",
]

SCHEMA_VERSION = 2
APPLICATION_ID = 0x706C6162  # "plab"
_BUSY_S = 30.0
_SMALLEST = 512  # bytes of SQLite's smallest database

# `key` is the first half of the request's SHA-256: enough to tell requests apart, and the whole
# is checked against the canonical request whenever an answer is read.
# `id` only grows, also when an answer is replaced, so that "newer than" needs no clock.
# The index of the keys is small beside the bodies: planning reads nothing else.
_TABLES = {
    "responses": """CREATE TABLE responses(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key BLOB NOT NULL UNIQUE,
        dictionary INTEGER NOT NULL,
        body BLOB NOT NULL,
        created INTEGER)""",
    "dictionaries": """CREATE TABLE dictionaries(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        data BLOB NOT NULL)""",
    "owners": """CREATE TABLE owners(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        machine TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started TEXT NOT NULL,
        beat INTEGER NOT NULL)""",
    "claims": "CREATE TABLE claims(key BLOB PRIMARY KEY, owner INTEGER NOT NULL) WITHOUT ROWID",
}
_LOGS = ("-wal", "-shm")


def connect(path: Path, *, read_only: bool, damaged: bool = False) -> sqlite3.Connection:
    """Open the store's file; unless read-only, make it and its folder if they are not there.

    Args:
        path: the file.
        read_only: only read.
        damaged: also open a file that is shorter than it says.

    Raises:
        StoreDamaged: it is not what was written there.
        StoreError: it cannot be opened, or is not a store of this version.
    """
    with explained(path, identity(path)):
        if read_only:
            return _connect_read_only(path, damaged)
        if not path.exists():
            _make(path)
        connection = _opened(str(path), path)
        try:
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection


def connect_private() -> sqlite3.Connection:
    """A store that only this process sees and that is gone when it is closed."""
    connection = _open("")
    _make_tables(connection)
    return connection


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file: what stays the same when it is renamed, None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def parts(path: Path) -> list[Path]:
    """The store's file and those that SQLite keeps beside it while it is open."""
    return [path, *(path.with_name(path.name + log) for log in _LOGS)]


def replace(path: Path, fresh: Path) -> Path | None:
    """Put another store in the place of a damaged one, at once, and keep the damaged one.

    Args:
        path: the store's file, which may be gone.
        fresh: the file that takes its place; closed.

    Returns:
        The new name of the damaged file; None if there was none.
    """
    kept = _free_name(path)
    try:
        os.link(path, kept)  # so that there is a store at every moment
    except FileNotFoundError:
        pass
    except OSError:  # a file system without links
        path.rename(kept)
    _move_logs(path, kept)
    fresh.replace(path)
    return kept if kept.exists() else None


def _move_logs(path: Path, kept: Path) -> None:
    for old, new in zip(parts(path)[1:], parts(kept)[1:], strict=True):
        with suppress(FileNotFoundError):
            old.rename(new)


def _free_name(path: Path) -> Path:
    """A name with a time stamp that nothing has yet."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name, n = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while any(part.exists() for part in parts(name)):
        n += 1
        name = path.with_name(f"{path.name}.damaged-{stamp}-{n}")
    return name


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # the first error is the one to tell
                connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path, file: tuple[int, int] | None) -> Iterator[None]:
    """Turn errors of SQLite and the file system into a `StoreError` that says what to do.

    Args:
        path: the store's file.
        file: its identity when it was opened.
    """
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise damage(f"the store {path} is damaged ({error})", file) from error
        raise StoreError(_explanation(error, path)) from error
    except OSError as error:
        raise StoreError(_os_explanation(error, path)) from error


def damage(what: str, file: tuple[int, int] | None) -> StoreDamaged:
    """The error that says what is damaged and what to type."""
    return StoreDamaged(
        f"{what}; 'promptlab store verify' says how much, and 'promptlab store verify --remove' "
        "sets it right: what can be read is kept, the rest is asked for again",
        file,
    )


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error of SQLite says that what it read is not what was written."""
    names = (*("SQLITE_CORRUPT", "SQLITE_NOTADB"), *("SQLITE_IOERR_SHORT", "SQLITE_IOERR_READ"))
    # A byte that is no text in a row that holds none has no name of its own.
    return _name(error).startswith(names) or "Could not decode to UTF-8" in str(error)


def _open(name: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        name, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, uri=uri
    )


def _opened(name: str, path: Path, damaged: bool = False) -> sqlite3.Connection:
    size = path.stat().st_size
    if size < _SMALLEST:
        # A store is never made empty, so this one has lost everything. SQLite would take it for
        # a new database and delete the log beside it.
        raise damage(f"the store {path} is cut short: it has {size} bytes", identity(path))
    connection = _open(name, uri=name.startswith("file:"))
    try:
        if damaged:
            connection.execute("PRAGMA writable_schema = ON")  # SQLite's way to ask for that
        connection.execute("PRAGMA cache_size = -8000")
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_read_only(path: Path, damaged: bool) -> sqlite3.Connection:
    if not path.is_file():
        raise StoreError(
            f"there is no store at {path}; 'replay' only reads stored answers: "
            "run with 'store: use' first"
        )
    address = path.resolve().as_uri()
    try:
        return _opened(f"{address}?mode=ro", path, damaged)
    except sqlite3.OperationalError:
        log = parts(path)[1]
        if log.exists() and log.stat().st_size:
            raise
        # SQLite reads a write-ahead store only with a file beside it, which a folder that
        # cannot be written does not take. Nobody writes there, so the file alone is all.
        return _opened(f"{address}?immutable=1", path, damaged)


def _make(path: Path) -> None:
    """Make an empty store for the user alone: whole at once, even if several processes do it."""
    # Answers can be private: nobody else on the machine may read what we make.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The log of a store that was deleted would be taken for the new one's.
    _move_logs(path, _free_name(path))
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        connection = _open(str(new))
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            _make_tables(connection)
        finally:
            connection.close()
        try:
            os.link(new, path)
        except FileExistsError:
            pass  # another process was quicker
        except OSError:  # a file system without links
            new.rename(path)
    finally:
        for part in parts(new):
            part.unlink(missing_ok=True)


def _make_tables(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        for statement in _TABLES.values():
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if owner != APPLICATION_ID:
        raise StoreError(
            f"{path} is a database of another program; name another file or folder "
            "(PROMPTLAB_CACHE_DIR)"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer promptlab (store version {version}, this one reads "
            f"{SCHEMA_VERSION}); upgrade promptlab, or set PROMPTLAB_CACHE_DIR to another folder"
        )
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a promptlab from before its first release, which this one "
            "does not read; delete the file, or set PROMPTLAB_CACHE_DIR to another folder"
        )
    if not tables >= _TABLES.keys():
        raise damage(f"the store {path} lacks a table", identity(path))


def _is_busy(error: sqlite3.Error) -> bool:
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _name(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", "") or "")


_FULL = "the disk is full, or a limit on file size is reached; free space and run again"
_FORBIDDEN = (
    "check the permissions of the file and its folder, or set PROMPTLAB_CACHE_DIR to a folder "
    "that you can write"
)


def _explanation(error: sqlite3.Error, path: Path) -> str:
    name = _name(error)
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return (
            f"the store {path} cannot be written ({error}): {_FULL}; "
            "what was saved before is kept, and the run goes on from there"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return f"the store {path} cannot be opened for writing ({error}); {_FORBIDDEN}"
    if _is_busy(error):
        return (
            f"the store {path} has been locked by another process for {_BUSY_S:.0f} s; "
            "run again when that process is done"
        )
    return f"the store {path} failed ({name or type(error).__name__}: {error})"


def _os_explanation(error: OSError, path: Path) -> str:
    reason = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return f"the store {path} cannot be written ({reason}): {_FULL}"
    return f"the store {path} cannot be opened ({reason}); {_FORBIDDEN}"
