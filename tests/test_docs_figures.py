"""The pictures of README and docs: the script draws the committed ones from the run in runs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "figures"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_site"))
    monkeypatch.delitem(sys.modules, "figures", raising=False)
    import figures

    return figures


def test_make_figures_writes_the_pictures_that_are_there(
    script: ModuleType, tmp_path: Path
) -> None:
    written = script.write(tmp_path)
    assert [path.name for path in written] == list(script.NAMES)
    assert {path.name for path in PICTURES.iterdir()} == set(script.NAMES)
    for path in written:
        drawn, kept = (p.read_text("utf-8") for p in (path, PICTURES / path.name))
        assert said(drawn) == said(kept), f"{path.name} is not what the run says: make figures"


def said(svg: str) -> list[str]:
    """The texts of a picture; lines differ in the last digits between versions of matplotlib."""
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg)


def test_every_picture_is_shown_with_words_for_those_who_cannot_see_it() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = [
        (words, Path(target).name)
        for page in pages
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text("utf-8"))
    ]
    assert {path.name for path in PICTURES.iterdir()} <= {name for _, name in shown}
    assert all(len(words) > 20 for words, name in shown)
