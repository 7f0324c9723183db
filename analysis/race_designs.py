"""Experiments with known effects, for a race to be run on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptlab.analysis.arguments import check_counts, check_numbers
from promptlab.analysis.arrays import Array
from promptlab.errors import UserError

__all__ = ["Design"]


@dataclass(frozen=True, slots=True)
class Design:
    """An experiment to simulate: right or wrong answers, independent given the item.

    Attributes:
        name: in tables.
        effects: true difference of each stimulus from the original, in score units.
        tasks: number of tasks.
        items: of each task.
        block: items of a task in a block; a divisor of `items`.
        mean: score of the original.
        concentration: of the items' chances of being right, Beta(mean c, (1 - mean) c): 3 are
            noisy answers (37 % of pairs differ), 0.5 stable ones (16.5 %).
        spread: effect added to every second task and taken from the others, for all stimuli; with
            an odd number of tasks it is shifted, so that the mean over tasks stays.
        answers: that the full design has of the original and of each stimulus with its controls,
            in any unit; all the same if empty. Only what is saved depends on it.
    """

    name: str
    effects: tuple[float, ...]
    tasks: int = 24
    items: int = 100
    block: int = 5
    mean: float = 0.5
    concentration: float = 3.0
    spread: float = 0.0
    answers: tuple[float, ...] = ()

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.items // self.block

    @property
    def _by_task(self) -> Array:
        """What each task adds to every effect; 0 on average."""
        signs = np.where(np.arange(self.tasks) % 2, -1.0, 1.0)
        return np.asarray(self.spread * (signs - signs.mean()))

    def check(self) -> None:
        """See that it can be.

        Raises:
            UserError: what is no number, items that the block does not divide, or an effect that
                leaves the scale.
        """
        check_counts(tasks=self.tasks, items=self.items, block=self.block)
        check_numbers(mean=self.mean, concentration=self.concentration, spread=self.spread)
        for effect in self.effects:
            check_numbers(effect=effect)
        if self.block < 1 or self.items % self.block:
            raise UserError(f"{self.items} items are not cut evenly into blocks of {self.block}")
        low = min((*self.effects, 0.0)) + float(self._by_task.min())
        high = max((*self.effects, 0.0)) + float(self._by_task.max())
        worst = high if high > 1 - self.mean else low
        if worst > 1 - self.mean or -worst > self.mean:
            raise UserError(f"an effect of {worst:g} does not fit beside a score of {self.mean:g}")

    def counts(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw experiments.

        Returns:
            Gains, losses and ties against the original (n x blocks x stimuli x 3), and items that
            stimulus j has right and k wrong (n x blocks x j x k).
        """
        k, c = len(self.effects), self.concentration
        shape = (n, self.blocks, self.tasks * self.block)
        p = rng.beta(self.mean * c, (1 - self.mean) * c, shape)[..., None]
        y = (rng.random((*shape, k + 1)) < p).astype(np.float32)
        moved = np.repeat(self._by_task, self.block)[:, None] + np.array(self.effects)
        luck = rng.random((*shape, k))
        up = luck < np.maximum(moved, 0.0) / (1 - self.mean)
        down = luck < np.maximum(-moved, 0.0) / self.mean
        y[..., 1:] = np.where(up, 1.0, np.where(down, 0.0, y[..., 1:]))
        pairs = np.swapaxes(y, -1, -2) @ (1 - y)
        gains, losses = pairs[..., 1:, 0], pairs[..., 0, 1:]
        ties = shape[-1] - gains - losses
        counts = np.stack([gains, losses, ties], axis=-1)
        return counts.astype(np.float64), pairs[..., 1:, 1:].astype(np.float64)
