"""Max-T: adjusted p values that know how the contrasts hang together (Westfall and Young 1993)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from promptlab.analysis.arguments import as_numbers, check_choice, check_repeats
from promptlab.analysis.arrays import Array, Seed, rng_from
from promptlab.analysis.flips import EXACT_UNITS, Side, Statistic, flip_tests, studentised
from promptlab.analysis.results import format_p, number, plural, sided
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MaxT", "max_t"]


@dataclass(frozen=True, repr=False)
class MaxT:
    """Tests of several contrasts that share their units.

    Attributes:
        estimate: mean difference of each contrast.
        statistic: studentised mean, or the mean itself.
        pvalue: raw, of each contrast alone.
        single_step: adjusted by the maximum over all contrasts.
        step_down: adjusted by successive maxima; never larger than the single-step value of the
            most significant contrast requires.
        n: units (tasks, or items of one task).
        method: what was done.
        n_resamples: 0 = all sign patterns.
    """

    estimate: Array
    statistic: Array
    pvalue: Array
    single_step: Array
    step_down: Array
    n: int
    method: str
    n_resamples: int

    @property
    def best(self) -> int:
        """Position of the contrast with the largest statistic."""
        return int(np.argmax(self.statistic))

    def to_frame(self) -> pd.DataFrame:
        """One row a contrast."""
        import pandas as pd

        columns = ("estimate", "statistic", "pvalue", "single_step", "step_down")
        return pd.DataFrame({name: getattr(self, name) for name in columns})

    def __repr__(self) -> str:
        k, size = self.best, self.estimate.size
        return (
            f"Of {plural(size, 'contrasts')} over {plural(self.n, 'units')}, number {k + 1} stands "
            f"out most: its mean difference is {number(float(self.estimate[k]))}, "
            f"{format_p(float(self.step_down[k]))} after adjustment for all {size} ({self.method})."
        )


def max_t(
    differences: Any,
    *,
    statistic: Statistic = "t",
    side: Side = "abs",
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> MaxT:
    """Sign-flip max-T: one sign a unit, applied to all contrasts together.

    It is the test of `some stimulus changes something`, and of the winner. Over tasks it holds its
    level; inside one task only nearly so, because the differences share the original's draw: use
    `label_permutation` there.

    Args:
        differences: units x contrasts (tasks, or items of one task).
        statistic: `t` studentises, `mean` does not.
        side: `abs` for any change, `upper` for variant better.
        n_resamples: where there are more than 20 units; p = (1 + exceedances) / (n_resamples + 1).
        seed: of the signs.

    Raises:
        UserError: missing values, values that are no numbers, or fewer than two units.

    Examples:
        Three stimuli over eight tasks, of which the first helps:

        >>> noise = np.random.default_rng(0).normal(0, 0.02, size=(8, 3))
        >>> found = max_t(noise + [0.05, 0, 0])
        >>> found
        Of 3 contrasts over 8 units, number 1 stands out most: its mean difference is 0.04748, p =
        0.0078 after adjustment for all 3 (step-down max-T of the t, two-sided, all sign
        patterns).
        >>> found.step_down.round(3)
        array([0.008, 0.828, 0.828])
    """
    check_choice("statistic", statistic, get_args(Statistic))
    check_choice("side", side, get_args(Side))
    check_repeats(n_resamples=n_resamples)
    d = as_numbers(differences, "max-T")
    if d.ndim != 2 or d.shape[0] < 2 or d.shape[1] < 1:
        raise UserError("max-T needs units x contrasts with at least two units")
    if not np.isfinite(d).all():
        raise UserError("max-T needs every unit in every contrast; leave incomplete units out")
    n = d.shape[0]
    raw, single, down = flip_tests(
        d,
        [np.arange(d.shape[1])],
        statistic=statistic,
        side=side,
        n_resamples=n_resamples,
        rng=rng_from(seed),
    )
    exact = n <= EXACT_UNITS
    how = "all sign patterns" if exact else f"{n_resamples} sign patterns"
    return MaxT(
        estimate=d.mean(axis=0),
        statistic=studentised(d) if statistic == "t" else d.mean(axis=0),
        pvalue=raw,
        single_step=single,
        step_down=down,
        n=n,
        method=f"step-down max-T of the {statistic}, "
        f"{'two-sided' if side == 'abs' else sided('greater')}, {how}",
        n_resamples=0 if exact else n_resamples,
    )
