"""Sentences, printable tables, sensitivity to the protocol, and the engine of `analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from promptlab.analysis import (
    SENSITIVITY_COLUMNS,
    analyze_scores,
    analyze_table,
    contrasts,
    latex,
    points,
    printable,
    protocol_sensitivity,
    sentence,
    sentences,
    write_table,
)
from promptlab.errors import UnknownName, UserError

ROW: dict[str, Any] = {
    "level": "macro",
    "task": "*",
    "condition": "EP02",
    "baseline": "original",
    "difference": 0.0118,
    "lower": -0.0081,
    "upper": 0.0309,
    "n_tasks": 24,
    "n_items": 2400,
    "gained": 300,
    "lost": 270,
    "verdict": "inconclusive",
    "family_size": 21,
    "p_adjusted": 0.4,
    "adjust_method": "Holm",
    "test_method": "sign-flip over tasks (exact)",
    "detectable": 0.029,
    "margin": 0.02,
    "planned": 2400,
    "failed": 0,
    "truncated": 0,
    "unpaired": 0,
    "missing_as_wrong": 0.0118,
}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {},
            "EP02 changed accuracy by +1.2 points (95 % interval -0.8 to +3.1) over 24 tasks: "
            "inconclusive; this design would have found 2.9 points.",
        ),
        (
            {"verdict": "better", "difference": 0.05, "p_adjusted": 0.0123, "lower": 0.0219},
            "EP02 changed accuracy by +5.0 points (95 % interval +2.2 to +3.1) over 24 tasks: "
            "better (Holm-adjusted p = 0.012, 21 tests).",
        ),
        (
            {"lower": 0.001},
            "EP02 changed accuracy by +1.2 points (95 % interval +0.1 to +3.1) over 24 tasks: "
            "inconclusive, although the interval leaves 0 out: it is that of this comparison "
            "alone, and the adjusted test does not reject (p = 0.40, 21 tests); this design would "
            "have found 2.9 points.",
        ),
        (
            {"verdict": "better", "p_adjusted": 0.03, "adjust_method": "max-T, 2 models by Holm"},
            "EP02 changed accuracy by +1.2 points (95 % interval -0.8 to +3.1) over 24 tasks: "
            "better (max-T-adjusted p = 0.03, 21 tests), although the interval, by another method "
            "than the test, does not leave 0 out.",
        ),
        (
            {"contrast": "vs_control", "baseline": "EP02-neutral"},
            "EP02 against its neutral control (EP02-neutral): +1.2 points (95 % interval -0.8 to "
            "+3.1) over 24 tasks: inconclusive; this design would have found 2.9 points.",
        ),
        (
            {"contrast": "career", "gained": 0, "lost": 0, "verdict": "equivalent"},
            "career (EP02 against original): no score differs over 24 tasks (0 of 2400 items): "
            "equivalent within 2.0 points.",
        ),
        (
            {"verdict": "equivalent"},
            "EP02 changed accuracy by +1.2 points (95 % interval -0.8 to +3.1) over 24 tasks: "
            "equivalent within 2.0 points.",
        ),
        (
            {"level": "cell", "task": "suite/a", "n_tasks": 1, "n_items": 100},
            "EP02 changed accuracy by +1.2 points (95 % interval -0.8 to +3.1) on suite/a "
            "(100 items): inconclusive; this design would have found 2.9 points.",
        ),
        (
            {"n_tasks": 6, "detectable": np.nan},
            "EP02 changed accuracy by +1.2 points (95 % interval -0.8 to +3.1) over 6 tasks: "
            "inconclusive; 6 tasks are too few for any difference to reach 0.05 shared by "
            "21 tests.",
        ),
        (
            {"gained": 0, "lost": 0, "difference": 0.0, "detectable": np.nan},
            "EP02 changed no score over 24 tasks (0 of 2400 items): inconclusive.",
        ),
        (
            {"failed": 3, "unpaired": 5, "missing_as_wrong": 0.004},
            "EP02 changed accuracy by +1.2 points (95 % interval -0.8 to +3.1) over 24 tasks: "
            "inconclusive; this design would have found 2.9 points (3 failed, 5 unpaired of 2400 "
            "planned; +0.4 points if missing counts as wrong).",
        ),
        (
            {"n_items": 0, "n_tasks": 0, "verdict": "descriptive"},
            "EP02 could not be compared over 0 tasks: no item has a score under both EP02 and "
            "original.",
        ),
    ],
)
def test_sentences(change: dict[str, Any], text: str) -> None:
    assert sentence(ROW | change) == text


def test_points() -> None:
    assert [points(v) for v in (0.012, -0.0004, 0.0004, 0.0, np.nan)] == [
        "+1.2", "0.0", "0.0", "0.0", "undefined",
    ]  # fmt: skip
    assert points(0.5, sign=False) == "50.0"
    assert points(-0.1, sign=False) == "-10.0"


def test_sentences_name_what_varies(make_scores: Any) -> None:
    scores = make_scores(6, 20, ("EP01",))
    both = pd.concat([scores.assign(model="a", shots=0), scores.assign(model="b", shots=5)])
    said = sentences(contrasts(both))
    assert said[0].startswith("[model a, 0 shots] EP01 changed")
    assert said[1].startswith("[model b, 5 shots] EP01 changed")
    assert sentences(contrasts(scores))[0].startswith("EP01 changed")
    assert len(sentences(contrasts(scores), level=None)) == 7


def test_printable_and_latex(make_scores: Any, tmp_path: Path) -> None:
    found = contrasts(make_scores(6, 20, ("EP_01", "NP01")))
    table = printable(found.query("level == 'macro'"))
    assert "Model" not in table
    assert table["Condition"].tolist() == ["EP_01", "NP01"]
    text = latex(table, caption="Effects & such", label="tab:effects")
    assert "\\toprule" in text
    assert "EP\\_01" in text
    assert "95 \\% interval" in text
    for ending in ("csv", "tsv", "tex", "parquet"):
        assert write_table(table, tmp_path / "tables" / f"t.{ending}").stat().st_size > 0
    with pytest.raises(UserError, match="written as"):
        write_table(table, tmp_path / "t.docx")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_table(table, tmp_path / "file" / "t.csv")


def test_printable_of_undefined_numbers(make_table: Any) -> None:
    found = contrasts(make_table({("a", "original"): [0, 0], ("a", "EP01"): [None, None]}))
    table = printable(found)
    assert set(table["Difference"]) == {"undefined"}
    assert set(table["95 % interval"]) == {"none"}


def protocols(make_scores: Any, **effects: float) -> pd.DataFrame:
    parts: list[pd.DataFrame] = []
    for protocol, effect in effects.items():
        part = make_scores(10, 60, ("EP01", "EP02"), effect={"EP01": effect}, seed=3)
        parts.append(part.assign(protocol=protocol, primary=protocol == "induction"))
    return pd.concat(parts)


def test_a_conclusion_that_flips(make_scores: Any) -> None:
    found = contrasts(protocols(make_scores, induction=0.3, negativeprompt=0.0))
    table = protocol_sensitivity(found)
    assert tuple(table.columns) == SENSITIVITY_COLUMNS
    table = table.set_index("condition")
    assert table.loc["EP01", "reference_verdict"] == "better"
    assert table.loc["EP01", "verdict"] != "better"
    assert table.loc["EP01", "flips"]
    assert not table.loc["EP02", "flips"]
    macro = found.query("level == 'macro' and protocol == 'negativeprompt'")
    assert table["difference"].tolist() == macro["difference"].tolist()


def test_protocols_are_compared_on_the_tasks_they_share(make_scores: Any) -> None:
    scores = protocols(make_scores, induction=0.3, contains=0.0)
    keep = (scores["protocol"] == "induction") | (scores["task"] < "suite/t07")
    found = contrasts(scores[keep])
    table = protocol_sensitivity(found).set_index("condition")
    assert table["n_tasks"].tolist() == [7, 7]
    cells = found.query("level == 'cell' and protocol == 'induction' and condition == 'EP01'")
    shared = cells[cells["task"] < "suite/t07"]["difference"].mean()
    assert table.loc["EP01", "reference_difference"] == pytest.approx(shared)
    one = scores[(scores["protocol"] == "induction") | (scores["task"] == "suite/t00")]
    assert protocol_sensitivity(contrasts(one))["n_tasks"].tolist() == [1, 1]


def test_one_protocol_has_no_sensitivity(make_scores: Any) -> None:
    table = protocol_sensitivity(contrasts(make_scores(6, 10)))
    assert table.empty
    assert tuple(table.columns) == SENSITIVITY_COLUMNS


def test_analyze_a_file(make_scores: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    make_scores(6, 20).to_csv(path, index=False)
    found = analyze_table(path, n_permutations=50)
    assert len(found.contrasts) == 2 + 12
    assert len(found.best) == 1
    assert found.sensitivity.empty
    assert "Choosing the best of 2 stimuli for each of 6 tasks gives" in repr(found)
    assert "with no effect at all it would give" in repr(found)
    assert found.to_frame() is found.contrasts
    with pytest.raises(UnknownName, match="conditions: original, EP01, EP02"):
        analyze_table(path, baseline="plain")


def test_two_prompts_have_no_best_of_one(make_scores: Any) -> None:
    found = analyze_scores(make_scores(6, 20, ("B",)), n_permutations=20)
    assert len(found.sentences()) == 1


def two_protocols(primary: dict[str, str], shift: dict[str, float]) -> pd.DataFrame:
    """Six tasks scored twice; `primary` names each suite's protocol, `shift` what EP01 does."""
    rng = np.random.default_rng(2)
    rows = []
    for suite, first in primary.items():
        for t in range(6):
            base = rng.uniform(0.3, 0.7, 20)
            for protocol, effect in shift.items():
                for condition in ("original", "EP01"):
                    moved = (effect if condition == "EP01" else 0) + 0.01 * rng.normal(size=20)
                    rows.append(
                        pd.DataFrame(
                            {
                                "task": f"{suite}/t{t}",
                                "condition": condition,
                                "item_id": [f"i{i}" for i in range(20)],
                                "score": base + moved,
                                "protocol": protocol,
                                "primary": protocol == first,
                            }
                        )
                    )
    return pd.concat(rows, ignore_index=True)


def test_a_sign_that_depends_on_the_parser_is_flagged() -> None:
    found = protocol_sensitivity(
        contrasts(two_protocols({"s": "a"}, {"a": 0.008, "b": -0.008, "c": 0.005}))
    ).set_index("protocol")
    assert list(found.index) == ["b", "c"]
    assert list(found["sign_flips"]) == [True, False]
    assert found.loc["b", "flips"]  # better by one protocol, worse by the other


def test_two_primary_protocols_are_compared_where_they_share_tasks() -> None:
    """No protocol of a task goes without comparison because other tasks decide by it."""
    scores = two_protocols({"s": "a", "u": "b"}, {"a": 0.01, "b": 0.02})
    table = contrasts(scores)
    assert set(table["protocol"]) == {"a", "b"}
    found = protocol_sensitivity(table)
    assert list(zip(found["reference"], found["protocol"], strict=True)) == [("a", "b")]
    assert found["n_tasks"].item() == 12
    apart = scores[scores["primary"]]  # and no row where they share none
    assert protocol_sensitivity(contrasts(apart)).empty
