"""What a design will find, before there are data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from promptlab.analysis.arguments import check_numbers
from promptlab.analysis.power.binary import detectable_mcnemar
from promptlab.analysis.power.levels import check_levels
from promptlab.analysis.power.means import detectable_t
from promptlab.analysis.results import Result, number, plural
from promptlab.errors import UserError

__all__ = ["Detectable", "detectable_difference"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Detectable(Result):
    """The smallest macro difference that a design finds; `estimate` is in score units.

    Attributes:
        n_items: a task.
        sd_task: assumed standard deviation of the true differences between tasks.
        discordance: assumed share of items whose answer changes.
        alpha: level before it is shared by the tests.
        power: probability to find it.
        tests: number of contrasts that share alpha.
    """

    n_items: float
    sd_task: float
    discordance: float
    alpha: float
    power: float
    tests: int

    label: ClassVar[str] = "smallest detectable difference"
    unit: ClassVar[str] = "tasks"

    def _shown(self, value: float) -> str:
        return f"{100 * value:.1f} points"

    def _counted(self) -> str:
        items = "1 item" if self.n_items == 1 else f"{number(self.n_items)} items"
        return f"{plural(self.n, self.unit)} of {items}"

    def _remark(self) -> str:
        return f"it holds {self.assumption}"

    @property
    def assumption(self) -> str:
        """What was assumed, as a sentence to print beside the number."""
        spread = (
            f", true effects differing by {100 * self.sd_task:g} points (SD) between tasks"
            if self.n > 1
            else ""
        )
        return (
            f"assuming that {100 * self.discordance:g} % of the answers change{spread}; "
            f"{100 * self.power:g} % power at alpha {self.alpha:g}"
            + (f" shared by {self.tests} tests" if self.tests > 1 else "")
        )


def detectable_difference(
    n_tasks: int,
    n_items: float,
    *,
    sd_task: float = 0.04,
    discordance: float = 0.2,
    alpha: float = 0.05,
    power: float = 0.8,
    tests: int = 1,
) -> Detectable:
    """The smallest difference a design will find, before any data exist.

    Over two or more tasks: the t test over tasks, with variance sd_task^2 + discordance / n_items
    for a task's observed difference. With one task: McNemar's mid-p test over its items.

    Args:
        n_tasks: tasks.
        n_items: items a task; the harmonic mean if they differ.
        sd_task: assumed SD of the true differences over tasks; 0.04 = 4 points.
        discordance: assumed share of items whose answer changes between two conditions; 0.2 lies
            between stable (0.165) and noisy (0.37) answers.
        alpha: level.
        power: wanted.
        tests: contrasts that share alpha (Bonferroni, the first step of Holm).

    Raises:
        UserError: impossible numbers.

    Examples:
        >>> detectable_difference(n_tasks=24, n_items=100, tests=10)
        The smallest detectable difference is 4.9 points over 24 tasks of 100 items (noncentral t
        over tasks). It holds assuming that 20 % of the answers change, true effects differing by
        4 points (SD) between tasks; 80 % power at alpha 0.05 shared by 10 tests.
    """
    check_numbers(n_tasks=n_tasks, n_items=n_items, tests=tests)
    check_numbers(sd_task=sd_task, discordance=discordance)
    check_levels(alpha, power)
    if n_tasks < 1 or n_items < 1 or tests < 1:
        raise UserError("at least one task, one item and one test are needed")
    if not 0 < discordance <= 1 or sd_task < 0:
        raise UserError("discordance must lie in (0, 1] and sd_task must not be negative")
    level = alpha / tests
    note = ""
    if n_tasks == 1:
        found = detectable_mcnemar(int(n_items), discordance, alpha=level, power=power)
        method = "exact power of McNemar's mid-p test"
        if math.isnan(found):
            note = "no difference can be found with so few items"
    else:
        sd = math.sqrt(sd_task**2 + discordance / n_items)
        found = float(detectable_t(n_tasks, sd, alpha=level, power=power))
        method = "noncentral t over tasks"
        if 2.0 ** (1 - n_tasks) > level:
            found = math.nan
            note = (
                f"the sign-flip test over {n_tasks} tasks cannot give a p value as small as "
                f"{level:.2g}; use more tasks, or fewer confirmatory contrasts"
            )
    return Detectable(
        estimate=found,
        n=n_tasks,
        method=method,
        note=note,
        n_items=n_items,
        sd_task=sd_task,
        discordance=discordance,
        alpha=alpha,
        power=power,
        tests=tests,
    )
