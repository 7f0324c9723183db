"""How fast requests end, and how long the rest takes."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

__all__ = ["Pace"]

_WINDOW_S = 30.0
_SAMPLE_S = 1.0
_RECENT_S = 3.0
_SHORTEST_S = 0.2

_Point = tuple[float, int, int]
"""Time, requests that were paid for, answers that were in the store."""


class Pace:
    """A moving window over what one model has done.

    Answers from the store come thousands of times as fast as a model's, so stretches in which
    nothing but they came say nothing of the model.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: float) -> None:
        self._points: deque[_Point] = deque([(now, 0, 0)])

    def begin(self, at: float) -> None:
        """The model's first answer came, and was asked for at that time: the window opens there."""
        points = self._points
        while len(points) > 1 and points[1][0] <= at:
            points.popleft()
        points[0] = (max(at, points[0][0]), *points[0][1:])

    def look(self, now: float, paid: int, stored: int, left: int) -> tuple[float, float | None]:
        """Requests a second, and seconds for what is left (None where nothing moves).

        Args:
            now: the clock, in seconds.
            paid: requests that ended so far and were sent by this call.
            stored: answers so far that were in the store.
            left: requests that are left.
        """
        points = self._points
        if now - points[-1][0] >= _SAMPLE_S:
            points.append((now, paid, stored))
            while len(points) > 2 and points[1][0] <= now - _WINDOW_S:
                points.popleft()
        seen = [*points, (now, paid, stored)]
        time, asked, found = _moved(seen)
        rate = asked / max(time, _SHORTEST_S)
        if not left:
            return rate, 0.0
        recent = _since(seen, now - _RECENT_S)
        if paid == recent[1] and stored > recent[2]:
            # Nothing but stored answers of late: what comes next is most likely more of them.
            return rate, left * max(now - recent[0], _SHORTEST_S) / (stored - recent[2])
        return rate, left * max(time, _SHORTEST_S) / (asked + found) if asked else None


def _moved(points: list[_Point]) -> tuple[float, int, int]:
    """Seconds, requests and stored answers of the stretches that say something of the model."""
    time, asked, found = 0.0, 0, 0
    for (t0, paid0, stored0), (t1, paid1, stored1) in pairwise(points):
        if paid1 > paid0 or stored1 == stored0:
            time += t1 - t0
            asked += paid1 - paid0
            found += stored1 - stored0
    return time, asked, found


def _since(points: list[_Point], at: float) -> _Point:
    """The first point at or after a time."""
    return next(point for point in points if point[0] >= at)
