"""Inspect logs (`.eval`, `.json`), through inspect_ai's own reader.

A `.eval` file is a zip whose members are compressed by zstd, which `zipfile` cannot read, and its
format is Inspect's to change: so the extra `inspect` is needed. A sample is an item, an epoch a
replicate. Verified with inspect_ai 0.3.285; releases before zstd (0.3.100) cannot read its logs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from promptlab.errors import DISTRIBUTION, MissingDependency, UserError
from promptlab.importers.source import (
    Source,
    as_share,
    choose_metric,
    frame_of,
    newest,
    no_such_metric,
)

__all__ = ["find_logs", "is_log", "read_logs"]

_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's correct, incorrect, partial and no answer, with Inspect's own values."""
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_BULKY = {"messages", "events", "store", "attachments", "timelines"}


def is_log(path: Path) -> bool:
    """Whether a file is an Inspect log: by its ending, or for JSON by its first keys."""
    if path.suffix == ".eval":
        return True
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    return head.lstrip().startswith(b"{") and b'"version"' in head and b'"eval"' in head


def find_logs(folder: Path) -> list[Path]:
    """Inspect logs in a folder and its folders."""
    return sorted([*folder.rglob("*.eval"), *(p for p in folder.rglob("*.json") if is_log(p))])


def read_logs(path: Path, *, metrics: Sequence[str] = ()) -> Source:
    """Read a log, or the newest one of each task in a folder.

    Args:
        path: file or folder.
        metrics: names of scorers, `scorer/key` for a score of several values; for each task the
            first that it has. May be left out where a task has one.

    Raises:
        MissingDependency: inspect_ai is not installed.
        UserError: a log that cannot be read, several models, or a scorer that must be chosen.
    """
    files = find_logs(path) if path.is_dir() else [path]
    logs = {file: _read(file) for file in files}
    models = sorted({str(log.eval.model) for log in logs.values()})
    if len(models) > 1:
        raise UserError(
            f"{path} holds logs of several models ({', '.join(models)}); name a folder with one"
        )
    dated = [(str(log.eval.task), str(log.eval.created), file) for file, log in logs.items()]
    files, notes = newest(dated)
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    seen: list[str] = []
    for file in files:
        log = logs[file]
        if not log.samples:
            raise UserError(f"{file} holds no samples (status: {log.status})")
        there = _scorers(log.samples)
        seen += there
        metric = choose_metric(
            there, metrics, where=f"{file.name} (task {log.eval.task})", what="score"
        )
        if metric is None:
            left_out.append(str(log.eval.task))
            continue
        rows += _rows(log, metric, file)
        notes += _about(log, metric)
    if not rows:
        raise no_such_metric(seen, metrics, where=str(path))
    if left_out:
        notes.append(f"Left out, for they lack the score: {', '.join(left_out)}.")
    tasks = {r["task"] for r in rows}
    label = path.name if path.is_dir() else tasks.pop()
    return Source(path, "Inspect", label, frame_of(rows), False, tuple(notes))


def _read(path: Path) -> Any:
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise MissingDependency("reading Inspect logs", "inspect") from None
    try:
        return read_eval_log(str(path), exclude_fields=_BULKY)
    except Exception as error:  # whatever its zip, JSON and pydantic raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path}: Inspect cannot read this log: {reason}; if a newer Inspect wrote it, "
            f"pip install --upgrade '{DISTRIBUTION}[inspect]'"
        ) from None


def _scorers(samples: Sequence[Any]) -> list[str]:
    """Scorers whose values are scalars, and `scorer/key` of those whose values are mappings."""
    found: dict[str, None] = {}
    for sample in samples:
        for name, score in (sample.scores or {}).items():
            if isinstance(score.value, dict):
                found.update({f"{name}/{key}": None for key in score.value})
            elif _number(score.value) is not None:
                found[name] = None
    return list(found)


def _number(value: Any) -> float | None:
    """A score's value as a number; None for a text, a list or nothing."""
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        if value in _LETTERS:
            return _LETTERS[value]
        if value.strip().lower() in _WORDS:
            return _WORDS[value.strip().lower()]
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _value(sample: Any, metric: str) -> Any:
    """The value of one scorer, or of one of its keys."""
    scores = sample.scores or {}
    if metric in scores:
        return scores[metric].value
    name, _, key = metric.partition("/")
    while name not in scores and "/" in key:  # a scorer's own name may hold a slash
        more, _, key = key.partition("/")
        name = f"{name}/{more}"
    value = scores[name].value if name in scores else None
    return value.get(key) if isinstance(value, dict) else None


def _rows(log: Any, metric: str, file: Path) -> Iterator[dict[str, Any]]:
    seen: set[tuple[str, int]] = set()
    for sample in log.samples:
        key = (str(sample.id), int(sample.epoch))
        if key in seen:
            raise UserError(f"{file}: sample {key[0]}, epoch {key[1]} is there twice")
        seen.add(key)
        value = None if sample.error is not None else _number(_value(sample, metric))
        score = as_share(
            math.nan if value is None else value, metric=metric, where=f"{file.name}, {sample.id}"
        )
        failed = "error" if sample.error is not None else "missing"
        yield {
            "model": str(log.eval.model),
            "task": str(log.eval.task),
            "item_id": key[0],
            "replicate": key[1] - 1,
            "score": score,
            "status": failed if math.isnan(score) else "ok",
            "metric": metric,
            "target": _text(sample.target),
        }


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    parts = [getattr(part, "text", part) for part in value]
    return orjson.dumps(parts, default=str).decode()


def _about(log: Any, metric: str) -> list[str]:
    """What a reader of the scores should know of this log."""
    task, samples = log.eval.task, log.samples
    notes = []
    if log.status != "success":
        planned = getattr(log.eval.dataset, "samples", None)
        of = f" of {planned}" if planned else ""
        notes.append(f"{task}: the log's status is '{log.status}'; it holds {len(samples)}{of}.")
    unanswered = sum(1 for s in samples if _value(s, metric) == "N")
    if unanswered:
        notes.append(f"{task}: {unanswered} without an answer (N) count as 0, as Inspect does.")
    cut = sum(1 for s in samples if [c.stop_reason for c in s.output.choices][:1] == ["max_tokens"])
    if cut:
        notes.append(f"{task}: {cut} answers were cut off at the token limit and are scored as is.")
    return notes
