"""The report's section on the wording of instructions, where several were asked."""

from __future__ import annotations

from typing import Any

import pandas as pd

from promptlab.analysis.wording_sentences import wording_sentence
from promptlab.report import numbers as say
from promptlab.report.inputs import Panel, Results
from promptlab.report.tables import Row, Table

__all__ = ["wording_caption", "wording_finding", "wording_rows", "wording_words"]


def _macro(results: Results, panel: Panel) -> pd.DataFrame:
    rows = results.wordings_of(panel)
    return rows[rows["level"] == "macro"]


def wording_words(results: Results, panel: Panel) -> list[str]:
    """A sentence for each condition."""
    rows = _macro(results, panel).to_dict("records")
    return [say.typeset(wording_sentence(row, alpha=results.alpha)) for row in rows]


def wording_finding(results: Results, panel: Panel) -> tuple[str, bool] | None:
    """What to say first, and whether it limits what may be concluded; None with one wording."""
    rows = _macro(results, panel)
    if rows.empty:
        return None
    tasks, wordings = int(rows["n_tasks"].max()), int(rows["n_wordings"].max())
    changed = rows[rows["flips"].astype(bool)]
    start = f"Under {say.plural(wordings, 'wording')} of {say.plural(tasks, 'instruction')}, "
    if changed.empty:
        who = "its conclusion does" if len(rows) == 1 else f"none of {len(rows)} conclusions does"
        text = f"{start}{who}{' not' if len(rows) == 1 else ''} depend on the wording"
    else:
        names = [f"{r['condition']}: {r['why']}" for r in changed.to_dict("records")]
        verb = "depends" if len(changed) == 1 else "depend"
        count = f"{len(changed)} of {say.plural(len(rows), 'conclusion')}"
        text = f"{start}{count} {verb} on the wording ({say.joined(names, most=4)})"
    low, high = rows["opposite"].min(), rows["opposite"].max()
    share = say.per_cent(low) if len(rows) == 1 else f"{say.per_cent(low)} to {say.per_cent(high)}"
    return f"{text}; {share} of the wordings have the other sign.", bool(len(changed))


def wording_rows(results: Results, panel: Panel) -> Table:
    """Every condition with its three intervals, and what one wording a task would have shown."""
    rows = [
        Row(
            (
                str(r["condition"]),
                f"{say.count(r['n_wordings'])} ({say.plural(int(r['n_tasks']), 'task')})",
                say.signed(r["difference"]),
                *(_scope(r, scope) for scope in ("items", "wordings", "tasks")),
                say.signed(r["own_difference"]),
                say.interval(r["one_lower"], r["one_upper"]) or say.DASH,
                say.per_cent(r["opposite"]),
                str(r["verdict"]),
            ),
            mark="flips" if r["flips"] else "",
        )
        for r in _macro(results, panel).to_dict("records")
    ]
    columns = (
        "Condition",
        "Wordings",
        "Points",
        "New items",
        "And new wordings",
        "And new tasks",
        "Own wording",
        "One wording a task",
        "Other sign",
        "Verdict",
    )
    notes = (
        "Intervals and verdicts of this table are by t and not corrected for the number of "
        "conditions, so that only the wording can make them differ. “One wording a task” holds "
        "95 % of the differences that experiments with a single wording of each instruction "
        "would have found in these answers.",
    )
    return Table(columns, "llrrrrrrrl", rows, notes if rows else ())


def _scope(row: dict[Any, Any], scope: str) -> str:
    ends = say.interval(row[f"{scope}_lower"], row[f"{scope}_upper"])
    return f"{ends} {row[f'{scope}_verdict']}" if ends else say.DASH


def wording_caption(results: Results) -> str:
    """Of the figure."""
    return (
        f"Difference from {results.baseline} under every wording of every task's instruction "
        "(dots; a cross is the task card's own), and of all of them (diamond) with "
        f"{results.level} intervals: thick for new items under these very wordings, thin for "
        "other wordings, and other tasks where there are several. Conclusions that depend on the "
        "wording are bold."
    )
