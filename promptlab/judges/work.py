"""Judge a finished run: the judge's replies through the same store and runner, then its scores.

A judging is resumed by asking for it again: a reply that is in the store is not paid for twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from promptlab import settings
from promptlab.asking import OnProgress
from promptlab.conclude import analyse_run, report_run, update_status
from promptlab.errors import NothingScored, PromptlabError, StoreDamaged, UserError
from promptlab.judges import asking
from promptlab.judges.commission import Commission, StoreMode
from promptlab.judges.handle import Judging
from promptlab.judges.people import check_file
from promptlab.judges.rubric import Rubric, load_rubric
from promptlab.judges.summary import write_judge_report
from promptlab.loops import to_its_end
from promptlab.providers import Provider
from promptlab.repair import set_aside_and_rebuild
from promptlab.runner import Event
from promptlab.runs import Run, write_json
from promptlab.spec import ModelSpec

__all__ = ["ajudge_run", "judge_run"]

_LOGGER = logging.getLogger("promptlab")

Written = ModelSpec | Mapping[str, Any] | Path | str


def judge_run(
    run: Run | Path | str, judge: Written, rubric: Rubric | Path | str, **options: Any
) -> Judging:
    """`ajudge_run` as a plain function; also inside a running event loop."""
    return to_its_end(ajudge_run(run, judge, rubric, **options))


async def ajudge_run(
    run: Run | Path | str,
    judge: Written,
    rubric: Rubric | Path | str = "human_study",
    *,
    baseline: str | None = None,
    tasks: Sequence[str] = (),
    by: asking.By = "auto",
    set_values: Sequence[str] = (),
    store: StoreMode = "use",
    analysis: bool = True,
    people: Path | None = None,
    provider: Provider | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_progress: OnProgress | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_begun: Callable[[Judging], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Judging:
    """Have the answers of a run judged, and analyse the run again with the judge's scores.

    Args:
        run: a finished run, or the path of one.
        judge: model id, mapping as under `models` of a spec, or the path of such a YAML file.
        rubric: what to ask, the name of a built-in rubric, or the path of one's own.
        baseline: of pairs, the condition that the others are compared with; the analysis' own
            unless given.
        tasks: only these, and those that this judge has scores of already; every task whose
            answers are texts unless given.
        by: how verdicts are read: from log-probabilities (`logprob`), from the reply (`text`), or
            whichever the judge allows (`auto`).
        set_values: overrides `dotted.key=value` of the judge, such as `budget.usd=5`.
        store: as in a spec.
        analysis: also analyse and write the report again.
        people: people's ratings as a CSV file (`promptlab.judges.people`), to compare with; the run
            keeps a copy.
        provider: where replies come from, instead of the provider of the judge's id.
        on_event: called for every reply, failure and stop; should be quick.
        on_progress: called a few times a second while the judge is asked.
        on_stage: called with the name of each stage as it begins.
        on_begun: called with the handle before anything is asked.
        on_message: takes lines that a person should see; the logger `promptlab` unless given.

    Raises:
        UserError: a mistake, or a run that cannot be judged.
        SpecError: a mistake in the rubric or in the judge's file.
    """
    if people is not None:
        check_file(people)  # before anything is paid for
    tell, say = on_stage or (lambda name: None), on_message or _LOGGER.warning
    tell("planning")
    run = run if isinstance(run, Run) else Run(run)
    known = asking.as_judge(judge, by=by, set_values=set_values, provider=provider)
    checked = rubric if isinstance(rubric, Rubric) else load_rubric(rubric)
    work = Commission(run, known, checked, baseline, tasks)
    price = asking.price_of(known)
    with _alone(run):
        handle = work.begin()
        if on_begun:
            on_begun(handle)

        def stage(name: str) -> None:
            update_status(handle, stage=name)
            tell(name)

        try:
            stage("asking")
            try:
                await work.ask(handle, price, store, provider, on_event, on_progress, stage)
            except StoreDamaged as damage:
                if store not in ("use", "refresh"):
                    raise
                stage("mending")
                set_aside_and_rebuild(settings.store_path(), run.path.parent, say, damage=damage)
                stage("asking")
                await work.ask(handle, price, store, provider, on_event, on_progress, stage)
            stage("analysing")
            write_judge_report(run.path, people)
            if analysis:
                _conclude(run)
            update_status(handle, stage="done")
        except BaseException as error:
            _ended_early(handle, error)
            raise
    return handle


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Nobody else writes in the run directory meanwhile."""
    lock = FileLock(run.path / ".lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another process is working in {run.path.name}; wait for it to end"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write in {run.path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def _conclude(run: Run) -> None:
    """Analyse and report with the judge's scores; where none came there is nothing to say."""
    if len(run.conditions()) < 2:
        return
    try:
        analyse_run(run)
        report_run(run)
        without = {k: v for k, v in run.status.items() if k != "analysis"}
        write_json(run.path / "status.json", without)
    except NothingScored as error:
        update_status(run, analysis=str(error))


def _ended_early(handle: Judging, error: BaseException) -> None:
    """Say so in the status, which else goes on saying that it is running."""
    interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
    with suppress(OSError, UserError):  # a full disk may be what ended it
        if interrupted or handle.status["state"] == "running":
            said = {"error": str(error)} if isinstance(error, PromptlabError) else {}
            update_status(handle, state="interrupted", **said)
