"""The command line in this process: `promptlab(*words)` gives exit code, output and errors."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from promptlab.cli import main

Result = tuple[int, str, str]
Run = Callable[..., Result]


@pytest.fixture
def promptlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["promptlab", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return run
