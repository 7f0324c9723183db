"""What was found, in sentences with numbers, for one panel at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promptlab.analysis import figures
from promptlab.analysis.contrast_words import best_sentences
from promptlab.analysis.macro import no_p_below
from promptlab.report import numbers as say
from promptlab.report.inputs import BAD_SHARE, Panel, Results

__all__ = ["Finding", "cell_losses", "count_verdicts", "findings", "panel_name"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One or two sentences on one subject."""

    topic: str
    text: str
    caution: bool = False
    """Whether it limits what may be concluded."""

    @property
    def label(self) -> str:
        """The subject in a word or two."""
        return _LABELS[self.topic]


_LABELS = {
    "verdicts": "Verdicts",
    "largest": "Largest difference",
    "detectable": "Power",
    "controls": "Neutral controls",
    "scoring": "Scoring",
    "wording": "Wording",
    "missing": "Missing answers",
    "best": "Best of many",
}


def panel_name(results: Results, panel: Panel) -> str:
    """`model, 5 shots`, with the protocol where several decide."""
    name = f"{panel.model}, {figures.shots_text(panel.shots)}"
    several = len({p.protocol for p in results.panels}) > 1
    return f"{name}, scored by {panel.protocol}" if several else name


def findings(results: Results, panel: Panel) -> list[Finding]:
    """All sentences on a panel, the answer first."""
    macro = results.macro(panel)
    found: list[Finding] = []
    for part in (_verdicts, _largest, _detectable, _controls, _scoring, _wording, _missing, _best):
        found += part(results, panel, macro)
    return found


def _verdicts(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    del panel
    tasks, items = _span(macro["n_tasks"], "task"), _span(macro["n_items"], "paired item")
    if len(macro) == 1:
        row = macro.iloc[0]
        yield Finding(
            "verdicts",
            f"{row['condition']} is the only condition compared with {results.baseline} "
            f"({tasks}, {items}); the verdict is {row['verdict']}.",
        )
        return
    yield Finding(
        "verdicts",
        f"Of {say.plural(len(macro), 'condition')} compared with {results.baseline} on {tasks} "
        f"({items}), {count_verdicts(macro)}.",
    )


def count_verdicts(macro: pd.DataFrame, named: bool = True) -> str:
    """`1 is better (EP02), none is worse and 10 are inconclusive`.

    Args:
        macro: rows of a contrasts table.
        named: whether to name those that are better or worse.
    """
    names = {v: list(rows["condition"]) for v, rows in macro.groupby("verdict", sort=False)}
    better, worse = names.get("better", []), names.get("worse", [])
    parts = []
    if not better and not worse:
        parts.append("none is shown to be better or worse")
    else:
        for verdict, found in (("better", better), ("worse", worse)):
            who = f" ({say.joined(found, most=6)})" if found and named else ""
            parts.append(f"{_are(found)} {verdict}{who}")
    if same := names.get("equivalent", []):
        parts.append(f"{_are(same)} equivalent within ±{100 * _margin(macro):g} points")
    if unclear := names.get("inconclusive", []):
        parts.append(f"{_are(unclear)} inconclusive")
    if untested := names.get("descriptive", []):
        parts.append(f"{_are(untested)} descriptive only, no test being possible")
    return say.joined(parts)


def _are(names: list[str]) -> str:
    return f"{len(names) or 'none'} {'are' if len(names) > 1 else 'is'}"


def _largest(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    del panel
    rows = macro[macro["difference"].notna()]
    if rows.empty:
        yield Finding("largest", "No condition could be compared: nothing was scored.", True)
        return
    top = rows.iloc[int(rows["difference"].abs().argmax())]
    if top["difference"] == 0:
        yield Finding("largest", f"No condition differs from {results.baseline} at all.")
        return
    text = results.texts.get(top["condition"], "")
    quoted = f" (“{text if len(text) <= 120 else text[:119] + '…'}”)" if text else ""
    ends = say.interval(top["lower"], top["upper"])
    parts = [f"{say.signed(top['difference'])} points"]
    if ends:
        parts.append(f"{results.level} interval {ends}")
    if np.isfinite(top["p_adjusted"]):
        parts.append(f"adjusted {say.said_p(top['p_adjusted'])}")

    where = f" lies furthest from {results.baseline}" if len(rows) > 1 else ""
    sentence = f"{top['condition']}{quoted}{where}: "
    sentence += f"{', '.join(parts)}, verdict {top['verdict']}."
    if len(rows) > 2:
        sentence += f" As the largest of {len(rows)}, the number probably overstates the true one."
    yield Finding("largest", sentence)


def _detectable(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    del panel
    blind = macro[macro["detectable"].isna() & (macro["n_tasks"] > 1) & macro["pvalue"].notna()]
    tests = blind["family_size"].clip(lower=1)
    floor = blind["n_tasks"].map(lambda n: no_p_below(int(n)))
    blind = blind[
        (floor > results.alpha / tests)
        & (blind["lower"] < blind["upper"])
        & blind["test_method"].str.startswith("sign-flip")
    ]
    if len(blind):
        tasks, size = int(blind["n_tasks"].max()), int(blind["family_size"].max())
        lowest = say.said_p(no_p_below(tasks)).replace("p = ", "p below ")
        yield Finding(
            "detectable",
            f"For {len(blind)} of {say.plural(len(macro), 'condition')} no difference, however "
            f"large, could be found on its own: on {say.plural(tasks, 'task')} a sign-flip test "
            f"gives no {lowest}, and the family has {say.plural(size, 'test')}. More tasks, or "
            "fewer confirmatory conditions, would change that.",
            caution=True,
        )
    known = macro["detectable"].dropna()
    if len(known):
        size_of = f"{100 * known.min():.1f}"
        if f"{100 * known.max():.1f}" != size_of:
            size_of = f"between {size_of} and {100 * known.max():.1f}"
            size_of += f" (median {100 * known.median():.1f})"
        names = list(macro.loc[known.index, "condition"])
        which = f" for {say.joined(names, most=4)}" if len(known) < len(macro) else ""
        yield Finding(
            "detectable",
            "The smallest true difference that would be found with 80 % power, after correction, "
            f"is {size_of} points{which}; a smaller one would mostly stay inconclusive.",
        )


def _controls(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    neutral = macro[(macro["valence"] == "neutral") & macro["difference"].notna()]
    emotional = macro[
        macro["valence"].isin(["positive", "negative", "mixed"]) & macro["difference"].notna()
    ]
    if emotional.empty:
        return
    if neutral.empty:
        yield Finding(
            "controls",
            "No neutral sentence was run: a difference cannot be put down to the emotion in a "
            "sentence rather than to the addition of any sentence.",
            caution=True,
        )
        return
    parts: list[str] = []
    for valence in ("positive", "negative", "neutral"):
        values = macro.loc[macro["valence"] == valence, "difference"].dropna()
        if len(values):
            one, many = ("neutral sentence", "neutral sentences")
            if valence != "neutral":
                one, many = f"{valence} stimulus", f"{valence} stimuli"
            shift = f"{say.signed(values.mean())}{'' if parts else ' points'}"
            parts.append(f"{shift} under {say.plural(len(values), one, many)}")
    size_n, size_e = neutral["difference"].abs().mean(), emotional["difference"].abs().mean()
    as_much = bool(size_n >= 0.8 * size_e > 0)
    text = (
        f"On average the score moved by {say.joined(parts)}; in size, whatever the sign, by "
        f"{100 * size_e:.1f} under sentences with emotion and {100 * size_n:.1f} under neutral "
        "ones."
    )
    if as_much:
        text += " Neutral sentences move the score as much as the emotional ones."
    yield Finding("controls", text, caution=as_much)
    start = "Against the neutral sentences that match them in length, "
    for found in _matched(results, panel):
        yield Finding("controls", start + found.text, found.caution)
        start = "Likewise, "


def _matched(results: Results, panel: Panel) -> Iterator[Finding]:
    """Each valence against its matched controls: the mean over the pairs, or the only pair."""
    rows = results.named_rows(panel, "vs_control")
    if rows.empty:
        return
    means = rows["condition"].str.startswith(("positive stimuli", "negative stimuli"))
    for valence in ("positive", "negative"):
        own = rows[(rows["valence"] == valence) & rows["difference"].notna()]
        chosen = own[means.loc[own.index]]
        for row in (chosen if len(chosen) else own if len(own) == 1 else chosen).to_dict("records"):
            yield _against_controls(results, row)


def _against_controls(results: Results, row: Mapping[Hashable, Any]) -> Finding:
    tasks, verdict, who = int(row["n_tasks"]), str(row["verdict"]), str(row["condition"])
    ends = say.interval(row["lower"], row["upper"])
    several = who.startswith(("positive stimuli", "negative stimuli"))
    p = row["p_adjusted"]
    text = (
        f"{f'the {who} differ' if several else f'{who} differs'} by "
        f"{say.signed(row['difference'])} points{' on average' if several else ''}"
        f"{f', {results.level} interval {ends}' if ends else ''}"
        f"{f', adjusted {say.said_p(p)}' if np.isfinite(p) else ''} "
        f"({say.plural(tasks, 'task')}): "
    )
    text += {
        "better": "better than the addition of a neutral sentence.",
        "worse": "worse than the addition of a neutral sentence.",
        "equivalent": "equivalent within the margin to a neutral sentence of the same length.",
        "inconclusive": "inconclusive; the data do not tell emotion from the addition of a "
        "sentence.",
    }.get(verdict, "descriptive only.")
    return Finding("controls", text, caution=verdict in ("inconclusive", "descriptive"))


def _scoring(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    del macro
    rows = results.second_scoring(panel.model, panel.shots)
    for (reference, protocol), table in rows.groupby(["reference", "protocol"], sort=False):
        if reference != panel.protocol:
            continue
        changed = table[table["flips"].astype(bool)]
        turned = table[table["difference"] * table["reference_difference"] < 0]
        shift = (table["difference"] - table["reference_difference"]).abs().max()
        verdicts = say.plural(len(table), "verdict")
        text = (
            f"Scored by {protocol} instead of {reference} (the same answers to "
            f"{say.plural(int(table['n_tasks'].max()), 'task')}), "
        )
        if len(table) == 1 and changed.empty:
            text += "the verdict stays the same; "
        elif changed.empty:
            text += f"none of {verdicts} changes; "
        else:
            names = [
                f"{r.condition} from {r.reference_verdict} to {r.verdict}"
                for r in changed.itertuples()
            ]
            text += (
                f"{len(changed)} of {verdicts} {'changes' if len(changed) == 1 else 'change'} "
                f"({say.joined(names, most=4)}); "
            )
        text += f"differences shift by up to {100 * shift:.1f} points."
        if len(turned):
            names = list(turned["condition"])
            text += f" The sign of {len(names)} changes ({say.joined(names, most=4)})."
        yield Finding("scoring", text, caution=bool(len(changed) or len(turned)))


def _wording(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    from promptlab.report.wordings import wording_finding  # which needs the tables, and they this

    del macro
    if found := wording_finding(results, panel):
        yield Finding("wording", *found)


def cell_losses(scores: pd.DataFrame) -> pd.DataFrame:
    """Answers that failed or were cut off, per cell.

    Args:
        scores: primary rows of a scores table.

    Returns:
        model, shots, task, condition, planned, failed, truncated, share; worst first.
    """
    keys = ["model", "shots", "task", "condition"]
    if scores.empty:
        return pd.DataFrame(columns=[*keys, "planned", "failed", "truncated", "share"])
    truncated = scores["status"] == "truncated"
    failed = ~truncated & ((scores["status"] != "ok") | scores["score"].isna())
    rows = scores[keys].assign(planned=1, failed=failed, truncated=truncated)
    out = rows.groupby(keys, observed=True).sum().reset_index()
    out["share"] = (out["failed"] + out["truncated"]) / out["planned"]
    return out.sort_values(["share", *keys], ascending=[False, True, True, True, True])


def _missing(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    scores = results.primary_scores(panel)
    if scores.empty:
        return
    cells = cell_losses(scores)
    planned, failed = int(cells["planned"].sum()), int(cells["failed"].sum())
    truncated = int(cells["truncated"].sum())
    if not failed + truncated:
        yield Finding("missing", f"All {say.plural(planned, 'planned answer')} were scored.")
        return
    lost = scores[(scores["status"] != "ok") | scores["score"].isna()]["status"]
    parts = _lost_parts(lost, say.plural(planned, "planned answer"))
    text = f"{say.joined(parts)} ({say.per_cent((failed + truncated) / planned)})."
    shift = (macro["missing_as_wrong"] - macro["difference"]).abs()
    if shift.notna().any():
        top = macro.iloc[int(shift.argmax())]
        text += (
            f" Counting missing answers as wrong moves differences by at most "
            f"{100 * shift.max():.1f} points ({top['condition']}: "
            f"{say.signed(top['difference'])} to {say.signed(top['missing_as_wrong'])})."
        )
    bad = cells[cells["share"] > BAD_SHARE]
    if len(bad):
        worst = bad.iloc[0]
        text += (
            f" In {say.count(len(bad))} of {say.plural(len(cells), 'cell')} more than "
            f"{100 * BAD_SHARE:g} % are lost, most in {worst['task']} under {worst['condition']} "
            f"({say.per_cent(worst['share'])})."
        )
    yield Finding("missing", text, caution=bool(len(bad)))


_LOST = {
    "failed": ("failed", "failed"),
    "empty": ("was empty", "were empty"),
    "refused": ("was refused", "were refused"),
    "filtered": ("was filtered", "were filtered"),
    "unjudged": ("was not judged", "were not judged"),
    "truncated": ("was cut off", "were cut off"),
}
"""What is said of one answer and of several, by status; statuses without words have failed."""


def _lost_parts(statuses: pd.Series, planned: str) -> list[str]:
    """`5 of 9,030 planned answers were empty`, `79 were cut off`."""
    counts = statuses.where(statuses.isin(list(_LOST)), "failed").value_counts()
    parts: list[str] = []
    for status, (one, many) in _LOST.items():
        if n := int(counts.get(status, 0)):
            who = say.count(n) if parts else f"{say.count(n)} of {planned}"
            parts.append(f"{who} {one if n == 1 else many}")
    return parts


def _best(results: Results, panel: Panel, macro: pd.DataFrame) -> Iterator[Finding]:
    del macro
    best = results.best
    if best.empty or not {"mean_of_max", "null_mean"} <= set(best.columns):
        return
    rows = best[
        (best["model"] == panel.model)
        & (best["shots"] == panel.shots)
        & (best["protocol"] == panel.protocol)
    ]
    for row in rows.to_dict("records"):
        text = say.typeset(best_sentences(pd.DataFrame([row]))[0])
        if row["n_stimuli"] < 2:
            continue
        if not np.isfinite(row["mean_of_max"]):
            yield Finding("best", text, caution=True)
        elif not np.isfinite(row["pvalue"]):
            yield Finding("best", f"{text} That is descriptive: no test is possible.", True)
        elif row["pvalue"] <= results.alpha:
            yield Finding(
                "best",
                f"{text} So some prompts differ on some task; it does not say which.",
            )
        else:
            yield Finding("best", f"{text} Choosing alone would explain it.", True)


def _margin(macro: pd.DataFrame) -> float:
    margins = macro["margin"].dropna()
    return float(margins.iloc[0]) if len(margins) else 0.02


def _span(values: pd.Series, noun: str) -> str:
    low, high = int(values.min()), int(values.max())
    return (
        say.plural(high, noun) if low == high else f"{say.count(low)} to {say.plural(high, noun)}"
    )
