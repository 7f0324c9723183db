"""What the figures share: picking one panel of a table, and the order of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promptlab.analysis.contrast_kinds import against_original
from promptlab.errors import UserError

__all__ = [
    "VALENCES",
    "Line",
    "by_suite",
    "by_valence",
    "headings",
    "main_baseline",
    "natural",
    "one_panel",
    "panels",
    "reach",
    "records",
    "select",
    "shorten",
    "shots_text",
    "split_task",
    "title",
]

VALENCES: dict[str, str] = {
    "positive": "Positive stimuli",
    "negative": "Negative stimuli",
    "neutral": "Neutral controls",
    "mixed": "Mixed combinations",
    "none": "Other methods",
}
"""Valence -> heading, in the order of every figure and table."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a figure from top to bottom: a heading, or the place of a key."""

    y: float
    text: str
    key: str = ""
    """Condition or task; empty for a heading."""
    group: str = ""


def records(rows: pd.DataFrame, key: str = "condition") -> dict[str, dict[Any, Any]]:
    """Rows by their condition (or task); the first of each."""
    out: dict[str, dict[Any, Any]] = {}
    for row in rows.to_dict("records"):
        out.setdefault(str(row[key]), row)
    return out


def natural(name: str) -> tuple[Any, ...]:
    """Sorting key under which EP2 comes before EP10."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in parts if p)


def panels(contrasts: pd.DataFrame) -> list[tuple[str, int, str]]:
    """The panels of a table: model, shots and the protocols that decide for some of its tasks.

    Within a model and number of shots, the protocol with most tasks comes first.
    """
    contrasts = against_original(contrasts)
    rows = contrasts[(contrasts["level"] == "macro") & contrasts["primary"].astype(bool)]
    counts = rows.groupby(["model", "shots", "protocol"], observed=True)["n_tasks"].max()
    found = [
        (str(key[0]), int(key[1]), str(key[2]), int(n))
        for key, n in zip(counts.index, counts, strict=True)
    ]
    found.sort(key=lambda f: (natural(f[0]), f[1], -f[3], f[2]))
    return [f[:3] for f in found]


def select(
    contrasts: pd.DataFrame,
    level: str,
    *,
    model: str | None = None,
    shots: int | None = None,
    protocol: str | None = None,
    baseline: str | None = None,
) -> pd.DataFrame:
    """The rows of one panel.

    Args:
        contrasts: the contrasts table.
        level: `macro` or `cell`.
        model: needed when the table has several.
        shots: needed when the table has several.
        protocol: scoring protocol. If None: of macro rows the only primary one, of cells each
            task's primary one.
        baseline: what the conditions are compared with; the commonest baseline if None.

    Raises:
        UserError: no such rows, or more than one panel.
    """
    contrasts = against_original(contrasts)
    rows = contrasts[contrasts["level"] == level]
    for column, value in (("model", model), ("shots", shots), ("protocol", protocol)):
        if value is not None:
            rows = rows[rows[column] == value]
    if protocol is None:
        rows = rows[rows["primary"].astype(bool)]
    asked = {"model": model, "shots": shots, "protocol": protocol}
    if rows.empty:
        words = ", ".join(f"{k} {v}" for k, v in asked.items() if v is not None)
        raise UserError(f"no {level} contrasts{f' for {words}' if words else ''}")
    columns = ["model", "shots", *(["protocol"] if level == "macro" else [])]
    one_panel(rows, columns)
    wanted = baseline if baseline is not None else main_baseline(rows)
    return rows[rows["baseline"] == wanted]


def one_panel(rows: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table that holds several panels.

    Raises:
        UserError: it does; the message lists them.
    """
    found = rows[list(columns)].drop_duplicates().astype(str).sort_values(list(columns))
    if len(found) > 1:
        known = "; ".join(
            ", ".join(f"{c}={v}" for c, v in zip(columns, values, strict=True))
            for values in found.itertuples(index=False)
        )
        raise UserError(f"a figure shows one panel; choose one of: {known}")


def main_baseline(contrasts: pd.DataFrame) -> str:
    """The baseline that most conditions are compared with."""
    contrasts = against_original(contrasts)
    counts = contrasts.groupby("baseline", observed=True)["condition"].nunique()
    return str(min(counts.index, key=lambda b: (-counts[b], natural(str(b)))))


def by_valence(rows: pd.DataFrame) -> list[Line]:
    """Conditions below the headings of their valence, ids in natural order."""
    pairs = rows[["condition", "valence"]].drop_duplicates("condition")
    groups: dict[str, list[str]] = {v: [] for v in VALENCES}
    for condition, valence in pairs.itertuples(index=False):
        groups.setdefault(str(valence), []).append(str(condition))
    names = headings(v for v, k in groups.items() if k)
    return _lines([(g, names[g], k) for g, k in groups.items() if k])


def headings(valences: Iterable[str]) -> dict[str, str]:
    """Valence -> heading; conditions of which nothing is known are just conditions."""
    known = list(dict.fromkeys(map(str, valences)))
    if known == ["none"]:
        return {"none": "Conditions"}
    return {v: VALENCES.get(v, v.capitalize()) for v in known}


def by_suite(tasks: Iterable[str]) -> list[Line]:
    """Tasks below the headings of their suites; without headings if there is one suite."""
    groups: dict[str, list[str]] = {}
    for task in sorted(set(tasks), key=natural):
        groups.setdefault(split_task(task)[0], []).append(task)
    if len(groups) == 1:
        return [
            Line(float(i), split_task(t)[1], t, g)
            for g, k in groups.items()
            for i, t in enumerate(k)
        ]
    lines = _lines([(g, g or "no suite", k) for g, k in groups.items()])
    return [Line(n.y, split_task(n.text)[1] if n.key else n.text, n.key, n.group) for n in lines]


def _lines(groups: Sequence[tuple[str, str, list[str]]], gap: float = 0.35) -> list[Line]:
    lines: list[Line] = []
    y = 0.0
    for group, heading, keys in groups:
        if not keys:
            continue
        y += gap if lines else 0.0
        lines.append(Line(y, heading, "", group))
        for key in sorted(keys, key=natural):
            y += 1.0
            lines.append(Line(y, key, key, group))
        y += 1.0
    return lines


def split_task(task: str) -> tuple[str, str]:
    """`suite/name` as (suite, name with spaces for underscores)."""
    suite, _, name = task.rpartition("/")
    return suite, name.replace("_", " ")


def reach(ends: np.ndarray, inside: float) -> float:
    """Half-width of an axis around 0.

    Args:
        ends: ends of the intervals; all are inside, unless a few of them dwarf the others.
        inside: what must be inside in any case.
    """
    ends = np.abs(ends[np.isfinite(ends)])
    least = max(1.15 * inside, 0.5) if np.isfinite(inside) else 0.5
    if not ends.size:
        return least
    typical, widest = float(np.quantile(ends, 0.8)), 1.08 * float(ends.max())
    limit = max(2.5 * typical, least)
    return max(widest, least) if widest <= 1.6 * limit else limit


def shorten(text: str, length: int) -> str:
    """At most `length` characters, cut between words where possible."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    at_word = cut.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > length * 0.6 else cut).rstrip(" ,;:.") + "…"


def shorten_apart(texts: Mapping[str, str], length: int) -> dict[str, str]:
    """Texts of at most `length` characters; those that would look alike show their ends too."""
    short = {key: shorten(text, length) for key, text in texts.items()}
    whole: dict[str, set[str]] = {}
    for key, cut in short.items():
        whole.setdefault(cut, set()).add(" ".join(texts[key].split()))
    for key, cut in short.items():
        if len(whole[cut]) > 1:
            head, words = shorten(texts[key], length // 2), texts[key].split()
            end = words.pop()[-(length - len(head)) :]
            while words and len(head) + len(words[-1]) + 1 + len(end) <= length:
                end = f"{words.pop()} {end}"
            short[key] = head + end
    return short


def title(rows: pd.DataFrame) -> str:
    """`model, k shots` of a panel."""
    model, shots = str(rows["model"].iloc[0]), int(rows["shots"].iloc[0])
    return f"{shorten(model, 48)}, {shots_text(shots)}"


def shots_text(shots: int) -> str:
    """`zero-shot`, `1 shot`, `5 shots`."""
    return "zero-shot" if shots == 0 else f"{shots} shot{'s' if shots != 1 else ''}"
