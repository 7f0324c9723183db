"""The page: what it says, that it needs nothing else, and that nothing gets into it unescaped."""

from __future__ import annotations

import errno
import hashlib
import html
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import Simulated, conditions_table, scores_table, simulate, tasks_table

from promptlab.analysis import contrasts, protocol_sensitivity
from promptlab.errors import UserError

Write = Callable[..., str]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Checker(HTMLParser):
    """Nesting, ids, and everything that could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._attributes(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(tag, attrs)

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "iframe", "object", "embed", "img", "base", "form"}:
            self.loads.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name.startswith("on") or name in {"src", "srcset"}:
                self.loads.append(f"{tag} {name}={value}")
            if name in {"href", "xlink:href"} and not re.match(r"#|figures/|tables/", str(value)):
                self.loads.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def words(page: str) -> str:
    return " ".join(" ".join(checked(page).text).replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def page(report: Path) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


def test_it_is_one_well_formed_page_that_loads_nothing(page: str) -> None:
    found = checked(page)
    assert found.loads == []
    assert len(found.ids) == len(set(found.ids))
    outside = re.sub(r'xmlns(:\w+)?="[^"]+"', "", page)
    assert "http://" not in outside
    assert "https://" not in outside
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_every_reference_inside_a_figure_is_in_that_page(page: str) -> None:
    ids = set(checked(page).ids)
    used = re.findall(r'href="#([^"]+)"', page) + re.findall(r"url\(#([^)]+)\)", page)
    assert used
    assert set(used) <= ids


def test_the_answer_comes_first(page: str, run: Simulated) -> None:
    text = words(page)
    places = [
        text.index(t) for t in ("What was found", "Of 11 conditions", "The evidence", "How it was")
    ]
    # the contents name the sections before they come
    assert text.index("Of 11 conditions") < text.rindex("The evidence")
    assert places[0] < places[1]
    macro = run.contrasts.query("level == 'macro' and primary and contrast == 'vs_original'")
    assert macro.set_index("condition").loc["EP02", "verdict"] == "better"
    assert "1 is better (EP02)" in text
    assert "EP02 (“This is very important to my career.”) lies furthest from original" in text


def test_best_of_stimuli_stands_beside_its_null(page: str, run: Simulated) -> None:
    row = run.best[run.best["protocol"] == "induction"].iloc[0]
    text = words(page)
    sentence = next(s for s in re.split(r"Best of many\.", text)[1:])
    assert f"{100 * row['mean_of_max']:+.1f} points" in sentence[:200]
    assert f"{100 * row['null_mean']:+.1f}" in sentence[:300]


def test_no_significance_is_never_called_no_effect(page: str) -> None:
    text = words(page).lower()
    for phrase in re.findall(r".{30}no effect.{20}", text):
        assert "with no effect" in phrase or ", no effect" in phrase  # the null of best-of only
    assert "not evidence that nothing changes" in text


def test_the_manifest_is_shown(page: str) -> None:
    text = words(page)
    for wanted in (
        "answers come from several builds",
        "openai/x: auth: the key is not valid",
        "bigbench/snarks, 5 shots: no demonstrations",
        "20260101",
        "ok 1,234, error 5",
        "promptlab 0.1.0, python 3.11",
        "2026-01-01 12:30 UTC",
        "1 min 15 s",
        "Cost unknown",
        "confirmatory by declaration: EP02 and EP06",
        "stimuli: abc",
        "name: emotion-vs-control",
    ):
        assert wanted in text, wanted


def test_every_figure_has_a_name_for_screen_readers(page: str) -> None:
    svgs = re.findall(r"<svg [^>]*>", page)
    assert len(svgs) == 5
    assert all('role="img"' in s and re.search(r'aria-label="[^"]{20,}"', s) for s in svgs)


def test_all_files_are_there(report: Path) -> None:
    names = {p.name for p in (report / "figures").iterdir()}
    kinds = ("forest", "heatmap", "baseline", "moved", "sensitivity")
    assert names == {f"{k}.{e}" for k in kinds for e in ("pdf", "svg", "png")}
    tables = {p.name for p in (report / "tables").iterdir()}
    assert {"contrasts.csv", "best.csv", "sensitivity.csv", "baseline.csv"} <= tables
    assert {"contrasts.tex", "best.tex", "sensitivity.tex", "baseline.tex"} <= tables
    page = (report / "index.html").read_text(encoding="utf-8")
    for target in re.findall(r'href="((?:figures|tables)/[^"]*)"', page):
        assert (report / html.unescape(target)).exists(), target


def test_the_csv_file_has_the_whole_table(report: Path, run: Simulated) -> None:
    table = pd.read_csv(report / "tables" / "contrasts.csv", keep_default_na=False, na_values=[""])
    assert len(table) == len(run.contrasts)
    np.testing.assert_allclose(table["difference"], run.contrasts["difference"])


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, write: Write) -> None:
    small = simulate(models=("m",), tasks=["a/b", "a/c"], conditions=["original", "EP02"], items=9)
    write(tmp_path / "one", small, quick=False)
    write(tmp_path / "two", small, quick=False)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_second_report_replaces_the_first(tmp_path: Path, write: Write) -> None:
    small = simulate(models=("m",), tasks=["a/b"], conditions=["original", "EP02"], items=9)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.pdf").write_text("old")
    write(tmp_path, small)
    assert not (tmp_path / "figures" / "old.pdf").exists()


EVIL = "<script>alert(1)</script>\"'&amp;]]><!-- --></svg></style><img src=x onerror=alert(1)>"


def test_hostile_names_texts_and_answers_are_text(tmp_path: Path, write: Write) -> None:
    condition = f"EP02{EVIL}"
    run = simulate(
        models=(f"m{EVIL}",),
        tasks=[f"a/b{EVIL}", "a/c"],
        conditions=["original", condition],
        items=9,
    )
    conditions = run.conditions.assign(text=EVIL, library=EVIL)
    examples = pd.DataFrame(
        {
            "model": f"m{EVIL}", "shots": 5, "condition": [condition], "direction": ["gained"],
            "task": [f"a/b{EVIL}"], "item_id": ["1"], "input": [EVIL], "expected": [EVIL],
            "answer_baseline": [EVIL], "answer": [EVIL],
        }
    )  # fmt: skip
    manifest = {
        "name": EVIL, "warnings": [EVIL], "spec_text": EVIL, "left_out": [EVIL],
        "models": [{"label": EVIL, EVIL: EVIL}], "stopped": {EVIL: EVIL}, EVIL: EVIL,
    }  # fmt: skip
    page = write(tmp_path, run, conditions=conditions, manifest=manifest, examples=examples)
    found = checked(page)
    assert found.loads == []
    assert len(found.ids) == len(set(found.ids))
    assert "<script" not in page
    assert "onerror=alert(1)&gt;" in page
    assert EVIL in "".join(found.text)
    for svg in (tmp_path / "figures").glob("*.svg"):
        assert "<script" not in svg.read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["best", "conditions", "tasks", "sensitivity", "manifest"])
def test_optional_tables_may_be_absent(tmp_path: Path, write: Write, missing: str) -> None:
    run = simulate(models=("m",), tasks=["a/b", "a/c"], items=9)
    page = write(tmp_path, run, **{missing: None})
    checked(page)
    if missing == "best":
        assert "Best of many" not in words(page)


def test_categories_and_parquet_types_are_fine(tmp_path: Path, write: Write) -> None:
    run = simulate(models=("m",), tasks=["a/b", "a/c"], conditions=["original", "EP02"], items=9)
    path = tmp_path / "scores.parquet"
    names = ["model", "task", "condition", "protocol", "status", "suite", "metric", "method"]
    run.scores.astype(dict.fromkeys(names, "category")).to_parquet(path)
    scores = pd.read_parquet(path)
    scores["task"] = scores["task"].cat.add_categories("never/asked")
    assert "never/asked" not in words(write(tmp_path / "out", run, scores=scores))


def test_several_panels(tmp_path: Path, write: Write, several: Simulated) -> None:
    page = write(tmp_path, several)
    text = words(page)
    found = checked(page)
    assert len(found.ids) == len(set(found.ids))
    assert "comparisons with original" in text
    for name in ("local/smollm2-135m, 5 shots, scored by induction", "openai/gpt-4o-mini, 5 shots"):
        assert name in text
    names = {p.name for p in (tmp_path / "figures").iterdir()}
    assert "forest_local-smollm2-135m_5-shot_induction.pdf" in names
    assert "heatmap_openai-gpt-4o-mini_5-shot.svg" in names
    for target in re.findall(r'href="((?:figures|tables)/[^"]*)"', page):
        assert (tmp_path / target).exists(), target


def test_lost_answers_are_flagged(tmp_path: Path, write: Write) -> None:
    run = simulate(models=("m",), tasks=["a/b", "a/c"], conditions=["original", "EP02"], failed=0.3)
    text = words(write(tmp_path, run))
    assert "Before you read on" in text
    assert "more than 5 % of the answers could not be scored" in text


def test_nothing_to_report_is_a_clear_message(tmp_path: Path, write: Write, run: Simulated) -> None:
    with pytest.raises(UserError, match="nothing to report"):
        write(tmp_path, run, contrasts=run.contrasts.iloc[:0])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_locked_disk_is_a_clear_message(
    tmp_path: Path, write: Write, run: Simulated, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=f"cannot write the report: .*{os.strerror(number)}"):
        write(tmp_path / "report", run)


def test_a_file_in_the_way_is_a_clear_message(tmp_path: Path, write: Write, run: Simulated) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write the report: .*report"):
        write(tmp_path / "report", run)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_latex_tables_compile(tmp_path: Path, report: Path, write: Write) -> None:
    odd = simulate(
        models=("a_b&c%$#{}~^\\",),
        tasks=["a/b_c", "a/d"],
        conditions=["original", "E_P&%#$"],
        items=9,
    )
    write(tmp_path / "odd", odd)
    files = [*(report / "tables").glob("*.tex"), *(tmp_path / "odd" / "tables").glob("*.tex")]
    assert len(files) > 6
    body = "\n".join(rf"\input{{{f}}}" for f in files)
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\n"
        f"\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_every_kind_of_contrast_has_a_section(tmp_path: Path, write: Write) -> None:
    given = scores_table(
        models=("m",),
        tasks=[f"a/t{i}" for i in range(6)],
        conditions=["original", "EP01", "EP02", "NP01", "EP02-neutral"],
        items=12,
    )
    about = conditions_table(list(dict.fromkeys(given["condition"])))
    about["theory"] = ["esteem" if c.startswith("EP02") else "" for c in about["condition"]]
    own = {"name": "career", "weights": {"EP02": 1, "EP01": 1, "EP02-neutral": -1}}
    plan = ["vs_control", "valence", "theory", own]
    table = contrasts(given, about, contrasts=plan, confirmatory=["EP02", "career"])
    said = "This is the analysis registered on 2026-01-02 03:04 UTC (SHA-256 0123456789ab)."
    run = Simulated(
        given,
        about,
        tasks_table([f"a/t{i}" for i in range(6)]),
        table,
        pd.DataFrame(),
        protocol_sensitivity(table),
    )
    manifest = {
        "name": "kinds",
        "baseline": "original",
        "registration": {"text": [said], "registered": True, "caution": False},
    }
    page = write(tmp_path / "report", run, manifest=manifest)
    text = words(page)
    for heading in ("Against matched controls", "By valence", "By theory", "Your contrasts"):
        assert f">{heading}<" in page
    assert said in text
    assert "EP01, EP02" in text or "EP02, EP01" in text
    assert "career (EP02, EP01 against EP02-neutral):" in text
    assert text.count(", exploratory") >= 8
    forest = page[page.index("Every condition against original") :]
    assert "positive stimuli" not in forest[: forest.index("Against matched controls")]
    tables = tmp_path / "report" / "tables"
    for name in ("vs_control", "valence", "theory", "own_contrasts"):
        assert "\\begin{tabular}" in (tables / f"{name}.tex").read_text(encoding="utf-8")
    kept = pd.read_csv(tables / "contrasts.csv")
    assert set(kept["contrast"]) == {"vs_original", "vs_control", "valence", "theory", "career"}
    assert len(kept) == len(table)
