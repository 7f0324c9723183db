"""A plain-language sentence for every contrast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.contrast_kinds import CONTRAST_KINDS
from promptlab.analysis.macro import no_p_below
from promptlab.analysis.results import format_p

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best_sentences", "points", "sentence", "sentences"]


_DISAGREE = (
    ", although the interval leaves 0 out: it is that of this comparison alone, and the adjusted "
    "test does not reject ({adjusted}, {tests})",
    ", although the interval, by another method than the test, does not leave 0 out",
)
"""What is said where the interval and the test do not agree."""


def points(value: float, *, sign: bool = True) -> str:
    """A difference in score units as points with one decimal: 0.012 is `+1.2`."""
    if np.isnan(value):
        return "undefined"
    shown = f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"
    return shown.replace("+0.0", "0.0").replace("-0.0", "0.0")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sentence(contrast: Mapping[Any, Any], *, what: str = "accuracy", alpha: float = 0.05) -> str:
    """One row of a contrasts table as a sentence.

    Args:
        contrast: a row (Series or mapping) as `contrasts` returns it.
        what: the name of the score.
        alpha: level of the table's intervals and verdicts.
    """
    row = contrast
    name, verdict = str(row["condition"]), str(row["verdict"])
    items = int(row["n_items"])
    if row["level"] == "macro":
        where = f"over {_plural(int(row['n_tasks']), 'task')}"
    else:
        where = f"on {row['task']} ({_plural(items, 'item')})"
    if items == 0:
        return (
            f"{name} could not be compared {where}: no item has a score under both "
            f"{name} and {row['baseline']}."
        )
    if str(row.get("contrast", "vs_original")) != "vs_original":
        return f"{_against(row, alpha, where)}: {_verdict(row, verdict, alpha)}{_losses(row)}."
    if int(row["gained"]) == 0 and int(row["lost"]) == 0:
        start = f"{name} changed no score {_none_moved(row, where)}"
    else:
        start = f"{name} changed {what} by {points(row['difference'])} points"
        start += f"{_interval(row, alpha)} {where}"
    return f"{start}: {_verdict(row, verdict, alpha)}{_losses(row)}."


def _against(row: Mapping[Any, Any], alpha: float, where: str) -> str:
    """`EP02 against its neutral control (EP02-neutral): +1.2 points (...) over 24 tasks`."""
    kind, other = str(row["contrast"]), str(row["baseline"])
    if kind == "vs_control":
        several = other.startswith("matched controls")
        other = "their matched controls" if several else f"its neutral control ({other})"
    name = str(row["condition"])
    start = (
        f"{name} against {other}" if kind in CONTRAST_KINDS else f"{kind} ({name} against {other})"
    )
    if int(row["gained"]) == 0 and int(row["lost"]) == 0:
        return f"{start}: no score differs {_none_moved(row, where)}"
    return f"{start}: {points(row['difference'])} points{_interval(row, alpha)} {where}"


def _none_moved(row: Mapping[Any, Any], where: str) -> str:
    """Where, and of how many items; one task's items are already counted."""
    if row["level"] != "macro":
        return where
    return f"{where} (0 of {_plural(int(row['n_items']), 'item')})"


def _interval(row: Mapping[Any, Any], alpha: float) -> str:
    if not (np.isfinite(row["lower"]) and row["lower"] < row["upper"]):
        return ""
    return f" ({100 * (1 - alpha):g} % interval {points(row['lower'])} to {points(row['upper'])})"


def _verdict(row: Mapping[Any, Any], verdict: str, alpha: float) -> str:
    tests = int(row["family_size"])
    if verdict in ("better", "worse"):
        adjusted = format_p(float(row["p_adjusted"]))
        how = str(row["adjust_method"]).partition(",")[0]
        said = f"{verdict} ({how}-adjusted {adjusted}, {_plural(tests, 'test')})"
        return said + (_DISAGREE[1] if not _leaves_out_zero(row) else "")
    if verdict == "equivalent":
        return f"equivalent within {points(row['margin'], sign=False)} points"
    if verdict == "descriptive":
        return "descriptive, no test is possible"
    if verdict == "inconclusive" and row["lower"] < row["upper"] and _leaves_out_zero(row):
        adjusted = format_p(float(row["p_adjusted"]))
        verdict += _DISAGREE[0].format(adjusted=adjusted, tests=_plural(tests, "test"))
    if np.isfinite(row["detectable"]):
        found = points(row["detectable"], sign=False)
        return f"{verdict}; this design would have found {found} points"
    count = int(row["n_tasks"])
    few = row["level"] == "macro" and count > 1 and no_p_below(count) > alpha / max(tests, 1)
    few = few and bool(row["lower"] < row["upper"])
    if few and str(row["test_method"]).startswith("sign-flip"):
        alone = tests < 2 or no_p_below(count) > alpha
        shared = "" if alone else f" shared by {_plural(tests, 'test')}"
        return f"{verdict}; {count} tasks are too few for any difference to reach {alpha:g}{shared}"
    return verdict


def _leaves_out_zero(row: Mapping[Any, Any]) -> bool:
    """Whether the interval excludes 0, or there is no interval to say so."""
    lower, upper = float(row["lower"]), float(row["upper"])
    return lower > 0 or upper < 0 or not lower < upper


def _losses(row: Mapping[Any, Any]) -> str:
    """What is missing from the comparison, if anything is."""
    parts = [
        f"{int(row[column])} {word}"
        for column, word in (
            ("failed", "failed"),
            ("truncated", "truncated"),
            ("unpaired", "unpaired"),
        )
        if int(row[column])
    ]
    if not parts:
        return ""
    wrong = float(row["missing_as_wrong"])
    note = f" ({', '.join(parts)} of {int(row['planned'])} planned"
    return note + (
        f"; {points(wrong)} points if missing counts as wrong)" if wrong == wrong else ")"
    )


def sentences(
    contrasts: pd.DataFrame,
    *,
    level: str | None = "macro",
    what: str = "accuracy",
    alpha: float = 0.05,
) -> list[str]:
    """A sentence for every row of that level (`macro`, `cell`, or None for all).

    Where the table has several models, shots or protocols, each sentence begins with its own.
    """
    rows = contrasts if level is None else contrasts[contrasts["level"] == level]
    context = _context(rows)
    return [context(row) + sentence(row, what=what, alpha=alpha) for row in rows.to_dict("records")]


def _context(rows: pd.DataFrame) -> Callable[[Mapping[Any, Any]], str]:
    """What tells the rows of a table apart besides the condition, as the start of a sentence."""
    varying = [c for c in ("model", "shots", "protocol") if rows[c].nunique() > 1]

    def start(row: Mapping[Any, Any]) -> str:
        named = [_plural(int(row[c]), "shot") if c == "shots" else f"{c} {row[c]}" for c in varying]
        return f"[{', '.join(named)}] " if named else ""

    return start


def best_sentences(best: pd.DataFrame) -> list[str]:
    """A sentence for each row of a best-of-stimuli table, with the null beside the number."""
    context = _context(best)
    return [context(row) + _best(row) for row in best.to_dict("records")]


def _best(row: Mapping[Any, Any]) -> str:
    if np.isnan(row["mean_of_max"]):
        return "No item was scored under every stimulus: the best per task cannot be given."
    return (
        f"Choosing the best of {int(row['n_stimuli'])} stimuli for each of "
        f"{_plural(int(row['n_tasks']), 'task')} gives {points(row['mean_of_max'])} points over "
        f"the original; with no effect at all it would give {points(row['null_mean'])} (up to "
        f"{points(row['null_upper'])} in 95 % of experiments), {format_p(float(row['pvalue']))}."
    )
