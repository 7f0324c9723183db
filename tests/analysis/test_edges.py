"""Awkward data through every public function: a defined result or a clear error, never a warning.

A NaN is allowed where ordinary data give none only if `note` says why.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edge_cases import (
    COUNT_CALLS,
    ITEM_CALLS,
    ITEM_OPTIONS,
    ONLY_WORDS,
    WITHOUT_DATA,
    WRONG_OPTIONS,
)
from edge_data import COUNTS, scenarios

import promptlab.analysis as pa
from promptlab.errors import UserError

SCENARIOS = scenarios()
DOCUMENTED_NAN = {"detectable_mcnemar", "detectable_t", "adjust", "normalized"}
"""Functions of plain numbers whose docstring says when they give NaN."""


def run(call: Callable[[Any], Any], data: Any) -> Any:
    """The result, or None after a UserError; any warning is an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return call(data)
        except UserError:
            return None


def silent(result: Any, healthy: Any) -> list[str]:
    """Fields of a record that are NaN without a note, though ordinary data fill them."""
    if isinstance(result, dict):
        return [p for key, value in result.items() for p in silent(value, healthy.get(key))]
    if isinstance(result, float | np.floating):
        return ["nan"] if math.isnan(result) else []
    if isinstance(result, np.ndarray) and result.dtype.kind == "f":
        return ["nan"] if np.isnan(result).any() else []
    if not dataclasses.is_dataclass(result) or np.any(
        np.asarray(getattr(result, "note", "")) != ""
    ):
        return []
    found = []
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if not (_is_nan(value) and not _is_nan(getattr(healthy, field.name, math.nan))):
            continue
        found.append(field.name)
    return found


def _is_nan(value: Any) -> bool:
    """Whether a number, or any number of a sequence, is NaN."""
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    if isinstance(value, tuple | np.ndarray):
        return any(_is_nan(v) for v in np.ravel(np.asarray(value, dtype=object)))
    return False


def sound(result: Any) -> list[str]:
    """What is wrong with a record whatever the data: a p value that is none, a broken table."""
    if isinstance(result, dict):
        return [p for value in result.values() for p in sound(value)]
    if isinstance(result, str | list):
        text = str(result)
        return [text] if re.search(r"\b(nan|inf|None)\b", text) else []
    if isinstance(result, pd.DataFrame):
        names = [c for c in result if "pvalue" in str(c) or c == "p_adjusted"]
        return [c for c in names if (np.abs(result[c].to_numpy(np.float64) - 0.5) > 0.5).any()]
    if not hasattr(result, "to_frame"):
        return []
    problems = []
    frame = result.to_frame()
    assert isinstance(frame, pd.DataFrame)
    p = np.ravel(np.asarray(getattr(result, "pvalue", 0.5), dtype=np.float64))
    p = p[np.isfinite(p)]
    if ((p < 0) | (p > 1)).any():
        problems.append(f"p value {p}")
    ends = getattr(result, "interval", None)
    if ends is not None and np.size(ends[0]):
        low, high = (np.ravel(np.asarray(end, dtype=np.float64)) for end in ends)
        both = ~(np.isnan(low) | np.isnan(high))
        if (low[both] > high[both] + 1e-12).any():
            problems.append(f"interval {ends}")
    text = repr(result)
    if not text or " at 0x" in text:
        problems.append(f"repr {text!r}")
    return problems


ITEMS = {**ITEM_CALLS, **ITEM_OPTIONS}
CALLS: dict[str, Callable[[Any], Any]] = {**ITEMS, **COUNT_CALLS}
WHOLE = {
    "analyze_scores",
    "analyze_table",
    "analyze_summary, fixed",
    "contrasts, named",
    "wording_sensitivity, fixed",
}
"""They put together what is tested on every scenario; these see the telling ones."""
TELLING = {"healthy", "one item", "one task", "zero baseline", "missing cell", "empty", "strings"}


@functools.cache
def healthy_result(name: str) -> Any:
    return run(CALLS[name], (COUNTS if name in COUNT_CALLS else SCENARIOS)["healthy"])


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_items(name: str) -> None:
    healthy = healthy_result(name)
    assert healthy is not None, "ordinary data are refused"
    problems = {}
    for title, data in SCENARIOS.items():
        if name in WHOLE and title not in TELLING:
            continue
        try:
            result = run(ITEMS[name], data)
        except Exception as error:
            problems[title] = f"{type(error).__name__}: {error}"
            continue
        found = sound(result)
        if name.split(",")[0] not in DOCUMENTED_NAN:
            found += silent(result, healthy)
        if found:
            problems[title] = f"{found} {result!r}"
    assert problems == {}


@pytest.mark.parametrize("name", sorted(COUNT_CALLS))
def test_numbers(name: str) -> None:
    healthy = healthy_result(name)
    assert healthy is not None, "ordinary numbers are refused"
    problems = {}
    for title, data in COUNTS.items():
        try:
            result = run(COUNT_CALLS[name], data)
        except Exception as error:
            problems[title] = f"{type(error).__name__}: {error}"
            continue
        found = sound(result)
        if name not in DOCUMENTED_NAN:
            found += silent(result, healthy)
        if found:
            problems[title] = f"{found} {result!r}"
    assert problems == {}


@pytest.mark.parametrize("name", sorted({*ITEM_CALLS, *COUNT_CALLS} - ONLY_WORDS))
def test_wrong_options_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or not looked at, where the data need them not."""
    function, call = getattr(pa, name), CALLS[name]
    healthy = (COUNTS if name in COUNT_CALLS else SCENARIOS)["healthy"]
    wanted, taken = repr(healthy_result(name)), []
    parameters = inspect.signature(function).parameters
    for option in (o for o in WRONG_OPTIONS if o in parameters):
        if parameters[option].kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        for value in WRONG_OPTIONS[option]:

            def wrong(*data: Any, option: str = option, value: Any = value, **more: Any) -> Any:
                return function(*data, **{**more, option: value})

            monkeypatch.setattr(pa, name, wrong)
            result = run(call, dataclasses.replace(healthy))
            if result is not None and repr(result) != wanted:
                taken.append((option, value, result))
    assert taken == []


def test_every_public_function_is_in_the_table() -> None:
    functions = {name for name in pa.__all__ if not isinstance(getattr(pa, name), type)}
    assert functions - set(ITEM_CALLS) - set(COUNT_CALLS) - WITHOUT_DATA == set()
    assert (set(ITEM_CALLS) | set(COUNT_CALLS)) - set(pa.__all__) == set()
    assert {name.split(",")[0] for name in ITEM_OPTIONS} <= set(ITEM_CALLS)


def test_every_public_class_comes_out_of_the_table() -> None:
    found = {kind for name in CALLS for kind in kinds(healthy_result(name))}
    classes = {name for name in pa.__all__ if isinstance(getattr(pa, name), type)}
    assert {name for name in classes if getattr(pa, name) not in found} == set()


def kinds(result: Any) -> Iterator[type]:
    """The classes of a result and of what is in it."""
    yield from type(result).__mro__
    inside = result.values() if isinstance(result, dict) else result
    if dataclasses.is_dataclass(result):
        inside = [getattr(result, field.name) for field in dataclasses.fields(result)]
    if isinstance(inside, list | tuple | type({}.values())):
        for value in inside:
            yield from kinds(value)


HEALTHY = SCENARIOS["healthy"]
AS_LISTS = dataclasses.replace(
    HEALTHY, **{f.name: getattr(HEALTHY, f.name).tolist() for f in dataclasses.fields(HEALTHY)}
)
AS_SERIES = dataclasses.replace(
    HEALTHY,
    original=pd.Series(HEALTHY.original),
    variants=pd.DataFrame(HEALTHY.variants),
    tasks=pd.Series(HEALTHY.tasks).astype("category"),
    clusters=pd.Series(HEALTHY.clusters),
)


@pytest.mark.parametrize("name", sorted(ITEM_CALLS))
def test_lists_and_series_are_as_good_as_arrays(name: str) -> None:
    wanted = repr(healthy_result(name))
    assert repr(run(ITEM_CALLS[name], AS_LISTS)) == wanted
    assert repr(run(ITEM_CALLS[name], AS_SERIES)) == wanted
