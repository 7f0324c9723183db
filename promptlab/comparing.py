"""Two or more prompts of somebody's own: their scores are paired by item and analysed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.analyzing import Options
from promptlab.errors import UnpairedScores, UserError
from promptlab.importers import Source, open_source
from promptlab.report.numbers import joined, plural

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.analyze import Analysis
    from promptlab.importers.lm_eval import By

__all__ = ["Comparison", "compare"]

_PAIR = ["task", "item_id", "replicate"]
_EXAMPLES = 3


@dataclass(frozen=True, repr=False)
class Comparison:
    """Prompts against the first of them, on the same items.

    Attributes:
        names: of the prompts; the first is the baseline.
        sources: where their scores came from.
        pairing: one row a task: scores that all prompts have (`paired`), and of each prompt the
            scores that some other lacks.
        found: the analysis; its conditions are the names.
        notes: how the scores were read and paired, in sentences.
        options: how they were analysed.
    """

    names: tuple[str, ...]
    sources: tuple[Source, ...]
    pairing: pd.DataFrame
    found: Analysis
    notes: tuple[str, ...]
    options: Options

    @property
    def contrasts(self) -> pd.DataFrame:
        """Every prompt against the first, over tasks and per task."""
        return self.found.contrasts

    def sentences(self) -> list[str]:
        """A sentence for every prompt and task, and over tasks where there are several."""
        from promptlab.analysis.wording import sentences

        rows = self.contrasts
        macro = rows[rows["level"] == "macro"]
        if int(macro["n_tasks"].max()) > 1:
            return sentences(rows, level=None, alpha=self.options.alpha)
        # Over one task both levels are the same comparison; the macro row has the verdict.
        task = rows.loc[rows["level"] == "cell", "task"].iloc[0]
        named = macro.assign(level="cell", task=task)
        return sentences(named, level="cell", alpha=self.options.alpha)

    def report(self, folder: Path) -> Path:
        """Write a page with tables and figures; returns its path."""
        from promptlab.report.page import write_report

        return write_report(
            folder,
            scores=self.found.scores,
            contrasts=self.contrasts,
            best=self.found.best,
            sensitivity=self.found.sensitivity,
            manifest={
                "name": " against ".join((joined(self.names[1:]), self.names[0])),
                "baseline": self.names[0],
                "alpha": self.options.alpha,
                "margin": self.options.margin,
                "missing": self.options.missing,
                "confirmatory": list(self.options.confirmatory),
                "seed": self.options.seed,
                "warnings": list(self.notes),
            },
        )

    def to_json(self, page: Path | None = None) -> dict[str, Any]:
        """Everything found, for a program; numbers that are undefined are null."""
        return {
            "prompts": [
                {"name": n, "path": str(s.path), "kind": s.kind}
                for n, s in zip(self.names, self.sources, strict=True)
            ],
            "baseline": self.names[0],
            "alpha": self.options.alpha,
            "margin": self.options.margin,
            "tasks": self.options.tasks,
            "seed": self.options.seed,
            "pairing": self.pairing.to_dict("records"),
            "contrasts": self.contrasts.to_dict("records"),
            "sentences": self.sentences(),
            "notes": list(self.notes),
            "report": None if page is None else str(page),
        }

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def compare(
    *sources: Source | Path | str,
    names: Sequence[str] = (),
    metrics: Sequence[str] = (),
    by: By = "hash",
    columns: Mapping[str, str] | None = None,
    options: Options | None = None,
) -> Comparison:
    """Compare prompts on the items that all of them answered; the first is the baseline.

    Tasks pair by name; a task that only one side has pairs with the other side's task of the same
    items (two prompts are often two tasks). Items pair by id and replicate.

    Args:
        sources: lm-eval sample logs, Inspect logs, folders of either, tables, runs
            (`RUN:CONDITION`).
        names: what to call them; from the files if not given.
        metrics: the metric to read from logs that have several, for each task the first it has.
        by: what tells lm-eval's items apart: `hash` of the document, or its `id` in the data set.
        columns: our names of a table's columns -> the table's.
        options: how to analyse.

    Raises:
        UserError: fewer than two, nothing to read, or one item with two different targets.
        UnpairedScores: no item is in all of them; the message says what there is instead.
    """
    from promptlab.analysis import analyze_scores

    if len(sources) < 2:
        raise UserError("name at least two prompts to compare; the first is the baseline")
    opened = tuple(
        s if isinstance(s, Source) else open_source(s, metrics=metrics, by=by, columns=columns)
        for s in sources
    )
    called = _names(opened, names)
    options = options or Options()
    notes = [f"{n}: {note}" for n, s in zip(called, opened, strict=True) for note in s.notes]
    parts = [s.rows for s in opened]
    for k in range(1, len(parts)):
        parts[k] = _same_tasks(opened, called, parts, k, notes)
    parts = _same_place(parts, called, notes)
    pairing = _pairing(parts, called, opened)
    _same_targets(parts, called)
    _say(parts, called, pairing, notes)
    shared = functools.reduce(lambda a, b: a.merge(b), (p[_PAIR] for p in parts))
    scores = _together(parts, called, shared)
    found = analyze_scores(
        scores,
        baseline=called[0],
        alpha=options.alpha,
        margin=options.margin,
        confirmatory=options.confirmatory,
        missing=options.missing,
        tasks=options.tasks,
        seed=options.seed,
    )
    return Comparison(called, opened, pairing, found, tuple(notes), options)


def _names(sources: Sequence[Source], given: Sequence[str]) -> tuple[str, ...]:
    """Names as given, else what tells the sources apart: label, folder, or A, B, ..."""
    if given:
        if len(given) != len(sources) or len(set(given)) < len(given) or not all(given):
            raise UserError(f"--names needs {len(sources)} different names, as plain,career")
        return tuple(given)
    homes = [s.path.resolve().parent for s in sources]
    for labels in (
        [s.label for s in sources],
        [home.name for home in homes],
        [home.parent.name for home in homes],
    ):
        if len(set(labels)) == len(labels) and all(labels):
            return tuple(labels)
    return tuple(chr(ord("A") + k) if k < 26 else f"P{k + 1}" for k in range(len(sources)))


def _same_tasks(
    sources: Sequence[Source],
    names: Sequence[str],
    parts: Sequence[pd.DataFrame],
    k: int,
    notes: list[str],
) -> pd.DataFrame:
    """The rows of prompt k with its tasks called as the baseline's."""
    mine = {t: set(r["item_id"]) for t, r in parts[0].groupby("task")}
    theirs = {t: set(r["item_id"]) for t, r in parts[k].groupby("task")}
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


def _same_place(
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
                f"{n}: {joined(v)}" for n, v in zip(names, map(_texts, values), strict=True)
            )
            raise UserError(f"the prompts were asked with different {what}s ({said})")
        said = ", ".join(f"{n} {v[0]}" for n, v in zip(names, values, strict=True))
        notes.append(
            f"The {what} differs ({said}): the difference is that of prompt and {what} together."
        )
        joint = " / ".join(dict.fromkeys(_texts(v)[0] for v in values))
        out = [p.assign(**{column: joint if column == "model" else values[0][0]}) for p in out]
    return out


def _texts(values: Sequence[Any]) -> list[str]:
    return [str(v) for v in values]


def _pairing(
    parts: Sequence[pd.DataFrame], names: Sequence[str], sources: Sequence[Source]
) -> pd.DataFrame:
    """How many scores of each task pair, and how many of each prompt do not.

    Raises:
        UnpairedScores: of a task none does.
    """
    import pandas as pd

    rows = []
    for task in sorted(functools.reduce(lambda a, b: a & b, (set(p["task"]) for p in parts))):
        keys = [
            set(zip(p["item_id"], p["replicate"], strict=True))
            for p in (part[part["task"] == task] for part in parts)
        ]
        common = functools.reduce(lambda a, b: a & b, keys)
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
    counts = joined([f"{plural(len(k), 'item')} of {n}" for n, k in zip(names, keys, strict=True)])
    shown = "; ".join(
        f"{n} has {', '.join(str(i)[:24] for i, _ in sorted(k, key=str)[:_EXAMPLES])}"
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


def _same_targets(parts: Sequence[pd.DataFrame], names: Sequence[str]) -> None:
    """One item has one right answer, whatever the prompt.

    Raises:
        UserError: it has two.
    """
    first = parts[0][[*_PAIR, "target"]]
    for k in range(1, len(parts)):
        both = first.merge(parts[k][[*_PAIR, "target"]], on=_PAIR, suffixes=("", "_other"))
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


def _say(
    parts: Sequence[pd.DataFrame],
    names: Sequence[str],
    pairing: pd.DataFrame,
    notes: list[str],
) -> None:
    """Notes on what did not pair, and on prompts that are no different."""
    for row in pairing.to_dict("records"):
        alone = {n: row[f"only_{n}"] for n in names if row[f"only_{n}"]}
        if alone:
            said = joined([f"{count} only in {n}" for n, count in alone.items()])
            notes.append(f"{row['task']}: {row['paired']} scores pair; left out: {said}.")
    for k in range(1, len(parts)):
        both = parts[0][[*_PAIR, "prompt"]].merge(parts[k][[*_PAIR, "prompt"]], on=_PAIR)
        known = both[(both["prompt_x"] != "") & (both["prompt_y"] != "")]
        same = int((known["prompt_x"] == known["prompt_y"]).sum())
        if same and same == len(known):
            notes.append(
                f"{names[k]} and {names[0]} were sent the same prompt for every item: any "
                "difference is noise of the answers."
            )
        elif same:
            notes.append(
                f"{names[k]} and {names[0]} were sent the same prompt for {same} of {len(known)} "
                "items."
            )


def _together(
    parts: Sequence[pd.DataFrame], names: Sequence[str], shared: pd.DataFrame
) -> pd.DataFrame:
    """One table of scores; only the rows that all prompts have."""
    import pandas as pd

    kept = [
        p.merge(shared, on=_PAIR).assign(condition=n) for p, n in zip(parts, names, strict=True)
    ]
    frame = pd.concat(kept, ignore_index=True).drop(columns=["target", "prompt"])
    metrics = list(frame["metric"].unique())
    return frame.assign(protocol=metrics[0] if len(metrics) == 1 else "score")
