"""How many requests to one model may be in flight: more while it is well, fewer when it says so."""

from __future__ import annotations

import math

__all__ = ["AUTO_CEILING", "AUTO_START", "Concurrency"]

AUTO_START = 16
"""Requests in flight that `auto` begins with."""
AUTO_CEILING = 256
"""Most requests in flight that `auto` grows to."""

_CUT = 0.8
_GROWTH = 1.05
_DEBOUNCE_S = 0.25
_REST_S = 60.0
_REST_ROUNDS = 10
_SHORTEST_ROUND = 10
_OVERLOADED_SHARE = 0.25
_HELD_SHARE = 0.1
_FULL_SHARE = 0.5
_STEP = 1.5
_WORTH_IT = 1.25


class Concurrency:
    """The limit, moved by what becomes of the requests.

    It is judged by rounds: as many landings as may be in flight, ten at least.

    - 429 cuts the limit to four fifths, once in a round and in a quarter of a second, or as long as
      the provider asks to wait. After a round with few of them the limit goes back to where it
      was: a provider that turns away three in a hundred whatever we do is not helped by asking it
      less. After a round with many (a quarter) it does not: that is where it stays.
    - A round without any, in which the limit was really used, doubles it until the first 429 or
      other trouble, and adds a twentieth from then on.
    - Errors of the server and time-outs cut nothing; a round with more than a tenth of them does
      not grow.
    - Growth by half, above 16, that brought no more answers a second is taken back: requests then
      only wait at the other end, until they time out.

    Args:
        start: the limit to begin with.
        ceiling: the limit never grows beyond.
        now: the clock, in seconds.

    Attributes:
        limit: most requests in flight, 1 or more.
    """

    def __init__(self, start: int, ceiling: int, now: float) -> None:
        self.limit = max(1, min(start, ceiling))
        self._ceiling = ceiling
        self._usual = self.limit
        """What the limit goes back to after a cut."""
        self._doubling = True
        self._cut_now = True
        self._cut_from = self._grow_from = -math.inf
        self._measured: tuple[int, float] | None = None
        """A limit, and the landings a second under it."""
        self._rate: float | None = None
        """Landings a second of late."""
        self._begin_round(now)

    def idled(self, seconds: float) -> None:
        """Nothing was in flight for so long: the model had nothing to do with it."""
        self._began += seconds

    def answered(self, in_flight: int, now: float) -> str | None:
        """An answer came; returns why the limit changed, if it did.

        Args:
            in_flight: requests in flight up to then, this one included.
            now: the clock.
        """
        self._full += in_flight >= self.limit
        return self._landed_one(now)

    def limited(self, retry_after: float, now: float) -> str | None:
        """429 came; returns why the limit changed, if it did.

        Args:
            retry_after: seconds the provider asked to wait; 0 if it did not.
            now: the clock.
        """
        self._limited += 1
        self._doubling = False
        if now < self._cut_from:
            self._cut_from = max(self._cut_from, now + retry_after)
        elif self._cut_now and self.limit > 1:
            self._cut_from = now + max(_DEBOUNCE_S, retry_after)
            self._cut_now, self._measured, self._rate = False, None, None
            self.limit = min(self.limit - 1, max(1, int(self.limit * _CUT)))
            self._begin_round(now)
            return "the provider says to slow down (429)"
        return self._landed_one(now)

    def troubled(self, now: float) -> str | None:
        """An error of the server, a lost connection or a time-out came."""
        self._trouble += 1
        return self._landed_one(now)

    def _begin_round(self, now: float) -> None:
        self._began = now
        self._landed = self._full = self._limited = self._trouble = 0
        self._size = max(self.limit, _SHORTEST_ROUND)

    def _landed_one(self, now: float) -> str | None:
        self._landed += 1
        if self._landed < self._size:
            return None
        self._cut_now = True
        reason = self._judge(now)
        self._begin_round(now)
        return reason

    def _judge(self, now: float) -> str | None:
        if self._trouble:
            self._doubling = False
        if self._limited > _OVERLOADED_SHARE * self._landed:
            self._usual = self.limit
        elif self.limit < self._usual:
            self.limit = self._usual
            return "few were told to slow down since the cut"
        elif (
            not self._limited
            and self._trouble <= _HELD_SHARE * self._landed
            and self._full >= _FULL_SHARE * self._landed
        ):
            return self._take_back(now) or self._grow(now)
        return None

    def _take_back(self, now: float) -> str | None:
        """Undo growth that was of no use; looked at when there is half as much again."""
        took_s = max(now - self._began, 1e-6)
        rate = self._landed / took_s
        if self._rate is not None and not self._doubling:
            rate = (rate + self._rate) / 2
        self._rate = rate
        if self._measured is None or self.limit <= AUTO_START:
            self._measured = self.limit, rate
        elif self.limit >= _STEP * self._measured[0]:
            if rate < _WORTH_IT * self._measured[1]:
                self.limit = self._usual = self._measured[0]
                self._doubling, self._measured, self._rate = False, None, None
                self._grow_from = now + max(_REST_S, _REST_ROUNDS * took_s)
                return "more at once brought no more answers a second"
            self._measured = self.limit, rate
        return None

    def _grow(self, now: float) -> str | None:
        if self.limit >= self._ceiling or now < self._grow_from:
            return None
        grown = 2 * self.limit if self._doubling else max(self.limit + 1, int(self.limit * _GROWTH))
        self.limit = self._usual = min(self._ceiling, grown)
        return "the model is well and the limit is used"
