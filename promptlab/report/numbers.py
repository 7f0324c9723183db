"""Numbers as a reader wants them: points, intervals, p values, counts, durations."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

__all__ = [
    "count",
    "duration",
    "interval",
    "joined",
    "money",
    "per_cent",
    "plural",
    "pvalue",
    "relative",
    "said_p",
    "signed",
    "typeset",
]

DASH = "–"


def signed(score: float, digits: int = 1) -> str:
    """A difference in score units as points: `+1.2`, `−0.4`, `0.0`; a dash when undefined."""
    if not math.isfinite(score):
        return DASH
    points = 100 * score
    value = round(points + math.copysign(1e-9, points), digits)  # halves do not depend on noise
    return f"{value:+.{digits}f}".replace("-", "−") if value else f"{0:.{digits}f}"


def interval(lower: float, upper: float, digits: int = 1) -> str:
    """`[−0.4, +2.8]` in points, or nothing when there is no interval, or one without a width.

    Where nothing varies, a resampling interval is a point; that is no precision.
    """
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        return ""
    return f"[{signed(lower, digits)}, {signed(upper, digits)}]"


def relative(gain: float, lower: float, upper: float, note: str = "") -> str:
    """Relative gain: `+3.1 % [−1.0, +7.2]`, or the note that says why there is none."""
    if not math.isfinite(gain):
        return note or DASH
    text = f"{signed(gain)} %"
    if note == "unbounded":
        return f"{text} (unbounded)"
    ends = interval(lower, upper)
    text = f"{text} {ends}" if ends else text
    return f"{text} ({note})" if note else text


def pvalue(p: float) -> str:
    """`.012`, `< .001`, `1.00`; a dash when there was no test."""
    if not math.isfinite(p):
        return DASH
    if p < 0.001:
        return "< .001"
    if p > 0.995:
        return "1.00"
    return f"{p:.3f}"[1:] if p < 0.1 else f"{p:.2f}"[1:]


def said_p(p: float) -> str:
    """`p = .012` or `p < .001`, for a sentence."""
    text = pvalue(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def per_cent(share: float) -> str:
    """A share as per cent, with a decimal only when it is small: `0.4 %`, `12 %`."""
    if not math.isfinite(share):
        return DASH
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def count(number: float) -> str:
    """`320`, `12,800`; a dash when unknown."""
    return f"{number:,.0f}" if math.isfinite(number) else DASH


def plural(number: float, noun: str, many: str = "") -> str:
    """`1 task`, `8 tasks`."""
    return f"{count(number)} {noun if number == 1 else many or noun + 's'}"


def joined(words: Sequence[str], last: str = "and", most: int = 0) -> str:
    """`a, b and c`; with `most`, the rest is counted: `a, b and 4 more`."""
    words = list(words)
    if most and len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def duration(seconds: float | None) -> str:
    """`48 s`, `4 min 12 s`, `2 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def money(dollars: float | None) -> str:
    """`$1.24`; an unknown price is unknown, never 0."""
    if dollars is None or not math.isfinite(dollars):
        return "unknown"
    if dollars == 0:
        return "$0"
    return f"${dollars:,.2f}" if dollars >= 0.01 else f"${dollars:.4f}"


def typeset(sentence: str) -> str:
    """A plain sentence in this module's style: true minus signs, p values without the zero."""
    sentence = re.sub(r"(?<![\w.])-(?=\d)", "−", sentence)
    return re.sub(r"\b(p [=<]) 0\.", r"\1 .", sentence)
