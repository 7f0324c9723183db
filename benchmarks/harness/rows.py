"""Rows of the table, and the files that a benchmark leaves."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number, and what it should be."""

    what: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def cells(self) -> tuple[str, str, str, str, str]:
        """What, value, unit, target, verdict."""
        sign = "≥" if self.at_least else "≤"
        target = "" if self.target is None else f"{sign} {self.target:g}"
        verdict = {True: "met", False: "not met", None: ""}[self.met]
        return self.what, short(self.value), self.unit, target, verdict


Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The head and the rows of a table."""

HEAD = ("measurement", "value", "unit", "target", "")


def short(value: float) -> str:
    """A number with three figures that matter."""
    size = abs(value)
    digits = 3 if 0 < size < 0.0995 else 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:,.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """Aligned columns; the first to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, _numbers(rows), strict=True)
        ]
        return f"| {' | '.join(aligned)} |" if markdown else "  ".join(aligned).rstrip()

    rule = [
        "-" * (width - 1) + ":" if right else "-" * width
        for width, right in zip(widths, _numbers(rows), strict=True)
    ]
    under = [f"| {' | '.join(rule)} |"] if markdown else []
    return "\n".join([line(head), *under, *(line(row) for row in rows)])


def _numbers(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold numbers."""
    columns = list(zip(*rows, strict=True))
    return [
        any(column) and all(re.fullmatch(r"[−\-\d.,]*", cell) for cell in column)
        for column in columns
    ]


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "promptlab": version("promptlab-experiments"),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    named = re.search(r"model name\s*:\s*(.+)", text)
    return named[1].strip() if named else platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return commit + (
        " with changes" if git("status", "--porcelain", "promptlab", "analysis") else ""
    )


def file_name(about: Mapping[str, Any]) -> str:
    """The machine as a file's name."""
    words = re.sub(r"\(\w+\)|processor|cpu|@.*", " ", about["processor"].lower())
    return "-".join(re.findall(r"[a-z0-9]+", words)) + f"-{about['cores']}-cores"


_BESIDE_OTHERS = (
    "The same work by each program, in the same run. Start in s of CPU, cold and replay in "
    "ms of CPU an item, memory in MB, rate at 50 ms as a share of what is possible."
)


def write(
    folder: Path,
    about: Mapping[str, Any],
    rows: Sequence[Row],
    compared: Table | None,
    samples: Mapping[str, Sequence[float]],
    command: str,
    *,
    topic: str = "",
    caption: str = _BESIDE_OTHERS,
) -> Path:
    """Write the results of a machine as Markdown and JSON; returns the Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_name(about)}{topic and '-'}{topic}.md"
    named = ", ".join(
        (
            f"{about['processor']}",
            f"{about['cores']} cores",
            f"{about['memory_gb']:g} GB",
            f"{about['system']}",
            f"Python {about['python']}",
        )
    )
    parts = [
        "# Benchmark",
        f"{named}.  \n"
        f"promptlab {about['promptlab']}, commit {about['commit']}, {about['date']}.  \n"
        f"Written by `{command}`; what the rows mean: "
        "[docs/benchmarks.md](../../docs/benchmarks.md).",
        table(HEAD, [row.cells() for row in rows], markdown=True),
    ]
    if compared:
        parts.append(f"{caption}\n\n{table(*compared, markdown=True)}")
    path.write_text("\n\n".join(parts) + "\n")
    document = {
        "machine": dict(about),
        "command": command,
        "rows": [asdict(row) | {"met": row.met} for row in rows],
        "samples": {name: list(values) for name, values in samples.items()},
    }
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    return path
