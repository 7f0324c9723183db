"""Figures: functions from tables to axes, without file I/O.

Each draws one panel: one model, one number of shots, and for the forest plot one scoring protocol.
A table that holds several panels needs the arguments that choose one (`panels` lists them).
"""

from __future__ import annotations

from promptlab.analysis.figures._baseline import baseline, baseline_table
from promptlab.analysis.figures._best import best_of_many
from promptlab.analysis.figures._forest import forest
from promptlab.analysis.figures._frames import (
    VALENCES,
    by_suite,
    by_valence,
    headings,
    main_baseline,
    panels,
    select,
    shots_text,
)
from promptlab.analysis.figures._heatmap import heatmap
from promptlab.analysis.figures._moved import moved
from promptlab.analysis.figures._race import race
from promptlab.analysis.figures._sensitivity import sensitivity
from promptlab.analysis.figures._shares import shares
from promptlab.analysis.figures._wordings import wordings
from promptlab.analysis.figures._words import words

__all__ = [
    "VALENCES",
    "baseline",
    "baseline_table",
    "best_of_many",
    "by_suite",
    "by_valence",
    "forest",
    "headings",
    "heatmap",
    "main_baseline",
    "moved",
    "panels",
    "race",
    "select",
    "sensitivity",
    "shares",
    "shots_text",
    "wordings",
    "words",
]
