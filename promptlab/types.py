"""The words of an experiment as frozen dataclasses.

Every other module speaks in these; nothing here imports anything but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = [
    "OWN",
    "Cell",
    "Condition",
    "Demonstration",
    "Item",
    "Message",
    "Position",
    "Request",
    "Response",
    "Score",
    "ScoreStatus",
    "Status",
    "Stimulus",
    "Style",
    "Valence",
    "Wording",
]

Valence = Literal["positive", "negative", "neutral"]
Style = Literal["chat", "completion"]
Position = Literal["after_instruction", "before_instruction", "system", "after_input"]
Status = Literal["ok", "truncated", "empty", "refused", "filtered", "error"]
"""What became of a request. Only `ok` is scored without saying so."""

ScoreStatus = Status | Literal["unjudged"]
"""What became of a score; `unjudged` is an answer that waits for a judge, or got no verdict."""

OWN: Final = "own"
"""Id of the instruction as the task card words it."""

Method = Literal["text", "logprob"]
"""How a score was read: from the text, or from the log-probabilities of the choices."""


@dataclass(frozen=True, slots=True)
class Stimulus:
    """A sentence that is added to a prompt."""

    id: str
    text: str
    valence: Valence
    library: str
    theories: tuple[str, ...] = ()
    group: str = ""
    source: str = ""
    """Citation of the sentence."""
    matched_to: str = ""
    """Of a control: the stimulus whose length and punctuation it has."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> int:
        """Number of whitespace-separated words."""
        return len(self.text.split())


@dataclass(frozen=True, slots=True)
class Item:
    """One example of a task, the same in every condition.

    `item_id` is a hash of the content. `choices` and `target_scores` run in parallel and are empty
    for open answers. `fields` holds what a metric needs beyond the answers (for instance the order
    in which cause and effect were shown).
    """

    item_id: str
    input: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    target_scores: tuple[float, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A solved example shown before the item."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to build the prompt.

    `id` is unique in an experiment: `original`, `EP02`, `EP01+EP02`, `zero_shot_cot`, or a
    stimulus at another place (`EP02@system`).
    """

    id: str
    method: str = "original"
    """`original`, `stimulus` or a baseline method of the registry, such as `zero_shot_cot`."""
    stimuli: tuple[Stimulus, ...] = ()
    position: Position = "after_instruction"
    joiner: str = " "
    max_tokens: int | None = None
    """A token limit of its own, above the task's."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of its method, with the content of the files it names."""

    @property
    def text(self) -> str:
        """What is added to the prompt."""
        return " ".join(s.text for s in self.stimuli)

    @property
    def valence(self) -> str:
        """The valence its stimuli share; `mixed` or `none` otherwise."""
        found = {s.valence for s in self.stimuli}
        return "none" if not found else found.pop() if len(found) == 1 else "mixed"


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to word a task's instruction: `own`, as the card does, or a paraphrase (`w03`)."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Model x task x condition x shots x wording of the instruction, by their ids."""

    model: str
    task: str
    condition: str
    shots: int
    instruction: str = OWN


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: everything that can change the answer, and nothing else.

    Either `messages` (chat) or `prompt` (completion) is set. With `choices`, the answer is the
    log-probability of each choice as the continuation of the prompt.
    """

    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    choices: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str | None = None
    """`api_base` of an endpoint, or the weights' digest of an embedded model."""
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for a request. `text` is empty unless there was an answer."""

    status: Status
    text: str = ""
    finish_reason: str | None = None
    choice_logprobs: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    served_model: str | None = None
    fingerprint: str | None = None
    """The provider's `system_fingerprint`, or the engine's version of an embedded model."""
    latency_s: float | None = None
    created: float | None = None
    """Seconds since the epoch, UTC."""
    attempts: int = 1
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A number in [0, 1] for one response under one protocol; `value` is None when not scored."""

    protocol: str
    metric: str
    method: Method
    value: float | None
    status: ScoreStatus
    answer: str
    """The extracted answer that was scored."""
