"""The papers' arithmetic against hand computation, and verdicts against known effects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from promptlab.analysis import label_permutation, papers
from promptlab.analysis.papers import aggregates
from promptlab.analysis.papers.tables import size_of
from promptlab.errors import UnknownName, UserError

STIMULI = [f"EP{k:02d}" for k in range(1, 5)]


def part(
    *,
    seed: int = 0,
    tasks: int = 12,
    items: int = 40,
    effect: float = 0.0,
    control: float = 0.0,
    shots: int = 0,
    suite: str = "instruction_induction",
    low: float = 0.0,
    noisy: float = 0.1,
    model: str = "m",
    **about: str,
) -> papers.Part:
    """A run with a known effect of every stimulus and of every control, in probability."""
    rng = np.random.default_rng(seed)
    rows = []
    for t in range(tasks):
        base = rng.uniform(0.35, 0.6)
        for i in range(items):
            skilled = rng.random() < base
            for condition in ["original", *STIMULI, *(f"{s}-neutral" for s in STIMULI)]:
                gain = 0.0 if condition == "original" else control if "-" in condition else effect
                right = skilled if rng.random() > noisy else rng.random() < base
                right = right or rng.random() < gain / (1 - base)
                rows.append((model, f"{suite}/t{t}", condition, shots, f"i{i}", float(right)))
    columns = ["model", "task", "condition", "shots", "item_id", "score"]
    conditions = [("original", "original", "none", "", "")]
    conditions += [(s, "stimulus", "positive", "emotionprompt", "") for s in STIMULI]
    conditions += [(f"{s}-neutral", "stimulus", "neutral", "neutral", s) for s in STIMULI]
    return papers.Part(
        name="run",
        scores=pd.DataFrame(rows, columns=columns).assign(protocol="p", primary=True),
        conditions=pd.DataFrame(
            conditions, columns=["condition", "method", "valence", "library", "matched_to"]
        ),
        tasks=pd.DataFrame(
            {"task": [f"{suite}/t{t}" for t in range(tasks)], "low": low, "high": 1.0}
        ),
        **about,
    )


def claim(**changes: Any) -> papers.Claim:
    given: Mapping[str, Any] = {
        "id": "c",
        "statement": "s",
        "statistic": "gain_of_best",
        "published": 8.0,
        "unit": "percent",
        "how": "h",
        "status": "CONFIRMED",
        "source": "x",
        "shots": ("zero",),
        "base": ("human",),
    }
    return papers.Claim(**{**given, **changes})


def test_levels_are_those_of_a_hand_computation() -> None:
    rows = []
    scores = {
        "original": [1, 0, 0, 0],
        "EP01": [1, 1, 0, 0],
        "EP02": [0, 0, 1, 1],
    }
    for condition, values in scores.items():
        for i, value in enumerate(values):
            rows.append(("m", f"instruction_induction/t{i // 2}", condition, 0, f"i{i}", value))
    one = part(tasks=1, items=1)
    frame = pd.DataFrame(rows, columns=["model", "task", "condition", "shots", "item_id", "score"])
    given = papers.Part(
        name="hand",
        scores=frame.assign(protocol="p", primary=True),
        conditions=one.conditions,
        tasks=one.tasks,
    )
    (setting,) = papers.gather([given], "emotionprompt").where()
    # Tasks: original (.5, 0), EP01 (1, 0), EP02 (0, 1).
    assert setting.observed.original[0] == pytest.approx(0.25)
    assert setting.observed.average[0] == pytest.approx(0.5)
    assert setting.observed.best[0] == pytest.approx(1.0)
    relative = papers.as_published([setting], "best", "relative")
    assert relative.value == pytest.approx(3.0)
    assert papers.as_published([setting], "average", "points").value == pytest.approx(0.25)


def test_chance_is_that_of_the_label_permutation() -> None:
    (setting,) = papers.gather([part(items=20)], "emotionprompt").where()
    items, starts = setting.contest
    tasks = np.repeat(np.arange(starts.size), np.diff(np.append(starts, items.shape[0])))
    oracle = label_permutation(items, tasks, n_permutations=4000, seed=5)
    found = papers.as_published([setting], "best", "points")
    assert found.value == pytest.approx(oracle.estimate)
    assert found.mean == pytest.approx(oracle.null_mean, abs=0.004)
    assert found.upper == pytest.approx(oracle.null_upper, abs=0.008)


def test_bigbench_is_in_its_normalised_metric() -> None:
    raw = papers.gather([part(items=20)], "emotionprompt").where()[0].observed
    given = part(items=20, suite="bigbench", low=0.25)
    found = papers.gather([given], "emotionprompt").where()[0].observed
    for name in ("original", "average", "best"):
        expected = (getattr(raw, name)[0] - 0.25) / 0.75
        assert getattr(found, name)[0] == pytest.approx(expected)


def test_choosing_and_measuring_on_the_same_items_finds_what_is_not_there() -> None:
    honest, naive = [], []
    for seed in range(12):
        settings = papers.gather([part(seed=seed, noisy=0.3)], "emotionprompt").where()
        means = papers.task_means(settings, "best")
        honest.append(float((means.variant - means.original).mean()))
        naive.append(papers.as_published(settings, "best", "points").value)
    assert min(naive) > 0.02
    assert abs(np.mean(honest)) < 0.012


@pytest.mark.parametrize(
    ("given", "verdict", "word"),
    [
        ({"effect": 0.15}, "reproduced", "larger than published"),
        ({"effect": 0.02, "items": 100, "tasks": 20, "noisy": 0.0}, "not reproduced", "a smaller"),
        ({"effect": 0.15, "control": 0.15}, "cannot tell", "neutral sentences"),
        ({"items": 100, "tasks": 20, "noisy": 0.02}, "not reproduced", "ruled out"),
        ({"items": 5, "tasks": 4, "noisy": 0.5}, "cannot tell", "holds both"),
    ],
)
def test_verdicts(given: dict[str, Any], verdict: str, word: str) -> None:
    found = papers.judge(claim(), papers.gather([part(**given)], "emotionprompt"))
    assert (found.verdict, word in found.why) == (verdict, True), found.why


def test_a_relative_gain_over_chance_level_means_nothing() -> None:
    given = part(suite="bigbench", low=0.5)
    evidence = papers.gather([given], "emotionprompt")
    found = papers.judge(claim(benchmark="bigbench"), evidence)
    assert found.verdict == "cannot tell"
    assert "means nothing" in found.why


@pytest.mark.parametrize("statistic", ["gain_of_best", "gain_of_average"])
def test_one_task_is_judged_over_its_items(statistic: str) -> None:
    asked = claim(statistic=statistic, benchmark="truthfulqa", unit="points", published=12)
    given: dict[str, Any] = {"tasks": 1, "items": 300, "suite": "truthfulqa", "noisy": 0.05}
    effects: list[dict[str, Any]] = [{"effect": 0.2}, {}, {"effect": 0.2, "control": 0.2}]
    works, useless, as_neutral = (
        papers.judge(asked, papers.gather([part(**given, **more)], "emotionprompt"))
        for more in effects
    )
    assert (works.verdict, works.n_tasks, works.n_items) == ("reproduced", 1, 300)
    assert works.control_lower > 0
    assert useless.verdict == "not reproduced"
    assert as_neutral.verdict == "cannot tell"
    assert "over items" in works.estimand


def test_a_single_task_averages_settings_item_by_item() -> None:
    one: dict[str, Any] = {"tasks": 1, "items": 40, "suite": "truthfulqa"}
    runs = [part(**one, seed=1), part(**one, seed=2, shots=5)]
    settings = papers.gather(runs, "emotionprompt").where()
    means = papers.task_means(settings, "average")
    each = [papers.task_means([s], "average") for s in settings]
    assert (len(means.units), means.n_tasks, means.n_items) == (40, 1, 80)
    assert means.original == pytest.approx((each[0].original + each[1].original) / 2)


def test_what_was_not_asked_is_said() -> None:
    evidence = papers.gather([part()], "emotionprompt")
    for changes in (
        {"benchmark": "bigbench"},
        {"shots": ("few",)},
        {"statistic": "over_method", "method": "zero_shot_cot", "unit": "points"},
        {"statistic": "few_shot_advantage", "unit": "points"},
        {"statistic": "tasks_with_larger_share", "unit": "tasks"},
    ):
        found = papers.judge(claim(**changes), evidence)
        assert found.verdict == "cannot tell"
        assert found.why.startswith("Not run")
        assert math.isnan(found.estimate)
    with pytest.raises(UnknownName, match="gain_of_best"):
        papers.judge(claim(statistic="gain_of_bets"), evidence)


def test_few_shot_advantage_is_a_difference_of_gains() -> None:
    parts = [part(seed=1), part(seed=2, effect=0.2, shots=5)]
    evidence = papers.gather(parts, "emotionprompt")
    both = {"statistic": "few_shot_advantage", "unit": "points", "shots": ("zero", "few")}
    found = papers.judge(claim(**both, published=1.72), evidence)
    table = papers.shots_table(evidence).iloc[0]
    assert found.estimate == pytest.approx(table["difference"])
    assert found.estimate == pytest.approx(table["few"] - table["zero"])
    assert found.verdict == "reproduced"
    # One model without demonstrations and another one with them say nothing of the kind.
    apart = papers.gather([part(), part(effect=0.2, shots=5, model="other")], "emotionprompt")
    assert papers.judge(claim(**both), apart).why.startswith("Not run")


def test_a_verdict_that_hangs_on_missing_answers_is_none() -> None:
    whole = part(tasks=20, items=60, effect=0.15)
    stimulus = whole.scores["condition"].isin(STIMULI)
    wrong = stimulus & (whole.scores["score"] == 0) & (whole.scores.index % 3 == 0)
    lost = stimulus & (whole.scores.index % 5 == 0)
    asked = claim(statistic="gain_of_average")

    def verdict(cells: pd.Series) -> tuple[str, str, str]:
        scores = whole.scores.assign(score=whole.scores["score"].mask(cells))
        given = replace(whole, scores=scores)
        first, second = (
            papers.judge(asked, papers.gather([given], "emotionprompt", missing=how))
            for how in ("drop_pair", "as_wrong")
        )
        return first.verdict, second.verdict, papers.settled(first, second).verdict

    assert verdict(wrong) == ("reproduced",) * 3
    first, second, settled = verdict(lost)
    assert (first, settled) == ("reproduced", "cannot tell")
    assert second != "reproduced"


def test_few_items_rule_out_no_best_stimulus() -> None:
    found = papers.judge(
        claim(), papers.gather([part(items=5, tasks=40, noisy=0.02)], "emotionprompt")
    )
    assert found.upper < 8
    assert (found.verdict, "too few to choose" in found.why) == ("cannot tell", True)


def test_a_mean_over_settings_takes_all_of_them() -> None:
    asked = claim(shots=("zero", "few"))
    zero, few = part(seed=1, effect=0.1), part(seed=2, effect=0.2, shots=5)
    found = papers.judge(asked, papers.gather([few], "emotionprompt"))
    assert found.verdict == "cannot tell"
    assert "lack zero-shot with human instructions" in found.why
    assert found.lower > 0  # what was asked is shown
    both = papers.gather([zero, few], "emotionprompt")
    found = papers.judge(asked, both)
    assert found.verdict == "reproduced"
    each = [
        papers.judge(claim(shots=(shots,)), both).estimate for shots in ("zero", "few")
    ]  # the mean of the ratios, not the ratio of the means
    assert found.estimate == pytest.approx(np.mean(each))
    # Two models that have one half each have no whole between them.
    halves = papers.gather([zero, part(effect=0.2, shots=5, model="other")], "emotionprompt")
    assert papers.judge(asked, halves).verdict == "cannot tell"
    # A model that has everything is not mixed with one that has a part.
    more = papers.gather([zero, few, part(seed=9, model="other")], "emotionprompt")
    assert papers.judge(asked, more).settings.count(";") == 1


def test_the_interval_of_a_mean_of_ratios_is_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    first = [rng.normal(0.10, 0.02, 200), rng.normal(0.12, 0.03, 200)]
    second = [rng.normal(0.5, 0.1, 200), first[0] * 3 + rng.normal(0.2, 0.05, 200)]
    units = tuple(map(str, range(200)))
    kinds = [aggregates.TaskMeans(units, *pair, 200, 200) for pair in (first, second)]
    found = aggregates.mean_relative_gain(kinds)
    drawn = rng.integers(0, 200, (4000, 200))
    ratios = [v[drawn].mean(axis=1) / o[drawn].mean(axis=1) for o, v in (first, second)]
    wanted = np.quantile(np.mean(ratios, axis=0) - 1, [0.025, 0.975])
    assert found.estimate == pytest.approx(
        np.mean([v.mean() / o.mean() - 1 for o, v in (first, second)])
    )
    assert found.interval == pytest.approx(wanted, abs=0.003)


def test_the_best_of_any_sentences_beats_the_original_and_not_the_best_neutral_one() -> None:
    """Sentences that suit tasks by chance, emotional or not: nothing to do with emotion."""
    rng = np.random.default_rng(1)
    whole = part(tasks=24, items=40)
    scores = whole.scores
    suits = {key: rng.random() < 0.3 for key in scores.groupby(["task", "condition"]).groups}
    moved = [
        1.0 if c != "original" and suits[t, c] and rng.random() < 0.5 else s
        for t, c, s in zip(scores["task"], scores["condition"], scores["score"], strict=True)
    ]
    given = replace(whole, scores=scores.assign(score=moved))
    found = papers.judge(claim(), papers.gather([given], "emotionprompt"))
    assert found.lower > 0
    assert found.verdict == "cannot tell"
    without = given.scores[~given.scores["condition"].str.contains("-")]
    bare = papers.gather([replace(given, scores=without)], "emotionprompt")
    assert "any other sentence" in papers.judge(claim(), bare).why


def test_a_ratio_of_ratings_is_on_their_scale() -> None:
    given: dict[str, Any] = {"tasks": 1, "items": 300, "suite": "open_questions", "effect": 0.2}
    evidence = papers.gather([part(**given)], "emotionprompt")
    asked = {"statistic": "gain_of_average", "benchmark": "open_questions"}
    of_shares = papers.judge(claim(**asked), evidence)
    of_ratings = papers.judge(claim(**asked, scale=(1, 5)), evidence)
    (setting,) = evidence.where()
    original, average = setting.observed.original[0], setting.observed.average[0]
    assert of_shares.estimate == pytest.approx(100 * (average / original - 1))
    wanted = 100 * ((1 + 4 * average) / (1 + 4 * original) - 1)
    assert of_ratings.estimate == pytest.approx(wanted)
    assert of_ratings.as_published == pytest.approx(wanted)


def test_shares_of_word_importance() -> None:
    shares = pd.DataFrame(
        {
            "task": list("abcdefgh"),
            "share": [0.7] * 5 + [0.3] * 3,
            "lower": [0.6] * 4 + [0.4] + [0.2] * 3,
            "upper": [0.8] * 5 + [0.4] * 3,
        }
    )
    one = papers.gather([part()], "emotionprompt", importance=shares)
    asked = claim(statistic="tasks_with_larger_share", unit="tasks", published=4, of=8)
    assert papers.judge(asked, one).verdict == "reproduced"
    some = papers.gather([part()], "emotionprompt", importance=shares[:2])
    assert "about 8 tasks; these are 2" in papers.judge(asked, some).why
    many = pd.concat([shares[:4], *[shares[5:]] * 6])
    assert (
        papers.judge(asked, papers.gather([part()], "emotionprompt", importance=many)).verdict
        == "not reproduced"
    )
    few = papers.gather([part()], "emotionprompt", importance=shares.assign(upper=0.45, lower=0.1))
    assert papers.judge(asked, few).verdict == "not reproduced"


def test_runs_of_one_setting_are_one() -> None:
    whole = part(tasks=6)
    first = whole.scores["task"].isin([f"instruction_induction/t{t}" for t in range(3)])
    halves = [
        papers.Part(
            name=str(n), scores=whole.scores[rows], conditions=whole.conditions, tasks=whole.tasks
        )
        for n, rows in enumerate((first, ~first))
    ]
    together = papers.main_table(papers.gather(halves, "emotionprompt"))
    pd.testing.assert_frame_equal(
        together, papers.main_table(papers.gather([whole], "emotionprompt"))
    )


def test_rows_that_two_runs_have_count_once() -> None:
    whole = part(tasks=6)
    first = replace(whole, name="a first look", scores=whole.scores[whole.scores["item_id"] < "i2"])
    together = papers.main_table(papers.gather([first, whole], "emotionprompt"))
    pd.testing.assert_frame_equal(
        together, papers.main_table(papers.gather([whole], "emotionprompt"))
    )


def test_a_setting_without_a_whole_item_is_named_and_left_out() -> None:
    broken = part(tasks=4, items=8, model="broken")
    lost = broken.scores["condition"] == "EP02"
    broken = replace(broken, scores=broken.scores.assign(score=broken.scores["score"].mask(lost)))
    evidence = papers.gather([part(), broken], "emotionprompt")
    assert {s.model for s in evidence.where()} == {"m"}
    assert [s.model for s in evidence.incomplete] == ["broken"]
    assert papers.judge(claim(), evidence).n_tasks == 12
    answers = evidence.incomplete[0].answers
    assert (answers.planned, answers.scored, answers.items_counted) == (160, 128, 0)
    alone = papers.gather([broken], "emotionprompt")
    assert alone.where() == ()
    assert "No item has a score under" in papers.judge(claim(), alone).why
    # Counted as wrong, its answers are there.
    wrong = papers.gather([part(), broken], "emotionprompt", missing="as_wrong")
    assert [s.model for s in wrong.where()] == ["m", "broken"]


def test_settings_that_share_no_task_are_not_mixed() -> None:
    few = part(seed=1, shots=5)
    few = replace(few, scores=few.scores.assign(task=few.scores["task"] + "x"))
    found = papers.judge(
        claim(shots=("zero", "few")), papers.gather([part(), few], "emotionprompt")
    )
    assert "no task in common" in found.why
    assert math.isnan(found.as_published)


def test_two_temperatures_are_not_one_setting() -> None:
    with pytest.raises(UserError, match=r"temperature 0 and at 0\.7"):
        papers.gather([part(), replace(part(seed=1), temperature=0.7)], "emotionprompt")


def test_a_ratio_to_nothing_is_none() -> None:
    settings = papers.gather([part(suite="bigbench", low=0.9)], "emotionprompt").where()
    found = papers.as_published(settings, "best", "relative")
    assert math.isnan(found.value)
    assert math.isnan(found.mean)
    assert math.isnan(found.pvalue)


def test_stimuli_that_one_setting_lacks_cannot_be_chosen() -> None:
    one: dict[str, Any] = {"tasks": 1, "items": 60, "suite": "truthfulqa"}
    few = part(**one, seed=2, shots=5)
    few = replace(few, scores=few.scores[~few.scores["condition"].str.startswith("EP01")])
    evidence = papers.gather([part(**one, seed=1), few], "emotionprompt")
    asked = claim(benchmark="truthfulqa", unit="points", shots=("zero", "few"))
    assert math.isfinite(papers.judge(asked, evidence).estimate)


def test_no_stimulus_of_the_paper_is_an_error() -> None:
    with pytest.raises(UserError, match="negativeprompt"):
        papers.gather([part()], "negativeprompt")


def test_tables_have_their_rows() -> None:
    evidence = papers.gather([part(tasks=6, items=10)], "emotionprompt")
    main = papers.main_table(evidence).set_index("row")["value"]
    assert list(main.index) == ["original", "average", "best", "best_without_effect"]
    assert main["best"] >= main["average"]
    assert list(papers.stimulus_table(evidence)["stimulus"]) == STIMULI
    assert papers.stimulus_table(evidence)["control"].str.endswith("-neutral").all()
    assert papers.combination_table(evidence).empty
    assert papers.temperature_table(evidence).empty


@pytest.mark.parametrize(
    ("model", "size"),
    [("local/smollm2-135m", 1.35e8), ("x/Qwen2.5-0.5B-Instruct", 5e8), ("openai/gpt-4o", math.nan)],
)
def test_sizes_in_names(model: str, size: float) -> None:
    assert size_of(model) == pytest.approx(size, nan_ok=True)
