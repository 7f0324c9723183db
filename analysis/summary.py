"""What can be concluded from means of tasks alone: the engine of `promptlab analyze` on summaries.

Task means are all that inference over tasks needs, so the differences over tasks have the same
intervals and tests as those of per-item scores. Inside a task nothing pairs: the SDs over runs tell
how far a mean moves when the same prompt is run again, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arguments import check_numbers, check_repeats
from promptlab.analysis.arrays import Array, whole_seed
from promptlab.analysis.contrast_table import decide
from promptlab.analysis.macro import Generalize, Macro, macro_statistics
from promptlab.analysis.maxt import max_t
from promptlab.analysis.meta import random_effects
from promptlab.analysis.multiplicity import adjust
from promptlab.analysis.ratio import paper_relative_gain
from promptlab.analysis.reading import choose_baseline
from promptlab.analysis.summary_block import Block, complete_block
from promptlab.analysis.summary_null import best_of_means
from promptlab.analysis.summary_runs import RunNoise, over_fixed_tasks, run_noise
from promptlab.analysis.summary_tables import SummaryTable, check_summary
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SUMMARY_CONTRASTS", "SummaryAnalysis", "analyze_summary"]

SUMMARY_CONTRASTS = (
    *("level", "model", "shots", "protocol", "primary", "task", "condition", "valence"),
    *("baseline", "family", "family_size", "n_tasks", "mean_baseline", "mean_condition"),
    *("difference", "lower", "upper", "interval_method", "pvalue", "test_method"),
    *("p_adjusted", "adjust_method", "relative_gain", "relative_lower", "relative_upper"),
    *("relative_note", "margin", "equivalence_pvalue", "verdict", "detectable", "run_error"),
    *("pooled", "pooled_lower", "pooled_upper", "pooled_pvalue", "pooled_tasks", "between"),
)
"""The columns of `contrasts` that a summary has, and its own: `run_error` is the standard error of
the difference from the runs alone, `pooled` the random-effects mean with `between` its standard
deviation between tasks."""


@dataclass(frozen=True, repr=False)
class SummaryAnalysis:
    """Everything that is computed from a summary.

    Attributes:
        table: the checked summary.
        contrasts: every condition against the baseline: over tasks (`level` macro) and per task
            (`cell`, a comparison of runs); columns `SUMMARY_CONTRASTS`.
        overall: one row a model and shots: the baseline, the average condition and the best
            condition per task beside its null.
        left_out: model, shots, task, condition of the means that are there but were not used.
        missing: likewise of the means that are not there.
        notes: what was read as what, and what was guessed.
        alpha: level of the verdicts.
        tasks: what the differences over tasks generalise to.
    """

    table: pd.DataFrame
    contrasts: pd.DataFrame
    overall: pd.DataFrame
    left_out: pd.DataFrame
    missing: pd.DataFrame
    notes: tuple[str, ...]
    alpha: float
    tasks: Generalize

    @property
    def conditions(self) -> pd.DataFrame:
        """The differences over tasks, one row a condition."""
        return self.contrasts[self.contrasts["level"] == "macro"].reset_index(drop=True)

    @property
    def cells(self) -> pd.DataFrame:
        """The differences per task, one row a task and condition."""
        return self.contrasts[self.contrasts["level"] == "cell"].reset_index(drop=True)

    def sentences(self) -> list[str]:
        """What was found, what is missing, and what a summary cannot say."""
        from promptlab.analysis import summary_words as say

        found = [*say.overall_sentences(self), *say.condition_sentences(self)]
        return [*found, *say.missing_sentences(self), *say.limits(self)]

    def to_frame(self) -> pd.DataFrame:
        """The differences over tasks and per task."""
        return self.contrasts

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def analyze_summary(
    summary: SummaryTable | pd.DataFrame,
    *,
    baseline: str | None = None,
    alpha: float = 0.05,
    margin: float = 0.02,
    confirmatory: Sequence[str] = (),
    tasks: Generalize = "random",
    n_simulations: int = 10_000,
    seed: int = 0,
) -> SummaryAnalysis:
    """Compare every condition of a summary with the baseline.

    Over tasks: t interval and sign-flip test of the task differences, adjusted by step-down max-T
    (Westfall and Young 1993) over the conditions; with `tasks="fixed"` a Welch interval and test of
    the runs, adjusted by Holm. Per task: Welch's test of the runs, unpaired, adjusted by
    Benjamini-Hochberg. Only tasks that have a mean under the baseline and every condition enter;
    conditions that would cost more means than they bring are left out and listed.

    Args:
        summary: as `read_summary` returns it, or a frame for `check_summary`.
        baseline: the condition to compare with; by its name if None.
        alpha: level of the verdicts; the intervals have level 1 - alpha.
        margin: differences over tasks inside +-margin (score units) count as equivalent.
        confirmatory: conditions of the confirmatory family; all if none is named.
        tasks: `random` generalises to new tasks, `fixed` to new runs of these tasks.
        n_simulations: of the null of the best condition per task.
        seed: of sign flips and simulation.

    Raises:
        UserError: a wrong argument, or no task with both the baseline and a condition.
        UnknownName: the baseline or a confirmatory condition is not in the table.
    """
    check_repeats(n_simulations=n_simulations)
    check_numbers(alpha=alpha, margin=margin)
    whole_seed(seed)
    import pandas as pd

    if not (0 < alpha < 0.5 and 0 < margin < 1):
        raise UserError("alpha must lie between 0 and 0.5, and the margin between 0 and 1")
    if tasks not in ("random", "fixed"):
        raise UnknownName("unit of generalisation", tasks, ("random", "fixed"))
    checked = summary if isinstance(summary, SummaryTable) else check_summary(summary)
    table = checked.frame
    known = list(dict.fromkeys(table["condition"]))
    chosen, guessed = choose_baseline(known, baseline)
    for name in confirmatory:
        if name not in known or name == chosen:
            raise UnknownName("confirmatory condition", name, [c for c in known if c != chosen])
    parts, overall, unused, absent = [], [], [], []
    for (model, shots), rows in table.groupby(["model", "shots"], sort=False):
        group: dict[str, Any] = {"model": str(model), "shots": int(str(shots))}
        block, spare, gaps = complete_block(rows, chosen, confirmatory, str(model))
        noise = run_noise(block.sds, block.runs)
        frame = _contrasts(block, noise, confirmatory, alpha, margin, tasks, seed)
        parts.append(frame.assign(**group, baseline=chosen, margin=margin))
        overall.append(group | _overall(block, noise, alpha, tasks, n_simulations, seed))
        unused += [group | {"task": t, "condition": c} for t, c in spare]
        absent += [group | {"task": t, "condition": c} for t, c in gaps]
    out = pd.concat(parts, ignore_index=True)
    out["verdict"] = decide(
        out["difference"], out["p_adjusted"], out["equivalence_pvalue"], out["level"], alpha
    )
    where = ["model", "shots", "task", "condition"]
    return SummaryAnalysis(
        table=table,
        contrasts=out[list(SUMMARY_CONTRASTS)],
        overall=pd.DataFrame(overall).assign(baseline=chosen, seed=seed),
        left_out=pd.DataFrame(unused, columns=where),
        missing=pd.DataFrame(absent, columns=where),
        notes=(*checked.notes, *([guessed] if guessed else [])),
        alpha=alpha,
        tasks=tasks,
    )


def _over_tasks(
    means: Array,
    noise: RunNoise,
    tasks: Generalize,
    alpha: float,
    margin: float,
    seed: int,
) -> Macro:
    original = np.broadcast_to(means[:, :1], means[:, 1:].shape)
    if tasks == "fixed":
        return over_fixed_tasks(original, means[:, 1:], noise, alpha=alpha, margin=margin)
    return macro_statistics(original, means[:, 1:], alpha=alpha, margin=margin, seed=seed)


def _contrasts(
    block: Block,
    noise: RunNoise,
    confirmatory: Sequence[str],
    alpha: float,
    margin: float,
    tasks: Generalize,
    seed: int,
) -> pd.DataFrame:
    """Rows over tasks and per task, without the verdict."""
    import pandas as pd

    names = block.conditions[1:]
    over = _over_tasks(block.means, noise, tasks, alpha, margin, seed)
    macro = pd.DataFrame(
        {
            "level": "macro",
            "task": "*",
            "condition": names,
            "n_tasks": over.n_tasks,
            "mean_baseline": over.original,
            "mean_condition": over.variant,
            "difference": over.difference,
            "lower": over.lower,
            "upper": over.upper,
            "interval_method": over.interval_method,
            "pvalue": over.pvalue,
            "test_method": over.test_method,
            "relative_gain": over.relative.gain,
            "relative_lower": over.relative.lower,
            "relative_upper": over.relative.upper,
            "relative_note": over.relative.note,
            "equivalence_pvalue": over.equivalence,
            "run_error": np.sqrt(noise.variance.sum(axis=0)) / len(block.tasks),
        }
    )
    macro = _adjusted(macro, block, over, confirmatory, alpha, tasks, seed)
    macro = macro.join(_pooled(block, noise, alpha))
    difference = block.means[:, 1:] - block.means[:, :1]
    low, high, p = noise.interval(difference, alpha)
    cells = pd.DataFrame(
        {
            "level": "cell",
            "task": np.repeat(np.array(block.tasks, object), len(names)),
            "condition": np.tile(np.array(names, object), len(block.tasks)),
            "n_tasks": 1,
            "mean_baseline": np.repeat(block.means[:, 0], len(names)),
            "mean_condition": block.means[:, 1:].ravel(),
            "difference": difference.ravel(),
            "lower": low.ravel(),
            "upper": high.ravel(),
            "interval_method": np.where(np.isfinite(low), "Welch over runs", "none").ravel(),
            "pvalue": p.ravel(),
            "test_method": np.where(np.isfinite(p), "Welch over runs", "none").ravel(),
            "relative_note": "",
            "run_error": np.sqrt(noise.variance).ravel(),
            "family": "exploratory",
            "family_size": int(np.isfinite(p).sum()),
            "p_adjusted": adjust(p.ravel(), "BH"),
            "adjust_method": "BH",
        }
    )
    both = [macro, cells.reindex(columns=macro.columns)]
    out = pd.concat([b.astype(object) for b in both], ignore_index=True).infer_objects()
    return out.assign(protocol="mean", primary=True, valence="none")


def _adjusted(
    macro: pd.DataFrame,
    block: Block,
    over: Macro,
    confirmatory: Sequence[str],
    alpha: float,
    tasks: Generalize,
    seed: int,
) -> pd.DataFrame:
    """Add families, adjusted p values and what could be detected.

    The confirmatory family is adjusted by max-T over tasks (Holm for fixed tasks), others by BH.
    """
    names = macro["condition"]
    declared = names.isin(list(confirmatory) or list(names)).to_numpy()
    p = macro["pvalue"].to_numpy(np.float64)
    adjusted, size = np.full(p.size, np.nan), np.zeros(p.size, np.int64)
    detectable = np.full(p.size, np.nan)
    joint = tasks == "random" and len(block.tasks) > 1
    for members, method in ((declared, "max-T" if joint else "Holm"), (~declared, "BH")):
        if not members.any():
            continue
        if method == "max-T":
            d = block.means[:, 1:][:, members] - block.means[:, :1]
            # Both p values are of one statistic; a Monte-Carlo one may fall below the exact one.
            adjusted[members] = np.maximum(max_t(d, seed=seed).step_down, p[members])
        elif len(block.tasks) > 1 or tasks == "fixed":
            adjusted[members] = adjust(p[members], "holm" if method == "Holm" else "BH")
        tests = int(np.isfinite(adjusted[members]).sum())
        size[members] = tests
        detectable[members] = over.detectable(alpha / max(tests, 1))[members]
    return macro.assign(
        family=np.where(declared, "confirmatory", "exploratory").astype(object),
        family_size=size,
        p_adjusted=adjusted,
        adjust_method=np.where(declared, "max-T" if joint else "Holm", "BH").astype(object),
        detectable=detectable,
    )


def _pooled(block: Block, noise: RunNoise, alpha: float) -> pd.DataFrame:
    """Random-effects pooling over the tasks with a positive run error, for each condition."""
    import pandas as pd

    rows = []
    for k in range(1, len(block.conditions)):
        known = np.isfinite(noise.variance[:, k - 1])
        row: dict[str, float] = {"pooled_tasks": 0}
        if known.sum() > 1:
            d = block.means[known, k] - block.means[known, 0]
            found = random_effects(d, noise.variance[known, k - 1], level=1 - alpha)
            row = {
                "pooled": found.estimate,
                "pooled_lower": found.interval[0],
                "pooled_upper": found.interval[1],
                "pooled_pvalue": found.pvalue,
                "pooled_tasks": found.n,
                "between": float(np.sqrt(found.tau2)),
            }
        rows.append(row)
    columns = ["pooled", "pooled_lower", "pooled_upper", "pooled_pvalue", "pooled_tasks", "between"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _overall(
    block: Block,
    noise: RunNoise,
    alpha: float,
    tasks: Generalize,
    n_simulations: int,
    seed: int,
) -> dict[str, Any]:
    """The baseline, the average condition, and the best condition per task beside its null."""
    means = block.means
    averaged = np.column_stack([means[:, 0], means[:, 1:].mean(axis=1)])
    over = _over_tasks(averaged, noise.of_average(), tasks, alpha, 0.02, seed)
    best = best_of_means(
        means[:, 0],
        means[:, 1:],
        sd=block.sds,
        runs=block.runs,
        n_simulations=n_simulations,
        seed=seed,
    )
    ratios = paper_relative_gain(means[:, 0], means[:, 1:].max(axis=1))
    macro = means.mean(axis=0)
    testable = tasks == "fixed" or len(block.tasks) > 1
    return {
        "n_tasks": len(block.tasks),
        "n_conditions": len(block.conditions) - 1,
        "mean_baseline": float(macro[0]),
        "mean_average": float(macro[1:].mean()),
        "average_difference": float(over.difference[0]),
        "average_lower": float(over.lower[0]),
        "average_upper": float(over.upper[0]),
        "average_pvalue": float(over.pvalue[0]) if testable else np.nan,
        "average_relative": float(over.relative.gain[0]),
        "highest": block.conditions[1 + int(np.argmax(macro[1:].round(12)))],
        "mean_of_max": best.mean_of_max,
        "max_difference": best.estimate,
        "max_relative": best.relative,
        "null_mean": best.null_mean,
        "null_upper": best.null_upper,
        "null_pvalue": best.pvalue,
        "null_note": best.note,
        "n_simulations": best.n_resamples,
        "paper_relative": ratios.estimate,
        "paper_excluded": len(ratios.excluded),
        "runs_least": float(np.nanmin(block.runs)) if np.isfinite(block.runs).any() else np.nan,
        "runs_most": float(np.nanmax(block.runs)) if np.isfinite(block.runs).any() else np.nan,
    }
