"""The workers of a run on a Ray cluster: start them, choose among them, notice lost ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.errors import DISTRIBUTION, PromptlabError, ProviderError, UserError
from promptlab.providers._ray_cluster import Cluster
from promptlab.providers._ray_worker import About, Worker, this_version

__all__ = ["Hand", "OnLog", "Pool"]

_COMPANY_S = 10.0
"""How long the others are waited for when the first worker is there; they may come later."""

OnLog = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True, eq=False)
class Hand:
    """A worker as the driver sees it."""

    number: int
    handle: Any
    about: About | None = None
    """None while it is not there: not yet, or lost."""
    gone: bool = False
    """It will not come, or not come back."""
    busy: int = 0
    """Requests in flight."""

    @property
    def name(self) -> str:
        """For messages."""
        return f"Ray worker {self.number}" + (f" on {self.about.host}" if self.about else "")


class Pool:
    """Workers, each a process somewhere in the cluster.

    Args:
        cluster: where they run; joined with the first start.
        workers: how many.
        cpus: processors that each takes up.
        gpus: graphics processors that each takes up.
        start_s: seconds to wait for the first of them.
        patience_s: seconds that requests wait for a worker when none is left.
        on_log: takes records: workers ready, lost, gone, refused.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        workers: int,
        cpus: float,
        gpus: float,
        start_s: float,
        patience_s: float,
        on_log: OnLog | None,
    ) -> None:
        self.cluster = cluster
        self.problem: UserError | None = None
        """Why there are no workers."""
        self._wanted, self._cpus, self._gpus = workers, cpus, gpus
        self._start_s, self._patience_s, self._on_log = start_s, patience_s, on_log
        self._lock = threading.Lock()
        self._hands: list[Hand] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._watching: dict[Hand, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Join the cluster and start the workers, unless that is done; blocks.

        Raises:
            MissingDependency: Ray is not installed here.
            UserError: no cluster, no room for a worker, or workers with another promptlab.
        """
        with self._lock:
            if self.problem is not None:
                raise self.problem
            if self._hands:
                return
            try:
                self._start()
            except UserError as error:
                self.problem = error
                self._end()
                raise

    def there(self) -> list[Hand]:
        """The workers that can be asked."""
        return [hand for hand in self._hands if hand.about is not None]

    async def pick(
        self, load: Callable[[Hand], float], unfit: Mapping[About, PromptlabError]
    ) -> Hand:
        """The worker with the least load; waits for one if there is none.

        Args:
            load: what to choose by; then by the requests in flight.
            unfit: workers not to choose, and why.

        Raises:
            ProviderError: `connection`, there is none and none came in time; `not_found`, the
                whole cluster is gone.
        """
        give_up_at = asyncio.get_running_loop().time() + self._patience_s
        while True:
            there = self.there()
            if len(there) < len(self._hands):
                self._watch_for_absent()
            if unfit:
                there = [hand for hand in there if hand.about not in unfit]
            if there:
                return min(there, key=lambda hand: (load(hand), hand.busy))
            reason = self._hopeless(unfit)
            if reason is None:
                try:
                    async with asyncio.timeout_at(give_up_at):
                        await self._change()
                    continue
                except TimeoutError:
                    if await asyncio.to_thread(self.cluster.is_gone):
                        raise ProviderError("not_found", self._gone()) from None
                    reason = f"none came back in {self._patience_s:g} s"
            raise ProviderError("connection", f"no Ray worker is left: {reason}")

    def lost(self, hand: Hand, why: str) -> None:
        """A worker failed to answer; it is left alone until it says that it is well."""
        if hand.about is not None:
            self._log("worker lost", hand, in_flight=hand.busy, reason=why)
            hand.about = None

    def close(self) -> None:
        """End the workers, and leave the cluster if it was joined for them."""
        with self._lock:
            self._end()

    def _hopeless(self, unfit: Mapping[About, PromptlabError]) -> str | None:
        if all(hand.gone for hand in self._hands):
            return "all of them ended"
        if all(hand.gone or hand.about in unfit for hand in self._hands):
            return str(next(iter(unfit.values())))
        return None

    def _gone(self) -> str:
        return (
            f"the Ray cluster at {self.cluster.head} is gone; start it (ray start --head), and "
            "run again: what was answered is kept"
        )

    async def _change(self) -> None:
        """Wait until a worker came, or will not come any more."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _watch_for_absent(self) -> None:
        for hand in self._hands:
            if hand.about is None and not hand.gone and hand not in self._watching:
                self._watching[hand] = asyncio.create_task(self._watch(hand))

    async def _watch(self, hand: Hand) -> None:
        """Wait until a worker says that it is well; Ray repeats the question until then."""
        try:
            about = await hand.handle.about.options(max_task_retries=-1).remote()
        except self.cluster.errors as error:
            hand.gone = True
            self._log("worker gone", hand, reason=type(error).__name__)
        else:
            refusal = _refusal(about)
            if refusal is None:
                hand.about = about
                self._log("worker ready", hand)
            else:
                hand.gone = True
                self._log("worker refused", hand, reason=refusal)
        finally:
            del self._watching[hand]
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    def _start(self) -> None:
        ray = self.cluster.join()
        actor = ray.remote(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
            max_task_retries=0,  # a request is sent again by another worker, which is there
            max_concurrency=100_000,  # the runner limits what is in flight
        )(Worker)
        self._hands = [Hand(i + 1, actor.remote()) for i in range(self._wanted)]
        asked = {hand.handle.about.remote(): hand for hand in self._hands}
        ready, waiting = ray.wait(list(asked), num_returns=1, timeout=self._start_s)
        if not ready:
            raise UserError(self._no_room(ray))
        if waiting:
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_COMPANY_S)
        for ref in ready:
            try:
                about: About = ray.get(ref)
            except self.cluster.errors as error:
                raise UserError(_cannot_start(error)) from None
            if refusal := _refusal(about):
                raise UserError(refusal)
            asked[ref].about = about
            self._log("worker ready", asked[ref])

    def _no_room(self, ray: Any) -> str:
        free = ray.available_resources()
        return (
            f"the Ray cluster gave no worker in {self._start_s:g} s: each takes {self._cpus:g} "
            f"CPUs and {self._gpus:g} GPUs, and {free.get('CPU', 0):g} CPUs and "
            f"{free.get('GPU', 0):g} GPUs are free in all; add machines (type there: ray start "
            "--address=HOST:6379), or ask for less in the spec: runner: {ray: {cpus: 1, gpus: 0}}"
        )

    def _end(self) -> None:
        for task in list(self._watching.values()):
            task.cancel()
        for hand in self._hands:
            self.cluster.kill(hand.handle)
        self._hands = []
        self.cluster.leave()

    def _log(self, event: str, hand: Hand, **more: object) -> None:
        if self._on_log is not None:
            where = {"host": hand.about.host, "pid": hand.about.pid} if hand.about else {}
            self._on_log({"event": event, "worker": hand.number, **where, **more})


def _refusal(about: About) -> str | None:
    """Why a worker is not to be used, if it is not."""
    if about.version == this_version():
        return None
    return (
        f"the Ray worker on {about.host} has promptlab {about.version}, this machine has "
        f"{this_version()}; type there: pip install '{DISTRIBUTION}[ray]=={this_version()}'"
    )


def _cannot_start(error: Exception) -> str:
    words = " ".join(str(error).split())
    if "No module named 'promptlab" in words:
        return (
            "promptlab is not installed where the Ray workers run; type on each machine of the "
            f"cluster: pip install '{DISTRIBUTION}[ray]=={this_version()}'"
        )
    return f"a Ray worker cannot start: {words[-400:]}"
