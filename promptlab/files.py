"""Files that only the user can read, and that appear whole or not at all; names of files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

__all__ = ["only_mine", "replacing", "slug", "write_private"]


def slug(text: str) -> str:
    """Text as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:60] or "unnamed"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends without an error."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb", opener=_private) as file:
            yield cast(BinaryIO, file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Write a file at once."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def only_mine() -> Iterator[None]:
    """What the block writes is for the user alone, also where a library writes it."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
