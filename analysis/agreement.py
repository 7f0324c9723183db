"""Agreement between raters: Krippendorff's alpha, intraclass correlations, Fleiss' kappa."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_counts, check_level
from promptlab.analysis.arrays import Array, Seed, rng_from, safe_divide
from promptlab.analysis.bootstrap import count_matrix
from promptlab.analysis.intervals import critical_z
from promptlab.analysis.results import NO_INTERVAL, Resampled, Result
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FleissKappa",
    "Icc",
    "KrippendorffAlpha",
    "fleiss_kappa",
    "intraclass_correlations",
    "krippendorff_alpha",
]

Scale = Literal["nominal", "ordinal", "interval", "ratio"]
_BLOCK = 500
_SCALES = ("nominal", "ordinal", "interval", "ratio")


@dataclass(frozen=True, kw_only=True, repr=False)
class KrippendorffAlpha(Resampled):
    """Krippendorff's alpha with a bootstrap interval over units.

    Attributes:
        ratings: values in units with at least two of them.
        undefined_share: share of resamples in which alpha was undefined; they are left out.
    """

    ratings: int
    undefined_share: float

    label: ClassVar[str] = "Krippendorff's alpha"
    unit: ClassVar[str] = "units"


def krippendorff_alpha(
    ratings: Any,
    scale: Scale = "ordinal",
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: Seed = 0,
) -> KrippendorffAlpha:
    """Krippendorff's alpha (2011) from the coincidence matrix of observed values.

    The interval is the percentile bootstrap over units (Zapf et al. 2016); a unit keeps all its
    ratings.

    Args:
        ratings: units x raters, NaN = not rated. Units with one rating tell nothing.
        scale: `nominal`, `ordinal`, `interval` or `ratio`.
        level: of the interval.
        n_resamples: of the units; 0 for no interval.
        seed: of the resamples.

    Returns:
        The estimate is NaN, with a note, when all ratings are equal or no unit has two.
    """
    check_counts(n_resamples=n_resamples)
    if scale not in _SCALES:
        raise UnknownName("scale", str(scale), _SCALES)
    critical_z(level)
    table = _ratings(ratings)
    there = np.isfinite(table)
    table = table[there.sum(axis=1) >= 2]
    values = np.unique(table[np.isfinite(table)])
    common: dict[str, Any] = {"n": table.shape[0], "level": level, "n_resamples": n_resamples}
    common["ratings"] = int(np.isfinite(table).sum())
    if scale == "ratio" and values.size and values[0] < 0:
        raise UserError("a ratio scale has no negative ratings; use scale='interval'")
    if values.size < 2:
        note = (
            "undefined: all ratings are equal" if values.size else "undefined: no pair of ratings"
        )
        return KrippendorffAlpha(
            **common,
            estimate=math.nan,
            method=f"{scale} scale",
            note=note,
            undefined_share=math.nan,
        )
    counts = (table[:, :, None] == values).sum(axis=1).astype(np.float64)
    estimate = float(_alphas(counts, values, scale, np.ones((1, counts.shape[0])))[0])
    interval, undefined, note = NO_INTERVAL, 0.0, ""
    if n_resamples:
        rng = rng_from(seed)
        blocks = [min(_BLOCK, n_resamples - start) for start in range(0, n_resamples, _BLOCK)]
        stars = np.concatenate(
            [
                _alphas(counts, values, scale, count_matrix(table.shape[0], block, rng))
                for block in blocks
            ]
        )
        defined = stars[np.isfinite(stars)]
        undefined = 1 - defined.size / stars.size
        if defined.size > 1 and table.shape[0] > 1:
            low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
            interval = (float(low), float(high))
            if undefined > 0.01:
                note = f"alpha was undefined in {100 * undefined:.2g} % of the resamples"
        else:
            note = "one unit: no interval"
    return KrippendorffAlpha(
        **common,
        estimate=estimate,
        interval=interval,
        method=f"{scale} scale"
        + (f", bootstrap over units, {n_resamples} resamples" if n_resamples else ""),
        note=note,
        undefined_share=undefined,
    )


def _alphas(counts: Array, values: Array, scale: Scale, times: Array) -> Array:
    """Alpha of resamples of units; `times` (resamples x units) is how often each was drawn.

    With squared distances of positions (the values, or their mean ranks) the sums over pairs are
    sums of squares; the other two scales have a fixed distance of every two values.
    """
    size = counts.sum(axis=1)
    totals = times @ counts
    n = totals.sum(axis=1)
    if scale in ("nominal", "ratio"):
        distance = _distance(values, scale)
        observed = times @ (((counts @ distance) * counts).sum(axis=1) / (size - 1))
        expected = ((totals @ distance) * totals).sum(axis=1) / (n - 1)
    else:
        place = np.broadcast_to(values, totals.shape)
        if scale == "ordinal":
            place = np.cumsum(totals, axis=1) - totals / 2
        place = place - (totals * place).sum(axis=1, keepdims=True) / n[:, None]
        own = size * (place**2 @ counts.T) - (place @ counts.T) ** 2
        observed = 2 * (times * own / (size - 1)).sum(axis=1)
        expected = 2 * n * (totals * place**2).sum(axis=1) / (n - 1)
    flat = (totals > 0).sum(axis=1) < 2
    return 1 - safe_divide(observed, np.where(flat, np.nan, expected))


def _distance(values: Array, scale: Scale) -> Array:
    """Squared distances between values that do not depend on how often they occur."""
    a, b = values[:, None], values[None, :]
    if scale == "nominal":
        return np.asarray(a != b, dtype=np.float64)
    return np.where((a + b) == 0, 0.0, safe_divide(a - b, a + b) ** 2)


@dataclass(frozen=True, kw_only=True, repr=False)
class Icc(Result):
    """An intraclass correlation of Shrout and Fleiss (1979); `pvalue` is that of its F test."""

    f: float

    unit: ClassVar[str] = "targets"


def intraclass_correlations(ratings: Any, *, level: float = 0.95) -> dict[str, Icc]:
    """ICC1, ICC2, ICC3 (one rater) and ICC1k, ICC2k, ICC3k (mean of k raters).

    1: raters differ by target; 2: raters are a random sample; 3: these raters only.

    Args:
        ratings: targets x raters, complete.
        level: of the intervals.

    Returns:
        By name. Where all targets have the same mean, nothing is between them: F is 0, one rater's
        correlation is as low as it can be, and that of the mean of k raters is NaN, with a note.

    Raises:
        UserError: ratings are missing, or raters agree perfectly.
    """
    check_level(level)
    table = _ratings(ratings)
    n, k = table.shape
    if not np.isfinite(table).all() or n < 2 or k < 2:
        raise UserError("ICC needs every rating of at least two targets by two raters")
    grand = table.mean()
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    ms_b = k * float(((rows - grand) ** 2).sum()) / (n - 1)
    ms_w = float(((table - rows[:, None]) ** 2).sum()) / (n * (k - 1))
    ms_j = n * float(((columns - grand) ** 2).sum()) / (k - 1)
    left = table - rows[:, None] - columns[None, :] + grand
    ms_e = float((left**2).sum()) / ((n - 1) * (k - 1))
    if ms_w < 1e-15 or ms_e < 1e-15:
        raise UserError("ICC is undefined: raters agree perfectly, or ratings do not vary")
    flat = ms_b <= 1e-12 * (ms_w + ms_j)
    if flat:
        ms_b = 0.0  # what is left of it is rounding
    q = (1 + level) / 2
    df1, df_w, df_e = n - 1, n * (k - 1), (n - 1) * (k - 1)

    def simple(error: float, df: int) -> tuple[float, float, float, float, float]:
        f = ms_b / error
        low = f / float(stats.f.ppf(q, df1, df))
        high = f * float(stats.f.ppf(q, df, df1))
        return (
            (ms_b - error) / (ms_b + (k - 1) * error),
            f,
            float(stats.f.sf(f, df1, df)),
            low,
            high,
        )

    out: dict[str, Icc] = {}
    for number, error, df in (("1", ms_w, df_w), ("3", ms_e, df_e)):
        icc, f, p, low, high = simple(error, df)
        one = (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)
        out[f"ICC{number}"] = _icc(f"ICC{number}", icc, f, p, one, n, level)
        many = 1 - _over(1, low), 1 - _over(1, high)
        mean = 1 - _over(error, ms_b)
        out[f"ICC{number}k"] = _icc(f"ICC{number}k", mean, f, p, many, n, level)

    two = _over(ms_b - ms_e, ms_b + (k - 1) * ms_e + k * (ms_j - ms_e) / n)
    f_j = ms_j / ms_e
    rest = n * (1 + (k - 1) * two) - k * two
    v = _over(df_e * (k * two * f_j + rest) ** 2, df1 * (k * two * f_j) ** 2 + rest**2)
    up, down = float(stats.f.ppf(q, df1, v)), float(stats.f.ppf(q, v, df1))
    shared = k * ms_j + (k * n - k - n) * ms_e
    low = _over(n * (ms_b - up * ms_e), up * shared + n * ms_b)
    high = _over(n * (down * ms_b - ms_e), shared + n * down * ms_b)
    f, p = out["ICC3"].f, out["ICC3"].pvalue
    out["ICC2"] = _icc("ICC2", two, f, p, (low, high), n, level)
    mean_two = math.nan if flat else _over(ms_b - ms_e, ms_b + (ms_j - ms_e) / n)
    stretched = _over(low * k, 1 + low * (k - 1)), _over(high * k, 1 + high * (k - 1))
    out["ICC2k"] = _icc("ICC2k", mean_two, f, p, stretched, n, level)
    return dict(sorted(out.items()))


def _over(a: float, b: float) -> float:
    """A quotient; NaN where it has none."""
    return a / b if b else math.nan


def _icc(
    name: str, icc: float, f: float, p: float, interval: tuple[float, float], n: int, level: float
) -> Icc:
    undefined = math.isnan(icc)
    return Icc(
        estimate=icc,
        interval=NO_INTERVAL if undefined else interval,
        pvalue=p,
        n=n,
        method=f"{name} (Shrout and Fleiss)",
        level=level,
        f=f,
        note="undefined: the ratings do not differ between targets" if undefined else "",
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class FleissKappa(Result):
    """Fleiss' kappa.

    Attributes:
        se0: standard error under kappa = 0 (Fleiss, Nee and Landis 1979).
        z: kappa / se0.
        observed: share of agreeing pairs of raters.
        expected: that share by chance.
    """

    se0: float
    z: float
    observed: float
    expected: float

    label: ClassVar[str] = "Fleiss' kappa"
    unit: ClassVar[str] = "units"


def fleiss_kappa(ratings: Any) -> FleissKappa:
    """Fleiss' (1971) kappa of complete nominal ratings, units x raters.

    NaN, with a note, when all ratings are equal.
    """
    table = _ratings(ratings)
    n, raters = table.shape
    if not np.isfinite(table).all() or raters < 2:
        raise UserError("Fleiss' kappa needs every rating of at least two raters")
    counts = (table[:, :, None] == np.unique(table)).sum(axis=1)
    share = counts.sum(axis=0) / (n * raters)
    observed = float(((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean())
    expected = float((share**2).sum())
    spread = float((share * (1 - share)).sum())
    if spread < 1e-12:
        return FleissKappa(
            estimate=math.nan,
            n=n,
            method="Fleiss' kappa",
            note="undefined: all ratings are equal",
            se0=math.nan,
            z=math.nan,
            observed=observed,
            expected=expected,
        )
    skew = float((share * (1 - share) * (1 - 2 * share)).sum())
    se0 = math.sqrt(2 / (n * raters * (raters - 1)) * (spread**2 - skew)) / spread
    kappa = (observed - expected) / (1 - expected)
    return FleissKappa(
        estimate=kappa,
        pvalue=float(2 * stats.norm.sf(abs(kappa) / se0)),
        n=n,
        method="Fleiss' kappa, z under kappa = 0",
        se0=se0,
        z=kappa / se0,
        observed=observed,
        expected=expected,
    )


def _ratings(ratings: Any | pd.DataFrame) -> Array:
    try:
        table = np.asarray(ratings, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError("ratings must be numbers, units x raters; NaN = not rated") from None
    if table.ndim != 2 or table.size == 0:
        raise UserError("ratings must be a table: units x raters")
    return table
