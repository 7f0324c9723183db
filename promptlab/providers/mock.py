"""Models that are not there: for rehearsals and tests, without a network or a key.

| id | answers |
|---|---|
| `mock/echo` | with the item's own text |
| `mock/words?n=3` | with n words, always the same for the same request |
| `mock/constant:TEXT` | TEXT, always; of choices, the one that is TEXT |
| `mock/skilled?p=0.7` | right for a share p of the items, the same items under every condition |

Further settings: `seed=1` for other answers, `latency_ms=50` for a slow model; joined by `&`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from promptlab.errors import ProviderError, UnknownName, UserError
from promptlab.keys import request_hash
from promptlab.providers.base import Provider
from promptlab.providers.replies import status_of
from promptlab.types import Request, Response

__all__ = ["KINDS", "MockProvider", "item_text"]

KINDS = ("echo", "words", "constant", "skilled")
_SETTINGS = {"seed": int, "latency_ms": float, "n": int, "p": float}
_MOST_HISTORY = 10_000
# fmt: off
_WORDS = (
    "amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "hazel", "inlet", "jetty",
    "knoll", "larch", "meadow", "nectar", "orchard", "pebble", "quartz", "ridge", "spruce",
    "thicket", "umber", "valley", "willow", "yarrow", "zephyr",
)
# fmt: on
_LABEL = re.compile(r"[A-Z][A-Za-z ]{0,20}:")
_REPLY = re.compile(r"\n(?:Output|Answer|A):")
_QUERY = re.compile(r"(?:^|\n)(?:Input|Q|Question|Sentence|Text): ?")


class MockProvider(Provider):
    """A scripted or seeded model.

    Args:
        model: an id of the table above.
        answers: answers instead: a function of the request, or a mapping from a prompt (the last
            message) to its answer.
        known: the right answers to a request, for `mock/skilled`; None if there are none.
        latency_ms: how long each answer takes; the id's own setting wins.

    Attributes:
        history: the requests asked, oldest first (the last 10,000 of them).

    Raises:
        UserError: the id is none of the table above.
    """

    scores_choices = True

    def __init__(
        self,
        model: str = "mock/words",
        *,
        answers: Callable[[Request], str] | Mapping[str, str] | None = None,
        known: Callable[[Request], Sequence[str] | None] | None = None,
        latency_ms: float = 0.0,
    ) -> None:
        self._kind, self._constant, self._settings = _parsed(model)
        self._answers, self._known = answers, known
        self._latency_s = self._settings.get("latency_ms", latency_ms) / 1000
        self._seed = self._settings.get("seed", 0)
        self._script: deque[str | Response | Exception] = deque()
        self.history: deque[Request] = deque(maxlen=_MOST_HISTORY)

    def enqueue(self, answers: Iterable[str | Response | Exception]) -> None:
        """What to answer next, in order: texts, whole responses, or errors to raise."""
        self._script.extend(answers)

    async def ask(self, request: Request, *, shared_prefix: str = "") -> Response:
        """The scripted answer, else the seeded one."""
        self.history.append(request)
        started = time.perf_counter()
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        logprobs: tuple[float, ...] = ()
        if self._script:
            scripted = self._script.popleft()
            if isinstance(scripted, Exception):
                raise scripted
            if isinstance(scripted, Response):
                return scripted
            text = scripted
        elif request.choices:
            logprobs = self._logprobs(request)
            text = request.choices[logprobs.index(max(logprobs))]
        else:
            text = self._text(request)
        finish_reason = "stop"
        return Response(
            status=status_of(text, finish_reason),
            text=text,
            finish_reason=finish_reason,
            choice_logprobs=logprobs,
            prompt_tokens=len(_prompt(request).split()),
            completion_tokens=len(text.split()),
            served_model=request.model,
            fingerprint="mock",
            latency_s=round(time.perf_counter() - started, 4),
            created=round(time.time(), 3),
        )

    def _text(self, request: Request) -> str:
        if callable(self._answers):
            return self._answers(request)
        if self._answers is not None:
            prompt = _prompt(request)
            if prompt not in self._answers:
                raise ProviderError("bad_request", "the mock has no answer to this prompt")
            return self._answers[prompt]
        if self._kind == "constant":
            return self._constant
        if self._kind == "echo":
            return item_text(request)
        right = self._right(request)
        if self._kind == "skilled" and right and self._is_skilled(request):
            return right[0]
        return self._words(request_hash(request), self._settings.get("n", 1))

    def _logprobs(self, request: Request) -> tuple[float, ...]:
        """Normalised over the choices; the right one leads where the model is skilled."""
        weights = [self._unit(f"{request_hash(request)} {i}") for i in range(len(request.choices))]
        right = set(self._right(request) or ())
        if self._kind == "skilled" and right:
            skilled = self._is_skilled(request)
            weights = [
                w + (choice in right) * (1 if skilled else -1)
                for w, choice in zip(weights, request.choices, strict=True)
            ]
        if self._kind == "constant":
            weights = [
                w + (choice == self._constant)
                for w, choice in zip(weights, request.choices, strict=True)
            ]
        total = math.log(sum(math.exp(4 * w) for w in weights))
        return tuple(4 * w - total for w in weights)

    def _right(self, request: Request) -> Sequence[str] | None:
        return self._known(request) if self._known is not None else None

    def _is_skilled(self, request: Request) -> bool:
        # By the item alone, so that conditions differ in nothing: a rehearsal finds no effect.
        share: float = self._settings.get("p", 0.7)
        return self._unit(item_text(request)) < share

    def _words(self, text: str, count: int) -> str:
        return " ".join(_WORDS[int(self._unit(f"{text} {i}") * len(_WORDS))] for i in range(count))

    def _unit(self, text: str) -> float:
        """A number in [0, 1) that depends on the text and the seed only."""
        digest = hashlib.sha256(f"{self._seed} {text}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


def item_text(request: Request) -> str:
    """The item's part of a prompt: what follows the last `Input:` or `Q:`, else the last line.

    A label at the end that asks for the answer, such as `Output:`, is not part of it.
    """
    text = _question(request).rstrip()
    before, _, last = text.rpartition("\n")
    if _LABEL.fullmatch(last):
        text = before.rstrip()
    found = list(_QUERY.finditer(text))
    if not found:
        return text.rpartition("\n")[2]
    return _REPLY.split(text[found[-1].end() :], maxsplit=1)[0]


def _question(request: Request) -> str:
    """What the user said first, which a second call only goes on from."""
    said = (m.content for m in request.messages if m.role == "user")
    return next(said, _prompt(request))


def _prompt(request: Request) -> str:
    if request.prompt is not None:
        return request.prompt
    return request.messages[-1].content if request.messages else ""


def _parsed(model: str) -> tuple[str, str, dict[str, Any]]:
    """(kind, constant text, settings) of an id."""
    name = model.partition("/")[2]
    if name.startswith("constant:"):
        return "constant", name.removeprefix("constant:"), {}
    kind, _, query = name.partition("?")
    if kind not in KINDS:
        raise UnknownName(
            "mock model", model, [f"mock/{k}" for k in KINDS], "such as mock/skilled?p=0.7&seed=1"
        )
    settings: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "text" and kind == "constant":
            continue
        if key not in _SETTINGS:
            raise UnknownName(f"setting of {model}:", key, _SETTINGS)
        try:
            settings[key] = _SETTINGS[key](value)
        except ValueError:
            raise UserError(f"{model}: '{value}' is not a number for '{key}'") from None
        if key == "p" and not 0 <= settings[key] <= 1:
            raise UserError(f"{model}: p is a share, from 0 to 1")
    constant = dict(parse_qsl(query)).get("text", "") if kind == "constant" else ""
    return kind, constant, settings
