"""The report's section on the wording of instructions, where several were asked."""

from __future__ import annotations

from typing import Any

import pandas as pd

from promptlab.analysis.wording_words import wording_sentence
from promptlab.report import numbers as say
from promptlab.report.inputs import Panel, Results
from promptlab.report.tables import Row, Table

__all__ = ["wording_caption", "wording_finding", "wording_rows", "wording_words"]

_SIGNS = {"better": "▲", "worse": "▼", "equivalent": "="}


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
        text = f"{start}no conclusion changes with the wording"
    else:
        names = [f"{r['condition']}: {r['why']}" for r in changed.to_dict("records")]
        verb = "depends" if len(changed) == 1 else "depend"
        count = f"{len(changed)} of {say.plural(len(rows), 'conclusion')}"
        text = f"{start}{count} {verb} on the wording ({say.joined(names, most=4)})"
    ends = [say.per_cent(share) for share in (rows["opposite"].min(), rows["opposite"].max())]
    share = " to ".join(dict.fromkeys(ends))
    whose = " (by condition)" if len(set(ends)) > 1 else ""
    text += f"; under {share} of the wordings{whose} the difference has the other sign."
    return text, bool(len(changed))


def wording_rows(results: Results, panel: Panel) -> Table:
    """Every condition with its three intervals, and what one wording a task would have shown."""
    rows = [
        Row(
            (
                str(r["condition"]),
                say.count(r["n_wordings"]),
                say.signed(r["difference"]),
                *(_scope(r, scope) for scope in ("items", "wordings", "tasks")),
                say.signed(r["own_difference"]),
                say.interval(r["one_lower"], r["one_upper"]) or say.DASH,
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
        "New wordings",
        "New tasks",
        "Own only",
        "One a task",
        "Verdict",
    )
    notes = (
        "New items: for other items under these very wordings; new wordings: for other items and "
        "wordings of these tasks; new tasks: for other tasks as well. The signs ▲ better, ▼ worse "
        "and = equivalent are of t intervals, not corrected for the number of conditions, so that "
        "only the wording can make them differ. Own only: under the task card's own wording "
        "alone. One a task: the range of 95 % of the differences that these answers give with a "
        "single wording of each instruction.",
    )
    return Table(columns, "lrrrrrrrl", rows, notes if rows else ())


def _scope(row: dict[Any, Any], scope: str) -> str:
    ends = say.interval(row[f"{scope}_lower"], row[f"{scope}_upper"])
    return f"{ends} {_SIGNS.get(str(row[f'{scope}_verdict']), '')}".strip() if ends else say.DASH


def wording_caption(results: Results) -> str:
    """Of the figure."""
    return (
        f"Difference from {results.baseline} under every wording of every task's instruction "
        "(dots; a cross is the task card's own), and of all of them (diamond) with "
        f"{results.level} intervals: thick for new items under these very wordings, thin for "
        "other wordings, and other tasks where there are several. Conclusions that depend on the "
        "wording are bold."
    )
