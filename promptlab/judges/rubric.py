"""The rubric: what a judge is asked, how its reply is read, what that is worth. All of it is data.

Three kinds of thing can be judged: `answer`, each answer for itself; `pair`, a condition's answer
beside the baseline's to the same item. A criterion has a prompt (Jinja, in a sandbox) and either a
`scale` of whole numbers or a list of `replies` with their values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from promptlab.documents import Document, load_document, validate
from promptlab.errors import UnknownName
from promptlab.judges.reading import cue_of, folded
from promptlab.tasks.loaders.templates import Template

__all__ = ["Criterion", "Rubric", "RubricCard", "load_rubric", "rubric_names"]

FOLDER = Path(__file__).parent / "rubrics"
_ITEM = ("question", "instruction", "is_question", "references", "fields")
ANSWER = ("answer", *_ITEM)
PAIR = ("first", "second", *_ITEM)
"""What a prompt can show, by the kind of thing that is judged. Conditions are never shown."""

SIDES = ("first", "second", "tie")


def _words(value: Any) -> Any:
    """YAML reads yes and no as truth values, also as keys."""
    if isinstance(value, Mapping) and any(isinstance(key, bool) for key in value):
        raise ValueError('YAML reads yes, no, true, false as truth values; quote them: "yes"')
    return {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else value


class Strict(BaseModel):
    """A part of a rubric; an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Scale(Strict):
    """Whole numbers from `low` to `high`; the best answer gets `high`."""

    low: int = 1
    high: int = 5

    @model_validator(mode="after")
    def _ordered(self) -> Scale:
        if not 0 <= self.low < self.high or self.high - self.low > 100:
            raise ValueError(
                "a scale goes from 'low', 0 or more, up to 'high', in 100 steps at most"
            )
        return self


class CriterionCard(Strict):
    """One question to the judge."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name in protocols and tables."""
    prompt: str
    """What the judge reads; Jinja, with the variables of the rubric's kind."""
    scale: Scale | None = None
    """The judge replies with a whole number."""
    replies: Annotated[
        Mapping[str, float | Literal["first", "second", "tie"]] | None, BeforeValidator(_words)
    ] = None
    """The judge replies with one of these: values in [0, 1], or of a pair `first`, `second`,
    `tie`."""

    @model_validator(mode="after")
    def _one_way_to_reply(self) -> CriterionCard:
        if (self.scale is None) == (self.replies is None):
            raise ValueError("a criterion has either 'scale' or 'replies', and only one of them")
        if self.replies is not None and len(self.replies) < 2:
            raise ValueError("'replies' needs at least two of them")
        seen: dict[str, str] = {}
        for reply in self.replies or ():
            known = folded(reply)
            if not known:
                raise ValueError(f"'{reply}' is no reply: it needs a letter or a digit")
            if known in seen:
                raise ValueError(
                    f"replies '{seen[known]}' and '{reply}' are the same when they are read: "
                    "capitals and punctuation around them do not count"
                )
            seen[known] = reply
        return self


class Overall(Strict):
    """A score made of several criteria, for answers that have all of them."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name in protocols and tables."""
    of: Sequence[str] = Field(min_length=2)
    """Names of the criteria."""
    how: Literal["mean", "all"] = "mean"
    """Their mean, or their product: 1 only where all are 1."""


class RubricCard(Strict):
    """A rubric as written in YAML."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Name in protocols: `judge:NAME.CRITERION@JUDGE`."""
    version: int = Field(ge=1)
    """Raised whenever a prompt or a value changes."""
    source: str
    """Where prompts and criteria come from."""
    description: str = ""
    """One line for `promptlab list rubrics`."""
    judges: Literal["answer", "pair"] = "answer"
    """Each answer for itself, or a condition's beside the baseline's, in both orders."""
    system: str = ""
    """System message for chat judges; completion judges read the prompt alone."""
    max_tokens: int = Field(default=16, ge=1)
    """Token limit of a reply that is read as text."""
    truncated: Literal["skip", "judge"] = "skip"
    """Whether answers that were cut off by their token limit are judged."""
    criteria: Sequence[CriterionCard] = Field(min_length=1)
    """What is judged; one request for each."""
    overall: Overall | None = None
    """A score over the criteria; it decides where a task has no other score."""

    @model_validator(mode="after")
    def _names_fit(self) -> RubricCard:
        names = [c.name for c in self.criteria]
        if len(set(names)) < len(names):
            raise ValueError("two criteria have the same name")
        if self.overall is not None:
            unknown = [n for n in self.overall.of if n not in names]
            if unknown or self.overall.name in names:
                raise ValueError(
                    f"'overall' is made of criteria ({', '.join(names)}) and has a name of its own"
                )
        for criterion in self.criteria:
            self._check_replies(criterion)
        return self

    def _check_replies(self, criterion: CriterionCard) -> None:
        values = list((criterion.replies or {}).values())
        if self.judges == "pair":
            if criterion.scale is not None or {"first", "second"} - set(map(str, values)):
                raise ValueError(
                    f"criterion '{criterion.name}' of a pair needs 'replies' that mean first and "
                    "second, such as {A: first, B: second, tie: tie}"
                )
            if any(v not in SIDES for v in values):
                raise ValueError("a reply about a pair means first, second or tie")
        elif any(isinstance(v, str) or not 0 <= v <= 1 for v in values):
            raise ValueError("the value of a reply is a number in [0, 1]")


@dataclass(frozen=True)
class Criterion:
    """A criterion with its prompt ready to be rendered."""

    card: CriterionCard
    template: Template

    @property
    def name(self) -> str:
        """Name in protocols and tables."""
        return self.card.name

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What a judge may reply."""
        scale = self.card.scale
        if scale is None:
            return tuple(self.card.replies or ())
        return tuple(str(n) for n in range(scale.low, scale.high + 1))

    @cached_property
    def cue(self) -> str:
        """What the prompt ends with, as `Rating` in `Rating:`; empty if it ends otherwise."""
        return cue_of(self.card.prompt)

    @property
    def ordered(self) -> bool:
        """Whether replies are ratings on a scale."""
        return self.card.scale is not None

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest rating."""
        ratings = [self.rating(label) for label in self.labels]
        return min(ratings), max(ratings)

    def rating(self, label: str) -> float:
        """A label as people would write it down: a number of the scale, or the reply's value."""
        return float(label if self.card.scale else (self.card.replies or {})[label])

    def value(self, label: str) -> float:
        """Score in [0, 1] of a label about one answer."""
        scale = self.card.scale
        if scale is None:
            return self.rating(label)
        return (int(label) - scale.low) / (scale.high - scale.low)

    def side(self, label: str) -> str:
        """What a label about a pair means: `first`, `second` or `tie`."""
        return str((self.card.replies or {})[label])


@dataclass(frozen=True)
class Rubric:
    """A checked rubric with the document it came from."""

    card: RubricCard
    document: Document
    criteria: tuple[Criterion, ...]

    @property
    def name(self) -> str:
        """Name in protocols."""
        return self.card.name

    @property
    def pairs(self) -> bool:
        """Whether pairs of answers are judged."""
        return self.card.judges == "pair"

    @property
    def label(self) -> str:
        """Name and version, as tables show it."""
        return f"{self.card.name} v{self.card.version}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the rubric says."""
        return hashlib.sha256(self.card.model_dump_json().encode()).hexdigest()

    @property
    def decisive(self) -> str:
        """The score that decides where a task has no other: `overall`, else the first criterion."""
        return self.card.overall.name if self.card.overall else self.criteria[0].name


def rubric_names() -> list[str]:
    """Names of the built-in rubrics."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_rubric(name: str | Path) -> Rubric:
    """A built-in rubric by name, or a person's own by the path of its YAML file.

    Raises:
        UnknownName: no such rubric; with the nearest names.
        UserError: no such file.
        SpecError: a mistake in it, with file, line and key.
    """
    text = str(name)
    if text.endswith((".yaml", ".yml")):
        return _read(Path(text).expanduser())
    known = rubric_names()
    if text not in known:
        hint = f"rubrics: {', '.join(known)}, or the path of a YAML file"
        raise UnknownName("rubric", text, known, hint)
    return _read(FOLDER / f"{text}.yaml")


def _read(path: Path) -> Rubric:
    document = load_document(path)
    if not isinstance(document.data, dict):
        raise document.error("a rubric is a mapping of keys such as name, version, criteria")
    card = validate(RubricCard, document)
    criteria = []
    for i, criterion in enumerate(card.criteria):
        key = ("criteria", i, "prompt")
        template = Template(criterion.prompt, document, key, literal=True)
        _check_variables(template, card)
        criteria.append(Criterion(criterion, template))
    return Rubric(card, document, tuple(criteria))


def _check_variables(template: Template, card: RubricCard) -> None:
    known = PAIR if card.judges == "pair" else ANSWER
    for name in sorted(template.columns - set(known)):
        raise template.error(f"there is no variable '{name}'; a prompt can show {', '.join(known)}")
    shown = PAIR[:2] if card.judges == "pair" else ANSWER[:1]
    for name in shown:
        if name not in template.columns:
            raise template.error(f"the prompt does not show what is judged; write {{{{ {name} }}}}")
