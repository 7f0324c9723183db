"""The tables of docs/methods/race.md: error rates, power and savings of races.

    python -m promptlab.analysis.race_tables --simulations 1000

prints them as Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from promptlab.analysis.race_rules import GOALS, Goal
from promptlab.analysis.race_simulation import Design, simulate_race

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DESIGNS", "effects_table", "errors_table", "goals_table", "main"]

_ANSWERS = {"noisy": 3.0, "stable": 0.5}
_EFFECTS = (0.02, 0.05, 0.10, -0.05, -0.10)


def _with_effects(stimuli: int) -> tuple[float, ...]:
    return (*_EFFECTS, *(0.0,) * (stimuli - len(_EFFECTS)))


DESIGNS: tuple[Design, ...] = (
    *(
        Design(f"no effect, {k} stimuli, {name}", (0.0,) * k, concentration=c)
        for k in (10, 21)
        for name, c in _ANSWERS.items()
    ),
    Design("no effect, 10, next to the ceiling (95 %)", (0.0,) * 10, mean=0.95),
    Design("no effect on average, ±10 points by task, 10", (0.0,) * 10, spread=0.10),
    Design("no effect, 10, 4 tasks x 20, a look an item", (0.0,) * 10, tasks=4, items=20, block=1),
    Design("no effect, 1 stimulus, noisy", (0.0,)),
    *(
        Design(f"effects, {k} stimuli, {name}", _with_effects(k), concentration=c)
        for k in (10, 21)
        for name, c in _ANSWERS.items()
    ),
)
"""24 tasks x 100 items in 20 blocks unless the name says otherwise."""


def errors_table(frame: pd.DataFrame) -> str:
    """Error rates and savings of each design, from rows of `simulate_race`."""
    rows = []
    for design, part in frame.groupby("design", sort=False):
        row = [str(design)]
        for procedure, quantity in (
            ("race", "fwer"),
            ("spending", "fwer"),
            ("full", "fwer"),
            ("race", "false not best"),
            ("race", "saved"),
        ):
            row.append(_share(part, procedure, quantity))
        rows.append(row)
    heads = ("design", "race", "alpha spending", "full design", "best called not best", "saved")
    return _markdown(heads, rows)


def effects_table(frame: pd.DataFrame) -> str:
    """Power and savings by effect, from rows of `simulate_race`."""
    rows = []
    wanted = frame[frame["design"].str.startswith("effects")]
    for key, part in wanted[wanted["effect"].notna()].groupby(["design", "effect"], sort=False):
        design, effect = str(key[0]), float(str(key[1]))
        found = [_share(part, p, "found", se=False) for p in ("race", "spending", "full")]
        saved = [_share(part, p, "saved", se=False) for p in ("race", "spending")]
        rows.append([design, f"{100 * effect:+g}" if effect else "0", *found, *saved])
    heads = (
        *("design", "points", "race", "alpha spending", "full design"),
        *("saved by the race", "saved by spending"),
    )
    return _markdown(heads, rows)


def goals_table(frames: Sequence[tuple[Goal, pd.DataFrame]]) -> str:
    """Savings of each goal, over all requests."""
    rows = []
    for goal, frame in frames:
        for design, part in frame.groupby("design", sort=False):
            whole = [_share(part, "race", q, se=False) for q in ("saved", "fwer", "false not best")]
            ten = part[part["effect"] == 0.10]
            rows.append([goal, str(design), *whole, _share(ten, "race", "found", se=False)])
    heads = ("goal", "design", "saved", "wrongly called", "best called not best", "+10 found")
    return _markdown(heads, rows)


def _share(part: pd.DataFrame, procedure: str, quantity: str, *, se: bool = True) -> str:
    row = part[(part["procedure"] == procedure) & (part["quantity"] == quantity)]
    if quantity in ("fwer", "false not best") or se:
        row = row[row["effect"].isna()]
    if row.empty:
        return "–"
    value, error = float(row["value"].iloc[0]), float(row["se"].iloc[0])
    return f"{value:.3f} ({error:.3f})" if se else f"{value:.2f}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate and print."""
    import pandas as pd

    parser = argparse.ArgumentParser(prog="python -m promptlab.analysis.race_tables")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20260101)
    given = parser.parse_args(arguments)
    how = {"simulations": given.simulations, "seed": given.seed}
    frame = pd.concat([simulate_race(d, **how) for d in DESIGNS], ignore_index=True)
    print(f"{given.simulations} simulations a design, seed {given.seed}\n")
    print(errors_table(frame), end="\n\n")
    print(effects_table(frame), end="\n\n")
    some = [d for d in DESIGNS if "10 stimuli, noisy" in d.name]
    both = frame[frame["design"].isin([d.name for d in some])]
    goals = [
        (goal, both if goal == "both" else
         pd.concat([simulate_race(d, goal=goal, **how) for d in some]))
        for goal in GOALS
    ]  # fmt: skip
    print(goals_table(goals))


if __name__ == "__main__":
    main()
