"""The handle on a judging: what one judge was asked about one run under one rubric.

RUN/judges/<rubric>_<judge>_<hash>/
    judging.json  rubric.yaml  status.json  log.jsonl
    judgements.parquet  scores.parquet
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError, did_you_mean
from promptlab.runs import read_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Judging",
    "answers_digest",
    "folder_name",
    "held",
    "judge_sentences",
    "judge_warnings",
    "judgements",
    "list_judgings",
    "reply_keys",
]


_NO_VERDICT_NEEDED = ("ok", "no_answer", "no_baseline", "equal")


class Judging:
    """One judge's work on a run: its replies, its scores, its status.

    Attributes:
        path: the folder.
        facts: rubric, judge, baseline and tasks; under `holds`, what the tables are about.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.facts: dict[str, Any] = read_json(path / "judging.json")

    @property
    def judge(self) -> str:
        """Label of the judge."""
        return str(self.facts["judge"]["label"])

    @property
    def rubric(self) -> str:
        """Name of the rubric."""
        return str(self.facts["rubric"]["name"])

    @property
    def status(self) -> dict[str, Any]:
        """State, counts of replies by status, what was spent."""
        path = self.path / "status.json"
        return read_json(path) if path.is_file() else {"state": "running"}

    @property
    def protocols(self) -> list[str]:
        """Scoring protocols that this judging gives the run; the first is the decisive one."""
        return list(self.facts["protocols"])

    def judgements(self) -> pd.DataFrame:
        """The judge's replies: one row for each answer, criterion and order."""
        return self._table("judgements")

    def scores(self) -> pd.DataFrame:
        """Its scores, in the columns of the run's table of scores."""
        return self._table("scores")

    @property
    def is_stale(self) -> bool:
        """Whether the tables hold something else than what the judge is to be asked now.

        The answers of the run have changed since, or a later judging of other tasks, or by another
        judge of that name, did not come to its end.
        """
        if not (self.path / "scores.parquet").is_file():
            return False
        return self.answers_changed or any(
            self.facts["holds"][name] != now for name, now in held(self.facts).items()
        )

    @property
    def answers_changed(self) -> bool:
        """Whether the run's answers are no longer those that the tables are about."""
        holds = self.facts.get("holds") or {}
        return bool(
            (self.path / "scores.parquet").is_file()
            and holds.get("answers") != answers_digest(self.path.parent.parent)
        )

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        path = self.path / f"{name}.parquet"
        if not path.is_file():
            raise UserError(
                f"{self.path.name} has no {name} yet (state: {self.status.get('state')}); "
                "run promptlab judge again to finish it"
            )
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); run promptlab judge again") from None

    def __repr__(self) -> str:
        return f"<Judging by {self.judge} under {self.rubric}: {self.status.get('state')}>"


def list_judgings(run: Path, *, finished: bool = False) -> list[Judging]:
    """Judgings of a run, oldest first.

    Args:
        run: the run directory.
        finished: only those that have tables.
    """
    found = [Judging(p.parent) for p in sorted((run / "judges").glob("*/judging.json"))]
    if finished:
        found = [j for j in found if (j.path / "scores.parquet").is_file()]
    return sorted(found, key=lambda j: (j.facts["created"], j.path.name))


def judgements(run: Path) -> pd.DataFrame:
    """The replies of all judges of a run.

    Raises:
        UserError: no judge was asked.
    """
    import pandas as pd

    tables = [j.judgements() for j in list_judgings(run, finished=True)]
    if not tables:
        raise UserError(f"{run.name} was not judged yet; type: promptlab judge {run} --judge MODEL")
    frame = pd.concat(tables, ignore_index=True)
    return frame.astype(
        {c: "str" for c in frame if isinstance(frame[c].dtype, pd.CategoricalDtype)}
    )


def judge_warnings(run: Path) -> list[str]:
    """What a reader of the run must know of its judges."""
    found = []
    for judging in list_judgings(run):
        who = f"{judging.judge} under {judging.rubric}"
        counts = judging.status.get("responses", {})
        unread = sum(n for status, n in counts.items() if status not in _NO_VERDICT_NEEDED)
        alone = counts.get("no_baseline", 0)
        if judging.answers_changed:
            found.append(f"{who}: the answers have changed since; run promptlab judge again")
        elif judging.is_stale or judging.status.get("state") != "complete":
            found.append(f"{who}: this judging is not complete; run promptlab judge again")
        if unread:
            found.append(f"{who}: {unread:,} of {sum(counts.values()):,} verdicts are missing")
        if alone:
            found.append(
                f"{who}: {alone:,} comparisons lack an answer of '{judging.facts['baseline']}' "
                "and were not made"
            )
    return found + _unknown_protocol(run)


def _unknown_protocol(run: Path) -> list[str]:
    """A protocol of a judge that the spec names and no judging has given."""
    from promptlab.spec import load_spec

    wanted = load_spec(run / "spec.yaml").experiment.scoring.protocol or ""
    given = [p for judging in list_judgings(run) for p in judging.protocols]
    if not wanted.startswith("judge:") or any(wanted in (p, p.rpartition("@")[0]) for p in given):
        return []
    guess = did_you_mean(wanted, [p.rpartition("@")[0] for p in given])
    return [f"the spec names '{wanted}', which no judge has given yet{guess}"]


def judge_sentences(run: Path) -> list[str]:
    """What the table of the judges says, for the report; empty without judges."""
    import pandas as pd

    path = run / "judges" / "report.parquet"
    if not path.is_file():
        return []
    return [f"{sentence}." for sentence in pd.read_parquet(path)["sentence"]]


def reply_keys(run: Path) -> set[str]:
    """Keys of the requests that the judges of a run have replied to."""
    keys: set[str] = set()
    for judging in list_judgings(run, finished=True):
        table = judging.judgements()
        keys |= set(table.loc[table["status"].isin(["ok", "unread"]), "request_hash"])
    return keys


def folder_name(facts: Mapping[str, Any]) -> str:
    """Name of the folder of a judging: the same rubric, judge and baseline share one."""
    label, pair = facts["judge"]["label"], facts["baseline"]
    identity = "\0".join((facts["rubric"]["name"], label, pair))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", label).strip("-.")[:40]
    return f"{facts['rubric']['name']}_{plain}_{digest}"


def held(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the tables of a judging hold when it is done: rubric, judge and tasks.

    It is written beside them, with the digest of the answers, when they are.
    """
    judge = {k: v for k, v in facts["judge"].items() if k != "budget"}
    return {"rubric": facts["rubric"]["sha256"], "judge": judge, "tasks": list(facts["tasks"])}


def answers_digest(run: Path) -> str:
    """SHA-256 of a run's table of responses."""
    return hashlib.sha256((run / "responses.parquet").read_bytes()).hexdigest()
