"""How fast one model may be asked: arithmetic only; whoever calls holds the clock and waits.

Times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from promptlab.providers.allowance import Allowance
from promptlab.runner.concurrency import Concurrency
from promptlab.runner.records import Rate

__all__ = ["Bucket", "Limiter"]

_MINUTE_S = 60.0
_CLOSE_ENOUGH = 1e-9


class Bucket:
    """Lets so many units through in any minute, spread over it: a second's worth at once.

    What is taken at once may be more than there is room for (a long prompt); then so much more
    time passes before the next.

    Args:
        per_minute: units, above 0.
    """

    def __init__(self, per_minute: float) -> None:
        self._most = max(1.0, per_minute / _MINUTE_S)
        # What may come at once comes on top of what flows in, and both together are the ceiling.
        self._per_s = (per_minute - (self._most - 1)) / _MINUTE_S
        self._level, self._at = self._most, 0.0

    def wait(self, units: float, now: float) -> float:
        """Seconds until these units may be taken; 0 if they may be now."""
        missing = min(units, self._most) - self._flowed(now)
        return missing / self._per_s if missing > _CLOSE_ENOUGH else 0.0

    def take(self, units: float, now: float) -> None:
        """Take the units."""
        self._level, self._at = self._flowed(now) - units, now

    def correct(self, units: float) -> None:
        """Give back what was taken and not used; less than 0 takes more."""
        self._level = min(self._most, self._level + units)

    def _flowed(self, now: float) -> float:
        return min(self._most, self._level + (now - self._at) * self._per_s)


class _Left:
    """What an endpoint said it still lets through until a moment."""

    __slots__ = ("units", "until")

    def __init__(self, units: int, until: float) -> None:
        self.units, self.until = float(units), until


class Limiter:
    """All that bounds the requests to one model: its own limits, ours, and pauses it asked for.

    Args:
        start: requests in flight to begin with.
        ceiling: most requests in flight ever.
        now: the clock.
        rate: ceilings of requests and tokens a minute.
        longest_pause_s: no pause is longer.

    Attributes:
        in_flight: requests sent and not landed.
    """

    def __init__(
        self,
        start: int,
        ceiling: int,
        now: float,
        *,
        rate: Rate | None = None,
        longest_pause_s: float = 600.0,
    ) -> None:
        rate = rate or Rate()
        self._concurrency = Concurrency(start, ceiling, now)
        self._requests = Bucket(rate.requests) if rate.requests is not None else None
        self._tokens = Bucket(rate.tokens) if rate.tokens is not None else None
        self._longest_pause_s = longest_pause_s
        self._paused_until = 0.0
        self._left_requests: _Left | None = None
        self._left_tokens: _Left | None = None
        self._idle_since = now
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """Most requests in flight at present."""
        return self._concurrency.limit

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens a request takes."""
        return self._tokens is not None or self._left_tokens is not None

    def wait(self, tokens: float, now: float) -> float | None:
        """Seconds until a request may be sent, 0 for now, or None: until another one lands.

        Args:
            tokens: what the request takes, by estimate; 0 where tokens do not matter.
            now: the clock.
        """
        if self.in_flight >= self._concurrency.limit:
            return None
        wait = max(0.0, self._paused_until - now)
        if self._left_requests is not None:
            wait = max(wait, _wait_for_more(self._left_requests, 1, now))
        if self._left_tokens is not None:
            wait = max(wait, _wait_for_more(self._left_tokens, max(1.0, tokens), now))
        if self._requests is not None:
            wait = max(wait, self._requests.wait(1, now))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(tokens, now))
        return wait

    def sent(self, tokens: float, now: float) -> None:
        """A request was sent."""
        if not self.in_flight:
            self._concurrency.idled(now - self._idle_since)
        self.in_flight += 1
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        if self._left_requests is not None:
            self._left_requests.units -= 1
        if self._left_tokens is not None:
            self._left_tokens.units -= tokens

    def used(self, estimated: float, tokens: float) -> None:
        """A request of which more or fewer tokens were estimated took so many."""
        if self._tokens is not None:
            self._tokens.correct(estimated - tokens)

    def answered(self, now: float) -> str | None:
        """A request got an answer; returns why the limit changed, if it did."""
        changed = self._concurrency.answered(self.in_flight, now)
        self.dropped(now)
        return changed

    def limited(self, retry_after: float | None, now: float) -> str | None:
        """A request was told to slow down (429); returns why the limit changed, if it did."""
        changed = self._concurrency.limited(retry_after or 0.0, now)
        self.dropped(now)
        return changed

    def troubled(self, now: float) -> str | None:
        """A request met an error of the server, a lost connection or a time-out."""
        changed = self._concurrency.troubled(now)
        self.dropped(now)
        return changed

    def dropped(self, now: float) -> None:
        """A request ended without saying anything about the model."""
        self.in_flight -= 1
        if not self.in_flight:
            self._idle_since = now

    def pause(self, seconds: float, now: float) -> float:
        """Send nothing for a while, as the provider asked; returns by how much that is longer."""
        until = now + min(seconds, self._longest_pause_s)
        longer = until - max(self._paused_until, now)
        self._paused_until = max(self._paused_until, until)
        return max(0.0, longer)

    def allowed(self, allowance: Allowance, now: float) -> None:
        """The endpoint said what it still lets through.

        A reset later than the longest pause is left out: should nothing get through until then,
        the endpoint will say so.
        """
        self._left_requests = self._left(allowance.requests, allowance.requests_reset_s, now)
        self._left_tokens = self._left(allowance.tokens, allowance.tokens_reset_s, now)

    def _left(self, units: int | None, reset_s: float | None, now: float) -> _Left | None:
        if units is None or reset_s is None or reset_s > self._longest_pause_s:
            return None
        return _Left(units, now + reset_s)


def _wait_for_more(left: _Left, units: float, now: float) -> float:
    return 0.0 if left.units >= units else max(0.0, left.until - now)
