"""Two or more prompts of somebody's own: their scores are paired by item and analysed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.analyzing import Options
from promptlab.errors import UserError
from promptlab.importers import Source, open_source
from promptlab.matching import PAIR, pairing_of, same_place, same_targets, same_tasks
from promptlab.report.numbers import joined

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.analyze import Analysis
    from promptlab.importers.lm_eval import By

__all__ = ["Comparison", "compare"]


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
        from promptlab.analysis.contrast_words import sentences

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
        parts[k] = same_tasks(opened, called, parts, k, notes)
    parts = same_place(parts, called, notes)
    pairing = pairing_of(parts, called, opened)
    same_targets(parts, called)
    _say(parts, called, pairing, notes)
    shared = functools.reduce(lambda a, b: a.merge(b), (p[PAIR] for p in parts))
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
        both = parts[0][[*PAIR, "prompt"]].merge(parts[k][[*PAIR, "prompt"]], on=PAIR)
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

    kept = [p.merge(shared, on=PAIR).assign(condition=n) for p, n in zip(parts, names, strict=True)]
    frame = pd.concat(kept, ignore_index=True).drop(columns=["target", "prompt"])
    metrics = list(frame["metric"].unique())
    return frame.assign(protocol=metrics[0] if len(metrics) == 1 else "score")
