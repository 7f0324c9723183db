"""Asked too much: whether a provider means a moment or until tomorrow, and when to come back."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from promptlab.providers.allowance import read_allowance, seconds_until

__all__ = ["is_quota", "retry_after", "wait_told"]

_OUT_OF_CREDIT = re.compile(
    r"insufficient_quota|billing_hard_limit|billing_not_active|exceeded your current quota|"
    r"insufficient balance|insufficient credits|credit balance is too low"
)
_DAILY = re.compile(
    r"per[-_ ]?(?:day|month)\b|\((?:rpd|tpd)\)|\b(?:daily|monthly) (?:\w+ )?(?:limit|quota|usage)"
)
_QUOTA_ID = re.compile(r"quotaid\W{1,8}([\w-]+)")
_RETRY_DELAY = re.compile(r"retrydelay\W{1,8}(\d+(?:\.\d+)?s)")
_RESET = re.compile(r"x-ratelimit-reset\W{1,8}(\d+)")
_IN_WORDS = re.compile(
    r"(?:try again|retry|wait)(?: your request)?(?: in| after| for)? "
    r"(?:(\d+(?:\.\d+)?) ?(second|minute|hour|day)s?|"
    r"((?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d[\d.]*s)?(?:\d[\d.]*ms)?))\b"
)
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
_LONGEST_BODY = 16_000


def is_quota(message: str, body: bytes) -> bool:
    """Whether money or a quota of the day is used up, rather than the rate too high.

    Args:
        message: the provider's words and error code.
        body: the whole reply, in which Google says which of its quotas it is.
    """
    quotas = _QUOTA_ID.findall(_lowered(body))
    if quotas:
        return any("perday" in quota for quota in quotas)
    told = message.lower()
    return bool(_OUT_OF_CREDIT.search(told) or _DAILY.search(told))


def wait_told(headers: Mapping[str, str], body: bytes, *, is_quota: bool = False) -> float | None:
    """Seconds after which the provider takes requests again, if it says.

    It says so in `Retry-After`, in words ("try again in 6m0s"), in the reply's details, or in the
    reset of a limit of which nothing is left.

    Args:
        headers: the reply's headers; names in any case.
        body: the reply's body.
        is_quota: a quota is used up, for which Google's `retryDelay` is far too short.
    """
    told = retry_after(headers)
    if told is not None:
        return told
    text = _lowered(body)
    if found := _IN_WORDS.search(text):
        number, unit, duration = found.groups()
        seconds = float(number) * _SECONDS[unit] if number else seconds_until(duration)
        if seconds is not None and not (is_quota and "retrydelay" in text):
            return seconds
    if not is_quota and (found := _RETRY_DELAY.search(text)):
        return seconds_until(found[1])
    if found := _RESET.search(text):
        return seconds_until(found[1])
    return _reset_of_nothing_left(_plain_names(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the headers `retry-after-ms` or `Retry-After` (seconds or a date)."""
    plain = _plain_names(headers)
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = plain.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, OverflowError):
                continue
        return max(0.0, seconds) if seconds == seconds else None
    return None


def _reset_of_nothing_left(headers: Mapping[str, str]) -> float | None:
    resets = []
    if (left := read_allowance(headers)) is not None:
        resets += [left.requests_reset_s] if left.requests == 0 else []
        resets += [left.tokens_reset_s] if left.tokens == 0 else []
    if headers.get("x-ratelimit-remaining") == "0":
        resets.append(seconds_until(headers.get("x-ratelimit-reset", "")))
    return max((reset for reset in resets if reset is not None), default=None)


def _plain_names(headers: Mapping[str, str]) -> dict[str, str]:
    """In lower case, and without what a litellm proxy puts before names of the provider behind."""
    return {name.lower().removeprefix("llm_provider-"): v for name, v in headers.items()}


def _lowered(body: bytes) -> str:
    return body[:_LONGEST_BODY].decode("utf-8", "replace").lower()
