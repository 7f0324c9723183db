"""How a snapshot of progress looks: a line of text, or a table that fits its terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from promptlab.progress import Flagged, ModelProgress, Snapshot
from promptlab.types import OWN

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["dollars", "duration", "flagged_line", "kinds", "line", "model_line", "table"]

_MOST_ROWS = 10
_BAR = (6, 30)
_SHORTEST_NAME = 12
_ENOUGH_OF_A_NAME = 24


def line(snapshot: Snapshot) -> str:
    """The whole run in one line, for log files."""
    share = f" ({100 * snapshot.done // snapshot.total} %)" if snapshot.total else ""
    parts = [f"{snapshot.done:,}/{snapshot.total:,}{share}"]
    stored = sum(m.from_store for m in snapshot.models)
    if stored:
        parts.append(f"{stored:,} from the store")
    if snapshot.rate:
        parts.append(f"{_rate(snapshot.rate)}{_limit_words(snapshot)}")
    if snapshot.failed:
        parts.append(f"{snapshot.failed:,} failed ({kinds(_failures(snapshot.models))})")
    retries = _retries(snapshot.models)
    if retries:
        parts.append(f"tried again: {kinds(retries)}")
    if cost := _cost_words(snapshot.cost_usd, snapshot.forecast_usd, snapshot.done):
        parts.append(cost)
    if len(snapshot.models) > 1 and snapshot.state == "asking":
        running = sum(m.running for m in snapshot.models)
        parts.append(f"{running} of {len(snapshot.models)} models running")
    if snapshot.state == "asking" and snapshot.done < snapshot.total:
        left = snapshot.seconds_left
        parts.append("time left unknown" if left is None else f"{duration(left)} left")
    return ", ".join(parts)


def model_line(model: ModelProgress) -> str:
    """One model in one line."""
    state = "stopped" if model.stopped else "asking" if model.running else "done"
    return f"{model.model}: {line(Snapshot(state, 0.0, (model,)))}" + (
        ", stopped" if model.stopped else ""
    )


def table(snapshot: Snapshot, width: int, *, most_rows: int = _MOST_ROWS) -> RenderableType:
    """One line a model, and their total; of many models those that still run.

    Args:
        snapshot: what to draw.
        width: columns of the terminal.
        most_rows: most lines of models.
    """
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    shown, left_out = _shown(snapshot, most_rows)
    lines = [*shown, *([_total(snapshot, "all")] if len(snapshot.models) > 1 else [])]
    moving = snapshot.state == "asking"
    longest = max(len(m.model) for m in lines)
    for wide in (True, False):
        columns = _columns(lines, wide=wide, moving=moving)
        widths = [max(len(c) for c in column) for column in columns.values()]
        gap = 2 if wide else 1
        room = width - sum(widths) - gap * (len(widths) + 1)
        if room >= _BAR[0] + min(longest, _ENOUGH_OF_A_NAME):
            break
    name = max(_SHORTEST_NAME, min(longest, room - _BAR[0]))
    bar = max(_BAR[0], min(_BAR[1], room - name))

    drawn = Table.grid(padding=(0, gap, 0, 0))
    drawn.add_column(width=name, no_wrap=True)
    drawn.add_column(width=bar, no_wrap=True)
    for column_width in widths:
        drawn.add_column(width=column_width, justify="right", no_wrap=True)
    drawn.add_row("", "", *(Text(header, style="dim") for header in columns))
    for i, model in enumerate(lines):
        style = "bold" if i >= len(shown) else "red" if model.stopped else ""
        cells = [Text(column[i + 1], style=style) for column in columns.values()]
        progress = ProgressBar(total=max(model.total, 1), completed=model.done, width=bar)
        drawn.add_row(Text(_end_of(model.model, name), style=style), progress, *cells)
    notes = [*left_out, *_notes(snapshot, wide=wide)]
    return Group(drawn, *(Text(note, style="dim", no_wrap=True) for note in notes))


def _shown(snapshot: Snapshot, most: int) -> tuple[list[ModelProgress], list[str]]:
    """The models to draw, and a note of the others."""
    models = list(snapshot.models)
    if len(models) <= most:
        return models, []
    running = [m for m in models if m.running]
    shown = running[: max(1, most - 2)]
    stopped = sum(m.stopped is not None for m in models)
    others = {
        "more running": len(running) - len(shown),
        "done": len(models) - len(running) - stopped,
        "stopped": stopped,
    }
    words = ", ".join(f"{n} {what}" for what, n in others.items() if n)
    return shown, [f"of {len(models)} models: {words}"]


def _total(snapshot: Snapshot, name: str) -> ModelProgress:
    """All models as if they were one."""
    limits = [m.limit for m in snapshot.models if m.limit is not None and m.running]
    return ModelProgress(
        name,
        snapshot.total,
        snapshot.done - snapshot.failed,
        0,
        snapshot.failed,
        failures=_failures(snapshot.models),
        rate=snapshot.rate,
        limit=sum(limits) if limits else None,
        cost_usd=snapshot.cost_usd,
        forecast_usd=snapshot.forecast_usd,
        seconds_left=snapshot.seconds_left,
    )


def _columns(models: list[ModelProgress], *, wide: bool, moving: bool) -> dict[str, list[str]]:
    """Header and cells of each column that has something to say."""
    if not moving:
        models = [
            replace(m, rate=0.0, limit=None, seconds_left=None, forecast_usd=m.cost_usd)
            for m in models
        ]
    number = _full if wide else _short
    columns = {
        "done": [f"{number(m.done)}/{number(m.total)}" for m in models],
        "rate": [_rate(m.rate) if m.rate else "" for m in models],
        "limit": [_limit(m) for m in models],
        "failed": [
            "" if not m.failed else kinds(m.failures, 2) if wide else number(m.failed)
            for m in models
        ],
        "cost": [_cost(m, wide=wide) for m in models],
        "left": [_left(m, moving=moving) for m in models],
    }
    return {name: [name, *cells] for name, cells in columns.items() if any(cells)}


def _notes(snapshot: Snapshot, *, wide: bool) -> list[str]:
    notes: list[str] = []
    if snapshot.failed and not wide:
        notes.append(f"failed: {kinds(_failures(snapshot.models))}")
    if retries := _retries(snapshot.models):
        notes.append(f"tried again: {kinds(retries)}")
    return notes


def flagged_line(flagged: Flagged) -> str:
    """A cell whose answers cannot be scored, in words."""
    cell = flagged.cell
    shots = f"{cell.shots} shot" if cell.shots == 1 else f"{cell.shots} shots"
    if cell.instruction != OWN:
        shots += f" · wording {cell.instruction}"
    return (
        f"{cell.model} · {cell.task} · {cell.condition} · {shots}: "
        f"{kinds(flagged.counts)} of {flagged.planned:,} answers"
    )


def kinds(counts: Mapping[str, int], most: int | None = None) -> str:
    """Counts by kind, the largest first and at most so many kinds."""
    ordered = [pair for pair in sorted(counts.items(), key=lambda pair: -pair[1]) if pair[1]]
    words = [f"{n:,} {kind.replace('_', ' ')}" for kind, n in ordered[:most]]
    return ", ".join([*words, "…"] if len(words) < len(ordered) else words)


def dollars(amount: float) -> str:
    """An amount of money, as precise as it is worth."""
    if 0 < amount < 0.01:
        return f"${amount:.2g}" if amount >= 0.0001 else "<$0.0001"
    return f"${amount:,.2f}" if amount < 1_000 else f"${amount:,.0f}"


def duration(seconds: float) -> str:
    """A time to wait, as precise as it is sure."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _full(n: int) -> str:
    return f"{n:,}"


def _short(n: int) -> str:
    if n < 10_000:
        return f"{n:,}"
    return f"{n / 1e3:.0f}k" if n < 999_500 else f"{n / 1e6:.2f}M"


def _rate(rate: float) -> str:
    if rate < 0.1:
        return f"{60 * rate:.1f}/min"
    return f"{rate:.1f}/s" if rate < 100 else f"{rate:,.0f}/s"


def _limit(model: ModelProgress) -> str:
    if model.limit is None or not model.running:
        return ""
    return f"{model.limit:,}" if model.limit else "paused"


def _limit_words(snapshot: Snapshot) -> str:
    limit = _total(snapshot, "").limit
    return "" if limit is None else f" at most {limit:,} at once" if limit else " paused"


def _cost(model: ModelProgress, *, wide: bool) -> str:
    if model.cost_usd is None:
        return "unknown" if wide else "?"
    words = _cost_words(model.cost_usd, model.forecast_usd, model.done)
    return words if wide else words.replace(" of about ", "/")


def _cost_words(cost: float | None, forecast: float | None, done: int) -> str:
    """Nothing for what is free."""
    if cost is None:
        return "cost unknown"
    if not cost and not forecast:
        return ""
    if forecast is None or dollars(forecast) == dollars(cost):
        return dollars(cost)
    return f"{dollars(cost)} of about {dollars(forecast)}"


def _left(model: ModelProgress, *, moving: bool) -> str:
    if model.stopped:
        return "stopped"
    if not moving or not model.running:
        return ""
    return "?" if model.seconds_left is None else duration(model.seconds_left)


def _end_of(name: str, width: int) -> str:
    """A name cut to a width; its end says more than its beginning."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def _failures(models: Iterable[ModelProgress]) -> Counter[str]:
    total: Counter[str] = Counter()
    for model in models:
        total.update(model.failures)
    return total


def _retries(models: Iterable[ModelProgress]) -> Counter[str]:
    total: Counter[str] = Counter()
    for model in models:
        total.update(model.retries)
    return total
