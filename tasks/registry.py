"""Finding tasks: the built-in cards by id or glob, a person's own cards by path.

A built-in card is the file `<suite>/<name>.yaml` beside this module, so that ids are known without
reading any of them. A package adds a suite by the entry-point group `promptlab.tasks`: the folder
of a package is the suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from promptlab import settings
from promptlab.documents import Document, load_document, validate
from promptlab.errors import SpecError, UnknownName
from promptlab.plugins import plugins
from promptlab.tasks.cards import Task, TaskCard
from promptlab.tasks.loaders import Context, make_task

__all__ = ["find_tasks", "get_task", "list_cards", "load_card"]

FOLDER = Path(__file__).parent
SUITE_ORDER = ("instruction_induction", "bigbench", "truthfulqa", "open_questions", "procedural")
HINT = "`promptlab list tasks` shows them all"


@dataclass(frozen=True, slots=True)
class _CardFile:
    """A card with the file that it was written in."""

    card: TaskCard
    document: Document

    @property
    def id(self) -> str:
        return f"{self.card.suite}/{self.card.name}"

    def task(self, data_dir: Path | None) -> Task:
        return make_task(self.card, Context(self.document, data_dir or settings.data_dir()))


def list_cards() -> list[TaskCard]:
    """The cards of all built-in suites, suite by suite."""
    return [_built_in(path).card for path in _paths().values()]


def get_task(task_id: str, data_dir: Path | None = None) -> Task:
    """A built-in task.

    Args:
        task_id: `suite/name`.
        data_dir: folder of the public suites; the one of the settings if None.

    Raises:
        UnknownName: with the nearest ids.
    """
    paths = _paths()
    if task_id not in paths:
        raise UnknownName("task", task_id, paths, HINT)
    return _built_in(paths[task_id]).task(data_dir)


def load_card(path: Path | str) -> TaskCard:
    """Read a card that a person wrote, loader settings included.

    Raises:
        UserError: no such file.
        SpecError: a mistake, with file, line and key.
    """
    found = _read(Path(path))
    found.task(None)  # checks the loader's settings; reads no data
    return found.card


def find_tasks(
    patterns: Iterable[str],
    *,
    card_files: Sequence[Path | str] = (),
    data_dir: Path | None = None,
) -> list[Task]:
    """Tasks by id, glob or path, in the order asked for and none twice.

    Args:
        patterns: ids (`bigbench/snarks`), globs over ids (`procedural/*`), and paths of cards,
            which end in .yaml or .yml.
        card_files: more cards, which ids and globs can then name.
        data_dir: folder of the public suites; the one of the settings if None.

    Raises:
        UnknownName: an id or glob that is no task's; with the nearest ids.
        UserError: a card's file is not there.
        SpecError: a mistake in a card, or two cards of one id.
    """
    built_in = _paths()
    own: dict[str, _CardFile] = {}
    for file in card_files:
        _add(own, Path(file), built_in)
    chosen: dict[str, Task] = {}
    for pattern in patterns:
        if pattern.endswith((".yaml", ".yml")):
            ids = [_add(own, Path(pattern).expanduser(), built_in)]
        else:
            ids = [i for i in (*built_in, *own) if i == pattern or fnmatchcase(i, pattern)]
        if not ids:
            raise UnknownName("task", pattern, [*built_in, *own], HINT)
        for task_id in ids:
            if task_id not in chosen:
                found = own.get(task_id) or _built_in(built_in[task_id])
                chosen[task_id] = found.task(data_dir)
    return list(chosen.values())


def _add(own: dict[str, _CardFile], path: Path, built_in: dict[str, Path]) -> str:
    """Read a person's card and enter it under its id, which it returns."""
    found = _read(path)
    other = built_in.get(found.id)
    if found.id in own and Path(own[found.id].document.path).resolve() != path.resolve():
        other = Path(own[found.id].document.path)
    if other is not None and other.resolve() != path.resolve():
        raise SpecError(
            f"the id '{found.id}' is taken by {other}; give one of them another 'name' or 'suite'",
            path=str(path),
            line=found.document.line(("name",)),
            key="name",
        )
    own.setdefault(found.id, found)
    return found.id


@cache
def _paths() -> dict[str, Path]:
    """File of every built-in card, and of those of installed packages, by the task's id.

    Raises:
        UserError: what a package brings is no package with cards, or is a suite that is there.
    """
    files = sorted(FOLDER.glob("*/*.yaml"), key=lambda p: (_rank(p.parent.name), p))
    found = {f"{p.parent.name}/{p.stem}": p for p in files}
    for plugin in plugins("task"):
        module = plugin.load()
        folder = Path(next(iter(getattr(module, "__path__", ())), ""))
        cards = sorted(folder.glob("*.yaml")) if folder.name else []
        if not cards:
            raise plugin.error("is no package with task cards (*.yaml) in its folder")
        if any(task.partition("/")[0] == folder.name for task in found):
            raise plugin.error(f"is a suite '{folder.name}', and there is one of that name")
        found |= {f"{folder.name}/{card.stem}": card for card in cards}
    return found


def _rank(suite: str) -> tuple[int, str]:
    known = suite in SUITE_ORDER
    return (SUITE_ORDER.index(suite) if known else len(SUITE_ORDER), suite)


@cache
def _built_in(path: Path) -> _CardFile:
    return _read(path, suite=path.parent.name)


def _read(path: Path, suite: str | None = None) -> _CardFile:
    document = load_document(path)
    if not isinstance(document.data, dict):
        raise document.error("a task card is a mapping of keys such as name, instruction, data")
    data = document.data if suite is None else {"suite": suite, **document.data}
    return _CardFile(validate(TaskCard, document, data), document)
