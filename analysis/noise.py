"""The noise floor: the original against itself (A/A), where every difference is noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from promptlab.analysis.arrays import TIE, Array, Seed, paired
from promptlab.analysis.intervals import critical_z, t_interval
from promptlab.analysis.results import Result, number
from promptlab.analysis.several import labels_of
from promptlab.analysis.signflip import sign_flip

__all__ = ["NoiseFloor", "noise_floor"]


@dataclass(frozen=True, kw_only=True, repr=False)
class NoiseFloor(Result):
    """Difference between two replicates of the original; its expectation is 0.

    Attributes:
        discordance: share of items whose score differs between the replicates.
        sd_items: standard deviation of the item differences.
        largest_task: largest absolute difference of a task; the overall one without tasks.
        task: its name; empty without tasks.
        tasks: number of tasks; 0 if none were given.
    """

    discordance: float
    sd_items: float
    largest_task: float
    task: str
    tasks: int

    label: ClassVar[str] = "A/A difference"
    unit: ClassVar[str] = "pairs"

    def _remark(self) -> str:
        where = f" in '{self.task}'" if self.task else ""
        return (
            f"{number(self.discordance, 'percent')} % of the items changed, and the largest "
            f"difference{where} is {number(self.largest_task)}"
        )


def noise_floor(
    original: Any,
    replicate: Any,
    *,
    tasks: Any = None,
    level: float = 0.95,
    seed: Seed = 0,
) -> NoiseFloor:
    """The built-in negative control: one replicate of the original against another.

    A small p value says that something other than the prompt differs between the two runs (order,
    served model, time). The other numbers say what noise alone looks like: no effect of a stimulus
    is believable because it is as large as `largest_task`.

    Args:
        original: item scores.
        replicate: scores of the same items and the same prompt, asked again.
        tasks: the task of each item: the difference is then the macro difference, tested over
            tasks.
        level: of the t interval.
        seed: of the sign-flip test, where it is not exact.
    """
    critical_z(level)
    x, y = paired(original, replicate)
    d = y - x
    units: Array = d
    names: tuple[str, ...] = ()
    if tasks is not None:
        labels, group = np.unique(labels_of(tasks, d.size, "task"), return_inverse=True)
        group = group.reshape(-1)
        units = np.bincount(group, weights=d) / np.bincount(group)
        names = tuple(str(label) for label in labels)
    found, test = t_interval(units, level=level), sign_flip(units, seed=seed)
    largest = int(np.argmax(np.abs(units)))
    note = found.note
    if not note and test.pvalue < 1 - level:
        note = "the two runs differ: look for what changed between them"
    return NoiseFloor(
        estimate=found.estimate,
        interval=found.interval,
        pvalue=test.pvalue,
        n=d.size,
        method=f"A/A control, t interval over {'tasks' if names else 'items'}, {test.method}",
        level=level,
        note=note,
        discordance=float((np.abs(d) > TIE).mean()),
        sd_items=float(d.std(ddof=1)) if d.size > 1 else math.nan,
        largest_task=float(np.abs(units[largest])) if names else abs(found.estimate),
        task=names[largest] if names else "",
        tasks=len(names),
    )
