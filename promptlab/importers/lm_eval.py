"""Sample logs of lm-evaluation-harness: `samples_<task>_<date>.jsonl`, written by `--log_samples`.

A line is one document under one filter: doc_id, doc, target, arguments, resps, filtered_resps,
filter, metrics, doc_hash, prompt_hash, target_hash, and each metric's value under its own name.
Read from lm-eval 0.4.13; logs before `filter`, `metrics` or the hashes are read too.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from promptlab.errors import UserError
from promptlab.importers.source import (
    Source,
    as_share,
    choose_metric,
    frame_of,
    newest,
    no_such_metric,
)

__all__ = ["By", "find_samples", "is_samples", "read_samples"]

By = Literal["hash", "id"]
"""Items are told apart by the hash of their document, or by its number in the data set."""

_NAME = re.compile(
    r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl"
)
_FIELDS = {
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"),
    *("doc_hash", "prompt_hash", "target_hash"),
}
_Sample = dict[str, Any]


def find_samples(folder: Path) -> list[Path]:
    """Sample logs in a folder and its folders."""
    return sorted(folder.rglob("samples_*.jsonl"))


def is_samples(path: Path) -> bool:
    """Whether a JSONL file is a sample log, by its first line."""
    with path.open("rb") as file:
        line = file.readline()
    try:
        first = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(first, dict) and {"doc_id", "resps"} <= set(first)


def read_samples(path: Path, *, metrics: Sequence[str] = (), by: By = "hash") -> Source:
    """Read a sample log, or the newest one of each task in a folder.

    Args:
        path: file or folder.
        metrics: names as in lm-eval's results, `acc` or `exact_match,strict-match`; for each task
            the first that it has. May be left out where a task has one.
        by: what tells items apart.

    Raises:
        UserError: nothing to read, several models, or a metric that must be chosen.
    """
    files = [path]
    notes: list[str] = []
    if path.is_dir():
        found = find_samples(path)
        homes = sorted({str(f.parent.relative_to(path)) for f in found})
        if len(homes) > 1:
            raise UserError(f"{path} holds logs of several models; name one: {', '.join(homes)}")
        files, notes = newest((*_task_and_date(f), f) for f in found)
    rows: list[_Sample] = []
    left_out: list[str] = []
    seen: list[str] = []
    for file in files:
        task, _ = _task_and_date(file)
        samples = list(_lines(file))
        there = _metrics(samples)
        seen += there
        metric = choose_metric(there, metrics, where=f"{file.name} (task {task})")
        if metric is None:
            left_out.append(task)
            continue
        rows += _rows(samples, metric, by, file, task)
    if not rows:
        raise no_such_metric(seen, metrics, where=str(path))
    if left_out:
        notes.append(f"Left out, for they lack the metric: {', '.join(left_out)}.")
    tasks = {r["task"] for r in rows}
    label = path.name if path.is_dir() else tasks.pop()
    return Source(path, "lm-eval", label, frame_of(rows), by == "hash", tuple(notes))


def _task_and_date(path: Path) -> tuple[str, str]:
    named = _NAME.fullmatch(path.name)
    return (named["task"], named["date"]) if named else (path.stem.removeprefix("samples_"), "")


def _lines(path: Path) -> Iterator[_Sample]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                sample = orjson.loads(line)
            except orjson.JSONDecodeError:
                raise UserError(
                    f"{path}:{number}: not JSON; the log was cut short or is another file"
                ) from None
            if not isinstance(sample, dict) or "doc_id" not in sample:
                raise UserError(f"{path}:{number}: no doc_id, so not a sample log of lm-eval")
            yield sample


def _metrics(samples: Sequence[_Sample]) -> list[str]:
    """`metric,filter` of everything that holds numbers; just `metric` in logs without filters."""
    found: dict[str, None] = {}
    for sample in samples:
        named = sample.get("metrics") or [k for k in sample if k not in _FIELDS]
        for metric in named:
            if _number(sample.get(metric)) is not None:
                found[_full(metric, sample)] = None
    return list(found)


def _full(metric: str, sample: _Sample) -> str:
    kind = sample.get("filter")
    return f"{metric},{kind}" if kind not in (None, "none") else metric


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, bool | int | float) else None


def _rows(
    samples: Sequence[_Sample], metric: str, by: By, file: Path, task: str
) -> Iterator[_Sample]:
    about = _about(file, task)
    name = metric.split(",")[0]
    chosen = [s for s in samples if _full(name, s) == metric]
    chosen.sort(key=lambda s: (str(type(s["doc_id"])), s["doc_id"]))
    numbers: set[Any] = set()
    copies: dict[str, int] = {}
    for sample in chosen:
        number = sample["doc_id"]
        if number in numbers:
            raise UserError(f"{file}: doc_id {number} is there twice under one filter")
        numbers.add(number)
        item = _item(sample) if by == "hash" else str(number)
        copies[item] = copies.get(item, 0) + 1
        if copies[item] > 1:  # the data set holds the same document again
            item = f"{item}#{copies[item]}"
        value = _number(sample.get(name))
        score = as_share(
            math.nan if value is None else value, metric=metric, where=f"{file.name}, doc {number}"
        )
        yield about | {
            "task": task,
            "item_id": item,
            "score": score,
            "status": "missing" if math.isnan(score) else "ok",
            "metric": metric,
            "target": str(sample.get("target_hash") or sample.get("target", "")),
            "prompt": str(sample.get("prompt_hash") or ""),
        }


def _item(sample: _Sample) -> str:
    """The hash that lm-eval gives a document; made here for logs that lack it."""
    if known := sample.get("doc_hash"):
        return str(known)
    if "doc" not in sample:
        return str(sample["doc_id"])
    text = json.dumps(sample["doc"], indent=2, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _about(file: Path, task: str) -> dict[str, Any]:
    """Model and shots, from the results file of the same run if it is there."""
    _, date = _task_and_date(file)
    path = file.with_name(f"results_{date}.json")
    model, shots = "", None
    if date and path.is_file():
        try:
            results = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            raise UserError(f"{path} is damaged; it is read for the model's name") from None
        model = str(results.get("model_name") or results.get("config", {}).get("model") or "")
        shots = (results.get("n-shot") or {}).get(task)
    return {"model": model or "model", "shots": shots if isinstance(shots, int) else None}
