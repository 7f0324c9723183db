"""The rule by which a verdict is read off an estimate, its interval, and the published number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from promptlab.analysis.intervals import t_interval
from promptlab.analysis.papers.aggregates import TaskMeans
from promptlab.analysis.papers.claims import Finding, Verdict
from promptlab.analysis.papers.settings import Setting
from promptlab.analysis.results import Result

__all__ = ["concluded", "controlled", "described", "measured", "settled"]

_ENOUGH_TO_CHOOSE = 20
"""Items a task on average below which the best stimulus cannot be told from the others, so that a
small gain of the chosen one rules out nothing. A judgement: the papers have 100."""

_PLAIN = {
    "one value: no interval": "there is one task",
    "degenerate: zero variance": "the differences are all the same",
}
"""Notes of results in the words of a dossier."""


def settled(found: Finding, as_wrong: Finding) -> Finding:
    """A verdict that holds also where answers without a score count as wrong.

    Args:
        found: without those answers.
        as_wrong: the same claim with them.

    Returns:
        `cannot tell` where the two differ.
    """
    if found.verdict in ("cannot tell", as_wrong.verdict) or not as_wrong.n_tasks:
        return found
    why = (
        f"It depends on answers that have no score. Without them: {found.why} Counted as wrong: "
        f"{as_wrong.why}"
    )
    return replace(found, verdict="cannot tell", why=why)


def measured(found: Finding, result: Result) -> Finding:
    """Add an estimate with its interval, in the claim's unit; `result` is in shares."""
    lower, upper = result.interval
    return replace(
        found,
        estimate=100 * result.estimate,
        lower=100 * lower,
        upper=100 * upper,
        why=f"No interval: {_PLAIN.get(result.note, result.note)}." if result.note else "",
    )


def controlled(found: Finding, against: TaskMeans) -> Finding:
    """Add the stimuli minus their matched neutral sentences."""
    if len(against.units) < 2:
        return found
    d = t_interval(against.variant - against.original)
    return replace(
        found,
        control=100 * d.estimate,
        control_lower=100 * d.interval[0],
        control_upper=100 * d.interval[1],
    )


def described(found: Finding, settings: Sequence[Setting]) -> Finding:
    """Add what was averaged over."""
    names = [f"{s.model} {s.label}" for s in settings]
    return replace(found, settings="; ".join(dict.fromkeys(names)), n_settings=len(settings))


def concluded(found: Finding, settings: Sequence[Setting], lacking: str = "") -> Finding:
    """Add the settings and the verdict.

    Args:
        found: with an estimate, or with `why` there is none.
        settings: what was averaged over.
        lacking: settings that the claim is a mean over and that were not run, in words.
    """
    found = described(found, settings)
    if found.why:
        return found
    if lacking:
        words = f"The claim is a mean over settings, and these runs lack {lacking}."
        return replace(found, why=f"{words} Where they were asked: {_interval(found)}.")
    verdict, why = _verdict(found)
    return replace(found, verdict=verdict, why=why)


def _interval(found: Finding) -> str:
    unit = " %" if found.claim.unit == "percent" else " points"
    return f"{found.lower:+.1f} to {found.upper:+.1f}{unit}"


def _verdict(found: Finding) -> tuple[Verdict, str]:
    claim, interval = found.claim, _interval(found)
    published = f"{claim.published:+g}{' %' if claim.unit == 'percent' else ' points'}"
    if math.isnan(found.lower) or math.isnan(found.upper):
        return "cannot tell", "The answers allow no interval."
    if found.upper < claim.published:
        items = found.n_items / max(1, found.n_settings) / max(1, found.n_tasks)
        if claim.statistic == "gain_of_best" and items < _ENOUGH_TO_CHOOSE:
            return (
                "cannot tell",
                f"{items:.0f} items a task are too few to choose a stimulus by: the chosen one "
                f"gains {interval}, and a better choice might gain more.",
            )
        smaller = "There is an effect, but a smaller one" if found.lower > 0 else "No such effect"
        return (
            "not reproduced",
            f"{smaller}: {interval}. The published size ({published}) is ruled out.",
        )
    if found.lower <= 0:
        return (
            "cannot tell",
            f"The interval ({interval}) holds both no effect and the published {published}.",
        )
    if not math.isnan(found.control_lower) and found.control_lower <= 0:
        return (
            "cannot tell",
            f"The stimuli score higher than the original ({interval}), but are not shown to score "
            "higher than neutral sentences of the same length "
            f"({found.control_lower:+.1f} to {found.control_upper:+.1f} points).",
        )
    size = "larger than" if found.lower > claim.published else "as large as"
    why = f"The effect is {size} published: {interval}, published {published}."
    if claim.statistic.startswith("gain") and math.isnan(found.control):
        why += " No neutral sentence was asked beside them: any other sentence may do the same."
    return "reproduced", why
