"""The benchmark measures what it says; none of these looks at how long anything takes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"

needs_a_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler to build the mock server with"
)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    from harness.process import measure

    def run(code: str, **options: Any) -> Any:
        return measure(
            [sys.executable, "-c", code],
            folder=tmp_path,
            printed=tmp_path / "printed.txt",
            env=dict(os.environ),
            **options,
        )

    return run


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / "bench.py"), *arguments], capture_output=True, text=True
    )


@needs_a_compiler
def test_every_number_has_its_row_and_its_target(tmp_path: Path) -> None:
    script = FOLDER / "contenders" / "baseline.py"
    done = bench(
        *("--items", "2", "20", "--repeats", "1", "--only", "cost,rate,disk"),
        *("--million", "220", "--results", str(tmp_path / "results")),
        *("--contender", f"mine={{python}} '{script}' {{url}} {{items}} {{out}} {{concurrency}}"),
    )
    assert done.returncode == 0, done.stderr
    (page,) = (tmp_path / "results").glob("*.md")
    found = json.loads(page.with_suffix(".json").read_text())
    rows = {row["what"]: row for row in found["rows"]}
    targets = {name: row["target"] for name, row in rows.items() if row["target"]}
    assert targets == {
        "start, one item": 1.0,
        "start, intercept of the line": 1.0,
        "cold, marginal": 0.35,
        "replay, marginal": 0.08,
        "peak memory, 20 items": 200,
        "rate at 200 ms, sigma 0.5": 92,
        "rate at 50 ms": 90,
        "on disk, together": 600,
        "220 requests: start to first request": 60,
        "220 requests: asked, peak memory": 500,
        "220 requests: on disk": 600,
        "220 requests: resumed, all answered": 90,
        "220 requests: resumed, peak memory": 500,
    }
    for name, row in rows.items():
        assert row["value"] > 0 or "marginal" in name or "intercept" in name, row
        assert name in page.read_text()
        assert name in done.stdout
    compared = re.findall(r"^(promptlab|baseline|mine) .*\d$", done.stdout, re.MULTILINE)
    assert compared == ["promptlab", "baseline", "mine"]
    assert found["machine"]["processor"] in page.read_text()


@needs_a_compiler
def test_a_program_that_asks_too_little_is_no_row() -> None:
    lazy = "lazy={python} -c pass"
    done = bench("--items", "1", "2", "--repeats", "1", "--only", "cost", "--contender", lazy)
    assert done.returncode == 1
    assert "lazy sent 0 requests for 1 items" in done.stderr
    assert "marginal" not in done.stdout


@needs_a_compiler
def test_a_program_that_fails_is_no_row() -> None:
    failing = "failing={python} -c 'raise SystemExit(\"no such thing\")'"
    done = bench("--items", "1", "2", "--repeats", "1", "--only", "cost", "--contender", failing)
    assert done.returncode == 1
    assert "no such thing" in done.stderr


def test_mistakes_of_the_command_line_say_what_there_is() -> None:
    assert "there are cost, rate, disk, litellm" in bench("--only", "speed").stderr
    assert "{items}" in bench("--contender", "mine").stderr
    assert "{placeholder}" not in bench("--help").stdout


def test_memory_and_processor_time_are_those_of_the_whole_tree(measure: Any) -> None:
    child = "import time; kept = b'x' * 60_000_000; time.sleep(0.3)"
    code = (
        "import subprocess, sys\n"
        f"two = [subprocess.Popen([sys.executable, '-c', {child!r}]) for _ in range(2)]\n"
        "sum(range(3_000_000))\n"
        "[one.wait() for one in two]"
    )
    used = measure(code)
    assert used.peak_bytes > 120_000_000
    assert used.cpu_s > 0.02
    assert used.wall_s >= 0.3


def test_a_child_that_is_measured_is_not_charged_with_the_parents_memory(measure: Any) -> None:
    kept = b"x" * 200_000_000
    assert measure("pass").peak_bytes < len(kept)


def test_a_run_that_ends_badly_says_what_it_printed(measure: Any) -> None:
    from harness.process import CommandFailed

    with pytest.raises(CommandFailed, match=r"(?s)exit code 3.*what went wrong"):
        measure("print('what went wrong', flush=True); raise SystemExit(3)")


def test_a_target_is_met_on_its_own_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from harness.rows import Row, table

    assert Row("memory", 200, "MB", 200).met
    assert not Row("memory", 201, "MB", 200).met
    assert Row("rate", 93, "%", 92, at_least=True).met
    assert not Row("rate", 91, "%", 92, at_least=True).met
    assert Row("other", 1, "s").met is None
    cells = [Row("memory", 1234.5, "MB", 200).cells(), Row("cold", 0.0456, "ms").cells()]
    lines = table(("what", "value", "unit", "target", ""), cells, markdown=True).splitlines()
    assert lines == [
        "| what   | value | unit | target |         |",
        "| ------ | ----: | ---- | ------ | ------- |",
        "| memory | 1,234 | MB   | ≤ 200  | not met |",
        "| cold   | 0.046 | ms   |        |         |",
    ]


@pytest.fixture
def statistics(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark of the statistics, its programs called here instead of as processes."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(FOLDER / "contenders"))
    import bench_statistics
    import cells
    from harness import statistics_work
    from harness.process import Usage

    def run(arguments: list[str], folder: Path) -> Usage:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            cells.main(arguments[1:])
        return Usage(0.5, 0.6, 100_000_000, 0, printed.getvalue())

    real = statistics_work.run
    monkeypatch.setattr(
        statistics_work,
        "run",
        lambda arguments, folder: (real if arguments[0] == "-m" else run)(arguments, folder),
    )
    return bench_statistics


def test_the_statistics_are_measured_beside_scipy(
    statistics: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert statistics.main(["--quick", "--only", "cells", "--results", str(tmp_path)]) == 0
    (page,) = tmp_path.glob("*-statistics.md")
    found = json.loads(page.with_suffix(".json").read_text())
    rows = {row["what"]: row["value"] for row in found["rows"]}
    assert {
        "24 cells, with BCa: peak memory",
        "bootstrap, BCa: times faster than scipy",
        "sign-flip test: times faster than scipy",
    } <= set(rows)
    assert all(value > 0 for name, value in rows.items() if not name.startswith("work"))
    printed = capsys.readouterr().out
    for name in rows:
        assert name in page.read_text()
        assert name in printed
    assert "scipy permutation_test (1 cells)" in printed


def test_a_table_of_scores_is_analysed_from_start_to_sentences(
    statistics: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert statistics.main(["--quick", "--only", "million"]) == 0
    printed = capsys.readouterr().out
    assert "240 scores, 1 protocol: whole process" in printed
    assert "480 scores, 2 protocols: peak memory" in printed
