"""The kernel of label permutation: task sums after exchanging the prompt labels inside items.

The labels of an item with r right answers among C prompts fall on r of them, each choice equally
likely. Prompt by prompt that is: the next one is right with probability r / C, with what is left of
r and C. So a whole block of items and permutations is drawn at once, with whole numbers, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from promptlab.analysis.arrays import Array, Ints
from promptlab.analysis.streams import block_sizes, in_order, stream

__all__ = ["permuted_means"]

_ELEMENTS = 1 << 17
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
    fixed = np.bincount(owner, weights=np.where(same, table[:, 0], 0.0), minlength=starts.size)
    binary = _part(table, owner, right_wrong & ~same)
    graded = _part(table, owner, ~right_wrong & ~same)
    block = max(8, min(512, _ELEMENTS // items))

    def work(job: tuple[int, int, int]) -> Array:
        number, _, size = job
        rng = stream(entropy, *place, number)
        sums = np.broadcast_to(fixed[:, None], (prompts, starts.size, size)).copy()
        if binary.tasks.size:
            sums[:, binary.tasks] += _right(rng, binary, size)
        if graded.tasks.size:
            sums[:, graded.tasks] += _shuffled(rng, graded, size)
        sums /= sizes[:, None]
        return sums

    yield from in_order(work, block_sizes(n_permutations, block), n_threads)


def _part(table: Array, owner: Ints, which: np.ndarray) -> _Part:
    tasks, starts = np.unique(owner[which], return_index=True)
    return _Part(table[which], tasks.astype(np.int64), starts.astype(np.int64))


def _right(rng: np.random.Generator, part: _Part, size: int) -> Array:
    """Right answers of each prompt and task."""
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
