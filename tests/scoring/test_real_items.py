"""The metrics that the task cards name, on the items of the public suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptlab.scoring import get_metric
from promptlab.scoring.options import option_index
from promptlab.tasks import get_task, list_cards

pytestmark = pytest.mark.data

SUITES = ("instruction_induction", "bigbench", "truthfulqa")
TASKS = [
    f"{card.suite}/{card.name}"
    for card in list_cards()
    if card.suite in SUITES and "judged" not in card.metrics  # that no rule scores
]
ENOUGH = 100


@pytest.mark.parametrize("task", TASKS)
def test_a_gold_answer_is_right_and_a_choice_names_itself(
    task: str, suites_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(suites_dir))
    found = get_task(task)
    rules = {name: get_metric(name) for name in found.card.metrics.values()}
    for item in found.items(ENOUGH, 0):
        for name, rule in rules.items():
            for answer in item.answers:
                if name != "mc2":
                    assert rule.score_text(item, answer) == 1, (name, item)
            if rule.score_logprobs is not None:
                likely = item.fields.get("best", item.answers[0])
                logprobs = [-1.0 if choice == likely else -99.0 for choice in item.choices]
                assert rule.score_logprobs(item, logprobs) == pytest.approx(1), (name, item)
                for i, choice in enumerate(item.choices):
                    assert option_index(f"The answer is: {choice}.", item) == i, item
