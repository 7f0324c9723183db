"""The report's section on the wording of instructions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import Simulated

from promptlab.analysis import wording_sensitivity
from promptlab.report.inputs import Panel, Results, gather
from promptlab.report.wordings import wording_finding, wording_rows, wording_words


@pytest.fixture(scope="module")
def crossed(run: Simulated) -> pd.DataFrame:
    """EP02 helps under the card's own wording alone, EP01 under every wording."""
    rng = np.random.default_rng(4)
    parts = []
    for task in ("procedural/task_0", "procedural/task_1", "procedural/task_2"):
        base = rng.uniform(0.3, 0.6, 30)
        for condition in ("original", "EP01", "EP02"):
            for j, wording in enumerate(("own", "w01", "w02", "w03")):
                shift = {"EP01": 0.2, "EP02": 0.2 if j == 0 else -0.06}.get(condition, 0.0)
                scores = base + shift + 0.02 * rng.normal(size=30)
                ids = [f"i{i}" for i in range(30)]
                parts.append(pd.DataFrame({"item_id": ids, "score": scores}).assign(
                    task=task, condition=condition, instruction=wording,
                    model=run.contrasts["model"].iloc[0], shots=int(run.contrasts["shots"].iloc[0]),
                    protocol=protocol_of(run)))  # fmt: skip
    return wording_sensitivity(pd.concat(parts, ignore_index=True), run.conditions)


def protocol_of(run: Simulated) -> str:
    rows = run.contrasts
    return str(rows.loc[(rows["level"] == "macro") & rows["primary"], "protocol"].iloc[0])


def results(run: Simulated, crossed: pd.DataFrame | None) -> tuple[Results, Panel]:
    found = gather(scores=run.scores, contrasts=run.contrasts, wordings=crossed)
    return found, found.panels[0]


def test_conclusions_that_depend_on_the_wording_come_first(
    run: Simulated, crossed: pd.DataFrame
) -> None:
    text, caution = wording_finding(*results(run, crossed)) or ("", False)
    assert caution
    assert text.startswith("Under 12 wordings of 3 instructions, 1 of 2 conclusions depends on")
    assert "EP02: " in text
    assert "better under the own instruction alone" in text
    steady = crossed[crossed["condition"] == "EP01"]
    text, caution = wording_finding(*results(run, steady)) or ("", True)
    assert not caution
    assert text == (
        "Under 12 wordings of 3 instructions, no conclusion changes with the wording; under 0 % "
        "of the wordings the difference has the other sign."
    )
    assert wording_finding(*results(run, None)) is None


def test_table_and_words(run: Simulated, crossed: pd.DataFrame) -> None:
    found, panel = results(run, crossed)
    table = wording_rows(found, panel)
    assert [row.cells[0] for row in table.rows] == ["EP01", "EP02"]
    assert [row.mark for row in table.rows] == ["", "flips"]
    assert all(len(row.cells) == len(table.columns) == len(table.align) for row in table.rows)
    assert table.rows[0].cells[-1] == "better"
    assert table.rows[0].cells[3].endswith("▲")
    assert len(wording_words(found, panel)) == 2
    assert wording_rows(*results(run, None)).rows == []


def test_the_page_has_the_section_only_where_wordings_were_crossed(
    run: Simulated,
    crossed: pd.DataFrame,
    write: Callable[..., str],
    report: Path,
    tmp_path: Path,
) -> None:
    manifest = {
        "name": "w",
        "wordings": {"procedural/task_0": {"own": {"text": "Add <them>."}}},
    }
    page = write(tmp_path, run, wordings=crossed, manifest=manifest)
    assert "Does it depend on the wording of the instruction?" in page
    assert "Add &lt;them&gt;." in page
    assert "The conclusion depends on the wording" in page
    assert (tmp_path / "tables" / "wordings.csv").is_file()
    assert (tmp_path / "tables" / "wordings.tex").is_file()
    assert (tmp_path / "figures" / "wordings.svg").is_file()
    assert "wording of the instruction?" not in (report / "index.html").read_text()
    assert not (report / "tables" / "wordings.csv").exists()
