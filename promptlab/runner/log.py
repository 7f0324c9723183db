"""The debug log: one JSON object a line."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

__all__ = ["JsonlLog"]


class JsonlLog:
    """Appends records with their time to a file that only the user can read.

    A record that the disk does not take is lost: a full disk is the store's to tell.

    Args:
        path: the file; its folder must exist.
    """

    def __init__(self, path: Path | str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Write one record."""
        stamped = {"time": round(time.time(), 3), **record}
        line = orjson.dumps(stamped, default=str, option=orjson.OPT_APPEND_NEWLINE)
        with suppress(OSError):
            self._file.write(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
