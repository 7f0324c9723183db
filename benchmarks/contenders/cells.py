"""One way of resampling the cells of an experiment, timed without its start: prints JSON.

    python benchmarks/contenders/cells.py PROGRAM TASKS MODELS STIMULI ITEMS RESAMPLES SAMPLE

Every program gets the same paired differences of right/wrong answers. Those of scipy take one cell
at a time; they do the first SAMPLE cells.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from scipy import stats

from promptlab.analysis import resample_cells
from promptlab.analysis.arrays import product
from promptlab.analysis.flips import Tally
from promptlab.analysis.replicated import Moments, bootstrap_columns
from promptlab.analysis.streams import block_sizes, draw_signs, in_order, stream, threads_from

Blocks = list[np.ndarray]


def differences(tasks: int, models: int, stimuli: int, items: int) -> Blocks:
    """Items x (models x stimuli) for each task: answers right with probability Beta(1.5, 1.5)."""
    rng = np.random.default_rng(0)
    blocks = []
    for _ in range(tasks):
        p = rng.beta(1.5, 1.5, (items, 1, 1))
        right = (rng.random((items, models, stimuli + 1)) < p).astype(np.float64)
        blocks.append((right[..., 1:] - right[..., :1]).reshape(items, -1))
    return blocks


def everything(blocks: Blocks, models: int, resamples: int, bca: bool) -> None:
    """Bootstrap, sign flips, max-T by model in each task and over tasks."""
    families = np.repeat(np.arange(models), blocks[0].shape[1] // models).tolist()
    found = resample_cells(blocks, families=families, bca=bca, n_resamples=resamples)
    assert np.isfinite(found.lower).all()
    assert np.isfinite(found.step_down).all()


def bootstrap(blocks: Blocks, resamples: int, bca: bool) -> None:
    """The bootstrap of all cells alone."""

    def work(t: int) -> np.ndarray:
        return bootstrap_columns(
            Moments.of(blocks[t]), entropy=0, task=t, n_resamples=resamples, level=0.95, bca=bca
        ).lower

    for lower in in_order(work, range(len(blocks)), threads_from(None)):
        assert np.isfinite(lower).all()


def flips(blocks: Blocks, groups: int, resamples: int) -> None:
    """Sign-flip p values, and max-T within each group of columns."""
    families = np.array_split(np.arange(blocks[0].shape[1]), groups)

    def work(t: int) -> np.ndarray:
        moments = Moments.of(blocks[t])
        tally = Tally(moments.signed, families)
        for number, _, size in block_sizes(resamples):
            signs = draw_signs(stream(0, t, number), len(blocks[t]), size)
            tally.add(product(moments.steps.T, signs))
        return tally.pvalues(resamples)[0]

    for p in in_order(work, range(len(blocks)), threads_from(None)):
        assert (p > 0).all()


def scipy_bootstrap(cells: Blocks, resamples: int, method: str) -> None:
    """scipy.stats.bootstrap, vectorised, a cell at a time."""
    for cell in cells:
        stats.bootstrap(
            (cell,), np.mean, n_resamples=resamples, method=method, vectorized=True, axis=0
        )


def scipy_permutation(cells: Blocks, resamples: int) -> None:
    """scipy.stats.permutation_test of paired samples, vectorised, a cell at a time."""

    def mean_difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(x - y, axis=axis)

    for cell in cells:
        stats.permutation_test(
            (cell, np.zeros_like(cell)),
            mean_difference,
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            axis=0,
        )


def main(arguments: list[str]) -> None:
    """Time one program on the differences."""
    program, sizes = arguments[0], [int(number) for number in arguments[1:]]
    tasks, models, stimuli, items, resamples, sample = sizes
    blocks = differences(tasks, models, stimuli, items)
    cells = [block[:, k] for block in blocks for k in range(block.shape[1]) if block[:, k].any()]
    cells = cells[:: max(1, len(cells) // sample)][:sample]
    done = {
        "everything": (lambda: everything(blocks, models, resamples, False), None),
        "everything-bca": (lambda: everything(blocks, models, resamples, True), None),
        "bootstrap": (lambda: bootstrap(blocks, resamples, False), None),
        "bootstrap-bca": (lambda: bootstrap(blocks, resamples, True), None),
        "flips": (lambda: flips(blocks, models * stimuli, resamples), None),
        "flips-max-t": (lambda: flips(blocks, models, resamples), None),
        "scipy-percentile": (lambda: scipy_bootstrap(cells, resamples, "percentile"), cells),
        "scipy-bca": (lambda: scipy_bootstrap(cells, resamples, "BCa"), cells),
        "scipy-permutation": (lambda: scipy_permutation(cells, resamples), cells),
    }
    work: Callable[[], None]
    work, some = done[program]
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = len(some) if some is not None else tasks * models * stimuli
    print(json.dumps({"cells": count, "wall_s": wall, "cpu_s": cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
