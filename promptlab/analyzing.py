"""Anybody's file to its analysis: per-item scores, one column a condition, or a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.analyze import Analysis
    from promptlab.analysis.macro import Generalize
    from promptlab.analysis.pairing import Missing
    from promptlab.analysis.summary import SummaryAnalysis
    from promptlab.analysis.tidying import Kind

__all__ = ["FileAnalysis", "Options", "analyze_file", "released_names"]


@dataclass(frozen=True)
class Options:
    """How to analyse: the options of `promptlab analyze` and `promptlab compare`.

    Attributes:
        alpha: level of the verdicts.
        margin: equivalence margin in score units.
        confirmatory: conditions of the confirmatory family; all if none is named.
        tasks: what to generalise to.
        missing: what happens to a row without a score on one side.
        seed: of everything that is random.
    """

    alpha: float = 0.05
    margin: float = 0.02
    confirmatory: tuple[str, ...] = ()
    tasks: Generalize = "random"
    missing: Missing = "drop_pair"
    seed: int = 0


@dataclass(frozen=True)
class FileAnalysis:
    """A file and what it says.

    Attributes:
        source: the file.
        kind: what it holds.
        baseline: what the conditions were compared with.
        found: the analysis.
        notes: how the file was read, in sentences.
        options: how it was analysed.
        conditions: condition, valence and text of the conditions that are known stimuli.
    """

    source: Path
    kind: Kind
    baseline: str
    found: Analysis | SummaryAnalysis
    notes: tuple[str, ...]
    options: Options
    conditions: pd.DataFrame | None = None

    @property
    def contrasts(self) -> pd.DataFrame:
        """Every condition against the baseline."""
        return self.found.contrasts

    def report(self, folder: Path) -> Path:
        """Write a page with tables and figures; returns its path."""
        from promptlab.analysis.summary import SummaryAnalysis

        if isinstance(self.found, SummaryAnalysis):
            from promptlab.report.summary_page import write_summary_report

            return write_summary_report(
                folder, self.found, name=self.source.name, conditions=self.conditions
            )
        from promptlab.report.page import write_report

        return write_report(
            folder,
            scores=self.found.scores,
            contrasts=self.found.contrasts,
            best=self.found.best,
            sensitivity=self.found.sensitivity,
            manifest={
                "name": self.source.name,
                "baseline": self.baseline,
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
        from promptlab.analysis.summary import SummaryAnalysis

        tables: dict[str, pd.DataFrame] = {}
        if isinstance(self.found, SummaryAnalysis):
            for name in ("overall", "missing", "left_out"):
                tables[name] = getattr(self.found, name)
        else:
            tables["best"] = self.found.best
        return {
            "source": str(self.source),
            "kind": self.kind,
            "baseline": self.baseline,
            "alpha": self.options.alpha,
            "margin": self.options.margin,
            "tasks": self.options.tasks,
            "seed": self.options.seed,
            "notes": list(self.notes),
            "contrasts": self.contrasts.to_dict("records"),
            **{name: table.to_dict("records") for name, table in tables.items()},
            "sentences": self.found.sentences(),
            "report": None if page is None else str(page),
        }


def analyze_file(
    path: Path,
    *,
    kind: Kind | None = None,
    columns: Mapping[str, str] | None = None,
    baseline: str | None = None,
    percent: bool | None = None,
    encoding: str | None = None,
    options: Options | None = None,
) -> FileAnalysis:
    """Read a file, find out what it holds, and analyse it.

    Args:
        path: CSV, TSV, JSONL, JSON or Parquet.
        kind: what it holds; by the names of its columns if None.
        columns: our names of columns -> the file's.
        baseline: the condition to compare with; by its name if None.
        percent: whether scores are percentages; summaries tell by their size if None.
        encoding: of a text file that is not UTF-8.
        options: how to analyse.

    Raises:
        UserError: the file cannot be read, or its columns are of no kind.
        UnpairedScores: the rows of items do not pair.
    """
    from promptlab.analysis.reading import read_frame
    from promptlab.analysis.tidying import CONDITION_NAMES, table_kind

    options = options or Options()
    _refuse_logs(path)
    frame = read_frame(path, columns=columns, text=CONDITION_NAMES, encoding=encoding)
    kind = kind or table_kind(frame, source=str(path))
    if kind == "summary":
        numbered = "pnum" in (*frame.columns, (columns or {}).get("condition"))
        return _summary(path, frame, baseline, percent, options, numbered=numbered)
    from promptlab.analysis import analyze_scores, check_scores
    from promptlab.analysis.reading import choose_baseline
    from promptlab.analysis.tidying import lengthen, tidy_scores

    if kind == "wide":
        frame = lengthen(frame, source=str(path))
    scores = check_scores(tidy_scores(frame, percent=bool(percent)), source=str(path))
    chosen, guessed = choose_baseline(list(scores["condition"].unique()), baseline)
    found = analyze_scores(
        scores,
        baseline=chosen,
        alpha=options.alpha,
        margin=options.margin,
        confirmatory=options.confirmatory,
        missing=options.missing,
        tasks=options.tasks,
        seed=options.seed,
    )
    return FileAnalysis(path, kind, chosen, found, (guessed,) if guessed else (), options)


def _refuse_logs(path: Path) -> None:
    """A log of another tool holds one prompt, so there is nothing to compare it with."""
    from promptlab.importers.inspect_logs import is_log
    from promptlab.importers.lm_eval import is_samples

    if not path.is_file():
        return
    tool = "Inspect" if is_log(path) else ""
    if path.suffix == ".jsonl" and is_samples(path):
        tool = "lm-eval"
    if tool:
        raise UserError(
            f"{path} is a log of {tool}, which holds one prompt; compare two: promptlab compare "
            f"{path.name} OTHER"
        )


def _summary(
    path: Path,
    frame: pd.DataFrame,
    baseline: str | None,
    percent: bool | None,
    options: Options,
    *,
    numbered: bool,
) -> FileAnalysis:
    """A summary; conditions by number in NegativePrompt's released code get their names."""
    from promptlab.analysis.summary import analyze_summary
    from promptlab.analysis.summary_tables import SummaryTable, check_summary
    from promptlab.report.numbers import joined

    if options.missing != "drop_pair":
        raise UserError(
            f"{path} is a summary: it has no answers that could be missing; leave --missing out"
        )
    names = released_names() if numbered else {}
    table = check_summary(frame, names=names, percent=percent, source=str(path))
    present = set(table.frame["condition"])
    if names:
        moved = [f"{n} is {i}" for n, i in names.items() if i in present and _renumbered(n, i)]
        note = (
            "'pnum' is the numbering of NegativePrompt's released code; the names are those of the "
            f"paper{f' ({joined(moved)})' if moved else ''}, and 0 is the original."
        )
        table = SummaryTable(table.frame, (*table.notes, note))
    found = analyze_summary(
        table,
        baseline=None if baseline is None else names.get(baseline, baseline),
        alpha=options.alpha,
        margin=options.margin,
        confirmatory=[names.get(c, c) for c in options.confirmatory],
        tasks=options.tasks,
        seed=options.seed,
    )
    chosen = str(found.overall["baseline"].iloc[0])
    known = _known_stimuli(sorted(present))
    return FileAnalysis(path, "summary", chosen, found, found.notes, options, known)


def _renumbered(number: str, name: str) -> bool:
    return name != "original" and int(name.removeprefix("NP")) != int(number)


def released_names() -> dict[str, str]:
    """`pnum` of NegativePrompt's released code -> id; 0 is the original."""
    from promptlab.stimuli import library

    numbers = {
        str(s.metadata["pnum"]): s.id
        for s in sorted(library(), key=lambda s: s.metadata.get("pnum", 0))
        if s.library == "negativeprompt" and "pnum" in s.metadata
    }
    return {"0": "original"} | numbers


def _known_stimuli(conditions: Sequence[str]) -> pd.DataFrame:
    """Valence and text of the conditions that are stimuli of the library."""
    import pandas as pd

    from promptlab.stimuli import library

    known = library()
    rows = [(c, known[c].valence, known[c].text) for c in conditions if c in known]
    return pd.DataFrame(rows, columns=["condition", "valence", "text"])
