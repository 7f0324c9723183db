"""A verdict on every row: does it hold, does the naive claim fail, does the reference agree?

The rule. A procedure that is claimed to be valid rejects in at most .05 + 3 Monte-Carlo errors, and
covers in at least .93 (with few simulations in at least .95 - 3 Monte-Carlo errors). A naive one
that serves as a control must reject in more than half of the experiments. A number agrees with the
reference within 3 errors of the difference, the error of the reference being that of its own number
of experiments, and half a unit of the last digit it was printed with.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from promptlab.analysis.calibration.race import race_sentence
from promptlab.analysis.calibration.tally import Claim, Sum, Tally
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "ERROR_RATES",
    "Reference",
    "closing",
    "failures",
    "judged",
    "references",
    "verdict",
]

COLUMNS = (
    "part",
    "design",
    "procedure",
    "claim",
    "valid",
    "quantity",
    "value",
    "mc_error",
    "simulations",
    "reference",
    "reference_source",
    "agrees",
    "verdict",
)
ERROR_RATES = ("type I", "false discovery rate")
_LEVEL = 0.05
_COVERS = 0.93


@dataclass(frozen=True, slots=True)
class Reference:
    """A figure of the reference: one number or a range, as it was printed."""

    text: str
    upto: str
    simulations: int | None
    source: str

    @property
    def ends(self) -> tuple[float, float]:
        """Smallest and largest value it allows, before any error; half a last digit is added."""
        half = 0.5 * 10.0 ** -len(self.text.partition(".")[2])
        return float(self.text) - half, float(self.upto or self.text) + half

    def __str__(self) -> str:
        return f"{self.text} to {self.upto}" if self.upto else self.text


@lru_cache(maxsize=1)
def references() -> Mapping[tuple[str, str, str, str], Reference]:
    """Figures by (part, design, procedure, quantity), from `reference.csv`."""
    file = resources.files("promptlab.analysis.calibration") / "reference.csv"
    out: dict[tuple[str, str, str, str], Reference] = {}
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            key = (row["part"], row["design"], row["procedure"], row["quantity"])
            count = int(row["simulations"]) if row["simulations"] else None
            out[key] = Reference(row["value"], row["upto"], count, row["source"])
    return out


def judged(tallies: Mapping[tuple[str, str], Tally]) -> pd.DataFrame:
    """The table of what was found, with the reference and a verdict on every row.

    Raises:
        UserError: nothing was simulated.
    """
    import pandas as pd

    rows = [
        _row(part, design, procedure, quantity, found)
        for (part, design), tally in tallies.items()
        for procedure, quantity, found in tally
    ]
    if not rows:
        raise UserError("no part has such a design")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(part: str, design: str, procedure: str, quantity: str, found: Sum) -> dict[str, Any]:
    reference = references().get((part, design, procedure, quantity))
    agrees = None if reference is None else _agrees(found, reference)
    return {
        "part": part,
        "design": design,
        "procedure": procedure,
        "claim": found.claim,
        "valid": found.claim == "valid",
        "quantity": quantity,
        "value": found.mean,
        "mc_error": found.error,
        "simulations": found.n,
        "reference": "" if reference is None else str(reference),
        "reference_source": "" if reference is None else reference.source,
        "agrees": agrees,
        "verdict": verdict(found, quantity, agrees),
    }


def _agrees(found: Sum, reference: Reference) -> bool:
    theirs = found.sd / math.sqrt(reference.simulations) if reference.simulations else 0.0
    slack = 3 * math.hypot(found.error, theirs) + 1e-9
    low, high = reference.ends
    return low - slack <= found.mean <= high + slack


def verdict(found: Sum, quantity: str, agrees: bool | None = None) -> str:
    """In words: `holds`, `FAILS`, `covers`, `false claims`, ...; and whether the reference differs.

    Args:
        found: what was simulated.
        quantity: `type I` and `false discovery rate` are judged against .05, `coverage` against
            .93; other quantities have no rule.
        agrees: with the reference; None = there is none.
    """
    words = _rule(found.claim, quantity, found.mean, found.n)
    if agrees is False:
        return f"{words}; differs from the reference" if words else "differs from the reference"
    if agrees and not words:
        return "agrees with the reference"
    return words


def _rule(claim: Claim, quantity: str, value: float, n: int) -> str:
    if quantity == "coverage":
        least = min(_COVERS, 0.95 - 3 * _error(0.95, n)) if n else _COVERS
        if claim == "valid":
            return "covers" if value >= least else "FAILS: covers too little"
        return "" if value >= least else "covers too little"
    if quantity not in ERROR_RATES:
        return ""
    most = _LEVEL + 3 * _error(_LEVEL, n)
    if claim == "other":
        return "its own hypothesis is false here"
    if claim == "valid":
        return "holds" if value <= most else "FAILS: rejects too often"
    if claim == "control":
        return "false claims, as it must" if value > 0.5 else "FAILS: the control did not fail"
    if value <= most:
        return "not above 5 %"
    return "false claims" if claim == "naive" else "above 5 %"


def _error(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / n) if n else 0.0


def failures(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that break their rule: a valid procedure, or a control that did not fail."""
    return table[table["verdict"].str.startswith("FAILS")]


def closing(table: pd.DataFrame) -> str:
    """A sentence for the whole table, and one for races."""
    judged_rows = table["valid"] & table["quantity"].isin([*ERROR_RATES, "coverage"])
    broken, valid = failures(table), int(judged_rows.sum())
    held = valid - int((broken["valid"]).sum())
    compared = table["agrees"].notna()
    agree = int(table.loc[compared, "agrees"].astype(bool).sum())
    controls = table[(table["claim"] == "control") & (table["quantity"] == "type I")]
    parts = [f"{_of(held, valid)} claims to hold a level or to cover are kept"]
    if len(controls):
        low = 100 * float(controls["value"].min())
        parts.append(f"the naive controls find an effect that is not there in {low:.0f} % or more")
    if compared.any():
        parts.append(
            f"{_of(agree, int(compared.sum()))} reference figures agree within Monte-Carlo error"
        )
    text = "; ".join(parts) + "."
    return f"{text[0].upper()}{text[1:]} {race_sentence(table)}".rstrip()


def _of(some: int, every: int) -> str:
    return f"all {every}" if some == every else f"{some} of {every}"
