"""Every block of the documentation is executed as a reader would, on models that stand in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import docs_folders
import pytest
from docs_blocks import Block, Reader, alternatives, blocks, check_printed, check_yaml, prose

from promptlab.errors import UserError
from promptlab.providers.base import Provider
from promptlab.providers.mock import MockProvider
from promptlab.types import Request

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
Read = Callable[..., int]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def executable(page: Path) -> bool:
    return any(b.language != "pycon" for b in blocks(page.read_text(encoding="utf-8")))


def needs_data(page: Path) -> bool:
    return any(b.mark == "data" for b in blocks(page.read_text(encoding="utf-8")))


@pytest.fixture
def read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Read:
    """Reads a page in an empty folder; a mock model answers for every other one."""
    import promptlab.cli.init
    import promptlab.planning
    import promptlab.report.page
    import promptlab.sending

    original = promptlab.planning.describe

    def describe(model: str, *, api_base: str | None = None) -> tuple[str | None, bool]:
        if model.startswith("mock/"):
            return original(model, api_base=api_base)
        return api_base, model.startswith("local/")

    def make_provider(
        model: str, *, known: Callable[[Request], Sequence[str] | None] | None, **_: Any
    ) -> Provider:
        stand_in = model if model.startswith("mock/") else "mock/skilled?p=0.7"
        return MockProvider(stand_in, known=known)

    def write_report(folder: Path, *_: Any, **__: Any) -> Path:
        folder.mkdir(exist_ok=True)  # reports have tests of their own, and figures take seconds
        (folder / "index.html").write_text("a report")
        return folder / "index.html"

    def reader(page: Path, *, has_data: bool = False) -> int:
        docs_folders.prepare(page.name, tmp_path)
        if page.name == "README.md":  # the same experiment with fewer items, for speed
            spec = promptlab.cli.init._SPEC.replace("items: 40 ", "items: 4  ")
            monkeypatch.setattr(promptlab.cli.init, "_SPEC", spec)
        return Reader(page, monkeypatch, capsys, has_data=has_data).read()

    monkeypatch.setattr(promptlab.planning, "describe", describe)
    monkeypatch.setattr(promptlab.sending, "make_provider", make_provider)
    monkeypatch.setattr(promptlab.report.page, "write_report", write_report)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PROMPTLAB_RUNS_DIR", "runs")
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(tmp_path / "no-suites"))
    return reader


@pytest.mark.parametrize("page", [p for p in PAGES if executable(p)], ids=name_of)
def test_the_blocks_of_a_page_are_executed(page: Path, read: Read) -> None:
    read(page)


@pytest.mark.data
@pytest.mark.parametrize("page", [p for p in PAGES if needs_data(p)], ids=name_of)
def test_the_blocks_that_need_the_suites_are_executed(
    page: Path, read: Read, suites_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(suites_dir))
    assert read(page, has_data=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_is_in_fences(page: Path) -> None:
    """An indented block would not be executed: only lists and their like are indented."""
    text = prose(page.read_text(encoding="utf-8"))
    found = re.findall(r"(?m)^(?![ ]*(?:[*+-]|\d+\.) )\S.*\n\n(    .+)", text)
    assert not found, f"{name_of(page)}: put this into a fence: {found[0]}"


def page_of(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```sh\nls\n```\n", "'ls' is not run here"),
        ("```sh\npromptlab validate nothing.yaml\n```\n", "ended with 2"),
        ("<!-- exit: 2 -->\n```sh\npromptlab --help\n```\n", "ended with 0"),
        ("```console\n$ promptlab --version\npromptlab 9\n```\n", "is said to print"),
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```yaml\nshot: 5\n```\n", "did you mean 'shots'"),
        ("```yaml\nlibrary: a\nstimuli: []\n```\n", "stimuli"),
        ("```yaml\n- 1\n```\n", "no mapping"),
        ("```\nanything\n```\n", "not executed"),
        ("```json\n{}\n```\n", "not executed"),
    ],
)
def test_a_block_that_is_wrong_fails(text: str, message: str, tmp_path: Path, read: Read) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        read(page_of(tmp_path, text))


def test_marked_blocks(tmp_path: Path, read: Read) -> None:
    text = (
        "<!-- not run: needs a key -->\n\n```sh\ncurl example.org\n```\n"
        "<!-- file: a/b.csv -->\n```csv\n1,2\n```\n"
        "<!-- data -->\n```sh\nfails\n```\n"
        "<!-- exit: 2 -->\n```sh\npromptlab --help\nX=1 promptlab validate a/*.csv  # why\n```\n"
        "* a list\n\n  ```python\n  assert open('a/b.csv').read() == '1,2\\n'\n  ```\n"
    )
    assert read(page_of(tmp_path, text)) == 3


def test_alternatives_of_a_key_are_tried_each() -> None:
    text = "name: a\nshots: 1\nshots: [1,\n  2]\n"
    assert alternatives(text) == ["name: a\nshots: 1\n", "name: a\nshots: [1,\n  2]\n"]


@pytest.mark.usefixtures("read")
def test_a_fragment_is_validated_in_a_spec() -> None:
    check_yaml("design: race\ndesign: {race: {block: 5}}\n")
    with pytest.raises(UserError, match="design"):
        check_yaml("design: race\ndesign: {race: {blok: 5}}\n")


def test_printed_lines_come_in_order() -> None:
    check_printed(["a  b", "run ... end"], "x\na b\nrun 123 end\n", "here")
    with pytest.raises(AssertionError, match="is said to print"):
        check_printed(["second", "first"], "first\nsecond\n", "here")


def test_a_block_that_is_not_closed() -> None:
    with pytest.raises(AssertionError, match="not closed"):
        list(blocks("```sh\npromptlab\n"))
    assert list(blocks("  ```sh\n  a\n  ```\n")) == [Block("sh", 1, ("a",))]
