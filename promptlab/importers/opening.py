"""From what a person types to a source: which tool left it, and which part of it is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from promptlab.errors import UserError
from promptlab.importers.inspect_logs import find_logs, is_log, read_logs
from promptlab.importers.lm_eval import By, find_samples, is_samples, read_samples
from promptlab.importers.source import Source
from promptlab.importers.table import read_run, read_table

__all__ = ["open_source"]

_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".jsonl", ".ndjson", ".json")


def open_source(
    where: Path | str,
    *,
    metrics: Sequence[str] = (),
    by: By = "hash",
    columns: Mapping[str, str] | None = None,
) -> Source:
    """Read scores: a sample log of lm-eval, an Inspect log, a folder of either, a table, a run.

    Args:
        where: file or folder; `PATH:CONDITION` for a table or run with several conditions.
        metrics: the metric to read from a log, where a task has several.
        by: what tells lm-eval's items apart.
        columns: our names of a table's columns -> the table's.

    Raises:
        UserError: there is nothing, or nothing that is known.
        MissingDependency: an Inspect log, without inspect_ai.
    """
    path, condition = _split(str(where))
    if path.is_dir():
        return _folder(path, condition, metrics, by)
    if path.name.startswith("results_") and path.suffix == ".json":
        raise UserError(
            f"{path} holds lm-eval's results, not its samples; give the file samples_... beside "
            "it, which lm-eval writes with --log_samples"
        )
    if path.suffix == ".jsonl" and is_samples(path):
        return _no_condition(read_samples(path, metrics=metrics, by=by), condition)
    if is_log(path):
        return _no_condition(read_logs(path, metrics=metrics), condition)
    if not path.name.lower().removesuffix(".gz").endswith(_TABLES):
        raise UserError(
            f"{path}: neither a log of lm-eval (samples_*.jsonl) or Inspect (.eval, .json) nor a "
            "table (.csv, .tsv, .parquet, .jsonl)"
        )
    return read_table(path, condition, columns)


def _folder(path: Path, condition: str, metrics: Sequence[str], by: By) -> Source:
    if (path / "lock.json").is_file():
        return read_run(path, condition)
    samples = find_samples(path)
    if samples:
        return _no_condition(read_samples(path, metrics=metrics, by=by), condition)
    if find_logs(path):
        return _no_condition(read_logs(path, metrics=metrics), condition)
    raise UserError(
        f"{path} holds no samples_*.jsonl of lm-eval (written with --log_samples), no Inspect log "
        "and no promptlab run"
    )


def _no_condition(source: Source, condition: str) -> Source:
    if condition:
        raise UserError(f"{source.path} is one prompt's log; leave ':{condition}' out")
    return source


def _split(where: str) -> tuple[Path, str]:
    """`runs/x:EP02` as path and condition; a path that exists is a path."""
    path = Path(where)
    if path.exists():
        return path, ""
    head, colon, tail = where.rpartition(":")
    if colon and head and Path(head).exists():
        return Path(head), tail
    raise UserError(f"no such file or folder: {head if colon and tail and head else where}")
