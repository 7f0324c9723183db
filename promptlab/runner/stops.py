"""Why a model stops before its end, in words that say what to do."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from promptlab.errors import ProviderError
from promptlab.runner.records import Stop

__all__ = ["stop_for", "with_rest"]

_LONGEST_S = 366 * 86_400.0


def stop_for(error: ProviderError, longest_wait_s: float) -> Stop | None:
    """Why no other request to the model can succeed after this one, if none can.

    Args:
        error: what a request met.
        longest_wait_s: a provider that asks to wait longer is not waited for.
    """
    wait_s = None if error.retry_after is None else min(error.retry_after, _LONGEST_S)
    if error.kind == "quota":
        return _quota(str(error), wait_s)
    if error.stops_model:
        return Stop("refused", str(error))
    if wait_s is None or wait_s <= longest_wait_s:
        return None
    asked = f"{error}; the provider asks to wait {wait_s:.0f} s"
    if error.kind == "rate_limit":
        return _quota(asked, wait_s)
    resume_at = time.time() + wait_s
    return Stop("endpoint", f"{asked}: run again {_from(resume_at)}", resume_at)


def with_rest(stop: Stop, left: int) -> Stop:
    """The stop, and how many requests it leaves to be asked."""
    if not left or stop.kind not in {"quota", "budget"}:
        return stop
    requests = "1 request is" if left == 1 else f"{left:,} requests are"
    return replace(stop, reason=f"{stop.reason}; {requests} left to ask")


def _quota(said: str, wait_s: float | None) -> Stop:
    if wait_s is None:
        return Stop("quota", f"{said}; the same command goes on when there is quota again")
    resume_at = time.time() + wait_s
    return Stop("quota", f"{said}; the same command goes on {_from(resume_at)}", resume_at)


def _from(moment: float) -> str:
    return f"from {datetime.fromtimestamp(moment + 59, UTC):%Y-%m-%d %H:%M} UTC on"
