"""What a rehearsal found, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

from promptlab.analysis.calibration.designs import discordance_of
from promptlab.analysis.calibration.race_rehearsal import RaceShape
from promptlab.analysis.calibration.rehearsal import EVERY, Rehearsal
from promptlab.analysis.calibration.tally import Sum
from promptlab.analysis.calibration.worlds import Key, Shape, label, stated_effects

__all__ = ["assumption", "rehearsal_sentences"]


def assumption(rehearsal: Rehearsal) -> str:
    """What the simulated world is like."""
    truth = rehearsal.truth
    moved = 100 * discordance_of(truth.accuracy, truth.concentration)
    return (
        f"{rehearsal.simulations} rehearsals of each scenario, no model asked: baseline accuracy "
        f"{100 * truth.accuracy:g} %, two prompts without any effect disagree about {moved:.0f} % "
        f"of the items, true effects differ by {100 * truth.spread:g} points (SD) between tasks"
    )


def rehearsal_sentences(rehearsal: Rehearsal) -> list[str]:
    """Plain sentences: without any effect, and with the stated ones."""
    if isinstance(rehearsal.shape, RaceShape):
        return [*_race_without_effect(rehearsal), *_race_with_effects(rehearsal)]
    return [*_without_effect(rehearsal), *_with_effects(rehearsal)]


def _without_effect(rehearsal: Rehearsal) -> Iterator[str]:
    found = _whole(rehearsal, "none")
    assert isinstance(rehearsal.shape, Shape)
    alpha = 100 * float(rehearsal.shape.options.get("alpha", 0.05))
    if "any better" in found:
        yield (
            "With no effect at all this analysis would say 'better' of some condition in "
            f"{_percent(found['any better'])} of experiments, and 'better' or 'worse' in "
            f"{_percent(found['any better or worse'])}."
        )
    family = found.get("confirmatory: any better or worse")
    if family:
        yield (
            "In the confirmatory family it would make at least one false claim in "
            f"{_percent(family)} of experiments ({alpha:g} % is what it promises); raw p values "
            f"would in {_percent(found['raw p: any better or worse'])}."
        )
    rest = found.get("exploratory: any better or worse")
    if rest:
        yield (
            "Among the exploratory contrasts over tasks there would be a false claim in "
            f"{_percent(rest)} of experiments."
        )
    gain = found.get("best stimulus per task: gain")
    if gain and math.isfinite(gain.mean):
        relative = found.get("best stimulus per task: relative gain")
        more = f" ({100 * relative.mean:+.1f} %)" if relative and relative.n else ""
        yield (
            "The best stimulus of each task, picked afterwards, would gain "
            f"{100 * gain.mean:+.1f} points{more} on average although nothing works."
        )
    covered = found.get("coverage of intervals over tasks")
    if covered and covered.n:
        yield (
            f"Without any effect {_percent(covered)} of the {100 - alpha:g} % intervals over tasks "
            "would hold the true difference."
        )


def _with_effects(rehearsal: Rehearsal) -> Iterator[str]:
    found = _whole(rehearsal, "effects")
    shape = rehearsal.shape
    assert isinstance(shape, Shape)
    for key, effect in stated_effects(shape, rehearsal.truth).items():
        name = label(key)
        own = {q: s for c, q, s in rehearsal.tallies["effects"] if c == name}
        # Of the other contrasts only what is to be confirmed; the table has all.
        if "power" in own and (key[0] == "vs_original" or key in shape.family):
            yield _power(key, effect, own)
    for where, of in (("", "Over all contrasts"), ("confirmatory: ", "In the confirmatory family")):
        wrong = found.get(f"{where}any false claim")
        if wrong:
            yield (
                f"{of} something would be claimed that is not so, or the wrong way, in "
                f"{_percent(wrong)} of experiments with these effects."
            )
    covered = found.get("coverage of intervals over tasks")
    if covered and covered.n:
        yield (
            f"With these effects {_percent(covered)} of the intervals over tasks would hold the "
            "true difference."
        )
    smallest = found.get("smallest difference found with 80 % power")
    if smallest and smallest.n:
        yield (
            "From the variance it sees, the report would say on average that it could have found "
            f"{100 * smallest.mean:.1f} points with 80 % power."
        )


def _power(
    key: Key,
    effect: float,
    own: dict[str, Sum],
    *,
    what: str = "this experiment",
    more: str = "",
) -> str:
    right, wrong = ("better", "worse") if effect > 0 else ("worse", "better")
    text = (
        f"If {_said(key, effect)}, {what} would "
        f"call it {right} with probability {_percent(own['power'])}, {wrong} "
        f"{_percent(own['wrong direction'], plain=True)}, equivalent "
        f"{_percent(own['equivalent'], plain=True)}, inconclusive "
        f"{_percent(own['inconclusive'], plain=True)}"
    )
    larger = own.get("exaggeration when found")
    if larger and larger.n:
        text += f"; when it says so, the estimate is {larger.mean:.2f} times the truth"
    return f"{text}{more}."


def _race_without_effect(rehearsal: Rehearsal) -> Iterator[str]:
    found = _whole(rehearsal, "none")
    assert isinstance(rehearsal.shape, RaceShape)
    yield (
        "With no effect at all a race would call some condition better or worse in "
        f"{_percent(found['race: any better or worse'])} of experiments "
        f"({100 * rehearsal.shape.alpha:g} % is what it promises); the full design, by a z test "
        f"with Bonferroni, in {_percent(found['full design: any better or worse'])}."
    )
    yield (
        f"It would save {_percent(found['race: saved share'])} of the requests of the full design, "
        f"call {_percent(found['share equivalent'], plain=True)} of the conditions equivalent and "
        f"leave {_percent(found['share inconclusive'], plain=True)} inconclusive."
    )


def _race_with_effects(rehearsal: Rehearsal) -> Iterator[str]:
    effects = {name: e for name, e in rehearsal.truth.effects.items() if e}
    if not effects:
        return
    found = _whole(rehearsal, "effects")
    for name, effect in effects.items():
        own = {q: s for c, q, s in rehearsal.tallies["effects"] if c == name}
        key = ("vs_original", name, rehearsal.shape.baseline)
        more = (
            f"; the full design would with {_percent(own['power of the full design'])}; "
            f"{_percent(own['saved share'], plain=True)} of the condition's requests are saved"
        )
        yield _power(key, effect, own, what="this race", more=more)
    text = (
        "With these effects a race would claim something that is not so, or the wrong way, in "
        f"{_percent(found['race: any false claim'])} of experiments"
    )
    best = found.get("race: false not best")
    if best:
        text += f", and call the truly best condition not the best in {_percent(best)}"
    yield f"{text}."
    yield (
        f"It would save {_percent(found['race: saved share'])} of the requests of the full design."
    )


def _said(key: Key, effect: float) -> str:
    contrast, condition, baseline = key
    size = f"{100 * effect:+.1f} points"
    if contrast == "vs_original":
        return f"{condition} truly changes accuracy by {size}"
    return f"the true difference of {condition} from {baseline} ({contrast}) is {size}"


def _whole(rehearsal: Rehearsal, scenario: str) -> dict[str, Sum]:
    return {q: s for c, q, s in rehearsal.tallies[scenario] if c == EVERY}


def _percent(found: Sum, *, plain: bool = False) -> str:
    """`3.8 %`, with its Monte-Carlo error where the number matters."""
    text = f"{100 * found.mean:.1f} %"
    return text if plain else f"{text} (±{100 * found.error:.1f})"
