"""Scores that other tools left: sample logs of lm-evaluation-harness, Inspect logs, tables, runs.

`open_source` reads any of them into a `Source`: one row an item, with what tells the items apart.
"""

from __future__ import annotations

from promptlab.importers.opening import open_source
from promptlab.importers.source import Source

__all__ = ["Source", "open_source"]
