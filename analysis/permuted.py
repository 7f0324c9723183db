"""The kernel of label permutation: task sums after exchanging the prompt labels inside items.

The right answers of an item, r among C prompts, fall on r labels, each choice equally likely. Up to
22 prompts all choices are listed, as bits of a number, and one is drawn; the bits of eight prompts
are then added up side by side, in one 64-bit word. With more prompts they are drawn one after the
other: the next is right with probability r / C, with what is left of r and C. Both are exact.
Graded scores are shuffled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from promptlab.analysis.arrays import Array, Bools, Ints
from promptlab.analysis.streams import block_sizes, in_order, stream

__all__ = ["permuted_means"]

_LISTED = 22
"""Prompts up to which all choices are listed: 2^22 numbers are 16 MB."""
_ELEMENTS = 1 << 18
"""Items x permutations of a block: what a processor's cache holds."""


@dataclass(frozen=True)
class _Part:
    """Items of one kind, in task order."""

    rows: Array
    tasks: Ints
    """The tasks that have such items."""
    starts: Ints
    """First item of each of these tasks."""


def permuted_means(
    table: Array, starts: Ints, n_permutations: int, entropy: int, *place: int, n_threads: int = 1
) -> Iterator[Array]:
    """Blocks of task means with permuted labels, prompts x tasks x permutations.

    Args:
        table: items x prompts, sorted by task.
        starts: first item of each task.
        n_permutations: in all.
        entropy: the seed.
        place: what the stream is for.
        n_threads: threads; they do not change the numbers.
    """
    items, prompts = table.shape
    sizes = np.diff(np.append(starts, items))
    owner = np.repeat(np.arange(starts.size), sizes)
    right_wrong = ((table == 0) | (table == 1)).all(axis=1)
    same = table.min(axis=1) == table.max(axis=1)
    weights = np.where(same, table[:, 0], 0.0)
    fixed: Array = np.asarray(np.bincount(owner, weights, starts.size), np.float64)
    binary = _part(table, owner, right_wrong & ~same)
    graded = _part(table, owner, ~right_wrong & ~same)
    block = max(8, min(512, _ELEMENTS // items))

    worth = binary.rows.shape[0] * n_permutations >= 1 << prompts
    listed = prompts <= _LISTED and worth and int(sizes.max()) < 1 << 16
    subsets = _subsets(prompts) if listed else np.empty(0, np.uint32)

    def work(job: tuple[int, int, int]) -> Array:
        number, _, size = job
        rng = stream(entropy, *place, number)
        sums: Array = np.empty((prompts, starts.size, size))
        sums[:] = fixed[:, None]
        if listed:
            sums[:, binary.tasks] += _listed(rng, binary, subsets, size)
        elif binary.tasks.size:
            sums[:, binary.tasks] += _in_turn(rng, binary, size)
        if graded.tasks.size:
            sums[:, graded.tasks] += _shuffled(rng, graded, size)
        sums /= sizes[:, None]
        return sums

    yield from in_order(work, block_sizes(n_permutations, block), n_threads)


def _part(table: Array, owner: Ints, which: Bools) -> _Part:
    tasks, starts = np.unique(owner[which], return_index=True)
    return _Part(table[which], tasks.astype(np.int64), starts.astype(np.int64))


@cache
def _subsets(prompts: int) -> npt.NDArray[np.uint32]:
    """All sets of prompts as bits, those of one size together, the smaller first."""
    numbers = np.arange(1 << prompts, dtype=np.uint32)
    size = np.zeros(numbers.size, np.uint8)
    for bit in range(prompts):
        size += ((numbers >> np.uint32(bit)) & np.uint32(1)).astype(np.uint8)
    return numbers[np.argsort(size, kind="stable")]


def _listed(
    rng: np.random.Generator, part: _Part, subsets: npt.NDArray[np.uint32], size: int
) -> Array:
    """Right answers of each prompt and task: one draw an item."""
    items, prompts = part.rows.shape
    right = part.rows.sum(axis=1).astype(np.int64)
    chosen = np.empty((items, size), np.uint32)
    for r in np.unique(right).tolist():
        rows = np.flatnonzero(right == r)
        first = sum(math.comb(prompts, k) for k in range(r))
        drawn = rng.integers(0, math.comb(prompts, r), size=(rows.size, size), dtype=np.uint32)
        drawn += np.uint32(first)
        chosen[rows] = subsets[drawn]
    # Lanes of a word: eight counts up to 255, or four up to 65,535.
    largest = int(np.diff(np.append(part.starts, items)).max())
    wide, lane = (8, np.uint8) if largest < 1 << 8 else (4, np.uint16)
    bits = (np.arange(1 << wide)[:, None] >> np.arange(wide)) & 1
    words = bits.astype(lane).view(np.uint64).ravel()
    sums = np.empty((prompts, part.tasks.size, size))
    for low in range(0, prompts, wide):
        codes = (chosen >> np.uint32(low)) & np.uint32(len(words) - 1)
        added = np.add.reduceat(words[codes], part.starts, axis=0)
        lanes = added.view(lane).reshape(part.tasks.size, size, wide).transpose(2, 0, 1)
        sums[low : low + wide] = lanes[: prompts - low]
    return sums


def _in_turn(rng: np.random.Generator, part: _Part, size: int) -> Array:
    """Right answers of each prompt and task: one draw an item and prompt."""
    items, prompts = part.rows.shape
    kind = np.uint16 if prompts < 1 << 15 else np.uint32
    left = np.repeat(part.rows.sum(axis=1).astype(kind)[:, None], size, axis=1)
    sums = np.empty((prompts, part.tasks.size, size))
    rest = np.add.reduceat(left, part.starts, axis=0, dtype=np.float64)
    for k in range(prompts - 1):
        drawn = rng.integers(0, prompts - k, size=(items, size), dtype=kind)
        hit = (drawn < left).view(np.uint8)
        left -= hit
        sums[k] = np.add.reduceat(hit, part.starts, axis=0, dtype=np.float64)
        rest -= sums[k]
    sums[-1] = rest
    return sums


def _shuffled(rng: np.random.Generator, part: _Part, size: int) -> Array:
    """Summed scores of each prompt and task."""
    many = np.repeat(part.rows[None], size, axis=0)
    rng.permuted(many, axis=2, out=many)
    return np.add.reduceat(many, part.starts, axis=1).transpose(2, 1, 0)
