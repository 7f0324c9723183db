"""What the page's template is given: text, and figures as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from promptlab.analysis import figures
from promptlab.analysis.contrast_words import sentence
from promptlab.files import slug
from promptlab.report import numbers as say
from promptlab.report import pictures, tables
from promptlab.report.findings import Finding, count_verdicts, findings, panel_name
from promptlab.report.inputs import Panel, Results
from promptlab.report.kinds import explanation, heading
from promptlab.report.method import facts, left_out, manifest_tables, methods, warnings, when
from promptlab.report.wordings import wording_rows, wording_words

__all__ = ["baseline_table", "context"]

_SIGNS = {"better": "▲ ", "worse": "▼ ", "equivalent": "= ", "inconclusive": "", "descriptive": ""}
_SHOWN_EXAMPLES = 4
"""Conditions with examples, a panel: those with the largest differences."""


def baseline_table(results: Results, panel: Panel) -> tables.Table:
    """Score of the baseline on every task; empty without the scores."""
    if not results.has_baseline_scores(panel):
        return tables.Table((), "", ())
    return tables.baseline_rows(results, panel)


def context(
    results: Results, drawn: Sequence[tuple[pictures.Picture, dict[str, Any]]]
) -> dict[str, Any]:
    """All of it.

    Args:
        results: what was found.
        drawn: every figure with the id, file, caption and markup under which it is shown.
    """
    manifest = results.manifest
    panels = [_panel(results, panel) for panel in results.panels]
    several = len(panels) > 1
    return {
        "name": str(manifest.get("name") or manifest.get("run_id") or "Results"),
        "meta": _meta(results),
        "registration": results.manifest.get("registration"),
        "warnings": warnings(results),
        "headline": _headline(results) if several else "",
        "overview": _overview(results) if several else None,
        "panels": panels,
        "places": [_place(results, model, shots, drawn) for model, shots in results.places],
        "baseline": results.baseline,
        "legend": _legend(results),
        "sentences": tables.condition_rows(results),
        "methods": methods(results),
        "facts": facts(results),
        "manifest_tables": manifest_tables(results),
        "left_out": left_out(results),
        "spec": str(manifest.get("spec_text") or ""),
    }


def _meta(results: Results) -> str:
    macro = results.contrasts[results.contrasts["level"] == "macro"]
    cells = results.contrasts[(results.contrasts["level"] == "cell") & results.contrasts["primary"]]
    models = list(dict.fromkeys(p.model for p in results.panels))
    parts = [
        say.plural(len(models), "model") if len(models) > 1 else models[0],
        say.plural(cells["task"].nunique(), "task"),
        f"{say.plural(macro['condition'].nunique(), 'condition')} against {results.baseline}",
    ]
    if len(cells):
        low, high = int(cells["n_items"].min()), int(cells["n_items"].max())
        span = f"{low} to {high}" if low != high else f"{high}"
        parts.append(f"{span} paired items a cell")
    if created := results.manifest.get("created"):
        parts.append(when(str(created)))
    return " · ".join(parts)


def _headline(results: Results) -> str:
    macros = pd.concat([results.macro(p) for p in results.panels])
    verdicts = count_verdicts(macros, named=False)
    return f"Of {say.plural(len(macros), 'comparison')} with {results.baseline}, {verdicts}."


def _overview(results: Results) -> tables.Table:
    rows = []
    for panel in results.panels:
        macro = results.macro(panel)
        counts = macro["verdict"].value_counts()
        known = macro[macro["difference"].notna()]
        top = known.iloc[int(known["difference"].abs().argmax())] if len(known) else None
        largest = (
            f"{top['condition']} {say.signed(top['difference'])} "
            f"{say.interval(top['lower'], top['upper'])}"
            if top is not None
            else say.DASH
        )
        verdicts = ("better", "worse", "equivalent", "inconclusive")
        rows.append(
            tables.Row(
                (
                    panel_name(results, panel),
                    say.count(macro["n_tasks"].max()),
                    *(say.count(counts.get(v, 0)) for v in verdicts),
                    largest,
                )
            )
        )
    columns = (
        "Model",
        "Tasks",
        "Better",
        "Worse",
        "Equivalent",
        "Inconclusive",
        "Largest difference",
    )
    return tables.Table(columns, "lrrrrrr", rows)


def _legend(results: Results) -> str:
    margins = results.contrasts["margin"].dropna()
    margin = f"±{100 * margins.iloc[0]:g} points" if len(margins) else "the margin"
    inside = f"{100 * (1 - 2 * results.alpha):g} %"
    return (
        f"▲ better and ▼ worse: adjusted p at most {results.alpha:g}. = equivalent: the {inside} "
        f"interval lies within {margin}. Inconclusive (no sign): the data show neither; that is "
        "not evidence that nothing changes. Open bullets limit what may be concluded."
    )


def _panel(results: Results, panel: Panel) -> dict[str, Any]:
    found = findings(results, panel)
    macro = results.macro(panel)
    groups: dict[str, list[dict[str, str]]] = {}
    for r in macro.to_dict("records"):
        difference = f"{say.signed(r['difference'])} {say.interval(r['lower'], r['upper'])}"
        text = results.texts.get(r["condition"], "")
        groups.setdefault(str(r["valence"]), []).append(
            {
                "name": str(r["condition"]),
                "verdict": str(r["verdict"]),
                "sign": _SIGNS.get(str(r["verdict"]), ""),
                "title": f"{r['verdict']}: {difference}{f' — {text}' if text else ''}",
            }
        )
    first: Finding = found[0]
    return {
        "title": panel_name(results, panel),
        "first": first.text,
        "found": _by_topic(found[1:]),
        "tiles": [
            {
                "valence": v if v in figures.VALENCES else "none",
                "heading": figures.headings(groups)[v],
                "tiles": tiles,
            }
            for v, tiles in groups.items()
        ],
    }


def _by_topic(found: Sequence[Finding]) -> list[Finding]:
    """Sentences on one subject as one paragraph."""
    topics = dict.fromkeys(f.topic for f in found)
    return [
        Finding(t, " ".join(f.text for f in same), any(f.caution for f in same))
        for t in topics
        if (same := [f for f in found if f.topic == t])
    ]


def _place(
    results: Results,
    model: str,
    shots: int,
    drawn: Sequence[tuple[pictures.Picture, dict[str, Any]]],
) -> dict[str, Any]:
    """Everything of one model and number of shots."""
    panels = [p for p in results.panels if (p.model, p.shots) == (model, shots)]
    here = [(p, s) for p, s in drawn if (p.panel.model, p.panel.shots) == (model, shots)]

    def shown(kind: str) -> list[dict[str, Any]]:
        return [s for p, s in here if p.kind == kind]

    forests = {p.panel.protocol: s for p, s in here if p.kind == "forest"}
    first = panels[0]
    return {
        "id": f"at-{slug(model)}-{shots}",
        "title": f"{model}, {figures.shots_text(shots)}",
        "panels": [_evidence(results, p, forests[p.protocol]) for p in panels],
        "heatmap": shown("heatmap")[0],
        "baseline": next(iter(shown("baseline")), None),
        "baseline_table": baseline_table(results, first),
        "moved": shown("moved")[0],
        "examples": _examples(results, model, shots),
        "wordings": [
            {
                "protocol": p.panel.protocol,
                "figure": s,
                "table": wording_rows(results, p.panel),
                "words": wording_words(results, p.panel),
            }
            for p, s in here
            if p.kind == "wordings"
        ],
        "sensitivity": shown("sensitivity"),
        "sensitivity_table": tables.sensitivity_rows(results, first),
        "best": tables.best_rows(results, first),
    }


def _evidence(results: Results, panel: Panel, forest: dict[str, Any]) -> dict[str, Any]:
    macro = results.macro(panel)
    cells = tables.cell_rows(results, panel)
    several = [(p.model, p.shots) for p in results.panels].count((panel.model, panel.shots)) > 1
    tested = int(results.cells(panel)["p_adjusted"].notna().sum())
    strong = len(cells.rows) + cells.left_off
    what = f"{say.count(strong)} of {say.plural(tested, 'cell')}"
    if strong:
        differ = "differs" if strong == 1 else "differ"
        text = f"{what} {differ} from {results.baseline} after correction over all of them"
    elif not tested:
        text = "Single cells are descriptive here: none was tested."
    else:
        text = (
            f"No single cell of {say.count(tested)} can be told from {results.baseline} after "
            "correction over all of them."
        )
    return {
        "protocol": panel.protocol,
        "forest": forest,
        "macro": tables.macro_rows(results, panel),
        "words": [
            say.typeset(sentence(r, what="the score", alpha=results.alpha)) + _outside(results, r)
            for r in macro.to_dict("records")
        ],
        "counts": tables.count_rows(results, panel),
        "losses": tables.loss_rows(results, panel),
        "kinds": [_kinds(results, panel, kinds) for kinds in results.kinds],
        "cells": cells,
        "cells_text": f"Scored by {panel.protocol}: {text}" if several else text,
    }


def _outside(results: Results, row: Mapping[Any, Any]) -> str:
    return " Exploratory." if results.registered and row["family"] != "confirmatory" else ""


def _kinds(results: Results, panel: Panel, kinds: Sequence[str]) -> dict[str, Any]:
    """A section of its own for every kind of contrast."""
    rows = results.named_rows(panel, *kinds)
    return {
        "heading": heading(kinds),
        "text": explanation(kinds, results.baseline),
        "table": tables.named_rows(results, panel, kinds),
        "words": [
            say.typeset(sentence(r, what="the score", alpha=results.alpha)) + _outside(results, r)
            for r in rows.to_dict("records")
        ],
    }


def _examples(results: Results, model: str, shots: int) -> list[dict[str, Any]]:
    """Answers that changed, for the conditions that moved the score most."""
    rows = results.examples
    needed = {"model", "condition", "direction", "task", "answer_baseline", "answer"}
    if rows.empty or not needed <= set(rows.columns):
        return []
    rows = rows[rows["model"] == model]
    if "shots" in rows:
        rows = rows[rows["shots"] == shots]
    panels = [p for p in results.panels if (p.model, p.shots) == (model, shots)]
    macro = pd.concat([results.macro(p) for p in panels])
    size = macro.set_index("condition")["difference"].abs().groupby(level=0).max()
    order = [c for c in size.sort_values(ascending=False).index if c in set(rows["condition"])]
    out = []
    for condition in order[:_SHOWN_EXAMPLES]:
        part = rows[rows["condition"] == condition]
        items = [
            {
                "direction": str(r["direction"]),
                "task": _task_of(r),
                "input": _clip(r.get("input")),
                "expected": _clip(r.get("expected")),
                "baseline": results.baseline,
                "condition": condition,
                "before": _clip(r["answer_baseline"]) or "(empty)",
                "after": _clip(r["answer"]) or "(empty)",
            }
            for r in part.to_dict("records")
        ]
        kinds = [d for d in ("gained", "lost") if (part["direction"] == d).any()]
        out.append({"title": f"Examples of items {say.joined(kinds)} under {condition}",
                    "shown": items})  # fmt: skip
    return out


def _task_of(example: Mapping[Any, Any]) -> str:
    """The task, and the wording of its instruction where that is another than the card's."""
    wording = str(example.get("instruction") or "own")
    return str(example["task"]) if wording == "own" else f"{example['task']} (wording {wording})"


def _clip(value: Any, length: int = 400) -> str:
    text = "" if value is None or value != value else str(value).strip()
    return text if len(text) <= length else f"{text[: length - 1]}…"
