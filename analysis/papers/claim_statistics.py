"""What a claim may be about, and how it is computed from the settings that were run.

An estimate chooses no stimulus on the items that it is measured on. Where a claim is a mean over
settings (zero-shot and few-shot, human and APE instructions), so is the estimate, over the tasks
that all of them have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from promptlab.analysis.intervals import t_interval
from promptlab.analysis.papers.aggregates import (
    Of,
    TaskMeans,
    as_published,
    by_kind,
    chosen_on_one_task,
    control_means,
    mean_gain,
    mean_relative_gain,
    shared_tasks,
    shared_units,
    shots_means,
    task_means,
    task_means_against,
)
from promptlab.analysis.papers.claims import Claim, Finding, Verdict
from promptlab.analysis.papers.evidence import Evidence
from promptlab.analysis.papers.settings import Setting
from promptlab.analysis.papers.verdicts import concluded, controlled, described, measured
from promptlab.errors import UnknownName

__all__ = ["STATISTICS", "judge"]


def judge(claim: Claim, evidence: Evidence, *, seed: int = 0) -> Finding:
    """What the evidence says of a claim.

    *Not reproduced*: the interval of the estimate lies below the published value, so that an
    effect of that size is ruled out. *Reproduced*: the interval does not, and it lies above 0, and
    so does that of the stimuli minus their matched neutral sentences, where those were asked.
    *Cannot tell*: neither, or what the claim is about was not run, or not all of it.

    Args:
        claim: the claim.
        evidence: settings under the scoring protocol that decides.
        seed: of the folds in which a stimulus is chosen.

    Raises:
        UnknownName: the claim's statistic is not known.
    """
    if claim.statistic not in STATISTICS:
        raise UnknownName("statistic", claim.statistic, STATISTICS)
    return STATISTICS[claim.statistic](claim, evidence, seed)


@dataclass(frozen=True)
class _Asked:
    """The settings that a claim is about, of the models that have most of them.

    Attributes:
        settings: of models that have all of them; of all models, if none has.
        lacking: in words, what was not run.
    """

    settings: tuple[Setting, ...]
    lacking: str


def _asked(claim: Claim, evidence: Evidence) -> _Asked:
    wanted = list(product(claim.shots, claim.base))
    found: dict[str, list[Setting]] = {}
    for s in evidence.where(claim.benchmark, base=claim.base):
        if _kind(s) in wanted:
            found.setdefault(s.model, []).append(s.scaled(*claim.scale))
    whole = [m for m, settings in found.items() if {_kind(s) for s in settings} == set(wanted)]
    chosen = tuple(s for m in whole or found for s in found[m])
    run = {_kind(s) for s in chosen}
    lacking = "" if whole else _listed(k for k in wanted if k not in run)
    if chosen and not whole and not lacking:
        lacking = "one model under all of them"
    return _Asked(chosen, lacking)


def _kind(setting: Setting) -> tuple[str, str]:
    return ("few" if setting.shots else "zero"), setting.base


def _named(kind: tuple[str, str]) -> str:
    return f"{kind[0]}-shot with {'APE' if kind[1] == 'ape' else kind[1]} instructions"


def _listed(kinds: Iterable[tuple[str, str]]) -> str:
    *first, last = [_named(k) for k in kinds] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _not_run(claim: Claim, evidence: Evidence) -> Finding:
    wanted = list(product(claim.shots, claim.base))
    empty = [s for s in evidence.incomplete if s.benchmark == claim.benchmark and s.role == "main"]
    lost = list(dict.fromkeys(_kind(s) for s in empty if _kind(s) in wanted))
    if lost:
        why = f"No item has a score under the original and every stimulus: {_listed(lost)}."
    else:
        why = f"Not run: {claim.needs or f'it takes {claim.benchmark}, {_listed(wanted)}'}."
    return Finding(claim=claim, verdict="cannot tell", why=why)


def _gain_of_best(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    return _gain(claim, evidence, seed, "best")


def _gain_of_average(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    return _gain(claim, evidence, seed, "average")


def _gain(claim: Claim, evidence: Evidence, seed: int, of: Of) -> Finding:
    asked = _asked(claim, evidence)
    if not asked.settings:
        return _not_run(claim, evidence)
    settings = shared_tasks(asked.settings)
    if not settings:
        why = "The settings of the claim have no task in common."
        return described(Finding(claim=claim, verdict="cannot tell", why=why), asked.settings)
    one_task = len({t for s in settings for t in s.tasks}) == 1
    if of == "best" and one_task:
        found = _of_one_task(claim, settings, seed)
    else:
        what = "stimulus of each task chosen on other items" if of == "best" else "mean stimulus"
        found = _estimated(
            claim,
            settings,
            lambda group: task_means(group, of, seed=seed),
            f"{what}, against the original",
        )
    relative = claim.unit == "percent"
    # Where a relative gain means nothing, it means nothing under no effect either.
    if math.isfinite(found.estimate) or not relative:
        chance = as_published(settings, of, "relative" if relative else "points")
        found = replace(
            found,
            as_published=100 * chance.value,
            chance=100 * chance.mean,
            chance_upper=100 * chance.upper,
            chance_pvalue=chance.pvalue,
        )
    against = control_means(settings, "average" if one_task else of, seed=seed)
    return concluded(controlled(found, against), settings, asked.lacking)


def _of_one_task(claim: Claim, settings: Sequence[Setting], seed: int) -> Finding:
    """The best stimulus of the benchmark's only task, chosen and measured on different items."""
    found = Finding(
        claim=claim,
        verdict="cannot tell",
        why="",
        estimand="the stimulus chosen on other items, against the original; interval over items",
        n_tasks=1,
        n_items=sum(s.contest[0].shape[0] for s in settings),
    )
    if claim.unit == "percent":
        why = "A relative gain of the best stimulus of a single task has no interval here."
        return replace(found, why=why)
    if found.n_items < 2 * len(settings):
        return replace(found, why="One item has no interval.")
    return measured(found, chosen_on_one_task(settings, seed=seed))


def _over_method(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    """The mean stimulus against another prompting method."""
    del seed
    asked = _asked(claim, evidence)
    settings = [s for s in asked.settings if claim.method in s.methods]
    if not settings:
        return _not_run(claim, evidence)
    found = _estimated(
        claim,
        settings,
        lambda group: task_means_against(group, lambda s: ((claim.method,), s.stimuli)),
        f"mean stimulus, against {claim.method}",
    )
    return concluded(replace(found, as_published=found.estimate), settings, asked.lacking)


def _few_shot_advantage(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    """How much more the mean stimulus gains with demonstrations than without, model by model."""
    del seed
    asked = _asked(claim, evidence)
    if asked.lacking or not asked.settings:
        return _not_run(claim, evidence)
    settings = shared_tasks(asked.settings)
    groups = dict.fromkeys((s.model, s.base) for s in settings)
    each = [shots_means([s for s in settings if (s.model, s.base) == key]) for key in groups]
    if not each or not each[0].units:
        return _not_run(claim, evidence)
    found = measured(
        Finding(
            claim=claim,
            verdict="cannot tell",
            why="",
            estimand="gain of the mean stimulus, few-shot minus zero-shot",
            n_tasks=each[0].n_tasks,
            n_items=sum(m.n_items for m in each),
        ),
        mean_gain(each),
    )
    return concluded(replace(found, as_published=found.estimate), settings)


def _tasks_with_larger_share(claim: Claim, evidence: Evidence, seed: int) -> Finding:
    """In which share of the tasks positive words have more than half of the importance."""
    del seed
    table = evidence.importance
    if table is None or not len(table):
        return _not_run(claim, evidence)
    above, below = int((table["lower"] > 0.5).sum()), int((table["upper"] < 0.5).sum())
    n, of = len(table), claim.of or len(table)
    needed = math.ceil(claim.published / of * n - 1e-9)
    verdict: Verdict = "cannot tell"
    if n < of:
        why = f"The claim is about {of} tasks; these are {n}."
    else:
        asked = f"The claim, {claim.published:g} of {of}, takes {needed} of these {n} tasks"
        why = f"{asked}: {above} intervals lie above one half, {below} below it."
        if above >= needed:
            verdict = "reproduced"
        elif n - below < needed:
            verdict = "not reproduced"
    count = int((table["share"] > 0.5).sum())
    return Finding(
        claim=claim,
        verdict=verdict,
        why=why,
        as_published=count,
        estimate=count,
        estimand=f"of {n} tasks, those in which positive words have more than half",
        n_tasks=n,
    )


STATISTICS: Mapping[str, Callable[[Claim, Evidence, int], Finding]] = {
    "gain_of_best": _gain_of_best,
    "gain_of_average": _gain_of_average,
    "over_method": _over_method,
    "few_shot_advantage": _few_shot_advantage,
    "tasks_with_larger_share": _tasks_with_larger_share,
}
"""What a claim may be about."""


def _estimated(
    claim: Claim,
    settings: Sequence[Setting],
    means: Callable[[Sequence[Setting]], TaskMeans],
    estimand: str,
) -> Finding:
    """The mean over kinds of setting with its interval over tasks; no verdict yet."""
    kinds = [means(group) for group in by_kind(settings)]
    shared = shared_units(kinds)
    kinds = [k.only(shared) for k in kinds]
    n_tasks = min(kinds[0].n_tasks, len(shared))
    found = Finding(
        claim=claim,
        verdict="cannot tell",
        why="",
        estimand=estimand if n_tasks != 1 else f"{estimand}; interval over items",
        n_tasks=n_tasks,
        n_items=sum(k.n_items for k in kinds),
    )
    if not shared:
        return replace(found, why="No task has enough items that were answered under every prompt.")
    if claim.unit != "percent":
        return measured(found, mean_gain(kinds))
    for kind in kinds:
        level = t_interval(kind.original)
        if not level.interval[0] > 0:
            return replace(
                found,
                why=f"The original scores {100 * level.estimate:.1f} points, whose interval does "
                "not lie above 0: a relative gain means nothing there.",
            )
    gain = mean_relative_gain(kinds)
    if gain.note in ("undefined", "unbounded"):
        why = "No interval: the original cannot be told from 0, so a ratio to it has none."
        return replace(found, estimate=100 * gain.estimate, why=why)
    return measured(found, replace(gain, note="" if gain.note == "unstable" else gain.note))
