"""Looking after a store: count it by model, check every answer, forget old ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from promptlab.errors import StoreDamaged
from promptlab.store import sqlite
from promptlab.store.rows import scan

__all__ = ["OnRows", "Verified", "compact", "count_models", "delete", "find", "model_of", "verify"]

OnRows = Callable[[int], None]
"""Told how many answers have been looked at so far."""

_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of every answer found.

    Attributes:
        answers: number of answers that are as they were written.
        damaged: (id, beginning of the key, where known) of each one that is not.
        faults: what is wrong with the file's structure.
    """

    answers: int
    damaged: tuple[tuple[int, str], ...]
    faults: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.faults)


def verify(path: Path, progress: OnRows | None = None) -> Verified:
    """Read and hash every answer again, and let SQLite check the file's structure.

    Raises:
        StoreError: the file cannot be opened for another reason than damage.
    """
    damaged: list[tuple[int, str]] = []
    faults = _faults(path)
    answers = 0
    try:
        for chunk in scan(path, lambda id, key: damaged.append((id, key)), damaged=True):
            answers += len(chunk)
            if progress:
                progress(answers + len(damaged))
    except StoreDamaged as error:
        faults = faults or [str(error.__cause__ or error)]
    return Verified(answers, tuple(damaged), tuple(faults))


def _faults(path: Path) -> list[str]:
    try:
        connection = sqlite.connect(path, read_only=True)
        try:
            with sqlite.explained(path, None):
                found = connection.execute("PRAGMA integrity_check(20)").fetchall()
        finally:
            connection.close()
    except StoreDamaged as error:
        return [str(error.__cause__ or error)]
    return [row[0] for row in found if row[0] != "ok"]


def count_models(path: Path, progress: OnRows | None = None) -> dict[str, int]:
    """Number of answers of each model, the most frequent first; reads every answer."""
    counts: Counter[str] = Counter()
    for chunk in scan(path):
        counts.update(model_of(canonical) for _, (_, canonical, _) in chunk)
        if progress:
            progress(counts.total())
    return dict(counts.most_common())


def model_of(canonical: bytes) -> str:
    """Id of the model that a canonical request goes to."""
    return str(orjson.loads(canonical)["model"])


def find(
    path: Path,
    *,
    before: float | None = None,
    model: str | None = None,
    progress: OnRows | None = None,
) -> list[int]:
    """Ids of the answers that are older than a moment, of a model, or both.

    Args:
        path: the store's file.
        before: seconds since the epoch, UTC; an answer without a time is never older.
        model: id of the model.
        progress: told how many answers have been looked at; looking for a model reads them all.
    """
    if model is None:
        connection = sqlite.connect(path, read_only=True)
        try:
            with sqlite.explained(path, None):
                query = "SELECT id FROM responses WHERE created < ?"
                return [row[0] for row in connection.execute(query, (before,))]
        finally:
            connection.close()
    found: list[int] = []
    seen = 0
    for chunk in scan(path):
        found += [
            id
            for id, (_, canonical, response) in chunk
            if (before is None or (response.created is not None and response.created < before))
            and model_of(canonical) == model
        ]
        seen += len(chunk)
        if progress:
            progress(seen)
    return found


def delete(path: Path, ids: Iterable[int]) -> None:
    """Forget answers; they will be asked for again."""
    rows = [(id,) for id in ids]
    connection = sqlite.connect(path, read_only=False)
    try:
        with sqlite.explained(path, sqlite.identity(path)):
            for start in range(0, len(rows), _CHUNK):
                with sqlite.transaction(connection):
                    connection.executemany(
                        "DELETE FROM responses WHERE id = ?", rows[start : start + _CHUNK]
                    )
    finally:
        connection.close()


def compact(path: Path) -> None:
    """Give the space of forgotten answers, and of dictionaries that none uses, back to the disk."""
    connection = sqlite.connect(path, read_only=False)
    try:
        with sqlite.explained(path, sqlite.identity(path)):
            with sqlite.transaction(connection):
                connection.execute(
                    "DELETE FROM dictionaries WHERE id NOT IN (SELECT dictionary FROM responses)"
                )
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
