"""How it was done: the manifest of a run as sentences, facts and tables.

Keys of the manifest, all optional: name, run_id, created, digest, spec_text, baseline, alpha,
margin, missing (policy), confirmatory, seed, models (list of label, id, style, served_models,
fingerprints, ...), tasks (id -> facts), wordings (task -> id -> text), counts (status -> number),
versions, warnings, cost_usd (None = unknown), wall_s, left_out, stopped (model -> message). Other
keys are shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from promptlab.report import numbers as say
from promptlab.report.findings import cell_losses
from promptlab.report.inputs import BAD_SHARE, Results
from promptlab.report.tables import Row, Table

__all__ = ["facts", "left_out", "manifest_tables", "methods", "named", "warnings", "when"]

_SHOWN_ELSEWHERE = {
    "name", "spec_text", "baseline", "alpha", "margin", "missing", "confirmatory", "models",
    "tasks", "wordings", "warnings", "left_out", "stopped", "versions", "counts", "registration",
}  # fmt: skip
_NAMES = {
    "id": "Model",
    "n_items": "Items",
    "items": "Items' hash",
    "card": "Card's hash",
    "demonstrations": "Demonstrations' hash",
    "params": "Parameters",
    "served_models": "Served as",
}
_POLICIES = {
    "drop_pair": "An item without a score on either side of a comparison is left out of that "
    "comparison, in both conditions; the column “missing as wrong” shows the difference when "
    "missing answers score 0 instead.",
    "as_wrong": "An answer that failed or was cut off scores 0, by the experiment's own choice.",
}


_WORDINGS = (
    "Every item was asked under several wordings of its task's instruction, the same in every "
    "condition. An item's score is the mean over its wordings, so wordings are not counted as "
    "items. Wordings are a sample of those that could have been: within a task, items and wordings "
    "are crossed random factors. Over tasks, wordings belong to their tasks, so that the spread of "
    "the tasks' means already holds theirs."
)


def warnings(results: Results) -> list[str]:
    """What a reader must know first: the run's own warnings, and cells that lost many answers."""
    found = [str(w) for w in _list(results.manifest.get("warnings"))]
    stopped = results.manifest.get("stopped") or {}
    for model, message in dict(stopped).items():
        text = f"{model}: {message}"
        if text not in found:
            found.append(text)
    scores = results.scores
    if len(scores):
        cells = cell_losses(scores[scores["primary"].astype(bool)])
        bad = cells[cells["share"] > BAD_SHARE]
        if len(bad):
            worst = bad.iloc[0]
            found.append(
                f"In {say.plural(len(bad), 'cell')} of {say.count(len(cells))}, more than "
                f"{100 * BAD_SHARE:g} % of the answers could not be scored; the worst is "
                f"{worst['task']} under {worst['condition']} with {worst['model']} "
                f"({say.per_cent(worst['share'])})."
            )
    return found


def when(created: str) -> str:
    """An ISO time as a reader wants it: `2026-11-22 19:22 UTC`."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*(Z|\+00:00)$", r"\1 \2 UTC", created)


def methods(results: Results) -> list[str]:
    """The analysis in words."""
    manifest, macro = results.manifest, results.contrasts[results.contrasts["level"] == "macro"]
    cells = results.contrasts[results.contrasts["level"] == "cell"]
    margins = macro["margin"].dropna()
    margin = f"±{100 * margins.iloc[0]:g} points" if len(margins) else "the margin"
    families = [str(f) for f in macro["adjust_method"].dropna().unique() if f not in ("", "none")]
    first = (
        f"Every condition answered the same items as {results.baseline}, and is compared with it "
        "item by item. The main result of a condition is its mean difference over tasks, every "
        f"task counting the same. Its interval: {named(macro['interval_method'])}; its test: "
        f"{named(macro['test_method'])}. P values are adjusted by "
        f"{say.joined(families, last='or')} within model, number of shots and protocol"
    )
    chosen = [str(c) for c in _list(manifest.get("confirmatory"))]
    first += f"; confirmatory by declaration: {say.joined(chosen)}." if chosen else "."
    second = (
        f"A difference is equivalent when both one-sided tests reject a difference beyond {margin} "
        f"at level {results.alpha:g}. Single tasks are exploratory; their intervals: "
        f"{named(cells['interval_method'])}; tests: {named(cells['test_method'])}. Relative "
        "gains are ratios of means over tasks with Fieller intervals."
    )
    policy = _POLICIES.get(str(manifest.get("missing") or "drop_pair"), "")
    wordings = _WORDINGS if len(results.wordings) else ""
    return [text for text in (first, second, policy, wordings) if text]


def named(values: Iterable[Any]) -> str:
    """The methods of a column, without the cases where none applied."""
    nothing = ("", "none", "degenerate")
    names = dict.fromkeys(v for v in values if isinstance(v, str) and v not in nothing)
    return say.joined(list(names), last="or", most=4) or "none"


def facts(results: Results) -> list[tuple[str, list[str]]]:
    """Pairs of a heading and its lines."""
    manifest = results.manifest
    labels = {"run_id": "Run", "created": "Created", "digest": "Digest of the plan", "seed": "Seed"}
    out: list[tuple[str, list[str]]] = [
        (label, [when(str(manifest[key])) if key == "created" else str(manifest[key])])
        for key, label in labels.items()
        if manifest.get(key) is not None
    ]
    if statuses := _statuses(results):
        out.append(("Answers", [", ".join(f"{k} {say.count(v)}" for k, v in statuses.items())]))
    macro = results.contrasts[
        (results.contrasts["level"] == "macro") & results.contrasts["primary"]
    ]
    out.append(("Rows without a partner", [say.count(macro["unpaired"].sum())]))
    if "cost_usd" in manifest:
        out.append(("Cost", [say.money(manifest["cost_usd"])]))
    if "wall_s" in manifest:
        out.append(("Time", [say.duration(manifest["wall_s"])]))
    if versions := manifest.get("versions"):
        out.append(("Versions", [", ".join(f"{k} {v}" for k, v in dict(versions).items() if v)]))
    for model, message in dict(manifest.get("stopped") or {}).items():
        out.append((f"Stopped: {model}", [str(message)]))
    known = {*labels, *_SHOWN_ELSEWHERE, "cost_usd", "wall_s"}
    for key, value in manifest.items():
        if key not in known and value not in (None, "", [], {}):
            out.append((key.replace("_", " ").capitalize(), _lines(value)))
    return [(key, lines) for key, lines in out if lines]


def _statuses(results: Results) -> dict[str, float]:
    """Number of answers by status, as the run counted them, else as the scores say."""
    if counts := results.manifest.get("counts"):
        return {str(k): float(v) for k, v in dict(counts).items() if isinstance(v, int | float)}
    if results.scores.empty:
        return {}
    primary = results.scores[results.scores["primary"].astype(bool)]
    return {str(k): float(v) for k, v in primary["status"].value_counts().items()}


def manifest_tables(results: Results) -> list[tuple[str, Table]]:
    """Models, tasks and wordings with their facts, as (title, table)."""
    models = [dict(m) for m in _list(results.manifest.get("models")) if isinstance(m, Mapping)]
    tasks = results.manifest.get("tasks") or {}
    rows = [{"task": t, **dict(f)} for t, f in dict(tasks).items() if isinstance(f, Mapping)]
    wordings = [
        {"task": task, "wording": name, "instruction": known["text"]}
        for task, known_of in dict(results.manifest.get("wordings") or {}).items()
        for name, known in known_of.items()
    ]
    return [("Models", _table(models)), ("Tasks", _table(rows)), ("Wordings", _table(wordings))]


def _table(records: list[dict[str, Any]]) -> Table:
    """Records of unlike keys as a table without its empty columns."""
    keys = list(dict.fromkeys(k for r in records for k in r))
    keys = [k for k in keys if any(r.get(k) not in (None, "", [], {}) for r in records)]
    rows = [Row(tuple(", ".join(_lines(r.get(k))) or say.DASH for k in keys)) for r in records]
    names = tuple(_NAMES.get(k, k.replace("_", " ").capitalize()) for k in keys)
    return Table(names, "l" * len(names), rows)


def left_out(results: Results) -> list[str]:
    """Cells that were left out when the experiment was planned, with the reasons."""
    return [", ".join(_lines(x)) for x in _list(results.manifest.get("left_out"))]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | set) else [value]


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [f"{k}: {', '.join(_lines(v))}" for k, v in value.items()]
    if isinstance(value, list | tuple | set):
        return [", ".join(_lines(v)) for v in value]
    return [f"{value:g}" if isinstance(value, float) else str(value)]
