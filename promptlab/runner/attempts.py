"""One request until it has an answer: attempts, and the waits between them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from promptlab.errors import ProviderError
from promptlab.providers.base import Provider
from promptlab.runner.gate import Closed, Gate, Pass
from promptlab.runner.records import Ask, Counts, RunnerOptions
from promptlab.runner.stops import stop_for
from promptlab.types import Response

__all__ = ["Attempts", "Course", "FirstFailed", "GaveUp"]

_LONGEST_WAIT_S = 20.0
_MOST_EXCUSED = 3


@dataclass(slots=True)
class Course:
    """How far the attempts at one request have come.

    Attributes:
        error: what the last one failed with.
        opened: how often the breaker had opened at the last one.
        made: attempts made.
        counted: attempts that count: not those of a time in which the endpoint was away.
        began: number of the last row of failures that this request began.
        excused: how often the endpoint was away after such a failure.
        since: time of the first failure, later by the time in which nothing could be sent.
    """

    error: ProviderError
    opened: int
    made: int = 0
    counted: int = 0
    began: int = 0
    excused: int = 0
    since: float = field(default_factory=time.monotonic)


class FirstFailed(Exception):
    """The first attempt at a request failed, and another one follows."""

    def __init__(self, course: Course) -> None:
        super().__init__(str(course.error))
        self.course = course


class GaveUp(Exception):
    """A request got no answer; holds the last attempt's error and how many were made."""

    def __init__(self, error: ProviderError, attempts: int) -> None:
        super().__init__(str(error))
        self.error, self.attempts = error, attempts


class Attempts:
    """Makes attempts until there is an answer.

    Args:
        provider: makes each of them.
        gate: says when each may be made.
        options: how often and how long.
        counts: where attempts are counted.
        on_failure: told of each failed attempt and whether it was the request's last.
    """

    def __init__(
        self,
        provider: Provider,
        gate: Gate,
        options: RunnerOptions,
        counts: Counts,
        on_failure: Callable[[Ask, ProviderError, bool], None],
    ) -> None:
        self._provider, self._gate, self._options = provider, gate, options
        self._counts, self._on_failure = counts, on_failure

    async def first(self, ask: Ask) -> Response:
        """The answer to the first attempt.

        Raises:
            FirstFailed: it failed, and another one may be made.
            GaveUp: it failed, and that was it.
            Closed: the model has stopped.
        """
        leave = await self._gate.enter(ask.request)
        try:
            return await self._once(ask, leave)
        except ProviderError as error:
            course = Course(error, self._gate.breaker.opened)
            if self._goes_on(ask, leave, error, course):
                raise FirstFailed(course) from None
            raise GaveUp(error, course.made) from None

    async def again(self, ask: Ask, course: Course) -> Response:
        """The answer to one of the further attempts, with the number of all that were made.

        Raises:
            GaveUp: there was no answer.
            Closed: the model has stopped.
        """
        # The first attempt is made outside tenacity, whose set-up would cost every request.
        from tenacity import AsyncRetrying, retry_if_exception_type

        is_first = True

        async def one() -> Response:
            nonlocal is_first
            if is_first:
                is_first = False
                raise course.error
            came = time.monotonic()
            leave = await self._gate.enter(ask.request, again=True)
            course.since += time.monotonic() - came
            try:
                return await self._once(ask, leave)
            except ProviderError as error:
                if self._goes_on(ask, leave, error, course):
                    raise
                raise GaveUp(error, course.made) from None

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(ProviderError),
            wait=lambda state: self._wait(course),
            sleep=self._sleep,
        )
        response: Response = await retrying(one)
        return replace(response, attempts=course.made + 1)

    async def _once(self, ask: Ask, leave: Pass) -> Response:
        provider, limit = self._provider, self._options.timeout_s
        self._counts.attempts += 1
        try:
            if limit is None:
                response = await provider.ask(ask.request, shared_prefix=ask.shared_prefix)
            else:
                response = await self._in_time(ask, limit)
        except ProviderError:
            raise
        except BaseException:
            self._gate.dropped(leave)
            raise
        self._gate.answered(leave, response, provider.allowance)
        provider.allowance = None
        return response

    async def _in_time(self, ask: Ask, limit: float) -> Response:
        try:
            async with asyncio.timeout(limit):
                return await self._provider.ask(ask.request, shared_prefix=ask.shared_prefix)
        except TimeoutError:
            raise ProviderError("timeout", f"no answer after {limit:g} s") from None

    def _goes_on(self, ask: Ask, leave: Pass, error: ProviderError, course: Course) -> bool:
        """Tell of a failed attempt; whether another one follows."""
        options, breaker = self._options, self._gate.breaker
        course.error = error
        course.made += 1
        course.counted += 1
        stop = stop_for(error, options.max_wait_s)
        is_final = stop is not None or not error.retryable
        gave_up = is_final or (
            course.counted >= options.max_attempts
            or time.monotonic() - course.since >= options.max_wait_s
        )
        allowance, self._provider.allowance = self._provider.allowance, None
        self._gate.failed(leave, error, allowance, gave_up=gave_up, stop=stop)
        if breaker.is_first:
            course.began = breaker.streak
        away = breaker.is_open or breaker.opened != course.opened
        if away and not is_final and self._is_excused(course):
            gave_up = False
        self._on_failure(ask, error, gave_up)
        return not gave_up and not self._gate.stopped.is_set()

    def _is_excused(self, course: Course) -> bool:
        """Hold a request of a time in which the endpoint was away for everybody.

        A request that was there each time when it went away may be why, so there is an end to it.
        """
        breaker = self._gate.breaker
        if breaker.opened != course.opened:
            course.opened = breaker.opened
            course.excused += course.began == breaker.streak
        if course.excused > _MOST_EXCUSED:
            return False
        course.counted, course.since = 0, time.monotonic()
        return True

    def _wait(self, course: Course) -> float:
        if self._gate.breaker.is_open or (course.error.retry_after and course.counted == 1):
            return 0.0  # the gate keeps everything back for as long as it takes
        spread = random.uniform(0.5, 1.5)  # so that requests that failed together part
        left = course.since + self._options.max_wait_s - time.monotonic()
        doubled = self._options.first_wait_s * 2.0 ** (course.counted - 1)
        return max(0.0, min(doubled * spread, _LONGEST_WAIT_S, left))

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._gate.stopped.wait()
        except TimeoutError:
            return
        raise Closed
