"""`promptlab store`: look after the answers that were paid for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli._app import Json, app, print_json

if TYPE_CHECKING:
    from promptlab.runs import Run
    from promptlab.store import Stored
    from promptlab.store.upkeep import Verified

_store = typer.Typer(
    no_args_is_help=True,
    help="Look after the store: every answer that was ever paid for.\n\n"
    "All runs share it, so that no request is paid for twice. It is one file in the folder "
    "PROMPTLAB_CACHE_DIR (by default, the user's cache folder).",
)
app.add_typer(_store, name="store")

_MANY = 200_000
_KEYS_SHOWN = 5
_UNITS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}

Model = Annotated[
    str | None, typer.Option("--model", metavar="ID", help="Only answers of this model.")
]


@_store.command()
def stats(json: Json = False) -> None:
    """Say how many answers there are, how large and how old they are, and of which models."""
    from promptlab.store import Store
    from promptlab.store.upkeep import count_models

    path = _path()
    with Store(path, "replay") as store:
        found = store.stats()
    if found.answers > _MANY:
        typer.echo(f"counting the answers of each model reads all {found.answers:,} ...", err=True)
    with _progress("counting", found.answers) as progress:
        models = count_models(path, progress)
    each = found.bytes / found.answers if found.answers else 0.0
    if json:
        print_json(
            {
                "path": str(path),
                "answers": found.answers,
                "bytes": found.bytes,
                "bytes_an_answer": round(each, 1),
                "oldest": found.oldest,
                "newest": found.newest,
                "claims": found.claims,
                "models": models,
            }
        )
        return
    typer.echo(f"store     {path}")
    typer.echo(f"answers   {found.answers:,}")
    typer.echo(f"size      {_size(found.bytes)}, {each:.0f} bytes an answer")
    if found.oldest is not None and found.newest is not None:
        typer.echo(f"asked     from {_day(found.oldest)} to {_day(found.newest)}")
    if found.claims:
        typer.echo(f"under way {found.claims:,} requests, claimed by running processes")
    for model, count in models.items():
        typer.echo(f"{count:>12,}  {model}")


@_store.command()
def verify(
    remove: Annotated[
        bool,
        typer.Option(
            "--remove",
            help="Delete what is damaged; it is asked for again by the next run that needs it. "
            "A file that is damaged as a whole is set aside and made anew from what can be read "
            "and from the runs.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Read every answer and check that it is what was written.

    Each request is hashed again and must give its key, and each answer must match
    its checksum. Exit code 3 if anything is damaged, and was not removed.
    """
    from promptlab.store.upkeep import compact, delete
    from promptlab.store.upkeep import verify as check

    path = _path()
    with _progress("verifying", _answers(path)) as progress:
        found = check(path, progress)
    if remove and found.faults:
        _rebuild(path)
    elif remove and found.damaged:
        delete(path, [id for id, _ in found.damaged])
        compact(path)
    removed = remove and not found.sound
    if json:
        print_json(_as_data(path, found) | {"removed": removed})
    else:
        _print_verified(path, found, removed=removed)
    if not found.sound and not removed:
        raise typer.Exit(3)


@_store.command()
def prune(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Only answers older than 90d, 12w, 1y."),
    ] = None,
    model: Model = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really delete.")] = False,
    json: Json = False,
) -> None:
    """Delete old answers, or those of one model, and give the space back to the disk.

    Without --yes it only says what it would delete. A deleted answer is paid for
    again when a run needs it; 'promptlab store export' keeps a copy.
    """
    from promptlab.errors import UserError
    from promptlab.store.upkeep import compact, delete, find

    if older_than is None and model is None:
        raise UserError("say what to delete: --older-than 90d, --model ID, or both")
    path = _path()
    before = None if older_than is None else time.time() - _age(older_than)
    bytes_before, answers = path.stat().st_size, _answers(path)
    with _progress("looking", answers) as progress:
        ids = find(path, before=before, model=model, progress=progress)
    if yes and ids:
        delete(path, ids)
        compact(path)
    freed = max(0, bytes_before - path.stat().st_size)
    if json:
        print_json(
            {
                "path": str(path),
                "answers": answers,
                "matching": len(ids),
                "deleted": len(ids) if yes else 0,
                "bytes_freed": freed,
            }
        )
    elif not ids:
        typer.echo(f"none of the {answers:,} answers matches; nothing to delete")
    elif yes:
        typer.echo(f"deleted {len(ids):,} of {answers:,} answers; {_size(freed)} freed")
    else:
        typer.echo(
            f"would delete {len(ids):,} of {answers:,} answers; to do it, add --yes. A run that "
            "needs one of them pays for it again"
        )


@_store.command()
def export(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="New file: .parquet, .jsonl.zst or .jsonl."),
    ],
    model: Model = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Only the answers of this run.")
    ] = None,
    json: Json = False,
) -> None:
    """Write answers to one file that another machine can import.

    Each row holds key, request, response and time. The file holds the texts of
    all prompts and answers; only you can read it.
    """
    from promptlab.store.exchange import export_rows

    path = _path()
    with _progress("exporting", _answers(path)) as progress:
        count = export_rows(_rows(path, model, run), file, progress)
    if json:
        print_json({"file": str(file), "rows": count, "bytes": file.stat().st_size})
    else:
        typer.echo(f"{file}: {count:,} answers, {_size(file.stat().st_size)}")


@_store.command("import")
def import_(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FILE|RUN...", help="Exported files or run directories."),
    ],
    json: Json = False,
) -> None:
    """Merge exported files, or the answers of runs, into the store; again is harmless.

    Answers that are there stay. Every request is hashed again, and a row whose
    key does not match is refused. A run holds no prompts, so they are made again
    from its spec; that needs the suites' data. Exit code 3 if a row was refused.
    """
    from dataclasses import asdict

    from promptlab import settings
    from promptlab.store import Store
    from promptlab.store.exchange import import_file

    results = {}
    with Store(settings.store_path()) as store:
        for source in sources:
            found = _run(source)
            with _progress(f"importing {Path(source).name}", None) as progress:
                if found is not None:
                    from promptlab.repair import import_run

                    results[source] = import_run(found, store, progress)
                else:
                    results[source] = import_file(Path(source), store, progress)
            if not json:
                result = results[source]
                more = f", {result.refused:,} refused" if result.refused else ""
                more += f", {result.without_answer:,} without an answer" * bool(
                    result.without_answer
                )
                typer.echo(
                    f"{source}: {result.added:,} answers added, {result.known:,} already there"
                    + more
                )
    if json:
        print_json({source: asdict(result) for source, result in results.items()})
    if any(result.refused for result in results.values()):
        raise typer.Exit(3)


# --- helpers ----------------------------------------------------------------------------------


def _path() -> Path:
    from promptlab import settings
    from promptlab.errors import UserError

    path = settings.store_path()
    if not path.exists():
        raise UserError(f"there is no store at {path} yet; the first 'promptlab run' makes it")
    return path


def _answers(path: Path) -> int | None:
    """Number of answers, for progress; None where the file does not say."""
    from promptlab.errors import StoreDamaged
    from promptlab.store import Store

    try:
        with Store(path, "replay") as store:
            return store.stats().answers
    except StoreDamaged:
        return None


def _run(source: str) -> Run | None:
    """The run that a source names: a directory, or a name in the folder of the runs."""
    from promptlab import settings
    from promptlab.runs import Run

    for path in (Path(source), settings.runs_dir() / source):
        if path.is_dir():
            return Run(path)
    return None


def _rows(path: Path, model: str | None, run: str | None) -> Iterator[Stored]:
    from promptlab.errors import UserError
    from promptlab.store import Store
    from promptlab.store.rows import scan
    from promptlab.store.upkeep import model_of

    if run is None:
        rows = (stored for chunk in scan(path) for _, stored in chunk)
        yield from (row for row in rows if model is None or model_of(row[1]) == model)
        return
    found = _run(run)
    if found is None:
        raise UserError(f"there is no run {run}; promptlab list runs")
    from promptlab.judges.handle import reply_keys
    from promptlab.repair import keys_of

    with Store(path, "replay") as store:
        for keys in (*keys_of(found), reply_keys(found.path)):
            for row in store.rows(keys):
                if model is None or model_of(row[1]) == model:
                    yield row


def _rebuild(path: Path) -> None:
    from promptlab import settings
    from promptlab.repair import set_aside_and_rebuild

    set_aside_and_rebuild(path, settings.runs_dir(), lambda line: typer.echo(line, err=True))


def _as_data(path: Path, found: Verified) -> dict[str, Any]:
    return {
        "path": str(path),
        "answers": found.answers,
        "damaged": len(found.damaged),
        "keys": [key for _, key in found.damaged if key],
        "faults": list(found.faults),
    }


def _print_verified(path: Path, found: Verified, *, removed: bool) -> None:
    if found.sound:
        typer.echo(f"{path}: {found.answers:,} answers, all as they were written")
        return
    typer.echo(f"{path}: {found.answers:,} answers are right, {len(found.damaged):,} are damaged")
    keys = [key for _, key in found.damaged if key]
    for key in keys[:_KEYS_SHOWN]:
        typer.echo(f"  damaged: the answer to request {key}...")
    if len(keys) > _KEYS_SHOWN:
        typer.echo(f"  and {len(keys) - _KEYS_SHOWN:,} more")
    for fault in found.faults[:_KEYS_SHOWN]:
        typer.echo(f"  file: {fault}")
    if removed and not found.faults:
        typer.echo("the damaged answers are deleted; the next run that needs them asks again")
    elif not removed:
        typer.echo("to set it right: promptlab store verify --remove")


def _age(text: str) -> float:
    """Seconds in an age such as 90d.

    Raises:
        UserError: it is none.
    """
    from promptlab.errors import UserError

    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _UNITS:
        raise UserError(f"'{text}' is no age; write 12h, 90d, 12w or 1y")
    return float(number) * _UNITS[unit]


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1_000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1_000
    return f"{number:.1f} GB"


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None] | None]:
    """A bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=total)
        yield lambda done: bars.update(bar, completed=done)
