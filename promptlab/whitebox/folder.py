"""The folder that word importance is written to: rows at once, the rest when they are finished."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ImportanceFolder"]

_GROUPS = {"stimulus": "the words of the stimulus", "method": "the words of the method"}
_OURS = ("importance.csv", "shares.csv", "positive.csv", "words.html", "words_*.*")


class ImportanceFolder:
    """Where the results of `promptlab importance` go.

    Every prompt's rows are in `importance.csv` before the next one is begun. What an earlier run
    left is removed with the first of them.

    Args:
        path: the folder; made if it is not there.

    Raises:
        UserError: it cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[pd.DataFrame] = []
        trial = path / f".{os.getpid()}.part"
        try:
            path.mkdir(parents=True, exist_ok=True)
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise self._error(error) from None

    def __len__(self) -> int:
        """Number of prompts written."""
        return len(self._rows)

    def add(self, rows: pd.DataFrame) -> None:
        """Write the rows of a prompt."""
        try:
            if not self._rows:
                for pattern in _OURS:
                    for old in self.path.glob(pattern):
                        old.unlink()
            with (self.path / "importance.csv").open("a", encoding="utf-8", newline="") as file:
                rows.to_csv(file, index=False, header=not self._rows)
        except OSError as error:
            raise self._error(error) from None
        self._rows.append(rows)

    def write_tables(self) -> Iterator[str]:
        """Write the shares of the words, and what they come to, in sentences."""
        from promptlab.analysis.export import write_table
        from promptlab.analysis.importance_shares import (
            positive_shares,
            share_sentence,
            word_shares,
        )

        found = self._found()
        shares = word_shares(found)
        write_table(shares, self.path / "shares.csv")
        yield from _sentences(shares)
        if found.loc[found["group"] == "stimulus", "positive"].any():
            positive = positive_shares(found)
            write_table(positive, self.path / "positive.csv")
            for measure in dict.fromkeys(positive["measure"]):
                rows = positive[positive["measure"] == measure]
                yield f"{measure}: {share_sentence(rows)}"

    def write_pictures(self) -> None:
        """Write the page, and the heat map of the first item."""
        from promptlab.analysis.figures import words
        from promptlab.analysis.style import figure_of
        from promptlab.report.pictures import save
        from promptlab.whitebox.highlighting import highlight

        found = self._found()
        page = '<!doctype html><meta charset="utf-8"><title>Word importance</title>'
        html = highlight(found, limit=200).html
        first = found.iloc[0]
        same = (
            found[["task", "shots", "instruction"]] == first[["task", "shots", "instruction"]]
        ).all(axis=1)
        try:
            (self.path / "words.html").write_text(page + html, encoding="utf-8")
            for measure in dict.fromkeys(found["measure"]):
                axes = words(found[same], measure=measure)
                save(figure_of(axes), self.path / f"words_{measure}")
        except OSError as error:
            raise self._error(error) from None

    def _found(self) -> pd.DataFrame:
        import pandas as pd

        return pd.concat(self._rows, ignore_index=True)

    def _error(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write to {self.path}: {error.strerror or error}; name another folder: "
            "--out FOLDER"
        )


def _sentences(shares: pd.DataFrame) -> Iterator[str]:
    """One for each measure, condition and group: over all tasks, or of the only one."""
    for group, name in _GROUPS.items():
        rows = shares[shares["group"] == group]
        for row in rows.drop_duplicates(["measure", "condition"], keep="last").to_dict("records"):
            if not row["share_of_words"]:
                continue  # the condition has no such word
            where = "all tasks" if row["task"] == "*" else row["task"]
            yield (
                f"{row['measure']}, {row['condition']}, {where}: {name} carry "
                f"{100 * row['share']:.0f} % of the importance ({_interval(row)}) and are "
                f"{100 * row['share_of_words']:.0f} % of the words"
            )


def _interval(row: dict[Any, Any]) -> str:
    if row["lower"] != row["lower"]:
        return "one item: no interval" if row["n_items"] == 1 else "no interval"
    low, high = 100 * row["lower"], 100 * row["upper"]
    return f"{100 * row['level']:g} % interval {low:.0f} to {high:.0f}"
