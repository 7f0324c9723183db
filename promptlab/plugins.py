"""What installed packages add: methods, providers, metrics and suites of tasks, by entry point."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from promptlab.errors import UserError

__all__ = ["Plugin", "plugins"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of a package.

    Attributes:
        name: as the package calls it.
        package: name and version of the package.
        what: kind and name in words, for messages.
    """

    name: str
    package: str
    what: str
    _entry: EntryPoint

    def load(self) -> Any:
        """What the entry point leads to.

        Raises:
            UserError: it cannot be imported; names the package and the reason.
        """
        try:
            return self._entry.load()
        except Exception as error:  # whatever the package's own modules raise
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{self.what} cannot be loaded: {reason}") from None

    def error(self, message: str) -> UserError:
        """The error to raise where what was loaded is not what it should be."""
        return UserError(f"{self.what} {message} ({self._entry.value})")


def plugins(kind: str) -> list[Plugin]:
    """What packages have in the group `promptlab.<kind>s`, in the order of their names.

    Args:
        kind: `method`, `metric`, `task` or `provider`.
    """
    found = []
    for entry in _entry_points(tuple(sys.path), f"promptlab.{kind}s"):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
        what = f"the {kind} '{entry.name}' of {package}"
        found.append(Plugin(entry.name, package, what, entry))
    return sorted(found, key=lambda p: (p.name, p.package))


@lru_cache(maxsize=16)
def _entry_points(path: tuple[str, ...], group: str) -> tuple[EntryPoint, ...]:
    """Those of every distribution on the path, which takes a while to read."""
    del path
    return tuple(entry_points(group=group))
