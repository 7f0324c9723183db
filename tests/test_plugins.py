"""Metrics and suites of tasks from installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import promptlab as pl
import promptlab.scoring
import promptlab.tasks.registry
from promptlab.errors import UserError
from promptlab.scoring import get_metric
from promptlab.scoring import metrics as get_metrics
from promptlab.scoring.metrics import _METRICS
from promptlab.tasks import list_cards

METRICS = """\
from promptlab.scoring import Metric

first = Metric("same_first", "same first letter", lambda item, text: float(
    text[:1] == item.answers[0][:1]))
taken = Metric("exact_match", "a name that is taken", lambda item, text: 0.0)
"""
CARD = """\
name: capitals
instruction: Name the capital.
source: ours
metrics: {own: same_first}
data: {loader: dataset, path: capitals.csv, input: country, target: capital}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    suite = folder / "geography"
    suite.mkdir(parents=True)
    (suite / "__init__.py").write_text("")
    (suite / "capitals.yaml").write_text(CARD)
    (suite / "capitals.csv").write_text("country,capital\nFrance,Paris\nItaly,Rome\nPeru,Lima\n")
    (folder / "more_metrics.py").write_text(METRICS)
    known = get_metrics()
    monkeypatch.syspath_prepend(str(folder))
    caches = (promptlab.scoring._load_all, promptlab.tasks.registry._paths)
    for cached in caches:
        cached.cache_clear()
    yield folder
    for name in ("geography", "more_metrics"):
        sys.modules.pop(name, None)
    for cached in caches:
        cached.cache_clear()
    _METRICS.clear()
    _METRICS.update(known)


def install(site: Path, points: str) -> None:
    info = site / "geography-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: geography\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(points)


def test_a_suite_and_its_metric_are_there_once_installed(site: Path) -> None:
    install(
        site,
        "[promptlab.tasks]\ngeography = geography\n[promptlab.metrics]\nf = more_metrics:first\n",
    )
    assert list_cards()[-1].suite == "geography"
    run = pl.run(
        {
            "name": "g",
            "models": ["mock/skilled?p=1"],
            "tasks": ["geography/*"],
            "conditions": ["original", "EP02"],
        },
        analysis=False,
    )
    scores = run.scores()
    assert set(scores["metric"]) == {"same_first"}
    assert len(scores) == 6
    assert (scores["score"] == 1).all()


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("[promptlab.tasks]\nx = more_metrics\n", "is no package with task cards"),
        (
            "[promptlab.tasks]\nx = promptlab.tasks.bigbench\n",
            "is a suite 'bigbench', and there is one of that name",
        ),
        ("[promptlab.tasks]\nx = absent_module\n", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_suite_that_is_none_is_told(site: Path, points: str, says: str) -> None:
    install(site, points)
    with pytest.raises(UserError, match=says) as caught:
        list_cards()
    assert "the task 'x' of geography 0.3" in str(caught.value)


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ("more_metrics:METRICS", "cannot be loaded: AttributeError"),
        ("more_metrics:Metric", "is no promptlab.scoring.Metric"),
        ("more_metrics:taken", "'exact_match' is registered twice"),
    ],
)
def test_a_metric_that_is_none_is_told(site: Path, point: str, says: str) -> None:
    install(site, f"[promptlab.metrics]\nx = {point}\n")
    with pytest.raises(UserError, match=says) as caught:
        get_metric("exact_match")
    assert "the metric 'x' of geography 0.3" in str(caught.value)
