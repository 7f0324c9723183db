"""The parts of the calibration, by name; a part is a set of designs that are simulated alike."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.calibration import (
    best_of,
    equivalent,
    exact,
    many,
    one_task,
    over_tasks,
    race,
    relative,
    replicates,
    single,
)
from promptlab.analysis.calibration.tally import Tally
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PARTS", "Block", "Part", "blocks", "find_parts", "run_block"]

Simulate = Callable[[Any, int, np.random.Generator, Tally], None]


@dataclass(frozen=True)
class Part:
    """Designs of one kind.

    Attributes:
        title: what is asked, for people.
        designs: by name, in the order of the table.
        simulate: adds so many simulated experiments of a design to a tally.
        simulations: experiments a design in the full table; 0 = computed, not simulated.
        block: experiments that share one random stream. A block is always run whole and in one
            process, so the number of processes changes nothing.
    """

    title: str
    designs: Mapping[str, Any]
    simulate: Simulate
    simulations: int
    block: int

    def __call__(self, design: str, simulations: int, seed: int) -> pd.DataFrame:
        """Rows of one design, as in the table of `calibrate`."""
        from promptlab.analysis.calibration.engine import calibrate

        name = next(name for name, part in PARTS.items() if part is self)
        return calibrate(only=(name,), designs=(design,), exactly=simulations, seed=seed)


PARTS: dict[str, Part] = {
    "single": Part("One comparison on one task", single.DESIGNS, single.simulate, 40_000, 2000),
    "exact": Part(
        "Exact coverage of intervals for a paired difference",
        exact.DESIGNS,
        exact.simulate,
        0,
        1,
    ),
    "best_of": Part(
        "The best of K stimuli over 24 tasks of 100 items, no stimulus helps",
        best_of.DESIGNS,
        best_of.simulate,
        500,
        10,
    ),
    "one_task": Part(
        "The best and the average of K stimuli on one task, no stimulus helps",
        one_task.DESIGNS,
        one_task.simulate,
        1300,
        50,
    ),
    "over_tasks": Part(
        "The mean over tasks whose true effects differ (SD 4 points)",
        over_tasks.DESIGNS,
        over_tasks.simulate,
        2000,
        250,
    ),
    "relative": Part(
        "The relative gain of one task, true gain 20 %",
        relative.DESIGNS,
        relative.simulate,
        1000,
        50,
    ),
    "replicates": Part(
        "Repeated answers to the same prompts",
        replicates.DESIGNS,
        replicates.simulate,
        20_000,
        1000,
    ),
    "equivalent": Part(
        "Equivalence on one task, margin 5 points",
        equivalent.DESIGNS,
        equivalent.simulate,
        40_000,
        10_000,
    ),
    "many": Part("All 264 task x stimulus cells", many.DESIGNS, many.simulate, 1000, 50),
    "race": Part(
        "A race that drops stimuli, beside the full design",
        race.DESIGNS,
        race.simulate,
        1000,
        100,
    ),
}
"""Every part, in the order of the table. A new one is a module with DESIGNS and `simulate`."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some experiments of one design, with a random stream of their own."""

    part: str
    design: str
    number: int
    simulations: int
    seed: int


def find_parts(only: Iterable[str]) -> list[str]:
    """The named parts in the order of the table; all of them if none is named.

    Raises:
        UnknownName: no such part.
    """
    wanted = list(only)
    for name in wanted:
        if name not in PARTS:
            raise UnknownName("part", name, PARTS, f"parts: {', '.join(PARTS)}")
    return [name for name in PARTS if not wanted or name in wanted]


def blocks(
    only: Iterable[str] = (),
    *,
    designs: Iterable[str] = (),
    scale: float = 1.0,
    exactly: int | None = None,
    seed: int = 0,
) -> Iterator[Block]:
    """What there is to do.

    Args:
        only: names of parts; all of them if none is named.
        designs: names of designs; all of them if none is named.
        scale: share of each part's own number of simulations.
        exactly: the number of simulations of every part instead.
        seed: of everything; each block draws from (seed, part, design, number of the block).

    Raises:
        UserError: fewer than two simulations.
    """
    if exactly is not None and exactly < 2:
        raise UserError(f"at least 2 simulations are needed, not {exactly}")
    chosen = set(designs)
    for name in find_parts(only):
        part = PARTS[name]
        total = exactly if exactly is not None else max(20, round(scale * part.simulations))
        for design in part.designs:
            if chosen and design not in chosen:
                continue
            if not part.simulations:
                yield Block(name, design, 0, 1, seed)
                continue
            for number, start in enumerate(range(0, total, part.block)):
                yield Block(name, design, number, min(part.block, total - start), seed)


def run_block(block: Block) -> Tally:
    """Simulate a block; the same block always gives the same sums."""
    part = PARTS[block.part]
    entropy = [block.seed, zlib.crc32(f"{block.part}|{block.design}".encode()), block.number]
    tally = Tally()
    rng = np.random.default_rng(entropy)
    part.simulate(part.designs[block.design], block.simulations, rng, tally)
    return tally
