"""The adapters of the golden test on another file of the same form."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("statsmodels", reason="the extra 'models' is not installed")

import golden_variants
import test_golden

pytestmark = pytest.mark.filterwarnings("ignore:.*:Warning")
OPTIONAL = {"icc"}
"""Families whose oracle need not be installed."""


@pytest.fixture(scope="module")
def variant_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden_variants.write(tmp_path_factory.mktemp("variants"), seed=1)


def test_every_family_has_another_case(variant_file: Path) -> None:
    families = {case["family"] for case in test_golden.cases_of(variant_file)}
    assert families <= set(test_golden.ADAPTERS)
    assert set(test_golden.ADAPTERS) - families <= OPTIONAL


@pytest.mark.parametrize("family", sorted(test_golden.ADAPTERS))
def test_another_file_of_the_same_form(family: str, variant_file: Path) -> None:
    cases = [c for c in test_golden.cases_of(variant_file) if c["family"] == family]
    if not cases:
        pytest.skip(f"the oracle of family '{family}' is not installed")
    problems = {case["id"]: test_golden.check(case, variant_file.parent) for case in cases}
    assert {case: found for case, found in problems.items() if found} == {}
