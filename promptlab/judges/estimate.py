"""What judging a run would cost at most, before the run has answers."""

from __future__ import annotations

from promptlab.estimate import CHARACTERS_PER_TOKEN, ModelEstimate, characters
from promptlab.judges.asking import price_of
from promptlab.judges.requests import ORDERS, Judge, request_about
from promptlab.judges.rubric import Rubric
from promptlab.plan import Plan
from promptlab.types import Item

__all__ = ["estimate_judging"]


def estimate_judging(plan: Plan, rubric: Rubric, judge: Judge) -> ModelEstimate:
    """Count what a judge is sent about every answer in words; each as long as it may become.

    Args:
        plan: of the run.
        rubric: what is asked.
        judge: whom.

    Returns:
        Its `cells` are 0, and `stored` too: what is in the store depends on the answers.

    Raises:
        UserError: the judge has a budget in dollars, and no known price.
    """
    shown = {"first": "", "second": ""} if rubric.pairs else {"answer": ""}
    orders = len(ORDERS) if rubric.pairs else 1
    around: dict[tuple[str, str], float] = {}

    def prompts(task: str, item: Item) -> float:
        """Tokens around the answers to an item, over the criteria."""
        if (task, item.item_id) not in around:
            asked = plan.draws[task].task
            sent = [request_about(asked, item, c, rubric, judge, shown) for c in rubric.criteria]
            around[task, item.item_id] = sum(map(characters, sent)) / CHARACTERS_PER_TOKEN
        return around[task, item.item_id]

    answers, tokens = 0, 0.0
    for model in plan.models:
        for planned in plan.requests(model):
            if planned.request.choices:
                continue
            answers += 1
            answer = int(planned.request.params.get("max_tokens") or 0)
            tokens += prompts(planned.cell.task, planned.item)
            tokens += answer * len(shown) * len(rubric.criteria)
    requests = answers * len(rubric.criteria) * orders
    longest = int(judge.spec.params.get("max_tokens") or rubric.card.max_tokens)
    replies = 0 if judge.how == "logprob" else requests * longest
    price = price_of(judge)
    return ModelEstimate(
        model=judge.label,
        cells=0,
        requests=requests,
        stored=0,
        prompt_tokens=round(tokens * orders),
        completion_tokens=replies,
        cost_usd=price[0] * tokens * orders + price[1] * replies if price else None,
    )
