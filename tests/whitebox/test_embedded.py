"""The embedded model: the laws of the tiny ones hold in a real one, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from promptlab import whitebox
from promptlab.whitebox.model import WhiteboxModel

torch = pytest.importorskip("torch", reason="the extra 'whitebox' is not installed")
pytest.importorskip("transformers", reason="the extra 'whitebox' is not installed")
pytestmark = pytest.mark.model
PROMPT = "Write the plural. You'd better be sure.\nWord: goose\nPlural:"


@pytest.fixture(scope="module")
def embedded(smollm2: Path) -> WhiteboxModel:
    pytest.importorskip("gguf", reason="the extra 'whitebox' is not installed")
    pytest.importorskip("accelerate", reason="the extra 'whitebox' is not installed")
    return whitebox.load("local/smollm2-135m")


def test_loss_gradient_and_occlusion(embedded: WhiteboxModel) -> None:
    one = whitebox.example(PROMPT, "geese", stimulus="You'd better be sure.")
    found = whitebox.word_importance(embedded, [one])
    values = found.pivot(index="position", columns="measure", values="value")
    assert np.isfinite(values.to_numpy()).all()
    coder, model = embedded._tokenizer, embedded._model
    for deleted in (None, 0, 5, 8):
        word = None if deleted is None else whitebox.split_words(PROMPT)[deleted]
        text = PROMPT if word is None else whitebox.without(PROMPT, word)
        first = len(coder(text)["input_ids"])
        ids = torch.tensor([coder(f"{text} geese")["input_ids"]])
        with torch.no_grad():
            scores = torch.log_softmax(model(input_ids=ids).logits[0], -1)
        loss = -sum(float(scores[i - 1, ids[0, i]]) for i in range(first, ids.shape[1]))
        if word is None:
            whole = loss
            assert found["loss"].iloc[0] == pytest.approx(loss, abs=1e-3)
        else:
            assert values.loc[deleted, "occlusion"] == pytest.approx(loss - whole, abs=2e-3)
    # The noun decides the plural: by every measure it is among the words that matter most.
    sizes = values.abs().rank(ascending=False)
    assert found["word"][8] == "goose"
    assert (sizes.loc[8] <= 3).all()


def test_a_chat_is_read_through_its_template(embedded: WhiteboxModel) -> None:
    from promptlab.types import Message

    text, spans = embedded.text_of([Message("user", "Plural of goose?")])
    assert [w.text for w in whitebox.split_words(text, spans)] == ["Plural", "of", "goose?"]
