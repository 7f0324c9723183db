"""`promptlab status`: what a run is doing, from any terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli._app import Json, app, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptlab.runs import Run

_EVERY_S = 1.0
_LIMITS_SHOWN = 8


@app.command()
def status(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A run directory, its name, or the experiment's name; the newest run otherwise.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing it until the run ends.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what a run is doing, or came to: progress, failures, cost, what to type to go on.

    With --json, an object; with --watch too, one a line each second.
    Its "state" is running, interrupted, incomplete or complete.
    """
    found = _find(run)
    if watch:
        _watch(found, json=json)
    elif json:
        print_json(_as_data(found))
    else:
        _print(found)


def _find(given: str | None) -> Run:
    """The run that was meant.

    Raises:
        UserError: there is none; says what there is.
    """
    from promptlab import settings
    from promptlab.errors import UnknownName, UserError
    from promptlab.runs import Run

    folder = settings.runs_dir()
    if given is not None:
        for path in (Path(given), folder / given):
            if path.is_dir():
                return Run(path)
    runs = sorted((lock.parent for lock in folder.glob("*/lock.json")), key=_touched)
    if not runs:
        raise UserError(
            f"no run in {folder.resolve()}; name a run directory, or begin one: promptlab run SPEC"
        )
    if given is None:
        return Run(runs[-1])
    of_name = [path for path in runs if _experiment(path) == given]
    if not of_name:
        raise UnknownName("run", given, map(_experiment, runs), f"runs are in {folder.resolve()}")
    return Run(of_name[-1])


def _experiment(path: Path) -> str:
    """The experiment's name in the name of a run directory, which is time_name_hash."""
    return path.name.partition("_")[2].rpartition("_")[0]


def _touched(path: Path) -> float:
    """When something last happened in a run."""
    status = path / "status.json"
    return (status if status.is_file() else path).stat().st_mtime


def _alive(run: Run) -> bool:
    """Whether a process is working in the run."""
    from filelock import FileLock, Timeout

    path = run.path / ".lock"
    if not path.is_file():
        return False
    try:
        # Held for a moment at most, and only where nobody else holds it.
        with FileLock(path, timeout=0, mode=0o600):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's run: its lock cannot be tried, so believe its status
        return run.status.get("state") == "running"


def _as_data(run: Run) -> dict[str, Any]:
    from promptlab.cli._ending import snapshot_of

    alive, status = _alive(run), run.status
    page = run.path / "report" / "index.html"
    snapshot = snapshot_of(status)
    return {
        "run": str(run.path),
        "name": run.name,
        **status,
        "state": _state(status, alive=alive),
        "alive": alive,
        "progress": snapshot.to_dict() if snapshot else None,
        "report": str(page) if page.is_file() else None,
    }


def _state(status: dict[str, Any], *, alive: bool) -> str:
    state = str(status.get("state"))
    return "running" if alive else "interrupted" if state == "running" else state


def _print(run: Run) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    alive = _alive(run)
    console.print(_heading(run, alive=alive), markup=False, soft_wrap=True)
    drawn = _drawn(run, console.width, alive=alive)
    if drawn is not None:
        console.print(drawn)
    for line in [*_notes(run), *_next_steps(run, alive=alive)]:
        console.print(line, markup=False, soft_wrap=True)


def _heading(run: Run, *, alive: bool) -> str:
    status = run.status
    state, stage = _state(status, alive=alive), status.get("stage")
    if state == "running":
        words = f"running, {stage or 'beginning'}"
    elif status.get("state") == "running":
        words = f"interrupted: its process has ended while {stage or 'beginning'} (killed?)"
    elif state == "interrupted":
        words = f"interrupted while {stage}"
    elif stage not in (None, "done"):
        words = f"{state}, but its process has ended while {stage}"
    else:
        words = state
    return f"{run.path}: {words}"


def _drawn(run: Run, width: int, *, alive: bool) -> RenderableType | None:
    from promptlab.cli._drawing import table
    from promptlab.cli._ending import snapshot_of

    snapshot = snapshot_of(run.status)
    if snapshot is None:
        return None
    return table(snapshot if alive else replace(snapshot, state="ended"), width)


def _notes(run: Run) -> Iterator[str]:
    from promptlab.cli._ending import ending, spent_words

    status = run.status
    yield from ending(run)
    if any(s["requests"] or s["tokens"] for s in status.get("spent", {}).values()):
        yield f"all calls of this run: {spent_words(status)}"
    for label, changes in status.get("limits", {}).items():
        limits = [change["limit"] for change in changes]
        if len(limits) > 1:
            before = "… → " if len(limits) > _LIMITS_SHOWN else ""
            shown = " → ".join(map(str, limits[-_LIMITS_SHOWN:]))
            yield f"limit of {label}: {before}{shown} requests at once"
    if "error" in status:
        yield f"error: {status['error']}"


def _next_steps(run: Run, *, alive: bool) -> Iterator[str]:
    """The report, or what to type to go on."""
    status = run.status
    page = run.path / "report" / "index.html"
    if alive:
        return
    if page.is_file() and status.get("stage") == "done":
        yield f"report: {page}"
    if status.get("state") in ("running", "interrupted") or status.get("stage") != "done":
        command = status.get("command")
        yield "every answer is kept; " + (
            f"to go on, type: {command}" if command else "to go on, run the same spec again"
        )


def _watch(run: Run, *, json: bool) -> None:
    import sys

    if json:
        _watch_json(run)
    elif sys.stdout.isatty():
        _watch_live(run)
    else:
        _watch_plain(run)


def _looks(run: Run) -> Iterator[bool]:
    """Look again and again; the last time it is False: the run is over."""
    while _alive(run):
        yield True
        time.sleep(_EVERY_S)
    yield False


def _watch_json(run: Run) -> None:
    import orjson

    for _ in _looks(run):
        typer.echo(orjson.dumps(_as_data(run), default=str).decode())


def _watch_live(run: Run) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        for alive in _looks(run):
            heading = Text(_heading(run, alive=alive), overflow="fold")
            drawn = _drawn(run, console.width, alive=alive)
            live.update(Group(heading, *([] if drawn is None else [drawn])), refresh=True)
    _print(run)


def _watch_plain(run: Run) -> None:
    from promptlab.cli._ending import snapshot_of
    from promptlab.cli._progress import PlainWatch

    lines = PlainWatch()
    stage = None
    for _ in _looks(run):
        status = run.status
        if status.get("stage") != stage:
            stage = status.get("stage")
            lines.stage(str(stage))
        snapshot = snapshot_of(status)
        if snapshot is not None:
            lines.progress(snapshot)
    _print(run)
