"""The tables of a report as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from promptlab.analysis import figures
from promptlab.analysis.contrast_kinds import CONTRAST_KINDS
from promptlab.report import numbers as say
from promptlab.report.findings import cell_losses
from promptlab.report.inputs import BAD_SHARE, Panel, Results

__all__ = [
    "Row",
    "Table",
    "baseline_rows",
    "best_rows",
    "cell_rows",
    "condition_rows",
    "count_rows",
    "loss_rows",
    "macro_rows",
    "named_rows",
    "sensitivity_rows",
]

MOST_ROWS = 60
"""Longer lists of cells are cut on the page; the CSV file has all."""


@dataclass(frozen=True)
class Row:
    """Cells of a row as text; `group` is the heading it stands under, `mark` a style."""

    cells: tuple[str, ...]
    group: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table of text. `align` has one letter a column: l or r."""

    columns: tuple[str, ...]
    align: str
    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)
    """What cells of a column mean, where the heading does not say it."""
    left_off: int = 0
    """Rows that are in the CSV file only."""

    def frame(self) -> pd.DataFrame:
        """The table as a data frame of text."""
        return pd.DataFrame([r.cells for r in self.rows], columns=list(self.columns))


def macro_rows(results: Results, panel: Panel) -> Table:
    """Every condition of a panel against the baseline."""
    macro = results.macro(panel)
    headings = figures.headings(macro["valence"])
    several = macro["n_tasks"].nunique() > 1
    rows = []
    for r in macro.to_dict("records"):
        cells = [
            str(r["condition"]),
            say.signed(r["difference"]),
            say.interval(r["lower"], r["upper"]) or say.DASH,
            say.pvalue(r["pvalue"]),
            say.pvalue(r["p_adjusted"]),
            say.relative(
                r["relative_gain"], r["relative_lower"], r["relative_upper"], r["relative_note"]
            ),
            f"{100 * r['detectable']:.1f}" if np.isfinite(r["detectable"]) else say.DASH,
            results.said(r),
        ]
        if several:
            cells.insert(1, say.count(r["n_tasks"]))
        rows.append(Row(tuple(cells), headings[str(r["valence"])], str(r["verdict"])))
    columns = [
        "Condition",
        "Points",
        f"{results.level} interval",
        "p",
        "p adj.",
        "Relative gain",
        "Detectable",
        "Verdict",
    ]
    if several:
        columns.insert(1, "Tasks")
    notes = (_families_note(macro),)
    return Table(tuple(columns), "l" + "r" * (len(columns) - 2) + "l", rows, notes)


def count_rows(results: Results, panel: Panel) -> Table:
    """What was planned and what is missing, and what missing answers do to the differences."""
    columns = (
        "Condition",
        "Planned",
        "Scored",
        "Not answered",
        "Cut off",
        "Unpaired",
        "Points",
        "Missing as wrong",
    )
    macro = results.macro(panel)
    headings = figures.headings(macro["valence"])
    rows = [
        Row(
            (
                str(r["condition"]),
                *(
                    say.count(r[c])
                    for c in ("planned", "scored", "failed", "truncated", "unpaired")
                ),
                say.signed(r["difference"]),
                say.signed(r["missing_as_wrong"]),
            ),
            headings[str(r["valence"])],
        )
        for r in macro.to_dict("records")
    ]
    return Table(columns, "l" + "r" * 7, rows)


def cell_rows(results: Results, panel: Panel) -> Table:
    """The cells that stand out after correction."""
    cells = results.cells(panel)
    strong = cells[cells["p_adjusted"] <= results.alpha]
    strong = strong.sort_values(["p_adjusted", "task", "condition"])
    rows = [
        Row(
            (
                r["task"],
                r["condition"],
                say.signed(r["difference"]),
                say.interval(r["lower"], r["upper"]) or say.DASH,
                say.pvalue(r["p_adjusted"]),
                say.count(r["n_items"]),
                f"+{r['gained']:.0f} / −{r['lost']:.0f}",
            )
        )
        for r in strong.head(MOST_ROWS).to_dict("records")
    ]
    columns = (
        "Task",
        "Condition",
        "Points",
        f"{results.level} interval",
        "p adj.",
        "Items",
        "Gained / lost",
    )
    return Table(columns, "llrrrrr", rows, left_off=max(0, len(strong) - MOST_ROWS))


def baseline_rows(results: Results, panel: Panel) -> Table:
    """Score of the baseline on every task."""
    table = figures.baseline_table(
        results.scores,
        model=panel.model,
        shots=panel.shots,
        condition=results.baseline,
        alpha=results.alpha,
    )
    low = dict(zip(results.tasks["task"], results.tasks["low"], strict=True))
    rows = []
    for r in table.to_dict("records"):
        ends = f"{100 * r['lower']:.0f} to {100 * r['upper']:.0f}"
        chance = float(low.get(r["task"], np.nan))
        rows.append(
            Row(
                (
                    r["task"],
                    f"{r['metric']} ({r['protocol']})",
                    f"{100 * r['mean']:.1f}" if np.isfinite(r["mean"]) else say.DASH,
                    ends if np.isfinite(r["lower"]) else say.DASH,
                    f"{100 * chance:.0f}" if chance > 0 else say.DASH,
                    say.count(r["n_items"]),
                )
            )
        )
    columns = ("Task", "Metric", "Score (%)", f"{results.level} interval", "Chance (%)", "Items")
    return Table(columns, "llrrrr", rows)


def named_rows(results: Results, panel: Panel, kinds: Sequence[str]) -> Table:
    """The contrasts of one kind, or all of one's own: one side against the other."""
    table = results.named_rows(panel, *kinds)
    own = kinds[0] not in CONTRAST_KINDS
    if table.empty:
        return Table((), "", ())
    several = table["n_tasks"].nunique() > 1
    rows = []
    for r in table.to_dict("records"):
        cells = [
            str(r["condition"]),
            str(r["baseline"]),
            say.signed(r["difference"]),
            say.interval(r["lower"], r["upper"]) or say.DASH,
            say.pvalue(r["pvalue"]),
            say.pvalue(r["p_adjusted"]),
            f"{100 * r['detectable']:.1f}" if np.isfinite(r["detectable"]) else say.DASH,
            results.said(r),
        ]
        if several:
            cells.insert(2, say.count(r["n_tasks"]))
        rows.append(Row(tuple(cells), str(r["contrast"]) if own else "", str(r["verdict"])))
    columns = [
        "Condition",
        "Against",
        "Points",
        f"{results.level} interval",
        "p",
        "p adj.",
        "Detectable",
        "Verdict",
    ]
    if several:
        columns.insert(2, "Tasks")
    notes = (_families_note(table),)
    return Table(tuple(columns), "ll" + "r" * (len(columns) - 3) + "l", rows, notes)


def _families_note(rows: pd.DataFrame) -> str:
    """Which tests gave the p values, and who shares an error rate with whom."""
    families = []
    for (family, method), part in rows.groupby(["family", "adjust_method"], sort=False):
        size = int(part["family_size"].max())
        if not size:
            continue
        by = "not adjusted" if method in ("", "none") else f"by {method}"
        families.append(f"{family} {by}, {say.plural(size, 'test')}")
    if not families:
        return "No test is possible here: these rows are descriptive."
    tests = [t for t in rows["test_method"].unique() if t not in ("", "none")]
    how = f"p: {say.joined(tests)}. " if tests else ""
    return (
        f"{how}p adj.: adjusted within families: {'; '.join(families)}. Detectable: the smallest "
        "true difference, in points, that the verdict would find with 80 % power."
    )


def best_rows(results: Results, panel: Panel) -> Table:
    """The best stimulus per task, never without what no effect would give."""
    rows = []
    best = results.best
    if {"mean_of_max", "null_mean"} <= set(best.columns):
        keep = (best["model"] == panel.model) & (best["shots"] == panel.shots)
        keep &= best["n_stimuli"] > 1
        for r in best[keep].to_dict("records"):
            excluded = r.get("excluded_tasks", 0)
            excluded = (
                len(excluded) if isinstance(excluded, list | tuple | np.ndarray) else excluded
            )
            relative = say.relative(r.get("relative", np.nan), np.nan, np.nan)
            null = say.relative(r.get("relative_null_mean", np.nan), np.nan, np.nan)
            rows.append(
                Row(
                    (
                        str(r["protocol"]),
                        say.count(r["n_stimuli"]),
                        say.count(r["n_tasks"]),
                        say.signed(r["mean_of_max"]),
                        f"{say.signed(r['null_mean'])} (95th percentile "
                        f"{say.signed(r['null_upper'])})",
                        say.pvalue(r["pvalue"]),
                        relative,
                        null,
                        say.count(excluded),
                    )
                )
            )
    columns = (
        "Protocol",
        "Stimuli",
        "Tasks",
        "Best per task",
        "With no effect at all",
        "p",
        "Relative",
        "Relative, no effect",
        "Excluded",
    )
    return Table(columns, "lrrrrrrrr", rows)


def sensitivity_rows(results: Results, panel: Panel) -> Table:
    """Every condition under the primary and each other protocol."""
    table = results.second_scoring(panel.model, panel.shots)
    rows = [
        Row(
            (
                str(r["condition"]),
                f"{r['reference']} / {r['protocol']}",
                say.count(r["n_tasks"]),
                f"{say.signed(r['reference_difference'])} "
                f"{say.interval(r['reference_lower'], r['reference_upper'])}",
                f"{say.signed(r['difference'])} {say.interval(r['lower'], r['upper'])}",
                f"{r['reference_verdict']} → {r['verdict']}" if r["flips"] else str(r["verdict"]),
            ),
            mark="flips" if r["flips"] or r["difference"] * r["reference_difference"] < 0 else "",
        )
        for r in table.to_dict("records")
    ]
    columns = ("Condition", "Protocols", "Tasks", "Primary, points", "Second, points", "Verdict")
    return Table(columns, "llrrrl", rows)


def loss_rows(results: Results, panel: Panel) -> Table:
    """Cells that lost more answers than they should."""
    cells = cell_losses(results.primary_scores(panel))
    bad = cells[cells["share"] > BAD_SHARE]
    rows = [
        Row(
            (
                r["task"],
                r["condition"],
                say.count(r["planned"]),
                say.count(r["failed"]),
                say.count(r["truncated"]),
                say.per_cent(r["share"]),
            )
        )
        for r in bad.head(MOST_ROWS).to_dict("records")
    ]
    columns = ("Task", "Condition", "Planned", "Not answered", "Cut off", "Lost")
    return Table(columns, "llrrrr", rows, left_off=max(0, len(bad) - MOST_ROWS))


def condition_rows(results: Results) -> Table:
    """The sentences themselves."""
    known = results.conditions
    if not {"text", "valence"} <= set(known.columns):
        return Table((), "", ())
    lines = figures.by_valence(known)
    records = {r["condition"]: r for r in known.to_dict("records")}
    headings = figures.headings(known["valence"])
    rows = [
        Row(
            (
                line.key,
                str(records[line.key].get("text") or ""),
                str(records[line.key].get("library") or ""),
                str(records[line.key].get("matched_to") or ""),
            ),
            headings.get(line.group, ""),
        )
        for line in lines
        if line.key and str(records[line.key].get("text") or "")
    ]
    return Table(("Condition", "Sentence", "Library", "Matched to"), "llll", rows)
