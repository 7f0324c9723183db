"""The contrasts of an experiment: what a prompt changes, over tasks and per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arguments import check_choice, check_numbers
from promptlab.analysis.arrays import Bools, whole_seed
from promptlab.analysis.contrast_kinds import (
    Contrast,
    confirmatory_family,
    named_contrasts,
    valences,
)
from promptlab.analysis.contrast_rows import Block, compute
from promptlab.analysis.families import CORRECTIONS, Correction, adjust_together, over_models
from promptlab.analysis.macro import Generalize, no_p_below
from promptlab.analysis.multiplicity import adjust
from promptlab.analysis.pairing import Grid, Missing, grids
from promptlab.analysis.power import detectable_t
from promptlab.analysis.tables import check_scores
from promptlab.errors import UserError

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
    "contrast",
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
    contrasts: Sequence[str | Mapping[str, Any]] | None = None,
    correction: Correction = "max_t",
    missing: Missing = "drop_pair",
    tasks: Generalize = "random",
    seed: int = 0,
) -> pd.DataFrame:
    """Compare conditions with the baseline and with each other, on the same items.

    Over tasks (`level` = macro): mean of the per-task mean differences, t interval and sign-flip
    test over tasks; with one task the interval and test of that task's items. Per task (`level` =
    cell): McNemar mid-p and Tango's interval for right/wrong scores, sign-flip and BCa for graded
    ones; a mean over several conditions is tested by label permutation inside the items.

    The confirmatory macro contrasts of a model are adjusted together (see `correction`), then over
    the models of that number of shots and protocol as Holm does. The other macro contrasts are
    adjusted by Benjamini-Hochberg, and so are the cells, each kind for itself, within (model,
    shots, protocol).

    Args:
        scores: one row an item, condition and protocol; see `promptlab.analysis.tables`.
        conditions: optional, with columns condition, method, valence, matched_to, theory; gives
            the valence, decides which conditions are stimuli, and what the named contrasts are.
        baseline: the condition to compare with.
        alpha: level of the verdicts; the intervals have level 1 - alpha.
        margin: macro differences inside +-margin (score units) count as equivalent.
        confirmatory: the confirmatory family: conditions (against the baseline), names of
            contrasts (all their rows), or both; if nothing is named, or `vs_original`, all stimuli
            but the neutral ones against the baseline.
        contrasts: besides every condition against the baseline (`vs_original`), which is always
            there: `vs_control`, every stimulus against its matched neutral control; `valence` and
            `theory`, means of groups of stimuli; and one's own, as mappings with `name` and
            `weights` over conditions. If None, vs_control where a matched control has scores.
        correction: of the confirmatory family: `max_t`, step-down over the tasks, or `holm`. Where
            max-T cannot be computed it is Holm, and `adjust_method` says why.
        missing: `drop_pair` leaves out rows without a score on either side; `as_wrong` scores
            them 0. The column missing_as_wrong has the latter's difference either way.
        tasks: `random` generalises to new tasks, `fixed` to new items of these tasks.
        seed: of bootstrap and Monte-Carlo tests.

    Returns:
        A table with the columns `CONTRAST_COLUMNS`; differences in score units (0.01 = 1 point),
        of `condition` minus `baseline`, which are labels where a side has several conditions.
        planned, scored, failed and truncated count the rows of the side that is added; unpaired
        counts rows of either side that lack a scored partner. `detectable` is the smallest true
        difference that this row's verdict finds with 80 % power, given the observed variance and
        the family's size (level alpha / family_size, which for max-T is cautious). Undefined
        numbers are NaN.

    Raises:
        UserError: a wrong argument or a malformed table.
        UnknownName: the baseline, a confirmatory name or a contrast is not known.
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

    _check_arguments(alpha, margin, missing, tasks, correction, seed)
    table = check_scores(scores)
    valence = valences(conditions)
    known = [str(c) for c in table["condition"].unique()]
    named = named_contrasts(contrasts, conditions, known, baseline)
    family = confirmatory_family(confirmatory, conditions, known, named, baseline)
    settings: dict[str, Any] = {
        "missing": missing,
        "tasks": tasks,
        "alpha": alpha,
        "margin": margin,
        "seed": seed,
    }
    panels: list[tuple[Grid, list[Block]]] = []
    for grid in grids(table, baseline, order=list(valence)):
        single = [
            Contrast("vs_original", c, baseline, {c: 1.0, baseline: -1.0}, valence.get(c, "none"))
            for c in grid.conditions[1:]
        ]
        here = [c for c in named if set(c.weights) <= set(grid.conditions)]
        parts = [[c for c in here if c.averaged is averaged] for averaged in (False, True)]
        blocks = [compute(grid, single, **settings, plain=True)]
        blocks += [compute(grid, part, **settings) for part in parts if part]
        panels.append((grid, blocks))
    macros = _adjust_macro(panels, family, correction, tasks, alpha, seed)
    cells = [_adjust_cells(blocks, alpha) for _, blocks in panels]
    frames = [
        frame.assign(model=grid.model, shots=grid.shots, protocol=grid.protocol, margin=margin)
        for level in (macros, cells)
        for (grid, _), frame in zip(panels, level, strict=True)
    ]
    out = pd.concat([_in_order(frame, named) for frame in frames], ignore_index=True)
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


def _check_arguments(
    alpha: float, margin: float, missing: str, tasks: str, correction: str, seed: int
) -> None:
    check_numbers(alpha=alpha, margin=margin)
    whole_seed(seed)
    if not 0 < alpha < 0.5:
        raise UserError(f"alpha must lie between 0 and 0.5, not {alpha}")
    if not 0 < margin < 1:
        raise UserError(f"margin must lie between 0 and 1 (0.02 = 2 points), not {margin}")
    for what, value, known in (
        ("missing-data policy", missing, ("drop_pair", "as_wrong")),
        ("unit of generalisation", tasks, ("random", "fixed")),
        ("correction", correction, CORRECTIONS),
    ):
        check_choice(what, value, known)


def _in_order(frame: pd.DataFrame, named: Sequence[Contrast]) -> pd.DataFrame:
    """Rows over tasks in the order of the plan; single and averaged ones were computed apart."""
    if (frame["level"] == "cell").all():
        return frame
    order = {c.key: i for i, c in enumerate(named)}
    keys = zip(frame["contrast"], frame["condition"], frame["baseline"], strict=True)
    return frame.iloc[np.argsort([order.get(k, -1) for k in keys], kind="stable")]


def _adjust_macro(
    panels: Sequence[tuple[Grid, Sequence[Block]]],
    family: set[tuple[str, str, str]],
    correction: Correction,
    tasks: Generalize,
    alpha: float,
    seed: int,
) -> list[pd.DataFrame]:
    """Rows over tasks of every panel with their families and adjusted p values."""
    import pandas as pd

    frames, members, adjusted, methods = [], [], [], []
    for _, blocks in panels:
        frame = pd.concat([b.macro for b in blocks], ignore_index=True)
        keys = [c.key for b in blocks for c in b.contrasts]
        confirmatory = np.array([k in family for k in keys])
        p = frame["pvalue"].to_numpy(np.float64)
        differences = np.concatenate([b.found.difference for b in blocks], axis=1)
        own, method = adjust_together(
            p[confirmatory],
            differences[:, confirmatory],
            correction=correction,
            tasks=tasks,
            seed=seed,
        )
        frames.append(frame)
        members.append(confirmatory)
        adjusted.append(own)
        methods.append(method)
    sizes = [int(np.isfinite(p).sum()) for p in adjusted]
    places = [(grid.shots, grid.protocol) for grid, _ in panels]
    for place in dict.fromkeys(places):
        same = [k for k, other in enumerate(places) if other == place and sizes[k]]
        if len(same) > 1:
            for k, p in zip(same, over_models([adjusted[k] for k in same]), strict=True):
                adjusted[k] = p
                methods[k] += f", {len(same)} models by Holm"
            total = sum(sizes[k] for k in same)
            for k in same:
                sizes[k] = total
    models = [sum(1 for p in places if p == place) for place in places]
    return [
        _adjusted_frame(*parts, alpha=alpha)
        for parts in zip(
            frames, [b for _, b in panels], members, adjusted, methods, sizes, models, strict=True
        )
    ]


def _adjusted_frame(
    frame: pd.DataFrame,
    blocks: Sequence[Block],
    confirmatory: Bools,
    own: Any,
    method: str,
    size: int,
    models: int,
    *,
    alpha: float,
) -> pd.DataFrame:
    """One panel's rows over tasks with families, adjusted p values and what could be detected."""
    p, kinds = frame["pvalue"].to_numpy(np.float64), frame["contrast"].to_numpy()
    sizes, adjusted = np.zeros(len(frame), np.int64), np.full(len(frame), np.nan)
    adjusted[confirmatory], sizes[confirmatory] = own, size
    for kind in dict.fromkeys(kinds):
        rest = (kinds == kind) & ~confirmatory
        adjusted[rest], sizes[rest] = adjust(p[rest], "BH"), int(np.isfinite(p[rest]).sum())
    detectable, start = np.full(len(frame), np.nan), 0
    cells = frame["_cell"].to_numpy()
    for block in blocks:
        place = np.arange(start, start + len(block.contrasts))
        start = int(place[-1]) + 1
        for tests in np.unique(sizes[place]):
            level = alpha / max(int(tests), 1)
            over, by_cell = block.over.detectable(level), None
            for k in place[sizes[place] == tests]:
                # max-T asks more than the raw level of one sign-flip test only for the models.
                together = confirmatory[k] and method.startswith("max-T")
                reach = alpha / models if together else level
                detectable[k] = _reachable(block, int(k - place[0]), over, level, reach)
                if cells[k] >= 0:
                    by_cell = block.found.detectable(level).ravel() if by_cell is None else by_cell
                    detectable[k] = by_cell[cells[k]]
    return frame.assign(
        family=np.where(confirmatory, "confirmatory", "exploratory").astype(object),
        family_size=sizes,
        p_adjusted=adjusted,
        adjust_method=np.where(confirmatory, method, "BH").astype(object),
        detectable=detectable,
    )


def _reachable(block: Block, k: int, over: Any, level: float, reach: float) -> float:
    """What could be detected; the smallest p value of a sign-flip test must reach `reach`."""
    count = int(block.over.n_tasks[k])
    if np.isfinite(over[k]) or block.over.tasks == "fixed" or count < 2:
        return float(over[k])
    if no_p_below(count) > reach:
        return float("nan")
    sd = float(block.over.se[k]) * float(np.sqrt(count))
    return float(detectable_t(count, sd, alpha=level))


def _adjust_cells(blocks: Sequence[Block], alpha: float) -> pd.DataFrame:
    """Rows per task of one panel, adjusted over all of a kind by Benjamini-Hochberg."""
    import pandas as pd

    frame = pd.concat([b.cells.assign(_block=i) for i, b in enumerate(blocks)], ignore_index=True)
    p, kinds = frame["pvalue"].to_numpy(np.float64), frame["contrast"].to_numpy()
    sizes, adjusted = np.zeros(len(frame), np.int64), np.full(len(frame), np.nan)
    for kind in dict.fromkeys(kinds):
        rows = kinds == kind
        adjusted[rows], sizes[rows] = adjust(p[rows], "BH"), int(np.isfinite(p[rows]).sum())
    owner, cell = frame["_block"].to_numpy(), frame["_cell"].to_numpy()
    detectable = np.full(len(frame), np.nan)
    for i, block in enumerate(blocks):
        for tests in np.unique(sizes[owner == i]):
            rows = (owner == i) & (sizes == tests)
            found = block.found.detectable(alpha / max(int(tests), 1)).ravel()
            detectable[rows] = found[cell[rows]]
    return frame.assign(
        family="exploratory",
        family_size=sizes,
        p_adjusted=adjusted,
        adjust_method="BH",
        detectable=detectable,
    )
