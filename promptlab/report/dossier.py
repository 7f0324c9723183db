"""The dossier of a paper: a page to quote, the claims with verdicts, every table and figure.

index.html  dossier.json  dossier.tex  tables/*.csv  tables/*.tex  figures/*.{pdf,svg,png}
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson
import pandas as pd

from promptlab.analysis import papers
from promptlab.analysis.papers import Evidence, Finding
from promptlab.errors import UserError
from promptlab.report import dossier_rows as rows
from promptlab.report.dossier_figures import draw_all
from promptlab.report.dossier_words import depends, not_asked, quotable, settings_sentence
from promptlab.report.page import rendered
from promptlab.report.tables import Table
from promptlab.report.tex import tex

if TYPE_CHECKING:
    from promptlab.recipes import Recipe
    from promptlab.runs import Run

__all__ = ["Dossier", "write"]


TRUTHFULNESS = {"true": "judge:truthfulqa.truth", "informative": "judge:truthfulqa.informative"}
"""What the paper's table of TruthfulQA shows, and the protocol that scores it."""


@dataclass(frozen=True)
class Dossier:
    """What is known of a paper from some runs.

    Attributes:
        recipe: of the paper.
        protocol: which of its protocols was followed; empty where the recipe did not make the runs.
        evidence: the runs' scores under the protocol of scoring that decides.
        as_wrong: the same with answers that have no score counted as wrong.
        second: the same answers under a second way of scoring, and what is done in words; or None.
        judged: evidence for claims about a scoring protocol of their own, by its name.
        runs: the runs.
        published: the paper's values.
    """

    recipe: Recipe
    protocol: str
    evidence: Evidence
    as_wrong: Evidence
    second: tuple[str, Evidence] | None
    judged: Mapping[str, Evidence]
    runs: Sequence[Run]
    published: pd.DataFrame

    @cached_property
    def findings(self) -> list[Finding]:
        """Every claim with its verdict."""
        return [
            papers.judge(claim, self.judged[claim.protocol])
            if claim.protocol
            else papers.settled(
                papers.judge(claim, self.evidence), papers.judge(claim, self.as_wrong)
            )
            for claim in self.recipe.claims
        ]

    @cached_property
    def second_findings(self) -> list[Finding]:
        """Claims without a scoring protocol of their own under the second one."""
        if self.second is None:
            return []
        evidence = self.second[1]
        return [papers.judge(c, evidence) for c in self.recipe.claims if not c.protocol]

    @cached_property
    def flips(self) -> list[tuple[Finding, Finding]]:
        """(finding, under the second scoring) where that gives another verdict."""
        known = {f.claim.id: f for f in self.findings if f.n_tasks}
        return [
            (known[other.claim.id], other)
            for other in self.second_findings
            if other.n_tasks
            and other.claim.id in known
            and other.verdict != known[other.claim.id].verdict
        ]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables behind the page, by name."""
        ours = self.evidence
        found = {
            "claims": papers.claims_frame(self.findings),
            "answers": papers.answer_table(ours),
            "main": papers.main_table(ours),
            "models": papers.model_table(ours),
            "stimuli": papers.stimulus_table(ours),
            "shots": papers.shots_table(ours),
            "combinations": papers.combination_table(ours),
            "temperatures": papers.temperature_table(ours),
            "truthfulqa": papers.truthfulness_table(
                {
                    quantity: self.judged[protocol]
                    for quantity, protocol in TRUTHFULNESS.items()
                    if protocol in self.judged
                }
            ),
        }
        if self.second_findings:
            found["claims_second_scoring"] = papers.claims_frame(self.second_findings)
        return found


_MADE = ("index.html", "dossier.json", "dossier.tex", "tables", "figures")


def write(dossier: Dossier, folder: Path) -> Path:
    """Write a dossier; returns the path of its page. The same runs give the same bytes.

    An earlier dossier is replaced once the new one is whole.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".new-") as made:
            _write(dossier, Path(made))
            for name in _MADE:
                old = folder / name
                shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
                (Path(made) / name).rename(old)
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"cannot write the dossier: {where}: {error.strerror}") from None
    return folder / "index.html"


def _write(dossier: Dossier, folder: Path) -> None:
    for name in ("tables", "figures"):
        (folder / name).mkdir()
    drawn = draw_all(dossier.tables, dossier.published, folder / "figures")
    shown = _shown(dossier)
    _write_tables(dossier, shown, folder / "tables")
    (folder / "dossier.tex").write_text(_document(dossier, shown, drawn), encoding="utf-8")
    (folder / "dossier.json").write_bytes(orjson.dumps(_about(dossier), option=orjson.OPT_INDENT_2))
    page = rendered("dossier.html.j2", _context(dossier, shown, drawn))
    (folder / "index.html").write_text(page, encoding="utf-8")


@dataclass(frozen=True)
class _Shown:
    """A table of the page."""

    name: str
    title: str
    about: str
    table: Table


def _shown(dossier: Dossier) -> list[_Shown]:
    """The tables that have rows, in the order of the page."""
    t, published = dossier.tables, dossier.published
    short = dossier.recipe.paper.short
    every = [
        _Shown(
            "answers",
            "Answers",
            "What was asked under the original and the stimuli, and what counts: items that have a "
            "score under all of them.",
            rows.answer_rows(t["answers"]),
        ),
        _Shown(
            "main",
            "Main table",
            "Scores in points: Instruction Induction raw, BIG-Bench as the normalised preferred "
            "metric. The last row of ours is the original and what choosing the best of each task "
            "gains on average if no prompt does anything.",
            rows.main_rows(t["main"], published),
        ),
        _Shown(
            "models",
            "Gains by model and setting",
            "In points over the original, with 95 % intervals over tasks, or over items where a "
            "benchmark is one task. The last gain chooses the stimulus of a task on four fifths of "
            "its items and measures it on the rest.",
            rows.model_rows(t["models"]),
        ),
        _Shown(
            "models_published",
            f"Gains by model as published by {short}",
            "Zero-shot, human instructions, Instruction Induction: best stimulus of each task.",
            rows.published_model_rows(published),
        ),
        _Shown(
            "stimuli",
            "Stimuli",
            "Gain of each stimulus in points over the original, over the settings of its "
            "benchmark; intervals and p values hold for all stimuli of a benchmark together. "
            "Beside it, what a neutral sentence of the same length gains.",
            rows.stimulus_rows(t["stimuli"]),
        ),
        _Shown(
            "shots",
            "Zero-shot and few-shot",
            "Gain of the average stimulus in points.",
            rows.shots_rows(t["shots"]),
        ),
        _Shown(
            "combinations",
            "Combinations of stimuli",
            "Gain in points over the original.",
            rows.combination_rows(t["combinations"]),
        ),
        _Shown(
            "temperatures",
            "Temperature",
            "Gain of the average stimulus in points over the original at the same temperature.",
            rows.temperature_rows(t["temperatures"]),
        ),
        _Shown(
            "truthfulqa",
            "TruthfulQA",
            "Shares of answers judged true and informative, in per cent. The paper's judges do not "
            "exist any more; another judge's shares cannot be compared with theirs, only the "
            "differences between prompts.",
            rows.truthfulqa_rows(t["truthfulqa"], published),
        ),
    ]
    return [s for s in every if s.table.rows]


def _write_tables(dossier: Dossier, shown: Sequence[_Shown], folder: Path) -> None:
    for name, frame in dossier.tables.items():
        if len(frame):
            frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    dossier.published.to_csv(folder / "published.csv", index=False, lineterminator="\n")
    for s in [_Shown("claims", "Claims", "", rows.claim_rows(dossier.findings)), *shown]:
        about = " ".join([s.about, *s.table.notes])
        caption = f"{dossier.recipe.paper.short}: {s.title}. {about}".strip()
        text = tex(s.table, caption=caption, label=f"tab:{s.name}")
        (folder / f"{s.name}.tex").write_text(text, encoding="utf-8")


def _document(dossier: Dossier, shown: Sequence[_Shown], drawn: Sequence[Mapping[str, Any]]) -> str:
    """A LaTeX document of all tables and figures, to compile in the dossier's folder."""
    body = [rf"\input{{tables/{name}.tex}}" for name in ("claims", *(s.name for s in shown))]
    body += [
        "\\begin{figure}[p]\\centering\n"
        f"\\includegraphics[width=\\linewidth,height=.8\\textheight,keepaspectratio]"
        f"{{figures/{f['file']}.pdf}}\n\\end{{figure}}"
        for f in drawn
    ]
    text = "\n\\clearpage\n".join(body)
    return (
        "\\documentclass[a4paper,landscape]{article}\n"
        "\\usepackage{graphicx}\n\\usepackage[margin=15mm]{geometry}\n"
        # Beyond the smallest TeX installation there are better rules and fonts.
        "\\IfFileExists{booktabs.sty}{\\usepackage{booktabs}}"
        "{\\let\\toprule\\hline\\let\\midrule\\hline\\let\\bottomrule\\hline}\n"
        "\\IfFileExists{lmodern.sty}{\\usepackage[T1]{fontenc}\\usepackage{lmodern}}{}\n"
        f"\\begin{{document}}\n{text}\n\\end{{document}}\n"
    )


def _about(dossier: Dossier) -> dict[str, Any]:
    """What the dossier was made from, for programs."""
    return {
        "paper": dossier.recipe.name,
        "protocol": dossier.protocol,
        "runs": [{"run": r.path.name, "digest": r.lock["digest"]} for r in dossier.runs],
        "verdicts": {f.claim.id: f.verdict for f in dossier.findings},
    }


def _context(
    dossier: Dossier, shown: Sequence[_Shown], drawn: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    paper = dossier.recipe.paper
    used = [n for n in ("main", "models", "truthfulqa") if n in set(dossier.published["table"])]
    return {
        "paper": paper,
        "protocol": dossier.protocol,
        "protocol_about": dossier.recipe.protocol(dossier.protocol).description
        if dossier.protocol
        else "These runs were not made by the recipe; what follows is read from them.",
        "quotable": [
            *quotable(dossier.findings, dossier.evidence, paper.short),
            *depends(dossier.flips),
        ],
        "settings": settings_sentence(dossier.evidence),
        "claims": rows.claim_rows(dossier.findings),
        "findings": dossier.findings,
        "flips": dossier.flips,
        "second": dossier.second[0] if dossier.second else "",
        "shown": shown,
        "figures": drawn,
        "statuses": rows.statuses(dossier.published, used),
        "departures": paper.departures if dossier.protocol == "as-published" else (),
        "not_known": paper.not_known,
        "not_asked": not_asked(dossier.findings),
        "runs": [{"name": r.path.name, "digest": r.lock["digest"][:12]} for r in dossier.runs],
        "status_words": rows.STATUS,
    }
