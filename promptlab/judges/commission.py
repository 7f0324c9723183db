"""One judge, one rubric, one run: what is asked is laid out, asked, and written as tables."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from promptlab import settings
from promptlab.asking import OnProgress, SpentJournal, spent_before, watching
from promptlab.conclude import plan_of, update_status
from promptlab.errors import SpecError, UnknownName, UserError
from promptlab.files import write_private
from promptlab.judges import asking
from promptlab.judges.handle import Judging, answers_digest, folder_name, held
from promptlab.judges.requests import (
    Answer,
    Inquiry,
    Judge,
    answers_of,
    inquiries,
    judgeable,
    request_about,
)
from promptlab.judges.rubric import Rubric
from promptlab.judges.tables import protocol, write_judged
from promptlab.plan import Plan
from promptlab.progress import Tally
from promptlab.providers import Provider
from promptlab.runner import Event, Outcome, execute
from promptlab.runs import Run, write_json
from promptlab.store import Store

__all__ = ["Commission", "StoreMode"]

StoreMode = Literal["use", "refresh", "off", "replay"]

_SPENDING = ("answer", "failed", "retry")


class Commission:
    """One judge, one rubric, one run."""

    def __init__(
        self, run: Run, judge: Judge, rubric: Rubric, baseline: str | None, tasks: Sequence[str]
    ) -> None:
        self.run, self.judge, self.rubric = run, judge, rubric
        self.responses = run.path / "responses.parquet"
        if not self.responses.is_file():
            raise UserError(
                f"{run.path.name} has no responses yet (state: {run.status.get('state')}); "
                "run the spec again to finish it"
            )
        self.plan: Plan = plan_of(run)
        if self.plan.spec.experiment.race is not None:
            raise UserError(
                f"{run.path.name} is a race: what it asked depends on the scores it raced by; "
                "judge a run with 'design: full'"
            )
        if baseline is not None and not rubric.pairs:
            raise UserError(
                f"'{rubric.name}' rates each answer for itself and has no baseline; leave "
                "--baseline out, or compare pairs: --rubric pairwise"
            )
        self.baseline = self._checked_baseline(baseline) if rubric.pairs else ""
        self.versus = "" if self.baseline in ("", run.analysis.baseline) else self.baseline
        self.tasks = judgeable(self.plan, tasks, run.path.name)

    def _checked_baseline(self, baseline: str | None) -> str:
        names = [c.id for c in self.plan.conditions]
        chosen = baseline or self.run.analysis.baseline
        if chosen not in names:
            raise UnknownName("condition", chosen, names, f"conditions: {', '.join(names)}")
        if len(names) < 2:
            raise UserError(f"pairs need another condition beside '{chosen}'")
        return chosen

    def inquiries(self) -> Iterator[Inquiry]:
        """Everything there is to ask, drawn anew each time."""
        return inquiries(
            *(self.plan, self.responses, self.rubric, self.judge),
            baseline=self.baseline,
            tasks=self.tasks,
        )

    def _baselines(self) -> Iterator[Answer]:
        if not self.rubric.pairs:
            return iter(())
        found = answers_of(self.plan, self.responses, self.tasks)
        return (answer for answer in found if answer.condition == self.baseline)

    def begin(self) -> Judging:
        """Lay out the folder: what is asked is on disk before anything is asked.

        Raises:
            UserError: another rubric or another way of reading has these protocols already, or
                nothing is left to ask.
            SpecError: a prompt cannot be shown for an item.
        """
        judge, folder = self.judge, self.run.path / "judges" / folder_name(self._facts())
        before = Judging(folder).facts if (folder / "judging.json").is_file() else {}
        holds = before.get("holds") if (folder / "scores.parquet").is_file() else None
        if holds:
            self._refuse_another(before, folder)
            self.tasks |= set(holds["tasks"]) & judgeable(self.plan, (), self.run.path.name)
        planned = self._planned()
        created = before.get("created") or datetime.now(UTC).isoformat(timespec="microseconds")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(folder / "rubric.yaml", self.rubric.document.text.encode())
            facts = {**self._facts(), "created": created, "holds": holds}
            write_json(folder / "judging.json", facts)
        except OSError as error:
            raise UserError(f"cannot write in {folder}: {error.strerror or error}") from None
        handle = Judging(folder)
        spent = {label: asdict(s) for label, s in spent_before(handle).items()}
        budget = asking.budget_of(judge)
        write_json(
            folder / "status.json",
            {
                "state": "running",
                "planned": planned,
                "spent": spent,
                "budget": None,
                "budget_of": {judge.label: asdict(budget)} if budget else {},
            },
        )
        return handle

    def _facts(self) -> dict[str, Any]:
        """What is asked, of whom, about what, as JSON-ready data."""
        card, rubric, judge = self.rubric.card, self.rubric, self.judge
        names = [rubric.decisive, *(c.name for c in rubric.criteria)]
        return {
            "rubric": {
                "name": rubric.name,
                "version": card.version,
                "sha256": rubric.digest,
                "source": card.source,
                "pairs": rubric.pairs,
                "truncated": card.truncated,
                "criteria": {
                    c.name: {
                        "labels": list(c.labels),
                        "ordered": c.ordered,
                        "range": None if rubric.pairs else list(c.range),
                    }
                    for c in rubric.criteria
                },
                "overall": card.overall.model_dump() if card.overall else None,
            },
            "judge": asking.described(judge),
            "baseline": self.baseline,
            "tasks": sorted(self.tasks),
            "protocols": [
                protocol(rubric, n, judge.label, self.versus) for n in dict.fromkeys(names)
            ],
        }

    def _refuse_another(self, before: Mapping[str, Any], folder: Path) -> None:
        """Scores under one protocol come from one rubric, read in one way."""
        name, label = self.rubric.name, self.judge.label
        remove = f"or remove the earlier scores: rm -r {shlex.quote(str(folder))}"
        if before["rubric"]["sha256"] != self.rubric.digest:
            raise UserError(
                f"{label} has judged {self.run.path.name} under another rubric '{name}' (version "
                f"{before['rubric']['version']}, {folder / 'rubric.yaml'}); both would have the "
                f"same protocol. Change 'name' in this rubric, {remove}"
            )
        if (earlier := before["judge"]["read_by"]) != self.judge.how:
            raise UserError(
                f"the verdicts of {label} under '{name}' were read by {earlier}, and now by "
                f"{self.judge.how}; both would have the same protocol. Add --by {earlier}, name "
                f"the judge otherwise (--set name=NAME), {remove}"
            )

    def _planned(self) -> int:
        """Number of inquiries; each is rendered, so that a mistake shows before anything is kept.

        Raises:
            UserError: no pair has both its answers.
            SpecError: a prompt cannot be shown; names the tasks that the rubric fits.
        """
        planned, alone = 0, 0
        try:
            for inquiry in self.inquiries():
                planned += 1
                alone += inquiry.unasked == "no_baseline"
        except SpecError as error:
            raise SpecError(
                f"{error.message}; {self._where_it_fits()}",
                path=error.path,
                line=error.line,
                key=error.key,
            ) from None
        if self.rubric.pairs and planned == alone:
            raise UserError(
                f"no answer of {self.run.path.name} has one of '{self.baseline}' to the same item "
                "to be compared with; choose another condition: --baseline CONDITION"
            )
        return planned

    def _where_it_fits(self) -> str:
        """What to type to judge the tasks for whose items the rubric can be shown."""
        every = judgeable(self.plan, (), self.run.path.name)
        fits = sorted(task for task in every if self._fits(task))
        if not fits:
            return f"'{self.rubric.name}' fits no task of {self.run.path.name}"
        suites = [task.split("/", 1)[0] for task in fits]
        whole = {s for s in suites if all(t in fits for t in every if t.split("/", 1)[0] == s)}
        names = dict.fromkeys(
            f"{suite}/*" if suite in whole else task
            for suite, task in zip(suites, fits, strict=True)
        )
        return "to judge the tasks that it fits, add " + " ".join(f"--task '{n}'" for n in names)

    def _fits(self, task: str) -> bool:
        shown = dict.fromkeys(("first", "second") if self.rubric.pairs else ("answer",), "-")
        drawn = self.plan.draws[task]
        try:
            for item in drawn.items:
                for criterion in self.rubric.criteria:
                    request_about(drawn.task, item, criterion, self.rubric, self.judge, shown)
        except SpecError:
            return False
        return True

    async def ask(
        self,
        handle: Judging,
        price: tuple[float, float] | None,
        mode: StoreMode,
        provider: Provider | None,
        on_event: Callable[[Event], None] | None,
        on_progress: OnProgress | None,
        stage: Callable[[str], None],
    ) -> None:
        """Get the replies and write the tables."""
        started, label, outcome = time.monotonic(), self.judge.label, Outcome()
        total = sum(1 for _ in asking.asks(self.inquiries(), self.judge))
        tally = Tally({label: total}, {label: price}, {})
        spent = spent_before(handle)
        journal = SpentJournal(handle.path / "spent.jsonl") if self.judge.spec.budget else None

        def heard(event: Event) -> None:
            tally.event(event)
            if journal is not None and event.kind in _SPENDING:
                journal.add(event.model, outcome.spent[event.model])
            if on_event is not None:
                on_event(event)

        with Store(settings.store_path(), mode=mode) as store:
            async with watching(handle, tally, outcome, journal, on_progress) as log:
                await execute(
                    {label: asking.asks(self.inquiries(), self.judge)},
                    store=store,
                    provider_for=(lambda _: provider)
                    if provider is not None
                    else asking.provider_of(self.judge),
                    options=asking.options(self.judge, price, spent),
                    on_event=heard,
                    on_log=log,
                    outcome=outcome,
                )
            stage("writing")
            answers = answers_digest(self.run.path)
            counts = write_judged(
                self.inquiries(),
                self._baselines(),
                rubric=self.rubric,
                judge=self.judge,
                versus=self.versus,
                store=store,
                failures=outcome.failures,
                folder=handle.path,
            )
        holds = {**held(handle.facts), "answers": answers}
        handle.facts = {**handle.facts, "holds": holds}
        write_json(handle.path / "judging.json", handle.facts)
        update_status(handle, **_status(outcome, counts, price, time.monotonic() - started))


def _status(
    outcome: Outcome,
    counts: Mapping[str, int],
    price: tuple[float, float] | None,
    wall_s: float,
) -> dict[str, Any]:
    unfinished = sum(counts.get(status, 0) for status in ("error", "missing", "empty"))
    asked = [c for c in outcome.models.values() if c.answered]
    cost = None
    if price is not None:
        cost = sum(
            (price[0] * c.prompt_tokens + price[1] * c.completion_tokens for c in asked), 0.0
        )
    return {
        "state": "incomplete" if unfinished or outcome.stopped else "complete",
        "responses": dict(counts),
        "asked": sum(c.answered for c in asked),
        "from_store": sum(c.from_store + c.shared for c in outcome.models.values()),
        "cost_usd": cost if asked else 0.0,
        "stopped": {label: asdict(stop) for label, stop in outcome.stopped.items()},
        "wall_s": round(wall_s, 3),
    }
