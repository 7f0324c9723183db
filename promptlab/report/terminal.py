"""What the command line prints of a result."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    from promptlab.report.inputs import Results

__all__ = ["result_table", "styled_verdict", "summary_sentences"]

_COLORS = {"better": "bold blue", "worse": "bold red", "equivalent": "green"}
_SIGNS = {"better": "▲ ", "worse": "▼ ", "equivalent": "= "}


def result_table(
    contrasts: pd.DataFrame,
    *,
    conditions: pd.DataFrame | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Table:
    """The macro contrasts as a table for the terminal, one part a panel and kind of contrast.

    Args:
        contrasts: the contrasts table.
        conditions: the conditions table.
        manifest: for `alpha`, `baseline` and `registration`.
    """
    from rich.table import Table
    from rich.text import Text

    from promptlab.report import numbers as say
    from promptlab.report.findings import panel_name
    from promptlab.report.inputs import gather
    from promptlab.report.kinds import heading

    results = gather(scores=None, contrasts=contrasts, conditions=conditions, manifest=manifest)
    outer = Table.grid(padding=(0, 0, 1, 0))
    for panel in results.panels:
        macro = results.macro(panel)
        tasks, items = int(macro["n_tasks"].max()), int(macro["n_items"].max())
        inner = Table(
            title=Text(
                f"{panel_name(results, panel)}: {say.plural(tasks, 'task')}, "
                f"{say.plural(items, 'paired item')}"
            ),
            title_justify="left",
            title_style="bold",
            header_style="dim",
            box=None,
            padding=(0, 2, 0, 0),
        )
        inner.add_column("condition", overflow="fold")
        for name in ("points", f"{results.level} interval", "p adj.", "relative"):
            inner.add_column(name, justify="right", no_wrap=True)
        inner.add_column("verdict", no_wrap=True)
        for row in macro.to_dict("records"):
            inner.add_row(*_cells(row, results.said(row)))
        outer.add_row(inner)
        for kinds in results.kinds:
            if len(rows := results.named_rows(panel, *kinds)):
                outer.add_row(_kind_table(heading(kinds), rows, results))
    return outer


def _kind_table(title: str, rows: pd.DataFrame, results: Results) -> Table:
    """The contrasts of one kind, below those against the baseline."""
    from rich.table import Table
    from rich.text import Text

    inner = Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name in ("condition", "against"):
        inner.add_column(name, overflow="fold")
    for name in ("points", f"{results.level} interval", "p adj."):
        inner.add_column(name, justify="right", no_wrap=True)
    inner.add_column("verdict", no_wrap=True)
    for row in rows.to_dict("records"):
        condition, points, interval, p, _, verdict = _cells(row, results.said(row))
        inner.add_row(condition, Text(str(row["baseline"])), points, interval, p, verdict)
    return inner


def _cells(row: Mapping[Any, Any], said: str) -> list[Text]:
    from rich.text import Text

    from promptlab.report import numbers as say

    verdict = str(row["verdict"])
    gain = say.relative(row["relative_gain"], float("nan"), float("nan"))
    if gain == say.DASH:
        gain = str(row["relative_note"]) or gain
    return [
        Text(str(row["condition"])),
        Text(say.signed(row["difference"])),
        Text(say.interval(row["lower"], row["upper"]) or say.DASH),
        Text(say.pvalue(row["p_adjusted"])),
        Text(gain),
        styled_verdict(verdict, said),
    ]


def styled_verdict(verdict: str, said: str | None = None) -> Text:
    """A verdict, or what is said of it, with its sign and colour."""
    from rich.text import Text

    return Text(_SIGNS.get(verdict, "  ") + (said or verdict), style=_COLORS.get(verdict, "dim"))


def summary_sentences(
    contrasts: pd.DataFrame,
    *,
    scores: pd.DataFrame | None = None,
    best: pd.DataFrame | None = None,
    conditions: pd.DataFrame | None = None,
    sensitivity: pd.DataFrame | None = None,
    manifest: Mapping[str, Any] | None = None,
    topics: Collection[str] = (),
) -> list[str]:
    """What was found, as the page says it; with several panels each sentence names its own.

    Sentences that need a table which is not given are left out.

    Args:
        contrasts: the contrasts table.
        scores: for what is missing.
        best: for the best stimulus per task.
        conditions: for the sentences' texts and the matched controls.
        sensitivity: for the scoring protocols.
        manifest: for `alpha` and `baseline`.
        topics: only these: `verdicts`, `largest`, `detectable`, `controls`, `scoring`, `missing`,
            `best`.
    """
    from promptlab.report.findings import findings, panel_name
    from promptlab.report.inputs import gather

    results = gather(
        scores=scores,
        contrasts=contrasts,
        best=best,
        conditions=conditions,
        sensitivity=sensitivity,
        manifest=manifest,
    )
    several = len(results.panels) > 1
    return [
        f"{panel_name(results, panel)}: {found.text}" if several else found.text
        for panel in results.panels
        for found in findings(results, panel)
        if not topics or found.topic in topics
    ]
