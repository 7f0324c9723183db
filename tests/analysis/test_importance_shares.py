from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

import promptlab.analysis as pa
from promptlab.analysis import figures, shading, style
from promptlab.errors import UserError

WORDS = ("Write", "it.", "Are", "you", "sure?", "Input:", "x")


def table(tasks: int = 2, items: int = 5, conditions: tuple[str, ...] = ("EP04",)) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        [
            {
                "model": "m", "task": f"s/t{t}", "item_id": f"i{i}", "condition": condition,
                "shots": 0, "instruction": "own", "measure": "occlusion", "position": p,
                "line": int(p > 4), "word": word, "positive": word == "sure?",
                "group": "stimulus" if 2 <= p < 5 else "task", "loss": 1.0,
                "value": float(rng.normal()),
            }
            for t in range(tasks) for i in range(items) for condition in conditions
            for p, word in enumerate(WORDS)
        ]
    )  # fmt: skip


def by_hand(rows: pd.DataFrame) -> float:
    size = rows["value"].abs()
    return float(size[rows["group"] == "stimulus"].sum() / size.sum())


def test_a_share_is_the_mean_over_items_with_the_interval_of_the_analysis() -> None:
    found = table()
    shares = pa.word_shares(found)
    assert list(shares) == list(pa.SHARE_COLUMNS)
    one = shares[(shares["task"] == "s/t1") & (shares["group"] == "stimulus")].iloc[0]
    items = [by_hand(rows) for _, rows in found[found["task"] == "s/t1"].groupby("item_id")]
    expected = pa.t_interval(items)
    assert one["share"] == pytest.approx(np.mean(items))
    assert (one["lower"], one["upper"]) == pytest.approx(expected.interval)
    assert one["share_of_words"] == pytest.approx(3 / 7)
    assert one["excess"] == pytest.approx(np.mean(items) - 3 / 7)
    every = [by_hand(rows) for _, rows in found.groupby(["task", "item_id"])]
    over = shares[(shares["task"] == "*") & (shares["group"] == "stimulus")].iloc[0]
    clustered = pa.clustered_mean(every, np.repeat(["s/t0", "s/t1"], 5))
    assert over["share"] == pytest.approx(clustered.estimate)
    assert over["n_tasks"] == 2
    whole = shares.groupby("task")["share"].sum()
    np.testing.assert_allclose(whole, 1.0)


def test_many_items_have_a_bootstrap_interval_with_a_seed() -> None:
    found = table(1, 30)
    first, again = (pa.word_shares(found, n_resamples=500, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert first["method"].str.startswith("BCa").all()
    assert "*" not in set(first["task"])


def test_conditions_are_pooled_within_items() -> None:
    found = table(1, 4, ("EP04", "EP07"))
    pooled = pa.word_shares(found, pool=True)
    apart = pa.word_shares(found)
    mean = apart[apart["group"] == "stimulus"]["share"].mean()
    one = pooled[pooled["group"] == "stimulus"].iloc[0]
    assert one["share"] == pytest.approx(mean)
    assert (one["condition"], one["n_items"]) == ("*", 4)


def test_positive_words_beside_a_threshold() -> None:
    found = table().assign(value=1.0)
    found.loc[(found["word"] == "sure?") & (found["task"] == "s/t0"), "value"] = 8.0
    shares = pa.positive_shares(found).set_index("task")
    assert shares.loc["s/t0", "share"] == pytest.approx(0.8)
    assert shares.loc["s/t0", "verdict"] == "above"
    assert shares.loc["s/t1", "share"] == pytest.approx(1 / 3)
    assert shares.loc["s/t1", "verdict"] == "below"
    said = pa.share_sentence(shares.reset_index())
    assert "on 1 of 2 tasks" in said
    prompt = pa.positive_shares(found, within=None).set_index("task")
    assert prompt.loc["s/t1", "share"] == pytest.approx(1 / 7)


def test_conditions_without_positive_words_are_not_among_those_taken_together() -> None:
    found = table(conditions=("EP04", "EP02", "EP07")).assign(value=1.0)
    found.loc[found["condition"] == "EP02", "positive"] = False
    some = pa.positive_shares(found)
    assert set(some["pooled"]) == {"EP04, EP07"}
    assert (some["condition"] == "*").all()
    assert some["share"].to_numpy() == pytest.approx(1 / 3)
    assert "Positive words of EP04, EP07 carry" in pa.share_sentence(some)


def test_one_item_gives_no_interval() -> None:
    found = table(items=1)
    said = pa.share_sentence(pa.positive_shares(found))
    assert "on 0 the interval holds 50 %; on 2 one item gives no interval" in said
    assert "nan" not in said


def test_without_positive_words_their_share_is_nothing() -> None:
    found = table().assign(positive=False)
    assert pa.positive_shares(found).empty
    with pytest.raises(UserError, match="one model and one measure"):
        pa.share_sentence(pa.positive_shares(found))


def test_undefined_prompts_are_left_out_and_counted() -> None:
    found = table()
    found.loc[0, "value"] = math.nan
    shares = pa.word_shares(found)
    first = shares[shares["task"] == "s/t0"]
    assert set(first["n_items"]) == {4}
    assert first["note"].str.contains("1 prompt").all()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"value": "a"}, {}, "must be a number"),
        ({"value": math.inf}, {}, "infinite"),
        ({"value": 0.0}, {}, "all values are 0"),
        ({"task": None}, {}, "no task, item, condition or group"),
        ({}, {"within": "stimuli"}, "groups: stimulus, task"),
        ({}, {"groups": "positiv"}, "did you mean 'positive'"),
        ({}, {"level": 2}, "level"),
    ],
)
def test_what_is_wrong_is_said(change: Any, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pa.word_shares(table().assign(**change), **options)


def texts(figure: Any) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text)]


def test_the_heat_map_shows_every_word_once_a_condition() -> None:
    found = table(conditions=("EP04", "EP07"))
    ax = figures.words(found, task="s/t0")
    shown = texts(ax.figure)
    assert all(shown.count(word) == 2 for word in WORDS)
    assert {"EP04", "EP07", "word of the stimulus"} <= set(shown)
    with pytest.raises(UserError, match="one panel"):
        figures.words(found)
    with pytest.raises(UserError, match="no word importance for task nothing"):
        figures.words(found, task="nothing")


def test_the_figure_of_shares_has_a_line_a_task() -> None:
    shares = pa.word_shares(table(3))
    ax = figures.shares(shares, group="stimulus", threshold=0.5)
    assert {"t0", "t1", "t2", "all tasks"} <= set(texts(ax.figure))
    with pytest.raises(UserError, match="one panel"):
        figures.shares(shares)


def test_scales() -> None:
    values = [1.0, 3.0, 2.0]
    np.testing.assert_allclose(shading.scaled(values, "minmax")[0], [0, 1, 0.5])
    np.testing.assert_allclose(shading.scaled(values)[0], [1 / 3, 1, 2 / 3])
    found, signed = shading.scaled([-4.0, 2.0, math.nan])
    np.testing.assert_allclose(found, [-1, 0.5, math.nan])
    assert signed
    assert shading.shades([0.0, 0.0], "minmax") == ["#ffffff", "#ffffff"]
    assert shading.shades([math.nan]) == ["#eeeeee"]
    assert [shading.text_color(c) for c in ((1, 1, 1), (0, 0.2, 0.4))][1] == "white"
    with pytest.raises(UserError, match="unknown scale"):
        shading.scaled(values, "min")


@pytest.mark.parametrize("scale", ["max", "signed"])
def test_text_on_every_shade_can_be_read(scale: Any) -> None:
    def luminance(color: str) -> float:
        rgb = to_rgb(color)
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]

    for value in np.linspace(-1, 1, 101):
        shade = shading.shades([value, 1, -1], scale)[0]
        low, high = sorted((luminance(shade), luminance(shading.text_color(to_rgb(shade)))))
        assert (high + 0.05) / (low + 0.05) >= 4.5
    assert shading.text_color(to_rgb("#0072B2")) == "white"
    assert shading.text_color((1.0, 1.0, 1.0)) == style.INK
