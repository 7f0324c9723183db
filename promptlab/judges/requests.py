"""What a judge is asked about a run: one request for each answer, criterion and order.

The judge sees what was asked (the task's own instruction and the item), the answer or both answers,
and what the rubric shows of the item. It never sees the condition, the stimulus or which of two
answers is the baseline's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from promptlab.errors import SpecError, UnknownName, UserError
from promptlab.judges.rubric import Criterion, Rubric
from promptlab.keys import canonical_request, key_of
from promptlab.parquet import read_rows
from promptlab.plan import Plan
from promptlab.spec import ModelSpec
from promptlab.tables import ABSENT
from promptlab.tasks import Task
from promptlab.types import Item, Message, Request, Style

__all__ = [
    "ORDERS",
    "Answer",
    "Inquiry",
    "Judge",
    "Unasked",
    "answers_of",
    "inquiries",
    "judgeable",
    "request_about",
]

ORDERS = ("baseline_first", "baseline_second")
"""Both orders in which a pair is shown."""

_COLUMNS = (
    *("model", "task", "condition", "shots", "instruction", "replicate", "item_id", "step"),
    *("status", "text"),
)
_CONTINUED = ("ok", "truncated")

QUESTIONS = "truthfulqa"
"""The template of tasks whose items are questions by themselves: `Q: ... A:`."""

How = Literal["logprob", "text"]
Unasked = Literal["", "no_answer", "no_baseline", "equal"]


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that judges.

    Attributes:
        spec: the model and how to reach it.
        endpoint: what goes into `Request.endpoint`.
        style: messages or plain text.
        how: how its verdict is read: from the log-probabilities of the labels, or from its text.
    """

    spec: ModelSpec
    endpoint: str | None
    style: Style
    how: How

    @property
    def label(self) -> str:
        """Name in protocols and tables."""
        return self.spec.label


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the run, with its place."""

    model: str
    task: str
    condition: str
    shots: int
    instruction: str
    replicate: int
    item: Item
    status: str
    text: str

    @property
    def place(self) -> tuple[Any, ...]:
        """What it shares with the other conditions' answers to the same item."""
        return (
            self.model,
            self.task,
            self.shots,
            self.instruction,
            self.replicate,
            self.item.item_id,
        )

    def can_be_judged(self, rubric: Rubric) -> bool:
        """Whether there is an answer that the rubric takes."""
        taken = ("ok", "truncated") if rubric.card.truncated == "judge" else ("ok",)
        return self.status in taken and bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One question to the judge; without a request where there is nothing to judge.

    Attributes:
        answer: the answer; of a pair, the condition's.
        baseline: of a pair, the baseline's answer.
        criterion: what is judged.
        order: of a pair, one of `ORDERS`; empty otherwise.
        versus: of a pair, the condition of the baseline.
        unasked: why nothing is sent: there is no answer to judge (`no_answer`), the baseline did
            not answer that item at all (`no_baseline`), or both answers of a pair are the same
            text (`equal`), which is a tie whatever a judge says.
        request: what is sent.
        canonical: what identifies the request.
        hash: its key.
    """

    answer: Answer
    baseline: Answer | None
    criterion: Criterion
    order: str
    versus: str = ""
    unasked: Unasked = "no_answer"
    request: Request | None = None
    canonical: bytes = b""
    hash: str = ""


def answers_of(plan: Plan, path: Path, tasks: frozenset[str] | None = None) -> Iterator[Answer]:
    """The final answers in a run's table of responses, in its order.

    Args:
        plan: the run's plan, for the items.
        path: of the table.
        tasks: only these.
    """
    items = {task: {i.item_id: i for i in draw.items} for task, draw in plan.draws.items()}
    two_steps = {c.id for c in plan.conditions if plan.has_second_call(c)}
    try:
        for (
            model,
            task,
            condition,
            shots,
            wording,
            replicate,
            item_id,
            step,
            status,
            text,
        ) in read_rows(path, _COLUMNS, ABSENT):
            if tasks is not None and task not in tasks:
                continue
            if condition in two_steps and step == 0 and status in _CONTINUED:
                continue  # the second call's answer is the one that counts
            item = items[task][item_id]
            yield Answer(
                model, task, condition, shots, wording, replicate, item, status, text or ""
            )
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); run the spec again") from None


def inquiries(
    plan: Plan,
    path: Path,
    rubric: Rubric,
    judge: Judge,
    *,
    baseline: str,
    tasks: frozenset[str] | None = None,
) -> Iterator[Inquiry]:
    """Everything that a judge is asked about a run, answer by answer.

    Args:
        plan: the run's plan.
        path: of the table of responses.
        rubric: what to ask.
        judge: whom.
        baseline: of pairs, the condition that the others are compared with.
        tasks: only these.

    Raises:
        SpecError: a prompt cannot be rendered for an item.
    """
    if not rubric.pairs:
        for number, answer in enumerate(answers_of(plan, path, tasks), start=1):
            for criterion in rubric.criteria:
                inquiry = Inquiry(answer, None, criterion, "")
                if answer.can_be_judged(rubric):
                    shown = {"answer": answer.text.strip()}
                    inquiry = _sent(inquiry, plan, rubric, judge, shown, number)
                yield inquiry
        return
    others = {
        answer.place: answer
        for answer in answers_of(plan, path, tasks)
        if answer.condition == baseline
    }
    for number, answer in enumerate(answers_of(plan, path, tasks), start=1):
        if answer.condition == baseline:
            continue
        other = others.get(answer.place)
        unasked = _unasked(answer, other, rubric)
        for criterion in rubric.criteria:
            for order in ORDERS:
                inquiry = Inquiry(answer, other, criterion, order, baseline, unasked)
                if other is not None and not unasked:
                    texts = [other.text.strip(), answer.text.strip()]
                    first, second = texts if order == ORDERS[0] else reversed(texts)
                    shown = {"first": first, "second": second}
                    inquiry = _sent(inquiry, plan, rubric, judge, shown, number)
                yield inquiry


def _unasked(answer: Answer, other: Answer | None, rubric: Rubric) -> Unasked:
    """Why a pair is not asked about; empty if it is."""
    if other is None:
        return "no_baseline"
    if not (answer.can_be_judged(rubric) and other.can_be_judged(rubric)):
        return "no_answer"
    return "equal" if answer.text.strip() == other.text.strip() else ""


def _sent(
    inquiry: Inquiry,
    plan: Plan,
    rubric: Rubric,
    judge: Judge,
    shown: Mapping[str, str],
    number: int,
) -> Inquiry:
    answer, criterion = inquiry.answer, inquiry.criterion
    task = plan.draws[answer.task].task
    try:
        request = request_about(task, answer.item, criterion, rubric, judge, shown, number)
    except SpecError as error:
        raise criterion.template.error(
            f"cannot be shown for {answer.task}, item {answer.item.item_id}: {error.message}"
        ) from None
    canonical = canonical_request(request)
    return replace(
        inquiry, unasked="", request=request, canonical=canonical, hash=key_of(canonical)
    )


def judgeable(plan: Plan, wanted: Sequence[str], run: str) -> frozenset[str]:
    """Tasks whose answers are texts: a choice by log-probability is none.

    Args:
        plan: the run's plan.
        wanted: ids or globs; all tasks if there are none.
        run: name of the run, for messages.

    Raises:
        UnknownName: nothing matches one of them.
        UserError: no answer of these tasks is a text.
    """
    known = list(plan.draws)
    for pattern in wanted:
        if not any(fnmatchcase(task, pattern) for task in known):
            raise UnknownName("task", pattern, known, f"tasks: {', '.join(known)}")
    chosen = frozenset(
        task
        for task in known
        if (not wanted or any(fnmatchcase(task, pattern) for pattern in wanted))
        and not any(plan.by_logprob(model, task) for model in plan.models)
    )
    if not chosen:
        which = " of these tasks" if wanted else ""
        raise UserError(
            f"{run} has no answers in words{which}: they are graded by the log-probabilities of "
            "their choices"
        )
    return chosen


def request_about(
    task: Task,
    item: Item,
    criterion: Criterion,
    rubric: Rubric,
    judge: Judge,
    shown: Mapping[str, str],
    number: int = 1,
) -> Request:
    """What a judge is sent about an item.

    Args:
        task: whose instruction is shown, as its card gives it.
        item: the question.
        criterion: what is judged.
        rubric: of the criterion.
        judge: whom.
        shown: the answer, or of a pair the first and the second.
        number: of the answer, for messages.

    Raises:
        SpecError: the prompt cannot be rendered for the item.
    """
    variables = {
        "question": item.input,
        "instruction": task.card.instruction.strip(),
        "is_question": task.card.template == QUESTIONS,
        "references": list(item.answers),
        "fields": dict(item.fields),
        **shown,
    }
    prompt = criterion.template.text(variables, number)
    messages: tuple[Message, ...] = ()
    if judge.style == "chat":
        system = (Message("system", rubric.card.system),) if rubric.card.system else ()
        messages = (*system, Message("user", prompt))
    params = {"temperature": 0, "max_tokens": rubric.card.max_tokens, **judge.spec.params}
    return Request(
        model=judge.spec.id,
        messages=messages,
        prompt=None if messages else prompt,
        choices=criterion.labels if judge.how == "logprob" else (),
        params={} if judge.how == "logprob" else params,  # of log-probabilities nothing is sampled
        endpoint=judge.endpoint,
    )
