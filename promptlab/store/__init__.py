"""The store: one SQLite file that remembers every answer that was ever paid for."""

from __future__ import annotations

from promptlab.store.claims import Claims
from promptlab.store.codec import COMPLETE
from promptlab.store.database import Mode, Store, StoreStats
from promptlab.store.rows import Stored

__all__ = ["COMPLETE", "Claims", "Mode", "Store", "StoreStats", "Stored"]
