"""The contrasts of an experiment: every condition against the baseline, over tasks and per task."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arrays import Array, Bools, safe_divide
from promptlab.analysis.cells import Cells, cell_statistics
from promptlab.analysis.macro import Generalize, Macro, macro_statistics
from promptlab.analysis.multiplicity import adjust
from promptlab.analysis.pairing import Grid, Missing, Pairs, grids
from promptlab.analysis.ratio import FiellerLimits
from promptlab.analysis.tables import check_scores
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CONTRAST_COLUMNS", "contrasts", "decide"]

CONTRAST_COLUMNS = (
    "level",
    "model",
    "shots",
    "protocol",
    "primary",
    "task",
    "condition",
    "valence",
    "baseline",
    "family",
    "family_size",
    "n_tasks",
    "n_items",
    "mean_baseline",
    "mean_condition",
    "difference",
    "lower",
    "upper",
    "interval_method",
    "pvalue",
    "test_method",
    "p_adjusted",
    "adjust_method",
    "relative_gain",
    "relative_lower",
    "relative_upper",
    "relative_note",
    "margin",
    "equivalence_pvalue",
    "verdict",
    "detectable",
    "gained",
    "lost",
    "planned",
    "scored",
    "failed",
    "truncated",
    "unpaired",
    "missing_as_wrong",
)


def contrasts(
    scores: pd.DataFrame,
    conditions: pd.DataFrame | None = None,
    *,
    baseline: str = "original",
    alpha: float = 0.05,
    margin: float = 0.02,
    confirmatory: Sequence[str] = (),
    missing: Missing = "drop_pair",
    tasks: Generalize = "random",
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every condition with the baseline on the same items.

    Over tasks (`level` = macro): mean of the per-task mean differences, t interval and sign-flip
    test over tasks; with one task the interval and test of that task's items. Per task (`level` =
    cell): McNemar mid-p and Tango's interval for right/wrong scores, sign-flip and BCa for graded
    ones. Confirmatory macro contrasts are adjusted by Holm, other macro contrasts by
    Benjamini-Hochberg, cells by Benjamini-Hochberg, each within (model, shots, protocol).

    Args:
        scores: one row an item, condition and protocol; see `promptlab.analysis.tables`.
        conditions: optional, with columns condition, method, valence; gives the valence, and
            decides which conditions are stimuli.
        baseline: the condition to compare with.
        alpha: level of the verdicts; the intervals have level 1 - alpha.
        margin: macro differences inside +-margin (score units) count as equivalent.
        confirmatory: conditions of the confirmatory family; if none is named, all stimuli but the
            neutral ones.
        missing: `drop_pair` leaves out rows without a score on either side; `as_wrong` scores
            them 0. The column missing_as_wrong has the latter's difference either way.
        tasks: `random` generalises to new tasks, `fixed` to new items of these tasks.
        seed: of bootstrap and Monte-Carlo tests.

    Returns:
        A table with the columns `CONTRAST_COLUMNS`; differences in score units (0.01 = 1 point).
        planned, scored, failed and truncated count the condition's own rows; unpaired counts rows
        of either side that lack a scored partner. `detectable` is the smallest true difference
        that this row's verdict finds with 80 % power, given the observed variance and the
        family's size (level alpha / family_size). Undefined numbers are NaN.

    Raises:
        UserError: a wrong argument or a malformed table.
        UnknownName: the baseline or a confirmatory condition is not in the table.
        UnpairedScores: the rows do not pair; the message says why.

    Examples:
        >>> import pandas as pd
        >>> rows = [("original", i, s) for i, s in enumerate([0, 0, 1, 1, 0, 1, 0, 1])]
        >>> rows += [("EP02", i, s) for i, s in enumerate([1, 0, 1, 1, 1, 1, 1, 1])]
        >>> scores = pd.DataFrame(rows, columns=["condition", "item_id", "score"])
        >>> found = contrasts(scores)
        >>> found.loc[found["level"] == "cell", ["condition", "difference", "gained", "lost"]]
          condition  difference  gained  lost
        1      EP02       0.375       3     0
    """
    import pandas as pd

    _check_arguments(alpha, margin, missing, tasks)
    table = check_scores(scores)
    valence, stimuli = _about(conditions)
    known = [str(c) for c in table["condition"].unique()]
    for name in confirmatory:
        if name not in known:
            raise UnknownName("confirmatory condition", name, known)
    if baseline in confirmatory:
        raise UserError(f"the baseline '{baseline}' cannot be a confirmatory condition")
    declared = set(confirmatory) or {c for c in stimuli if valence[c] != "neutral"}
    family = declared or {c for c in stimuli or known if c != baseline}

    macros: list[pd.DataFrame] = []
    cells: list[pd.DataFrame] = []
    for grid in grids(table, baseline, order=list(valence)):
        pairs = grid.pairs(missing)
        found = cell_statistics(grid, pairs, alpha=alpha, margin=margin, seed=seed)
        entropy = [seed, zlib.crc32(f"{grid.model}|{grid.shots}|{grid.protocol}".encode())]
        over = macro_statistics(
            found.original,
            found.variant,
            moments=found.moments,
            tasks=tasks,
            alpha=alpha,
            margin=margin,
            seed=np.random.default_rng(entropy),
        )
        wrong = _task_differences(grid, grid.pairs("as_wrong"))
        shared: dict[str, Any] = {
            "model": grid.model,
            "shots": grid.shots,
            "protocol": grid.protocol,
            "baseline": baseline,
            "margin": margin,
        }
        macro_frame = _macro_frame(grid, pairs, found, over, wrong).assign(**shared)
        cell_frame = _cell_frame(grid, pairs, found, wrong).assign(**shared)
        is_confirmatory = macro_frame["condition"].isin(family).to_numpy()
        macros.append(_adjust(macro_frame, is_confirmatory, over, found, alpha))
        cells.append(_adjust(cell_frame, np.zeros(len(cell_frame), bool), None, found, alpha))
    out = pd.concat([*macros, *cells], ignore_index=True)
    out["valence"] = [valence.get(c, "none") for c in out["condition"]]
    out["verdict"] = decide(
        out["difference"], out["p_adjusted"], out["equivalence_pvalue"], out["level"], alpha
    )
    return out[list(CONTRAST_COLUMNS)]


def decide(
    difference: Any, p_adjusted: Any, equivalence: Any, level: Any, alpha: float = 0.05
) -> list[str]:
    """Better or worse if significant, else equivalent (macro only), else inconclusive.

    `descriptive` where no test was possible.
    """
    out = []
    for d, p, e, where in zip(difference, p_adjusted, equivalence, level, strict=True):
        if np.isnan(p):
            out.append("descriptive")
        elif p <= alpha:
            out.append("better" if d > 0 else "worse")
        elif where == "macro" and e <= alpha:
            out.append("equivalent")
        else:
            out.append("inconclusive")
    return out


def _check_arguments(alpha: float, margin: float, missing: str, tasks: str) -> None:
    if not 0 < alpha < 0.5:
        raise UserError(f"alpha must lie between 0 and 0.5, not {alpha}")
    if not 0 < margin < 1:
        raise UserError(f"margin must lie between 0 and 1 (0.02 = 2 points), not {margin}")
    for what, value, known in (
        ("missing-data policy", missing, ("drop_pair", "as_wrong")),
        ("unit of generalisation", tasks, ("random", "fixed")),
    ):
        if value not in known:
            raise UnknownName(what, value, known, f"known: {', '.join(known)}")


def _about(conditions: pd.DataFrame | None) -> tuple[dict[str, str], set[str]]:
    """Valence by condition in the table's order, and the conditions that are stimuli."""
    if conditions is None:
        return {}, set()
    if "condition" not in conditions:
        raise UserError("the conditions table needs a column 'condition'")
    names = conditions["condition"].astype("str")
    valence = conditions["valence"] if "valence" in conditions else ["none"] * len(names)
    methods = conditions["method"] if "method" in conditions else ["stimulus"] * len(names)
    stimuli = {n for n, m in zip(names, methods, strict=True) if m == "stimulus"}
    return dict(zip(names, (str(v) for v in valence), strict=True)), stimuli


def _task_differences(grid: Grid, pairs: Pairs) -> Array:
    """Mean differences, tasks x conditions."""
    d = pairs.variant - pairs.original
    there = np.isfinite(d)
    sums = np.add.reduceat(np.where(there, d, 0.0), grid.task_starts, axis=0)
    return safe_divide(sums, np.add.reduceat(there.astype(np.int64), grid.task_starts, axis=0))


def _counts(grid: Grid, pairs: Pairs) -> dict[str, Any]:
    scored = np.isfinite(grid.scores)
    return {
        "planned": grid.count(grid.planned)[:, 1:],
        "scored": grid.count(scored)[:, 1:],
        "failed": grid.count(grid.planned & ~scored & ~grid.truncated)[:, 1:],
        "truncated": grid.count(grid.truncated)[:, 1:],
        "unpaired": pairs.unpaired,
    }


def _relative(found: FiellerLimits) -> dict[str, Any]:
    gain, lower, upper, note = (
        np.ravel(v) for v in (found.gain, found.lower, found.upper, found.note)
    )
    # One item or one task has a ratio but no interval: nothing bounds it.
    note = np.where((note == "") & np.isnan(lower) & np.isfinite(gain), "unbounded", note)
    return {
        "relative_gain": gain,
        "relative_lower": lower,
        "relative_upper": upper,
        "relative_note": note.astype(object),
    }


def _cell_frame(grid: Grid, pairs: Pairs, found: Cells, wrong: Array) -> pd.DataFrame:
    """One row a task and condition that were both planned with the baseline."""
    import pandas as pd

    names = grid.conditions[1:]
    frame = pd.DataFrame(
        {
            "level": "cell",
            "task": np.repeat(np.array(grid.tasks, object), len(names)),
            "condition": np.tile(np.array(names, object), len(grid.tasks)),
            "primary": np.repeat(grid.primary, len(names)),
            "n_tasks": (found.n > 0).astype(np.int64).ravel(),
            "n_items": found.n.ravel(),
            "mean_baseline": found.original.ravel(),
            "mean_condition": found.variant.ravel(),
            "difference": found.difference.ravel(),
            "lower": found.lower.ravel(),
            "upper": found.upper.ravel(),
            "interval_method": found.interval_method.ravel(),
            "pvalue": found.pvalue.ravel(),
            "test_method": found.test_method.ravel(),
            **_relative(found.relative),
            "equivalence_pvalue": found.equivalence.ravel(),
            "gained": found.gained.ravel(),
            "lost": found.lost.ravel(),
            **{name: counts.ravel() for name, counts in _counts(grid, pairs).items()},
            "missing_as_wrong": wrong.ravel(),
        }
    )
    has = grid.count(grid.planned) > 0
    frame["_cell"] = np.arange(len(frame))
    return frame[(has[:, 1:] & has[:, :1]).ravel()].reset_index(drop=True)


def _macro_frame(grid: Grid, pairs: Pairs, found: Cells, over: Macro, wrong: Array) -> pd.DataFrame:
    """One row a condition; with one task its interval and test are those of the task's items."""
    import pandas as pd

    there = np.isfinite(wrong)
    counted = safe_divide(np.where(there, wrong, 0.0).sum(axis=0), there.sum(axis=0))
    frame = pd.DataFrame(
        {
            "level": "macro",
            "task": "*",
            "condition": np.array(grid.conditions[1:], object),
            "primary": bool(grid.primary.any()),
            "n_tasks": over.n_tasks,
            "n_items": found.n.sum(axis=0),
            "mean_baseline": over.original,
            "mean_condition": over.variant,
            "difference": over.difference,
            "lower": over.lower,
            "upper": over.upper,
            "interval_method": over.interval_method,
            "pvalue": over.pvalue,
            "test_method": over.test_method,
            **_relative(over.relative),
            "equivalence_pvalue": over.equivalence,
            "gained": found.gained.sum(axis=0),
            "lost": found.lost.sum(axis=0),
            **{name: counts.sum(axis=0) for name, counts in _counts(grid, pairs).items()},
            "missing_as_wrong": counted,
        }
    )
    frame["_cell"] = -1
    cells = _relative(found.relative)
    for k in np.flatnonzero(over.n_tasks == 1):
        t = int(np.argmax(found.n[:, k]))
        at = t * len(over.n_tasks) + k
        for column, value in {
            "lower": found.lower[t, k],
            "upper": found.upper[t, k],
            "interval_method": f"{found.interval_method[t, k]} over items of one task",
            "pvalue": found.pvalue[t, k],
            "test_method": f"{found.test_method[t, k]} over items of one task",
            "equivalence_pvalue": found.equivalence[t, k],
            "_cell": at,
            **{name: values[at] for name, values in cells.items()},
        }.items():
            frame.loc[k, column] = value
    return frame


def _adjust(
    frame: pd.DataFrame, confirmatory: Bools, over: Macro | None, found: Cells, alpha: float
) -> pd.DataFrame:
    """Add the families, adjusted p values, and what could be detected at the adjusted level."""
    rows = len(frame)
    p = frame["pvalue"].to_numpy(np.float64)
    cells = frame["_cell"].to_numpy()
    size, adjusted = np.zeros(rows, np.int64), np.full(rows, np.nan)
    detectable = np.full(rows, np.nan)
    for members, method in ((confirmatory, "holm"), (~confirmatory, "BH")):
        tests = int(np.isfinite(p[members]).sum())
        size[members] = tests
        adjusted[members] = adjust(p[members], "holm" if method == "holm" else "BH")
        level = alpha / max(tests, 1)
        if over is not None:
            detectable[members] = over.detectable(level)[members]
        by_cell = members & (cells >= 0)
        if by_cell.any():
            detectable[by_cell] = found.detectable(level).ravel()[cells[by_cell]]
    return frame.assign(
        family=np.where(confirmatory, "confirmatory", "exploratory").astype(object),
        family_size=size,
        p_adjusted=adjusted,
        adjust_method=np.where(confirmatory, "Holm", "BH").astype(object),
        detectable=detectable,
    )
