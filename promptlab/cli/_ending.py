"""What a run came to, and what to type next, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from promptlab.cli._drawing import dollars, flagged_line, kinds
from promptlab.progress import Snapshot
from promptlab.runs import Run

__all__ = ["ending", "snapshot_of", "spent_words"]

_MOST_CELLS = 5


def ending(run: Run) -> Iterator[str]:
    """Lines about a run that is over: what stopped, what was spent, what is there."""
    status = run.status
    snapshot = snapshot_of(status)
    again = status.get("command", "the same command")
    for label, stop in status.get("stopped", {}).items():
        if stop["kind"] != "budget":
            yield f"stopped: {label}: {stop['reason']}"
    yield from _budget_lines(status, snapshot, again)
    counts = status.get("responses")
    if counts:
        yield (
            f"{', '.join(f'{n:,} {name}' for name, n in counts.items())}; "
            f"{status.get('asked', 0):,} asked, {status.get('from_store', 0):,} from the store, "
            f"{status.get('wall_s', 0):.0f} s{_cost(status)}"
        )
    if race := status.get("race"):
        yield (
            f"race: {race['asked']:,} of {race['answers']:,} answers were needed, "
            f"{100 * race['saved']:.0f} % saved" + ("" if race["over"] else "; it is not over")
        )
    if snapshot:
        yield from _warnings(snapshot)
        failed: Counter[str] = Counter()
        for model in snapshot.models:
            failed.update(model.failures)
        if failed and status.get("state") == "incomplete":
            yield f"failed: {kinds(failed)}; to ask them again, type: {again}"


def _warnings(snapshot: Snapshot) -> Iterator[str]:
    for model in snapshot.models:
        if model.served:
            names = ", ".join(model.served)
            yield f"warning: {model.model}: answers come from another model, {names}"
    worst = sorted(snapshot.flagged, key=lambda f: -f.bad / f.planned)
    for flagged in worst[:_MOST_CELLS]:
        yield f"more than 5 % cannot be scored: {flagged_line(flagged)}"
    if snapshot.n_flagged > _MOST_CELLS:
        yield f"more than 5 % cannot be scored in {snapshot.n_flagged - _MOST_CELLS:,} more cells"


def _budget_lines(
    status: Mapping[str, Any], snapshot: Snapshot | None, again: str
) -> Iterator[str]:
    """One line for each budget that is used up."""
    used_up = [label for label, s in status.get("stopped", {}).items() if s["kind"] == "budget"]
    own = [label for label in used_up if label in status.get("budget_of", {})]
    left = {m.model: m.total - m.done for m in snapshot.models} if snapshot else {}
    for label in own:
        spent = spent_words(status, label)
        yield (
            f"budget of {label} is used up: {spent}; {left.get(label, 0):,} requests are left; "
            f"raise its 'budget' in the spec and type: {again}"
        )
    shared = [label for label in used_up if label not in own]
    if shared:
        n = sum(left.get(label, 0) for label in shared)
        yield (
            f"the budget is used up: {spent_words(status)}; {n:,} requests are left; "
            f"raise 'budget' in the spec and type: {again}"
        )


def spent_words(status: Mapping[str, Any], label: str | None = None) -> str:
    """What all calls of a run have spent, beside the budget where there is one.

    Args:
        status: of the run.
        label: only this model.
    """
    spent = [s for name, s in status.get("spent", {}).items() if label in (None, name)]
    budget = (status.get("budget_of", {}).get(label) if label else status.get("budget")) or {}
    words = []
    for unit, said in (("usd", dollars), ("tokens", _counted), ("requests", _counted)):
        amount, limit = sum(s[unit] for s in spent), budget.get(unit)
        if limit is not None or (amount and not budget):
            name = "" if unit == "usd" else f" {unit}"
            words.append(f"{said(amount)}{f' of {said(limit)}' if limit is not None else ''}{name}")
    return ", ".join(words) + " spent" if words else "nothing spent"


def snapshot_of(status: Mapping[str, Any]) -> Snapshot | None:
    """The progress in a status file; None if there is none that can be read."""
    try:
        return Snapshot.from_dict(status["progress"])
    except (KeyError, TypeError):
        return None


def _counted(n: float) -> str:
    return f"{n:,.0f}"


def _cost(status: Mapping[str, Any]) -> str:
    cost = status.get("cost_usd")
    return f", {dollars(cost)}" if cost else ", cost unknown" if cost is None else ""
