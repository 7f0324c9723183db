"""What a statistic returns: a small frozen record whose `repr` reads as a sentence.

A class says what its number is (`label`), what was counted (`unit`) and how it is printed
(`scale`); the sentence is made here. A class with more to say overrides one of the four small
methods `_claim`, `_counted`, `_test` and `_remark`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "NO_INTERVAL",
    "RIGHT",
    "SCORED",
    "Difference",
    "Resampled",
    "Result",
    "as_sentences",
    "format_p",
    "number",
    "plural",
    "sided",
    "unnested",
]

NO_INTERVAL = (math.nan, math.nan)
SCORED = ("scored {} higher than", "scored {} lower than", "scored the same as")
RIGHT = ("was right {} more often than", "was right {} less often than", "was right as often as")
"""What a positive, a negative and no difference mean for the variant."""

Scale = Literal["number", "points", "percent", "change"]
"""How a number is printed: as it is, in points with its sign (0.012 is `+1.2`), in per cent, or in
per cent with its sign."""

_OVER = ("task", "estimate", "study", "studies", "model")
"""Units that a mean is taken over; a result rests on the others."""

_NOTES = {
    "degenerate: zero variance": "all values are the same, so there is no error to compute",
    "undefined: zero variance": "the values do not vary",
    "one value: no interval": "with one value there is no interval",
    "one value: no test": "with one value there is no test",
    "one pair: no interval": "with one pair there is no interval",
    "one task: no interval": "with one task there is no interval",
}


def format_p(p: float) -> str:
    """A p value as it is printed: `p = 0.031`, `p < 0.0001`."""
    if math.isnan(p):
        return "no p value"
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def plural(count: int, nouns: str) -> str:
    """A count with its noun, given in the plural: `1 item`, `100 items`."""
    return f"{count} {nouns.removesuffix('s') if count == 1 else nouns}"


def sided(alternative: str) -> str:
    """The alternative of a test in words; `greater` means that the variant is better."""
    words = {"greater": "one-sided: variant better", "less": "one-sided: variant worse"}
    return words.get(alternative, alternative)


def number(value: float, scale: Scale = "number") -> str:
    """A number as it is printed in a sentence; `undefined` for NaN, `infinity` for infinity."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinity" if value > 0 else "minus infinity"
    if scale == "number":
        if abs(value) < 1e-12:
            return "0"
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    sign = "" if scale == "percent" else "+"
    shown = f"{100 * value:{sign}.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown


def unnested(text: str) -> str:
    """Without parentheses after a space, so that it can stand in parentheses itself."""
    return re.sub(r" \(([^()]*)\)", r", \1", text)


def as_sentences(*statements: str) -> str:
    """Statements that are not empty, each with a capital letter and a full stop."""
    said = (text.rstrip(".") for text in statements if text)
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in said)


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """One estimate with what is known about its error.

    Attributes:
        estimate: the number, in the units of the input; NaN when it is undefined.
        interval: lower and upper end; NaN where there is none.
        pvalue: of the test named in `method`; NaN where there is none.
        n: what was counted: items, pairs or tasks.
        method: how interval and p value were computed.
        level: confidence level of the interval.
        note: why something is NaN, or what to be careful about.
    """

    estimate: float
    n: int
    method: str
    interval: tuple[float, float] = NO_INTERVAL
    pvalue: float = math.nan
    level: float = 0.95
    note: str = ""

    label: ClassVar[str] = ""
    """What the number is, such as `mean`; empty if `method` begins with its name."""
    unit: ClassVar[str] = "items"
    """What `n` counts, in the plural."""
    scale: ClassVar[Scale] = "number"
    notes: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """For notes that are short because programs read them: what they mean, in plain words."""

    @property
    def degenerate(self) -> bool:
        """Whether the data had no variation to compute an interval from."""
        return self.note.startswith("degenerate")

    def to_frame(self) -> pd.DataFrame:
        """All fields as a table of one row; the interval as `lower` and `upper`."""
        import pandas as pd

        row: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "interval":
                row["lower"], row["upper"] = value
            else:
                row[field.name] = value
        return pd.DataFrame([row])

    def __repr__(self) -> str:
        name, how = self._named()
        where = self._counted() if self.n else ""
        if where:
            over = where.split()[1].startswith(_OVER)
            where = f" {'over' if over else 'on'} {where}"
        why = self._why()
        if math.isnan(self.estimate):
            reason = "; ".join(why).removeprefix("undefined: ")
            return as_sentences(f"{name} is undefined{where}{': ' if reason else ''}{reason}")
        said = self._claim(name) + self._between() + where
        tested = not math.isnan(self.pvalue)
        if tested:
            said += f", {self._test()}"
        if how and (tested or self._between() or not why):
            said += f" ({how})"
        return as_sentences(said, self._remark(), *why)

    def _named(self) -> tuple[str, str]:
        """What the number is, as the start of a sentence, and how it was found."""
        how = unnested(self.method)
        label, rest = self.label, how
        if not label:
            label, _, rest = how.partition(",")
        elif how.lower().startswith(label.lower()):
            rest = how[len(label) :]
        article = "The " if label[0].islower() and not label.startswith("the ") else ""
        return article + (label if article else label[0].upper() + label[1:]), rest.strip(" ,")

    def _claim(self, name: str) -> str:
        """The statement up to the number."""
        infinite = math.isinf(self.estimate) and self.estimate > 0
        return f"{name} is {'infinite' if infinite else self._shown(self.estimate)}"

    def _shown(self, value: float) -> str:
        """A number in the units of the estimate."""
        suffix = {"points": " points", "percent": " %", "change": " %"}.get(self.scale, "")
        return number(value, self.scale) + (suffix if math.isfinite(value) else "")

    def _between(self) -> str:
        """The interval, or the one bound that there is."""
        low, high = self.interval
        if low == high or (math.isnan(low) and math.isnan(high)):
            return ""
        confidence = f"{100 * self.level:.6g} %"
        if math.isnan(low) or math.isnan(high):
            which, end = ("upper", high) if math.isnan(low) else ("lower", low)
            return f" ({confidence} {which} bound {self._shown(end)})"
        first, second = number(low, self.scale), number(high, self.scale)
        return f" ({confidence} interval {first} to {second})"

    def _counted(self) -> str:
        """What the estimate rests on; the second word is the unit."""
        return plural(self.n, self.unit)

    def _test(self) -> str:
        return format_p(self.pvalue)

    def _remark(self) -> str:
        """What a reader should know besides, as a sentence; nothing by default."""
        return ""

    def _why(self) -> list[str]:
        """What the note says, in plain words, one statement each."""
        known = _NOTES | dict(self.notes)
        parts = [self.note] if self.note in known else self.note.split("; ")
        return [known.get(part, part.removeprefix("degenerate: ")) for part in parts if part]


@dataclass(frozen=True, kw_only=True, repr=False)
class Difference(Result):
    """Variant minus original in score units: printed as a comparison, in points."""

    label: ClassVar[str] = "difference"
    scale: ClassVar[Scale] = "points"
    words: ClassVar[tuple[str, str, str]] = SCORED

    def _claim(self, name: str) -> str:
        size = abs(self.estimate)
        which = 2 if size < 1e-12 else 1 if self.estimate < 0 else 0
        amount = "less than 0.1 points" if size < 5e-4 else f"{100 * size:.1f} points"
        return f"{self._subject()} {self.words[which].format(amount)} the original"

    def _subject(self) -> str:
        return "The variant"


@dataclass(frozen=True, kw_only=True, repr=False)
class Resampled(Result):
    """A result of resampling.

    Attributes:
        n_resamples: 0 when the distribution was computed exactly.
        mc_error: Monte-Carlo standard error of the p value; 0 when exact.
    """

    n_resamples: int = 0
    mc_error: float = 0.0

    def _named(self) -> tuple[str, str]:
        name, how = super()._named()
        if self.n_resamples and str(self.n_resamples) not in how:
            how = f"{how}, {self.n_resamples} resamples"
        elif not self.n_resamples and not math.isnan(self.pvalue) and "exact" not in how:
            how = f"{how}, exact"
        return name, how.strip(" ,")
