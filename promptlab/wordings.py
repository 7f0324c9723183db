"""The wordings of a task's instruction that an experiment crosses with its conditions.

A wording's id is its place among the task's paraphrases (`w01`, `w02`, ...), so that it is the same
whichever of them are drawn; `own` is the instruction of the card, and another of the card's that
takes its place has its name there (`ape`). Paraphrases that differ only in
case, blanks or the last stop are one wording, and one that is the card's own is not asked twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.documents import Document, load_document
from promptlab.spec import Spec
from promptlab.tasks import Task
from promptlab.types import OWN, Wording

__all__ = ["read_wordings", "with_end_of", "wordings_among", "wordings_of"]


def read_wordings(spec: Spec) -> Mapping[str, Sequence[str]] | None:
    """A person's own paraphrases by task id; None where the spec names no file.

    Raises:
        UserError: no such file.
        SpecError: it is not a mapping from task ids to lists of texts.
    """
    wanted = spec.experiment.instructions
    if isinstance(wanted, str) or wanted.file is None:
        return None
    document = load_document(spec.resolve(wanted.file))
    if not isinstance(document.data, dict) or not document.data:
        raise document.error("wordings are a mapping from task ids to lists of instructions")
    return {str(task): _texts(document, str(task), given) for task, given in document.data.items()}


def _texts(document: Document, task: str, given: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise document.error("write a list of instructions, such as [Add them., Sum up.]", (task,))
    for i, text in enumerate(given):
        if not isinstance(text, str) or not text.strip():
            raise document.error(f"an instruction is a text (got {text!r})", (task, i))
    return given


def wordings_of(
    spec: Spec, task: Task, given: Mapping[str, Sequence[str]] | None
) -> tuple[Wording, ...]:
    """The wordings under which a task is asked, the card's own first.

    A task without paraphrases is asked under the card's own alone; where the spec names another
    instruction of the cards, a task is asked under that alone.

    Args:
        spec: the experiment.
        task: one of its tasks.
        given: as `read_wordings` returns it.

    Raises:
        MissingData: the suite's paraphrases are not there.
    """
    own, wanted = Wording(OWN, task.card.instruction), spec.experiment.instructions
    if wanted == OWN:
        return (own,)
    if isinstance(wanted, str):
        return (Wording(wanted, task.card.instructions[wanted]),)
    texts = task.paraphrases if given is None else given.get(task.id, ())
    found = wordings_among(own.text, texts)
    if wanted.paraphrases != "all":
        seed = spec.experiment.seed
        found = sorted(found, key=lambda w: _rank(seed, task.id, w.text))[: wanted.paraphrases]
        found.sort(key=lambda w: w.id)
    return (own, *found) if wanted.own or not found else tuple(found)


def wordings_among(own: str, texts: Sequence[str]) -> list[Wording]:
    """Those of the texts that are wordings of their own, with their place as id."""
    known, found = {_content(own)}, []
    for i, text in enumerate(texts, 1):
        if _content(text) not in known:
            known.add(_content(text))
            found.append(Wording(f"w{i:02d}", with_end_of(own, text)))
    return found


def with_end_of(own: str, text: str) -> str:
    """The text, ending in the white space of the card's own: that belongs to the layout."""
    return text.strip() + own[len(own.rstrip()) :]


def _content(text: str) -> str:
    return " ".join(text.split()).rstrip(" .:").casefold()


def _rank(seed: int, task: str, text: str) -> bytes:
    """A random order whose prefixes nest, as for items."""
    return hashlib.sha256(f"{seed}\0{task}\0wording\0{text}".encode()).digest()
