"""What a hosted model costs, from the price map that litellm ships."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

__all__ = ["price"]

_FREE = ("local/", "mock/")
_FILE = "model_prices_and_context_window_backup.json"


def price(
    model: str, *, api_base: str | None = None, batch: bool = False
) -> tuple[float, float] | None:
    """US dollars per (prompt token, completion token); None when unknown.

    The map's zeros mean "not known" as often as "free", so they count as unknown; only models
    that run inside promptlab are known to be free.

    Args:
        model: id as in the spec, such as `openai/gpt-4o-mini`.
        api_base: an endpoint of one's own, whose prices nobody knows.
        batch: the price of the provider's batch API, where the map has one; the usual one if not.
    """
    if model.startswith(_FREE):
        return 0.0, 0.0
    if api_base is not None:
        return None
    prefix, _, name = model.partition("/")
    prices = _prices()
    entry = prices.get(model)
    if entry is None:
        entry = prices.get(name)
        if entry is not None and entry.get("litellm_provider") != prefix:
            return None
    if entry is None:
        return None
    for ending in ("_batches", "") if batch else ("",):
        prompt = _known(entry.get(f"input_cost_per_token{ending}"))
        completion = _known(entry.get(f"output_cost_per_token{ending}"))
        if prompt is not None and completion is not None:
            return prompt, completion
    return None


def _known(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


@cache
def _prices() -> dict[str, dict[str, Any]]:
    # Read as a file: importing litellm takes seconds.
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / _FILE
        if file.is_file():
            prices: dict[str, dict[str, Any]] = orjson.loads(file.read_bytes())
            return prices
    return {}
