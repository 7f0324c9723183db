"""What the statistics cost: all cells of an experiment beside scipy, and a table of a million rows.

    python benchmarks/bench_statistics.py                  everything, about 8 minutes
    python benchmarks/bench_statistics.py --quick          small numbers: does it run at all?
    python benchmarks/bench_statistics.py --only cells     one part

The cells are 6 models x 45 tasks x 21 stimuli of 100 items, with 10,000 resamples. scipy takes them
one at a time; it does a sample of them, and its time for all is the mean times their number. The
programs take turns, and the least of the repeats counts, for what else runs here only ever adds.
Ratios are of processor time. One MB is 10^6 bytes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.measurements import MB
from harness.process import CommandFailed, Usage
from harness.rows import HEAD, Row, Table, machine, short, table, write
from harness.statistics_work import QUICK, WHOLE, Cells, Size, Took, analyze, write_table

PARTS = ("cells", "million", "report")
RESULTS = Path(__file__).resolve().parent / "results"
_AGAINST = {
    "scipy-percentile": ("bootstrap", "bootstrap, percentile", 25),
    "scipy-bca": ("bootstrap-bca", "bootstrap, BCa", 25),
    "scipy-permutation": ("flips", "sign-flip test", 1_000),
}
_PROGRAMS = ("everything", "everything-bca", "bootstrap", "bootstrap-bca", "flips", "flips-max-t")
_CAPTION = (
    "The same cells by each program, in the same run: CPU ms a cell, CPU s and wall s for all "
    "cells. For scipy these are extrapolated from a sample of cells; for promptlab they are the "
    "work itself, without the start of Python."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the results; returns the exit code."""
    options = _options(arguments)
    size = QUICK if options.quick else WHOLE
    size = replace(size, repeats=options.repeats or size.repeats)
    # Wall time means little where much else runs.
    rows = [Row("work for each processor at the start", os.getloadavg()[0] / os.cpu_count(), "")]
    compared: Table | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
            cells = Cells(size, Path(folder), _say)
            if "cells" in options.only:
                took = cells.compare((*_PROGRAMS, *_AGAINST))
                rows += _cell_rows(size, took, whole=not options.quick)
                compared = _comparison(size, took)
            if "million" in options.only:
                rows += _table_rows(size, cells, whole=not options.quick)
            if "report" in options.only:
                rows += _report_rows(size, cells)
    except CommandFailed as error:
        print(f"bench_statistics: {error}", file=sys.stderr)
        return 1
    about = machine()
    print(f"\n{about['processor']}, {about['cores']} cores, Python {about['python']}, ", end="")
    print(f"commit {about['commit']}\n")
    print(table(HEAD, [row.cells() for row in rows], markdown=False))
    if compared:
        print(f"\n{table(*compared, markdown=False)}")
    if options.results:
        command = shlex.join(["python", "benchmarks/bench_statistics.py", *options.given])
        path = write(
            options.results,
            about,
            rows,
            compared,
            cells.samples,
            command,
            topic="statistics",
            caption=_CAPTION,
        )
        print(f"\nwritten: {path}")
    return 0


def _cell_rows(size: Size, took: dict[str, Took], *, whole: bool) -> Iterator[Row]:
    """promptlab's costs beside their targets, and how many times scipy's they are not."""

    def target(value: float) -> float | None:
        return value if whole else None

    for name, words, wall in (
        ("everything", "without BCa", 20),
        ("everything-bca", "with BCa", 30),
    ):
        one, what = took[name], f"{size.cells:,} cells, {words}"
        yield Row(f"{what}: whole process", one.process_wall_s, "s", target(wall))
        yield Row(f"{what}: processor time", one.process_cpu_s, "s CPU")
        yield Row(f"{what}: peak memory", one.peak_bytes / MB, "MB", target(500))
    alone = took["bootstrap"].cpu_ms * size.cells / 1_000
    yield Row(f"{size.cells:,} cells, the bootstrap alone", alone, "s CPU")
    for theirs, (ours, words, least) in _AGAINST.items():
        ratio = took[theirs].cpu_ms / took[ours].cpu_ms
        yield Row(f"{words}: times faster than scipy", ratio, "times", target(least), at_least=True)
    ratio = took["scipy-permutation"].cpu_ms / took["flips-max-t"].cpu_ms
    yield Row("sign-flip test and max-T: times faster than scipy's test", ratio, "times")


def _comparison(size: Size, took: dict[str, Took]) -> Table:
    head = ("program", "ms CPU a cell", f"s CPU, {size.cells:,} cells", "s wall")
    names = {
        "everything": "promptlab, everything",
        "everything-bca": "promptlab, everything with BCa",
        "bootstrap": "promptlab, bootstrap",
        "bootstrap-bca": "promptlab, bootstrap with BCa",
        "flips": "promptlab, sign-flip test",
        "flips-max-t": "promptlab, sign-flip test and max-T",
        "scipy-percentile": f"scipy bootstrap ({size.bootstrap_sample} cells)",
        "scipy-bca": f"scipy bootstrap, BCa ({size.bootstrap_sample} cells)",
        "scipy-permutation": f"scipy permutation_test ({size.permutation_sample} cells)",
    }
    rows = [
        (
            names[name],
            short(one.cpu_ms),
            short(one.cpu_ms * size.cells / 1_000),
            short(one.wall_ms * size.cells / 1_000),
        )
        for name, one in took.items()
    ]
    return head, rows


def _table_rows(size: Size, cells: Cells, *, whole: bool) -> Iterator[Row]:
    """`promptlab analyze` on a table of a million scores."""
    for protocols, words in ((1, "1 protocol"), (2, "2 protocols")):
        rows = write_table(cells.folder / "big.parquet", size.rows, protocols)
        what = f"{rows:,} scores, {words}"
        used = [_analyzed(cells, what) for _ in range(size.repeats)]
        wall, memory = (60, 2_000) if whole else (None, None)
        yield Row(f"{what}: whole process", min(u.wall_s for u in used), "s", wall)
        yield Row(f"{what}: processor time", min(u.cpu_s for u in used), "s CPU")
        peak = max(u.peak_bytes for u in used) / MB
        yield Row(f"{what}: peak memory", peak, "MB", memory)


def _report_rows(size: Size, cells: Cells) -> Iterator[Row]:
    """The same with a report: pages, tables and the figures of every model."""
    rows = write_table(cells.folder / "big.parquet", size.rows, 1)
    what = f"{rows:,} scores, with report"
    used = _analyzed(cells, what, report=True)
    yield Row(f"{what}: whole process", used.wall_s, "s")
    yield Row(f"{what}: processor time", used.cpu_s, "s CPU")
    yield Row(f"{what}: peak memory", used.peak_bytes / MB, "MB")


def _analyzed(cells: Cells, what: str, *, report: bool = False) -> Usage:
    used = analyze(cells.folder / "big.parquet", cells.folder, report=report)
    _say(f"{what}: {used.cpu_s:.1f} s CPU, {used.wall_s:.1f} s, {used.peak_bytes / MB:.0f} MB")
    for name, value in (("cpu_s", used.cpu_s), ("wall_s", used.wall_s)):
        cells.samples[f"analyze, {what}, {name}"].append(round(value, 3))
    return used


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few cells, once")
    parser.add_argument(
        "--only",
        type=lambda text: tuple(text.split(",")),
        metavar="PART[,PART]",
        help=f"parts to measure: {', '.join(PARTS)}",
    )
    parser.add_argument("--repeats", type=int, help="how often each is run (3)")
    parser.add_argument(
        "--results",
        type=Path,
        help="folder for the page and the JSON file (benchmarks/results for a whole run)",
    )
    parser.add_argument("--folder", type=Path, help="where to work (the system's temporary folder)")
    options = parser.parse_args(arguments)
    options.given = list(sys.argv[1:] if arguments is None else arguments)
    if options.results is None and not (options.quick or options.only):
        options.results = RESULTS
    options.only = options.only or PARTS
    if unknown := set(options.only) - {*PARTS}:
        parser.error(f"no part '{unknown.pop()}'; there are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
