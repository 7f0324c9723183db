"""The complete part of a summary: the tasks that have a mean under every condition that enters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptlab.analysis.arrays import Array, Bools
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Block", "complete_block"]


@dataclass(frozen=True)
class Block:
    """The complete part of one model's summary: tasks x conditions, the baseline first."""

    tasks: list[str]
    conditions: list[str]
    means: Array
    sds: Array
    runs: Array


def complete_block(
    rows: pd.DataFrame, baseline: str, first: Sequence[str], model: str
) -> tuple[Block, list[tuple[str, str]], list[tuple[str, str]]]:
    """The complete part, the means outside it, and the means that are not there.

    Conditions enter by their number of tasks for as long as the complete part grows.
    """
    wide = {c: rows.pivot(index="task", columns="condition", values=c) for c in ("mean", "sd", "n")}
    means = wide["mean"]
    names = sorted((str(c) for c in means.columns if c != baseline), key=_natural)
    if baseline not in means or not names:
        raise UserError(f"model {model}: nothing to compare with '{baseline}'; it needs a row too")
    there = {c: means[c].notna().to_numpy(dtype=bool) for c in (baseline, *names)}

    def shared(conditions: Sequence[str]) -> Bools:
        all_of_them = np.array([there[c] for c in (baseline, *conditions)])
        return np.asarray(all_of_them.all(axis=0), dtype=np.bool_)

    ranked = sorted(names, key=lambda c: (c not in first, -int(shared([c]).sum())))
    sizes = []
    for count in range(max(1, len(first)), len(names) + 1):
        whole = int(shared(ranked[:count]).sum())
        sizes.append((whole * (count + 1), whole, count))
    cells, _, count = max(sizes)
    if not cells:
        raise UserError(f"model {model}: no task has both '{baseline}' and another condition")
    chosen = sorted(ranked[:count], key=_natural)
    conditions, rows_used = [baseline, *chosen], shared(chosen)
    tasks = [str(t) for t in means.index]
    block = Block(
        [t for t, used in zip(tasks, rows_used, strict=True) if used],
        conditions,
        *(w[conditions].to_numpy(np.float64)[rows_used] for w in wide.values()),
    )
    every = [(t, c) for t in tasks for c in (baseline, *names)]
    gaps = [(t, c) for k, t in enumerate(tasks) for c in (baseline, *names) if not there[c][k]]
    elsewhere = {(t, c) for t in block.tasks for c in conditions} | set(gaps)
    return block, [cell for cell in every if cell not in elsewhere], gaps


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorting key under which NP2 comes before NP10."""
    parts = (p for p in re.split(r"(\d+)", name) if p)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]
