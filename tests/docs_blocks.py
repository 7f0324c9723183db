"""Fenced blocks of a page, and how each is executed: commands, Python, YAML by what it is.

A comment right before a block says what is different about it; readers do not see it.

| comment | meaning |
|---|---|
| `<!-- not run: REASON -->` | cannot be executed here, for this reason |
| `<!-- file: NAME -->` | the reader saves it as this file, so later blocks find it |
| `<!-- data -->` | needs the public suites; executed where they are |
| `<!-- exit: N -->` | its last command ends with this exit code |
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = ["Block", "Reader", "blocks", "prose"]

_FENCE = re.compile(r"^( *)```(\S*)")
_MARK = re.compile(r"^ *<!-- (not run|file|data|exit)(?:: (.+?))? -->$")
_VARIABLE = re.compile(r"[A-Z_]+=")
_STIMULI = ["emotionprompt", "negativeprompt", "neutral"]
MINIMAL = {
    "name": "minimal",
    "models": ["mock/echo"],
    "tasks": ["procedural/last_word", "procedural/plural"],
    "conditions": ["original", {"stimuli": _STIMULI}],
}
"""What a fragment of a spec is tried in."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, where its text begins, its lines, and the comment before it."""

    language: str
    start: int
    lines: tuple[str, ...]
    mark: str = ""
    said: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    opened: re.Match[str] | None = None
    start, inside, before = 0, [], ""
    for number, line in enumerate(text.splitlines()):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, start, inside = fence, number + 1, []
            elif line.strip():
                before = line
        elif fence:
            mark = _MARK.match(before)
            cut = len(opened[1])
            lines = tuple(row[cut:] if not row[:cut].strip() else row for row in inside)
            said = (mark[1], mark[2] or "") if mark else ("", "")
            yield Block(opened[2], start, lines, *said)
            opened, before = None, ""
        else:
            inside.append(line)
    assert opened is None, f"the block that begins in line {start} is not closed"


def prose(text: str) -> str:
    """The text without its fenced blocks; their lines are left empty."""
    lines = text.splitlines()
    for block in blocks(text):
        for i in range(block.start - 1, block.start + len(block.lines) + 1):
            lines[i] = ""
    return "\n".join(lines)


class Reader:
    """Somebody who reads a page from top to bottom and types all of it, in an empty folder.

    Args:
        page: the page.
        patch: of the running test.
        capture: of the running test.
        has_data: whether blocks that need the public suites are executed.
    """

    def __init__(
        self,
        page: Path,
        patch: pytest.MonkeyPatch,
        capture: pytest.CaptureFixture[str],
        *,
        has_data: bool = False,
    ) -> None:
        self.page, self.patch, self.capture, self.has_data = page, patch, capture, has_data
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def read(self) -> int:
        """Execute every block; returns how many were."""
        done = 0
        for block in blocks(self.page.read_text(encoding="utf-8")):
            if block.mark == "not run":
                assert block.said, self._where(block, "say why it is not run")
                continue
            if block.language == "pycon" or (block.mark == "data" and not self.has_data):
                continue
            if block.mark == "file":
                path = Path(block.said)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            try:
                done += self._execute(block)
            except AssertionError:
                raise
            except Exception as error:
                raise AssertionError(
                    self._where(block, f"{type(error).__name__}: {error}")
                ) from error
        return done

    def _execute(self, block: Block) -> bool:
        if block.language in ("sh", "console"):
            self._type(block)
        elif block.language == "python":
            code = compile("\n" * block.start + block.text, str(self.page), "exec")
            exec(code, self.names)
        elif block.language == "yaml":
            check_yaml(block.text, block.said if block.mark == "file" else "")
        elif block.language == "toml":
            import tomllib

            tomllib.loads(block.text)
        else:
            assert block.mark == "file", self._where(
                block, "a block that is not executed; write <!-- not run: why --> before it"
            )
        return True

    def _type(self, block: Block) -> None:
        for command, wanted, code in commands(block):
            self.capture.readouterr()
            ended = self._run(block, command)
            printed = self.capture.readouterr()
            out = f"{printed.out}\n{printed.err}"
            assert ended == code, self._where(block, f"{command} ended with {ended}:\n{out}")
            check_printed(wanted, out, self._where(block, command))

    def _run(self, block: Block, command: str) -> int:
        from promptlab.cli import main

        words = shlex.split(command, comments=True)
        if not words:
            return 0
        with self.patch.context() as patch:
            while _VARIABLE.match(words[0]):
                name, _, value = words.pop(0).partition("=")
                patch.setenv(name, value)
            assert words[0] == "promptlab", self._where(
                block, f"'{words[0]}' is not run here; write <!-- not run: why --> before the block"
            )
            patch.setattr(sys, "argv", [w for word in words for w in expanded(word)])
            try:
                main()
            except SystemExit as stopped:
                return int(stopped.code or 0)
        return 0

    def _where(self, block: Block, what: str) -> str:
        return f"{self.page.name}:{block.start + 1}: {what}"


def expanded(word: str) -> list[str]:
    """What a shell makes of a word with an asterisk: the files it matches, else itself."""
    if "*" not in word or word.startswith("/"):
        return [word]
    return sorted(str(path) for path in Path().glob(word)) or [word]


def commands(block: Block) -> Iterator[tuple[str, list[str], int]]:
    """(command, lines it prints, exit code): in `console`, commands follow `$ `."""
    text = block.text.replace("\\\n", " ")
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if block.language == "sh":
            found.append((line, []))
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    for i, (command, lines) in enumerate(found):
        last = i == len(found) - 1
        yield command, lines, int(block.said) if block.mark == "exit" and last else 0


def check_printed(wanted: list[str], out: str, where: str) -> None:
    """Each wanted line is printed, in this order; `...` stands for anything, blanks are alike."""
    rest = " ".join(out.split())
    for line in wanted:
        pattern = r".*?".join(re.escape(" ".join(p.split())) for p in line.split("..."))
        pattern = pattern.replace(r"\ ", r"\s*")
        found = re.search(pattern, rest)
        assert found, f"{where}\nis said to print\n{line}\nbut printed\n{out}"
        rest = rest[found.end() :]


def check_yaml(text: str, name: str = "") -> None:
    """Validate YAML as what it is: a library, a card, a rubric, wordings, a spec or part of one.

    Raises:
        AssertionError: it is none of them.
        UserError: it is wrong.
    """
    for variant in alternatives(text):
        data = yaml.safe_load(variant)
        assert isinstance(data, dict), "YAML that is no mapping"
        if "library" in data:
            from promptlab.stimuli import load_library

            load_library(_saved(variant, name))
        elif "criteria" in data:
            from promptlab.judges import load_rubric

            load_rubric(_saved(variant, name))
        elif {"instruction", "data"} <= set(data):
            from promptlab.tasks.registry import load_card

            load_card(_saved(variant, name))
        elif all("/" in key and isinstance(value, list) for key, value in data.items()):
            _check_spec(MINIMAL | {"instructions": {"file": str(_saved(variant, name))}})
        elif (
            "instructions" in data and "tasks" not in data
        ):  # the tasks of MINIMAL have one wording
            from promptlab.spec import spec_from_mapping

            spec_from_mapping(MINIMAL | data)
        else:
            _check_spec(data if {"name", "models"} <= set(data) else MINIMAL | data)


def _saved(text: str, name: str) -> Path:
    path = Path(name or "block.yaml")
    path.write_text(text, encoding="utf-8")
    return path.resolve()


def _check_spec(data: dict[str, Any]) -> None:
    from promptlab.planning import build_plan
    from promptlab.spec import load_spec

    path = Path("block.yaml")
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    build_plan(load_spec(path), allow_missing=True)


def alternatives(text: str) -> list[str]:
    """The ways that a block shows: as many as a top-level key is written times in it."""
    entries: dict[str, list[str]] = {}
    for part in re.split(r"(?m)^(?=[^\s#-][^:\n]*:)", text):
        if part.strip():
            entries.setdefault(part.partition(":")[0], []).append(part)
    most = max(map(len, entries.values()), default=1)
    return ["".join(p[min(i, len(p) - 1)] for p in entries.values()) for i in range(most)]
