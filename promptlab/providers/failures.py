"""What an endpoint answers instead of an answer, as a `ProviderError` without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from promptlab.errors import FailureKind, ProviderError
from promptlab.providers.refusals import is_quota, retry_after, wait_told

__all__ = ["Unreachable", "from_status", "is_filtered", "scrub"]

_LONGEST_MESSAGE = 400
_KEY = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|key)[-_][A-Za-z0-9_*.-]{8,}|(?<=[Bb]earer )\S{8,}")


class Unreachable(ProviderError):
    """No connection could be made at all: nothing listens there, or the name is unknown."""

    def __init__(self, message: str) -> None:
        super().__init__("connection", message)


def scrub(message: str, secrets: Iterable[str] = ()) -> str:
    """The message without these secrets and without anything that looks like a key."""
    for secret in secrets:
        if len(secret) >= 6:
            message = message.replace(secret, "***")
    return _KEY.sub("***", message)


def from_status(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: Iterable[str] = (),
    hints: Mapping[str, str] | None = None,
) -> ProviderError:
    """The error that an HTTP reply with a status other than 200 stands for.

    Args:
        status: HTTP status.
        body: the reply's body, of any form.
        headers: the reply's headers; names in any case.
        secrets: what must not be in the message.
        hints: what to do, by kind; added to the provider's words.
    """
    said, code = _said(body)
    kind = _kind(status, code, f"{code} {said}", body)
    message = f"HTTP {status}: {scrub(said, secrets)}" if said else f"HTTP {status}"
    if hints and kind in hints:
        message += f" ({hints[kind]})"
    if kind in {"rate_limit", "quota"}:
        wait_s = wait_told(headers, body, is_quota=kind == "quota")
    else:
        wait_s = retry_after(headers)
    return ProviderError(kind, message, retry_after=wait_s)


def is_filtered(body: bytes) -> bool:
    """Whether a refused request was refused by a content filter, which is an answer of a kind."""
    said, code = _said(body)
    if code in {"content_filter", "content_policy_violation"}:
        return True
    # A litellm proxy passes on the words, and its own class, but not the code.
    return "content management policy" in said or "ContentPolicyViolationError" in said


def _kind(status: int, code: str, told: str, body: bytes) -> FailureKind:
    if status == 402 or (status in {403, 429} and is_quota(told, body)):
        return "quota"
    if status == 429:
        return "rate_limit"
    if status in {401, 403, 407}:
        return "auth"
    if status == 404 or 300 <= status < 400 or code == "model_not_found":
        return "not_found"
    if status in {408, 409, 425} or status >= 500:
        return "server"
    return "bad_request"


def _said(body: bytes) -> tuple[str, str]:
    """(message, code) of an error body: the shapes of OpenAI, FastAPI, and plain text."""
    try:
        document: Any = orjson.loads(body)
    except ValueError:
        text = re.sub(rb"<[^>]*>", b" ", body[:4000]).decode("utf-8", "replace")
        return _short(text), ""
    inner = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(inner, dict):
        return _short(str(inner)), ""
    said = inner.get("message") or inner.get("detail") or inner.get("error") or ""
    code = inner.get("code") or inner.get("type") or ""
    return _short(str(said) if said else str(inner)), str(code)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 3] + "..."
