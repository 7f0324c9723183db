"""The section of a report on a race: what it saved, and why each condition left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from promptlab.analysis import figures, style
from promptlab.files import slug
from promptlab.report import numbers as say
from promptlab.report import pictures
from promptlab.report.tables import Row, Table

__all__ = ["RaceTables", "race_section", "race_sentence", "saved_sentence", "write_race_tables"]

_WHY = {
    "better": "it left when it was shown to be better",
    "worse": "it left when it was shown to be worse",
    "equivalent": "it left when it was shown to be equivalent",
    "not best": "it left when another was shown to be better",
    "futile": "it left when the items to come could hardly decide any more",
    "best": "it left as the last one that could be the best",
    "control": "it left with {control_of}, whose control it is",
    "": "it ran to the end",
}


@dataclass(frozen=True, slots=True)
class RaceTables:
    """What a race left behind.

    Attributes:
        summary: settings, and answers asked and planned, by panel.
        results: one row a condition.
        path: one row a block and condition.
    """

    summary: Mapping[str, Any]
    results: pd.DataFrame
    path: pd.DataFrame


def saved_sentence(summary: Mapping[str, Any]) -> str:
    """How much was asked: `The race asked for 1,200 of 4,000 answers: it saved 70 %...`."""
    asked, full = int(summary["asked"]), int(summary["answers"])
    text = f"The race asked for {say.count(asked)} of {say.plural(full, 'answer')}"
    if not summary["over"]:
        return f"{text} so far; it is not over."
    return f"{text}: it saved {say.per_cent(summary['saved'])} of the requests."


def race_sentence(row: Mapping[Any, Any]) -> str:
    """What a race found of one condition."""
    name = f"{row['condition']}"
    if not int(row["n"]):
        return f"{name} could not be compared: {row['note']}."
    ends = say.interval(row["lower"], row["upper"])
    why = _WHY[str(row["left"])].format(control_of=row["control_of"])
    if row["left"] == "not best" and row["beaten_by"]:
        why = f"it left when {row['beaten_by']} was shown to be better"
    text = (
        f"{name}: {say.signed(row['estimate'])} points {ends}, {row['verdict']}; {why} "
        f"(block {int(row['block'])}, {say.count(row['n'])} of {say.plural(row['planned'], 'item')}"
    )
    return text + ")."


def race_section(tables: RaceTables, folder: Path) -> dict[str, Any]:
    """What the template is given; draws the figures into a folder.

    Args:
        tables: of the race.
        folder: for the figures.
    """
    panels = []
    summary = tables.summary
    taken: list[str] = []
    for told in summary["panels"]:
        rows, path = (
            frame[
                (frame["model"] == told["model"])
                & (frame["shots"] == told["shots"])
                & (frame["protocol"] == told["protocol"])
            ]
            for frame in (tables.results, tables.path)
        )
        if path.empty:
            continue
        title = f"{told['model']}, {figures.shots_text(told['shots'])}"
        if len({(p["model"], p["shots"]) for p in summary["panels"]}) < len(summary["panels"]):
            title += f", scored by {told['protocol']}"
        name = "race" + (f"_{slug(title)}" if len(summary["panels"]) > 1 else "")
        while name.lower() in taken:
            name += "-2"
        taken.append(name.lower())
        panels.append(
            {
                "title": title,
                "figure": _figure(path, told, title, name, folder),
                "sentences": [race_sentence(r) for r in rows.to_dict("records")],
                "table": _table(rows),
            }
        )
    return {
        "saved": saved_sentence(summary),
        "how": _how(summary),
        "panels": panels,
    }


def _figure(
    path: pd.DataFrame, told: Mapping[str, Any], title: str, name: str, folder: Path
) -> dict[str, Any]:
    axes = figures.race(path, blocks=int(told["blocks"]), title=title)
    svg = pictures.save(style.figure_of(axes), folder / name)
    alt = f"Race: interval of every condition over the blocks, and where it left ({title})"
    return {
        "id": name,
        "file": name,
        "caption": "Difference from the baseline with its interval after every block, up to the "
        "block after which the condition left. Intervals are valid at all blocks together.",
        "svg": Markup(pictures.inline_svg(svg, name, alt)),
    }


def _table(rows: pd.DataFrame) -> Table:
    columns = ("Condition", "Left", "Block", "Items", "Points", "Interval", "Drawn in", "p adj.",
               "Verdict")  # fmt: skip
    out = [
        Row(
            (
                str(r["condition"]),
                str(r["left"]) or "ran to the end",
                say.count(r["block"]),
                f"{say.count(r['n'])} of {say.count(r['planned'])}",
                say.signed(r["estimate"]),
                say.interval(r["lower"], r["upper"]) or say.DASH,
                say.signed(r["shrunken"]),
                say.pvalue(r["p_adjusted"]),
                str(r["verdict"]),
            ),
            mark=str(r["verdict"]),
        )
        for r in rows.to_dict("records")
    ]
    note = (
        "Points of a condition that left early are biased (away from 0 where it was decided, "
        "towards 0 where it was futile); the interval is valid. “Drawn in”: the points drawn "
        "towards 0 by empirical Bayes, which errs less on average."
    )
    return Table(columns, "llrrrrrrl", out, (note,))


def _how(summary: Mapping[str, Any]) -> str:
    alpha, margin = float(summary["alpha"]), float(summary["margin"])
    goals = {
        "differ": "until its difference from the baseline was decided",
        "best": "until it could no longer be the best",
        "both": "until its difference from the baseline was decided, and one that was better as "
        "long as it might be the best",
    }
    text = (
        f"Conditions were asked in blocks of {say.plural(int(summary['block']), 'item')} a task, "
        f"each {goals[str(summary['goal'])]}. Intervals and p values come from confidence "
        "sequences by betting and hold however often one looks; conditions share alpha "
        f"{alpha:g} equally (Bonferroni), so that the probability of calling any of them better "
        f"or worse wrongly is at most {alpha:g}. They are about new items of these tasks. "
        f"Equivalent: inside ±{100 * margin:g} points."
    )
    if summary["futility"] and summary["goal"] != "best":
        text += (
            " A condition also left when the probability that it would be decided in the end had "
            f"fallen below {100 * float(summary['futility']):g} %; that costs power and no "
            "error."
        )
    return text + (
        " Single tasks, other protocols and the best stimulus per task are descriptive here: "
        "tests for a fixed number of items do not hold where asking stopped by the scores."
    )


def write_race_tables(tables: RaceTables, folder: Path) -> None:
    """Write results and path as CSV."""
    for name, frame in (("race", tables.results), ("race_path", tables.path)):
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
