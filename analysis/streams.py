"""Random numbers in blocks of their own, so that threads cannot change a result.

Every block of resamples has a stream that follows from the seed and from what the block is for
(`numpy.random.SeedSequence` with a spawn key). Which thread computes it, and when, does not matter.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from promptlab.analysis.arrays import Array, Floats, Ints, Seed, rng_from, whole_seed
from promptlab.errors import UserError

__all__ = [
    "BLOCK",
    "block_sizes",
    "count_matrix",
    "draw_counts",
    "draw_signs",
    "entropy_of",
    "in_order",
    "stream",
    "threads_from",
]

BLOCK = 2_500
"""Resamples of a block. Fixed: another size would be other random numbers."""

Job = TypeVar("Job")
Done = TypeVar("Done")


def entropy_of(seed: Seed) -> int:
    """The seed as a number; a generator gives its next one."""
    return int(seed.integers(2**63)) if isinstance(seed, np.random.Generator) else whole_seed(seed)


def stream(entropy: int, *where: int) -> np.random.Generator:
    """The generator of one place, such as (purpose, task, block)."""
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=where))


def block_sizes(n_resamples: int, size: int = BLOCK) -> Iterator[tuple[int, int, int]]:
    """Number, first resample and size of each block."""
    for number, start in enumerate(range(0, n_resamples, size)):
        yield number, start, min(size, n_resamples - start)


def draw_counts(rng: np.random.Generator, n: int, size: int) -> Ints:
    """How often each of n items was drawn, size x n; every row sums to n.

    Counting drawn positions costs a tenth of `rng.multinomial`.
    """
    drawn = rng.integers(0, n, size=(size, n))
    drawn += np.arange(0, size * n, n)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)


def draw_signs(rng: np.random.Generator, n: int, size: int) -> Floats:
    """Random signs, n x size, -1 or 1: one bit each."""
    raw = np.frombuffer(rng.bytes((n * size + 7) // 8), dtype=np.uint8)
    signs = np.unpackbits(raw, count=n * size).reshape(n, size).astype(np.float32)
    signs *= 2
    signs -= 1
    return signs


def count_matrix(n: int, n_resamples: int, seed: Seed) -> Array:
    """How often each of n items was drawn, resamples x n; every row sums to n."""
    return draw_counts(rng_from(seed), n, n_resamples).astype(np.float64)


def threads_from(n_threads: int | None) -> int:
    """The number asked for, or that of the processors this process may use.

    Raises:
        UserError: fewer than one.
    """
    if n_threads is None:
        try:
            return len(os.sched_getaffinity(0))
        except AttributeError:  # not on every system
            return os.cpu_count() or 1
    if n_threads < 1:
        raise UserError(f"n_threads must be at least 1, not {n_threads}")
    return n_threads


def in_order(work: Callable[[Job], Done], jobs: Iterable[Job], n_threads: int) -> Iterator[Done]:
    """Results in the order of the jobs; no more than two a thread wait to be taken.

    The order makes sums of floats the same for any number of threads; the limit bounds memory.
    """
    if n_threads == 1:
        yield from map(work, jobs)
        return
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) >= 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
