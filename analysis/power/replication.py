"""How many items, replicates and tasks: designs from variance components."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scipy import stats

from promptlab.analysis.arguments import check_numbers
from promptlab.analysis.power.levels import check_levels, check_n, check_sd
from promptlab.analysis.power.means import t_n
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["items_needed", "replicate_design", "tasks_needed"]


def items_needed(
    delta: float,
    *,
    var_between: float,
    var_within: float = 0.0,
    replicates: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Items for a paired difference with replicates: the normal formula of Miller (2024).

    n = (z_alpha/2 + z_power)^2 (var_between + var_within / R) / delta^2.

    Args:
        delta: mean difference to be found.
        var_between: variance between items of the true differences.
        var_within: variance between replicates of one item's difference.
        replicates: R, of every item under both conditions.
        alpha: two-sided level.
        power: wanted.
    """
    check_levels(alpha, power)
    check_sd(var_between=var_between, var_within=var_within)
    check_n(replicates, "replicates")
    check_numbers(delta=delta)
    if delta == 0:
        raise UserError("no number of items finds a difference of 0")
    z = float(stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power))
    return max(1, math.ceil(z**2 * (var_between + var_within / replicates) / delta**2))


def tasks_needed(
    delta: float,
    *,
    sd_task: float,
    var_item: float,
    n_items: float,
    replicates: int = 1,
    var_within: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Tasks for the t test over tasks: noncentral t with tau^2 + s^2 / n as variance of a task.

    Args:
        delta: macro difference to be found.
        sd_task: tau, standard deviation of the true differences between tasks.
        var_item: variance between items of the differences; the discordance of right/wrong
            answers is about that.
        n_items: items a task.
        replicates: R, averaged in every item.
        var_within: variance between replicates of one item's difference.
        alpha: two-sided level.
        power: wanted.
    """
    check_sd(sd_task=sd_task, var_item=var_item, var_within=var_within)
    check_n(n_items, "n_items")
    check_n(replicates, "replicates")
    variance = sd_task**2 + (var_item + var_within / replicates) / n_items
    return max(2, math.ceil(t_n(delta, math.sqrt(variance), alpha=alpha, power=power) - 1e-9))


def replicate_design(
    *,
    var_between: float,
    var_within: float,
    n_items: int,
    delta: float | None = None,
    replicates: Iterable[int] = (1, 2, 3, 5, 10),
    alpha: float = 0.05,
    power: float = 0.8,
) -> pd.DataFrame:
    """What replicates buy: one row for every R.

    SE^2 = (var_between + var_within / R) / n: replicates help only as far as the noise within
    items goes; from there on only items do.

    Args:
        var_between: variance between items of the true differences, see `variance_components`.
        var_within: variance between replicates of one item's difference.
        n_items: items at hand.
        delta: difference to be found; adds the items it needs and their requests.
        replicates: values of R.
        alpha: two-sided level.
        power: wanted.

    Returns:
        Columns replicates, se, detectable (normal, with n_items), requests (of one condition),
        relative_se (to R = 1), and with a delta: items_needed, requests_needed.
    """
    import pandas as pd

    check_levels(alpha, power)
    check_sd(var_between=var_between, var_within=var_within)
    check_n(n_items, "n_items")
    z = float(stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power))
    single = math.sqrt((var_between + var_within) / n_items)
    rows = []
    for count in replicates:
        check_n(count, "replicates")
        se = math.sqrt((var_between + var_within / count) / n_items)
        row: dict[str, float] = {
            "replicates": count,
            "se": se,
            "detectable": z * se,
            "requests": n_items * count,
            "relative_se": se / single if single > 0 else 1.0,
        }
        if delta is not None:
            needed = items_needed(
                delta,
                var_between=var_between,
                var_within=var_within,
                replicates=count,
                alpha=alpha,
                power=power,
            )
            row |= {"items_needed": needed, "requests_needed": needed * count}
        rows.append(row)
    if not rows:
        raise UserError("replicates: at least one value is needed")
    return pd.DataFrame(rows)
