"""Models asked by the workers of a Ray cluster.

The driver keeps what there must be one of: plan, store, limits, attempts and budget. To it the
cluster is one more provider, whose requests are sent by processes on other machines.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence

from promptlab.errors import PromptlabError, ProviderError, UserError
from promptlab.providers import describe
from promptlab.providers._ray_cluster import Cluster
from promptlab.providers._ray_pool import Hand, OnLog, Pool
from promptlab.providers._ray_worker import About, ModelSettings, Offer, Said
from promptlab.providers.addresses import variable_prefix
from promptlab.providers.base import Provider
from promptlab.types import Request, Response

__all__ = ["RayProvider", "RayWorkers"]

_PREPARE_S = 120.0
_CLOSE_S = 10.0
_MARGIN_S = 30.0
"""What a worker that is well may take beyond the time limit of an attempt."""
_MOST_LOSSES = 3
"""A request during which so many workers were lost may be what ends them."""

Known = Callable[[Request], Sequence[str] | None]


class RayWorkers:
    """The workers of a run, shared by its models; for use in a `with` statement.

    Nothing happens before the first provider is made; then the cluster is joined and the workers
    are started, spread over its machines. Ray starts a lost worker again where there is room.

    Args:
        address: of the cluster, as `host:port`; `auto` finds the one this machine belongs to.
        workers: how many.
        cpus: processors that each worker takes up; an embedded model uses as many threads.
        gpus: graphics processors that each worker takes up.
        start_s: seconds to wait for the first worker.
        patience_s: seconds that requests wait for a worker when none is left.
        on_log: takes records of the debug log: workers ready, lost, gone, refused.
    """

    def __init__(
        self,
        *,
        address: str = "auto",
        workers: int = 2,
        cpus: float = 1.0,
        gpus: float = 0.0,
        start_s: float = 60.0,
        patience_s: float = 60.0,
        on_log: OnLog | None = None,
    ) -> None:
        self._threads = max(1, int(cpus))
        self._pool = Pool(
            Cluster(address),
            workers=workers,
            cpus=cpus,
            gpus=gpus,
            start_s=start_s,
            patience_s=patience_s,
            on_log=on_log,
        )

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def provider(
        self,
        model: str,
        *,
        label: str | None = None,
        api_base: str | None = None,
        api_key_env: str | None = None,
        timeout_s: float = 120.0,
        threads: int | None = None,
        known: Known | None = None,
    ) -> RayProvider:
        """The provider of a model, ready in every worker that is there; blocks until then.

        Of this process's environment the workers are given `api_key_env` and the variables that
        begin with the provider's name (`OPENAI_...`), by a call that Ray keeps in memory only.
        What other variables a model needs must be in the workers' own environment.

        Args:
            model: id, as for `make_provider`; likewise the other arguments.
            label: tells two entries of one model apart.
            api_base: address of an OpenAI-compatible endpoint, as the workers reach it.
            api_key_env: environment variable that holds the key.
            timeout_s: seconds one attempt may take.
            threads: of an embedded model in each worker; as many as `cpus` unless given.
            known: right answers by request, for `mock/skilled`; asked in this process.

        Raises:
            MissingDependency: Ray is not installed here.
            UserError: no cluster, no room for a worker, another promptlab there, or a worker
                that cannot make the provider or would ask another endpoint or other weights.
        """
        described = describe(model, api_base=api_base)
        self._pool.start()
        settings = ModelSettings(
            model=_findable(model),
            api_base=api_base,
            api_key_env=api_key_env,
            timeout_s=timeout_s,
            threads=threads or self._threads,
            rehearses=known is not None,
            environment=_environment(model, api_key_env),
        )
        made = RayProvider(self._pool, label or model, settings, described, known)
        made.prepare_all()
        return made

    def check(self) -> None:
        """Raise what kept the workers from starting, if something did.

        Raises:
            UserError: as `provider`.
        """
        if self._pool.problem is not None:
            raise self._pool.problem

    def close(self) -> None:
        """End the workers, and leave the cluster if it was joined for them."""
        self._pool.close()


class RayProvider(Provider):
    """One model, asked by the workers; `RayWorkers.provider` makes it.

    A worker that is lost costs only the requests it had in flight: they are sent again by other
    workers within the same attempt. Whether the endpoint had answered such a request cannot be
    known, so each of them may be paid for twice, and the second time is in no budget; none is
    recorded twice.
    """

    def __init__(
        self,
        pool: Pool,
        label: str,
        settings: ModelSettings,
        described: tuple[str | None, bool],
        known: Known | None,
    ) -> None:
        self.endpoint, self.scores_choices = described
        self._pool, self._label, self._settings, self._known = pool, label, settings, known
        self._capacity: dict[Hand, int | None] = {}
        self._busy: Counter[Hand] = Counter()
        self._unfit: dict[About, PromptlabError] = {}
        """Workers that cannot make the provider, and why."""
        self._preparing: dict[Hand, asyncio.Task[None]] = {}
        limited = settings.model.partition("/")[0] not in {"local", "mock"}
        self._deadline_s = settings.timeout_s + _MARGIN_S if limited else None

    def prepare_all(self) -> None:
        """Make the provider in the workers that are there; blocks.

        Raises:
            UserError: one of them cannot, or all are lost.
        """
        asked = [
            (hand, hand.handle.prepare.remote(self._label, self._settings))
            for hand in self._pool.there()
        ]
        for hand, ref in asked:
            try:
                offer = self._pool.cluster.get(ref, _PREPARE_S)
            except self._pool.cluster.errors as error:
                self._pool.lost(hand, type(error).__name__)
                continue
            if problem := self._problem(hand, offer):
                raise problem
            self._accept(hand, offer)
        if not self._capacity:
            raise UserError(
                f"no Ray worker made {self._settings.model} ready in {_PREPARE_S:g} s; see the "
                "logs of the cluster, and run again"
            )

    async def ask(self, request: Request, *, shared_prefix: str = "") -> Response:
        """One attempt, by the worker that has the least to do; see the base class."""
        right = self._known(request) if self._known is not None else None
        self._pool.cluster.settle()
        losses = 0
        while True:
            hand = await self._pool.pick(self._load, self._unfit)
            try:
                said = await self._call(hand, request, shared_prefix, right)
            except _Lost:
                losses += 1
                if losses < _MOST_LOSSES:
                    continue
                raise ProviderError(
                    "connection", f"{losses} Ray workers ended while they had this request"
                ) from None
            if said is None:
                await self._prepare(hand)
                continue
            reply, allowance = said
            self.allowance = allowance or self.allowance
            if isinstance(reply, ProviderError):
                raise reply
            return reply

    async def close(self) -> None:
        """Release what the workers hold for this model."""
        ends = [
            asyncio.wrap_future(hand.handle.end.remote(self._label).future())
            for hand in self._capacity
            if hand.about is not None
        ]
        if ends:
            await asyncio.wait(ends, timeout=_CLOSE_S)
        for end in ends:
            if not end.cancel():
                end.exception()  # a worker that is lost now holds nothing

    async def _call(
        self, hand: Hand, request: Request, shared_prefix: str, right: Sequence[str] | None
    ) -> Said | None:
        """What a worker said; None if it has no provider of this model."""
        hand.busy += 1
        self._busy[hand] += 1
        ref = hand.handle.ask.remote(self._label, request, shared_prefix, right)
        try:
            async with asyncio.timeout(self._deadline_s):
                said: Said | None = await ref
                return said
        except self._pool.cluster.errors as error:
            self._pool.lost(hand, type(error).__name__)
            raise _Lost from None
        except TimeoutError:
            name = hand.name
            self._pool.cluster.cancel(ref)
            self._pool.lost(hand, "no answer in time")
            raise ProviderError("timeout", f"{name}: no answer in {self._deadline_s:g} s") from None
        except asyncio.CancelledError:
            self._pool.cluster.cancel(ref)
            raise
        finally:
            hand.busy -= 1
            self._busy[hand] -= 1

    async def _prepare(self, hand: Hand) -> None:
        """Make the provider in a worker that has none: a late one, or one started again."""
        if hand not in self._preparing:
            self._preparing[hand] = asyncio.create_task(self._prepare_once(hand))
        await asyncio.shield(self._preparing[hand])

    async def _prepare_once(self, hand: Hand) -> None:
        try:
            offer = await hand.handle.prepare.remote(self._label, self._settings)
        except self._pool.cluster.errors as error:
            self._pool.lost(hand, type(error).__name__)
            return
        finally:
            del self._preparing[hand]
        problem = self._problem(hand, offer)
        if problem is None:
            self._accept(hand, offer)
        elif hand.about is not None:
            self._unfit[hand.about] = problem

    def _problem(self, hand: Hand, offer: Offer | PromptlabError) -> UserError | None:
        if isinstance(offer, PromptlabError):
            return UserError(f"{hand.name}: {offer}")
        if offer.endpoint == self.endpoint:
            return None
        model = self._settings.model
        if model.startswith("local/"):
            return UserError(
                f"{hand.name} has other weights of {model} than this machine; copy the same file "
                "there"
            )
        prefix = variable_prefix(model.partition("/")[0])
        return UserError(
            f"{hand.name} would reach {model} at {offer.endpoint}, and this machine at "
            f"{self.endpoint or 'its usual address'}; unset {prefix}_BASE_URL and "
            f"{prefix}_API_BASE there, or set them here"
        )

    def _accept(self, hand: Hand, offer: Offer) -> None:
        self._capacity[hand] = offer.max_concurrency
        limits = [limit for limit in self._capacity.values() if limit is not None]
        self.max_concurrency = sum(limits) if limits else None

    def _load(self, hand: Hand) -> float:
        """How busy a worker is with this model, by what it can do at once."""
        return self._busy[hand] / (self._capacity.get(hand) or 1)


class _Lost(Exception):
    """The worker was lost while it had a request."""


def _findable(model: str) -> str:
    """The id as a worker with another working folder can use it."""
    if not model.startswith("local/"):
        return model
    from promptlab.models import CATALOGUE, find

    return model if model.removeprefix("local/") in CATALOGUE else f"local/{find(model).path}"


def _environment(model: str, api_key_env: str | None) -> dict[str, str]:
    """The variables that reach a model."""
    prefix = f"{variable_prefix(model.partition('/')[0])}_"
    return {
        name: value
        for name, value in os.environ.items()
        if name == api_key_env or name.startswith(prefix)
    }
