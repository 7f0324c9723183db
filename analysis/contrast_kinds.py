"""What is compared with what: a contrast is a weighting over conditions, and some have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.errors import UnknownName, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CONTRAST_KINDS",
    "Contrast",
    "against_original",
    "confirmatory_family",
    "contrast_of",
    "matched_pairs",
    "named_contrasts",
    "valences",
]

CONTRAST_KINDS = ("vs_original", "vs_control", "valence", "theory")
"""Names of contrasts that need no weights of one's own."""

_GROUPS = {
    "positive": "positive stimuli",
    "negative": "negative stimuli",
    "neutral": "neutral sentences",
}
_ALL, _CONTROLS = "all emotional stimuli", "matched controls"


@dataclass(frozen=True)
class Contrast:
    """The mean score under some conditions minus the mean under others, on the same items.

    Attributes:
        kind: `vs_original`, `vs_control`, `valence`, `theory`, or the name a user gave it.
        condition: label of the side that is added.
        baseline: label of the side that is subtracted.
        weights: by condition; positive ones sum to 1, negative ones to -1.
        valence: of the side that is added; `mixed` or `none` otherwise.
    """

    kind: str
    condition: str
    baseline: str
    weights: Mapping[str, float]
    valence: str = "none"

    @property
    def averaged(self) -> bool:
        """Whether a side has several conditions."""
        return len(self.weights) > 2

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the others of a table."""
        return self.kind, self.condition, self.baseline

    def vector(self, conditions: Sequence[str]) -> Array:
        """The weights in the order of these conditions."""
        return np.array([self.weights.get(c, 0.0) for c in conditions])


def contrast_of(
    name: str, weights: Mapping[str, float], valence: Mapping[str, str] | None = None
) -> Contrast:
    """A contrast of one's own; each side's weights are scaled to sum to 1.

    Args:
        name: what it is called.
        weights: by condition: positive is added, negative subtracted, 0 left out.
        valence: of the conditions, for the table's column.

    Raises:
        UserError: a side without a condition, or a weight that is no finite number.
    """
    for condition, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
            raise UserError(f"contrast '{name}': the weight of '{condition}' is not a number")
        if not np.isfinite(weight):
            raise UserError(f"contrast '{name}': the weight of '{condition}' is not finite")
    sides = [{c: sign * w for c, w in weights.items() if sign * w > 0} for sign in (1, -1)]
    if not all(sides):
        which = "positive" if not sides[0] else "negative"
        raise UserError(
            f"contrast '{name}' has no {which} weight; write both sides, such as "
            "{EP02: 1, EP02-neutral: -1}"
        )
    scaled = [{c: w / sum(side.values()) for c, w in side.items()} for side in sides]
    found = {(valence or {}).get(c, "none") for c in scaled[0]}
    return Contrast(
        kind=name,
        condition=_label(scaled[0]),
        baseline=_label(scaled[1]),
        weights=scaled[0] | {c: -w for c, w in scaled[1].items()},
        valence=found.pop() if len(found) == 1 else "mixed",
    )


def _label(side: Mapping[str, float]) -> str:
    """`EP02`, `EP02, EP03` when all weigh the same, else with their shares."""
    if len({round(w, 9) for w in side.values()}) == 1:
        names = list(side)
        more = f", {len(names) - 4} more" if len(names) > 5 else ""
        return ", ".join(names[:4] if more else names) + more
    return ", ".join(f"{100 * w:.3g} % {c}" for c, w in side.items())


def matched_pairs(conditions: pd.DataFrame) -> dict[str, str]:
    """Stimulus condition -> its matched neutral control, at the same place in the prompt."""
    if "matched_to" not in conditions:
        return {}
    known = set(conditions["condition"])
    pairs: dict[str, str] = {}
    for control, target in zip(conditions["condition"], conditions["matched_to"], strict=True):
        if not isinstance(target, str) or not target:
            continue
        stimulus = target + _place(str(control))
        if stimulus in known:
            pairs[stimulus] = str(control)
    return pairs


def _place(condition: str) -> str:
    """`@system` of `EP02@system`; nothing at the usual place."""
    _, at, place = condition.partition("@")
    return at + place


def named_contrasts(
    kinds: Sequence[str | Mapping[str, Any]] | None,
    conditions: pd.DataFrame | None,
    present: Sequence[str],
    baseline: str = "original",
) -> list[Contrast]:
    """The contrasts that a plan asks for besides every condition against the baseline.

    Args:
        kinds: names of `CONTRAST_KINDS`, and mappings with `name` and `weights`. None: vs_control
            where a matched control is there.
        conditions: the conditions table; columns condition, method, valence, matched_to, theory.
        present: conditions that have scores; others are left out of every mean.
        baseline: what means over groups are compared with.

    Raises:
        UnknownName: an unknown kind, or a condition without scores in one's own weights.
        UserError: a kind for which the conditions have nothing to compare; a name that is taken.
    """
    table = _about(conditions, present, baseline)
    pairs = {} if conditions is None else matched_pairs(conditions)
    pairs = {s: c for s, c in pairs.items() if s in table and c in table}
    if kinds is None:
        return _vs_control(table, pairs) if pairs else []
    out: list[Contrast] = []
    for kind in kinds:
        if isinstance(kind, Mapping):
            found = [_own(kind, present, valences(conditions))]
        elif kind not in CONTRAST_KINDS:
            hint = f"known: {', '.join(CONTRAST_KINDS)}; or write {{name: ..., weights: ...}}"
            raise UnknownName("contrast", str(kind), CONTRAST_KINDS, hint)
        elif kind == "vs_original":
            continue
        else:
            found = {
                "vs_control": lambda: _vs_control(table, pairs),
                "valence": lambda: _valence(table, baseline),
                "theory": lambda: _theory(table, pairs, baseline),
            }[kind]()
            if not found:
                raise UserError(
                    f"there is nothing to compare for the contrast '{kind}': {_WHY[kind]}"
                )
        taken = {c.kind for c in out}
        for contrast in found[:1]:
            if contrast.kind in taken:
                raise UserError(f"contrast '{contrast.kind}' is listed twice")
        out += found
    return out


_WHY = {
    "vs_control": "no condition is the matched neutral control of another (such as EP02-neutral)",
    "valence": "no condition is a positive or negative stimulus",
    "theory": "no condition is a stimulus with a theory",
}


def confirmatory_family(
    confirmatory: Sequence[str],
    conditions: pd.DataFrame | None,
    present: Sequence[str],
    named: Sequence[Contrast],
    baseline: str = "original",
) -> set[tuple[str, str, str]]:
    """Keys (contrast, condition, baseline) of the confirmatory contrasts.

    Args:
        confirmatory: conditions, names of contrasts, or nothing for the usual family.
        conditions: the conditions table.
        present: conditions that have scores.
        named: the contrasts besides those against the baseline.
        baseline: what conditions are compared with.

    Raises:
        UnknownName: neither a condition nor a contrast.
        UserError: the baseline itself, or a contrast that the plan does not have.
    """
    valence, stimuli = valences(conditions), _stimuli(conditions)
    emotional = {c for c in stimuli if valence[c] != "neutral"}
    usual = emotional or {c for c in stimuli or present if c != baseline}
    kinds = dict.fromkeys(c.kind for c in named)
    family: set[tuple[str, str, str]] = set()
    for name in confirmatory or ["vs_original"]:
        if name == baseline:
            raise UserError(f"the baseline '{baseline}' cannot be a confirmatory condition")
        if name == "vs_original":
            family |= {("vs_original", c, baseline) for c in usual}
        elif name in present:
            family.add(("vs_original", name, baseline))
        elif name in kinds:
            family |= {c.key for c in named if c.kind == name}
        elif name in CONTRAST_KINDS:
            raise UserError(
                f"'{name}' is confirmatory but not among the contrasts; add it to 'contrasts'"
            )
        else:
            raise UnknownName("confirmatory condition", name, [*present, *kinds])
    return family


def valences(conditions: pd.DataFrame | None) -> dict[str, str]:
    """Valence by condition, in the table's order.

    Raises:
        UserError: the table has no column `condition`.
    """
    if conditions is None:
        return {}
    if "condition" not in conditions:
        raise UserError("the conditions table needs a column 'condition'")
    names = conditions["condition"].astype("str")
    valence = conditions["valence"] if "valence" in conditions else ["none"] * len(names)
    return dict(zip(names, (str(v) for v in valence), strict=True))


def _stimuli(conditions: pd.DataFrame | None) -> set[str]:
    if conditions is None:
        return set()
    names = conditions["condition"].astype("str")
    methods = conditions["method"] if "method" in conditions else ["stimulus"] * len(names)
    return {n for n, m in zip(names, methods, strict=True) if m == "stimulus"}


def against_original(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a contrasts table that compare a condition with the baseline."""
    return table[table["contrast"] == "vs_original"] if "contrast" in table else table


def _about(
    conditions: pd.DataFrame | None, present: Sequence[str], baseline: str
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """(valence, theories) of the stimuli that have scores."""
    if conditions is None or "valence" not in conditions:
        return {}
    methods = conditions["method"] if "method" in conditions else ["stimulus"] * len(conditions)
    theories = conditions["theory"] if "theory" in conditions else [""] * len(conditions)
    there = set(present) - {baseline}
    return {
        str(name): (str(valence), _split(theory))
        for name, method, valence, theory in zip(
            conditions["condition"], methods, conditions["valence"], theories, strict=True
        )
        if method == "stimulus" and name in there
    }


def _split(theories: Any) -> tuple[str, ...]:
    if not isinstance(theories, str):
        return ()
    return tuple(t.strip() for t in theories.split(",") if t.strip())


def _own(kind: Mapping[str, Any], present: Sequence[str], valence: Mapping[str, str]) -> Contrast:
    if set(kind) != {"name", "weights"}:
        raise UserError(f"a contrast of your own has 'name' and 'weights', not {sorted(kind)}")
    name, weights = str(kind["name"]), kind["weights"]
    if name in CONTRAST_KINDS or name in present:
        raise UserError(f"contrast '{name}': the name is taken; choose another")
    for condition in weights:
        if condition not in present:
            raise UnknownName(f"condition in contrast '{name}'", str(condition), present)
    return contrast_of(name, weights, valence)


def _mean(
    kind: str, label: str, members: Sequence[str], against: str, others: Sequence[str], valence: str
) -> Contrast:
    added = {c: 1 / len(members) for c in members}
    return Contrast(kind, label, against, added | {c: -1 / len(others) for c in others}, valence)


def _vs_control(
    table: Mapping[str, tuple[str, tuple[str, ...]]], pairs: Mapping[str, str]
) -> list[Contrast]:
    """Every stimulus minus its control; and by valence the mean over the pairs."""
    order = [s for s in table if s in pairs]
    out = [
        Contrast("vs_control", s, pairs[s], {s: 1.0, pairs[s]: -1.0}, table[s][0]) for s in order
    ]
    for place in dict.fromkeys(_place(s) for s in order):
        for valence, label in _GROUPS.items():
            own = [s for s in order if table[s][0] == valence and _place(s) == place]
            controls = list(dict.fromkeys(pairs[s] for s in own))
            if len(own) > 1:
                out.append(
                    _mean("vs_control", label + place, own, _CONTROLS + place, controls, valence)
                )
    return out


def _valence(table: Mapping[str, tuple[str, tuple[str, ...]]], baseline: str) -> list[Contrast]:
    """Means by valence against each other, against the neutral ones, and against the baseline."""
    out: list[Contrast] = []
    for place in dict.fromkeys(map(_place, table)):
        groups = {
            v: [c for c, (valence, _) in table.items() if valence == v and _place(c) == place]
            for v in _GROUPS
        }
        emotional = [
            c for c, (v, _) in table.items() if v in ("positive", "negative", "mixed")
            if _place(c) == place
        ]  # fmt: skip
        if not emotional:
            continue

        def add(first: str, second: str, place: str = place, groups: Any = groups) -> None:
            one, other = groups[first], groups[second]
            if one and other:
                names = (_GROUPS[first] + place, _GROUPS[second] + place)
                out.append(_mean("valence", names[0], one, names[1], other, first))

        add("positive", "negative")
        add("positive", "neutral")
        add("negative", "neutral")
        for valence, members in groups.items():
            if members:
                label = _GROUPS[valence] + place
                out.append(_mean("valence", label, members, baseline, [baseline], valence))
        if len({table[c][0] for c in emotional}) > 1:
            out.append(_mean("valence", _ALL + place, emotional, baseline, [baseline], "mixed"))
    return out


def _theory(
    table: Mapping[str, tuple[str, tuple[str, ...]]], pairs: Mapping[str, str], baseline: str
) -> list[Contrast]:
    """The mean of each theory's stimuli against the baseline, and against their controls."""
    out: list[Contrast] = []
    for place in dict.fromkeys(map(_place, table)):
        here = {c: about for c, about in table.items() if _place(c) == place and about[1]}
        for theory in dict.fromkeys(t for _, theories in here.values() for t in theories):
            members = [c for c, (_, theories) in here.items() if theory in theories]
            found = {here[c][0] for c in members}
            valence, label = (found.pop() if len(found) == 1 else "mixed"), theory + place
            out.append(_mean("theory", label, members, baseline, [baseline], valence))
            own = [c for c in members if c in pairs]
            controls = list(dict.fromkeys(pairs[c] for c in own))
            if own:
                against = _CONTROLS + place
                out.append(_mean("theory", label, own, against, controls, valence))
    return out
