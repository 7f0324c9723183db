"""What a request will take, guessed before it is sent and learnt from what others took."""

from __future__ import annotations

from dataclasses import dataclass

from promptlab.types import Request, Response

__all__ = ["NOTHING", "Need", "Needs"]

_CHARACTERS_PER_TOKEN = 4.0
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True)
class Need:
    """What one attempt is expected to take, at most as far as can be said.

    Attributes:
        tokens: prompt and completion tokens.
        usd: US dollars.
        characters: length of the prompt.
        is_guess: the answer has no limit, and no other answer came yet to go by.
    """

    tokens: float = 0.0
    usd: float = 0.0
    characters: int = 0
    is_guess: bool = False


NOTHING = Need()
"""For models without a limit on tokens or money."""


class Needs:
    """Estimates of one model's requests.

    A prompt has a token for four characters, or more where the answers so far say so. An answer
    has as many tokens as its limit, or as the mean of the answers so far.

    Args:
        price: US dollars per (prompt, completion) token.
    """

    def __init__(self, price: tuple[float, float] | None) -> None:
        self._prompt_usd, self._completion_usd = price or (0.0, 0.0)
        self._guessed = self._counted = 0.0
        self._completion = 0
        self._answers = 0

    def of(self, request: Request) -> Need:
        """The estimate for one attempt."""
        characters = sum(len(m.content) for m in request.messages) + len(request.prompt or "")
        prompt = characters / _CHARACTERS_PER_TOKEN
        if self._counted > self._guessed:
            prompt *= self._counted / self._guessed
        completion, is_guess = 0.0, False
        if not request.choices:
            limits = [v for n in _LIMITS if isinstance(v := request.params.get(n), int | float)]
            if limits:
                completion = float(max(limits))
            elif self._answers:
                completion = self._completion / self._answers
            else:
                is_guess = True
        usd = prompt * self._prompt_usd + completion * self._completion_usd
        return Need(prompt + completion, usd, characters, is_guess)

    def learn(self, need: Need, response: Response) -> None:
        """An attempt took what its response says."""
        if response.prompt_tokens and need.characters:
            self._guessed += need.characters / _CHARACTERS_PER_TOKEN
            self._counted += response.prompt_tokens
        if response.completion_tokens is not None:
            self._completion += response.completion_tokens
            self._answers += 1

    def usd(self, response: Response) -> float:
        """What a response cost."""
        return (
            self._prompt_usd * (response.prompt_tokens or 0)
            + self._completion_usd * (response.completion_tokens or 0)
        )  # fmt: skip
