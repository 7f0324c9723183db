"""Is this the analysis that was registered? What differs, and what that makes exploratory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptlab.registration import Registration

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Difference", "Standing", "differences", "standing"]

_SETTINGS = {
    "baseline": "the baseline",
    "alpha": "alpha",
    "margin": "the equivalence margin",
    "correction": "the correction",
    "missing": "the missing-data policy",
    "tasks": "the unit of generalisation",
}
_ASKED = {
    "limits": "the conditions' token limits",
    "shots": "the numbers of demonstrations",
    "replicates": "the number of replicates",
    "params": "the parameters sent",
    "seed": "the seed",
}
_TASK = {
    "items": "items",
    "n_items": "number of items",
    "card": "card",
    "demonstrations": "demonstrations",
    "protocols": "scoring protocols",
    "primary": "primary protocol",
}


@dataclass(frozen=True)
class Difference:
    """One way in which an analysis is not the registered one.

    Attributes:
        text: what, as a clause.
        everything: whether no result is the registered one because of it.
    """

    text: str
    everything: bool


@dataclass(frozen=True)
class Standing:
    """What an analysis is in the light of its registration.

    Attributes:
        registration: None where there is none.
        differences: between what was registered and what was done.
        early: answers that were there before the registration.
        answers: all answers.
    """

    registration: Registration | None = None
    differences: tuple[Difference, ...] = ()
    early: int = 0
    answers: int = 0

    @property
    def is_registered(self) -> bool:
        """Whether the analysis is the registered one, and the data came after it."""
        return self.registration is not None and not self.differences and not self.early

    def sentences(self) -> list[str]:
        """What a reader must know."""
        found = self.registration
        if found is None:
            return [
                "This analysis is not registered: no plan of it was fixed before the answers came."
            ]
        name = f"registered on {found.date} (SHA-256 {found.short})"
        out = [f"This is the analysis {name}."]
        if self.differences:
            listed = "; ".join(d.text for d in self.differences)
            out = [f"This is not quite the analysis {name}: {listed}."]
            if any(d.everything for d in self.differences):
                out.append("Because of that, every result here is exploratory.")
            else:
                out.append("What was not registered is exploratory; the rest stands.")
        if self.early:
            out.append(
                f"{self.early:,} of {self.answers:,} answers were in the store before the "
                "registration: it was not made blind to them."
            )
        if found.earlier:
            times = "once" if len(found.earlier) == 1 else f"{len(found.earlier)} times"
            first = str(found.earlier[0]["registered"])[:10]
            out.append(f"The registration was amended {times}; the first is of {first}.")
        return out

    def mark(self, table: pd.DataFrame) -> pd.DataFrame:
        """The contrasts table with everything exploratory that was not registered.

        Adjusted p values stay as they are: they are those of the family that was analysed.
        """
        if self.registration is None:
            return table
        registered = {
            (c["contrast"], c["condition"], c["baseline"]) for c in self.registration.family
        }
        models = set(self.registration.plan["asked"]["models"])
        everything = any(d.everything for d in self.differences)
        columns = ("family", "contrast", "condition", "baseline", "model")
        family = [
            "confirmatory"
            if of == "confirmatory"
            and tuple(key) in registered
            and str(model) in models
            and not everything
            else "exploratory"
            for of, *key, model in zip(*(table[c] for c in columns), strict=True)
        ]
        return table.assign(family=family)


def standing(
    registration: Registration | None, now: Mapping[str, Any], answered: pd.Series | None = None
) -> Standing:
    """Compare what was done with what was registered.

    Args:
        registration: None where there is none.
        now: the plan of the run, as `plan_content` gives it.
        answered: times of the answers, seconds since the epoch.
    """
    if registration is None:
        return Standing()
    times = answered.dropna() if answered is not None else None
    return Standing(
        registration,
        tuple(differences(registration.plan, now)),
        early=0 if times is None else int((times < registration.time).sum()),
        answers=0 if times is None else len(times),
    )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    """How a plan differs from the registered one."""
    old, new = before["analysis"], now["analysis"]
    for key, name in _SETTINGS.items():
        if old.get(key) != new.get(key):
            yield Difference(f"{name} is {new.get(key)}, not {old.get(key)}", True)
    yield from _families(old["family"], new["family"])
    old, new = before["asked"], now["asked"]
    for key, name in _ASKED.items():
        if old.get(key) != new.get(key):
            yield Difference(f"{name}: {_said(new.get(key))}, not {_said(old.get(key))}", True)
    were, are = old.get("methods", {}), new.get("methods", {})
    changed = [c for c in were if c in are and were[c] != are[c]]
    if changed:
        yield Difference(f"other settings of the methods: {_listed(changed)}", True)
    was, is_now = old.get("joiner", " "), new.get("joiner", " ")
    if was != is_now:
        yield Difference(f"stimuli are joined by {is_now!r}, not by {was!r}", True)
    if old.get("race") != new.get("race"):
        is_now, was = _design(new.get("race")), _design(old.get("race"))
        yield Difference(f"the design is {is_now}, not {was}", True)
    yield from _wordings(old.get("wordings"), new.get("wordings"))
    yield from _members(old["models"], new["models"], "model", added_matters=False)
    yield from _tasks(old["tasks"], new["tasks"])
    yield from _conditions(old["conditions"], new["conditions"])


def _families(old: list[Any], new: list[Any]) -> Iterator[Difference]:
    def by_name(family: list[Any]) -> dict[str, Any]:
        return {f"{c['condition']} against {c['baseline']}": c for c in family}

    was, is_now = by_name(old), by_name(new)
    gone = [name for name, c in was.items() if is_now.get(name) != c]
    come = [name for name in is_now if name not in was]
    if gone:
        yield Difference(f"no longer confirmatory: {_listed(gone)}", True)
    if come:
        yield Difference(f"confirmatory besides what was registered: {_listed(come)}", False)


def _members(
    old: Mapping[str, Any], new: Mapping[str, Any], what: str, *, added_matters: bool
) -> Iterator[Difference]:
    gone, come = [n for n in old if n not in new], [n for n in new if n not in old]
    changed = [n for n in old if n in new and old[n] != new[n]]
    if gone:
        yield Difference(f"{what} left out: {_listed(gone)}", True)
    if come:
        yield Difference(f"{what} added: {_listed(come)}", added_matters)
    for name in changed:
        keys = [k for k in {**old[name], **new[name]} if old[name].get(k) != new[name].get(k)]
        yield Difference(f"{what} {name} has another {_listed(keys)}", True)


def _tasks(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    def named(tasks: Mapping[str, Any]) -> dict[str, Any]:
        return {
            task: {_TASK.get(k, k): value for k, value in facts.items()}
            for task, facts in tasks.items()
        }

    sizes = {t: (old[t]["n_items"], new[t]["n_items"]) for t in old if t in new}
    differ = {t: s for t, s in sizes.items() if s[0] != s[1]}
    if len(differ) == len(sizes) > 1 and len(set(differ.values())) == 1:
        was, is_now = next(iter(differ.values()))
        yield Difference(f"{is_now} items a task, not {was}", True)
        drawn = {"n_items", "items", "demonstrations"}
        old = {t: {k: v for k, v in f.items() if k not in drawn} for t, f in old.items()}
        new = {t: {k: v for k, v in f.items() if k not in drawn} for t, f in new.items()}
    yield from _members(named(old), named(new), "task", added_matters=True)


def _design(race: Mapping[str, Any] | None) -> str:
    return "full" if race is None else f"a race ({_said(race)})"


def _wordings(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[Difference]:
    """A task that is not in both is said elsewhere."""
    if old is None and new is None:
        return
    if new is None:
        yield Difference("the instructions are in the cards' own words alone", True)
    elif old is None:
        yield Difference("the instructions are in other words than the cards' own", True)
    else:
        changed = [task for task in old if task in new and old[task] != new[task]]
        if changed:
            yield Difference(f"other wordings of the instruction: {_listed(changed)}", True)


def _conditions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """A condition more or less moves no other; what the family lost is said elsewhere."""
    for found in _members(old, new, "condition", added_matters=False):
        yield Difference(found.text, found.everything and "left out" not in found.text)


def _listed(names: list[str], most: int = 6) -> str:
    shown = names if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return ", ".join(shown)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items()) or "none"
    return str(value)
