"""Tiny models with random weights and a tokenizer made here: nothing is downloaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from promptlab.whitebox.model import WhiteboxModel

WHY = "the extra 'whitebox' is not installed"
torch = pytest.importorskip("torch", reason=WHY)
transformers = pytest.importorskip("transformers", reason=WHY)
tokenizers = pytest.importorskip("tokenizers", reason=WHY)

CORPUS = [
    "Write the plural. Are you sure? Be sure and be kind to the goose.",
    "Input: goose Output: geese",
    "Input: sheep Output: sheep",
]
MARKS = ["<pad>", "</s>", "<unk>"]


def tokenizer(*, end: bool) -> Any:
    """Pieces of a few letters; with `end` every text ends in a mark, as T5's does."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = (
        tokenizers.pre_tokenizers.Metaspace()
        if end
        else tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    )
    made.decoder = tokenizers.decoders.Metaspace() if end else tokenizers.decoders.ByteLevel()
    alphabet = [] if end else tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    if end:
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", 1)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def t5(seed: int = 0) -> WhiteboxModel:
    """An encoder-decoder in double precision."""
    coder = tokenizer(end=True)
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=len(coder), d_model=12, d_kv=4, d_ff=16, num_layers=2, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    return WhiteboxModel(transformers.T5ForConditionalGeneration(config).double(), coder, name="t5")


def llama(seed: int = 0, batch_size: int = 16, **more: Any) -> WhiteboxModel:
    """A decoder in double precision."""
    coder = tokenizer(end=False)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(coder), hidden_size=12, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=256, tie_word_embeddings=False,
        initializer_range=0.2, **more,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).double()
    return WhiteboxModel(model, coder, name="llama", batch_size=batch_size)


def gemma(seed: int = 0) -> WhiteboxModel:
    """A decoder that scales its embeddings inside."""
    coder = tokenizer(end=False)
    torch.manual_seed(seed)
    config = transformers.GemmaConfig(
        vocab_size=len(coder), hidden_size=12, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=6, max_position_embeddings=256,
        tie_word_embeddings=False, initializer_range=0.5,
    )  # fmt: skip
    return WhiteboxModel(transformers.GemmaForCausalLM(config).double(), coder, name="gemma")


class Bag(torch.nn.Module):
    """A decoder whose next token depends on the mean of the embeddings so far: a gradient by hand.

    logits at t = W m_t with m_t = mean(e_0 .. e_t), so that for the loss of the token y at t + 1
    d loss / d e_i = W' (softmax(W m_t) - onehot(y)) / (t + 1) for i <= t.
    """

    def __init__(self, words: int, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = torch.nn.Embedding(words, width).double()
        self.head = torch.nn.Linear(width, words, bias=False).double()
        self.config = SimpleNamespace(is_encoder_decoder=False)
        self.device = torch.device("cpu")

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.embedding

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        sums = self.embedding(input_ids).cumsum(1)
        means = sums / torch.arange(1, sums.shape[1] + 1)[None, :, None]
        return SimpleNamespace(logits=self.head(means))


def bag(seed: int = 0) -> WhiteboxModel:
    coder = tokenizer(end=False)
    return WhiteboxModel(Bag(len(coder), 5, seed), coder, name="bag")
