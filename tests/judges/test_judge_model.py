"""The embedded model as a judge, by log-probability."""

from __future__ import annotations

import math

import pytest
from judge_kit import open_run


@pytest.mark.model
def test_the_embedded_model_judges_by_log_probability(smollm2: object) -> None:
    run = open_run(items=2, conditions=["original", "EP02"])
    judging = run.judge("local/smollm2-135m", "truthfulqa", analysis=False)
    table = judging.judgements()
    assert judging.status["responses"] == {"ok": 8}
    assert set(table["label"]) <= {"yes", "no"}
    assert ((table["probability"] >= 0.5) & (table["probability"] <= 1)).all()
    assert set(judging.scores()["method"]) == {"logprob"}
    assert not any(math.isnan(score) for score in judging.scores()["score"])
