"""A local model opened for looking inside: loss of an answer, and its gradient at the embeddings.

The gradient is taken at the output of the embedding layer, by a hook, and never by feeding
`inputs_embeds`: some models scale embeddings inside the layer or after it, and with a hook the
logits are those of the token ids whatever the model does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from jinja2 import TemplateError

from promptlab.errors import UserError
from promptlab.types import Message

if TYPE_CHECKING:
    import torch

__all__ = ["Saliency", "Unreadable", "WhiteboxModel"]

Prompt = str | Sequence[Message]
Span = tuple[int, int]
Array = npt.NDArray[np.float64]


class Unreadable(UserError):
    """A prompt or an answer that this model cannot read; others it can."""


@dataclass(frozen=True, slots=True)
class Saliency:
    """What a prompt's pieces do to the loss, to first order.

    Attributes:
        loss: -log p(answer | prompt), natural logarithm, summed over the answer's tokens.
        offsets: characters of each piece of the prompt; an empty span for marks.
        embedding: output of the embedding layer, pieces x width.
        gradient: of the loss at the embedding, pieces x width.
    """

    loss: float
    offsets: tuple[Span, ...]
    embedding: Array
    gradient: Array


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Token ids of a decoder's prompt and answer, and where the answer begins."""

    ids: tuple[int, ...]
    offsets: tuple[Span, ...]
    first: int


class WhiteboxModel:
    """A decoder-only or encoder-decoder model of transformers, with its tokenizer.

    Args:
        model: a causal or sequence-to-sequence model; put into evaluation mode, its parameters
            frozen. Float32 is advised: gradients in half precision are coarse.
        tokenizer: its fast tokenizer (characters of the pieces are needed).
        name: name in tables.
        batch_size: prompts evaluated together where several are asked for.

    Raises:
        UserError: the tokenizer cannot say which characters a piece has.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, batch_size: int = 16) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise UserError(
                f"{name}: its tokenizer does not say which characters a piece has; word importance "
                "needs a fast tokenizer (a tokenizer.json)"
            )
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, not {batch_size}")
        model.eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.name, self.batch_size = name, batch_size
        self._model, self._tokenizer = model, tokenizer
        self.encoder_decoder = bool(model.config.is_encoder_decoder)

    @property
    def kind(self) -> str:
        """`encoder-decoder` or `decoder`."""
        return "encoder-decoder" if self.encoder_decoder else "decoder"

    @property
    def has_chat_template(self) -> bool:
        """Whether messages can be put to it."""
        return bool(getattr(self._tokenizer, "chat_template", None))

    def text_of(self, prompt: Prompt) -> tuple[str, tuple[Span, ...]]:
        """What the model reads, and the characters that are the prompt's own.

        Messages go through the model's chat template; the template's own words are no words of the
        prompt.

        Raises:
            UserError: messages for a model without a chat template.
            Unreadable: its template refuses the messages, or changes what they say.
        """
        if isinstance(prompt, str):
            return prompt, ((0, len(prompt)),)
        if not self.has_chat_template:
            raise UserError(f"{self.name} has no chat template; give the prompt as text")
        messages = [{"role": m.role, "content": m.content} for m in prompt]
        try:
            text = str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
            )
        except TemplateError as error:  # some take no system message
            raise Unreadable(f"the chat template of {self.name} refuses it: {error}") from None
        spans, at = [], 0
        for message in prompt:
            content = message.content.strip()
            start = text.find(content, at)
            if start < 0:
                raise Unreadable(
                    f"the chat template of {self.name} changes the {message.role} text"
                )
            at = start + len(content)
            spans.append((start, at))
        return text, tuple(spans)

    def loss(self, text: str, answer: str, *, chat: bool = False) -> float:
        """-log p(answer | text), natural logarithm, summed over the answer's tokens.

        Decoder-only: the answer continues the text. A blank between the two is added where the text
        ends in neither a blank nor a line break, as the embedded provider does. Encoder-decoder:
        the encoder reads the text, and the answer with its end mark is the decoder's target.

        Args:
            text: what the model reads, from `text_of`.
            answer: the gold answer.
            chat: the text is a rendered chat, so the answer follows it as it is.
        """
        return self.losses([text], answer, chat=chat)[0]

    def losses(self, texts: Sequence[str], answer: str, *, chat: bool = False) -> list[float]:
        """The loss of one answer after each of several texts.

        Texts of one length in tokens are evaluated together, so there is no padding. NaN for a text
        that leaves a decoder nothing to predict the answer from.
        """
        import torch

        _check_answer(answer)
        encoded = [self._encode(text, answer, chat) for text in texts]
        by_length: dict[int, list[int]] = defaultdict(list)
        for i, one in enumerate(encoded):
            if one.first or self.encoder_decoder:
                by_length[len(one.ids)].append(i)
        found = [math.nan] * len(texts)
        with torch.inference_mode():
            for places in by_length.values():
                for start in range(0, len(places), self.batch_size):
                    batch = places[start : start + self.batch_size]
                    values = self._batch_losses([encoded[i] for i in batch], answer)
                    for i, value in zip(batch, values.tolist(), strict=True):
                        found[i] = float(value)
        return found

    def saliency(self, text: str, answer: str, *, chat: bool = False) -> Saliency:
        """The loss with its gradient at the embeddings of the prompt's pieces.

        Arguments as those of `loss`. Encoder-decoder: at the encoder's input.

        Raises:
            Unreadable: nothing to predict the answer from, or too long a prompt.
            UserError: a model whose embedding layer is not used once.
        """
        _check_answer(answer)
        encoded = self._encode(text, answer, chat)
        if not encoded.first and not self.encoder_decoder:
            raise Unreadable("the prompt is empty: there is nothing to predict the answer from")
        seen: list[torch.Tensor] = []
        loss = self._batch_losses([encoded], answer, seen)[0]
        loss.backward()
        leaf = seen[0]
        count = len(encoded.ids) if self.encoder_decoder else encoded.first
        if leaf.grad is None:
            raise UserError(f"{self.name}: the answer does not depend on the embedding layer")
        return Saliency(
            loss=float(loss.detach()),
            offsets=encoded.offsets[:count],
            embedding=leaf.detach()[0, :count].double().cpu().numpy(),
            gradient=leaf.grad[0, :count].double().cpu().numpy(),
        )

    def _batch_losses(
        self, batch: Sequence[_Encoded], answer: str, seen: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Losses of encoded prompts of one length; the embeddings are kept in `seen` if given."""
        import torch

        ids = torch.tensor([one.ids for one in batch], device=self._model.device)
        if self.encoder_decoder:
            with self._hooked(self._model.get_encoder(), seen):
                states = self._model.get_encoder()(input_ids=ids, return_dict=True)
            target = self._tokenizer(text_target=answer)["input_ids"]
            labels = torch.tensor([target] * len(batch), device=ids.device)
            mask = torch.ones_like(ids)
            output = self._model(encoder_outputs=states, attention_mask=mask, labels=labels)
            scores = _log_softmax(output.logits)
            return -scores.gather(-1, labels.unsqueeze(-1)).squeeze(-1).sum(-1)
        with self._hooked(self._model, seen):
            scores = _log_softmax(self._model(input_ids=ids, use_cache=False).logits)
        return torch.stack(
            [
                -scores[row, one.first - 1 : -1]
                .gather(-1, ids[row, one.first :].unsqueeze(-1))
                .sum()
                for row, one in enumerate(batch)
            ]
        )

    @contextmanager
    def _hooked(self, part: Any, seen: list[torch.Tensor] | None) -> Iterator[None]:
        """Make the embedding layer's output a leaf with a gradient, once."""
        if seen is None:
            yield
            return

        def keep(module: Any, given: Any, output: torch.Tensor) -> torch.Tensor:
            del module, given
            leaf = output.detach().requires_grad_(True)
            seen.append(leaf)
            return leaf

        handle = part.get_input_embeddings().register_forward_hook(keep)
        try:
            yield
        finally:
            handle.remove()
        if len(seen) != 1:
            raise UserError(
                f"{self.name}: the embedding layer is used {len(seen)} times, and importance is "
                "defined for models that use it once"
            )

    def _encode(self, text: str, answer: str, chat: bool) -> _Encoded:
        """Token ids; of a decoder those of text and answer together, as they are read in one go."""
        full = text
        if not self.encoder_decoder:
            joined = chat or text[-1:].isspace() or answer[:1].isspace() or not text
            full = text + ("" if joined else " ") + answer
        coded = self._tokenizer(full, return_offsets_mapping=True, add_special_tokens=not chat)
        ids, offsets = coded["input_ids"], [(int(a), int(b)) for a, b in coded["offset_mapping"]]
        self._check_length(len(ids))
        if self.encoder_decoder:
            return _Encoded(tuple(ids), tuple(offsets), 0)
        # A tokenizer may end a text with a mark; the answer's loss is that of its own pieces.
        inside = [i for i, (start, end) in enumerate(offsets) if end > len(text) and end > start]
        if not inside:
            raise Unreadable(
                f"the tokenizer of {self.name} has no pieces for the answer {answer!r}"
            )
        stop = inside[-1] + 1
        return _Encoded(tuple(ids[:stop]), tuple(offsets[:stop]), inside[0])

    def _check_length(self, tokens: int) -> None:
        most = getattr(self._model.config, "max_position_embeddings", None)
        if most is not None and tokens > most:
            raise Unreadable(
                f"the prompt has {tokens} tokens, and {self.name} reads at most {most}"
            )


def _log_softmax(logits: torch.Tensor) -> torch.Tensor:
    """In float32 at least."""
    import torch

    return torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), -1)


def _check_answer(answer: str) -> None:
    if not answer.strip():
        raise Unreadable("the gold answer is empty: it has no loss")
