"""Calibration: what the procedures promise, checked on simulated experiments whose truth is known.

`calibrate` runs the parts of `PARTS` and puts type-I error, coverage and power beside the figures
of a reference simulation and beside the naive claims. `rehearse` runs the analysis of one
experiment on simulated models. Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "engine": "calibrate",
    "judge": "COLUMNS closing failures",
    "parts": "PARTS Part",
    "race_rehearsal": "RaceShape rehearse_race",
    "rehearsal": "Rehearsal rehearse",
    "rehearsal_words": "assumption rehearsal_sentences",
    "tally": "Tally",
    "worlds": "Shape Truth simulated_scores",
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
