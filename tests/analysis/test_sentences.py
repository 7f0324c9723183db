"""Every result prints as sentences that a reader without code can use."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import promptlab.analysis as pa
from promptlab.analysis.results import Result, format_p, number, plural, sided

RNG = np.random.default_rng(0)
ORIGINAL = (RNG.random(60) < 0.6).astype(float)
VARIANT = (RNG.random(60) < 0.75).astype(float)
GRADED = np.clip(RNG.normal(0.02, 0.1, 30), -1, 1)
TASKS = np.repeat(np.arange(6), 10)
NOTHING = np.zeros(10)
BOTH = np.column_stack([ORIGINAL, VARIANT, ORIGINAL[::-1]])
ITEMS, CONDITIONS = np.tile(np.arange(60), 3), np.repeat(["original", "EP02", "EP03"], 60)
RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9]])
SAME = np.ones((3, 2))


def check(text: str) -> None:
    """One or more sentences: a capital, a full stop, no raw NaN or inf, no code."""
    assert re.match(r"[A-Z]", text), text
    assert text.endswith("."), text
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE), text
    assert not re.search(r"  |\.\.|,\.|:\.|\( |\(\)|\(s\)|\n|[{}<>]=|array\(|-0\.0\b", text), text
    assert not re.search(
        r"(?<![\d.])1 (items|pairs|tasks|units|splits|clusters|contrasts)\b", text
    ), text
    for later in re.findall(r"\. (\S)", text):
        assert later.isupper() or later.isdigit(), text


def typical() -> dict[str, Any]:
    logit = {"items": ITEMS, "conditions": CONDITIONS, "correct": BOTH.T.ravel()}
    return {
        "wilson": pa.wilson(75, 100),
        "clopper_pearson": pa.clopper_pearson(75, 100),
        "jeffreys": pa.jeffreys(75, 100),
        "beta_interval": pa.beta_interval(75, 100),
        "tango": pa.tango(18, 7, 100),
        "bonett_price": pa.bonett_price(7, 18, 100),
        "newcombe": pa.newcombe(50, 18, 7, 25),
        "mcnemar": pa.mcnemar(18, 7, 100),
        "mcnemar greater": pa.mcnemar(18, 7, 100, alternative="greater"),
        "mcnemar chi2": pa.mcnemar(18, 7, 100, variant="chi2_corrected"),
        "odds": pa.matched_odds_ratio(18, 7),
        "t": pa.t_interval(GRADED),
        "bootstrap": pa.bootstrap_mean(GRADED, n_resamples=99),
        "ideal": pa.ideal_bootstrap(GRADED[:6]),
        "sign_flip": pa.sign_flip(GRADED),
        "sign_flip less": pa.sign_flip(GRADED, alternative="less"),
        "sign_flip mc": pa.sign_flip(GRADED, how="monte-carlo", n_resamples=99),
        "wilcoxon": pa.wilcoxon(GRADED),
        "hodges_lehmann": pa.hodges_lehmann(GRADED),
        "cohens_g": pa.cohens_g(18, 7),
        "d_z": pa.cohens_d_z(GRADED),
        "g_z": pa.hedges_g_z(GRADED),
        "d_av": pa.cohens_d_av(ORIGINAL, VARIANT),
        "g_av": pa.hedges_g_av(ORIGINAL, VARIANT),
        "dominance": pa.paired_dominance(GRADED),
        "cliff": pa.cliffs_delta(ORIGINAL, VARIANT),
        "tost_t": pa.tost_t(GRADED, 0.05),
        "tost_tango": pa.tost_tango(18, 7, 100, 0.05),
        "macro": pa.macro_difference(TASKS, ORIGINAL, VARIANT),
        "macro fixed": pa.macro_difference(TASKS, ORIGINAL, VARIANT, generalize="fixed"),
        "cross_fit": pa.cross_fit(ORIGINAL, BOTH[:, 1:], tasks=TASKS),
        "cross_fit items": pa.cross_fit(ORIGINAL, BOTH[:, 1:], n_splits=1),
        "labels": pa.label_permutation(BOTH, TASKS, n_permutations=99),
        "labels mean": pa.label_permutation(BOTH, statistic="mean", n_permutations=99),
        "max_t": pa.max_t(np.column_stack([GRADED, GRADED[::-1]]), n_resamples=99),
        "max_t upper": pa.max_t(GRADED[:10, None], side="upper"),
        "fieller": pa.fieller(ORIGINAL, VARIANT),
        "log_ratio": pa.log_ratio(ORIGINAL, VARIANT),
        "ratio_bootstrap": pa.ratio_bootstrap(ORIGINAL, VARIANT, n_resamples=99),
        "paper": pa.paper_relative_gain([0.5, 0.2], [0.6, 0.3]),
        "detectable": pa.detectable_difference(24, 100, tests=21),
        "detectable one": pa.detectable_difference(1, 100),
        "components": pa.variance_components(ITEMS, RNG.random(180)),
        "clusters": pa.clustered_mean(VARIANT - ORIGINAL, TASKS),
        "pooled": pa.random_effects([0.1, 0.02, -0.01], [1e-3, 2e-3, 1e-3]),
        "alpha": pa.krippendorff_alpha(RATINGS),
        "fleiss": pa.fleiss_kappa(RATINGS // 4),
        **pa.intraclass_correlations(RATINGS),
        "cochran": pa.cochran_q(BOTH),
        "friedman": pa.friedman(RNG.random((8, 4))),
        "gee": pa.gee_logit(**logit, reference="original"),
        "conditional": pa.conditional_logit(**logit, reference="original"),
        "intercept": pa.random_intercept_logit(**logit, reference="original"),
    }


def awkward() -> dict[str, Any]:
    return {
        "one item": pa.wilson(0, 1),
        "nothing discordant": pa.tango(0, 0, 100),
        "nothing changed": pa.mcnemar(0, 0, 1),
        "hardly anything": pa.mcnemar(5, 6, 5000),
        "no losses": pa.matched_odds_ratio(3, 0),
        "no pair": pa.matched_odds_ratio(0, 0),
        "no g": pa.cohens_g(0, 0),
        "one value": pa.t_interval([0.5]),
        "one negative value": pa.sign_flip([-0.5]),
        "zeros": pa.t_interval(NOTHING),
        "zero bootstrap": pa.bootstrap_mean(NOTHING, n_resamples=99),
        "zero sign flip": pa.sign_flip(NOTHING),
        "zero wilcoxon": pa.wilcoxon(NOTHING),
        "zero d_z": pa.cohens_d_z(NOTHING),
        "zero tost": pa.tost_t(NOTHING, 0.05),
        "one tost": pa.tost_t([0.1], 0.05),
        "one task": pa.macro_difference(TASKS * 0, ORIGINAL, VARIANT),
        "no difference": pa.macro_difference(TASKS, ORIGINAL, ORIGINAL),
        "one item a task": pa.macro_difference([1, 2], [0, 1], [1, 1], generalize="fixed"),
        "flat cross_fit": pa.cross_fit(ORIGINAL, ORIGINAL[:, None]),
        "one task cross_fit": pa.cross_fit(ORIGINAL, VARIANT[:, None], tasks=TASKS * 0),
        "undefined gain": pa.fieller(NOTHING, NOTHING + 1),
        "one gain": pa.fieller([1], [1]),
        "unbounded gain": pa.fieller([0, 0, 0, 1], [0, 1, 0, 1]),
        "unstable gain": pa.fieller([0] * 10 + [1] * 4, [1, 0] * 7),
        "log of 0": pa.log_ratio([1, 0], [0, 0]),
        "undefined bootstrap": pa.ratio_bootstrap([0, 0], [1, 0], n_resamples=50),
        "left out": pa.paper_relative_gain([0.5, 0, 0.2], [0.6, 0.1, 0.3]),
        "all left out": pa.paper_relative_gain([0, 0], [0.6, 0.1]),
        "too few tasks": pa.detectable_difference(3, 50, tests=21),
        "too few items": pa.detectable_difference(1, 2),
        "flat components": pa.variance_components([1, 1, 2, 2], [0.5] * 4),
        "one cluster": pa.clustered_mean(VARIANT, TASKS * 0),
        "flat clusters": pa.clustered_mean(np.zeros(60), TASKS),
        "one variance": pa.random_effects([0.1, 0.2], [0, 0.1]),
        "no variance": pa.random_effects([0.1], [0]),
        "dropped variance": pa.random_effects([0.1, 0.2, 0.1], [0, 0.1, 0.1]),
        "equal ratings": pa.krippendorff_alpha(SAME),
        "equal categories": pa.fleiss_kappa(SAME),
        "flat cochran": pa.cochran_q(np.ones((3, 3))),
        "flat friedman": pa.friedman(np.ones((1, 3))),
    }


def test_typical_and_awkward_results_are_sentences() -> None:
    for result in (*typical().values(), *awkward().values()):
        check(repr(result))


def test_a_reader_gets_the_whole_statement() -> None:
    assert repr(pa.mcnemar(18, 7, 100)) == (
        "The variant was right 11.0 points more often than the original (95 % interval +1.3 to "
        "+21.0) on 100 items, p = 0.029 (McNemar mid-p, two-sided, Tango score interval)."
    )
    assert repr(pa.fieller([0, 0], [1, 0])) == (
        "The relative gain is undefined on 2 pairs: the original scored 0 everywhere."
    )
    assert repr(pa.tost_tango(4, 4, 900, 0.05)) == (
        "The variant scored the same as the original (90 % interval -0.6 to +0.6) on 900 pairs, "
        "p < 0.0001 for equivalence within 5 points (TOST by Tango's score)."
    )
    text = repr(pa.sign_flip(GRADED, alternative="greater", how="monte-carlo", n_resamples=99))
    assert "one-sided: variant better, 99 resamples" in text
    assert "exact" in repr(pa.sign_flip([0.1, 0.2, -0.1]))
    assert "on 1 item " in repr(pa.wilson(0, 1))
    assert "less often" in repr(pa.bonett_price(7, 18, 100))
    assert "is infinite (95 % interval 0.4132 to infinity)" in repr(pa.matched_odds_ratio(3, 0))
    assert "without any effect it would be" in repr(typical()["labels"]).lower()


def subclasses(kind: type) -> Iterator[type]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def every_result() -> list[type]:
    for module in pkgutil.walk_packages(pa.__path__, "promptlab.analysis."):
        importlib.import_module(module.name)
    found = [k for k in subclasses(Result) if k.__module__.startswith("promptlab.")]
    return sorted(set(found), key=lambda k: k.__name__)


def filled(kind: type, value: float, count: int, **given: Any) -> Any:
    """A result of that class with every field that has no default filled by its type."""
    fill: dict[str, Any] = {"float": value, "int": count, "str": "word", "bool": False}
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING and field.name not in given:
            kind_of = str(field.type)
            if "tuple" in kind_of:
                fields[field.name] = (value, value) if "float" in kind_of else ()
            else:
                fields[field.name] = fill.get(kind_of, np.full(2, value))
    return kind(**fields, **given)


@pytest.mark.parametrize("kind", every_result(), ids=lambda k: k.__name__)
def test_every_class_of_results_makes_sentences_of_anything(kind: type) -> None:
    common = {"method": "some method (of some kind)", "n": 40}
    whole = {"estimate": 0.1234, "interval": (0.01, 0.2), "pvalue": 0.0345}
    check(repr(filled(kind, 0.1, 3, **common, **whole)))
    check(repr(filled(kind, 0.1, 3, **common, **whole | {"interval": (0.01, math.inf)})))
    check(repr(filled(kind, 0.1, 3, **common, **whole | {"interval": (0.01, math.nan)})))
    check(repr(filled(kind, 0.1, 1, **common | {"n": 1}, **whole)))
    flat = {"estimate": 0.0, "interval": (0.0, 0.0), "note": "degenerate: zero variance"}
    check(repr(filled(kind, 0.0, 1, **common, **flat)))
    assert filled(kind, 0.0, 1, **common, **flat).degenerate
    nothing = filled(kind, math.nan, 0, **common, estimate=math.nan, note="undefined: no data")
    check(repr(nothing))
    assert repr(nothing).endswith(": no data.")
    assert nothing.to_frame()["note"].tolist() == ["undefined: no data"]


def test_numbers_and_words() -> None:
    assert [number(v) for v in (0.12346, 1e-15, 123456.0, -math.inf)] == [
        "0.1235",
        "0",
        "123456",
        "minus infinity",
    ]
    assert [number(v, "points") for v in (0.012, -0.0001, 0.0001, math.nan)] == [
        "+1.2",
        "0.0",
        "0.0",
        "undefined",
    ]
    assert (number(0.5, "percent"), number(0.5, "change")) == ("50.0", "+50.0")
    assert (plural(1, "items"), plural(2, "items"), plural(0, "tasks")) == (
        "1 item",
        "2 items",
        "0 tasks",
    )
    assert sided("greater") == "one-sided: variant better"
    assert format_p(math.nan) == "no p value"
