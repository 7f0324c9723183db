"""Does the conclusion depend on how answers were scored?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.contrast_table import decide
from promptlab.analysis.families import Correction, adjust_together
from promptlab.analysis.macro import macro_statistics
from promptlab.analysis.multiplicity import adjust

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SENSITIVITY_COLUMNS", "protocol_sensitivity"]

SENSITIVITY_COLUMNS = (
    "model",
    "shots",
    "contrast",
    "condition",
    "baseline",
    "valence",
    "reference",
    "protocol",
    "n_tasks",
    "reference_difference",
    "reference_lower",
    "reference_upper",
    "reference_verdict",
    "difference",
    "lower",
    "upper",
    "verdict",
    "flips",
    "sign_flips",
)
_KEPT = ["difference", "lower", "upper", "verdict"]
_WHAT = ["contrast", "condition", "baseline"]


def protocol_sensitivity(contrasts: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """Compare the macro result under each other protocol with that under the primary one.

    Where tasks have different primary protocols, each of them is also compared with every other
    that scores some of its tasks.

    The two are computed on the tasks that both protocols score, so that a difference is one of
    scoring and not of tasks.

    Args:
        contrasts: as `contrasts` returns it.
        alpha: level of the verdicts.

    Returns:
        One row for each model, shots, contrast and non-primary protocol, columns
        `SENSITIVITY_COLUMNS`; `flips` where the verdict differs, `sign_flips` where the sign of
        the difference does. Empty with one protocol.
    """
    import pandas as pd

    parts: list[pd.DataFrame] = []
    if "contrast" not in contrasts:
        contrasts = contrasts.assign(contrast="vs_original")
    for _, part in contrasts.groupby(["model", "shots"], sort=False):
        macro, cells = part[part["level"] == "macro"], part[part["level"] == "cell"]
        tested = cells[cells["n_items"] > 0]
        tasks = {str(p): set(t) for p, t in tested.groupby("protocol", sort=False)["task"]}
        primary = [p for p in tasks if macro.loc[macro["protocol"] == p, "primary"].any()]
        references = primary or list(tasks)[:1]
        for protocol in tasks:
            # Two primary protocols are compared once, the first of them being the reference.
            known = (
                references[: references.index(protocol)] if protocol in references else references
            )
            if not known:
                continue
            reference = max(known, key=lambda r: len(tasks[r] & tasks[protocol]))
            shared = tasks[reference] & tasks[protocol]
            if shared:
                first, second = (
                    _on_tasks(macro, tested, p, shared, tasks[p] == shared, alpha)
                    for p in (reference, protocol)
                )
                parts.append(_compare(first, second, reference, protocol, len(shared)))
    if not parts:
        return pd.DataFrame(columns=list(SENSITIVITY_COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(SENSITIVITY_COLUMNS)]


def _compare(
    first: pd.DataFrame, second: pd.DataFrame, reference: str, protocol: str, n_tasks: int
) -> pd.DataFrame:
    key = ["model", "shots", *_WHAT]
    renamed = {column: f"reference_{column}" for column in _KEPT}
    left = first[[*key, "valence", *_KEPT]].rename(columns=renamed)
    out = left.merge(second[[*key, *_KEPT]], on=key)
    out = out.assign(reference=reference, protocol=protocol, n_tasks=n_tasks)
    return out.assign(
        flips=out["verdict"] != out["reference_verdict"],
        sign_flips=out["difference"] * out["reference_difference"] < 0,
    )


def _on_tasks(
    macro: pd.DataFrame,
    cells: pd.DataFrame,
    protocol: str,
    tasks: set[Any],
    whole: bool,
    alpha: float,
) -> pd.DataFrame:
    """The macro rows of a protocol, computed again if it scores more tasks than these.

    Confirmatory ones are adjusted within the model as the table's own were, and then times the
    number of models.
    """
    import pandas as pd

    rows = macro[macro["protocol"] == protocol].reset_index(drop=True)
    if whole:
        return rows
    cells = cells[(cells["protocol"] == protocol) & cells["task"].isin(tasks)]
    order = pd.MultiIndex.from_frame(rows[_WHAT])

    def by_task(column: str) -> Any:
        wide = cells.pivot(index="task", columns=_WHAT, values=column)
        return wide.reindex(columns=order).to_numpy(dtype=np.float64)

    margin = float(rows["margin"].iloc[0])
    found = macro_statistics(
        by_task("mean_baseline"), by_task("mean_condition"), alpha=alpha, margin=margin
    )
    columns = {
        "difference": found.difference,
        "lower": found.lower,
        "upper": found.upper,
        "pvalue": found.pvalue,
        "equivalence_pvalue": found.equivalence,
    }
    if len(tasks) == 1:
        columns = {name: by_task(name)[0] for name in columns}
    rows = rows.assign(**columns)
    differences = by_task("mean_condition") - by_task("mean_baseline")
    p, adjusted = rows["pvalue"].to_numpy(np.float64), np.full(len(rows), np.nan)
    confirmatory = (rows["family"] == "confirmatory").to_numpy()
    for kind in rows["contrast"].unique():
        members = (rows["contrast"] == kind).to_numpy() & ~confirmatory
        adjusted[members] = adjust(p[members], "BH")
    own = np.flatnonzero(confirmatory)
    if own.size:
        method = str(rows["adjust_method"].iloc[own[0]])
        correction: Correction = "max_t" if method.startswith("max-T") else "holm"
        within, _ = adjust_together(p[own], differences[:, own], correction=correction)
        models = max(1, round(rows["family_size"].iloc[own[0]] / max(np.isfinite(p[own]).sum(), 1)))
        adjusted[own] = np.minimum(1.0, models * within)
    rows["p_adjusted"] = adjusted
    rows["verdict"] = decide(
        rows["difference"], adjusted, rows["equivalence_pvalue"], rows["level"], alpha
    )
    return rows
