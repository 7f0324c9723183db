"""The experiment a person writes in YAML, validated with file, line, key and the nearest name."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from promptlab.documents import Document, load_document, parse_document, validate
from promptlab.errors import UserError
from promptlab.spec_analysis import AnalysisSpec, ContrastSpec
from promptlab.spec_conditions import ConditionEntry, ConditionSpec, MethodSpec
from promptlab.spec_design import Design, RaceDesign
from promptlab.spec_sending import BudgetSpec, Concurrency, Price, Runner, Strict
from promptlab.spec_template import Template, TemplateSpec
from promptlab.spec_wordings import Instructions
from promptlab.types import OWN, Style

__all__ = [
    "AnalysisSpec",
    "ConditionSpec",
    "ContrastSpec",
    "Experiment",
    "MethodSpec",
    "ModelSpec",
    "ScoringSpec",
    "Spec",
    "assign",
    "load_spec",
    "spec_from_mapping",
]


def _off(value: Any) -> Any:
    return "off" if value is False else value  # as YAML reads the word


StoreMode = Annotated[Literal["use", "refresh", "off", "replay"], BeforeValidator(_off)]


def _check_params(params: Mapping[str, Any]) -> Mapping[str, Any]:
    temperature, limit = params.get("temperature"), params.get("max_tokens")
    if temperature is not None and (not _is_number(temperature) or temperature < 0):
        raise ValueError(f"temperature is a number, 0 or more (got {temperature!r})")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"max_tokens is a whole number, 1 or more (got {limit!r})")
    return params


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


Params = Annotated[Mapping[str, Any], AfterValidator(_check_params)]


class ModelSpec(Strict):
    """A model and how to reach it."""

    id: str
    """`provider/model` as litellm names it; `local/smollm2-135m`, `local/<file>`, `mock/...`."""
    name: str | None = None
    """Label in tables; the id unless given. Needed when one model is listed twice."""
    api_base: str | None = None
    """Address of an OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1."""
    api_key_env: str | None = None
    """Environment variable that holds the key; the provider's usual one unless given."""
    params: Params = Field(default_factory=dict)
    """Parameters sent with every request, such as temperature and max_tokens."""
    style: Style | None = None
    """`chat` or `completion`; completion for `local/` and chat otherwise unless given."""
    concurrency: Concurrency | None = None
    """Most requests in flight for this model, or `auto`."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Most requests sent in a minute."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Most prompt and completion tokens in a minute."""
    price: Price | None = None
    """Price of this model, where the price map does not know it."""
    budget: BudgetSpec | None = None
    """What may be spent on this model in a run."""

    @field_validator("id")
    @classmethod
    def _has_a_provider(cls, value: str) -> str:
        provider, slash, model = value.partition("/")
        if not (provider and slash and model) or any(c.isspace() for c in provider):
            raise ValueError(
                f"'{value}' is not a model id; write provider/model, such as "
                "local/smollm2-135m or openai/gpt-4o-mini"
            )
        return value

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.name or self.id


class ScoringSpec(Strict):
    """How answers are scored."""

    protocol: str | None = None
    """Protocol that decides, where a task has it; each task's first otherwise."""
    choices: Literal["auto", "logprob", "text"] = "auto"
    """Grade multiple choice by log-probability where the model gives them (auto), or say which."""
    incomplete: Literal["skip", "score"] = "skip"
    """Answers that the token limit cut off, and empty ones, have no score (skip), or count as they
    stand (score), as in the papers' code."""


def _with_id(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int | str) and not isinstance(value, bool) else value


class Experiment(Strict):
    """An experiment: models x tasks x conditions x shots, and how to score and analyse it."""

    name: str
    """Short name; part of the run folder's name."""
    description: str = ""
    """What the experiment is for; shown in the report."""
    models: Sequence[
        Annotated[ModelSpec, BeforeValidator(_with_id, json_schema_input_type=ModelSpec | str)]
    ] = Field(min_length=1)
    """Models to ask: ids, or mappings with an id and settings."""
    tasks: Sequence[str] = Field(min_length=1)
    """Task ids (`suite/name`), globs (`procedural/*`), or paths of task cards (`./mine.yaml`)."""
    conditions: Sequence[ConditionEntry] = Field(min_length=1)
    """`original`, a stimulus, a method, or a mapping with stimuli and their place, or with a method
    and its settings."""
    stimuli: Sequence[str] = ()
    """Your own stimulus libraries: YAML files, relative to this file."""
    instructions: Instructions = OWN
    """Wordings of each task's instruction: the card's `own`, another of the card's by its name
    (`ape`), or `paraphrases`, which are crossed with everything else (`{paraphrases: 4}` draws
    four, `{file: wordings.yaml}` takes yours)."""
    shots: Annotated[Sequence[Annotated[int, Field(ge=0)]], BeforeValidator(_as_tuple)] = (0,)
    """Numbers of demonstrations; each is crossed with everything else."""
    demonstrations: Literal["task", "query"] = "task"
    """Who shares demonstrations: all items of a `task`, or none (`query`: each item has its own,
    the same under every condition)."""
    items: Annotated[int, Field(ge=1, strict=True)] | Literal["all"] = 50
    """Items a task, drawn by the seed; `all` takes a suite's every item."""
    replicates: int = Field(default=1, ge=1)
    """Independent answers to each request."""
    seed: int = 0
    """Decides items, demonstrations, shuffles and resampling."""
    style: Style | None = None
    """Prompt style of every model that does not say its own."""
    template: Template = "auto"
    """Layout of the prompt: `paper` as published, `plain` with one answer label and no trailing
    blank; auto takes paper for chat and plain for completion. `{variant: paper, answer_label:
    "Output:"}` changes single things of a variant."""
    joiner: str = " "
    """What stands between a stimulus and the text it is joined to, where a condition does not say
    its own; "" joins them without a blank."""
    params: Params = Field(default_factory=dict)
    """Parameters sent to every model; temperature is 0 unless given."""
    scoring: ScoringSpec = ScoringSpec()
    """How answers are scored."""
    analysis: AnalysisSpec = AnalysisSpec()
    """The plan of the analysis."""
    design: Design = "full"
    """`full` sends every request; `race` asks block by block and drops stimuli that can no longer
    be the best or differ (`{race: {block: 5}}`)."""
    runner: Runner = "async"
    """How requests are sent: `async`, `batch` or `ray`; the last two take settings
    (`{ray: {workers: 4}}`)."""
    concurrency: Concurrency = "auto"
    """Most requests in flight for each model: a number, which is also where it begins, or `auto`,
    which begins low and grows while the model is well."""
    budget: BudgetSpec | None = None
    """What may be spent in a run, however often it is resumed."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds one attempt may take."""
    max_attempts: int = Field(default=6, ge=1)
    """Attempts at one request before it counts as failed."""
    store: StoreMode = "use"
    """`use` stored answers, `refresh` them, `off` (keep none), or `replay` (never ask a model)."""
    data_dir: str | None = None
    """Folder of the public suites; PROMPTLAB_DATA_DIR unless given."""
    runs_dir: str | None = None
    """Folder for run directories; `runs` unless given."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
            raise ValueError(
                f"'{value}' becomes part of a folder's name; write letters, digits, '-', '_', '.'"
            )
        if len(value) > 100:
            raise ValueError("the name becomes part of a folder's name; at most 100 characters")
        return value

    @model_validator(mode="after")
    def _labels_are_unique(self) -> Experiment:
        labels = [m.label for m in self.models]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"model '{label}' is listed twice; give one of them a 'name'")
        return self

    @model_validator(mode="after")
    def _shots_once(self) -> Experiment:
        if len(set(self.shots)) != len(self.shots):
            raise ValueError("'shots' must list each number once")
        if not self.shots:
            raise ValueError("'shots' lists no number; write 0 for zero-shot")
        return self

    @model_validator(mode="after")
    def _can_race(self) -> Experiment:
        race = self.race
        if race is None:
            return self
        if not isinstance(self.runner, str) and self.runner.batch is not None:
            raise ValueError(
                "'design: race' asks block by block, and a batch may take a day for each of them; "
                "write 'runner: async', or 'design: full'"
            )
        if isinstance(self.items, int) and self.items <= race.block:
            raise ValueError(
                f"{self.items} items are one block of {race.block}: there is nothing to race; "
                "raise 'items', lower 'design.race.block', or write 'design: full'"
            )
        return self

    @property
    def race(self) -> RaceDesign | None:
        """Settings of the race; None where every request is sent."""
        return None if isinstance(self.design, str) else self.design.race

    @property
    def layout(self) -> TemplateSpec:
        """The template in its long form."""
        written = self.template
        return TemplateSpec(variant=written) if isinstance(written, str) else written

    def style_of(self, model: ModelSpec) -> Style:
        """Prompt style of a model: its own, the experiment's, or the provider's default."""
        default: Style = "completion" if model.id.startswith("local/") else "chat"
        return model.style or self.style or default


@dataclass(frozen=True, slots=True)
class Spec:
    """An experiment with the document it came from, for messages and for the record."""

    experiment: Experiment
    document: Document

    @property
    def base(self) -> Path:
        """Folder that relative paths in the spec start from."""
        return Path(self.document.path).parent

    def portable_text(self) -> str:
        """The spec's text with paths of files made absolute, readable from any folder."""
        experiment = self.experiment
        absolute: dict[str, Any] = {
            "stimuli": [str(self.resolve(p).resolve()) for p in experiment.stimuli],
            "tasks": [
                str(self.resolve(t).resolve()) if t.endswith((".yaml", ".yml")) else t
                for t in experiment.tasks
            ],
        }
        if experiment.data_dir:
            absolute["data_dir"] = str(self.resolve(experiment.data_dir).resolve())
        wordings = experiment.instructions
        if not isinstance(wordings, str) and wordings.file:
            path = str(self.resolve(wordings.file).resolve())
            absolute["instructions"] = wordings.model_dump(exclude_defaults=True) | {"file": path}
        absolute["conditions"] = [self._portable(c) for c in self.document.data["conditions"]]
        data = self.document.data
        changed = {k: v for k, v in absolute.items() if k in data and data[k] != v}
        if not changed:
            return self.document.text
        return yaml.safe_dump(data | changed, sort_keys=False, allow_unicode=True)

    def _portable(self, condition: Any) -> Any:
        """A condition as it is written, with the path of its method's file absolute."""
        if not isinstance(condition, dict) or not isinstance(condition.get("file"), str):
            return condition
        return condition | {"file": str(self.resolve(condition["file"]).resolve())}

    def resolve(self, path: str) -> Path:
        """A path in the spec, relative to the spec's folder."""
        given = Path(path).expanduser()
        return given if given.is_absolute() else self.base / given


def load_spec(
    path: Path | str,
    *,
    set_values: Sequence[str] = (),
    limit: int | None = None,
    models: Sequence[str] = (),
) -> Spec:
    """Read and check a spec.

    Args:
        path: the YAML file.
        set_values: overrides `dotted.key=value` (the value is YAML), applied in order.
        limit: at most this many items a task.
        models: model ids that replace the spec's (settings of a listed id are kept).

    Raises:
        UserError: no such file, or an override that cannot be applied.
        SpecError: what is wrong, with file, line and key.
    """
    document = load_document(path)
    return _checked(_overridden(document, set_values, limit, models))


def spec_from_mapping(data: Mapping[str, Any], *, name: str = "experiment") -> Spec:
    """A spec from plain Python data, as a YAML file would give it."""
    text = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True)
    return _checked(parse_document(text, f"{name}.yaml"))


def _checked(document: Document) -> Spec:
    if not isinstance(document.data, dict):
        raise document.error("an experiment is a mapping of keys such as name, models, tasks")
    experiment = validate(Experiment, document)
    return Spec(experiment, document)


def _overridden(
    document: Document, set_values: Sequence[str], limit: int | None, models: Sequence[str]
) -> Document:
    if not (set_values or limit is not None or models) or not isinstance(document.data, dict):
        return document
    data = copy.deepcopy(document.data)
    for assignment in set_values:
        assign(data, assignment)
    if limit is not None:
        items = data.get("items", Experiment.model_fields["items"].default)
        data["items"] = min(limit, items) if isinstance(items, int) else limit
    if models:
        listed = data.get("models", [])
        known = {m["id"]: m for m in listed if isinstance(m, dict) and "id" in m}
        data["models"] = [known.get(m, m) for m in models]
    # Keys keep the lines of the file, so that messages still point at what was written there.
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    changed = Document(data, document.path, document._lines, text)
    return changed


def assign(data: dict[str, Any], assignment: str) -> None:
    """Carry out an override `dotted.key=value`; the value is YAML."""
    key, sign, value = assignment.partition("=")
    if not sign or not key:
        raise UserError(f"--set takes key=value, such as items=20 (got '{assignment}')")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--set {key}: '{value}' is not a YAML value") from None
    *parents, last = key.split(".")
    target: Any = data
    for part in parents:
        target = target.setdefault(part, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise UserError(f"--set {key}: '{part}' is not a mapping in the spec")
    target[last] = parsed
