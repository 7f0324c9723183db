"""Putting answers back into a store: from a run's own responses, and from a damaged store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from promptlab.conclude import plan_of
from promptlab.errors import StoreDamaged, StoreError, UserError
from promptlab.parquet import read_rows
from promptlab.plan import Plan, Planned
from promptlab.runs import Run
from promptlab.store import COMPLETE, Store, Stored, sqlite
from promptlab.store.exchange import Imported, merge
from promptlab.store.rows import scan
from promptlab.store.upkeep import OnRows
from promptlab.tables import ABSENT, response_of
from promptlab.types import Response

__all__ = ["import_run", "keys_of", "set_aside_and_rebuild"]

_CELL = ("model", "task", "condition", "shots", "instruction", "replicate", "item_id")
_ANSWER = (
    *("status", "text", "finish_reason", "choice_logprobs", "prompt_tokens", "completion_tokens"),
    *("served_model", "fingerprint", "latency_s", "created", "attempts", "error"),
)
_BATCH = 2_000

Say = Callable[[str], None]


def import_run(run: Run, store: Store, progress: OnRows | None = None) -> Imported:
    """Put the answers of a run back into a store.

    A run keeps no prompts: its requests are made again from its plan, and an answer is taken only
    if its request is the one that was asked (`request_hash`). Answers that the store has stay.

    Args:
        run: the run; its plan needs the suites' data.
        store: where the answers go.
        progress: told the number of rows read so far.

    Raises:
        UserError: the run has no responses, or its plan cannot be made again.
        StoreError: the store cannot be written.
    """
    path = _responses(run)
    if all(len(store.contains_many(keys)) == len(keys) for keys in keys_of(run)):
        # Nothing to bring back, so the plan is not needed.
        rows = list(_statuses(path))
        answers = sum(status in COMPLETE for status in rows)
        return Imported(len(rows), 0, answers, 0, len(rows) - answers)
    return merge(_asked_again(plan_of(run), path), store, progress)


def _responses(run: Run) -> Path:
    path = run.path / "responses.parquet"
    if not path.is_file():
        raise UserError(f"{run.path.name} has no responses (state: {run.status.get('state')})")
    return path


def _statuses(path: Path) -> Iterator[str]:
    return (status for (status,) in _rows(path, ["status"]))


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    try:
        yield from read_rows(path, columns, ABSENT)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); run the spec again") from None


def keys_of(run: Run) -> Iterator[set[str]]:
    """Keys of the requests that a run has answers to, in chunks.

    Raises:
        UserError: the run has no responses, or they are damaged.
    """
    keys: set[str] = set()
    for key, status in _rows(_responses(run), ["request_hash", "status"]):
        if status in COMPLETE:
            keys.add(key)
        if len(keys) >= _BATCH:
            yield keys
            keys = set()
    yield keys


def _asked_again(plan: Plan, path: Path) -> Iterator[Stored | None]:
    """The run's rows with their requests; None where the plan's request is another one.

    Both are in plan order, a second call right after its first.
    """
    requests = (p for model in plan.models for p in plan.requests(model))
    planned: Planned | None = None
    first: Response | None = None
    for key, step, *rest in _rows(path, ("request_hash", "step", *_CELL, *_ANSWER)):
        cell, response = (
            tuple(rest[: len(_CELL)]),
            response_of(**dict(zip(_ANSWER, rest[len(_CELL) :], strict=True))),
        )
        if step == 0:
            planned = next((p for p in requests if _cell(p) == cell), None)
            asked, first = planned, response
        else:
            again = planned.follow_up if planned else None
            asked = again(first) if again and first else None
        if response.status not in COMPLETE:
            yield key, b"", response
        elif asked is None or asked.hash != key:
            yield None
        else:
            yield key, asked.canonical, response


def _cell(planned: Planned) -> tuple[Any, ...]:
    cell = planned.cell
    named = (cell.model, cell.task, cell.condition, cell.shots, cell.instruction)
    return (*named, planned.replicate, planned.item.item_id)


# --- a damaged store --------------------------------------------------------------------------


def set_aside_and_rebuild(
    store_path: Path, runs_folder: Path, say: Say, *, damage: StoreDamaged | None = None
) -> Path:
    """Replace a damaged store by a new one with every answer that can still be had.

    What can be read of the damaged file and is as it was written is taken over, row by row; the
    answers of the runs are put back; the damaged file is kept under another name. The new store
    takes the place of the old one only when it is complete, so a process that starts meanwhile
    asks for nothing that is about to come back. If several processes find the damage at once, one
    does the work and the others wait for it.

    Args:
        store_path: the store's file; its `Store` must be closed.
        runs_folder: where the runs are.
        say: takes a few lines for the person.
        damage: the error that told of the damage; if another process has replaced that file since,
            there is nothing to do. Without it the store is rebuilt in any case.

    Returns:
        The path of the store, ready to be opened.

    Raises:
        StoreError: the file is not damaged but another program's, or of another version; or the
            new store cannot be written, and then the damaged one stays where it is.
    """
    store_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(store_path.with_name(f"{store_path.name}.lock"), mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is mending the store {store_path}; waiting for it")
        lock.acquire()
    try:
        there = sqlite.identity(store_path)
        if damage is not None and there is not None and there != damage.file:
            say(f"another process has mended the store {store_path}")
            return store_path
        _rebuild(store_path, runs_folder, say, reason=str(damage or "").partition(";")[0])
    finally:
        lock.release()
    return store_path


def _rebuild(path: Path, runs_folder: Path, say: Say, reason: str) -> None:
    with suppress(StoreDamaged):
        if path.exists():
            # Somebody else's file, or one that we may not read, raises here and is not touched.
            sqlite.connect(path, read_only=True).close()
    fresh = path.with_name(f".{path.name}.rebuilt")
    for part in sqlite.parts(fresh):
        part.unlink(missing_ok=True)  # of a rebuilding that was cut off
    say(f"{reason or f'the store {path} is damaged'}; mending it ...")
    found = _Salvaged()
    try:
        with Store(fresh) as store:
            if path.exists():
                found.take(path, store)
            back, sources, failed = _from_runs(runs_folder, store)
        kept = sqlite.replace(path, fresh)
    finally:
        for part in sqlite.parts(fresh):
            part.unlink(missing_ok=True)
    if kept is not None:
        # Answers that a process which had not noticed anything has saved in the meantime.
        with Store(path) as store:
            found.take(kept, store)
    lost = f"; {found.lost:,} could not be read" if found.lost else ""
    runs = "1 run" if sources == 1 else f"{sources:,} runs"
    say(
        f"the store {path} is mended: {found.saved:,} answers saved from the damaged file{lost}; "
        f"{back:,} came back from {runs}; the rest is asked for again"
    )
    for name, why in failed.items():
        say(f"the answers of run {name} could not be put back: {why}")
    if kept is not None:
        say(f"the damaged file is kept: {kept}")


@dataclass(slots=True)
class _Salvaged:
    """What has been saved from a damaged file so far."""

    saved: int = 0
    lost: int = 0
    last: int = 0
    """Id up to which the file has been read."""
    _unread: set[int] = field(default_factory=set)

    def take(self, damaged: Path, store: Store) -> None:
        """Copy the answers that have come since the last time."""
        lost: set[int] = set()
        with (
            suppress(StoreDamaged),
            closing(
                scan(damaged, lambda id, key: lost.add(id), after=self.last, damaged=True)
            ) as chunks,
        ):
            for chunk in chunks:
                self.saved += store.put_many([stored for _, stored in chunk])
                if chunk:
                    self.last = max(self.last, chunk[-1][0])
        self.last = max(self.last, max(lost, default=0))
        self.lost += len(lost)


def _from_runs(folder: Path, store: Store) -> tuple[int, int, dict[str, str]]:
    """(answers put back, number of runs they came from, why others could not be used)."""
    back = sources = 0
    failed: dict[str, str] = {}
    for lock in sorted(folder.glob("*/lock.json")):
        name = lock.parent.name
        try:
            run = Run(lock.parent)
            if not (run.path / "responses.parquet").is_file():
                continue
            found = import_run(run, store)
        except StoreError:
            raise
        except (UserError, OSError, KeyError) as error:  # no plan, no data, a torn file
            failed[name] = str(error)
            continue
        back += found.added
        sources += bool(found.added)
        if found.refused:
            failed[name] = f"{found.refused:,} of its requests are no longer what was asked"
    return back, sources, failed
