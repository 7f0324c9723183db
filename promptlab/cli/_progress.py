"""Progress of a run: a live table on a terminal, a plain line now and then elsewhere, or JSON."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from promptlab.cli._interrupt import Interruption
    from promptlab.plan import Plan
    from promptlab.progress import Snapshot

__all__ = ["JsonWatch", "LiveWatch", "PlainWatch", "QuietWatch", "Watch", "progress"]

_PLAIN_EVERY_S = (15.0, 300.0)
_PLAIN_SHARE = 0.05
"""Between two lines passes a twentieth of the time that the run has taken, within the limits."""

_PLAIN_APART_S = 1.0
_MILESTONES = 4
_FEW_MODELS = 10
_JSON_EVERY_S = 1.0
_ECHO = 3
_FLAGGED_TOLD = 5

_HEADS = {
    "stopped": "stopped",
    "left out": "left out",
    "note": "note",
    "flagged": "more than 5 % cannot be scored",
}
"""What a line begins with, by kind of warning."""

_STAGES = {"ending": "ending: what is in flight may land (Ctrl-C again ends at once)"}
"""Stages that need more words than their name."""

Clock = Callable[[], float]
OnSnapshot = Callable[["Snapshot"], None]
OnStage = Callable[[str], None]


class Watch:
    """Is told what happens in a run; subclasses show it."""

    def __init__(self) -> None:
        self.stage_name = "planning"
        self.last: Snapshot | None = None
        """The last snapshot, once there is one."""
        self._told: set[tuple[str, ...]] = set()
        self._n_flagged = 0

    def plan(self, plan: Plan) -> None:
        """The plan is known: what there is to do."""
        for warning in plan.warnings:
            self.warn("plan", warning, {})
        for left_out in plan.left_out:
            self.warn("left out", str(left_out), {})

    def begun(self, path: Path) -> None:
        """The run has its directory."""

    def stage(self, name: str) -> None:
        """A stage of the run begins."""
        self.stage_name = name

    def progress(self, snapshot: Snapshot) -> None:
        """How far the run is; comes a few times a second while models are asked."""
        self.last = snapshot
        self._warn_of(snapshot)
        self.show(snapshot)

    def under(self, interruption: Interruption) -> tuple[OnSnapshot, OnStage]:
        """(on_progress, on_stage) that tell this watch, and the interruption where the run is."""

        def on_progress(snapshot: Snapshot) -> None:
            if interruption.came:
                self.drain()
            self.progress(snapshot)

        def on_stage(name: str) -> None:
            interruption.stage(name)
            self.stage(name)

        return on_progress, on_stage

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot."""

    def drain(self) -> None:
        """The run was told to end: nothing more is sent."""
        if self._is_new("drain"):
            self.stage("ending")

    def warn(self, kind: str, message: str, about: Mapping[str, Any]) -> None:
        """Tell of something once.

        Args:
            kind: `plan`, `left out`, `stopped`, `served`, `flagged` or `note`.
            message: in words.
            about: the same as data.
        """

    def stop(self) -> None:
        """Nothing more will be shown."""

    def _warn_of(self, snapshot: Snapshot) -> None:
        """Warn of what is new in a snapshot."""
        for model in snapshot.models:
            if model.stopped and self._is_new("stopped", model.model):
                about = {"model": model.model, "reason": model.stopped}
                self.warn("stopped", f"{model.model}: {model.stopped}", about)
            for served in model.served:
                if self._is_new("served", model.model, served):
                    message = f"{model.model}: answers come from another model, {served}"
                    self.warn("served", message, {"model": model.model, "served": served})
        if snapshot.n_flagged > self._n_flagged:
            self._warn_of_cells(snapshot)

    def _warn_of_cells(self, snapshot: Snapshot) -> None:
        from promptlab.cli._drawing import flagged_line

        for flagged in snapshot.flagged[self._n_flagged : _FLAGGED_TOLD]:
            about = {**asdict(flagged.cell), "planned": flagged.planned, "counts": flagged.counts}
            self.warn("flagged", flagged_line(flagged), about)
        before, now = self._n_flagged, snapshot.n_flagged
        self._n_flagged = now
        # Of many cells only their number, each time it has doubled.
        grown = before <= _FLAGGED_TOLD or now.bit_length() > before.bit_length()
        if now > _FLAGGED_TOLD and grown:
            message = f"in {now:,} cells by now; promptlab status lists them"
            self.warn("flagged", message, {"cells": now})

    def _is_new(self, *what: str) -> bool:
        if what in self._told:
            return False
        self._told.add(what)
        return True


class PlainWatch(Watch):
    """A line every so often, for log files and CI."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last_at: float | None = None
        self._milestone = 0

    def stage(self, name: str) -> None:
        super().stage(name)
        if name != "asking":
            self._print(f"{_STAGES.get(name, name)} ...")

    def warn(self, kind: str, message: str, about: Mapping[str, Any]) -> None:
        self._print(f"{_HEADS.get(kind, 'warning')}: {message}")

    def show(self, snapshot: Snapshot) -> None:
        now = self._clock()
        if self._last_at is None:
            self._last_at = now
        since = now - self._last_at
        shortest, longest = _PLAIN_EVERY_S
        due = since >= min(longest, max(shortest, _PLAIN_SHARE * snapshot.elapsed_s))
        reached = _MILESTONES * snapshot.done // snapshot.total if snapshot.total else 0
        milestone = reached > self._milestone and since >= _PLAIN_APART_S
        ended = snapshot.state != "asking"
        if not (due or milestone or ended):
            return
        self._last_at, self._milestone = now, reached
        few = len(snapshot.models) <= _FEW_MODELS
        self._print_all(snapshot, models=ended or (milestone and few))

    def _print_all(self, snapshot: Snapshot, *, models: bool) -> None:
        from promptlab.cli._drawing import line, model_line

        elapsed = time.strftime("%H:%M:%S", time.gmtime(snapshot.elapsed_s))
        days = int(snapshot.elapsed_s // 86_400)
        self._print(f"[{f'{days} d ' if days else ''}{elapsed}] {line(snapshot)}")
        if models and len(snapshot.models) > 1:
            for model in snapshot.models:
                self._print(f"  {model_line(model)}")

    def _print(self, text: str) -> None:
        _say(text, sys.stderr)


class LiveWatch(Watch):
    """A table that stays where it is and changes."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._console = console or Console(stderr=True)
        self._spinner = Spinner("dots", self.stage_name)
        self._live = Live(
            self._spinner, console=self._console, transient=True, refresh_per_second=4
        )
        self._live.start()

    def stage(self, name: str) -> None:
        super().stage(name)
        self._spinner.update(text=_STAGES.get(name, name))

    def warn(self, kind: str, message: str, about: Mapping[str, Any]) -> None:
        style = "red" if kind == "stopped" else "yellow"
        text = f"{_HEADS.get(kind, 'warning')}: {message}"
        self._console.print(text, style=style, markup=False, highlight=False)

    def show(self, snapshot: Snapshot) -> None:
        from rich.console import Group

        from promptlab.cli._drawing import duration, table

        words = _STAGES.get(self.stage_name, self.stage_name)
        self._spinner.update(text=f"{words}, {duration(snapshot.elapsed_s)}")
        rows = max(2, min(10, self._console.height - 5))
        width = self._console.width - _ECHO  # or the ^C that a terminal shows would break a line
        drawn = table(snapshot, width, most_rows=rows)
        self._live.update(Group(self._spinner, drawn))

    def stop(self) -> None:
        self._live.stop()


class QuietWatch(Watch):
    """Errors only."""

    def warn(self, kind: str, message: str, about: Mapping[str, Any]) -> None:
        if kind in ("stopped", "note"):
            _say(f"{kind}: {message}", sys.stderr)


class JsonWatch(Watch):
    """A JSON object a line on standard output, for programs."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._next_at = 0.0
        self._plan: Plan | None = None

    def plan(self, plan: Plan) -> None:
        self._plan = plan

    def begun(self, path: Path) -> None:
        assert self._plan is not None
        self.tell(
            event="plan",
            name=self._plan.spec.experiment.name,
            run=str(path),
            models=[m.label for m in self._plan.models],
            cells=self._plan.n_cells,
            answers=self._plan.n_planned,
            requests=self._plan.n_requests * len(self._plan.models),
        )
        super().plan(self._plan)

    def stage(self, name: str) -> None:
        super().stage(name)
        self.tell(event="stage", stage=name)

    def warn(self, kind: str, message: str, about: Mapping[str, Any]) -> None:
        self.tell(event="warning", kind=kind, message=message, **about)

    def show(self, snapshot: Snapshot) -> None:
        now = self._clock()
        if now >= self._next_at or snapshot.state != "asking":
            self._next_at = now + _JSON_EVERY_S
            self.tell(event="progress", **snapshot.to_dict())

    def tell(self, **line: Any) -> None:
        """Print one line."""
        import orjson

        _say(orjson.dumps(line, default=str).decode(), sys.stdout)


def _say(text: str, file: TextIO) -> None:
    """Print a line; a reader that has gone, such as `head`, does not end the run."""
    try:
        print(text, file=file, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


def _live() -> bool:
    """Whether a table can be redrawn where messages go."""
    plain = os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not plain


@contextmanager
def progress(*, quiet: bool = False, json: bool = False) -> Iterator[Watch]:
    """The progress display that fits where the output goes."""
    watch: Watch
    if json:
        watch = JsonWatch()
    elif quiet:
        watch = QuietWatch()
    else:
        watch = LiveWatch() if _live() else PlainWatch()
    try:
        yield watch
    finally:
        watch.stop()
