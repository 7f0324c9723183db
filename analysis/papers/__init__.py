"""Published papers put to the test: their numbers, their claims, and what our runs say of them.

Each paper's recipe (specs, published values, claims) is a folder beside this file.
`promptlab reproduce emotionprompt` asks, and writes the dossier.
"""

from __future__ import annotations

from promptlab.analysis.papers.aggregates import as_published, task_means, task_means_against
from promptlab.analysis.papers.claim_statistics import judge
from promptlab.analysis.papers.claims import Claim, Finding, claims_frame
from promptlab.analysis.papers.evidence import Evidence, Part, gather
from promptlab.analysis.papers.published import read_published
from promptlab.analysis.papers.settings import Setting
from promptlab.analysis.papers.tables import (
    answer_table,
    combination_table,
    main_table,
    model_table,
    shots_table,
    stimulus_table,
    temperature_table,
    truthfulness_table,
)
from promptlab.analysis.papers.verdicts import settled

__all__ = [
    "Claim",
    "Evidence",
    "Finding",
    "Part",
    "Setting",
    "answer_table",
    "as_published",
    "claims_frame",
    "combination_table",
    "gather",
    "judge",
    "main_table",
    "model_table",
    "read_published",
    "settled",
    "shots_table",
    "stimulus_table",
    "task_means",
    "task_means_against",
    "temperature_table",
    "truthfulness_table",
]
