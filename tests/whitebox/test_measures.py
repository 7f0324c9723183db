"""Losses and gradients against paths of their own: formulas, finite differences, transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tiny import bag, gemma, llama, t5, torch

from promptlab.errors import UserError
from promptlab.types import Message
from promptlab.whitebox.measures import MEASURES, measure_words
from promptlab.whitebox.model import WhiteboxModel
from promptlab.whitebox.words import pieces_to_words, split_words, without

TEXT = "Write the plural. Are you sure?\nInput: goose Output:"
ANSWER = "geese"
STEP = 3e-3
NEAR = {"rel": 2e-2, "abs": 3e-3}
"""Models work in single precision inside (norms, softmax), which bounds finite differences; the
formula by hand has no such bound."""


def own_loss(opened: WhiteboxModel, text: str, answer: str, **given: Any) -> float:
    """The loss from logits of one call, label by label; `given` replaces the token ids."""
    model, coder = opened._model, opened._tokenizer
    with torch.no_grad():
        if opened.encoder_decoder:
            labels = coder(answer)["input_ids"]
            given = given or {"input_ids": torch.tensor([coder(text)["input_ids"]])}
            logits = model(labels=torch.tensor([labels]), **given).logits[0]
        else:
            ids = coder(f"{text} {answer}")["input_ids"]
            first = len(coder(text)["input_ids"])
            labels = ids[first:]
            given = given or {"input_ids": torch.tensor([ids])}
            logits = model(**given).logits[0, first - 1 : -1]
        gone = logits.logsumexp(-1)
        return sum(float(gone[i] - logits[i, label]) for i, label in enumerate(labels))


@pytest.mark.parametrize("make", [llama, gemma, t5])
def test_the_loss_is_that_of_transformers(make: Callable[[], WhiteboxModel]) -> None:
    opened = make()
    model, coder = opened._model, opened._tokenizer
    text = TEXT if opened.encoder_decoder else f"{TEXT} {ANSWER}"
    ids = torch.tensor([coder(text)["input_ids"]])
    labels = torch.tensor([coder(ANSWER)["input_ids"]]) if opened.encoder_decoder else ids.clone()
    if not opened.encoder_decoder:
        labels[:, : len(coder(TEXT)["input_ids"])] = -100
    with torch.no_grad():
        mean = float(model(input_ids=ids, labels=labels).loss)  # in float32
    total = mean * int((labels >= 0).sum())
    assert opened.loss(TEXT, ANSWER) == pytest.approx(total, rel=1e-6)
    assert opened.loss(TEXT, ANSWER) == pytest.approx(own_loss(opened, TEXT, ANSWER), abs=1e-9)
    assert opened.saliency(TEXT, ANSWER).loss == pytest.approx(opened.loss(TEXT, ANSWER), abs=1e-6)


def test_the_gradient_of_a_bag_of_embeddings_is_the_one_by_hand() -> None:
    opened = bag()
    found = opened.saliency(TEXT, ANSWER)
    model, coder = opened._model, opened._tokenizer
    ids = coder(f"{TEXT} {ANSWER}")["input_ids"]
    first = len(coder(TEXT)["input_ids"])
    table = model.embedding.weight.detach().numpy()
    head = model.head.weight.detach().numpy()
    loss, gradient = 0.0, np.zeros((first, table.shape[1]))
    for t in range(first - 1, len(ids) - 1):
        logits = head @ table[ids[: t + 1]].mean(0)
        p = np.exp(logits - logits.max())
        p /= p.sum()
        loss -= math.log(p[ids[t + 1]])
        p[ids[t + 1]] -= 1
        gradient += head.T @ p / (t + 1)
    assert found.loss == pytest.approx(loss, abs=1e-10)
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-12)
    np.testing.assert_allclose(found.embedding, table[ids[:first]], atol=0)


@pytest.mark.parametrize("make", [llama, t5])
def test_gradients_are_the_finite_differences_of_every_piece(
    make: Callable[[], WhiteboxModel],
) -> None:
    """Through `inputs_embeds` of models that do not scale them: a path that is not used here."""
    opened = make()
    found = opened.saliency(TEXT, ANSWER)
    model, coder = opened._model, opened._tokenizer
    text = TEXT if opened.encoder_decoder else f"{TEXT} {ANSWER}"
    ids = torch.tensor([coder(text)["input_ids"]])
    base = model.get_input_embeddings()(ids).detach()
    rng = np.random.default_rng(0)
    for piece in range(found.gradient.shape[0]):
        for k in rng.choice(base.shape[-1], 2, replace=False):
            ends = []
            for sign in (1, -1):
                moved = base.clone()
                moved[0, piece, k] += sign * STEP
                ends.append(own_loss(opened, TEXT, ANSWER, inputs_embeds=moved))
            expected = (ends[0] - ends[1]) / (2 * STEP)
            assert found.gradient[piece, k] == pytest.approx(expected, **NEAR)


@pytest.mark.parametrize("make", [gemma, t5, llama])
def test_gradients_are_those_of_the_embedding_table(make: Callable[[], WhiteboxModel]) -> None:
    """Moving the table's row of a token that stands once, whatever is done with it afterwards."""
    opened = make()
    found = opened.saliency(TEXT, ANSWER)
    model, coder = opened._model, opened._tokenizer
    ids = coder(TEXT)["input_ids"][: found.gradient.shape[0]]
    target = set(coder(f" {ANSWER}")["input_ids"]) | set(coder(ANSWER)["input_ids"])
    single = [i for i, token in enumerate(ids) if ids.count(token) == 1 and token not in target]
    assert len(single) >= 4
    table = model.get_input_embeddings().weight
    scale = found.embedding[single[0]] / table[ids[single[0]]].detach().numpy()
    for piece in single[:4]:
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                table[ids[piece], 3] += sign * STEP
                ends.append(own_loss(opened, TEXT, ANSWER))
                table[ids[piece], 3] -= sign * STEP
        expected = (ends[0] - ends[1]) / (2 * STEP)
        assert found.gradient[piece, 3] * scale[3] == pytest.approx(expected, **NEAR)


@pytest.mark.parametrize("make", [llama, t5])
def test_a_word_has_the_sum_of_its_pieces(make: Callable[[], WhiteboxModel]) -> None:
    opened = make()
    words = split_words(TEXT)
    loss, values = measure_words(opened, TEXT, words, ANSWER, tuple(MEASURES))
    found = opened.saliency(TEXT, ANSWER)
    owners = pieces_to_words(words, found.offsets)
    assert any(owners.count(word.position) > 1 for word in words), "a word of several pieces"
    assert set(owners) - {None} == {word.position for word in words}
    assert loss == pytest.approx(opened.loss(TEXT, ANSWER), abs=1e-6)
    for word in words:
        own = [i for i, owner in enumerate(owners) if owner == word.position]
        norm = math.sqrt(sum(sum(found.gradient[i][k] for i in own) ** 2 for k in range(12)))
        product = sum(float(found.gradient[i] @ found.embedding[i]) for i in own)
        assert values["gradient_norm"][word.position] == pytest.approx(norm, rel=1e-9)
        assert values["gradient_x_input"][word.position] == pytest.approx(product, rel=1e-9)


@pytest.mark.parametrize("make", [llama, t5, gemma])
def test_occlusion_is_the_loss_of_the_text_without_the_word(
    make: Callable[[], WhiteboxModel],
) -> None:
    opened = make()
    words = split_words(TEXT)
    _, values = measure_words(opened, TEXT, words, ANSWER, ("occlusion",))
    for word, value in zip(words, values["occlusion"], strict=True):
        shorter = without(TEXT, word)
        assert shorter.split() == [w.text for w in words if w is not word]
        expected = own_loss(opened, shorter, ANSWER) - own_loss(opened, TEXT, ANSWER)
        assert value == pytest.approx(expected, abs=1e-6)


def test_batches_change_nothing_and_repeated_words_keep_their_own_values() -> None:
    text = "sure sure sure sure"
    words = split_words(text)
    found = [measure_words(llama(batch_size=n), text, words, ANSWER, MEASURES) for n in (1, 2, 16)]
    for name in MEASURES:
        for other in found[1:]:
            np.testing.assert_allclose(other[1][name], found[0][1][name], atol=1e-10)
        values = found[0][1][name]
        assert len(values) == 4
        if name != "occlusion":  # without any of them the text is the same
            assert len({round(v, 9) for v in values}) == 4
        else:
            np.testing.assert_allclose(values, values[0], atol=1e-10)
    assert found[0] == measure_words(llama(batch_size=1), text, words, ANSWER, MEASURES)


def test_without_its_only_word_a_decoder_has_no_loss() -> None:
    words = split_words("goose")
    _, values = measure_words(llama(), "goose", words, ANSWER, tuple(MEASURES))
    assert math.isnan(values["occlusion"][0])
    assert math.isfinite(values["gradient_norm"][0])
    _, values = measure_words(t5(), "goose", words, ANSWER, ("occlusion",))
    assert math.isfinite(values["occlusion"][0])
    with pytest.raises(UserError, match="the prompt is empty"):
        llama().saliency("", ANSWER)


def test_what_cannot_be_looked_at_is_said() -> None:
    opened = llama()
    with pytest.raises(UserError, match="gold answer is empty"):
        opened.loss(TEXT, " ")
    with pytest.raises(UserError, match=r"reads at most 256"):
        opened.loss("goose " * 300, ANSWER)
    with pytest.raises(UserError, match="no chat template"):
        opened.text_of([Message("user", "x")])
    slow = type("Slow", (), {"is_fast": False})()
    with pytest.raises(UserError, match="fast tokenizer"):
        WhiteboxModel(opened._model, slow, name="slow")
    with pytest.raises(UserError, match="batch_size"):
        WhiteboxModel(opened._model, opened._tokenizer, name="x", batch_size=0)


def test_an_embedding_layer_that_is_used_twice_is_refused() -> None:
    opened = bag()
    forward = opened._model.forward

    def twice(input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        opened._model.embedding(input_ids)
        return forward(input_ids)

    opened._model.forward = twice
    with pytest.raises(UserError, match="used 2 times"):
        opened.saliency(TEXT, ANSWER)
    assert not opened._model.embedding._forward_hooks


def test_words_of_a_chat_stand_inside_the_template() -> None:
    opened = llama()
    opened._tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}\n{% endfor %}<|assistant|>"
    )
    prompt = (Message("system", "Be kind."), Message("user", " the plural of goose "))
    text, spans = opened.text_of(prompt)
    words = split_words(text, spans)
    assert [w.text for w in words] == ["Be", "kind.", "the", "plural", "of", "goose"]
    loss, values = measure_words(opened, text, words, ANSWER, ("occlusion",), chat=True)
    ids = opened._tokenizer(text + ANSWER, add_special_tokens=False)["input_ids"]
    first = len(opened._tokenizer(text, add_special_tokens=False)["input_ids"])
    with torch.no_grad():
        scores = torch.log_softmax(opened._model(torch.tensor([ids])).logits[0], -1)
    expected = -sum(float(scores[i - 1, ids[i]]) for i in range(first, len(ids)))
    assert loss == pytest.approx(expected, abs=1e-6)
    assert len(values["occlusion"]) == 6
    opened._tokenizer.chat_template = "{{ messages[0].content | upper }}"
    with pytest.raises(UserError, match="changes the system text"):
        opened.text_of(prompt)
