"""The tables a report is made of, brought into one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from promptlab.analysis import figures
from promptlab.analysis.contrast_kinds import CONTRAST_KINDS, against_original

__all__ = ["Panel", "Results", "gather"]

BAD_SHARE = 0.05
"""A cell with a larger share of answers that failed or were cut off is flagged."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One model, number of shots and scoring protocol: what one conclusion is about."""

    model: str
    shots: int
    protocol: str


@dataclass(frozen=True)
class Results:
    """Everything found in an experiment; `manifest` says how."""

    scores: pd.DataFrame
    contrasts: pd.DataFrame
    best: pd.DataFrame
    conditions: pd.DataFrame
    tasks: pd.DataFrame
    sensitivity: pd.DataFrame
    examples: pd.DataFrame
    manifest: Mapping[str, Any] = field(default_factory=dict)
    named: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The contrasts that are not a condition against the baseline; the index is the table's."""
    wordings: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def alpha(self) -> float:
        """Level of the tests; one minus the level of the intervals."""
        return float(self.manifest.get("alpha") or 0.05)

    @property
    def registered(self) -> bool:
        """Whether a plan was registered; what is outside it is then marked row by row."""
        return bool(dict(self.manifest.get("registration") or {}).get("registered"))

    def said(self, row: Mapping[Any, Any]) -> str:
        """The verdict of a row, with a word on what was not registered."""
        verdict = str(row["verdict"])
        outside = self.registered and row["family"] != "confirmatory"
        return f"{verdict}, exploratory" if outside else verdict

    @property
    def level(self) -> str:
        """Level of the intervals: `95 %`."""
        return f"{100 * (1 - self.alpha):g} %"

    @cached_property
    def baseline(self) -> str:
        """What the conditions are compared with."""
        named = self.manifest.get("baseline")
        known = list(self.contrasts["baseline"].unique())
        if named in known or not known:
            return str(named or "original")
        return figures.main_baseline(self.contrasts)

    @cached_property
    def panels(self) -> list[Panel]:
        """All panels, in the order of the report."""
        return [Panel(*p) for p in figures.panels(self.contrasts)]

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """(model, shots) of the panels; one such place has a panel for each primary protocol."""
        return list(dict.fromkeys((p.model, p.shots) for p in self.panels))

    @cached_property
    def texts(self) -> dict[str, str]:
        """Condition -> the sentence it adds."""
        if "text" not in self.conditions:
            return {}
        rows = self.conditions.dropna(subset=["text"])
        return dict(zip(rows["condition"], rows["text"].astype(str), strict=True))

    def macro(self, panel: Panel) -> pd.DataFrame:
        """The panel's contrasts over tasks, by valence and id."""
        rows = figures.select(
            self.contrasts,
            "macro",
            model=panel.model,
            shots=panel.shots,
            protocol=panel.protocol,
            baseline=self.baseline,
        )
        order = [line.key for line in figures.by_valence(rows) if line.key]
        return rows.drop_duplicates("condition").set_index("condition").loc[order].reset_index()

    def cells(self, panel: Panel) -> pd.DataFrame:
        """The panel's contrasts per task, of the tasks that the panel's protocol decides."""
        rows = self.contrasts
        keep = (
            (rows["level"] == "cell")
            & (rows["model"] == panel.model)
            & (rows["shots"] == panel.shots)
            & (rows["protocol"] == panel.protocol)
            & (rows["baseline"] == self.baseline)
        )
        return rows[keep]

    @cached_property
    def kinds(self) -> list[tuple[str, ...]]:
        """The contrasts besides those against the baseline: each kind, then all of one's own."""
        found = [] if self.named.empty else list(dict.fromkeys(self.named["contrast"]))
        own = tuple(kind for kind in found if kind not in CONTRAST_KINDS)
        return [(k,) for k in CONTRAST_KINDS if k in found] + ([own] if own else [])

    def named_rows(self, panel: Panel, *kinds: str) -> pd.DataFrame:
        """The panel's rows over tasks of some kinds of contrast, in the order of the plan."""
        rows = self.named
        if rows.empty:
            return rows
        return rows[
            (rows["level"] == "macro")
            & rows["contrast"].isin(kinds)
            & (rows["model"] == panel.model)
            & (rows["shots"] == panel.shots)
            & (rows["protocol"] == panel.protocol)
        ].reset_index(drop=True)

    def second_scoring(self, model: str, shots: int) -> pd.DataFrame:
        """Rows of the sensitivity table of one model and number of shots."""
        rows = self.sensitivity
        if "reference_difference" not in rows:
            return pd.DataFrame(columns=["reference", "protocol"])
        return rows[(rows["model"] == model) & (rows["shots"] == shots)]

    def wordings_of(self, panel: Panel) -> pd.DataFrame:
        """Rows of the wordings table of a panel; none where no wordings were crossed."""
        rows = self.wordings
        if rows.empty:
            return pd.DataFrame(columns=["level"])
        keep = (rows["model"] == panel.model) & (rows["shots"] == panel.shots)
        return rows[keep & (rows["protocol"] == panel.protocol)]

    def primary_scores(self, panel: Panel) -> pd.DataFrame:
        """The panel's scores."""
        rows = self.scores
        keep = (
            (rows["model"] == panel.model)
            & (rows["shots"] == panel.shots)
            & (rows["protocol"] == panel.protocol)
            & rows["primary"]
        )
        return rows[keep]

    def has_baseline_scores(self, panel: Panel) -> bool:
        """Whether the scores table has the baseline of that panel."""
        scores = self.primary_scores(panel)
        return bool((scores["condition"] == self.baseline).any())


def gather(
    *,
    scores: pd.DataFrame | None,
    contrasts: pd.DataFrame,
    best: pd.DataFrame | None = None,
    conditions: pd.DataFrame | None = None,
    tasks: pd.DataFrame | None = None,
    sensitivity: pd.DataFrame | None = None,
    manifest: Mapping[str, Any] | None = None,
    examples: pd.DataFrame | None = None,
    wordings: pd.DataFrame | None = None,
) -> Results:
    """Plain columns of every table, whichever of them there are."""
    every = _plain(contrasts, [])
    rest = every[every["contrast"] != "vs_original"] if "contrast" in every else every.iloc[:0]
    second = _plain(sensitivity, [])
    return Results(
        scores=_plain(scores, ["model", "task", "condition", "shots", "protocol", "primary"]),
        contrasts=against_original(every),
        best=_plain(best, ["model", "shots", "protocol"]),
        conditions=_plain(conditions, ["condition", "valence"]),
        tasks=_plain(tasks, ["task", "low", "high"]),
        sensitivity=against_original(second),
        examples=_plain(examples, []),
        manifest=dict(manifest or {}),
        named=rest,
        wordings=_plain(wordings, []),
    )


def _plain(frame: pd.DataFrame | None, columns: list[str]) -> pd.DataFrame:
    """A copy without categories (their unused members make empty groups), with these columns."""
    if frame is None or frame.empty:
        return pd.DataFrame(columns=columns if frame is None else list(frame.columns) or columns)
    out = frame.reset_index(drop=True).copy()
    for column in out.columns:
        if isinstance(out[column].dtype, pd.CategoricalDtype):
            out[column] = out[column].astype(object)
    if "primary" in out:
        out["primary"] = out["primary"].astype(bool)
    return out
