"""The thirty open questions, and cards of open questions of one's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from promptlab.errors import SpecError
from promptlab.tasks import find_tasks, get_task

OWN = """\
name: mine
instruction: Answer the question.
source: made up for a test
metrics: {judged: judged}
data: {loader: dataset, path: rows.csv, input: question, open: true, fields: {kind: topic}}
"""


def test_three_questions_of_each_of_ten_domains() -> None:
    items = get_task("open_questions/ten_domains").items(None, 0)
    domains = Counter(item.fields["domain"] for item in items)
    assert len(domains) == 10
    assert set(domains.values()) == {3}
    assert len({item.input for item in items}) == 30
    for item in items:
        assert item.input.rstrip().endswith("?")
        assert item.answers == (item.fields["aspects"],)


def test_open_questions_need_no_answer(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question,topic\nWhy?,reasons\nHow?,ways\n")
    card = tmp_path / "mine.yaml"
    card.write_text(OWN)
    (task,) = find_tasks([str(card)])
    items = task.items(None, 0)
    assert {(i.input, i.answers, i.fields["kind"]) for i in items} == {
        ("Why?", (), "reasons"),
        ("How?", (), "ways"),
    }
    assert not task.has_demonstrations
    card.write_text(OWN.replace("open: true", "open: true, choices: [a, b]"))
    with pytest.raises(SpecError, match="it has no choices"):
        find_tasks([str(card)])
