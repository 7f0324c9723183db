"""What a summary says in plain sentences, and what it cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.contrast_words import points
from promptlab.analysis.macro import no_p_below
from promptlab.analysis.results import format_p

if TYPE_CHECKING:
    from promptlab.analysis.summary import SummaryAnalysis

__all__ = [
    "cell_sentences",
    "condition_sentences",
    "limits",
    "missing_sentences",
    "overall_sentences",
]

_LISTED = 6
"""Names that are written out before the rest is counted."""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _listed(names: Sequence[str]) -> str:
    few = list(names[:_LISTED])
    if len(names) > _LISTED:
        few.append(f"{len(names) - _LISTED} more")
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]}"


def _percent(share: float) -> str:
    return "undefined" if np.isnan(share) else f"{100 * share:+.2f} %"


def _start(found: SummaryAnalysis, row: Mapping[Any, Any]) -> str:
    """What tells the rows of a summary of several models apart."""
    several = [c for c in ("model", "shots") if found.overall[c].nunique() > 1]
    named = [f"{c} {row[c]}" for c in several]
    return f"[{', '.join(named)}] " if named else ""


def overall_sentences(found: SummaryAnalysis) -> list[str]:
    """The baseline, the average condition, and the best condition per task beside its null."""
    out = []
    for row in found.overall.to_dict("records"):
        start, base, count = _start(found, row), row["baseline"], int(row["n_conditions"])
        tasks = _plural(int(row["n_tasks"]), "task")
        out.append(
            f"{start}The mean score of {base} over {tasks} is {100 * row['mean_baseline']:.2f}; "
            f"the mean over {_plural(count, 'condition')} is {100 * row['mean_average']:.2f}, a "
            f"change of {_points(row['average_difference'])} points"
            f"{_interval(row['average_lower'], row['average_upper'], found.alpha)} or "
            f"{_percent(row['average_relative'])}{_tested(row)}."
        )
        out.append(f"{start}{_best(row, base, count, found.alpha)}")
    return out


def _points(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{100 * value:+.2f}"


def _interval(lower: float, upper: float, alpha: float) -> str:
    if not (np.isfinite(lower) and np.isfinite(upper)):
        return ""
    return f" ({100 * (1 - alpha):g} % interval {points(lower)} to {points(upper)})"


def _tested(row: Mapping[Any, Any]) -> str:
    return f" ({format_p(row['average_pvalue'])})" if np.isfinite(row["average_pvalue"]) else ""


def _best(row: Mapping[Any, Any], base: str, count: int, alpha: float) -> str:
    text = (
        f"Choosing the best of {_plural(count, 'condition')} for each task on these very scores "
        f"gives {100 * row['mean_of_max']:.2f}, {_points(row['max_difference'])} points or "
        f"{_percent(row['max_relative'])} over {base}"
    )
    if row["average_difference"] < 0 < row["max_difference"]:
        text += ", although the average condition is below it"
    if np.isnan(row["null_mean"]):
        return f"{text}. How much of that chance alone would give is unknown: {row['null_note']}."
    share = row["null_mean"] / row["max_difference"] if row["max_difference"] > 0 else np.nan
    told = f", {100 * share:.0f} % of it" if np.isfinite(share) else ""
    return (
        f"{text}. With no effect at all the noise of the runs would give "
        f"{_points(row['null_mean'])} points{told} (up to {_points(row['null_upper'])} in 95 % of "
        f"experiments; {format_p(row['null_pvalue'])})."
        + (
            " Such a p value says that the conditions are not all alike, not that one helps."
            if row["null_pvalue"] <= alpha
            else ""
        )
    )


def condition_sentences(found: SummaryAnalysis) -> list[str]:
    """One sentence for every condition over tasks."""
    rows = found.conditions.to_dict("records")
    return [_start(found, row) + _condition(row, found) for row in rows]


def _condition(row: Mapping[Any, Any], found: SummaryAnalysis) -> str:
    tasks = int(row["n_tasks"])
    text = (
        f"{row['condition']} changed the score by {points(row['difference'])} points"
        f"{_interval(row['lower'], row['upper'], found.alpha)} over {_plural(tasks, 'task')}"
    )
    verdict, tests = str(row["verdict"]), int(row["family_size"])
    if verdict in ("better", "worse"):
        p = format_p(float(row["p_adjusted"]))
        return f"{text}: {verdict} ({row['adjust_method']}-adjusted {p}, {_plural(tests, 'test')})."
    if verdict == "equivalent":
        return f"{text}: equivalent within {points(row['margin'], sign=False)} points."
    if verdict == "descriptive":
        return f"{text}: descriptive, no test is possible."
    if np.isfinite(row["detectable"]):
        least = points(row["detectable"], sign=False)
        return f"{text}: inconclusive; this design would have found {least} points."
    if found.tasks == "random" and no_p_below(tasks) > found.alpha / max(tests, 1):
        return (
            f"{text}: inconclusive; {_plural(tasks, 'task')} are too few for any difference to be "
            "found."
        )
    return f"{text}: inconclusive."


def cell_sentences(found: SummaryAnalysis) -> list[str]:
    """One sentence for each task and condition whose runs differ (adjusted)."""
    cells = found.cells
    out = []
    for row in cells[cells["p_adjusted"] <= found.alpha].to_dict("records"):
        out.append(
            f"{_start(found, row)}{row['condition']} moved the runs of {row['task']} by "
            f"{points(row['difference'])} points"
            f"{_interval(row['lower'], row['upper'], found.alpha)}: more than running the same "
            f"prompt again does ({row['adjust_method']}-adjusted "
            f"{format_p(float(row['p_adjusted']))}, {_plural(int(row['family_size']), 'test')})."
        )
    return out


def missing_sentences(found: SummaryAnalysis) -> list[str]:
    """Which means are absent, which were left out, and what was read as what."""
    out = list(found.notes)
    for frame, what in (
        (found.missing, "not in the table"),
        (found.left_out, "left out, for only complete tasks and conditions enter"),
    ):
        for _, rows in frame.groupby(["model", "shots", "condition"], sort=False):
            start, name = _start(found, rows.iloc[0].to_dict()), rows["condition"].iloc[0]
            tasks = [str(t) for t in rows["task"]]
            are = "mean is" if len(tasks) == 1 else "means are"
            out.append(f"{start}{len(tasks)} {are} {what}: {name} on {_listed(tasks)}.")
    return out


def limits(found: SummaryAnalysis) -> list[str]:
    """What can and cannot be concluded from this summary."""
    least, most = found.overall["runs_least"].min(), found.overall["runs_most"].max()
    known = bool(np.isfinite(found.contrasts["run_error"]).any())
    if found.tasks == "random" and found.overall["n_tasks"].max() < 2:
        over = (
            "Cannot be said: anything about other tasks, for there is one. With SDs over runs, "
            "--tasks fixed asks whether new runs of this one would differ."
        )
    elif found.tasks == "random":
        over = (
            "Can be said: what happens over tasks like these. That needs only the mean of each "
            "task, so the intervals and tests over tasks are as good as those of per-item scores."
        )
    else:
        over = (
            "Can be said: what happens when these very tasks are run again. The intervals over "
            "tasks hold the noise of the runs only, not that of other tasks or other items."
        )
    out = [over]
    if known:
        runs = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
        out.append(
            f"Can be said: whether a task's mean moved by more than running the same prompt again "
            f"moves it. Welch's test compares {runs} runs with {runs}, unpaired; it tells nothing "
            "about other items."
        )
    else:
        out.append(
            "Cannot be said: anything about a single task. There is no SD over runs, and one run "
            "has no error of its own."
        )
    out += [
        "Cannot be said: which items were gained or lost. Without per-item scores nothing pairs "
        "inside a task: no McNemar test, no paired interval, no equivalence for a task.",
        "Cannot be said: whether the conditions saw the same items, demonstrations and order. If "
        "they did not, a task's difference holds that draw too, and the null of the best condition "
        "per task is too small.",
        "Cannot be said: whether the way of scoring decides, how many answers failed or were cut "
        "off, or what the best condition is worth on other items (cross-fitting needs the items).",
    ]
    return out
