"""The key of a request: the one place that says when two requests are the same request.

The key is the SHA-256 of the canonical request: JSON with sorted keys that holds everything that
can change the answer (model, endpoint, texts, choices, every parameter sent, the replicate) and
nothing else. Keys are for ever: a change of the format needs a new `KEY_SCHEMA`, and makes every
stored answer a miss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from promptlab.errors import UserError
from promptlab.types import Request

__all__ = ["KEY_SCHEMA", "canonical_request", "key_of", "request_hash"]

KEY_SCHEMA = 1
"""Version of the canonical form; part of every key."""

_INTEGERS_END = 2.0**63
"""Integral floats below are written as the integer they equal; JSON's integers end here."""


def canonical_request(request: Request) -> bytes:
    """The request as bytes that are equal exactly when the requests are the same.

    Parameters that are None are left out, because they are not sent; 1.0 is written as 1.

    Raises:
        UserError: a value that JSON has no form for, such as NaN or a set.
    """
    document: dict[str, Any] = {
        "schema": KEY_SCHEMA,
        "model": request.model,
        "replicate": request.replicate,
    }
    if request.endpoint is not None:
        document["endpoint"] = request.endpoint
    if request.messages:
        document["messages"] = [{"role": m.role, "content": m.content} for m in request.messages]
    if request.prompt is not None:
        document["prompt"] = request.prompt
    if request.choices:
        document["choices"] = request.choices
    params = {k: _plain(v, k) for k, v in request.params.items() if v is not None}
    if params:
        document["params"] = params
    try:
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # a lone surrogate, an integer beyond 64 bits
        raise UserError(f"a request to {request.model} cannot be sent as JSON: {error}") from None


def request_hash(request: Request) -> str:
    """The request's key: 64 hexadecimal digits."""
    return key_of(canonical_request(request))


def key_of(canonical: bytes) -> str:
    """The key of a request in its canonical form."""
    return hashlib.sha256(canonical).hexdigest()


def _plain(value: Any, where: str) -> Any:
    """The value in JSON's terms, numbers that are equal written the same."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _INTEGERS_END:
            return int(value)
        if value - value != 0:  # NaN or infinite
            raise UserError(f"parameter '{where}' is {value}; JSON has no such number")
        return float(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UserError(f"parameter '{where}' has the key {key!r}; keys must be text")
        return {key: _plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{where}[{i}]") for i, inner in enumerate(value)]
    raise UserError(
        f"parameter '{where}' is a {type(value).__name__}; "
        "parameters are text, numbers, true or false, lists and mappings"
    )
