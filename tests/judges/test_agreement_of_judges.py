"""Agreement between judges: every statistic is told, also one that cannot be computed."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from promptlab.errors import UserError
from promptlab.judges import agreement


def test_equal_means_of_all_answers_do_not_end_the_report() -> None:
    ratings = pd.DataFrame([[1, 5], [5, 1], [2, 4]], columns=["a", "b"])
    found = dict(agreement.between_judges(ratings, ordered=True))
    assert set(found) == {"krippendorff_alpha", "icc2"}
    assert found["icc2"].estimate < 0


def test_perfect_agreement_is_said_by_alpha_alone() -> None:
    ratings = pd.DataFrame([[1, 1], [5, 5], [2, 2]], columns=["a", "b"])
    found = dict(agreement.between_judges(ratings, ordered=True))
    assert set(found) == {"krippendorff_alpha"}
    assert found["krippendorff_alpha"].estimate == 1


@pytest.mark.parametrize("error", [UserError("no way"), ZeroDivisionError("no way")])
def test_a_statistic_that_fails_says_so_and_the_others_are_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(agreement, "krippendorff_alpha", fails)
    ratings = pd.DataFrame([[1, 2], [5, 1], [2, 2]], columns=["a", "b"])
    found = dict(agreement.between_judges(ratings, ordered=True))
    assert math.isnan(found["krippendorff_alpha"].estimate)
    assert "is undefined on 3 items: no way" in str(found["krippendorff_alpha"])
    assert math.isfinite(found["icc2"].estimate)
