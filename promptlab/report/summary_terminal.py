"""What the command line prints of a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from promptlab.analysis.summary import SummaryAnalysis

__all__ = ["print_summary", "summary_table"]


def print_summary(console: Console, found: SummaryAnalysis) -> None:
    """The tables, then every sentence under what it is about."""
    from promptlab.analysis import summary_words as words

    console.print(summary_table(found))
    for heading, sentences in (
        ("Found", words.overall_sentences(found) + words.condition_sentences(found)),
        ("What a summary can and cannot say", words.limits(found)),
        ("How the file was read", words.missing_sentences(found)),
    ):
        if sentences:
            console.print(heading, style="bold")
            for sentence in sentences:
                console.print(sentence, markup=False)
            console.print()


def summary_table(found: SummaryAnalysis) -> Table:
    """The differences over tasks and the best per task, one part a model and shots."""
    from rich.table import Table
    from rich.text import Text

    from promptlab.report.numbers import plural
    from promptlab.report.summary_rows import overall_rows, summary_rows
    from promptlab.report.terminal import styled_verdict

    outer = Table.grid(padding=(0, 0, 1, 0))
    macro = found.conditions
    overall = overall_rows(found)
    several = len(found.overall) > 1
    for row in found.overall.to_dict("records"):
        mine = macro[(macro["model"] == row["model"]) & (macro["shots"] == row["shots"])]
        shown = summary_rows(found, mine)
        where = f"{row['model']}, {row['shots']} shots: " if several else ""
        title = f"{where}{plural(int(row['n_tasks']), 'task')}, means without items"
        inner = Table(
            title=Text(title), title_justify="left", title_style="bold", header_style="dim",
            box=None, padding=(0, 2, 0, 0),
        )  # fmt: skip
        wanted = [0, 1, 2, 4, 5, 8]
        for at in wanted:
            right = shown.align[at] == "r"
            inner.add_column(
                shown.columns[at].lower(), justify="right" if right else "left", no_wrap=True
            )
        for line, values in zip(shown.rows, mine.to_dict("records"), strict=True):
            cells = [Text(line.cells[at]) for at in wanted[:-1]]
            inner.add_row(*cells, styled_verdict(str(values["verdict"])))
        outer.add_row(inner)
    best = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=True)
    for name, align in zip(overall.columns, overall.align, strict=True):
        right = align == "r"
        best.add_column(name.lower(), justify="right" if right else "left", no_wrap=right)
    group = ""
    for line in overall.rows:
        if line.group and line.group != group:
            group = line.group
            best.add_row(Text(group, style="bold"))
        best.add_row(*(Text(cell) for cell in line.cells))
    outer.add_row(best)
    return outer
