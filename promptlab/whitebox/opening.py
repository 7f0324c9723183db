"""Opening a local model through transformers: the embedded GGUF, a folder, a model of the hub."""

from __future__ import annotations

import importlib.util
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from promptlab import models
from promptlab.errors import MissingDependency, UserError
from promptlab.whitebox.model import WhiteboxModel

__all__ = ["load"]

_ENCODER_DECODERS = (b"t5", b"t5encoder")
"""GGUF names of architectures that transformers opens as encoder-decoder."""
_HEAD = 1 << 16


def load(name: str | Path, *, batch_size: int = 16) -> WhiteboxModel:
    """Open a model in float32 on this machine's processor.

    Args:
        name: `local/smollm2-135m` (see `promptlab models list`), the path of a GGUF file with or
            without `local/` before it, a folder that transformers reads, or a model of the hub such
            as `google/flan-t5-small`. With HF_HUB_OFFLINE=1 only hub models that are in the cache.
        batch_size: prompts evaluated together; see `WhiteboxModel`.

    Raises:
        MissingDependency: torch, transformers, or for GGUF files gguf or accelerate are absent.
        MissingData: the weights are not there; says what to type.
        UserError: not a model that predicts text, or one that cannot be read.
    """
    name = str(name)
    is_gguf = name.startswith("local/") or name.lower().endswith(".gguf")
    _require("torch", "transformers", *(("gguf", "accelerate") if is_gguf else ()))
    if is_gguf:
        path = models.find(name).path
        where, options = str(path.parent), {"gguf_file": path.name, "local_files_only": True}
        encoder_decoder = _architecture(path) in _ENCODER_DECODERS
    else:
        folder = Path(name).expanduser()
        here = folder.is_dir()
        where, options = str(folder) if here else name, {"local_files_only": True} if here else {}
        encoder_decoder = None
    model, tokenizer = _read(name, where, options, encoder_decoder)
    return WhiteboxModel(model, tokenizer, name=name, batch_size=batch_size)


def _require(*packages: str) -> None:
    if any(importlib.util.find_spec(package) is None for package in packages):
        raise MissingDependency("word importance", "whitebox")


def _architecture(path: Path) -> bytes:
    """Architecture that a GGUF file names in its head; reading all of the head takes seconds.

    A key is followed by its type (8 is text, 4 bytes) and the text's length (8 bytes).
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    _, _, rest = head.partition(b"general.architecture")
    return rest[12 : 12 + int.from_bytes(rest[4:12], "little")]


def _read(
    name: str, where: str, options: dict[str, Any], encoder_decoder: bool | None
) -> tuple[Any, Any]:
    try:
        with _quiet():
            import torch
            import transformers

            if encoder_decoder is None:
                config = transformers.AutoConfig.from_pretrained(where, **options)
                encoder_decoder = bool(config.is_encoder_decoder)
            kind = (
                transformers.AutoModelForSeq2SeqLM
                if encoder_decoder
                else transformers.AutoModelForCausalLM
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
            model = kind.from_pretrained(where, dtype=torch.float32, **options)
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot open {name} with transformers: {_short(reason)}{_hint()}"
        ) from None
    return model, tokenizer


def _short(reason: str) -> str:
    return reason if len(reason) <= 300 else reason[:300].rsplit(" ", 1)[0] + " ..."


def _hint() -> str:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return (
            " (HF_HUB_OFFLINE is set: only models in the hub's cache, folders and GGUF files open)"
        )
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars and advice; its settings are as before afterwards."""
    # Bars of its loaders write to standard error whatever its settings are.
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        from transformers.utils import logging

        verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()
