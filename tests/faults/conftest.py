"""Labs of a test, and what it started is gone when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, MakeLab


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[MakeLab]:
    """Makes labs; their children are ended with the test."""
    made: list[Lab] = []

    def make(api_base: str, items: int, **settings: Any) -> Lab:
        made.append(Lab(tmp_path / f"lab{len(made)}", api_base, items, **settings))
        return made[-1]

    yield make
    for lab in made:
        lab.clean_up()
