"""What an endpoint says in its headers about how much it still lets through."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Allowance", "read_allowance", "seconds_until"]

_PREFIXES = {
    "x-ratelimit-": ("remaining-{}", "reset-{}"),
    "anthropic-ratelimit-": ("{}-remaining", "{}-reset"),
}
_NAMES = {
    (prefix, what): tuple(prefix + form.format(what) for form in forms)
    for prefix, forms in _PREFIXES.items()
    for what in ("requests", "tokens")
}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_EPOCH_S, _EPOCH_MS = 1e8, 1e11
"""Numbers above these are moments, not durations."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of an endpoint's rate limits; None where it does not say.

    Attributes:
        requests: requests that it lets through before `requests_reset_s`.
        requests_reset_s: seconds until there are more of them.
        tokens: tokens that it lets through before `tokens_reset_s`.
        tokens_reset_s: seconds until there are more of them.
    """

    requests: int | None = None
    requests_reset_s: float | None = None
    tokens: int | None = None
    tokens_reset_s: float | None = None


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """The headers `x-ratelimit-*` or `anthropic-ratelimit-*`; None if there is none to go by.

    Args:
        headers: the reply's headers; names in any case if the mapping takes them so, else in
            lower case.
    """
    for prefix in _PREFIXES:
        requests, requests_reset = _NAMES[prefix, "requests"]
        tokens, tokens_reset = _NAMES[prefix, "tokens"]
        has_requests, has_tokens = requests_reset in headers, tokens_reset in headers
        if has_requests or has_tokens:
            return Allowance(
                _whole(headers.get(requests)) if has_requests else None,
                seconds_until(headers[requests_reset]) if has_requests else None,
                _whole(headers.get(tokens)) if has_tokens else None,
                seconds_until(headers[tokens_reset]) if has_tokens else None,
            )
    return None


def seconds_until(value: str) -> float | None:
    """Seconds until a reset: `1s`, `6m0s`, `20ms`, `2.5`, an ISO time, or seconds since 1970.

    Returns:
        The seconds, 0 or more; None if the value is none of these.
    """
    value = value.strip()
    number, unit = value, 1.0
    if value.endswith("ms"):
        number, unit = value[:-2], 0.001
    elif value.endswith("s"):
        number = value[:-1]
    try:
        seconds = float(number) * unit
    except ValueError:
        duration = _until_duration(value)
        return _until_moment(value) if duration is None else duration
    if not math.isfinite(seconds):
        return None
    if seconds > _EPOCH_S:
        seconds = (seconds / 1000 if seconds > _EPOCH_MS else seconds) - time.time()
    return max(0.0, seconds)


def _until_duration(value: str) -> float | None:
    found = _DURATION.fullmatch(value)
    if not value or found is None:
        return None
    try:
        parts = zip(found.groups(), _UNITS, strict=True)
        return sum(float(part) * unit for part, unit in parts if part)
    except ValueError:
        return None


def _until_moment(value: str) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - time.time())


def _whole(value: str | None) -> int | None:
    try:
        return None if value is None else int(float(value))
    except (ValueError, OverflowError):
        return None
