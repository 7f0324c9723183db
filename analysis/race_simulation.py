"""What a race errs, finds and saves: simulated experiments with known effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from promptlab.analysis.arguments import check_counts, check_numbers, check_repeats
from promptlab.analysis.arrays import Array, Bools, Ints, whole_seed
from promptlab.analysis.confidence_sequences import Bets, growth
from promptlab.analysis.race_rules import Evidence, Goal, RaceRules, judge
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SIMULATION_COLUMNS", "Design", "saved_share", "simulate_race", "spending_bounds"]

SIMULATION_COLUMNS = ("design", "procedure", "effect", "quantity", "value", "se", "simulations")

_VALUES = np.array([1.0, -1.0, 0.0])
_CHUNK = 40


@dataclass(frozen=True, slots=True)
class Design:
    """An experiment to simulate: right or wrong answers, independent given the item.

    Attributes:
        name: in tables.
        effects: true difference of each stimulus from the original, in score units.
        tasks: number of tasks.
        items: of each task.
        block: items of a task in a block; a divisor of `items`.
        mean: score of the original.
        concentration: of the items' chances of being right, Beta(mean c, (1 - mean) c): 3 are
            noisy answers (37 % of pairs differ), 0.5 stable ones (16.5 %).
        spread: effect added to every second task and taken from the others, for all stimuli.
    """

    name: str
    effects: tuple[float, ...]
    tasks: int = 24
    items: int = 100
    block: int = 5
    mean: float = 0.5
    concentration: float = 3.0
    spread: float = 0.0

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.items // self.block

    def counts(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw experiments.

        Returns:
            Gains, losses and ties against the original (n x blocks x stimuli x 3), and items that
            stimulus j has right and k wrong (n x blocks x j x k).
        """
        k, c = len(self.effects), self.concentration
        shape = (n, self.blocks, self.tasks * self.block)
        p = rng.beta(self.mean * c, (1 - self.mean) * c, shape)[..., None]
        y = (rng.random((*shape, k + 1)) < p).astype(np.float32)
        signs = np.where(np.arange(self.tasks) % 2, -1.0, 1.0)
        moved = np.repeat(signs * self.spread, self.block)[:, None] + np.array(self.effects)
        luck = rng.random((*shape, k))
        up = luck < np.maximum(moved, 0.0) / (1 - self.mean)
        down = luck < np.maximum(-moved, 0.0) / self.mean
        y[..., 1:] = np.where(up, 1.0, np.where(down, 0.0, y[..., 1:]))
        pairs = np.swapaxes(y, -1, -2) @ (1 - y)
        gains, losses = pairs[..., 1:, 0], pairs[..., 0, 1:]
        ties = shape[-1] - gains - losses
        counts = np.stack([gains, losses, ties], axis=-1)
        return counts.astype(np.float64), pairs[..., 1:, 1:].astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Ran:
    """What came of simulated races: experiments x stimuli."""

    better: Bools
    worse: Bools
    equivalent: Bools
    beaten: Bools
    blocks: Ints
    """Blocks in which the stimulus was asked."""


def _run(rules: RaceRules, bets: Bets, counts: Array, pairs: Array) -> _Ran:
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
    return _Ran(better, worse & ~better, inside & ~better & ~worse, beaten, asked)


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

    rules = _rules(design, goal, alpha, margin, futility)
    effects, rng, bets = design.effects, np.random.default_rng(seed), rules.bets()
    bounds = spending_bounds(design.blocks, alpha / len(effects))
    found: dict[str, list[_Ran]] = {"race": [], "spending": [], "full": []}
    for start in range(0, simulations, _CHUNK):
        counts, pairs = design.counts(min(_CHUNK, simulations - start), rng)
        found["race"].append(_run(rules, bets, counts, pairs))
        looks = _z_scores(counts)
        found["spending"].append(_looked(looks, bounds))
        last = np.full(design.blocks, np.inf)
        last[-1] = stats.norm.isf(alpha / (2 * len(effects)))
        found["full"].append(_looked(looks, last))
    rows = [
        (procedure, *row)
        for procedure, parts in found.items()
        for row in _quantities(design, _joined(parts), margin)
    ]
    frame = pd.DataFrame(rows, columns=["procedure", "effect", "quantity", "value", "se"])
    frame = frame.assign(design=design.name, simulations=simulations)
    return frame[list(SIMULATION_COLUMNS)]


def saved_share(
    design: Design,
    *,
    goal: Goal = "both",
    alpha: float = 0.05,
    margin: float = 0.02,
    futility: float = 0.05,
    simulations: int = 40,
    seed: int = 0,
) -> float:
    """Mean share of the full design's requests that a race does not send; see `simulate_race`."""
    rules = _rules(design, goal, alpha, margin, futility)
    rng, bets, shares = np.random.default_rng(seed), rules.bets(), []
    for start in range(0, simulations, _CHUNK):
        counts, pairs = design.counts(min(_CHUNK, simulations - start), rng)
        shares.append(_saved(design, _run(rules, bets, counts, pairs)))
    return float(np.concatenate(shares).mean())


def _rules(design: Design, goal: Goal, alpha: float, margin: float, futility: float) -> RaceRules:
    check_counts(tasks=design.tasks, items=design.items, block=design.block)
    check_numbers(mean=design.mean, concentration=design.concentration, spread=design.spread)
    for effect in design.effects:
        check_numbers(effect=effect)
    effects = np.array(design.effects)
    worst = float(np.abs(effects).max(initial=0.0)) + abs(design.spread)
    if design.block < 1 or design.items % design.block:
        raise UserError(f"{design.items} items are not cut evenly into blocks of {design.block}")
    if worst > min(design.mean, 1 - design.mean):
        raise UserError(f"an effect of {worst:g} does not fit beside a score of {design.mean:g}")
    return RaceRules(effects.size, design.tasks * design.items, goal, alpha, margin, futility)


def _saved(design: Design, ran: _Ran) -> Array:
    """Of each experiment; the original is asked as long as any stimulus is."""
    asked = ran.blocks.sum(axis=1) + ran.blocks.max(axis=1)
    return np.asarray(1 - asked / (design.blocks * (len(design.effects) + 1)))


def _z_scores(counts: Array) -> Array:
    total = counts.cumsum(axis=1)
    gains, losses = total[..., 0], total[..., 1]
    return np.asarray((gains - losses) / np.sqrt(np.maximum(gains + losses, 1.0)))


def _looked(z: Array, bounds: Array) -> _Ran:
    """Z tests at every look, each stimulus until it is decided."""
    over = np.abs(z) >= bounds[:, None]
    ever = over.any(axis=1)
    first = np.where(ever, over.argmax(axis=1), z.shape[1] - 1)
    at = np.take_along_axis(z, first[:, None, :], axis=1)[:, 0]
    none = np.zeros(ever.shape, bool)
    return _Ran(ever & (at > 0), ever & (at < 0), none, none, first + 1)


def _joined(parts: Sequence[_Ran]) -> _Ran:
    names = ("better", "worse", "equivalent", "beaten", "blocks")
    return _Ran(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def _quantities(
    design: Design, ran: _Ran, margin: float
) -> Iterator[tuple[float, str, float, float]]:
    effects, n = np.array(design.effects), ran.blocks.shape[0]

    def share(of: Any, name: str, effect: float = np.nan) -> tuple[float, str, float, float]:
        values = np.asarray(of, np.float64)
        return effect, name, float(values.mean()), float(values.std() / np.sqrt(n))

    wrong = (ran.better & (effects <= 0)) | (ran.worse & (effects >= 0))
    yield share(wrong.any(axis=1), "fwer")
    yield share((ran.equivalent & (np.abs(effects) >= margin)).any(axis=1), "false equivalence")
    top = np.flatnonzero(effects == effects.max())
    if top.size == 1:
        yield share(ran.beaten[:, top[0]], "false not best")
    yield share(_saved(design, ran), "saved")
    for effect in dict.fromkeys(design.effects):
        mine = effects == effect
        hit = ran.better if effect > 0 else ran.worse if effect < 0 else ran.better | ran.worse
        yield share(hit[:, mine].mean(axis=1), "found", effect)
        yield share(ran.equivalent[:, mine].mean(axis=1), "equivalent", effect)
        yield share((1 - ran.blocks[:, mine] / design.blocks).mean(axis=1), "saved", effect)
