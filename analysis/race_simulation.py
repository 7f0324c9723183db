"""What a race errs, finds and saves: simulated experiments with known effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_repeats
from promptlab.analysis.arrays import Array, Bools, Ints, whole_seed
from promptlab.analysis.confidence_sequences import Bets, growth
from promptlab.analysis.race_designs import Design
from promptlab.analysis.race_rules import Evidence, Goal, RaceRules, judge

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PROCEDURES",
    "SIMULATION_COLUMNS",
    "Design",
    "Ran",
    "joined",
    "outcomes",
    "races",
    "run_races",
    "saved_share",
    "simulate_race",
    "spending_bounds",
]

SIMULATION_COLUMNS = ("design", "procedure", "effect", "quantity", "value", "se", "simulations")

PROCEDURES = ("race", "spending", "full")
"""What is compared on the same data; see `simulate_race`."""

_VALUES = np.array([1.0, -1.0, 0.0])
_CHUNK = 40


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of simulated races: arrays experiments x stimuli.

    Attributes:
        better: called better than the original.
        worse: called worse.
        equivalent: called equivalent.
        beaten: called not the best.
        blocks: in which the stimulus was asked.
    """

    better: Bools
    worse: Bools
    equivalent: Bools
    beaten: Bools
    blocks: Ints


def run_races(rules: RaceRules, bets: Bets, counts: Array, pairs: Array) -> Ran:
    """Run races over experiments that were drawn; arrays as `Design.counts` returns them."""
    n, blocks, k = counts.shape[:3]
    per_block = float(counts[0, 0, 0].sum())
    stakes = bets.stakes.size
    each = [np.zeros((n, k, stakes)) for _ in rules.nulls]
    best, beats = np.full((4, n, k), -np.inf), np.full((n, k, k), -np.inf)
    against = np.zeros((n, k, k, stakes))
    sums, differing = np.zeros((n, k)), np.zeros((n, k))
    running, asked = np.ones((n, k), bool), np.zeros((n, k), np.int64)
    for b in range(blocks):
        now = counts[:, b] * running[..., None]
        asked += running
        sums += now[..., 0] - now[..., 1]
        differing += now[..., 0] + now[..., 1]
        for i, (null, side) in enumerate(rules.nulls):
            each[i] += growth(_VALUES, now, bets, null=null, side=side)
            best[i] = np.maximum(best[i], bets.log_wealth(each[i]))
        if rules.goal != "differ":
            both = running[:, :, None] & running[:, None, :]
            won = pairs[:, b] * both
            duel = np.stack([won, np.swapaxes(won, 1, 2)], axis=-1)
            against += growth(_VALUES[:2], duel, bets, null=0.0, side="above")
            beats = np.maximum(beats, bets.log_wealth(against))
            beats[:, np.arange(k), np.arange(k)] = -np.inf
        used: Array = np.asarray(asked * per_block, np.float64)
        evidence = Evidence(
            largest=best,
            beaten=beats.max(axis=1),
            each=each,
            n=used,
            estimate=sums / used,
            second_moment=(differing + 1) / (used + 1),
        )
        planned = np.full((n, k), per_block * blocks)
        running &= judge(rules, bets, evidence, running, planned) == 0
        if not running.any():
            break
    better, worse = best[0] >= rules.need, best[1] >= rules.need
    inside = np.minimum(best[2], best[3]) >= rules.need_equivalent
    beaten = beats.max(axis=1) >= rules.need_beaten
    return Ran(better, worse & ~better, inside & ~better & ~worse, beaten, asked)


def spending_bounds(looks: int, error: float) -> Array:
    """Two-sided bounds for a z statistic at equally spaced looks, by alpha spending.

    O'Brien-Fleming-like spending (Lan and DeMets 1983, Biometrika 70): 4 (1 - Phi(z_{a/4} /
    sqrt(t))), by numerical integration over the density of those that have not stopped (Armitage,
    McPherson and Rowe 1969). Asymptotic; here to be compared with.

    Args:
        looks: how many.
        error: overall type-I error.
    """
    step = 0.004
    half = round(9 / step)
    at = np.arange(-half, half + 1) * step
    kernel = stats.norm.pdf(at, 0, np.sqrt(1 / looks))
    spent = 4 * stats.norm.sf(stats.norm.isf(error / 4) / np.sqrt(np.arange(1, looks + 1) / looks))
    density, bounds = kernel, np.empty(looks)
    size = 1 << int(np.ceil(np.log2(2 * at.size)))
    transform = np.fft.rfft(kernel, size)
    for i, share in enumerate(np.diff(spent, prepend=0.0)):
        if i:
            whole = np.fft.irfft(np.fft.rfft(density, size) * transform, size) * step
            density = whole[half : half + at.size]
        tail = np.cumsum(density[::-1])[::-1] * step
        bound = at[min(int(np.searchsorted(-tail, -share / 2)), at.size - 1)]
        bounds[i] = bound / np.sqrt((i + 1) / looks)
        density = np.where(np.abs(at) >= bound, 0.0, density)
    return bounds


def simulate_race(
    design: Design,
    *,
    goal: Goal = "both",
    alpha: float = 0.05,
    margin: float = 0.02,
    futility: float = 0.05,
    simulations: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Error rates, power and saved requests of races over simulated experiments.

    Args:
        design: what is simulated.
        goal: see `promptlab.analysis.RaceRules`.
        alpha: see `RaceRules`.
        margin: see `RaceRules`.
        futility: see `RaceRules`.
        simulations: number of experiments.
        seed: of the experiments.

    Returns:
        Columns `SIMULATION_COLUMNS`. `procedure` is `race`, `spending` (alpha spending and
        Bonferroni, a stimulus leaving once it is decided) or `full` (all items, z test,
        Bonferroni), on the same data. Quantities of the whole experiment (effect NaN): `fwer`, any
        stimulus called better or worse that is not (a call in the wrong direction is one), of
        those without an effect or with one of the other sign; `false equivalence`; `false not
        best`, the truly best called not the best (with one best stimulus); `saved`, share of the
        full design's requests that was not sent. Of each effect: `found`, called better or worse
        rightly; `equivalent`; `saved`.

    Raises:
        UserError: what is no number, items that the block does not divide, or an effect that
            cannot be.
    """
    check_repeats(simulations=simulations)
    whole_seed(seed)
    import pandas as pd

    design.check()
    rng = np.random.default_rng(seed)
    how = RaceRules(len(design.effects), design.tasks * design.items, goal, alpha, margin, futility)
    found: dict[str, list[Ran]] = {procedure: [] for procedure in PROCEDURES}
    for ran in races(design, how, simulations, rng):
        for procedure, one in ran.items():
            found[procedure].append(one)
    rows = [
        (procedure, effect, quantity, values.mean(), values.std() / np.sqrt(simulations))
        for procedure, parts in found.items()
        for effect, quantity, values in outcomes(design, joined(parts), margin)
    ]
    frame = pd.DataFrame(rows, columns=["procedure", "effect", "quantity", "value", "se"])
    frame = frame.assign(design=design.name, simulations=simulations)
    return frame[list(SIMULATION_COLUMNS)]


def races(
    design: Design,
    rules: RaceRules,
    simulations: int,
    rng: np.random.Generator,
    *,
    procedures: Sequence[str] = PROCEDURES,
) -> Iterator[dict[str, Ran]]:
    """Draw experiments and run them, some at a time.

    Args:
        design: what is simulated.
        rules: of the race; alpha and the number of stimuli are those of all procedures.
        simulations: number of experiments.
        rng: random numbers.
        procedures: of `PROCEDURES`.

    Raises:
        UserError: the design cannot be.
    """
    design.check()
    bets, last = rules.bets(), np.full(design.blocks, np.inf)
    last[-1] = stats.norm.isf(rules.error)
    bounds = {"full": last}
    if "spending" in procedures:
        bounds["spending"] = spending_bounds(design.blocks, 2 * rules.error)
    for start in range(0, simulations, _CHUNK):
        counts, pairs = design.counts(min(_CHUNK, simulations - start), rng)
        looks = _z_scores(counts)
        yield {
            procedure: run_races(rules, bets, counts, pairs)
            if procedure == "race"
            else _looked(looks, bounds[procedure])
            for procedure in procedures
        }


def saved_share(design: Design, rules: RaceRules, simulations: int = 40, *, seed: int = 0) -> float:
    """Mean share of the full design's requests that a race does not send; see `simulate_race`."""
    rng = np.random.default_rng(seed)
    ran = [r["race"] for r in races(design, rules, simulations, rng, procedures=("race",))]
    return float(_saved(design, joined(ran)).mean())


def _saved(design: Design, ran: Ran) -> Array:
    """Of each experiment; the original is asked as long as any stimulus is."""
    original, *each = design.answers or (1.0,) * (len(design.effects) + 1)
    asked = ran.blocks @ np.array(each) + original * ran.blocks.max(axis=1)
    return np.asarray(1 - asked / (design.blocks * (original + sum(each))))


def _z_scores(counts: Array) -> Array:
    total = counts.cumsum(axis=1)
    gains, losses = total[..., 0], total[..., 1]
    return np.asarray((gains - losses) / np.sqrt(np.maximum(gains + losses, 1.0)))


def _looked(z: Array, bounds: Array) -> Ran:
    """Z tests at every look, each stimulus until it is decided."""
    over = np.abs(z) >= bounds[:, None]
    ever = over.any(axis=1)
    first = np.where(ever, over.argmax(axis=1), z.shape[1] - 1)
    at = np.take_along_axis(z, first[:, None, :], axis=1)[:, 0]
    none = np.zeros(ever.shape, bool)
    return Ran(ever & (at > 0), ever & (at < 0), none, none, first + 1)


def joined(parts: Sequence[Ran]) -> Ran:
    """Experiments of several parts together."""
    names = ("better", "worse", "equivalent", "beaten", "blocks")
    return Ran(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def outcomes(design: Design, ran: Ran, margin: float) -> Iterator[tuple[float, str, Array]]:
    """(effect, quantity, a value for each experiment); see `simulate_race`."""
    effects, whole = np.array(design.effects), float("nan")

    def each(of: Any) -> Array:
        return np.asarray(of, np.float64)

    wrong = (ran.better & (effects <= 0)) | (ran.worse & (effects >= 0))
    yield whole, "fwer", each(wrong.any(axis=1))
    far = ran.equivalent & (np.abs(effects) >= margin)
    yield whole, "false equivalence", each(far.any(axis=1))
    top = np.flatnonzero(effects == effects.max())
    if top.size == 1:
        yield whole, "false not best", each(ran.beaten[:, top[0]])
    yield whole, "saved", _saved(design, ran)
    for effect in dict.fromkeys(design.effects):
        mine = effects == effect
        hit = ran.better if effect > 0 else ran.worse if effect < 0 else ran.better | ran.worse
        yield effect, "found", each(hit[:, mine].mean(axis=1))
        yield effect, "equivalent", each(ran.equivalent[:, mine].mean(axis=1))
        yield effect, "saved", each((1 - ran.blocks[:, mine] / design.blocks).mean(axis=1))
