"""Every error a person can meet, as one tree.

PromptlabError
├── UserError              something the person wrote or asked for; exit code 2, no traceback
│   ├── SpecError          a YAML file: says file, line, key and the nearest valid name
│   ├── UnknownName        a task, stimulus, model, metric that is not there (did you mean)
│   ├── MissingData        a suite's files are absent or corrupt; says the command to type
│   ├── MissingDependency  an optional package; says the pip line to type
│   ├── UnpairedScores     a table of scores that does not pair
│   └── NothingScored      a run without a single score
│       └── Unjudged       its answers wait for a judge
├── StoreError             the store cannot be read, or does not hold what was asked
│   └── StoreDamaged       what is in the store's file is not what was written there
└── ProviderError          what a model's endpoint answered instead of an answer
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Literal

__all__ = [
    "DISTRIBUTION",
    "MissingData",
    "MissingDependency",
    "NothingScored",
    "PromptlabError",
    "ProviderError",
    "SpecError",
    "StoreDamaged",
    "StoreError",
    "Unjudged",
    "UnknownName",
    "UnpairedScores",
    "UserError",
    "did_you_mean",
]

DISTRIBUTION = "promptlab-experiments"
"""Name on the package index (`promptlab` there is somebody else's)."""

FailureKind = Literal[
    "rate_limit",  # 429: wait and try again
    "quota",  # the account has no credit left: stop this model, resume later
    "server",  # 5xx, 408
    "timeout",
    "connection",  # refused, reset, no route
    "malformed",  # not JSON, or not the promised shape
    "auth",  # 401, 403: no request to this model can succeed
    "not_found",  # 404: the model or the endpoint does not exist
    "bad_request",  # 400, 422: this request can never succeed
]


class PromptlabError(Exception):
    """Base of all errors raised on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is made anew from its message alone, and many here take more.
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind: type[PromptlabError], args: tuple[Any, ...]) -> PromptlabError:
    return kind.__new__(kind, *args)


class UserError(PromptlabError):
    """Something the person can mend; printed without a traceback."""


class SpecError(UserError):
    """A mistake in a YAML file.

    Args:
        message: what is wrong and what to write instead.
        path: the file.
        line: 1-based line, when known.
        key: dotted key, such as `conditions[2].position`.
    """

    def __init__(
        self, message: str, *, path: str = "", line: int | None = None, key: str = ""
    ) -> None:
        where = f"{path}:{line}" if path and line else path
        prefix = ": ".join(part for part in (where, key) if part)
        super().__init__(f"{prefix}: {message}" if prefix else message)
        self.message, self.path, self.line, self.key = message, path, line, key


class UnknownName(UserError):
    """A name that is in no registry."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        message = f"unknown {what} '{name}'{did_you_mean(name, known)}"
        super().__init__(f"{message}; {hint}" if hint else message)
        self.what, self.name = what, name


class MissingData(UserError):
    """A suite's data file is absent, or is not the pinned one."""


class MissingDependency(UserError):
    """An optional package is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs: pip install '{DISTRIBUTION}[{extra}]'")


class UnpairedScores(UserError):
    """The rows of two conditions are not the same items."""


class NothingScored(UserError):
    """All answers of a run failed, or were empty, refused or cut off."""


class Unjudged(NothingScored):
    """Open answers that no judge has scored yet."""


class StoreError(PromptlabError):
    """The store cannot be opened, written or waited for, or (replay) lacks an answer."""


class StoreDamaged(StoreError):
    """The store's file is not what was written: torn, cut short, or changed by another program.

    `promptlab.repair.set_aside_and_rebuild` makes a new one and saves what can still be read. A
    file of another program, or of a newer promptlab, is not damaged and raises `StoreError`.

    Args:
        message: what is damaged and what to type.
        file: device and inode of the damaged file, by which one tells whether another process has
            replaced it meanwhile; None where it is not there any more.
    """

    def __init__(self, message: str, file: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.file = file


class ProviderError(PromptlabError):
    """A request that got no answer.

    Args:
        kind: what happened; decides whether to try again.
        message: the provider's own words, never a key.
        retry_after: seconds the provider asked us to wait, if it did.
    """

    RETRYABLE = frozenset({"rate_limit", "server", "timeout", "connection", "malformed"})
    STOPS_MODEL = frozenset({"quota", "auth", "not_found"})

    def __init__(
        self, kind: FailureKind, message: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.retry_after = kind, message, retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later in this run."""
        return self.kind in self.RETRYABLE

    @property
    def stops_model(self) -> bool:
        """Whether no other request to this model can succeed either."""
        return self.kind in self.STOPS_MODEL


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of the known names, or nothing."""
    candidates = list(known)
    folded = {c.lower(): c for c in candidates}
    near = difflib.get_close_matches(name.lower(), list(folded), n=3, cutoff=0.6)
    if not near:
        tail = name.lower().rsplit("/", 1)[-1]
        tails = {c.lower().rsplit("/", 1)[-1]: c for c in candidates}
        found = difflib.get_close_matches(tail, list(tails), n=3, cutoff=0.7)
        names = [tails[f] for f in found]
    else:
        names = [folded[n] for n in near]
    return f"; did you mean {' or '.join(repr(n) for n in names)}?" if names else ""
