"""The tables of a dossier as text: ours beside the paper's, in points of 100."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from promptlab.analysis.papers.claims import Finding
from promptlab.report import numbers as say
from promptlab.report.tables import Row, Table

__all__ = [
    "answer_rows",
    "claim_rows",
    "combination_rows",
    "main_rows",
    "model_rows",
    "published_model_rows",
    "shots_rows",
    "statuses",
    "stimulus_rows",
    "temperature_rows",
    "truthfulqa_rows",
]

SUITES = {
    "instruction_induction": "Instruction Induction",
    "bigbench": "BIG-Bench",
    "truthfulqa": "TruthfulQA",
    "open_questions": "Open questions",
}
_ROWS = {
    "original": "Original",
    "zero_shot_cot": "Zero-shot CoT",
    "ape": "APE instruction",
    "average": "Stimuli, average",
    "best": "Stimuli, best per task",
    "best_without_effect": "Best per task, no effect at all",
}
_MARKS = {"CONFIRMED": "", "CONFIRMED_SECONDARY": "", "UNCONFIRMED_RECALLED": "*"}
_STATUS_WORDS = {
    "CONFIRMED": "confirmed in the paper",
    "CONFIRMED_SECONDARY": "transcribed from the paper by others",
    "UNCONFIRMED_RECALLED": "* recalled, seen in no source",
}
STATUS = {
    "CONFIRMED": "confirmed",
    "CONFIRMED_SECONDARY": "transcribed",
    "UNCONFIRMED_RECALLED": "recalled",
}


def claim_rows(findings: Sequence[Finding]) -> Table:
    """Every claim: published, ours as they compute it, chance, ours with interval, verdict."""
    rows = []
    order = list(dict.fromkeys(f.claim.benchmark for f in findings))
    for f in sorted(findings, key=lambda f: order.index(f.claim.benchmark)):
        unit = {"percent": " %", "points": "", "tasks": " tasks"}[f.claim.unit]
        chance = say.DASH
        if math.isfinite(f.chance):
            chance = f"{_number(f.chance)}{unit} (95 %: {_number(f.chance_upper)}{unit})"
        ours = say.DASH
        if math.isfinite(f.estimate):
            ours = f"{_number(f.estimate)}{unit} {say.interval(f.lower / 100, f.upper / 100)}"
        rows.append(
            Row(
                (
                    f.claim.title or f.claim.id,
                    f.verdict if f.n_tasks else "not run",
                    f"{f.claim.published:+g}{unit}".replace("-", "−"),
                    STATUS[f.claim.status],
                    ours.strip(),
                    f"{_number(f.as_published)}{unit}" if _known(f.as_published) else say.DASH,
                    chance,
                ),
                group=SUITES.get(f.claim.benchmark, f.claim.benchmark),
            )
        )
    columns = (
        *("Claim", "Verdict", "Published", "Status", "Ours [95 % interval]"),
        *("Ours, their way", "No effect, their way"),
    )
    return Table(columns, "llrlrrr", rows)


def answer_rows(table: pd.DataFrame) -> Table:
    """What was asked and what counts."""
    rows = [
        Row(
            (
                _setting(r) + _role(r),
                say.count(r["planned"]),
                say.count(r["scored"]),
                say.count(r["cut_off"]),
                say.count(r["planned"] - r["scored"] - r["cut_off"]),
                f"{say.count(r['items_counted'])} of {say.count(r['items'])}",
                f"{say.count(r['tasks_counted'])} of {say.count(r['tasks'])}",
            ),
            group=str(r["model"]),
        )
        for _, r in table.iterrows()
    ]
    columns = (
        *("Setting", "Answers", "With a score", "Cut off", "Failed or empty"),
        *("Items that count", "Tasks that count"),
    )
    return Table(columns, "lrrrrrr", rows)


def _role(row: Any) -> str:
    """What tells a setting of another table from that of the main table."""
    temperature = f", temperature {row['temperature']:g}" if row["temperature"] else ""
    return f", {row['role']}{temperature}" if row["role"] == "combinations" else temperature


def main_rows(ours: pd.DataFrame, published: pd.DataFrame) -> Table:
    """The main table: rows as the paper's, our models first, then the paper's."""
    theirs = published[published["table"] == "main"]
    models = list(dict.fromkeys(ours["model"]))
    known = list(dict.fromkeys(theirs["model"]))
    rows: list[Row] = []
    for (benchmark, few, base), part in ours.groupby(
        [ours["benchmark"], ours["shots"] > 0, ours["base"]], sort=False
    ):
        shots = "few" if few else "zero"
        mine = {(r["model"], r["row"]): r["value"] for _, r in part.iterrows()}
        paper = {
            (r["model"], r["row"]): _score(r["value"]) + _MARKS[r["status"]]
            for _, r in theirs[
                (theirs["benchmark"] == benchmark)
                & (theirs["shots"] == shots)
                & (theirs["base"] == base)
            ].iterrows()
        }
        kind = "APE" if base == "ape" else "human"
        group = f"{SUITES.get(str(benchmark), str(benchmark))}, {shots}-shot, {kind} instructions"
        for key, name in _ROWS.items():
            cells = [_score(mine.get((m, key))) for m in models]
            cells += [paper.get((m, key), say.DASH) for m in known]
            if any(c != say.DASH for c in cells):
                rows.append(Row((name, *cells), group=group))
    columns = ("Prompt", *(f"Ours: {m}" for m in models), *(f"Paper: {m}" for m in known))
    return Table(columns, "l" + "r" * (len(columns) - 1), rows, _status_notes(theirs))


def _status_notes(theirs: pd.DataFrame) -> list[str]:
    shown = [_STATUS_WORDS[s] for s in _STATUS_WORDS if s in set(theirs["status"])]
    return [f"The paper's values: {'; '.join(shown)}."] if shown else []


def model_rows(table: pd.DataFrame) -> Table:
    """Gains by model and setting, in points."""
    rows = [
        Row(
            (
                _setting(r),
                _score(r["original"]),
                _gain(r, "average_gain"),
                _number(r["best_gain"]),
                f"{_number(r['best_chance'])} (95 %: {_number(r['best_chance_upper'])})",
                _gain(r, "chosen_gain"),
                say.count(r["n_tasks"]),
            ),
            group=str(r["model"]),
        )
        for _, r in table.iterrows()
    ]
    columns = (
        *("Setting", "Original", "Average stimulus", "Best per task", "The same, no effect"),
        *("Best per task, chosen on other items", "Tasks"),
    )
    return Table(columns, "lrrrrrr", rows)


def published_model_rows(published: pd.DataFrame) -> Table:
    """The paper's gains by model: best stimulus of each task minus original, zero-shot."""
    rows = []
    table = published[published["table"] == "models"]
    for model, part in table.groupby("model", sort=False):
        value = dict(zip(part["quantity"], part["value"], strict=True))
        first = part.iloc[0]
        rows.append(
            Row(
                (
                    str(model),
                    str(first["row"]),
                    _score(value.get("original")),
                    _number(value.get("gain of best", math.nan)),
                    STATUS[str(first["status"])],
                )
            )
        )
    return Table(("Model", "Size", "Original", "Best per task", "Status"), "lrrrl", rows)


def stimulus_rows(table: pd.DataFrame) -> Table:
    """What each stimulus gains, and its neutral sentence."""
    rows = [
        Row(
            (
                str(r["stimulus"]),
                _number(r["gain"]),
                say.interval(r["lower"] / 100, r["upper"] / 100) or "none",
                say.pvalue(r["p_adjusted"]),
                _number(r["control_gain"]),
                say.count(r["n_tasks"]),
            ),
            group=f"{r['model']}, {SUITES.get(str(r['benchmark']), str(r['benchmark']))}",
        )
        for _, r in table.iterrows()
    ]
    columns = ("Stimulus", "Gain", "95 % interval", "p adj.", "Its neutral sentence", "Tasks")
    told = table[table["note"] != ""].drop_duplicates(["model", "benchmark"]) if rows else table
    notes = [
        f"{r['model']}, {SUITES.get(str(r['benchmark']), str(r['benchmark']))}: {r['note']}."
        for _, r in told.iterrows()
    ]
    return Table(columns, "lrrrrr", rows, notes)


def shots_rows(table: pd.DataFrame) -> Table:
    """Gains of the average stimulus without and with demonstrations."""
    rows = [
        Row(
            (
                f"{r['model']}, {r['base']}",
                _gain(r, "zero"),
                _gain(r, "few"),
                _gain(r, "difference"),
                say.count(r["n_tasks"]),
            ),
            group=SUITES.get(str(r["benchmark"]), str(r["benchmark"])),
        )
        for _, r in table.iterrows()
    ]
    return Table(("Model", "Zero-shot", "Few-shot", "Difference", "Tasks"), "lrrrr", rows)


def combination_rows(table: pd.DataFrame) -> Table:
    """Gains of combinations of stimuli."""
    rows = [
        Row(
            (str(r["condition"]), _gain(r, "gain"), say.count(r["n_tasks"])),
            group=f"{r['model']}, {r['parts']:.0f} at once",
        )
        for _, r in table.sort_values(["model", "parts"], kind="stable").iterrows()
    ]
    return Table(("Stimuli", "Gain [95 % interval]", "Tasks"), "lrr", rows)


def temperature_rows(table: pd.DataFrame) -> Table:
    """Gains by temperature of sampling."""
    rows = [
        Row(
            (
                f"{r['temperature']:g}",
                _score(r["original"]),
                _gain(r, "gain"),
                _number(r["best"]),
                _number(r["best_chance"]),
                say.count(r["n_tasks"]),
            ),
            group=str(r["model"]),
        )
        for _, r in table.iterrows()
    ]
    columns = (
        *("Temperature", "Original", "Average stimulus", "Best per task"),
        *("The same, no effect", "Tasks"),
    )
    return Table(columns, "rrrrrr", rows)


def truthfulqa_rows(ours: pd.DataFrame, published: pd.DataFrame) -> Table:
    """Shares judged true and informative: our models first, then the paper's."""
    theirs = published[published["table"] == "truthfulqa"]
    value: dict[tuple[str, str, str], float] = {}
    order: list[str] = []
    columns: list[tuple[str, str]] = []
    for prefix, table in (("Ours", ours), ("Paper", theirs)):
        for _, r in table.iterrows():
            column = (f"{prefix}: {r['model']}", str(r["quantity"]))
            value[(*column, str(r["row"]))] = float(r["value"])
            columns.append(column)
            order.append(str(r["row"]))
    columns = list(dict.fromkeys(columns))
    stimuli = sorted(set(order) - set(_ROWS))
    known = [row for row in (*_ROWS, *stimuli) if row in order]
    rows = [Row((_ROWS.get(r, r), *(_score(value.get((*c, r))) for c in columns))) for r in known]
    heads = ("Prompt", *(f"{model}, {quantity}" for model, quantity in columns))
    return Table(heads, "l" + "r" * len(columns), rows, _status_notes(theirs))


def _setting(row: Any) -> str:
    shots = "few-shot" if row["shots"] else "zero-shot"
    base = "APE" if row["base"] == "ape" else row["base"]
    return f"{SUITES.get(str(row['benchmark']), str(row['benchmark']))}, {shots}, {base}"


def _gain(row: Any, name: str) -> str:
    if not _known(row[name]):
        return say.DASH
    ends = say.interval(row[f"{name}_lower"] / 100, row[f"{name}_upper"] / 100)
    return f"{_number(row[name])} {ends}".strip()


def _number(points: float) -> str:
    return say.signed(points / 100)


def _score(points: float | None) -> str:
    return say.DASH if points is None or not _known(points) else f"{points:.2f}".replace("-", "−")


def _known(value: float) -> bool:
    return math.isfinite(value)


def statuses(published: pd.DataFrame, tables: Iterable[str]) -> list[str]:
    """Which statuses the published values of some tables have, with how many of each."""
    part = published[published["table"].isin(list(tables))]
    counts = part["status"].value_counts()
    return [f"{n} {STATUS[str(status)]}" for status, n in counts.items()]
