"""The adapters of the golden test on another file of the same form."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("statsmodels", reason="the extra 'models' is not installed")

import golden_variants
import test_golden


@pytest.mark.filterwarnings("ignore:.*:Warning")
def test_another_file_of_the_same_form(tmp_path: Path) -> None:
    path = golden_variants.write(tmp_path, seed=1)
    cases = test_golden.cases_of(path)
    problems = {
        f"{case['id']} {case['family']}": test_golden.check(case, tmp_path) for case in cases
    }
    assert {case: found for case, found in problems.items() if found} == {}
    missing = set(test_golden.ADAPTERS) - {case["family"] for case in cases}
    assert missing <= {"icc"}, "a family without another case"
