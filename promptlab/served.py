"""Whether the model that answered is the one that was asked."""

from __future__ import annotations

import re
from functools import cache

__all__ = ["same_model"]

_FREE_NAMES = ("azure/", "local/", "mock/")
"""Providers whose names are the person's own, or which promptlab itself runs."""

_FILE = re.compile(r"\.(gguf|bin|safetensors)$")
_VENDOR = re.compile(r"^(?:[a-z]+\.)+(?=[a-z])")
_REVISION = re.compile(r":\d+$")
_DATE = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)|(?<!\d)(\d\d)-(\d\d)(?!\d)")
_VERSION = re.compile(r"\d{3,}|v\d+")
_MOVING = frozenset({"latest", "preview", "stable", "exp", "experimental", "beta"})
_BREAK = re.compile(r"[-_.:@\s]+")


@cache
def same_model(asked: str, served: str) -> bool:
    """Whether a served name means the model that was asked.

    Providers answer `gpt-4o-mini` with `gpt-4o-mini-2024-07-18`, and servers with a path; neither
    is another model. Of a path the last part counts; dates and version words may come on top, but
    two different dates are two models.

    Args:
        asked: model id as in the spec, such as `openai/gpt-4o-mini`.
        served: what the endpoint called the model that answered.
    """
    if asked.startswith(_FREE_NAMES):
        return True
    (name, versions), (other_name, others) = _parts(asked), _parts(served)
    return name == other_name and (versions <= others or versions >= others)


def _parts(name: str) -> tuple[list[str], set[str]]:
    """The words of a model's name, and its versions."""
    last = name.strip().rstrip("/\\").replace("\\", "/").rpartition("/")[2].lower()
    last = _REVISION.sub("", _VENDOR.sub("", _FILE.sub("", last)))
    joined = _DATE.sub(lambda found: "".join(part or "" for part in found.groups()), last)
    words = [word for word in _BREAK.split(joined) if word and word not in _MOVING]
    versions = {word for word in words if _VERSION.fullmatch(word)}
    return [word for word in words if word not in versions], versions
