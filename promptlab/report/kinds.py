"""How the kinds of contrast are headed and explained."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["explanation", "file_name", "heading"]

_HEADINGS = {
    "vs_control": "Against matched controls",
    "valence": "By valence",
    "theory": "By theory",
}
_WHY = {
    "vs_control": "Any added sentence changes a prompt. Here each stimulus is compared with the "
    "neutral sentence that matches it in length and punctuation, on the same items.",
    "valence": "The mean score under all stimuli of one valence, against that of another, of the "
    "neutral sentences, and of {baseline}. A mean over many stimuli is known better than any "
    "single one, and nothing was chosen.",
    "theory": "The mean score under the stimuli that a theory of emotion stands behind, against "
    "{baseline} and against their matched controls. A stimulus may belong to several theories.",
}
_OWN = "Contrasts that the plan wrote as weights over conditions."


def heading(kinds: Sequence[str]) -> str:
    """`Against matched controls`, `By valence`, ..., `Your contrasts`."""
    return _HEADINGS.get(kinds[0], "Your contrasts")


def explanation(kinds: Sequence[str], baseline: str) -> str:
    """What these contrasts compare, in a sentence or two."""
    return _WHY.get(kinds[0], _OWN).format(baseline=baseline)


def file_name(kinds: Sequence[str]) -> str:
    """Stem of the file of their table."""
    return kinds[0] if kinds[0] in _HEADINGS else "own_contrasts"
