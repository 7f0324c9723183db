"""The calibration as a page of Markdown: tables of procedures by designs, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.analysis.calibration.judge import closing, failures
from promptlab.analysis.calibration.parts import PARTS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command_line", "markdown", "number"]

_ABOUT = {
    "single": "A gain turns a share of the wrong answers into right ones. `unpaired z` ignores "
    "that the items are the same: it errs less than it may, and pays with power.",
    "exact": "Every outcome with its probability, no simulation. Bootstrap intervals are on the "
    "exact bootstrap distribution.",
    "best_of": "The mean over tasks of the best stimulus' gain is positive by construction, and a "
    "test of it always rejects. In the last design no stimulus helps on average, but in each task "
    "some do: only tests over tasks ask whether a stimulus helps in general; what permutes labels "
    "or pools items rejects another hypothesis, rightly. The cross-fit gain there is real: it is "
    "that of choosing on these tasks. Where one stimulus is chosen for all tasks, the "
    "folds share the choice: the error of `cross_fit` is a bootstrap that makes every choice anew; "
    "without that (`error without the choice`) its t test rejects too often. What resamples items "
    "is tried on four tasks, from hard to easy. The task accuracies are those of "
    "`promptlab.analysis.calibration.designs`.",
    "one_task": "At the ceiling all answers are right with probability .93. The differences of an "
    "item share the original's one draw, so tests of the average stimulus over items err there. "
    "With 20 items the sign patterns are drawn, as with more.",
    "over_tasks": "`fixed tasks` answers another question (these tasks, new items) and is not "
    "expected to cover the mean over all tasks.",
    "relative": "Experiments whose original is 0 everywhere do not count; Fieller's confidence set "
    "counts also where it is not an interval.",
    "replicates": "What a prompt does to a single item differs from item to item and is 0 on "
    "average. The error of replicates counted as items grows with their number.",
    "equivalent": "15 % of the items differ. With 100 items of one task equivalence cannot be "
    "shown.",
    "race": "After every block of items a stimulus leaves that is decided, that can no longer be "
    "the best or that has no chance of being decided; see [races](methods/race.md). Errors of the "
    "race: any stimulus called better or worse wrongly (`better or worse`), any called equivalent "
    "that is not (`equivalence`), the best one called not the best (`not best`). Beside it are z "
    "tests with Bonferroni: after every block with alpha spending, each stimulus until it is "
    "decided, and once, on the full design. Both are asymptotic. `saved share`: of the full "
    "design's requests.",
    "many": "24 tasks x 11 stimuli x 100 items; with effects a tenth of the cells gains 10 points.",
}


_REHEARSAL = """## Before an experiment

The same is asked of one experiment, before anything is sent or spent:

<!-- not run: takes minutes -->
```sh
promptlab calibrate experiment.yaml --effect EP02=+5
```

takes its models, tasks, items, conditions and plan of analysis from the spec, gives every item
simulated answers, and runs the analysis that the experiment will run, 200 times without any effect
and 200 times with the effects stated. It prints how often this analysis would claim something
false, how many of its intervals would hold the truth, with what probability it would find each
effect and by how much it would then exaggerate it, and what the best stimulus of each task would
gain although nothing works. `--baseline-accuracy`, `--answers noisy|stable` or `--discordance`, and
`--sd-task` say what the simulated world is like; without `--effect` the first confirmatory
condition gets the smallest difference that `promptlab plan` says the design finds, and the
rehearsal shows whether it does.

With `design: race` it races 1000 times each way, beside the full design, and prints the family-wise
error, the power and the share of requests that is saved."""


def command_line(experiments: int, seed: int, only: Sequence[str], out: Path) -> str:
    """What to type to get the same table."""
    parts = "".join(f" --only {name}" for name in only)
    numbers = f"--simulations {experiments} --seed {seed}"
    return f"promptlab calibrate {numbers}{parts} --out {out.as_posix()}"


def number(value: float, quantity: str) -> str:
    """Two decimals for points, per cent and counts, three for shares."""
    if not math.isfinite(value):
        return ""
    return f"{value:.2f}" if quantity in ("points", "relative gain (%)", "wins") else f"{value:.3f}"


def markdown(
    table: pd.DataFrame,
    *,
    command: str,
    machine: str,
    date: str,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page.

    Args:
        table: as `calibrate` returns it.
        command: what was typed.
        machine: the class of machine.
        date: of the run.
        figures: lines that show figures, by part (`""` for the top).
    """
    shown = figures or {}
    lines = [
        "# Calibration",
        "",
        "Does the analysis keep its promises? Experiments are simulated whose truth is known, and "
        "every procedure is asked what it says of them. This page is written by the program:",
        "",
        "<!-- not run: takes minutes -->",
        f"```sh\n{command}\n```",
        "",
        f"{machine}, {date}. The numbers do not depend on the number of processes.",
        "",
        f"**{closing(table)}**",
        "",
        "The rule: what is claimed to be valid rejects in at most 5 % + 3 Monte-Carlo errors of "
        "experiments without an effect, and its intervals cover in at least 93 %. A naive control "
        "must be seen to fail. A figure of the reference simulation agrees within 3 standard "
        "errors of the difference of both simulations.",
        "",
        "In the tables a number is followed by the reference in brackets. **Bold**: a false claim "
        "in more than 5 % of experiments (beyond Monte-Carlo error), or too little coverage, by a "
        "procedure of which nothing else is claimed. `≠`: differs from the reference. `FAILS`: "
        "breaks the rule.",
        "",
        *_lines(shown.get("", "")),
    ]
    for part, rows in table.groupby("part", sort=False):
        lines += _part(str(part), rows, shown.get(str(part), ""))
    lines += [*_ending(table), "", *_REHEARSAL.splitlines()]
    return "\n".join(lines).rstrip() + "\n"


def _lines(text: str) -> list[str]:
    return [text, ""] if text else []


def _part(name: str, rows: pd.DataFrame, figure: str) -> list[str]:
    out = [f"## {PARTS[name].title}", ""]
    counts = sorted({int(n) for n in rows["simulations"] if n})
    if counts:
        # The costly procedures of a part see fewer experiments, and some have no result in some.
        out += [
            f"{counts[-1]:,} simulated experiments a design. {_ABOUT.get(name, '')}".strip(),
            "",
        ]
    elif name in _ABOUT:
        out += [_ABOUT[name], ""]
    out += _lines(figure)
    for quantity, some in rows.groupby("quantity", sort=False):
        out += _grid(str(quantity), some)
    return out


def _grid(quantity: str, rows: pd.DataFrame) -> list[str]:
    """Procedures x designs; turned if there are more than seven designs."""
    designs = list(dict.fromkeys(rows["design"]))
    procedures = list(dict.fromkeys(rows["procedure"]))
    cells = {(r.design, r.procedure): _cell(r) for r in rows.itertuples()}
    across, down, turned = designs, procedures, False
    if len(designs) > 7:
        across, down, turned = procedures, designs, True
    head = [quantity, *across]
    out = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in down:
        keys = [(name, a) if turned else (a, name) for a in across]
        out.append("| " + " | ".join([name, *(cells.get(k, "") for k in keys)]) + " |")
    return [*out, ""]


def _cell(row: Any) -> str:
    text = number(row.value, row.quantity)
    verdict = str(row.verdict)
    if verdict.startswith("FAILS"):
        text = f"{text} FAILS"
    elif verdict.startswith(("false claims", "above", "covers too little")):
        text = f"**{text}**"
    if row.reference:
        text += f" ({row.reference})"
    return f"{text} ≠" if row.agrees in (False,) else text


def _ending(table: pd.DataFrame) -> list[str]:
    out = ["## What does not fit", ""]
    broken = failures(table)
    if len(broken):
        out += [
            f"- {r.design}, {r.procedure}: {r.verdict} ({r.value:.3f})" for r in broken.itertuples()
        ]
    differs = table[table["agrees"].eq(False)]
    out += [
        f"- {r['design']}, {r['procedure']}, {r['quantity']}: "
        f"{number(r['value'], r['quantity'])} here, {r['reference']} in the reference"
        for r in differs.to_dict("records")
    ]
    if len(out) == 2:
        out.append("Nothing.")
    elif len(differs):
        compared = int(table["agrees"].notna().sum())
        out += [
            "",
            f"Of {compared} comparisons at 3 standard errors about {0.0027 * compared:.1f} would "
            "differ by chance. A computed coverage has no error of its own: there one outcome on "
            "the edge of an interval makes the difference.",
        ]
    sources = [s for s in dict.fromkeys(table["reference_source"]) if s]
    if sources:
        out += ["", "Sources of the reference figures: " + "; ".join(sources) + "."]
    return out
