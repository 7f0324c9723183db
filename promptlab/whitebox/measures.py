"""Three measures of a word's importance for the gold answer.

`gradient_norm` is EmotionPrompt's: the gradient of the loss of the gold answer at the input
embeddings, summed over the word's pieces, L2 norm. The formula comes from a transcription of the
paper and from the group's public routine (PromptBench, `vis_by_grad`), which also min-max scales
the values over the sentence; the scaling is an option of the pictures here. The formula of
NegativePrompt's picture is not established. The other two are for comparison and signed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from promptlab.errors import UnknownName, UserError
from promptlab.whitebox.model import Saliency, WhiteboxModel
from promptlab.whitebox.words import Word, pieces_to_words, without

__all__ = ["MEASURES", "check_measures", "measure_words"]

MEASURES: Mapping[str, str] = {
    "gradient_norm": (
        "L2 norm of the gradient of the loss of the gold answer at the embeddings, summed over the "
        "word's pieces (EmotionPrompt)"
    ),
    "gradient_x_input": (
        "that gradient times the embeddings, summed over the word's pieces: the first-order change "
        "of the loss by which the word's embedding differs from zero (Denil et al. 2014)"
    ),
    "occlusion": (
        "change of the loss when the word is deleted, in nats: positive where the answer gets less "
        "likely without it (Li et al. 2016, erasure)"
    ),
}
"""Measures by name, with what they are."""


def check_measures(measures: Sequence[str] | str) -> tuple[str, ...]:
    """Names of measures, each once.

    Raises:
        UnknownName: there is no such measure.
        UserError: none is named.
    """
    names = (measures,) if isinstance(measures, str) else tuple(dict.fromkeys(measures))
    if not names:
        raise UserError(f"name at least one measure: {', '.join(MEASURES)}")
    for name in names:
        if name not in MEASURES:
            raise UnknownName("measure", name, MEASURES, f"measures: {', '.join(MEASURES)}")
    return names


def measure_words(
    model: WhiteboxModel,
    text: str,
    words: Sequence[Word],
    answer: str,
    measures: Sequence[str],
    *,
    chat: bool = False,
) -> tuple[float, dict[str, list[float]]]:
    """The loss of the answer, and for each measure one value a word.

    Args:
        model: the model.
        text: what it reads.
        words: of the text.
        answer: the gold answer.
        measures: names of `MEASURES`.
        chat: the text is a rendered chat.

    Returns:
        The loss in nats; values by measure. Without its only word a decoder has nothing to read,
        and the occlusion is NaN.
    """
    found: dict[str, list[float]] = {}
    loss = math.nan
    if "gradient_norm" in measures or "gradient_x_input" in measures:
        saliency = model.saliency(text, answer, chat=chat)
        loss = saliency.loss
        by_gradient = _by_gradient(saliency, words)
        found |= {name: by_gradient[name] for name in measures if name in by_gradient}
    if "occlusion" in measures:
        texts = [text, *(without(text, word) for word in words)]
        base, *others = model.losses(texts, answer, chat=chat)
        found["occlusion"] = [other - base for other in others]
        loss = base if math.isnan(loss) else loss
    return loss, {name: found[name] for name in measures}


def _by_gradient(saliency: Saliency, words: Sequence[Word]) -> dict[str, list[float]]:
    """Both measures of the gradient; pieces of white space and marks belong to no word."""
    sums = np.zeros((len(words), saliency.gradient.shape[1]))
    products = np.zeros(len(words))
    for piece, word in enumerate(pieces_to_words(words, saliency.offsets)):
        if word is not None:
            sums[word] += saliency.gradient[piece]
            products[word] += saliency.gradient[piece] @ saliency.embedding[piece]
    norms = np.linalg.norm(sums, axis=1)
    return {"gradient_norm": norms.tolist(), "gradient_x_input": products.tolist()}
