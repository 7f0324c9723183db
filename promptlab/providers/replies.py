"""What a chat or completion reply says, and the status that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptlab.errors import ProviderError
from promptlab.types import Response, Status

__all__ = ["read_reply", "status_of"]


def status_of(text: str, finish_reason: str | None, refusal: str | None = None) -> Status:
    """The status of a reply.

    A reply that ended at the token limit is truncated even if nothing is in it: its tokens went
    into reasoning, and asking again would give the same.
    """
    if refusal or finish_reason == "refusal":
        return "refused"
    if finish_reason == "content_filter":
        return "filtered"
    if finish_reason in {"length", "max_tokens"}:
        return "truncated"
    return "ok" if text else "empty"


def _passed_on(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a litellm proxy puts what it does not know of."""
    return message.get("provider_specific_fields") or {}


def read_reply(
    reply: Any, *, chat: bool, latency_s: float | None = None, created: float | None = None
) -> Response:
    """A parsed reply of OpenAI's shape as a response.

    Args:
        reply: the JSON document.
        chat: a chat reply; a completion otherwise.
        latency_s: seconds the request took.
        created: when it came, seconds since the epoch, UTC.

    Raises:
        ProviderError: `malformed`, the document is something else.
    """
    try:
        choice = reply["choices"][0]
        if chat:
            message = choice["message"]
            text = message.get("content")
            refusal = message.get("refusal") or _passed_on(message).get("refusal")
        else:
            text, refusal = choice["text"], None
        finish_reason = choice.get("finish_reason")
        usage: Mapping[str, Any] = reply.get("usage") or {}
        prompt_tokens = usage.get("prompt_tokens")
        completion_tokens = usage.get("completion_tokens")
        served_model, fingerprint = reply.get("model"), reply.get("system_fingerprint")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ProviderError("malformed", "the reply has no choices with a message") from None
    if isinstance(text, list):  # parts, as some servers answer
        text = "".join(p.get("text") or "" for p in text if isinstance(p, dict))
    text = text if text is not None else refusal or ""
    if not isinstance(text, str):
        raise ProviderError("malformed", f"the reply's content is a {type(text).__name__}")
    return Response(
        status=status_of(text, finish_reason, refusal),
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        served_model=served_model,
        fingerprint=fingerprint,
        latency_s=latency_s,
        created=created,
    )
