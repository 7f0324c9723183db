"""Run the parts and put what they found beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from promptlab.analysis.calibration.judge import judged
from promptlab.analysis.calibration.parts import Block, blocks, run_block
from promptlab.analysis.calibration.tally import Tally
from promptlab.analysis.calibration.workers import in_processes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["calibrate"]

Progress = Callable[[Block, int, int], None]
"""Called after each block with the block, what is done and what there is, in blocks."""


def calibrate(
    *,
    only: Iterable[str] = (),
    designs: Iterable[str] = (),
    scale: float = 1.0,
    exactly: int | None = None,
    seed: int = 0,
    processes: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Simulate experiments whose truth is known, and see what each procedure says of them.

    Args:
        only: names of parts (`PARTS`); all of them if none is named.
        designs: names of designs; all of them if none is named.
        scale: share of the full table's number of simulations; 1 takes a while.
        exactly: the number of simulations of every design instead.
        seed: of everything.
        processes: changes how long it takes, and nothing else.
        progress: told after each block.

    Returns:
        One row for each part, design, procedure and quantity, with the columns
        `promptlab.analysis.calibration.judge.COLUMNS`.

    Raises:
        UnknownName: no such part.
        UserError: fewer than two simulations, or no such design.
    """
    todo = list(blocks(only, designs=designs, scale=scale, exactly=exactly, seed=seed))
    tallies: dict[tuple[str, str], Tally] = {}
    for done, (block, tally) in enumerate(
        zip(todo, in_processes(run_block, todo, processes), strict=True), start=1
    ):
        tallies.setdefault((block.part, block.design), Tally()).merge(tally)
        if progress is not None:
            progress(block, done, len(todo))
    return judged(tallies)
