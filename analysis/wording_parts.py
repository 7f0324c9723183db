"""From rows of scores to the moments of every task: items x wordings of paired differences."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from promptlab.analysis.arrays import Array, Bools
from promptlab.analysis.pairing import Grid, Missing
from promptlab.analysis.wordings import Crossed, crossed_moments

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """Moments of every task and condition; arrays begin with tasks x conditions."""

    crossed: Crossed
    use: Bools
    """Tasks with two wordings under a condition."""
    means: Array
    """tasks x conditions x wordings: mean difference under each; NaN where there is none."""
    errors: Array
    """Their squared standard errors over items."""
    sizes: Array
    """Their numbers of items."""
    without: Crossed
    """tasks x conditions x wordings: the moments when that wording is left out."""

    @classmethod
    def of(cls, grid: Grid, missing: Missing) -> Parts:
        """Moments of the paired differences of a grid."""
        units = grid.by_wording()
        pairs = units.pairs(missing)
        d = pairs.variant - pairs.original
        wording = grid.row_wording[units.item_starts]
        item = np.searchsorted(grid.item_starts, units.item_starts, side="right") - 1
        ends = np.append(units.task_starts[1:], units.item_starts.size)
        shape = (len(grid.tasks), d.shape[1], len(grid.wordings))
        means, errors, sizes = (np.full(shape, np.nan) for _ in range(3))
        whole, without = [], []
        for t, (start, end) in enumerate(zip(units.task_starts, ends, strict=True)):
            mine, w = np.unique(wording[start:end], return_inverse=True)
            i = item[start:end] - item[start]
            table = np.full((i.max() + 1, mine.size, d.shape[1]), np.nan)
            table[i, w] = d[start:end]
            whole.append(crossed_moments(table))
            for place, name in enumerate(mine):
                alone = crossed_moments(table[:, [place]])
                means[t, :, name] = alone.mean
                errors[t, :, name], sizes[t, :, name] = alone.items_only, alone.n
            nothing = crossed_moments(np.full((1, 1, d.shape[1]), np.nan))
            parts = [nothing] * len(grid.wordings)
            for place, name in enumerate(mine):
                if mine.size > 1:
                    parts[name] = crossed_moments(np.delete(table, place, axis=1))
            without.append(_stacked(parts, axis=1))
        crossed = _stacked(whole, axis=0)
        return cls(crossed, crossed.w > 1, means, errors, sizes, _stacked(without, axis=0))


def _stacked(parts: list[Crossed], axis: int) -> Crossed:
    names = [f.name for f in fields(Crossed)]
    return Crossed(**{n: np.stack([getattr(p, n) for p in parts], axis=axis) for n in names})
