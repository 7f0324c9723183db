"""Rows of a hub data set, read through the `datasets` library, or of local files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from promptlab.errors import MissingData, MissingDependency, SpecError, UserError
from promptlab.tasks.loaders.files import KINDS, base_split, read_rows
from promptlab.tasks.loaders.records import Context
from promptlab.tasks.loaders.templates import Row
from promptlab.tasks.suites import sha256

__all__ = ["Source"]

ONLY_SPLIT = "train"
"""Split of a single file, by the name that the hub gives it."""


class Source:
    """A data set and how to read a split of it.

    Args:
        context: the card's place.
        path: hub id, local file, or local file of each split.
        name: configuration of a hub data set.
        revision: commit of a hub data set.
        columns: new names of columns by their old ones.

    Raises:
        SpecError: `path` is neither a hub id nor a file of a known kind.
    """

    def __init__(
        self,
        context: Context,
        *,
        path: str | Mapping[str, str],
        name: str | None,
        revision: str | None,
        columns: Mapping[str, str],
    ) -> None:
        self.context, self.columns = context, columns
        self.hub: str | None = None
        self.files: dict[str, Path] = {}
        self.name, self.revision = name, revision
        if not isinstance(path, str):
            self.files = {split: self._local(file, "path", split) for split, file in path.items()}
        elif _looks_local(path) or (context.base / path).is_file():
            self.files = {ONLY_SPLIT: self._local(path, "path")}
        else:
            self.hub = path
        for key, value in (("name", name), ("revision", revision)):
            if self.files and value is not None:
                raise self._error(f"'{key}' is for hub data sets; a local file has none", key)

    def _error(self, message: str, *key: str) -> SpecError:
        return self.context.document.error(message, ("data", *key))

    def _local(self, path: str, *key: str) -> Path:
        given = Path(path).expanduser()
        if given.suffix.lower() not in KINDS:
            raise self._error(
                f"'{path}' is no file of a kind that is read: {', '.join(KINDS)}", *key
            )
        return given if given.is_absolute() else self.context.base / given

    def checked_split(self, split: str | None, key: str) -> str:
        """The split to read; a single local file need not say it.

        Raises:
            SpecError: no split is given, or the local files have none of that name.
        """
        if split is None:
            if list(self.files) == [ONLY_SPLIT]:
                return ONLY_SPLIT
            raise self._error(f"'{key}' is missing: which split holds the records?")
        if self.files and base_split(split) not in self.files:
            raise self._error(
                f"no split '{base_split(split)}'; there is {', '.join(self.files)}", key
            )
        return split

    def rows(self, split: str, key: str) -> list[Row]:
        """The rows of a split, columns renamed.

        Raises:
            MissingDependency: `datasets` is not installed.
            MissingData: the file is absent, or the hub cannot be reached.
            UserError: the data cannot be read.
            SpecError: the split is empty, or a column to rename is not there.
        """
        found = self._load(split)
        if not found:
            raise self._error(f"split '{split}' is empty", key)
        for old, new in self.columns.items():
            if old not in found[0]:
                raise self._error(f"no column '{old}'; columns: {', '.join(found[0])}", "columns")
            taken = [k for k in found[0] if self.columns.get(k, k) == new and k != old]
            if taken:
                raise self._error(f"'{new}' is also the name of '{taken[0]}'", "columns", old)
        return [{self.columns.get(k, k): value for k, value in row.items()} for row in found]

    def _load(self, split: str) -> list[Row]:
        if self.hub is None:
            return read_rows(self.files[base_split(split)], split)
        datasets = _datasets()
        with _said_clearly(f"{self.hub}, split {split}"):
            table = datasets.load_dataset(self.hub, self.name, split=split, revision=self.revision)
            return list(table)

    def provenance(self, split: str, rows: list[Row]) -> dict[str, str]:
        """Name of the source and the SHA-256 of the file, or of the rows of a hub data set."""
        if self.hub is None:
            file = self.files[base_split(split)]
            within = file.is_relative_to(self.context.base)
            name = file.relative_to(self.context.base) if within else file
            return {name.as_posix(): sha256(file.read_bytes())}
        address = "/".join(part for part in (self.hub, self.name, split) if part)
        label = f"{address}@{self.revision}" if self.revision else address
        return {label: sha256(orjson.dumps(rows, default=str, option=orjson.OPT_SORT_KEYS))}


def _looks_local(path: str) -> bool:
    return Path(path).suffix.lower() in KINDS or path.startswith((".", "/", "~"))


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingDependency("a data set of the hub", "hub") from None
    return datasets


@contextmanager
def _said_clearly(what: str) -> Iterator[None]:
    """Whatever `datasets` raises, as one line that says which data set."""
    try:
        yield
    except Exception as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        reason = (str(root) or type(root).__name__).strip().splitlines()[0]
        if isinstance(error, ConnectionError | FileNotFoundError):
            raise MissingData(f"cannot get {what}: {reason}") from None
        raise UserError(f"cannot read {what}: {reason}") from None
