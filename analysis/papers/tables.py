"""The tables of a paper, from our runs: scores in points of 100, differences in points."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.intervals import t_interval
from promptlab.analysis.papers.aggregates import (
    TaskMeans,
    as_published,
    chosen_on_one_task,
    shots_means,
    task_means,
)
from promptlab.analysis.papers.evidence import Evidence
from promptlab.analysis.papers.settings import Setting
from promptlab.analysis.simultaneous import simultaneous_bounds

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "answer_table",
    "combination_table",
    "main_table",
    "model_table",
    "shots_table",
    "size_of",
    "stimulus_table",
    "temperature_table",
    "truthfulness_table",
]

_ROWS = ("original", "zero_shot_cot", "ape", "average", "best", "best_without_effect")
"""Rows of the main table; the last is the original and what choosing alone gains on average."""


def answer_table(evidence: Evidence) -> pd.DataFrame:
    """What was asked under the original and the stimuli, and what became of it.

    Returns:
        model, benchmark, shots, base, role, temperature, and the fields of `Answers`; tasks,
        tasks_counted. Settings in which nothing counts are in it too.
    """
    rows = [
        {
            **{"model": s.model, "benchmark": s.benchmark, "shots": s.shots, "base": s.base},
            **{"role": s.role, "temperature": s.temperature},
            **asdict(s.answers),
            **{"tasks": len(s.grid.tasks), "tasks_counted": len(s.tasks)},
        }
        for s in (*evidence.settings, *evidence.incomplete)
    ]
    return _frame(rows, ("model", "benchmark", "shots", "base", "planned", "scored"))


def main_table(evidence: Evidence) -> pd.DataFrame:
    """Scores by model and setting, as the papers' main table has them.

    Returns:
        model, benchmark, shots, base, row (`_ROWS`), value, n_tasks, n_items. `original`,
        `average` and `best` are over the items that were answered under every stimulus; another
        method is over the items that it and the original have.
    """
    rows: list[dict[str, Any]] = []
    for s in evidence.where():
        place = {"model": s.model, "benchmark": s.benchmark, "shots": s.shots, "base": s.base}
        items = s.contest[0].shape[0]
        known = {
            "original": float(s.observed.original[0]),
            "average": float(s.observed.average[0]),
            "best": float(s.observed.best[0]),
            "best_without_effect": float(
                s.observed.original[0] + (s.null.best - s.null.original).mean()
            ),
        }
        for row in _ROWS:
            if row in known:
                value, n_tasks, n_items = known[row], len(s.tasks), items
            elif row in s.methods:
                means, tasks = s.task_means(("original", row))
                if not tasks:
                    continue
                value, n_tasks = float(means[:, 1].mean()), len(tasks)
                n_items = s.items(("original", row))[0].shape[0]
            else:
                continue
            rows.append(
                {**place, "row": row, "value": 100 * value, "n_tasks": n_tasks, "n_items": n_items}
            )
    return _frame(rows, ("model", "benchmark", "shots", "base", "row", "value"))


def model_table(evidence: Evidence) -> pd.DataFrame:
    """Gains by model and setting, in points, beside what no effect gives.

    Returns:
        model, size (parameters, NaN where the name does not say), benchmark, shots, base,
        original; average_gain with its interval over tasks; best_gain as the papers compute it,
        with its mean (best_chance) and 95th percentile (best_chance_upper) under no effect;
        chosen_gain, of a stimulus chosen on other items, with its interval.
    """
    rows = []
    for s in evidence.where():
        average = _over_tasks(task_means([s], "average"))
        best = as_published([s], "best", "points")
        rows.append(
            {
                "model": s.model,
                "size": size_of(s.model),
                "benchmark": s.benchmark,
                "shots": s.shots,
                "base": s.base,
                "original": 100 * float(s.observed.original[0]),
                **_named("average_gain", average),
                "best_gain": 100 * best.value,
                "best_chance": 100 * best.mean,
                "best_chance_upper": 100 * best.upper,
                **_named("chosen_gain", _chosen(s)),
                "n_tasks": len(s.tasks),
            }
        )
    return _frame(
        rows, ("model", "size", "benchmark", "shots", "base", "average_gain", "best_gain")
    )


def _chosen(setting: Setting) -> tuple[float, float, float]:
    """Gain of the stimulus chosen on other items, over tasks, or over the items of one task."""
    if len(setting.tasks) == 1 and setting.contest[0].shape[0] > 1:
        found = chosen_on_one_task([setting])
        return 100 * found.estimate, 100 * found.interval[0], 100 * found.interval[1]
    return _over_tasks(task_means([setting], "best"))


def stimulus_table(evidence: Evidence, *, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """How much each stimulus gains, averaged over settings, and its matched neutral sentence.

    Args:
        evidence: of the runs.
        level: of the intervals, which hold for all stimuli of a benchmark and model together
            (max-T bootstrap over tasks).
        seed: of the bootstrap.

    Returns:
        model, benchmark, stimulus, gain, lower, upper, p_adjusted, control (id, or empty),
        control_gain, n_tasks, note (why there is no interval). Gains in points over the original.
    """
    rows: list[dict[str, Any]] = []
    for model in evidence.models:
        for benchmark in _benchmarks(evidence, model):
            settings = evidence.where(benchmark, model=model)
            rows += [
                {"model": model, "benchmark": benchmark, **row}
                for row in _stimuli(settings, level, seed)
            ]
    return _frame(rows, ("model", "benchmark", "stimulus", "gain", "lower", "upper"))


def _stimuli(settings: Sequence[Setting], level: float, seed: int) -> list[dict[str, Any]]:
    """One row a stimulus, of the tasks that all settings have."""
    names = [n for n in settings[0].stimuli if all(n in s.stimuli for s in settings)]
    controls = {n: c for n, c in settings[0].controls.items() if all(s.has(c) for s in settings)}
    shown = ("original", *names, *dict.fromkeys(controls[n] for n in names if n in controls))
    tables = [s.task_means(shown) for s in settings]
    shared = [t for t in tables[0][1] if all(t in tasks for _, tasks in tables)]
    if not shared:
        return []
    means = np.mean([m[[tasks.index(t) for t in shared]] for m, tasks in tables], axis=0)
    gains = means[:, 1:] - means[:, :1]
    own = gains[:, : len(names)]
    lower = upper = p = np.full(len(names), math.nan)
    note = f"{len(shared)} tasks are too few for intervals"
    if len(shared) > 2:
        bounds = simultaneous_bounds(own, side="two-sided", level=level, seed=seed)
        (lower, upper), p, note = bounds.interval, bounds.pvalue, bounds.note
    rows = []
    for k, name in enumerate(names):
        control = controls.get(name, "")
        rows.append(
            {
                "stimulus": name,
                "gain": 100 * float(own[:, k].mean()),
                "lower": 100 * float(lower[k]),
                "upper": 100 * float(upper[k]),
                "p_adjusted": float(p[k]),
                "control": control,
                "control_gain": 100 * float(gains[:, shown.index(control) - 1].mean())
                if control
                else math.nan,
                "n_tasks": len(shared),
                "note": note,
            }
        )
    return rows


def shots_table(evidence: Evidence) -> pd.DataFrame:
    """Gain of the average stimulus with and without demonstrations, where both were asked.

    Returns:
        model, benchmark, base, zero and few (gains in points with `_lower`, `_upper`), difference
        with its interval over the tasks that both have, n_tasks.
    """
    rows = []
    for model in evidence.models:
        for benchmark in _benchmarks(evidence, model):
            for base in ("human", "ape"):
                gains = shots_means(evidence.where(benchmark, base=[base], model=model))
                if not gains.units:
                    continue
                none = np.zeros(len(gains.units))
                rows.append(
                    {
                        "model": model,
                        "benchmark": benchmark,
                        "base": base,
                        **_named(
                            "zero",
                            _over_tasks(replace(gains, original=none, variant=gains.original)),
                        ),
                        **_named("few", _over_tasks(replace(gains, original=none))),
                        **_named("difference", _over_tasks(gains)),
                        "n_tasks": gains.n_tasks,
                    }
                )
    return _frame(rows, ("model", "benchmark", "base", "zero", "few", "difference"))


def combination_table(evidence: Evidence) -> pd.DataFrame:
    """Combinations of stimuli beside their parts: gains over the original in points.

    Returns:
        model, benchmark, shots, condition, parts (how many stimuli), gain with its interval over
        tasks, n_tasks.
    """
    return _each(
        evidence,
        "combinations",
        lambda s: [({"condition": c, "parts": c.count("+") + 1}, (c,)) for c in s.stimuli],
        ("model", "benchmark", "shots", "condition", "parts", "gain"),
    )


def temperature_table(evidence: Evidence) -> pd.DataFrame:
    """The average stimulus by temperature: gains over the original in points.

    Returns:
        model, benchmark, shots, temperature, original, gain with its interval over tasks, best and
        best_chance (the best stimulus of each task, and its mean under no effect), n_tasks.
    """

    def sides(s: Setting) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
        more = {
            "temperature": s.temperature,
            "original": 100 * float(s.observed.original[0]),
            "best": 100 * float((s.observed.best - s.observed.original)[0]),
            "best_chance": 100 * float((s.null.best - s.null.original).mean()),
        }
        return [(more, s.stimuli)]

    found = _each(
        evidence,
        "temperature",
        sides,
        ("model", "benchmark", "shots", "temperature", "original", "gain"),
    )
    return found.sort_values(["model", "benchmark", "shots", "temperature"], ignore_index=True)


def truthfulness_table(judged: Mapping[str, Evidence]) -> pd.DataFrame:
    """Shares of TruthfulQA's answers that a judge called true and informative, in per cent.

    Args:
        judged: evidence under a judge's protocol, by what the judge was asked (`true`,
            `informative`).

    Returns:
        model, row (`original`, other methods, each stimulus, `average`, `best`), quantity, value,
        n_items. Each quantity is over the items that have it under the original and every
        stimulus, and `best` is its largest value over the stimuli, as the paper has it.
    """
    rows: list[dict[str, Any]] = []
    for quantity, evidence in judged.items():
        for s in evidence.where("truthfulqa"):
            means, _ = s.task_means(("original", *s.stimuli))
            known = dict(zip(("original", *s.stimuli), means.mean(axis=0), strict=True))
            known |= {m: s.task_means(("original", m))[0][:, 1].mean() for m in s.methods}
            known |= {"average": s.observed.average[0], "best": s.observed.best[0]}
            place = {"model": s.model, "quantity": quantity, "n_items": s.contest[0].shape[0]}
            rows += [{**place, "row": row, "value": 100 * float(v)} for row, v in known.items()]
    return _frame(rows, ("model", "quantity", "n_items", "row", "value"))


def _each(
    evidence: Evidence,
    role: str,
    sides: Callable[[Setting], list[tuple[dict[str, Any], tuple[str, ...]]]],
    columns: Sequence[str],
) -> pd.DataFrame:
    rows = []
    for s in evidence.where(role=role):
        for more, variant in sides(s):
            means, tasks = s.task_means(("original", *variant))
            variants = means[:, 1:].mean(axis=1)
            pair = TaskMeans(tasks, means[:, 0], variants, len(tasks), 0)
            rows.append(
                {
                    "model": s.model,
                    "benchmark": s.benchmark,
                    "shots": s.shots,
                    **more,
                    **_named("gain", _over_tasks(pair)),
                    "n_tasks": len(tasks),
                }
            )
    return _frame(rows, columns)


_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s*([mbt])(?![a-z0-9])", re.IGNORECASE)


def size_of(model: str) -> float:
    """Parameters that a model's name tells, such as 1.35e8 for `smollm2-135m`; NaN if it does not.

    Examples:
        >>> size_of("local/smollm2-135m"), size_of("meta-llama/Llama-2-13b-chat-hf")
        (135000000.0, 13000000000.0)
    """
    found = _SIZE.findall(model)
    if not found:
        return math.nan
    number, unit = found[-1]
    return float(number) * {"m": 1e6, "b": 1e9, "t": 1e12}[unit.lower()]


def _benchmarks(evidence: Evidence, model: str) -> list[str]:
    return list(dict.fromkeys(s.benchmark for s in evidence.where(model=model)))


def _over_tasks(means: TaskMeans) -> tuple[float, float, float]:
    """(mean difference, lower, upper) in points, t interval over the units; NaN without any."""
    if not means.units:
        return math.nan, math.nan, math.nan
    found = t_interval(means.variant - means.original)
    return 100 * found.estimate, 100 * found.interval[0], 100 * found.interval[1]


def _named(name: str, found: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_lower", f"{name}_upper"), found, strict=True))


def _frame(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """A frame that has its columns even without rows."""
    import pandas as pd

    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(columns))
