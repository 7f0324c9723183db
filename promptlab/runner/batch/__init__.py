"""The same asks through a provider's batch API: handed in as files, collected when done."""

from __future__ import annotations

from promptlab.runner.batch.run import MOST_BYTES, execute_batches, still_out

__all__ = ["MOST_BYTES", "execute_batches", "still_out"]
