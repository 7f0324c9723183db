"""Failures in a row: when a model is left alone for a while, and when for good. No waiting here."""

from __future__ import annotations

from promptlab.errors import ProviderError
from promptlab.providers.failures import Unreachable
from promptlab.runner.records import RunnerOptions, Stop

__all__ = ["Breaker"]

_LONGEST_WAIT_S = 30.0


class Breaker:
    """Keeps a dead endpoint from burning the whole queue.

    After so many failures in a row nothing is sent for a moment; then one request is, the probe.
    An answer closes the breaker and the run goes on; a failure doubles the wait, and after the
    last probe the model stops.

    Rate limits do not count, unless nothing else comes for as long as one request may take: then
    it is a quota. A refused request counts only while nothing has ever succeeded: then
    it is the model or a parameter that is wrong, else it is that request. A time-out of a request
    that was sent before the last answer came does not count either: the endpoint has answered
    since, and requests that hang come back together.

    Args:
        options: how many failures, how many probes, how long between them.

    Attributes:
        is_open: nothing is sent but the probe.
        opened: how many times it has opened.
        streak: number of the present or last row of failures.
        is_first: whether the last failure was the first of its row.
        why: the failures it opened for.
    """

    def __init__(self, options: RunnerOptions) -> None:
        self._options = options
        self._in_a_row = self._unreachable = 0
        self._reached = self._succeeded = False
        self._limited_since: float | None = None
        self._probing = False
        self._number = self._answered = 0
        self._probes = 0
        self._probe_at = self._wait_s = self._waited_s = 0.0
        self.is_open = False
        self.opened = self.streak = 0
        self.is_first = False
        self.why = ""

    def wait(self, now: float) -> float | None:
        """Seconds until something may be sent, 0 for now, or None: until the probe has landed."""
        if not self.is_open:
            return 0.0
        return None if self._probing else max(0.0, self._probe_at - now)

    @property
    def number(self) -> int:
        """Requests sent so far."""
        return self._number

    def sent(self) -> bool:
        """A request was sent; returns whether it is the probe."""
        self._number += 1
        if not self.is_open:
            return False
        self._probing = True
        return True

    def success(self) -> bool:
        """An answer came; returns whether it closed the breaker."""
        self._in_a_row = 0
        self._answered = self._number
        self._reached = self._succeeded = True
        self._limited_since = None
        was_open, self.is_open, self._probing = self.is_open, False, False
        return was_open

    def dropped(self, is_probe: bool) -> None:
        """A request ended without saying anything about the endpoint."""
        if is_probe:
            self._probing = False

    def failure(
        self,
        error: ProviderError,
        now: float,
        *,
        is_probe: bool = False,
        gave_up: bool = False,
        number: int | None = None,
    ) -> Stop | None:
        """An attempt failed; returns why the model stops, if it does.

        Args:
            error: what happened.
            now: the clock, in seconds.
            is_probe: whether it was the probe.
            gave_up: whether this was the last attempt at the request.
            number: requests that had been sent when it was, itself included; None for just now.
        """
        self.dropped(is_probe)
        self.is_first = False
        if isinstance(error, Unreachable):
            self._unreachable += 1
            if not self._reached and (gave_up or self._unreachable >= self._options.unreachable):
                return Stop("endpoint", f"the endpoint cannot be reached: {error.message}")
        else:
            self._reached = True
        if error.kind == "rate_limit" or (error.kind == "bad_request" and self._succeeded):
            if is_probe:  # whoever says no is alive
                self.is_open, self._in_a_row = False, 0
            return self._limited_for_long(error, now) if error.kind == "rate_limit" else None
        is_old = number is not None and number <= self._answered
        if error.kind == "timeout" and is_old and not self.is_open:
            return None
        self._in_a_row += 1
        self.is_first = self._in_a_row == 1
        self.streak += self.is_first
        if self.is_open:
            return self._probe_failed(error, now) if is_probe else None
        if self._in_a_row < self._options.breaker:
            return None
        self.why = f"{self._in_a_row} attempts in a row failed, the last with {error}"
        if error.kind == "bad_request":
            return Stop("refused", self.why)
        self._open(now)
        return self._last_probe_failed(error)

    def _limited_for_long(self, error: ProviderError, now: float) -> Stop | None:
        since = self._limited_since = now if self._limited_since is None else self._limited_since
        if now - since < self._options.max_wait_s:
            return None
        return Stop(
            "quota",
            f"for {now - since:.0f} s nothing came but requests to slow down, the last {error}; "
            "the same command goes on when there is quota again",
        )

    def _open(self, now: float) -> None:
        self.is_open = True
        self.opened += 1
        self._probes, self._waited_s = 0, 0.0
        self._wait_s = self._options.probe_wait_s
        self._probe_at = now + self._wait_s

    def _probe_failed(self, error: ProviderError, now: float) -> Stop | None:
        self._probes += 1
        self._waited_s += self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        self._probe_at = now + self._wait_s
        return self._last_probe_failed(error)

    def _last_probe_failed(self, error: ProviderError) -> Stop | None:
        if self._probes < self._options.probes:
            return None
        tried = f" and so did {self._probes} more in {self._waited_s:.0f} s" if self._probes else ""
        return Stop(
            "endpoint",
            f"{self._options.breaker} attempts in a row failed{tried}, the last with {error}; "
            "run again when the endpoint answers",
        )
