"""A race: stimuli are compared block by block, and leave when more items cannot matter.

Each stimulus has a confidence sequence of its difference from the original, and one against every
other stimulus. They hold at every look (`promptlab.analysis.confidence_sequences`), so one may
look after each block and stop whenever one likes. The stimuli share alpha equally (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arguments import as_numbers
from promptlab.analysis.arrays import Array
from promptlab.analysis.confidence_sequences import Wealth, blocks_of
from promptlab.analysis.race_rules import LEFT, Evidence, Goal, RaceRules, judge
from promptlab.analysis.raced import Raced
from promptlab.analysis.results import NO_INTERVAL, plural
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PATH_COLUMNS", "Race", "race"]

PATH_COLUMNS = (
    *("block", "condition", "n_items", "difference", "lower", "upper", "pvalue"),
    *("left", "leader"),
)


class Race:
    """The state of a race. Feed it blocks of scores with `add` until nothing is `running`.

    Args:
        stimuli: names, in the order of the columns of scores.
        planned: items of the full design, by task.
        controls: name of the stimulus that each control belongs to, by the control's name. A
            control is asked as long as its stimulus, has no part in the contest and alpha for
            itself: its error is not counted in that of the stimuli.
        without: tasks that a stimulus does not have.
        goal: see `RaceRules`.
        alpha: see `RaceRules`.
        margin: see `RaceRules`.
        futility: see `RaceRules`.

    Attributes:
        rules: of the race.
        running: names of those that are still asked, controls included, in their order.
        block: blocks so far.

    Raises:
        UserError: a name that is there twice, no stimulus, a control of nobody.
    """

    def __init__(
        self,
        stimuli: Sequence[str],
        *,
        planned: Mapping[str, int],
        controls: Mapping[str, str] | None = None,
        without: Mapping[str, Collection[str]] | None = None,
        goal: Goal = "both",
        alpha: float = 0.05,
        margin: float = 0.02,
        futility: float = 0.05,
    ) -> None:
        self.stimuli, self.controls = tuple(stimuli), dict(controls or {})
        self.contestants = tuple(s for s in self.stimuli if s not in self.controls)
        if len(set(self.stimuli)) < len(self.stimuli):
            raise UserError("a race needs every stimulus once")
        for control, stimulus in self.controls.items():
            if control not in self.stimuli or stimulus not in self.contestants:
                raise UnknownName(f"stimulus of the control '{control}':", stimulus,
                                  self.contestants)  # fmt: skip
        total = sum(planned.values())
        self.rules = RaceRules(len(self.contestants), total, goal, alpha, margin, futility)
        self.block = 0
        self._planned = dict(planned)
        self._tasks = {
            name: sorted(set(planned) - set((without or {}).get(name, ()))) for name in self.stimuli
        }
        bets = self._bets = self.rules.bets()
        self._wealth = {name: Wealth(bets, tasks) for name, tasks in self._tasks.items()}
        self._pairs = {
            (a, b): Wealth(bets, shared)
            for a, b in combinations(self.contestants, 2)
            if self.rules.goal != "differ"
            and (shared := sorted(set(self._tasks[a]) & set(self._tasks[b])))
        }
        k = len(self.contestants)
        self._best = np.full((4, len(self.stimuli)), -math.inf)
        self._beats = np.full((k, k), -math.inf)
        self._left = dict.fromkeys(self.stimuli, "")
        self._last = dict.fromkeys(self.stimuli, 0)
        self._bounds = dict.fromkeys(self.stimuli, (-1.0, 1.0))
        self._p = dict.fromkeys(self.stimuli, 1.0)
        self._path: list[dict[str, Any]] = []
        self._asked = 0

    @property
    def running(self) -> tuple[str, ...]:
        """Those that are still asked."""
        return tuple(s for s in self.stimuli if not self._left[s])

    @property
    def asked_share(self) -> float:
        """Items asked so far over items of the full design, original and controls included."""
        full = sum(self._planned[t] for s in self.stimuli for t in self._tasks[s])
        return self._asked / (full + sum(self._planned.values()))

    def last_block(self, name: str) -> int:
        """The last block in which a stimulus was asked, from 1; 0 before the first."""
        return self._last[name]

    def add(self, scores: Any, tasks: Any) -> dict[str, str]:
        """A block of scores; returns who leaves now, and why.

        Args:
            scores: items x (1 + stimuli), the first column the original, NaN where there is none.
                Columns of stimuli that have left are not looked at.
            tasks: the task of each item.

        Raises:
            UserError: another shape, scores outside [0, 1], or the race is over.
        """
        y = as_numbers(scores, "scores")
        of = np.asarray(tasks, object).astype(str)
        self._check(y, of)
        running = self.running
        self.block += 1
        self._asked += of.size
        column = {name: y[:, k + 1] for k, name in enumerate(self.stimuli)}
        for name in running:
            mine = np.isin(of, self._tasks[name])
            self._wealth[name].add((column[name] - y[:, 0])[mine], of[mine])
            self._last[name] = self.block
            self._asked += int(mine.sum())
        for (a, b), wealth in self._pairs.items():
            if a in running and b in running:
                mine = np.isin(of, self._tasks[a]) & np.isin(of, self._tasks[b])
                wealth.add((column[a] - column[b])[mine], of[mine])
        leaving = self._judge(running)
        leader = self._leader()
        for name in running:
            self._note(name, leaving.get(name, ""), leader)
        self._left |= leaving
        return leaving

    def _check(self, y: Array, of: Any) -> None:
        if not self.running:
            raise UserError("the race is over: nothing is running")
        if y.ndim != 2 or y.shape[1] != len(self.stimuli) + 1 or of.shape != (y.shape[0],):
            raise UserError(
                f"a block is items x {len(self.stimuli) + 1} scores (the original first) and one "
                f"task an item, not {y.shape} and {of.shape}"
            )
        if (y < 0).any() or (y > 1).any():
            raise UserError("a race needs scores in [0, 1]")
        if unknown := sorted(set(of) - set(self._planned)):
            raise UnknownName("task", unknown[0], list(self._planned))

    def _judge(self, running: Sequence[str]) -> dict[str, str]:
        names = self.stimuli
        each = [
            np.array([self._wealth[s].each(null, side) for s in names])
            for null, side in self.rules.nulls
        ]
        now = np.array([self._bets.log_wealth(e) for e in each])
        self._best = np.maximum(self._best, now)
        for k, name in enumerate(names):
            best = max(self._best[0, k], self._best[1, k], math.log(2))
            self._p[name] = 2 * math.exp(-best)
        contest = self.contestants
        for (a, b), wealth in self._pairs.items():
            i, j = contest.index(a), contest.index(b)
            if wealth.n:
                self._beats[i, j] = max(self._beats[i, j], wealth.log_wealth(0.0, "above"))
                self._beats[j, i] = max(self._beats[j, i], wealth.log_wealth(0.0, "below"))
        mine = [names.index(s) for s in contest]
        wealths = [self._wealth[s] for s in contest]
        evidence = Evidence(
            largest=self._best[:, mine],
            beaten=self._beats.max(axis=0),
            each=[e[mine] for e in each],
            n=np.array([float(w.n) for w in wealths]),
            estimate=np.array([w.estimate for w in wealths]),
            second_moment=np.array([w.second_moment for w in wealths]),
        )
        codes = judge(
            self.rules,
            self._bets,
            evidence,
            np.array([s in running for s in contest]),
            np.array([float(self._size(s)) for s in contest]),
        )
        leaving = {s: LEFT[code] for s, code in zip(contest, codes, strict=True) if code}
        gone = {s for s in contest if self._left[s]} | set(leaving)
        return leaving | {c: "control" for c in running if self.controls.get(c) in gone}

    def _size(self, name: str) -> int:
        """Items of a stimulus in the full design."""
        return sum(self._planned[t] for t in self._tasks[name])

    def _leader(self) -> str:
        """The contestant with the largest difference among those that have not left."""
        known = [s for s in self.contestants if not self._left[s] and self._wealth[s].n]
        return max(known, key=lambda s: self._wealth[s].estimate, default="")

    def _note(self, name: str, left: str, leader: str) -> None:
        """Shrink the interval and write down a line of the path."""
        wealth, (lower, upper) = self._wealth[name], self._bounds[name]
        error = self._rules_of(name).error
        lower = wealth.bound("above", error, lower)
        upper = wealth.bound("below", error, upper)
        self._bounds[name] = (lower, upper)
        row = (self.block, name, wealth.n, wealth.estimate, lower, upper, self._p[name])
        self._path.append(dict(zip(PATH_COLUMNS, (*row, left, leader), strict=True)))

    def path(self) -> pd.DataFrame:
        """One row for each block and stimulus asked in it, columns `PATH_COLUMNS`."""
        import pandas as pd

        return pd.DataFrame(self._path, columns=list(PATH_COLUMNS))

    def results(self) -> list[Raced]:
        """One result for each stimulus and control, as things stand."""
        return [self._result(name) for name in self.stimuli]

    def to_frame(self) -> pd.DataFrame:
        """`results` as a table, one row a stimulus."""
        import pandas as pd

        return pd.concat([r.to_frame() for r in self.results()], ignore_index=True)

    def _result(self, name: str) -> Raced:
        wealth, bounds = self._wealth[name], self._bounds[name]
        control, planned = name in self.controls, self._size(name)
        estimate, p = wealth.estimate, self._p[name]
        early = bool(wealth.n) and wealth.n + wealth.waiting < planned
        notes = [] if wealth.n else ["undefined: a task has no scored pair"]
        if early:
            notes.append("left early: the estimate is biased, the interval is valid")
        if wealth.waiting:
            notes.append(f"{wealth.waiting} item(s) not used: a task had no pair beside them")
        beaten = ""
        if not control and self._beats.size:
            k = self.contestants.index(name)
            if self._beats[:, k].max() >= self.rules.need_beaten:
                beaten = self.contestants[int(self._beats[:, k].argmax())]
        tests = 1 if control else self.rules.stimuli
        return Raced(
            estimate=estimate,
            interval=bounds if wealth.n else NO_INTERVAL,
            pvalue=p if wealth.n else math.nan,
            n=wealth.n,
            method="confidence sequence by betting, "
            + ("alone" if control else f"Bonferroni over {tests}"),
            level=1 - self.rules.alpha,
            note="; ".join(notes),
            condition=name,
            p_adjusted=min(1.0, tests * p) if wealth.n else math.nan,
            verdict=self._verdict(name),
            left=self._left[name],
            block=self._last[name],
            beaten_by=beaten,
            shrunken=self._shrunken(name),
            planned=planned,
            control_of=self.controls.get(name, ""),
        )

    def _shrunken(self, name: str) -> float:
        wealths = [w for s in self.contestants if (w := self._wealth[s]).n]
        spread = max(float(np.mean([w.estimate**2 - w.variance for w in wealths] or [0.0])), 0.0)
        wealth = self._wealth[name]
        return wealth.estimate * spread / (spread + wealth.variance) if wealth.n else math.nan

    def _verdict(self, name: str) -> str:
        above, below, low, high = self._best[:, self.stimuli.index(name)]
        rules = self._rules_of(name)
        if max(above, below) >= rules.need:
            return "better" if above > below else "worse"
        return "equivalent" if min(low, high) >= rules.need_equivalent else "inconclusive"

    def _rules_of(self, name: str) -> RaceRules:
        """The race's rules; of a control, those of one stimulus alone."""
        return (
            replace(self.rules, stimuli=1, goal="differ") if name in self.controls else self.rules
        )

    def __repr__(self) -> str:
        found = [f"{r.condition} {r.verdict}" for r in self.results()]
        state = f"{len(self.running)} still run" if self.running else "it is over"
        return f"Race after {plural(self.block, 'blocks')}, {state}: {', '.join(found)}."


def race(
    original: Any,
    variants: Any,
    *,
    tasks: Any = None,
    names: Sequence[str] = (),
    block: int = 5,
    controls: Mapping[str, str] | None = None,
    goal: Goal = "both",
    alpha: float = 0.05,
    margin: float = 0.02,
    futility: float = 0.05,
) -> Race:
    """Run a race over scores that are there already: what it would have asked, and concluded.

    Args:
        original: item scores in [0, 1].
        variants: items x stimuli; NaN = not scored.
        tasks: the task of each item; each counts the same. One task unless given. Items are used
            in their order within the task, which should be random.
        names: of the stimuli; `1`, `2`, ... unless given.
        block: items a block of the largest task; smaller tasks are spread over as many blocks.
        controls: see `Race`.
        goal: see `promptlab.analysis.RaceRules`.
        alpha: see `RaceRules`.
        margin: see `RaceRules`.
        futility: see `RaceRules`.

    Raises:
        UserError: shapes that do not fit, or scores outside [0, 1].
    """
    x, y = as_numbers(original, "original"), as_numbers(variants, "variants")
    if x.ndim != 1 or not x.size or y.ndim != 2 or y.shape[0] != x.size:
        raise UserError(f"variants must be {x.size} items x stimuli, not shape {y.shape}")
    of = np.full(x.size, "all") if tasks is None else np.asarray(tasks, object).astype(str)
    if of.shape != x.shape:
        raise UserError(f"tasks must name one task for each of {x.size} items")
    known, codes, sizes = np.unique(of, return_inverse=True, return_counts=True)
    when = blocks_of(sizes.tolist(), block)
    at = np.empty(x.size, np.int64)
    for task, blocks in enumerate(when):
        at[codes == task] = blocks
    state = Race(
        list(names) or [str(k + 1) for k in range(y.shape[1])],
        planned=dict(zip(known.tolist(), sizes.tolist(), strict=True)),
        controls=controls,
        goal=goal,
        alpha=alpha,
        margin=margin,
        futility=futility,
    )
    scores = np.column_stack([x, y])
    for now in range(int(at.max()) + 1):
        if not state.running:
            break
        state.add(scores[at == now], of[at == now])
    return state
