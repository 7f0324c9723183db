"""The sentences of a dossier."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from promptlab.analysis.papers import Evidence, Finding, Setting, as_published
from promptlab.report import numbers as say
from promptlab.report.dossier_rows import SUITES

__all__ = ["depends", "not_asked", "quotable", "settings_sentence"]


def quotable(findings: Sequence[Finding], evidence: Evidence, short: str) -> list[str]:
    """A page that a reader can quote: verdicts, the main numbers, and what chance would give."""
    tested = [f for f in findings if f.n_tasks]
    counts: Counter[str] = Counter(f.verdict for f in tested)
    verdicts = [
        f"{counts[v]} {w}"
        for v, w in (
            ("reproduced", "reproduced"),
            ("not reproduced", "not reproduced"),
            ("cannot tell", "cannot be told"),
        )
        if counts[v]
    ]
    models = say.joined([str(m) for m in evidence.models])
    out = [
        f"Of {say.plural(len(findings), 'claim')} of {short}, {len(tested)} could be put to the "
        f"test on {models}: {say.joined(verdicts)}."
        if tested
        else f"None of the {len(findings)} claims of {short} could be put to the test on {models}."
    ]
    for benchmark in dict.fromkeys(s.benchmark for s in evidence.where()):
        out += _benchmark(evidence, benchmark)
    return [say.typeset(s) for s in out]


def _benchmark(evidence: Evidence, benchmark: str) -> list[str]:
    settings = evidence.where(benchmark)
    best = as_published(settings, "best", "points")
    average = as_published(settings, "average", "points")
    suite = SUITES.get(benchmark, benchmark)
    stimuli = max(len(s.stimuli) for s in settings)
    words = (
        f"On {suite}, the best of {stimuli} stimuli for each task, chosen and measured on the same "
        f"items as the paper does it, scores {100 * best.value:+.1f} points over the original. If "
        f"no sentence did anything it would score {100 * best.mean:+.1f} on average, and up to "
        f"{100 * best.upper:+.1f} in 95 % of experiments."
    )
    found = [words]
    if math.isfinite(average.value):
        points = round(100 * average.value, 1)
        more = f"{abs(points):.1f} points {'more' if points > 0 else 'less'} than"
        found.append(
            f"The average stimulus scores {more if points else 'as much as'} the original."
        )
    return found


def depends(flips: Sequence[tuple[Finding, Finding]]) -> list[str]:
    """How many verdicts depend on the scoring; nothing where none does."""
    if not flips:
        return []
    verb = "changes" if len(flips) == 1 else "change"
    verdicts = say.plural(len(flips), "verdict")
    return [f"{verdicts} {verb} if the same answers are read by the other published scorer."]


def settings_sentence(evidence: Evidence) -> str:
    """What was asked: models, settings, tasks, items."""
    parts = []
    for s in evidence.where():
        suite = SUITES.get(s.benchmark, s.benchmark)
        items = s.contest[0].shape[0]
        parts.append(
            f"{s.model}: {suite}, {s.label}, {say.plural(len(s.tasks), 'task')}, "
            f"{say.plural(items, 'item')}, {say.plural(len(s.stimuli), 'stimulus', 'stimuli')}"
            f"{_lost(s)}"
        )
    for s in evidence.incomplete:
        parts.append(
            f"{s.model}: {SUITES.get(s.benchmark, s.benchmark)}, {s.label}, where no item has a "
            "score under the original and every stimulus"
        )
    return "; ".join(parts) + "."


def _lost(setting: Setting) -> str:
    """Tasks that were asked and do not count, because no item was answered under every prompt."""
    lost = [t.partition("/")[2] for t in setting.grid.tasks if t not in setting.tasks]
    if not lost:
        return ""
    return f" (without {say.joined(lost)}, where no item has a score under every prompt)"


def not_asked(findings: Sequence[Finding]) -> list[str]:
    """Claims that these runs do not touch, and what it would take."""
    return [f"{f.claim.title or f.claim.id}: {f.why}" for f in findings if not f.n_tasks]
