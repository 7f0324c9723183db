"""Power, the smallest detectable difference, and how many items or tasks are needed."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import optimize, stats

from promptlab.analysis.arrays import Array, Ints
from promptlab.analysis.paired import mcnemar_p
from promptlab.analysis.results import Result, number, plural
from promptlab.errors import UserError

__all__ = [
    "Detectable",
    "connor_n",
    "detectable_difference",
    "detectable_mcnemar",
    "detectable_t",
    "mcnemar_n",
    "miller_n",
    "normal_power",
    "power_mcnemar",
    "power_t",
    "size_mcnemar",
    "t_n",
]

Test = Literal["midp", "exact"]


def _check(alpha: float, power: float = 0.8) -> None:
    if not 0 < alpha < 1:
        raise UserError(f"alpha must lie between 0 and 1, not {alpha}")
    if not alpha < power < 1:
        raise UserError(f"power must lie between alpha and 1, not {power}")


def _check_rates(p_gain: float, p_loss: float) -> None:
    if min(p_gain, p_loss) < 0 or p_gain + p_loss > 1:
        raise UserError(f"p_gain {p_gain} and p_loss {p_loss} must be shares that sum to at most 1")


# ---------------------------------------------------------------- right/wrong answers


def _critical(n: int, alpha: float, test: Test) -> Ints:
    """For 0..n discordant pairs: the largest smaller count that rejects, or -1."""
    return _critical_table(max(64, 1 << n.bit_length()), alpha, test)[: n + 1]


@functools.lru_cache(maxsize=64)
def _critical_table(n: int, alpha: float, test: Test) -> Ints:
    out = np.full(n + 1, -1, np.int64)
    reached = -1
    for total in range(n + 1):
        # The critical count never falls, and grows by at most one, as a pair is added.
        if mcnemar_p(reached + 1, total - reached - 1, variant=test) <= alpha:
            reached += 1
        out[total] = reached
    return out


def power_mcnemar(
    n: int, p_gain: float, p_loss: float, *, alpha: float = 0.05, test: Test = "midp"
) -> float:
    """Unconditional power of two-sided McNemar: a binomial mixture over discordant pairs.

    Args:
        n: pairs.
        p_gain: probability that an item goes from wrong to right.
        p_loss: probability that it goes from right to wrong.
        alpha: level of the test.
        test: `midp` or `exact`.

    With `p_gain == p_loss` this is the size of the test.
    """
    _check(alpha, 0.999)
    _check_rates(p_gain, p_loss)
    psi = p_gain + p_loss
    if psi == 0:
        return 0.0
    totals = np.arange(n + 1)
    critical = _critical(int(n), alpha, test)
    share = p_gain / psi
    gains = stats.binom.cdf(critical, totals, share)
    losses = stats.binom.cdf(critical, totals, 1 - share)
    return float(stats.binom.pmf(totals, n, psi) @ np.where(critical >= 0, gains + losses, 0.0))


def size_mcnemar(
    n: int, p_gain: float, p_loss: float, *, alpha: float = 0.05, test: Test = "midp"
) -> float:
    """Rejection rate without any effect, at the discordance p_gain + p_loss."""
    half = (p_gain + p_loss) / 2
    return power_mcnemar(n, half, half, alpha=alpha, test=test)


@functools.lru_cache(maxsize=8192)
def detectable_mcnemar(
    n: int, discordance: float, *, alpha: float = 0.05, power: float = 0.8, test: Test = "midp"
) -> float:
    """Smallest difference that McNemar's test finds with the given power.

    Args:
        n: pairs.
        discordance: share of items whose answer changes; where a difference needs more, all
            changes go one way.
        alpha: level of the test.
        power: wanted.
        test: `midp` or `exact`.

    Returns:
        The difference, or NaN if not even 1 is found with n items.
    """
    _check(alpha, power)

    def found(d: float) -> float:
        psi = min(1.0, max(discordance, d))
        return power_mcnemar(n, (psi + d) / 2, (psi - d) / 2, alpha=alpha, test=test)

    if n < 1 or found(1.0) < power:
        return math.nan
    low, high = 0.0, 1.0
    while high - low > 1e-5:
        half = (low + high) / 2
        low, high = (low, half) if found(half) >= power else (half, high)
    return high


def mcnemar_n(
    p_gain: float,
    p_loss: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    test: Test = "midp",
) -> int:
    """Smallest number of pairs with the power, also at the next two sizes (power is a saw)."""
    _check(alpha, power)
    _check_rates(p_gain, p_loss)
    if p_gain == p_loss:
        raise UserError("no number of items finds a difference of 0")

    def enough(n: int) -> bool:
        return power_mcnemar(n, p_gain, p_loss, alpha=alpha, test=test) >= power

    n = max(2, connor_n(p_gain, p_loss, alpha=alpha, power=power) // 2)
    while n > 2 and any(enough(n - step) for step in (0, 1, 2) if n > step):
        n = max(2, n // 2)
    while not all(enough(n + step) for step in (0, 1, 2)):
        n += 1
    return n


def connor_n(p_gain: float, p_loss: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs needed by the normal approximation of Connor (1987)."""
    psi, d = _rates(p_gain, p_loss)
    za, zb = stats.norm.isf(alpha / 2), stats.norm.isf(1 - power)
    root = float(za * math.sqrt(psi) + zb * math.sqrt(psi - d**2))
    return math.ceil(root**2 / d**2)


def miller_n(p_gain: float, p_loss: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs needed by the formula of Miller (2024): (z + z)^2 variance / d^2."""
    psi, d = _rates(p_gain, p_loss)
    z = float(stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power))
    return math.ceil(z**2 * (psi - d**2) / d**2)


def normal_power(n: int, p_gain: float, p_loss: float, *, alpha: float = 0.05) -> float:
    """Power that belongs to Connor's formula."""
    psi, d = _rates(p_gain, p_loss)
    z = (abs(d) * math.sqrt(n) - stats.norm.isf(alpha / 2) * math.sqrt(psi)) / math.sqrt(psi - d**2)
    return float(stats.norm.cdf(z))


def _rates(p_gain: float, p_loss: float) -> tuple[float, float]:
    _check_rates(p_gain, p_loss)
    if p_gain == p_loss:
        raise UserError("no number of items finds a difference of 0")
    return p_gain + p_loss, p_gain - p_loss


# ---------------------------------------------------------------- means, by t


def _tail(nc: float, df: float, alpha: float) -> float:
    """Power of a two-sided t test with noncentrality nc, both tails."""
    t = float(stats.t.isf(alpha / 2, df))
    upper = float(stats.nct.sf(t, df, nc))
    lower = float(stats.nct.cdf(-t, df, nc))
    return (upper if math.isfinite(upper) else 1.0) + (lower if math.isfinite(lower) else 0.0)


def power_t(n: float, delta: float, sd: float, *, alpha: float = 0.05) -> float:
    """Power of the paired, two-sided t test, both tails counted.

    Args:
        n: pairs (items or tasks), at least 2.
        delta: true mean difference.
        sd: standard deviation of the differences.
        alpha: level.
    """
    _check(alpha, 0.999)
    if n < 2 or sd <= 0:
        raise UserError(f"the t test needs n >= 2 and sd > 0, not n = {n}, sd = {sd}")
    return _tail(math.sqrt(n) * abs(delta) / sd, n - 1, alpha)


@functools.lru_cache(maxsize=8192)
def _noncentrality(df: float, alpha: float, power: float) -> float:
    high = 1.0
    while _tail(high, df, alpha) < power:
        high *= 2
        if high > 1e5:
            return math.nan
    return float(optimize.brentq(lambda nc: _tail(nc, df, alpha) - power, 0, high, xtol=1e-10))


def detectable_t(n: int, sd: Any, *, alpha: float = 0.05, power: float = 0.8) -> Array:
    """Smallest mean difference that the paired t test finds, for one or many sd.

    NaN for fewer than 2 values, or a standard deviation of 0 (nothing is known then).
    """
    _check(alpha, power)
    sd = np.asarray(sd, np.float64)
    if n < 2:
        return np.full(sd.shape, np.nan)
    factor = _noncentrality(float(n - 1), alpha, power) / math.sqrt(n)
    return np.where(sd > 0, factor * sd, np.nan)


def t_n(delta: float, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Number of pairs (tasks or items) for the t test, as a real number; round it up."""
    _check(alpha, power)
    if delta == 0 or sd <= 0:
        raise UserError("a difference other than 0 and a standard deviation above 0 are needed")
    high = 4.0
    while power_t(high, delta, sd, alpha=alpha) < power:
        high *= 2
    if power_t(2.0, delta, sd, alpha=alpha) >= power:
        return 2.0
    return float(
        optimize.brentq(lambda n: power_t(n, delta, sd, alpha=alpha) - power, 2, high, xtol=1e-9)
    )


# ---------------------------------------------------------------- before there are data


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
