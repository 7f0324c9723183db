"""The site: what is generated is whole, tables agree with the code, every page is there."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generated() -> Iterator[ModuleType]:
    """The module that makes reference sections, as the build imports it."""
    sys.path.insert(0, str(DOCS / "_site"))
    try:
        import generated

        yield generated
    finally:
        sys.path.remove(str(DOCS / "_site"))


def code_on(page: str) -> set[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return set(re.findall(r"`([^`\n]+)`", text))


def marks() -> list[tuple[str, list[str]]]:
    """(page, words) of every place where something generated stands."""
    return [
        (str(page.relative_to(DOCS)), found.split())
        for page in sorted(DOCS.rglob("*.md"))
        for found in re.findall(r"(?m)^<!-- generated: (.+) -->$", page.read_text("utf-8"))
    ]


@pytest.mark.parametrize(("page", "words"), marks(), ids=lambda v: v if isinstance(v, str) else "")
def test_every_generated_section_can_be_made(
    page: str, words: list[str], generated: ModuleType
) -> None:
    assert "promptlab" in generated.section(*words) or "| key |" in generated.section(*words)


def test_an_unknown_section_is_an_error(generated: ModuleType) -> None:
    with pytest.raises(KeyError, match="no generated section 'specs'"):
        generated.section("specs")


def test_every_key_of_a_spec_is_in_the_reference(generated: ModuleType) -> None:
    from promptlab.spec import Experiment, ModelSpec

    text = generated.section("spec")
    for name in (*Experiment.model_fields, *ModelSpec.model_fields, "futility", "poll_s", "joiner"):
        assert f"| `{name}` |" in text
    assert "| `name` | text | required |" in text
    assert "| `alpha` | number (above 0, below 0.5) | `0.05` |" in text
    assert '| `joiner` | text | `" "` |' in text
    assert "| `design` | `full` or `race` or [mapping](#design) | `full` |" in text
    anchors = {line.strip("# `").replace(".", "") for line in text.splitlines() if line[:2] == "##"}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    unexplained = [row for row in rows if row.replace("\\|", "").split("|")[4].strip() == ""]
    assert not unexplained


def test_every_verb_and_option_is_in_the_reference(generated: ModuleType) -> None:
    text = generated.section("verbs")
    for verb in ("run", "plan", "store export", "data pull", "models list", "calibrate"):
        assert f"\n## promptlab {verb}\n" in f"\n{text}"
    assert "| `--set KEY=VALUE` |" in text
    assert "| `--analysis`, `--no-analysis` | Analyse and write the report. | on |" in text
    assert "| `--tasks random|fixed` |" in text
    assert "| `--percent`, `--share` |" in text
    assert "\\|" not in text
    assert "promptlab init [PATH] [OPTIONS]" in text


def test_the_help_of_a_verb_fits_a_terminal_of_80_columns(generated: ModuleType) -> None:
    from promptlab.cli import load
    from promptlab.cli._app import app

    load()
    wide = {
        name: line
        for name, function in generated._commands(app, "promptlab")
        for line in inspect.cleandoc(function.__doc__ or "").partition("\n\n")[2].splitlines()
        if len(re.sub(r"\[/?bold\]", "", line)) > 78
    }
    assert not wide, "typer keeps these line ends, and breaks the lines once more"


def test_every_public_name_of_the_analysis_is_on_one_reference_page() -> None:
    from promptlab.analysis import _HOMES

    listed = [m for _, words in marks() if words[0] == "analysis" for m in words[1:]]
    assert sorted(listed) == sorted(_HOMES), "put each module into one docs/reference/analysis-*.md"


def test_every_public_name_of_promptlab_is_in_the_reference() -> None:
    import promptlab

    words = next(w for page, w in marks() if page == "reference/python.md" and w[1] == "promptlab")
    assert sorted(words[2:]) == sorted(promptlab.__all__)


def test_the_columns_of_a_run_are_those_of_the_code() -> None:
    from promptlab import tables
    from promptlab.analysis import (
        BEST_COLUMNS,
        CONTRAST_COLUMNS,
        SENSITIVITY_COLUMNS,
        WORDING_COLUMNS,
    )

    schemas = (tables._plan_schema(), tables._response_schema(), tables.score_schema())
    wanted = {
        "plan": schemas[0].names,
        "responses": schemas[1].names,
        "scores": schemas[2].names,
        "conditions": tables.CONDITION_COLUMNS,
        "contrasts": CONTRAST_COLUMNS,
        "best": BEST_COLUMNS,
        "sensitivity": SENSITIVITY_COLUMNS,
        "wordings": WORDING_COLUMNS,
    }
    text = (DOCS / "reference" / "tables.md").read_text(encoding="utf-8")
    first, *parts = re.split(r"(?m)^## ", text)
    shared = _first_cells(first)
    for part in parts:
        name = part.partition(".parquet")[0]
        told = _first_cells(part) | set(re.findall(r"`(request_hash|level)`", part))
        if name in ("plan", "responses", "scores"):
            told |= shared
        assert told == set(wanted.pop(name)), name
    assert not wanted


def _first_cells(text: str) -> set[str]:
    """Names in the first column of the tables of a text."""
    rows = re.findall(r"(?m)^\|([^|]+)\|", text)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_keys_of_a_library_are_those_of_the_code() -> None:
    from promptlab.stimuli.files import _Entry, _File

    assert {*_Entry.model_fields, *_File.model_fields} <= code_on("reference/content.md")


def test_exit_codes_and_variables_are_those_of_the_code() -> None:
    from promptlab.cli._app import EXIT_CODES

    text = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    codes = re.findall(r"(?m)^\| (\d+) \|", text)
    assert codes == re.findall(r"(?:: |, )(\d+) ", EXIT_CODES)
    sources = [p.read_text("utf-8") for p in (ROOT / "promptlab").rglob("*.py")]
    used = {v for source in sources for v in re.findall(r"\bPROMPTLAB_[A-Z]+(?:_[A-Z]+)*", source)}
    assert used <= set(re.findall(r"`(PROMPTLAB_\w+)`", text))


def pages_in(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in pages_in(part)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_navigation() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = pages_in(config["nav"])
    assert len(listed) == len(set(listed))
    own = {page for page in listed if not page.startswith("project/")}
    there = {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")}
    assert own == there, "name each page once under 'nav' in mkdocs.yml"


def test_what_a_page_would_fetch_is_seen() -> None:
    pytest.importorskip("mkdocs", reason="the extra 'docs' is not installed")
    sys.path.insert(0, str(DOCS / "_site"))
    try:
        import hooks
    finally:
        sys.path.remove(str(DOCS / "_site"))
    page = (
        '<link rel="stylesheet" href="https://a/x.css"><script src="//b/x.js"></script>'
        '<img src="picture.svg"><a href="https://c/">a link</a><link rel="canonical" href="https://d">'
    )
    assert hooks.fetched(page) == ["https://a/x.css", "//b/x.js"]
