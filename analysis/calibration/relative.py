"""Coverage of the relative gain, from a baseline that is well above 0 to one that hardly is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arrays import Array, safe_divide
from promptlab.analysis.calibration.designs import NOISY, answer, improve, item_chances
from promptlab.analysis.calibration.tally import Claim, Tally
from promptlab.analysis.ratio import fieller_limits, log_ratio, ratio_bootstrap

__all__ = ["DESIGNS", "Relative", "simulate"]

_ITEMS = 100
_RESAMPLES = 999
_GAIN = 0.2


@dataclass(frozen=True, slots=True)
class Relative:
    """100 items of that baseline accuracy, and a variant with a fifth more right answers."""

    accuracy: float


DESIGNS = {f"baseline {mean:g}": Relative(mean) for mean in (0.6, 0.1, 0.04)}


def simulate(design: Relative, simulations: int, rng: np.random.Generator, tally: Tally) -> None:
    """Simulate so many experiments and add which intervals hold the true gain.

    Experiments in which the original is 0 everywhere have no relative gain and do not count, but
    for the log ratio: where there is none it has missed.
    """
    p = item_chances(rng, design.accuracy, NOISY, (simulations, _ITEMS))
    x = answer(rng, p)
    y = answer(rng, improve(p, design.accuracy, _GAIN * design.accuracy))
    mean_x, mean_y = x.mean(axis=1), y.mean(axis=1)
    off_x, off_y = x - mean_x[:, None], y - mean_y[:, None]
    dof = _ITEMS * (_ITEMS - 1)
    var_x, var_y, cov = (
        (u * v).sum(axis=1) / dof for u, v in ((off_x, off_x), (off_y, off_y), (off_x, off_y))
    )
    critical = float(stats.t.isf(0.025, _ITEMS - 1))
    found = fieller_limits(mean_x, mean_y, var_x, var_y, cov, critical)
    defined = found.note != "undefined"
    low, high = found.roots
    between = (low <= _GAIN) & (high >= _GAIN)
    # For g >= 1 the confidence set is what lies outside of the roots, or the whole line.
    held = np.where(found.g < 1, between, np.isnan(low) | (low >= _GAIN) | (high <= _GAIN))
    tally.add("Fieller", "coverage", np.where(defined, held, np.nan), claim="valid")
    tally.add("Fieller", "unbounded", found.note == "unbounded")
    tally.add("Fieller", "undefined", ~defined)

    ratio = safe_divide(mean_y, mean_x)
    variance = safe_divide(var_y + ratio**2 * var_x - 2 * ratio * cov, mean_x**2)
    half = float(stats.norm.isf(0.025)) * np.sqrt(np.maximum(variance, 0.0))
    _covers(tally, "delta", ratio - 1 - half, ratio - 1 + half, "shown")
    logs = np.array([log_ratio(u, v).interval for u, v in zip(x, y, strict=True)])
    logs = np.where(np.isfinite(logs), logs, np.inf)
    _covers(tally, "log-ratio delta", logs[:, 0], logs[:, 1], "shown")
    names: tuple[tuple[str, Literal["percentile", "bca"]], ...] = (
        ("percentile bootstrap", "percentile"),
        ("BCa bootstrap", "bca"),
    )
    for name, kind in names:
        ends = np.array(
            [
                ratio_bootstrap(u, v, kind=kind, n_resamples=_RESAMPLES, seed=rng).interval
                for u, v in zip(x, y, strict=True)
            ]
        )
        _covers(tally, name, ends[:, 0], ends[:, 1], "shown")


def _covers(tally: Tally, name: str, low: Array, high: Array, claim: Claim) -> None:
    """NaN: the experiment does not count."""
    covered = np.where(np.isnan(low), np.nan, (low <= _GAIN) & (high >= _GAIN))
    tally.add(name, "coverage", covered, claim=claim)
