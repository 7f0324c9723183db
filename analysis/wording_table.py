"""Does the conclusion depend on how the instruction was worded?

Three questions, each with an interval of its own: does the difference hold for new items under
these very wordings, for other wordings too, and for other tasks too? Wordings belong to their
tasks (they are nested in them), so with tasks random the spread of the task means already carries
the spread of the wordings: nothing is added to it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from scipy.special import stdtr, stdtrit

from promptlab.analysis.arguments import check_choice, check_numbers
from promptlab.analysis.arrays import TIE, Array, safe_divide, whole_seed
from promptlab.analysis.macro import Generalize
from promptlab.analysis.pairing import Grid, Missing, grids
from promptlab.analysis.tables import check_scores
from promptlab.analysis.wording_parts import Parts
from promptlab.analysis.wordings import Crossed, error_of
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WORDING_COLUMNS", "wording_sensitivity"]

WORDING_COLUMNS = (
    *("level", "model", "shots", "protocol", "primary", "task", "condition", "valence", "baseline"),
    *("instruction", "n_tasks", "n_wordings", "n_items", "difference"),
    *("items_lower", "items_upper", "items_verdict"),
    *("wordings_lower", "wordings_upper", "wordings_verdict"),
    *("tasks_lower", "tasks_upper", "tasks_verdict"),
    *("verdict", "own_difference", "own_verdict"),
    *("one_lower", "one_upper", "one_same", "without_lower", "without_upper", "opposite"),
    *("var_task", "var_wording", "var_item", "var_residual", "flips", "why"),
)
OWN = "own"
CHOICES = 2_000
"""Random choices of one wording a task."""
_DECIDED = ("better", "worse", "equivalent")


def wording_sensitivity(
    scores: pd.DataFrame,
    conditions: pd.DataFrame | None = None,
    *,
    baseline: str = "original",
    alpha: float = 0.05,
    margin: float = 0.02,
    tasks: Generalize = "random",
    missing: Missing = "drop_pair",
    seed: int = 0,
) -> pd.DataFrame:
    """Every condition against the baseline with the wording of the instruction as a random factor.

    Verdicts here are those of t intervals of level 1 - alpha, not corrected for the number of
    conditions, so that nothing but the wording makes them differ.

    Args:
        scores: one row an item, condition, wording (column `instruction`) and protocol; see
            `promptlab.analysis.tables`.
        conditions: optional, with columns condition and valence.
        baseline: the condition to compare with.
        alpha: level of the verdicts.
        margin: of equivalence, in score units.
        tasks: `random`: the verdict is over tasks where there are two; `fixed`: it is for new items
            and new wordings of these tasks.
        missing: as in `contrasts`.
        seed: of the random choices of one wording a task.

    Returns:
        Columns `WORDING_COLUMNS`; empty where no task has two wordings. Tasks with one wording are
        left out. Rows of three levels:

        * `macro`, a condition over tasks: `items_*` holds for new items, tasks and wordings fixed;
          `wordings_*` for new wordings too; `tasks_*` for new tasks too. `own_*`: under the
          instruction `own` alone. `one_lower` and `one_upper` hold 95 % of the differences found
          with one wording a task, `one_same` is the share of them with the same verdict.
          `without_*`: the range when any one wording is left out. `opposite`: share of wordings
          whose difference has the other sign. `var_*`: variance components. `flips` where the
          conclusion depends on the wording, and `why`.
        * `task`: the same of one task, whose items and wordings are random.
        * `wording`: the difference under one wording (`instruction`) of one task, over items.

    Raises:
        UserError: a malformed table.
        UnknownName, UnpairedScores: as `contrasts` does.
    """
    check_numbers(alpha=alpha, margin=margin)
    if not (0 < alpha < 0.5 and 0 < margin < 1):
        raise UserError("alpha must lie between 0 and 0.5, and the margin between 0 and 1")
    check_choice("missing-data policy", missing, get_args(Missing))
    check_choice("unit of generalisation", tasks, get_args(Generalize))
    whole_seed(seed)
    import pandas as pd

    if "instruction" not in scores or scores["instruction"].nunique() < 2:
        return pd.DataFrame(columns=list(WORDING_COLUMNS))
    table = check_scores(scores)
    valence: dict[str, str] = {}
    if conditions is not None and "valence" in conditions:
        valence = dict(zip(conditions["condition"].astype(str), conditions["valence"].astype(str),
                           strict=True))  # fmt: skip
    rows: list[dict[str, Any]] = []
    for grid in grids(table, baseline, order=list(valence)):
        if len(grid.wordings) < 2:
            continue
        entropy = [seed, zlib.crc32(f"{grid.model}|{grid.shots}|{grid.protocol}".encode())]
        judge = _Judge(Parts.of(grid, missing), alpha, margin, tasks, entropy)
        shared = {"model": grid.model, "shots": grid.shots, "protocol": grid.protocol,
                  "baseline": baseline}  # fmt: skip
        for k, condition in enumerate(grid.conditions[1:]):
            about = {**shared, "condition": condition, "valence": valence.get(condition, "none")}
            rows += [{**about, **row} for row in judge.rows(grid, k)]
    order = {"macro": 0, "task": 1, "wording": 2}
    rows.sort(key=lambda row: order[row["level"]])
    return pd.DataFrame(rows, columns=list(WORDING_COLUMNS))


@dataclass(frozen=True)
class _Judge:
    """From moments to verdicts."""

    parts: Parts
    alpha: float
    margin: float
    tasks: Generalize
    entropy: list[int]

    def rows(self, grid: Grid, k: int) -> list[dict[str, Any]]:
        """All rows of one condition."""
        parts, used = self.parts, np.flatnonzero(self.parts.use[:, k])
        if not used.size:
            return []
        out = [{"level": "macro", "task": "*", "primary": bool(grid.primary[used].any()),
                **self._row(grid, used, k, self.tasks == "random")}]  # fmt: skip
        for t in used:
            task = {"task": grid.tasks[t], "primary": bool(grid.primary[t])}
            out.append({"level": "task", **task, **self._row(grid, np.array([t]), k, False)})
            known = np.flatnonzero(np.isfinite(parts.means[t, k]))
            means, sizes = parts.means[t, k, known], parts.sizes[t, k, known]
            said = self._said(means, parts.errors[t, k, known], sizes - 1)
            for w, difference, n, lower, upper, verdict in zip(
                known, means, sizes, *said, strict=True
            ):
                out.append(
                    {
                        "level": "wording",
                        **task,
                        "instruction": grid.wordings[w],
                        "n_tasks": 1,
                        "n_wordings": 1,
                        "n_items": int(n),
                        "difference": float(difference),
                        "items_lower": float(lower),
                        "items_upper": float(upper),
                        "items_verdict": str(verdict),
                    }
                )
        return out

    def _row(self, grid: Grid, used: Any, k: int, random: bool) -> dict[str, Any]:
        parts, count = self.parts, used.size
        at = (used, k)
        crossed = parts.crossed.at(at)
        task_means, random = crossed.mean, random and count > 1
        difference = float(task_means.mean())
        items = self._said(difference, *_fixed(crossed.items_only, crossed.n))
        wordings = self._said(difference, *error_of(crossed))
        over = self._said(difference, *_over_tasks(task_means))
        verdict = str(over[2] if random else wordings[2])
        effects = parts.means[at]
        own = OWN in grid.wordings
        o = grid.wordings.index(OWN) if own else 0
        own_means = effects[:, o] if own else np.full(count, np.nan)
        own_error = (
            _over_tasks(own_means)
            if random
            else _fixed(parts.errors[at][:, o], parts.sizes[at][:, o])
        )
        own_verdict = str(self._said(own_means.mean(), *own_error)[2])
        own_verdict = own_verdict if np.isfinite(own_means).all() else ""
        one = self._one_wording(used, k, random)
        left = self._without(used, k, random)
        between = np.nan
        if count > 1:
            noise = crossed.by_items + crossed.by_wordings - crossed.by_cells
            between = max(0.0, float(task_means.var(ddof=1) - noise.mean()))
        why = []
        if items[2] in _DECIDED and wordings[2] != items[2]:
            why.append(f"{items[2]} for these wordings only")
        if own_verdict in _DECIDED and own_verdict != verdict:
            why.append(f"{own_verdict} under the own instruction alone")
        # Of two wordings one is left, whose variance is unknown: that is no other conclusion.
        changed = (left[2] != verdict) & (left[2] != "descriptive")
        if verdict in _DECIDED and changed.any():
            t, w = (int(places[changed][0]) for places in left[:2])
            others = f" (or {changed.sum() - 1} others)" if changed.sum() > 1 else ""
            why.append(f"not {verdict} without {grid.wordings[w]} of {grid.tasks[t]}{others}")
        return {
            "n_tasks": count,
            "n_wordings": int(crossed.w.sum()),
            "n_items": int(crossed.n.sum()),
            "difference": difference,
            **_named("items", items),
            **_named("wordings", wordings),
            **_named("tasks", over),
            "verdict": verdict,
            "own_difference": float(own_means.mean()),
            "own_verdict": own_verdict,
            "one_lower": float(np.quantile(one[0], 0.025)),
            "one_upper": float(np.quantile(one[0], 0.975)),
            "one_same": float((one[1] == verdict).mean()),
            "without_lower": float(left[3].min()),
            "without_upper": float(left[3].max()),
            "opposite": float((effects * difference < -TIE).sum() / np.isfinite(effects).sum()),
            "var_task": between,
            **{
                f"var_{name}": max(0.0, float(getattr(crossed, name).mean()))
                for name in ("wording", "item", "residual")
            },
            "flips": bool(why),
            "why": "; ".join(why),
        }

    def _one_wording(self, used: Any, k: int, random: bool) -> tuple[Array, Any]:
        """(differences, verdicts) of experiments that ask one wording a task."""
        means, errors, sizes = (
            a[used, k] for a in (self.parts.means, self.parts.errors, self.parts.sizes)
        )
        known = [np.flatnonzero(np.isfinite(m)) for m in means]
        if len(known) == 1:
            chosen = known[0][:, None]
        else:
            rng = np.random.default_rng([*self.entropy, k])
            chosen = np.stack([rng.choice(w, CHOICES) for w in known], axis=1)
        t = np.arange(len(known))
        found = means[t, chosen]
        error = _over_tasks(found) if random else _fixed(errors[t, chosen], sizes[t, chosen])
        return found.mean(axis=1), self._said(found.mean(axis=1), *error)[2]

    def _without(self, used: Any, k: int, random: bool) -> tuple[Any, Any, Any, Array]:
        """(tasks, wordings, verdicts, differences) when each wording is left out in turn."""
        parts = self.parts
        place, w = np.nonzero(np.isfinite(parts.means[used, k]))
        whole, less = parts.crossed.at((used, k)), parts.without.at((used[place], k, w))
        mine = place[:, None] == np.arange(used.size)
        changed = Crossed(
            **{
                f.name: np.where(mine, getattr(less, f.name)[:, None], getattr(whole, f.name))
                for f in fields(Crossed)
            }
        )
        difference = changed.mean.mean(axis=1)
        error = _over_tasks(changed.mean) if random else error_of(changed)
        return used[place], w, self._said(difference, *error)[2], difference

    def _said(self, difference: Any, variance: Any, df: Any) -> tuple[Any, Any, Any]:
        """(lower, upper, verdict) of differences with their squared errors."""
        difference, variance = np.asarray(difference, float), np.asarray(variance, float)
        known = np.isfinite(variance) & (variance > TIE**2) & (np.asarray(df) >= 1)
        se = np.sqrt(np.where(known, variance, np.nan))
        df = np.where(known, df, 1.0)
        # The functions behind scipy.stats.t: thousands of calls with a few numbers each.
        half = stdtrit(df, 1 - self.alpha / 2) * se
        p = 2 * stdtr(df, -np.abs(safe_divide(difference, se)))
        beyond = np.abs(difference) - self.margin
        same = stdtr(df, safe_divide(beyond, se)) <= self.alpha  # the larger p of the two one-sided
        verdict = np.select(
            [np.isnan(p), (p <= self.alpha) & (difference > 0), p <= self.alpha, same],
            ["descriptive", "better", "worse", "equivalent"],
            "inconclusive",
        )
        return difference - half, difference + half, verdict


def _named(scope: str, said: tuple[Any, Any, Any]) -> dict[str, Any]:
    return {
        f"{scope}_lower": float(said[0]),
        f"{scope}_upper": float(said[1]),
        f"{scope}_verdict": str(said[2]),
    }


def _fixed(errors: Any, sizes: Any) -> tuple[Any, Any]:
    """(variance, degrees of freedom) of a mean of independent means (Welch, Satterthwaite)."""
    total = errors.sum(axis=-1)
    spread = safe_divide(errors**2, np.where(sizes > 1, sizes - 1, np.nan)).sum(axis=-1)
    return total / errors.shape[-1] ** 2, safe_divide(total**2, spread)


def _over_tasks(means: Any) -> tuple[Any, Any]:
    """(variance, degrees of freedom) of a mean over tasks that are themselves a sample."""
    count = means.shape[-1]
    if count < 2:
        return np.full(means.shape[:-1], np.nan), np.nan
    return means.var(axis=-1, ddof=1) / count, count - 1.0
