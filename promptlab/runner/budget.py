"""Budgets: arithmetic of what is spent, what requests in flight may still take, and what is left.

A request is let through only if everything spent, everything that those in flight may take, and
its own estimate stay within the budget. Requests are counted exactly; tokens and dollars as well
as answers can be foretold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from promptlab.errors import UserError
from promptlab.runner.needs import Need
from promptlab.runner.records import Budget, Outcome, RunnerOptions, Spent

__all__ = ["Account", "Purse", "accounts_of"]

_CLOSE_ENOUGH = 1e-9


class Purse:
    """One budget, of a run or of a model.

    Args:
        budget: what may be spent.
        spent: what was spent before.
        owner: whose budget it is, for messages: `this run`, or a model's label.

    Attributes:
        in_flight: requests that were let through and have not landed.
        waiting: called when something lands, each once; for those that found no room.
    """

    def __init__(self, budget: Budget, spent: Iterable[Spent], owner: str) -> None:
        self._budget, self._owner = budget, owner
        self._spent = Spent()
        for one in spent:
            self._spent.usd += one.usd
            self._spent.tokens += one.tokens
            self._spent.requests += one.requests
        self._reserved_usd = self._reserved_tokens = 0.0
        self.in_flight = 0
        self.waiting: set[Callable[[], None]] = set()

    def has_room(self, need: Need) -> bool:
        """Whether one more request with this need stays within the budget."""
        budget, spent = self._budget, self._spent
        if budget.requests is not None and spent.requests >= budget.requests:
            return False
        if budget.tokens is None and budget.usd is None:
            return True
        if need.is_guess and self.in_flight:
            return False  # the first answer shows how long answers are
        return (
            budget.tokens is None
            or spent.tokens + self._reserved_tokens + need.tokens <= budget.tokens
        ) and (
            budget.usd is None
            or spent.usd + self._reserved_usd + need.usd <= budget.usd + _CLOSE_ENOUGH
        )

    def take(self, need: Need) -> None:
        """A request was sent."""
        self._spent.requests += 1
        self._reserved_tokens += need.tokens
        self._reserved_usd += need.usd
        self.in_flight += 1

    def settle(self, need: Need, tokens: int, usd: float) -> None:
        """A request landed and took so much."""
        self.in_flight -= 1
        self._spent.tokens += tokens
        self._spent.usd += usd
        if self.in_flight:
            self._reserved_tokens -= need.tokens
            self._reserved_usd -= need.usd
        else:
            self._reserved_tokens = self._reserved_usd = 0.0
        waiting, self.waiting = self.waiting, set()
        for call in waiting:
            call()

    def unsend(self, requests: int) -> None:
        """So many requests that were taken have landed without being sent."""
        self._spent.requests -= requests

    def used_up(self, need: Need) -> str:
        """One line that says what was spent, of what, and why the next request is not sent."""
        budget, spent = self._budget, self._spent
        parts = []
        if budget.requests is not None and spent.requests >= budget.requests:
            parts.append(f"{spent.requests:,} of {budget.requests:,} requests are sent")
        if budget.tokens is not None and spent.tokens + need.tokens > budget.tokens:
            parts.append(
                f"{spent.tokens:,} of {budget.tokens:,} tokens are spent"
                + _and_needs(budget.tokens - spent.tokens, f"{need.tokens:,.0f}")
            )
        if budget.usd is not None and spent.usd + need.usd > budget.usd:
            parts.append(
                f"{_usd(spent.usd)} of {_usd(budget.usd)} US dollars are spent"
                + _and_needs(budget.usd - spent.usd, _usd(need.usd))
            )
        return f"the budget of {self._owner} is used up: {' and '.join(parts)}"


class Account:
    """What one model spends, and the purses it is paid from.

    Args:
        spent: filled in place.
        purses: budgets that must have room, the model's own and the run's.
    """

    def __init__(self, spent: Spent, purses: Iterable[Purse] = ()) -> None:
        self.spent, self.purses = spent, tuple(purses)

    def without_room(self, need: Need) -> Purse | None:
        """A purse that has no room for a request; None if all have."""
        return next((purse for purse in self.purses if not purse.has_room(need)), None)

    def take(self, need: Need) -> None:
        """A request was sent."""
        self.spent.requests += 1
        for purse in self.purses:
            purse.take(need)

    def unsend(self, requests: int) -> None:
        """So many requests that were taken have landed without being sent."""
        self.spent.requests -= requests
        for purse in self.purses:
            purse.unsend(requests)

    def settle(self, need: Need, tokens: int = 0, usd: float = 0.0) -> None:
        """A request landed and took so much."""
        self.spent.tokens += tokens
        self.spent.usd += usd
        for purse in self.purses:
            purse.settle(need, tokens, usd)


def accounts_of(
    labels: Iterable[str], options: RunnerOptions, outcome: Outcome
) -> dict[str, Account]:
    """An account for each model; `outcome.spent` is what they write in.

    Args:
        labels: of the models.
        options: budgets, prices, and what earlier calls of the same run have spent.
        outcome: of the run.

    Raises:
        UserError: a budget in US dollars, and a model without a price.
    """
    labels, none = list(labels), Budget()
    for label in {*labels, *options.spent}:
        outcome.spent[label] = replace(options.spent.get(label, Spent()))
    common = Purse(options.budget, outcome.spent.values(), "this run")
    accounts = {}
    for label in labels:
        own = options.budget_of.get(label, none)
        if label not in options.price_of and (options.budget.usd, own.usd) != (None, None):
            raise UserError(
                f"a budget in US dollars needs the price of {label}, which is not known; give "
                "its price, or a budget of tokens or requests"
            )
        purses = [Purse(own, [outcome.spent[label]], label)] * (own != none)
        purses += [common] * (options.budget != none)
        accounts[label] = Account(outcome.spent[label], purses)
    return accounts


def _and_needs(left: float, need: str) -> str:
    return f", and the next request may take {need}" if left > 0 else ""


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.4g}"
