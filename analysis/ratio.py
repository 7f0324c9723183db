"""Relative gain: the ratio of two paired means minus 1, with intervals that may be none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_choice, check_level, check_repeats
from promptlab.analysis.arrays import Array, Seed, paired, rng_from, safe_divide
from promptlab.analysis.bootstrap import bca_alphas, count_matrix, midtie_z0
from promptlab.analysis.results import NO_INTERVAL, Resampled, Result, Scale, plural

__all__ = [
    "FiellerLimits",
    "RelativeGain",
    "fieller",
    "fieller_limits",
    "log_ratio",
    "paper_relative_gain",
    "ratio_bootstrap",
]

Note = Literal["", "undefined", "unbounded", "unstable"]
_NOTES = MappingProxyType(
    {
        "undefined": "the original scored 0 everywhere",
        "unbounded": "the original cannot be told from 0, so no interval exists",
        "unstable": "the original is near 0, so gain and interval are unstable",
        "one pair": "with one pair there is no interval",
        "the log of 0: no interval": "the variant scored 0 everywhere, so no interval exists",
    }
)


@dataclass(frozen=True, kw_only=True, repr=False)
class RelativeGain(Result):
    """Mean of the variant over mean of the original, minus 1.

    Attributes:
        mean_original: the denominator.
        mean_variant: the numerator.
        g: Fieller's g = t^2 SE^2(original) / mean(original)^2; the interval is called unstable
            from 0.2, and does not exist as one piece from 1.
        roots: the two roots; their interval is the confidence set only while g < 1.
        se: standard error of the log ratio (log-ratio method only).
    """

    mean_original: float
    mean_variant: float
    g: float = math.nan
    roots: tuple[float, float] = NO_INTERVAL
    se: float = math.nan

    label: ClassVar[str] = "relative gain"
    unit: ClassVar[str] = "pairs"
    scale: ClassVar[Scale] = "change"
    notes: ClassVar[Mapping[str, str]] = _NOTES

    @property
    def set_type(self) -> Literal["bounded", "complement_of_interval", "whole_line", "undefined"]:
        """Shape of Fieller's confidence set; only a bounded one is an interval."""
        if math.isnan(self.g):
            return "undefined"
        if self.g < 1:
            return "bounded"
        return "whole_line" if math.isnan(self.roots[0]) else "complement_of_interval"


@dataclass(frozen=True, slots=True)
class FiellerLimits:
    """Fieller's confidence set for many ratios at once; arrays of one shape."""

    gain: Array
    lower: Array
    upper: Array
    g: Array
    roots: tuple[Array, Array]
    note: np.ndarray[Any, np.dtype[np.str_]]


def fieller_limits(
    mean_original: Any,
    mean_variant: Any,
    var_original: Any,
    var_variant: Any,
    covariance: Any,
    critical: Any,
) -> FiellerLimits:
    """Fieller's (1954) confidence set of mean_variant / mean_original - 1.

    Args:
        mean_original: means of the original.
        mean_variant: means of the variant.
        var_original: squared standard errors of these means.
        var_variant: the same for the variant.
        covariance: of the two means.
        critical: quantile of t or normal; squared in the formula.

    Returns:
        Gains, ends (NaN unless bounded), g, roots, and a note for each: `undefined` (the original
        is 0), `unbounded` (g >= 1), `unstable` (g >= 0.2) or nothing.
    """
    x, y, vx, vy, cov, t = np.broadcast_arrays(
        *(
            np.asarray(v, dtype=np.float64)
            for v in (mean_original, mean_variant, var_original, var_variant, covariance, critical)
        )
    )
    t2 = t**2
    gain = np.where(x == 0, np.nan, safe_divide(y, x) - 1)
    g = safe_divide(t2 * vx, x**2)
    a = x**2 - t2 * vx
    b = x * y - t2 * cov
    c = y**2 - t2 * vy
    # Never negative for g < 1, though rounding may say otherwise by a hair; for g >= 1 a negative
    # one means that the set is the whole line.
    discriminant = np.where(g < 1, np.maximum(b**2 - a * c, 0), b**2 - a * c)
    root = np.sqrt(np.where(discriminant >= 0, discriminant, np.nan))
    ends = safe_divide(b - root, a) - 1, safe_divide(b + root, a) - 1
    low, high = np.fmin(*ends), np.fmax(*ends)
    bounded = (g < 1) & np.isfinite(gain)
    note = np.select(
        [~np.isfinite(gain), g >= 1, g >= 0.2], ["undefined", "unbounded", "unstable"], ""
    )
    return FiellerLimits(
        gain=gain,
        lower=np.where(bounded, low, np.nan),
        upper=np.where(bounded, high, np.nan),
        g=g,
        roots=(low, high),
        note=note,
    )


def fieller(original: Any, variant: Any, *, level: float = 0.95) -> RelativeGain:
    """Relative gain of paired scores (items of a task, or task means) with Fieller's interval.

    The interval is NaN, and `note` says why, where it does not exist: `undefined` (the original
    is 0 everywhere), `unbounded` (the original cannot be told from 0); `unstable` warns.

    Examples:
        >>> fieller([1] * 60 + [0] * 40, [1] * 66 + [0] * 34)
        The relative gain is +10.0 % (95 % interval +2.0 to +19.4) on 100 pairs (Fieller interval,
        t, paired covariance).
        >>> fieller([0, 0, 0], [0, 1, 1])
        The relative gain is undefined on 3 pairs: the original scored 0 everywhere.
    """
    check_level(level)
    x, y = paired(original, variant)
    n = x.size
    common = _common(x, y, level, "Fieller interval, t, paired covariance")
    if n < 2:
        return RelativeGain(**common, note="one pair: no interval" if x.mean() else "undefined")
    cov = np.cov(x, y) / n
    t = float(stats.t.isf((1 - level) / 2, n - 1))
    found = fieller_limits(x.mean(), y.mean(), cov[0, 0], cov[1, 1], cov[0, 1], t)
    return RelativeGain(
        **common,
        interval=(float(found.lower), float(found.upper)),
        note=str(found.note),
        g=float(found.g),
        roots=(float(found.roots[0]), float(found.roots[1])),
    )


def _common(x: Array, y: Array, level: float, method: str) -> dict[str, Any]:
    return {
        "estimate": float(safe_divide(y.mean(), x.mean())) - 1,
        "n": x.size,
        "method": method,
        "level": level,
        "mean_original": float(x.mean()),
        "mean_variant": float(y.mean()),
    }


def log_ratio(original: Any, variant: Any, *, level: float = 0.95) -> RelativeGain:
    """Relative gain with a delta-method interval of the log ratio. Undefined if a mean is 0."""
    check_level(level)
    x, y = paired(original, variant)
    n, mx, my = x.size, float(x.mean()), float(y.mean())
    common = _common(x, y, level, "log-ratio delta interval")
    if n < 2 or mx <= 0 or my <= 0:
        note = "undefined" if mx <= 0 else "the log of 0: no interval" if my <= 0 else "one pair"
        return RelativeGain(**common, note=note)
    cov = np.cov(x, y) / n
    variance = cov[0, 0] / mx**2 + cov[1, 1] / my**2 - 2 * cov[0, 1] / (mx * my)
    se = math.sqrt(max(float(variance), 0.0))
    z = float(stats.norm.isf((1 - level) / 2))
    interval = (my / mx * math.exp(-z * se) - 1, my / mx * math.exp(z * se) - 1)
    return RelativeGain(**common, interval=interval, se=se)


@dataclass(frozen=True, kw_only=True, repr=False)
class RatioBootstrap(Resampled):
    """Bootstrap of the relative gain.

    Attributes:
        se: standard deviation of the replicates.
        undefined_share: share of resamples in which the original was 0; they are left out.
    """

    se: float
    undefined_share: float

    label: ClassVar[str] = "relative gain"
    unit: ClassVar[str] = "pairs"
    scale: ClassVar[Scale] = "change"
    notes: ClassVar[Mapping[str, str]] = _NOTES


def ratio_bootstrap(
    original: Any,
    variant: Any,
    *,
    kind: Literal["percentile", "bca"] = "percentile",
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> RatioBootstrap:
    """Relative gain with a bootstrap interval over pairs: the third opinion after Fieller."""
    check_level(level)
    check_repeats(n_resamples=n_resamples)
    check_choice("kind of interval", kind, ("percentile", "bca"))
    x, y = paired(original, variant)
    rng = rng_from(seed)
    stars: list[Array] = []
    for start in range(0, n_resamples, 10_000):
        counts = count_matrix(x.size, min(10_000, n_resamples - start), rng)
        stars.append(safe_divide(counts @ y, counts @ x) - 1)
    replicates = np.concatenate(stars)
    defined = replicates[np.isfinite(replicates)]
    gain = float(safe_divide(y.mean(), x.mean())) - 1
    note = "undefined" if math.isnan(gain) else "one pair: no interval" if x.size < 2 else ""
    interval, se = NO_INTERVAL, math.nan
    if defined.size > 1 and not note:
        alphas: Any = ((1 - level) / 2, (1 + level) / 2)
        if kind == "bca":
            jack = safe_divide(y.sum() - y, x.sum() - x)
            influence = jack[np.isfinite(jack)]
            influence = influence.mean() - influence
            spread = float((influence**2).sum())
            a = float((influence**3).sum()) / (6 * spread**1.5) if spread > 1e-20 else 0.0
            alphas = [float(v) for v in bca_alphas(midtie_z0(defined[:, None], gain)[0], a, level)]
        low, high = np.quantile(defined, alphas)
        interval, se = (float(low), float(high)), float(defined.std(ddof=1))
    return RatioBootstrap(
        estimate=gain,
        interval=interval,
        n=x.size,
        method=f"{kind} bootstrap, {n_resamples} resamples",
        level=level,
        note=note,
        n_resamples=n_resamples,
        se=se,
        undefined_share=1 - defined.size / replicates.size,
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class PaperRelativeGain(Result):
    """Mean of per-task ratios over the tasks whose original is not 0."""

    excluded: tuple[int, ...]
    """Positions of the tasks left out because their original is 0."""

    label: ClassVar[str] = "mean of per-task relative gains"
    unit: ClassVar[str] = "tasks"
    scale: ClassVar[Scale] = "change"


def paper_relative_gain(original: Any, variant: Any) -> PaperRelativeGain:
    """The papers' estimator: the mean over tasks of variant / original - 1.

    It is dominated by the smallest baselines and says nothing about tasks whose original is 0;
    `fieller` on the task means is the one to use.
    """
    x, y = paired(original, variant)
    ratios = safe_divide(y, x) - 1
    defined = np.isfinite(ratios)
    count = int(defined.sum())
    left_out = x.size - count
    return PaperRelativeGain(
        estimate=float(ratios[defined].mean()) if count else math.nan,
        n=count,
        method="mean of ratios",
        note=f"the original scored 0 in {plural(left_out, 'tasks')}, left out here"
        if left_out
        else "",
        excluded=tuple(int(i) for i in np.flatnonzero(~defined)),
    )
