"""Recipes: how to reproduce a paper, as YAML beside its specs, published values and claims.

analysis/papers/emotionprompt/
recipe.yaml  claims.yaml  published.csv  controlled/*.yaml  as-published/*.yaml
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field

from promptlab.documents import Document, load_document, validate
from promptlab.errors import UnknownName, UserError
from promptlab.spec import Spec, load_spec
from promptlab.spec_sending import Strict

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.papers import Claim
    from promptlab.judges import Rubric

__all__ = ["PartSpec", "Planned", "ProtocolSpec", "Recipe", "load_recipe", "recipe_names"]

Role = Literal["main", "combinations", "temperature"]


class PartSpec(Strict):
    """One experiment of a recipe: a spec, and what is set differently in it."""

    name: str
    """Short name, such as `ii-few-shot`; part of the run's name."""
    spec: str
    """The experiment's YAML file, relative to the recipe."""
    set: Mapping[str, Any] = Field(default_factory=dict)
    """Keys of the spec with other values, such as `{shots: 5}`."""
    vary: Mapping[str, Sequence[Any]] = Field(default_factory=dict)
    """Keys of the spec with several values; each combination is a run of its own."""
    base: Literal["human", "ape"] = "human"
    """Kind of instruction."""
    role: Role = "main"
    """The table that it is for."""
    rubric: str = ""
    """By what a judge reads the answers, where tasks have no score of their own: the name of a
    rubric, or the path of one's own, relative to the recipe."""


class ProtocolSpec(Strict):
    """One way of running a paper's experiments."""

    description: str
    """What is done, in a sentence."""
    parts: Sequence[PartSpec] = Field(min_length=1)
    """The experiments."""
    second_protocol: str | None = None
    """A second scoring protocol, under which every claim is judged again."""


class _RecipeSpec(Strict):
    title: str
    """Title of the paper."""
    short: str
    """Its short name."""
    authors: str
    """Authors, venue and year."""
    arxiv: str
    """Number on arXiv."""
    library: str
    """Library of its stimuli."""
    protocols: Mapping[str, ProtocolSpec]
    """Ways of running it, by name; the first is the usual one."""
    departures: Sequence[str] = ()
    """What `as-published` does otherwise than the paper or its code, and why."""
    not_known: Sequence[str] = ()
    """What could not be established about the paper's experiments."""


class _ClaimSpec(Strict):
    id: str
    title: str = ""
    statement: str
    statistic: str
    published: float
    unit: Literal["percent", "points", "tasks"]
    how: str
    status: Literal["CONFIRMED", "CONFIRMED_SECONDARY", "UNCONFIRMED_RECALLED"]
    source: str
    benchmark: str = "instruction_induction"
    shots: Sequence[Literal["zero", "few"]] = ("zero", "few")
    base: Sequence[Literal["human", "ape"]] = ("human", "ape")
    method: str = ""
    of: int = Field(default=0, ge=0)
    scale: tuple[float, float] = (0, 1)
    protocol: str = ""
    needs: str = ""


class _ClaimsSpec(Strict):
    claims: Sequence[_ClaimSpec] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Planned:
    """One experiment to run, checked."""

    part: PartSpec
    name: str
    """Of the part, with what varies: `temperature-0.7`."""
    spec: Spec


@dataclass(frozen=True)
class Recipe:
    """A paper's recipe.

    Attributes:
        name: folder's name.
        folder: where its files are.
        paper: title, authors, library.
        claims: what the paper claims.
    """

    name: str
    folder: Path
    paper: _RecipeSpec
    claims: tuple[Claim, ...]
    document: Document

    def protocol(self, name: str) -> ProtocolSpec:
        """A way of running the paper.

        Raises:
            UnknownName: the recipe has no such protocol.
        """
        if name not in self.paper.protocols:
            known = list(self.paper.protocols)
            raise UnknownName("protocol", name, known, f"protocols: {', '.join(known)}")
        return self.paper.protocols[name]

    def published(self, *, recalled: bool = False) -> pd.DataFrame:
        """The paper's published values; see `promptlab.analysis.papers.read_published`."""
        from promptlab.analysis.papers import read_published

        return read_published(self.folder / "published.csv", recalled=recalled)

    def experiments(
        self,
        protocol: str,
        *,
        models: Sequence[str] = (),
        limit: int | None = None,
        parts: Sequence[str] = (),
        set_values: Sequence[str] = (),
        judged: bool = True,
    ) -> list[Planned]:
        """The experiments of a protocol, each a checked spec with a name of its own.

        Args:
            protocol: name of the protocol.
            models: model ids instead of the specs'.
            limit: at most this many items a task.
            parts: only the parts of these names; all unless given.
            set_values: further overrides `dotted.key=value` of every spec.
            judged: also those whose answers take a judge.

        Raises:
            UnknownName: the protocol or a part is not there.
            UserError: a part was named that takes a judge, and there is none.
            SpecError: a spec is wrong.
        """
        wanted = self.protocol(protocol).parts
        known = {p.name: p for p in wanted}
        for name in parts:
            if name not in known:
                raise UnknownName("part", name, known, f"parts: {', '.join(known)}")
            if known[name].rubric and not judged:
                raise UserError(f"the answers of part '{name}' take a judge: add --judge MODEL")
        return [
            self._experiment(protocol, part, varied, models, limit, set_values)
            for part in wanted
            if (not parts or part.name in parts) and (judged or not part.rubric)
            for varied in _combinations(part.vary)
        ]

    @cached_property
    def made(self) -> dict[str, tuple[str, PartSpec]]:
        """(protocol, part) of every run that the recipe makes, by the run's name."""
        return {
            e.spec.experiment.name: (protocol, e.part)
            for protocol in self.paper.protocols
            for e in self.experiments(protocol)
        }

    def rubric(self, part: PartSpec) -> Rubric:
        """By what the answers of a part are judged.

        Raises:
            UnknownName: no such rubric.
            SpecError: a mistake in it.
        """
        from promptlab.judges import load_rubric

        own = part.rubric.endswith((".yaml", ".yml"))
        return load_rubric(self.folder / part.rubric if own else part.rubric)

    def _experiment(
        self,
        protocol: str,
        part: PartSpec,
        varied: Mapping[str, Any],
        models: Sequence[str],
        limit: int | None,
        set_values: Sequence[str],
    ) -> Planned:
        name = "-".join([part.name, *(str(v) for v in varied.values())])
        own = {"name": f"{self.name}-{protocol}-{name}", **part.set, **varied}
        assigned = [f"{key}={orjson.dumps(value).decode()}" for key, value in own.items()]
        path = self.folder / part.spec
        spec = load_spec(path, set_values=[*assigned, *set_values], limit=limit, models=models)
        return Planned(part, name, spec)


def _combinations(vary: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]


def recipe_names() -> list[str]:
    """Papers that promptlab brings a recipe for."""
    return sorted(p.parent.name for p in _papers().glob("*/recipe.yaml"))


def load_recipe(name: str) -> Recipe:
    """A recipe by name, or by the path of a folder or `recipe.yaml` of one's own.

    Raises:
        UnknownName: there is no such recipe.
        SpecError: what is wrong in it, with file, line and key.
    """
    folder = _papers() / name
    if "/" in name or name.endswith((".yaml", ".yml")) or Path(name).is_dir():
        given = Path(name).expanduser()
        folder = given.parent if given.suffix in (".yaml", ".yml") else given
        if not (folder / "recipe.yaml").is_file():
            raise UserError(f"no recipe at {folder}: it takes recipe.yaml and claims.yaml")
    elif not (folder / "recipe.yaml").is_file():
        raise UnknownName("paper", name, recipe_names(), f"papers: {', '.join(recipe_names())}")
    document = load_document(folder / "recipe.yaml")
    paper = validate(_RecipeSpec, document)
    return Recipe(folder.name, folder, paper, _claims(folder / "claims.yaml"), document)


def _claims(path: Path) -> tuple[Claim, ...]:
    from promptlab.analysis.papers import Claim
    from promptlab.analysis.papers.claim_statistics import STATISTICS

    document = load_document(path)
    found = validate(_ClaimsSpec, document)
    claims: list[Claim] = []
    for i, spec in enumerate(found.claims):
        if spec.statistic not in STATISTICS:
            error = UnknownName("statistic", spec.statistic, STATISTICS)
            raise document.error(str(error), ("claims", i, "statistic"))
        if spec.id in {c.id for c in claims}:
            raise document.error(f"claim '{spec.id}' is listed twice", ("claims", i, "id"))
        given = spec.model_dump()
        claims.append(Claim(**given | {"shots": tuple(spec.shots), "base": tuple(spec.base)}))
    return tuple(claims)


def _papers() -> Path:
    """The folder of the recipes, which is a real folder: specs name files relative to it."""
    return Path(str(resources.files("promptlab.analysis.papers")))
