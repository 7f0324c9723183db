"""Batches at a provider: hand in a file of requests, look at it, fetch the answers.

OpenAI's protocol (`/v1/files` and `/v1/batches`), spoken directly to an endpoint of one's own and
through litellm to hosted models.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from promptlab.errors import MissingDependency, ProviderError, UserError
from promptlab.providers.addresses import named_key, provider_of, variable_prefix
from promptlab.providers.failures import from_status, is_filtered, scrub
from promptlab.providers.replies import read_reply
from promptlab.types import Request, Response

__all__ = [
    "CHAT",
    "COMPLETION",
    "BatchApi",
    "Fault",
    "Line",
    "RemoteBatch",
    "batch_api",
    "read_batch",
    "read_line",
    "whole_lines",
]

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_NEVER_SENT = frozenset({"batch_expired", "batch_cancelled"})
_ENQUEUED = "token_limit_exceeded"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a provider refused a batch as a whole.

    Attributes:
        code: the provider's word for it.
        message: in words.
        line: 1-based line of the file that is wrong, if it is one.
    """

    code: str
    message: str
    line: int | None = None

    @property
    def too_much_out(self) -> bool:
        """Whether the provider only takes it when less of ours is waiting there."""
        return self.code == _ENQUEUED or "enqueued token limit" in self.message.lower()

    @property
    def error(self) -> ProviderError:
        """As the error of a request."""
        body = orjson.dumps({"error": {"code": self.code, "message": self.message or self.code}})
        # What a 429 says about credit, a refused batch says without a status.
        quota = from_status(429, body, {})
        return quota if quota.kind == "quota" else from_status(400, body, {})


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as its provider describes it.

    Attributes:
        id: the provider's name for it.
        status: `validating`, `in_progress`, `finalizing`, `completed`, `failed` (refused whole),
            `expired`, `cancelling` or `cancelled`.
        total: requests in it, once the provider has counted them.
        completed: requests that are answered.
        failed: requests that ended without an answer.
        input_file: the file it was made of.
        output_file: file of answers, when it has ended.
        error_file: file of requests without an answer, when it has ended.
        faults: why it was refused.
        metadata: what it was created with, as far as the provider keeps it.
        created: when, seconds since the epoch; 0 if the provider does not say.
    """

    id: str
    status: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    input_file: str = ""
    output_file: str | None = None
    error_file: str | None = None
    faults: tuple[Fault, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in _ENDED


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one request of a batch.

    Attributes:
        key: the request's key, its `custom_id`.
        answer: a response, or the error it ended with.
        sent: whether the model was asked; False where the batch ended before its turn.
    """

    key: str
    answer: Response | ProviderError
    sent: bool = True


class BatchApi(ABC):
    """Hands in and collects the batches of one model. It knows nothing of stores or runs.

    Every method but `request_line` raises a `ProviderError` when the provider says no or cannot
    be reached.

    Attributes:
        secrets: what must not be in a message.
    """

    secrets: Sequence[str] = ()

    @abstractmethod
    def request_line(self, key: str, request: Request) -> tuple[bytes, str]:
        """(line of the file to hand in, URL that it is meant for) of a request.

        Raises:
            ProviderError: `bad_request`, the protocol has no form for it.
        """

    @abstractmethod
    async def upload(self, file: Path) -> str:
        """Hand in a file of lines, read from the disk as it is sent; returns its id there."""

    @abstractmethod
    async def create(
        self, file_id: str, *, url: str, window: str, metadata: Mapping[str, str]
    ) -> RemoteBatch:
        """Make a batch of an uploaded file. What happened is unknown if the reply is lost.

        Args:
            file_id: the uploaded file.
            url: what its lines are meant for.
            window: time the provider is given, such as `24h`.
            metadata: what the batch is to be recognised by.
        """

    @abstractmethod
    async def look(self, batch_id: str) -> RemoteBatch:
        """How a batch is doing."""

    @abstractmethod
    def recent(self, since: float) -> AsyncIterator[RemoteBatch]:
        """The account's batches, the newest first.

        Args:
            since: seconds since the epoch; older ones may be left out.
        """

    @abstractmethod
    def lines(self, file_id: str) -> AsyncIterator[bytes]:
        """The lines of a file of answers or errors, as they are received."""

    async def close(self) -> None:
        """Release connections."""
        return None


def batch_api(
    model: str,
    *,
    api_base: str | None = None,
    api_key_env: str | None = None,
    timeout_s: float = 120.0,
) -> BatchApi:
    """The batch API of a model; nothing is sent and no connection is opened yet.

    Args:
        model: id as in the spec, `provider/name`.
        api_base: address of an OpenAI-compatible endpoint that has `/files` and `/batches`.
        api_key_env: environment variable that holds the key; the provider's usual one unless
            given.
        timeout_s: seconds one exchange with the provider may take; uploads and downloads may
            take longer in proportion to their size.

    Raises:
        UserError: the model has no batch API, or the named variable is not set.
        MissingDependency: the package that reaches this provider is not installed.
    """
    prefix, key = provider_of(model), named_key(api_key_env, model)
    if api_base is not None and prefix not in {"local", "mock"}:
        from promptlab.providers.batch_http import HttpBatchApi

        variable = api_key_env or f"{variable_prefix(prefix)}_API_KEY"
        return HttpBatchApi(
            model,
            api_base,
            api_key=key or os.environ.get(variable) or None,
            key_name=variable,
            timeout_s=timeout_s,
        )
    from promptlab.providers.batch_litellm import PROVIDERS, LiteLLMBatchApi, is_installed

    if prefix not in PROVIDERS:
        raise UserError(
            f"{model} has no batch API that can be reached (those of {', '.join(PROVIDERS)} can, "
            "and an endpoint of your own that has /batches, with its api_base); "
            "write 'runner: async'"
        )
    if not is_installed():
        raise MissingDependency("batches of this provider", "hosted")
    return LiteLLMBatchApi(model, api_key=key, key_name=api_key_env, timeout_s=timeout_s)


def read_batch(document: Any, secrets: Sequence[str] = ()) -> RemoteBatch:
    """A batch out of the provider's JSON.

    Args:
        document: the parsed reply.
        secrets: what must not be in the words of a fault.

    Raises:
        ProviderError: `malformed`, it is something else.
    """
    try:
        counts = document.get("request_counts") or {}
        listed = (document.get("errors") or {}).get("data") or []
        return RemoteBatch(
            id=_text(document["id"]),
            status=_text(document["status"]),
            total=int(counts.get("total") or 0),
            completed=int(counts.get("completed") or 0),
            failed=int(counts.get("failed") or 0),
            input_file=str(document.get("input_file_id") or ""),
            output_file=document.get("output_file_id") or None,
            error_file=document.get("error_file_id") or None,
            faults=tuple(
                Fault(
                    str(fault.get("code") or ""),
                    scrub(str(fault.get("message") or ""), secrets),
                    fault.get("line"),
                )
                for fault in listed
            ),
            metadata={str(k): str(v) for k, v in (document.get("metadata") or {}).items()},
            created=float(document.get("created_at") or 0),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProviderError("malformed", "the reply does not describe a batch") from None


def read_line(line: bytes, *, chat: bool, created: float, secrets: Sequence[str] = ()) -> Line:
    """One line of a file of answers or errors.

    Args:
        line: JSON.
        chat: the requests were chat; completion otherwise.
        created: when the file came, seconds since the epoch, UTC.
        secrets: what must not be in a message.

    Raises:
        ProviderError: `malformed`, the line is something else (the file is not all there).
    """
    try:
        document = orjson.loads(line)
        key = _text(document["custom_id"])
        reply, said = document.get("response"), document.get("error")
        status = int(reply["status_code"]) if reply else 0
        body = reply.get("body") if reply else None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProviderError("malformed", "a line of the batch's file is not a result") from None
    if status == 200:
        try:
            return Line(key, read_reply(body, chat=chat, created=created))
        except ProviderError as error:
            return Line(key, error)
    if not reply:
        code = said.get("code") if isinstance(said, dict) else None
        raw = orjson.dumps({"error": said} if said else {"error": "no result"})
        return Line(key, from_status(500, raw, {}, secrets=secrets), sent=code not in _NEVER_SENT)
    raw = orjson.dumps(body)
    if status == 400 and is_filtered(raw):
        return Line(key, Response("filtered", created=created))
    return Line(key, from_status(status, raw, {}, secrets=secrets))


def whole_lines(chunks: Iterable[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """(complete lines, the beginning of the next one) of what has been received so far."""
    *lines, rest = b"".join([rest, *chunks]).split(b"\n")
    return [line for line in lines if line.strip()], rest


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value
