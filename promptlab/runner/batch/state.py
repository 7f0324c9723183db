"""What a run knows of its batches, on disk before it matters.

    <folder>/batches.json       the batches handed in and not collected yet, whole or not at all
    <folder>/<n>.requests       the requests of batch n, a line each: key, attempt, canonical
    <folder>/<n>.jsonl          what is handed in; gone as soon as it is

A batch is in `batches.json` with the file it is to be made of before it is created, and with its
id right after. So whatever kills the process, a batch is either known by its id, or can be found
in the provider's list by its name or its file.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import orjson

from promptlab.errors import StoreError, UserError
from promptlab.files import replacing
from promptlab.keys import canonical_request
from promptlab.runner.needs import Need
from promptlab.runner.records import Spent
from promptlab.types import Message, Request

__all__ = ["BatchState", "Chunk", "KnownBatch", "Requests", "request_from"]

_VERSION = 1


@dataclass(slots=True)
class KnownBatch:
    """A batch that was handed in and is not collected yet.

    Attributes:
        number: counts the batches of the run from 1.
        model: label of the model.
        url: what its lines are meant for.
        requests: how many there are.
        tokens: what they may take, as far as it was foretold; 0 where nothing depends on it.
        usd: the same in US dollars.
        made: when its file was uploaded, seconds since the epoch.
        file: the provider's id of the file it is made of.
        id: the provider's id of the batch; None while its creation is not confirmed.
        refused: ids of earlier batches of that file, which the provider refused as a whole.
    """

    number: int
    model: str
    url: str
    requests: int
    tokens: float
    usd: float
    made: float
    file: str
    id: str | None = None
    refused: list[str] = field(default_factory=list)


class BatchState:
    """The batches of one run; used by one process at a time, and changed by one of its threads.

    Args:
        folder: made when the first batch is; readable by the user alone.

    Attributes:
        batches: those handed in and not collected, by number.
        spent: what the run has spent, by model label; written together with the batches, so that
            no end of a process can separate them.

    Raises:
        UserError: the file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "batches.json"
        self.name = f"promptlab-{uuid.uuid4().hex[:16]}"
        self.batches: dict[int, KnownBatch] = {}
        self.spent: dict[str, Spent] = {}
        self._last = 0
        self._lock = threading.Lock()
        self._snapshots = self._written = 0
        if self.path.is_file():
            self._read()

    def of_model(self, model: str) -> list[KnownBatch]:
        """The batches of one model, in the order they were handed in."""
        return [batch for batch in self.batches.values() if batch.model == model]

    def name_of(self, batch: KnownBatch) -> str:
        """What a batch is called in its provider's list."""
        return f"{self.name}-{batch.number}"

    def new_number(self) -> int:
        """A number for the next batch."""
        self._last += 1
        return self._last

    def requests_path(self, number: int) -> Path:
        """File of the requests of a batch."""
        return self.folder / f"{number}.requests"

    def lines_path(self, number: int) -> Path:
        """File to be handed in."""
        return self.folder / f"{number}.jsonl"

    def saved(self) -> Callable[[], None]:
        """What writes `batches.json` as things are now; to be called in any thread.

        When it returns, they survive a power cut.
        """
        self._snapshots += 1
        number = self._snapshots
        document = {
            "version": _VERSION,
            "name": self.name,
            "last": self._last,
            "spent": {label: asdict(spent) for label, spent in self.spent.items()},
            "batches": [asdict(batch) for batch in self.batches.values()],
        }
        data = orjson.dumps(document, option=orjson.OPT_INDENT_2)

        def write() -> None:
            with self._lock:
                if number < self._written:
                    return  # what was written holds all of this, and more
                with replacing(self.path) as file:
                    file.write(data)
                    _sync(file)
                _sync_folder(self.folder)
                self._written = number

        return write

    def added(self, batch: KnownBatch) -> Callable[[], None]:
        """Know a batch from now on; what writes that down."""
        self.batches[batch.number] = batch
        return self.saved()

    def forgotten(self, number: int) -> Callable[[], None]:
        """A batch is collected, or will never be; what writes that down and removes its files."""
        write = self.saved() if self.batches.pop(number, None) is not None else None

        def forget() -> None:
            if write is not None:
                write()
            self.requests_path(number).unlink(missing_ok=True)
            self.lines_path(number).unlink(missing_ok=True)

        return forget

    def tidy(self) -> None:
        """Remove what a killed process had not handed in yet; nobody was asked for it."""
        for path in (*self.folder.glob("*.requests"), *self.folder.glob("*.jsonl")):
            known = path.stem.isdigit() and int(path.stem) in self.batches
            if not known or path.suffix == ".jsonl":
                path.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            document: dict[str, Any] = orjson.loads(self.path.read_bytes())
            version = document["version"]
            known = [KnownBatch(**batch) for batch in document["batches"]] if version == 1 else []
            self.name, self._last = str(document["name"]), int(document["last"])
            self.spent = {label: Spent(**spent) for label, spent in document["spent"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.path} cannot be read ({error}), and says which batches the provider still "
                "works on; put it back from a copy, or delete it: the requests of those batches "
                "are then sent, and paid for, once more"
            ) from None
        if version != _VERSION:
            raise UserError(
                f"{self.path} was written by another promptlab (version {version}, this one reads "
                f"{_VERSION}); collect its batches with that one"
            )
        self.batches = {batch.number: batch for batch in known}


class Chunk:
    """Requests on their way into a batch: two files that grow.

    Args:
        state: where the files are.
        url: what the lines are meant for.
    """

    def __init__(self, state: BatchState, url: str) -> None:
        state.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.number, self.url = state.new_number(), url
        self.keys: list[str] = []
        self.bytes = 0
        """Size of the file to be handed in."""
        self.tokens = self.usd = 0.0
        """What the requests may take."""
        self._requests = _private(state.requests_path(self.number))
        self._lines = _private(state.lines_path(self.number))

    def add(self, key: str, attempt: int, canonical: bytes, line: bytes, need: Need) -> None:
        """One more request.

        Args:
            key: its hash.
            attempt: which attempt at it this is, from 1.
            canonical: the canonical request.
            line: what is handed in.
            need: what it may take.
        """
        self.keys.append(key)
        self.tokens += need.tokens
        self.usd += need.usd
        self._requests.write(b"%s %d %s\n" % (key.encode(), attempt, canonical))
        self._lines.write(line)
        self._lines.write(b"\n")
        self.bytes += len(line) + 1

    def close(self) -> None:
        """Everything is on the disk when this returns."""
        with self._requests, self._lines:
            _sync(self._requests)


class Requests:
    """The requests of a batch, read one at a time.

    Args:
        path: their file.

    Raises:
        UserError: it is not there, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at: dict[str, tuple[int, int]] = {}
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from None
        at = 0
        try:
            for line in self._file:
                key, attempt, _ = line.split(b" ", 2)
                self._at[key.decode()] = (int(attempt), at)
                at += len(line)
        except ValueError:
            self._file.close()
            raise self._lost(f"it is damaged at byte {at:,}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def __len__(self) -> int:
        return len(self._at)

    def attempt(self, key: str) -> int:
        """Which attempt at the request it was."""
        return self._at[key][0]

    def canonical(self, key: str) -> bytes:
        """The canonical request."""
        self._file.seek(self._at[key][1])
        return self._file.readline().split(b" ", 2)[2][:-1]

    def key_of_line(self, number: int) -> str | None:
        """The key in the 1-based line of the file that was handed in."""
        return next((key for i, key in enumerate(self._at, 1) if i == number), None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Requests:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lost(self, reason: str) -> UserError:
        return UserError(
            f"{self._path} cannot be read ({reason}), and the answers of its batch cannot be kept "
            "without it; put it back from a copy, or delete the batch's entry in batches.json: "
            "its requests are then sent, and paid for, once more"
        )


def request_from(canonical: bytes) -> Request:
    """The request that a canonical request stands for.

    Raises:
        StoreError: it is no canonical request, or one of another version.
    """
    try:
        document: dict[str, Any] = orjson.loads(canonical)
        request = Request(
            model=document["model"],
            messages=tuple(Message(m["role"], m["content"]) for m in document.get("messages", ())),
            prompt=document.get("prompt"),
            choices=tuple(document.get("choices", ())),
            params=document.get("params", {}),
            endpoint=document.get("endpoint"),
            replicate=document["replicate"],
        )
        same = canonical_request(request) == canonical
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise StoreError("a request of a batch is damaged, or of another version of promptlab")
    return request


def _private(path: Path) -> IO[bytes]:
    """A new file that only the user can read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=1 << 17)


def _sync(file: IO[bytes]) -> None:
    """What was written survives a power cut when this returns."""
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # there, folders are not opened
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
