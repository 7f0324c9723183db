"""The documentation is true: its examples run, its links lead somewhere, nothing is left out."""

from __future__ import annotations

import csv
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from docs_blocks import blocks, prose

import promptlab.analysis

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINKING = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
NUMBER = doctest.register_optionflag("NUMBER")
FLAGS = NUMBER | doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_DECIMAL = re.compile(r"[-+]?\d+\.\d*(?:e[-+]?\d+)?|[-+]?\d+e[-+]?\d+")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Checker(doctest.OutputChecker):
    """Numbers need to agree only to the digits that the page shows (pytest's option NUMBER)."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        expected, found = _DECIMAL.findall(want), _DECIMAL.findall(got)
        if not optionflags & NUMBER or len(expected) != len(found):
            return False
        if not all(_agree(e, f) for e, f in zip(expected, found, strict=True)):
            return False
        fixed = iter(expected)
        rounded = _DECIMAL.sub(lambda _: next(fixed), got)
        return super().check_output(want, rounded, optionflags)


def _agree(want: str, got: str) -> bool:
    digits, _, exponent = want.partition("e")
    places = len(digits.partition(".")[2])
    return abs(float(want) - float(got)) <= 0.5000001 * 10.0 ** (int(exponent or 0) - places)


def run(test: doctest.DocTest) -> None:
    """Run one page or docstring and fail with doctest's own report."""
    said: list[str] = []
    runner = doctest.DocTestRunner(checker=Checker(), verbose=False, optionflags=FLAGS)
    failed = runner.run(test, out=said.append).failed
    assert not failed, "".join(said)


def examples(page: Path) -> doctest.DocTest:
    """All pycon blocks of a page as one session, each line where it is on the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * len(text.splitlines())
    for block in blocks(text):
        if block.language == "pycon":
            lines[block.start : block.start + len(block.lines)] = block.lines
        else:
            assert not any(line.startswith(">>> ") for line in block.lines), (
                f"{name_of(page)}:{block.start}: an example that would not be run; write ```pycon"
            )
    return doctest.DocTestParser().get_doctest(
        "\n".join(lines) + "\n", {"__name__": "__main__"}, name_of(page), str(page), 0
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_examples_of_a_page_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    test = examples(page)
    if page.parent == DOCS / "methods":
        assert test.examples, "a page about a method has an example that is executed"
    run(test)


def docstrings() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found: list[doctest.DocTest] = []
    for info in pkgutil.walk_packages(promptlab.analysis.__path__, "promptlab.analysis."):
        found += finder.find(importlib.import_module(info.name))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("test", docstrings(), ids=lambda test: test.name)
def test_the_examples_of_a_docstring_run(test: doctest.DocTest) -> None:
    run(test)


def test_the_functions_used_most_have_an_example_in_their_docstring() -> None:
    shown = {test.name.rpartition(".")[2] for test in docstrings()}
    wanted = (
        "tango mcnemar sign_flip bootstrap_mean max_t label_permutation cross_fit fieller adjust "
        "tost_t detectable_difference contrasts analyze_scores"
    )
    assert set(wanted.split()) <= shown


def test_wrong_examples_fail(tmp_path: Path) -> None:
    def page(text: str) -> doctest.DocTest:
        return doctest.DocTestParser().get_doctest(text, {}, "page", "page", 0)

    run(page(">>> 1 / 3, 2e-5\n(0.333, 2e-05)\n"))
    for wrong in (">>> 1 / 3\n0.334\n", ">>> 1 / 3\n0.3 points\n", ">>> 2\n3\n", ">>> 1 / 0\n0\n"):
        with pytest.raises(AssertionError, match="Failed example"):
            run(page(wrong))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: dict[str, int] = {}
    out = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", prose(page.read_text("utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        out.add(f"{slug}-{count}" if count else slug)
    return out


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", prose(page.read_text(encoding="utf-8")))
    broken = []
    for target in re.findall(r"\]\(\s*<?([^)\s>]+)", text):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken, f"{name_of(page)} links to what is not there: {', '.join(broken)}"


def test_every_page_is_linked_from_the_index() -> None:
    linked = set()
    for index in (DOCS / "index.md", DOCS / "methods" / "index.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8")):
            linked.add((index.parent / target).resolve())
    missing = [name_of(page) for page in PAGES if page not in linked | {DOCS / "index.md"}]
    assert not missing, f"link these pages from docs/index.md or docs/methods/index.md: {missing}"


def test_every_public_name_of_the_analysis_is_on_a_page() -> None:
    code = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        spans = re.findall(r"`([^`\n]+)`", prose(text))
        spans += [line for block in blocks(text) for line in block.lines]
        code |= set(re.findall(r"\w+", " ".join(spans)))
    missing = [name for name in promptlab.analysis.__all__ if name not in code]
    assert not missing, f"no page of docs/ mentions {', '.join(missing)}"


def test_what_choosing_gains_by_chance_is_what_the_calibration_says() -> None:
    with (DOCS / "calibration" / "calibration.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["quantity"] == "relative gain (%)"]
    gains = [
        float(row["value"])
        for row in rows
        if row["procedure"] == "mean of per-task maxima"
        and re.fullmatch(r"K=1[01] (noisy|stable)", row["design"])
    ]
    said = f"{min(gains):.1f} to {max(gains):.1f} %"
    pages = {name_of(page): page.read_text(encoding="utf-8") for page in LINKING}
    quoted = {name: re.findall(r"\b8(?:\.\d)? to 1[34](?:\.\d)? %", t) for name, t in pages.items()}
    assert {range_ for found in quoted.values() for range_ in found} == {said}
    assert sum(bool(found) for found in quoted.values()) >= 5
