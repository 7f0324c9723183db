"""Whether scores from two places are of the same items: tasks, models, ids and targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from promptlab.errors import UnpairedScores, UserError
from promptlab.importers import Source
from promptlab.report.numbers import joined, plural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PAIR", "pairing_of", "same_place", "same_targets", "same_tasks"]

PAIR = ["item_id", "instruction", "replicate", "task", "model", "shots"]
"""What identifies a score of one prompt."""
_EXAMPLES = 3


def same_tasks(
    sources: Sequence[Source],
    names: Sequence[str],
    parts: Sequence[pd.DataFrame],
    k: int,
    notes: list[str],
) -> pd.DataFrame:
    """The rows of prompt k with its tasks called as the baseline's."""
    mine, theirs = (
        {str(t): set(r["item_id"]) for t, r in part.groupby("task")}
        for part in (parts[0], parts[k])
    )
    lone, other = sorted(set(mine) - set(theirs)), sorted(set(theirs) - set(mine))
    pairs: dict[str, str] = {}
    if len(mine) == 1 and len(theirs) == 1 and lone:
        pairs = {other[0]: lone[0]}
    elif sources[0].content_ids and sources[k].content_ids:
        fits = {t: [m for m in lone if mine[m] & theirs[t]] for t in other}
        pairs = {t: f[0] for t, f in fits.items() if len(f) == 1}
        pairs = {t: m for t, m in pairs.items() if list(pairs.values()).count(m) == 1}
    for task, base in pairs.items():
        notes.append(
            f"Task {_of(task, names[k])} was compared with task {_of(base, names[0])}: "
            "they hold the same items."
        )
    for who, tasks in (
        (names[0], set(lone) - set(pairs.values())),
        (names[k], set(other) - set(pairs)),
    ):
        if tasks:
            notes.append(f"Only in {who}, so not compared: {joined(sorted(tasks), most=6)}.")
    out = parts[k].assign(task=parts[k]["task"].replace(pairs))
    if not set(out["task"]) & set(mine):
        raise UnpairedScores(
            f"{names[0]} and {names[k]} have no task in common: {joined(sorted(mine), most=6)}; "
            f"{joined(sorted(theirs), most=6)}"
        )
    return out


def _of(task: str, name: str) -> str:
    return task if task == name else f"{task} (of {name})"


def same_place(
    parts: Sequence[pd.DataFrame], names: Sequence[str], notes: list[str]
) -> list[pd.DataFrame]:
    """Rows under one model and number of shots, where the sides differ in that too."""
    out = list(parts)
    for column, what in (("model", "model"), ("shots", "number of demonstrations")):
        values = [sorted(p[column].unique()) for p in out]
        if all(v == values[0] for v in values):
            continue
        if any(len(v) > 1 for v in values):
            said = "; ".join(
                f"{n}: {joined(_texts(v))}" for n, v in zip(names, values, strict=True)
            )
            raise UserError(
                f"the prompts differ in the {what}, and one has several ({said}); compare one of "
                "each at a time"
            )
        said = ", ".join(f"{n} {v[0]}" for n, v in zip(names, values, strict=True))
        notes.append(
            f"The {what} differs ({said}): the difference is that of prompt and {what} together."
        )
        joint = " / ".join(dict.fromkeys(_texts(v)[0] for v in values))
        out = [p.assign(**{column: joint if column == "model" else values[0][0]}) for p in out]
    return out


def _texts(values: Sequence[Any]) -> list[str]:
    return [str(v) for v in values]


def pairing_of(
    parts: Sequence[pd.DataFrame], names: Sequence[str], sources: Sequence[Source]
) -> pd.DataFrame:
    """How many scores of each task pair, and how many of each prompt do not.

    Raises:
        UnpairedScores: of a task none does.
    """
    import pandas as pd

    rows = []
    for task in sorted(set.intersection(*({str(t) for t in p["task"].unique()} for p in parts))):
        keys = [
            set(part.loc[part["task"] == task, PAIR].itertuples(index=False, name=None))
            for part in parts
        ]
        common = set.intersection(*keys)
        if not common:
            raise UnpairedScores(_why_nothing_pairs(task, keys, names, sources))
        alone = {f"only_{n}": len(k - common) for n, k in zip(names, keys, strict=True)}
        rows.append({"task": task, "paired": len(common)} | alone)
    if not rows:
        raise UnpairedScores(f"no task is in all of {joined(names)}")
    return pd.DataFrame(rows)


def _why_nothing_pairs(
    task: str, keys: Sequence[set[Any]], names: Sequence[str], sources: Sequence[Source]
) -> str:
    counts = joined(
        [
            f"{plural(len({i for i, *_ in k}), 'item')} of {n}"
            for n, k in zip(names, keys, strict=True)
        ]
    )
    shown = "; ".join(
        f"{n} has {', '.join(str(i)[:24] for i, *_ in sorted(k, key=str)[:_EXAMPLES])}"
        for n, k in zip(names, keys, strict=True)
    )
    if all(s.kind == "lm-eval" for s in sources):
        hint = (
            "the documents differ, perhaps because the prompt is part of them; --by id pairs by "
            "their number in the data set"
        )
    elif {s.kind for s in sources} == {"Inspect"}:
        hint = "give the samples the same id in both, and do not shuffle before ids are given"
    else:
        hint = "item ids must be written alike on both sides"
    return f"task {task}: 0 of {counts} are in common ({shown}); {hint}"


def same_targets(parts: Sequence[pd.DataFrame], names: Sequence[str]) -> None:
    """One item has one right answer, whatever the prompt.

    Raises:
        UserError: it has two.
    """
    first = parts[0][[*PAIR, "target"]]
    for k in range(1, len(parts)):
        both = first.merge(parts[k][[*PAIR, "target"]], on=PAIR, suffixes=("", "_other"))
        wrong = both[
            (both["target"] != "") & (both["target_other"] != "")
            & (both["target"] != both["target_other"])
        ]  # fmt: skip
        if len(wrong):
            row = wrong.iloc[0]
            raise UserError(
                f"task {row['task']}: item {row['item_id']} has the target '{row['target'][:40]}' "
                f"in {names[0]} and '{row['target_other'][:40]}' in {names[k]} "
                f"({plural(len(wrong), 'item')} of {len(both)} differ): these are not the same "
                "items, so they do not pair"
            )
