"""Which share of a prompt's word importance falls on a group of words, with intervals over items.

A share is computed inside each prompt, so prompts of any length and loss count alike:
sum of |value| over the group's words / sum of |value| over all words. Half of the words would have
half of the importance if it were spread evenly, so the share of the words stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arguments import check_level, check_repeats
from promptlab.analysis.arrays import Array, Seed
from promptlab.analysis.bootstrap import bootstrap_mean
from promptlab.analysis.clusters import clustered_mean
from promptlab.analysis.intervals import t_interval
from promptlab.analysis.results import Result
from promptlab.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SHARE_COLUMNS", "positive_shares", "share_sentence", "word_shares"]

SHARE_COLUMNS = (
    *("model", "measure", "condition", "task", "group", "n_items", "n_tasks"),
    *("share", "lower", "upper", "share_of_words", "excess", "excess_lower", "excess_upper"),
    *("level", "method", "note"),
)
"""Columns of the shares; `task` is `*` and `condition` is `*` where they are taken together."""

ALL = "*"
_NEEDED = ("item_id", "word", "value")
_DEFAULTS: dict[str, Any] = {
    "model": "model",
    "task": "all",
    "condition": "stimulus",
    "shots": 0,
    "instruction": "own",
    "measure": "importance",
}
_PROMPT = ["model", "measure", "condition", "task", "item_id", "shots", "instruction"]
_BCA_FROM = 30
"""Items from which the bootstrap is used; below, it covers too little and t does better."""


def word_shares(
    importance: pd.DataFrame,
    groups: str = "group",
    *,
    within: str | None = None,
    pool: bool = False,
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> pd.DataFrame:
    """Share of the importance that falls on each group of words.

    The unit is the item: its share is the mean over its prompts (numbers of shots, wordings, and
    conditions if they are pooled). A task has an interval over its items (BCa from 30 items,
    Student's t below); over tasks (`*`) the items come in clusters (`clustered_mean`).

    Args:
        importance: one row a word of a prompt and measure: `item_id`, `word`, `value`, the column
            of the groups, and `task`, `condition`, `measure`, ... as
            `promptlab.whitebox.word_importance` writes them. Values count without their sign.
        groups: column that says which group a word is in: `group` (stimulus or task words) or
            `positive` (true is called `positive`, false `other`).
        within: only words of this `group`, such as `stimulus`; prompts without any are left out.
        pool: take the conditions together.
        level: of the intervals.
        n_resamples: of the bootstrap.
        seed: of the resamples.

    Returns:
        A table with `SHARE_COLUMNS`: the share with its interval, the group's share of the words,
        and `excess`, the difference of the two with its interval. A prompt whose values are all 0
        has no share, and one with an undefined value none that is known: both are left out, and
        `note` says how many.

    Raises:
        UserError: a column is missing, values that are no numbers, or no word is left.
    """
    import pandas as pd

    check_level(level)
    check_repeats(n_resamples=n_resamples)
    words = _tidy(importance, groups, within)
    prompts, dropped = _prompts(words)
    if pool:
        prompts["condition"] = ALL
    by_item = [*("model", "measure", "condition", "task", "item_id"), groups]
    items = prompts.groupby(by_item, sort=False)[["share", "of_words"]].mean().reset_index()
    rows: list[dict[str, Any]] = []
    for key, cell in items.groupby(["model", "measure", "condition", groups], sort=False):
        common = dict(zip(("model", "measure", "condition", "group"), key, strict=True))
        options = {"level": level, "n_resamples": n_resamples, "seed": seed}
        parts = {str(task): part for task, part in cell.groupby("task", sort=False)}
        for task, part in parts.items():
            rows.append(common | _row(task, part, None, options))
        if len(parts) > 1:
            rows.append(common | _row(ALL, cell, cell["task"].to_numpy(), options))
    found = pd.DataFrame(rows)
    if dropped:
        said = f"{dropped} prompt(s) without a defined share are left out"
        found["note"] = [f"{n}; {said}" if n else said for n in found["note"]]
    return found[list(SHARE_COLUMNS)]


def positive_shares(
    importance: pd.DataFrame,
    *,
    within: str | None = "stimulus",
    threshold: float = 0.5,
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: Seed = 0,
) -> pd.DataFrame:
    """Share of the positive words, task by task, beside a threshold.

    EmotionPrompt reports that positive words contribute more than half on 4 of 8 tasks (read in a
    transcription). What the whole is that they contribute to is not established: the words of the
    stimulus here, all words of the prompt with `within=None`. Conditions whose stimulus has no
    positive word cannot have a share of them, and are left out; the others are taken together.

    Args:
        importance: as for `word_shares`, with a column `positive`.
        within: the whole that the share is of.
        threshold: the share to compare with.
        level: of the intervals.
        n_resamples: of the bootstrap.
        seed: of the resamples.

    Returns:
        The rows of the group `positive` of `word_shares`, with `verdict`: `above` or `below` where
        the whole interval is on one side of the threshold, `cannot tell` otherwise; and with
        `pooled`, the conditions that were taken together.

    Raises:
        UserError: as `word_shares`; a threshold that is no share.
    """
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise UserError(f"threshold is a share from 0 to 1, not {threshold!r}")
    pooled = _with_positive(importance)
    if "condition" in importance and pooled:
        importance = importance[importance["condition"].astype(str).isin(pooled)]
    shares = word_shares(
        importance,
        "positive",
        within=within,
        pool=True,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
    )
    found = shares[shares["group"] == "positive"].reset_index(drop=True)
    low, high = found["lower"].to_numpy(), found["upper"].to_numpy()
    return found.assign(
        verdict=np.where(
            low > threshold, "above", np.where(high < threshold, "below", "cannot tell")
        ),
        pooled=", ".join(pooled),
    )


def _with_positive(importance: pd.DataFrame) -> list[str]:
    """Conditions whose stimulus has a positive word; of a table without groups, whose prompt."""
    if not {"condition", "positive"} <= set(importance):
        return []
    good = importance["positive"].map(_label) == "positive"
    if "group" in importance:
        good &= importance["group"].astype(str) == "stimulus"
    return [str(name) for name in dict.fromkeys(importance.loc[good, "condition"])]


def share_sentence(shares: pd.DataFrame, *, threshold: float = 0.5) -> str:
    """What `positive_shares` found for one model and measure, as a sentence.

    Args:
        shares: its table, of one model and measure.
        threshold: the one it was made with.

    Raises:
        UserError: no row of a task, or several models or measures.
    """
    missing = {"task", "share", "lower", "share_of_words", "verdict", "model", "measure"} - set(
        shares
    )
    if missing:
        raise UserError(f"no column '{min(missing)}': give the table of positive_shares")
    tasks = shares[shares["task"] != ALL]
    if tasks.empty or len(tasks[["model", "measure"]].drop_duplicates()) > 1:
        raise UserError("give the rows of one model and one measure")
    share, verdict = tasks["share"].to_numpy(np.float64), tasks["verdict"]
    above, surely = int((share > threshold).sum()), int((verdict == "above").sum())
    single = int(tasks["lower"].isna().sum())
    unknown = int((verdict == "cannot tell").sum()) - single
    alone = f"; on {single} one item gives no interval" if single else ""
    pooled = next(iter(tasks["pooled"]), "") if "pooled" in tasks else ""
    return (
        f"Positive words{f' of {pooled}' if pooled else ''} carry more than {100 * threshold:g} % "
        f"of the importance on {above} of {len(tasks)} tasks (on {surely} with the whole interval; "
        f"on {unknown} the interval holds {100 * threshold:g} %{alone}). On average they carry "
        f"{100 * share.mean():.0f} % and are {100 * tasks['share_of_words'].mean():.0f} % of the "
        "words."
    )


def _tidy(importance: pd.DataFrame, groups: str, within: str | None) -> pd.DataFrame:
    """The columns that matter, checked; labels as text."""
    needed = [*_NEEDED, groups, *(["group"] if within is not None else [])]
    for name in needed:
        if name not in importance:
            raise UserError(
                f"word importance has no column '{name}'"
                f"{did_you_mean(name, [str(c) for c in importance])}"
            )
    words = importance.assign(
        **{k: v for k, v in _DEFAULTS.items() if k not in importance}
    ).reset_index(drop=True)
    if within is not None:
        words = words[words["group"].astype(str) == within]
        if words.empty:
            known = sorted(set(importance["group"].astype(str)))
            raise UserError(f"no word is in the group '{within}'; groups: {', '.join(known)}")
    if words.empty:
        raise UserError("there is no word")
    if words[_PROMPT].isna().any().any() or words[groups].isna().any():
        raise UserError("a word has no task, item, condition or group")
    try:
        size = np.abs(words["value"].to_numpy(dtype=np.float64))
    except (TypeError, ValueError):
        raise UserError("value: every importance must be a number") from None
    if np.isinf(size).any():
        raise UserError("value: an importance is infinite")
    return words[_PROMPT].assign(
        **{groups: [_label(value) for value in words[groups]], "size": size}
    )


def _label(value: Any) -> str:
    if isinstance(value, bool | np.bool_) or str(value) in ("True", "False"):
        return "positive" if str(value) == "True" else "other"
    return str(value)


def _prompts(words: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Share of importance and of words of every group in every prompt; prompts left out."""
    groups = words.columns[len(_PROMPT)]
    # Divided by the prompt's largest: sums of huge values stay finite, those of tiny ones exact.
    largest = words.groupby(_PROMPT, sort=False)["size"].transform("max")
    words = words.assign(
        size=words["size"] / largest.where(largest > 0, 1.0), words=1.0, gaps=words["size"].isna()
    )
    sums = words.groupby([*_PROMPT, groups], sort=False)[["size", "words", "gaps"]].sum()
    # A prompt without a word of some group has a share of 0 of it.
    wide: Any = sums.unstack(groups, fill_value=0)
    size, count, gaps = wide["size"], wide["words"], wide["gaps"]
    kept = (gaps.sum(axis=1) == 0) & (size.sum(axis=1) > 0)
    if not kept.any():
        raise UserError("no prompt has a defined share: all values are 0 or undefined")
    share, of_words = (
        part[kept].div(part[kept].sum(axis=1), axis=0).stack() for part in (size, count)
    )
    frame = share.rename("share").to_frame().assign(of_words=of_words).reset_index()
    return frame, int((~kept).sum())


def _row(task: str, part: pd.DataFrame, tasks: Any, options: dict[str, Any]) -> dict[str, Any]:
    share, of_words = part["share"].to_numpy(), part["of_words"].to_numpy()
    found = _interval(share, tasks, options)
    excess = _interval(share - of_words, tasks, options)
    low, high = np.clip(found.interval, 0.0, 1.0)  # a share cannot lie outside
    under, over = np.clip(excess.interval, -1.0, 1.0)
    return {
        "task": task,
        "n_items": len(part),
        "n_tasks": 1 if tasks is None else len(set(tasks)),
        "share": found.estimate,
        "lower": float(low),
        "upper": float(high),
        "share_of_words": float(of_words.mean()),
        "excess": excess.estimate,
        "excess_lower": float(under),
        "excess_upper": float(over),
        "level": options["level"],
        "method": found.method,
        "note": found.note,
    }


def _interval(values: Array, tasks: Any, options: dict[str, Any]) -> Result:
    if tasks is not None:
        return clustered_mean(values, tasks, level=options["level"])
    if len(values) >= _BCA_FROM:
        return bootstrap_mean(values, **options)
    return t_interval(values, level=options["level"])
