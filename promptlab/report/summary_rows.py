"""The tables of a summary as text, for the page and the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from promptlab.analysis import figures
from promptlab.report import numbers as say
from promptlab.report.tables import Row, Table

if TYPE_CHECKING:
    from promptlab.analysis.summary import SummaryAnalysis

__all__ = ["cell_rows", "gain", "level_of", "overall_rows", "part_title", "summary_rows"]

_MOST_CELLS = 40
"""Longer lists of tasks are cut on the page; the CSV file has all."""


def part_title(found: SummaryAnalysis, row: dict[Any, Any]) -> str:
    """What tells the parts of a summary of several models apart; nothing if there is one."""
    if len(found.overall) == 1:
        return ""
    return f"{row['model']}, {figures.shots_text(int(row['shots']))}"


def level_of(found: SummaryAnalysis) -> str:
    """Level of the intervals: `95 %`."""
    return f"{100 * (1 - found.alpha):g} %"


def overall_rows(found: SummaryAnalysis) -> Table:
    """The baseline, the average condition and the best per task, beside the null."""
    rows = []
    for r in found.overall.to_dict("records"):
        group = part_title(found, r)
        low, high = r["average_lower"], r["average_upper"]
        rows += [
            Row((str(r["baseline"]), _score(r["mean_baseline"]), say.DASH, say.DASH, ""), group),
            Row(
                (
                    f"mean over {say.plural(int(r['n_conditions']), 'condition')}",
                    _score(r["mean_average"]),
                    say.signed(r["average_difference"], 2),
                    gain(r["average_relative"]),
                    f"{level_of(found)} interval {say.interval(low, high) or say.DASH}",
                ),
                group,
            ),
            Row(
                (
                    "best condition of each task",
                    _score(r["mean_of_max"]),
                    say.signed(r["max_difference"], 2),
                    gain(r["max_relative"]),
                    "chosen on these very scores",
                ),
                group,
                "flips",
            ),
        ]
        if pd.notna(r["null_mean"]):
            rows.append(
                Row(
                    (
                        "the same with no effect at all",
                        _score(r["mean_baseline"] + r["null_mean"]),
                        say.signed(r["null_mean"], 2),
                        gain(r["null_mean"] / r["mean_baseline"]) if r["mean_baseline"] else "",
                        f"up to {say.signed(r['null_upper'], 2)} in 95 % of experiments; "
                        f"{say.said_p(r['null_pvalue'])}",
                    ),
                    group,
                )
            )
    columns = ("Over tasks", "Score", "Points", "Relative", "")
    return Table(columns, "lrrrl", rows)


def _score(value: float) -> str:
    return f"{100 * value:.2f}"


def gain(share: float) -> str:
    """A relative gain with two decimals: `+7.07 %`."""
    return say.DASH if pd.isna(share) else f"{say.signed(share, 2)} %"


def summary_rows(found: SummaryAnalysis, macro: pd.DataFrame) -> Table:
    """Every condition against the baseline over tasks."""
    rows = []
    for r in macro.to_dict("records"):
        cells = (
            str(r["condition"]),
            say.signed(r["difference"]),
            say.interval(r["lower"], r["upper"]) or say.DASH,
            say.pvalue(r["pvalue"]),
            say.pvalue(r["p_adjusted"]),
            say.relative(r["relative_gain"], np.nan, np.nan, r["relative_note"]),
            f"{100 * r['detectable']:.1f}" if pd.notna(r["detectable"]) else say.DASH,
            f"±{100 * r['run_error']:.1f}" if pd.notna(r["run_error"]) else say.DASH,
            _pooled(r),
            str(r["verdict"]),
        )
        rows.append(Row(cells, "", str(r["verdict"])))
    columns = (
        *("Condition", "Points", f"{level_of(found)} interval", "p", "p adj.", "Relative gain"),
        *("Detectable", "Run error", "Random effects", "Verdict"),
    )
    first = macro.iloc[0]
    methods = " and ".join(
        f"{family} by {method}, {say.plural(int(part['family_size'].max()), 'test')}"
        for (family, method), part in macro.groupby(["family", "adjust_method"], sort=False)
    )
    excluded = int(first["n_tasks"]) - int(macro["pooled_tasks"].fillna(0).min())
    note = (
        f"p: {first['test_method']}. p adj.: {methods}. Detectable: the smallest true difference, "
        "in points, that the verdict would find with 80 % power. Run error: standard error of the "
        "difference from the runs alone. Random effects: the tasks weighted by their run error "
        "(DerSimonian and Laird), as a second opinion"
        + (
            f"; up to {say.plural(excluded, 'task')} without run error left out."
            if excluded
            else "."
        )
    )
    return Table(columns, "l" + "r" * 8 + "l", rows, (note,))


def _pooled(row: dict[Any, Any]) -> str:
    ends = say.interval(row["pooled_lower"], row["pooled_upper"])
    return f"{say.signed(row['pooled'])} {ends}".strip()


def cell_rows(found: SummaryAnalysis, cells: pd.DataFrame) -> Table:
    """Tasks whose runs differ, by adjusted p and size."""
    strong = cells[cells["p_adjusted"] <= found.alpha]
    order = strong["difference"].abs().sort_values(ascending=False, kind="stable").index
    strong = strong.loc[order]
    rows = [
        Row(
            (
                str(r["task"]),
                str(r["condition"]),
                _score(r["mean_baseline"]),
                _score(r["mean_condition"]),
                say.signed(r["difference"]),
                say.interval(r["lower"], r["upper"]),
                say.pvalue(r["p_adjusted"]),
            )
        )
        for r in strong.head(_MOST_CELLS).to_dict("records")
    ]
    baseline = str(found.overall["baseline"].iloc[0])
    columns = ("Task", "Condition", baseline, "Score", "Points", f"{level_of(found)} interval")
    return Table((*columns, "p adj."), "ll" + "r" * 5, rows, (), max(0, len(strong) - _MOST_CELLS))
