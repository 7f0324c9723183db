"""Requests and responses as the bytes the store keeps.

Requests of a run share most of their text (instruction, stimulus, demonstrations, items), so each
is compressed against a dictionary that zstd trains on what was written before it: about 180 bytes
for a request and its answer together, instead of 1,100.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import orjson
import zstandard

from promptlab.types import Response

__all__ = [
    "COMPLETE",
    "Packer",
    "decode_response",
    "encode_response",
    "joined",
    "split",
    "unpacker",
]

COMPLETE = frozenset({"ok", "truncated", "refused", "filtered"})
"""Statuses of answers that are kept; an error or an empty answer is asked for again."""

_LEVEL = 3
_DICTIONARY = 112_640
_SEGMENT = 1_000  # about a row: a dictionary made of whole rows holds each item's text once
_SAMPLES = 256
_SAMPLE = 4_096
_FIRST, _RENEWED = 32, 1_024
_OPTIONAL = (
    "finish_reason",
    "choice_logprobs",
    "prompt_tokens",
    "completion_tokens",
    "served_model",
    "fingerprint",
    "latency_s",
    "created",
    "error",
)


def encode_response(response: Response) -> bytes:
    """A response as JSON."""
    document: dict[str, object] = {"status": response.status, "text": response.text}
    for name in _OPTIONAL:
        value = getattr(response, name)
        if value is not None and value != ():
            document[name] = value
    if response.attempts != 1:
        document["attempts"] = response.attempts
    return orjson.dumps(document)


def decode_response(data: bytes) -> Response:
    """The response that `encode_response` wrote.

    Raises:
        ValueError, TypeError: the bytes are not such a response.
    """
    document = orjson.loads(data)
    logprobs = document.get("choice_logprobs")
    if logprobs is not None:
        # JSON has no infinity: the log of a probability of zero comes back as null.
        document["choice_logprobs"] = tuple(-math.inf if v is None else v for v in logprobs)
    return Response(**document)


def joined(canonical: bytes, response: bytes) -> bytes:
    """A canonical request and a response as one body; neither holds a raw line break."""
    return b"%b\n%b" % (canonical, response)


def split(body: bytes) -> tuple[bytes, bytes]:
    """The canonical request and the response of a body."""
    canonical, _, response = body.partition(b"\n")
    return canonical, response


def unpacker(dictionary: bytes) -> zstandard.ZstdDecompressor:
    """Unpacks bodies that were packed with this dictionary; for one thread at a time.

    A body whose bytes have changed raises `zstandard.ZstdError`: each carries a checksum.
    """
    if not dictionary:
        return zstandard.ZstdDecompressor()
    return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(dictionary))


class Packer:
    """Packs bodies, and now and then learns a new dictionary from the last of them.

    Attributes:
        number: the present dictionary's id in the store; 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._compressor = _compressor(None)
        self._samples: deque[bytes] = deque(maxlen=_SAMPLES)
        self._since, self._due = 0, _FIRST

    def pack(self, bodies: Iterable[bytes]) -> list[bytes]:
        """Pack bodies with the present dictionary."""
        packed = []
        for body in bodies:
            packed.append(self._compressor.compress(body))
            # A long prompt shares its beginning with others; its end is the answer.
            self._samples.append(
                body if len(body) <= _SAMPLE else body[: _SAMPLE - 512] + body[-512:]
            )
        self._since += len(packed)
        return packed

    def learn(self) -> bytes | None:
        """A dictionary to go on with, when it is time for one.

        Soon after the beginning and then every thousand rows, as the run comes to other tasks; a
        test whether the present one still fits would cost as much as a new one.
        """
        if self._since < self._due:
            return None
        self._since, self._due = 0, min(_RENEWED, 4 * self._due)
        try:
            return zstandard.train_dictionary(
                _DICTIONARY, list(self._samples), k=_SEGMENT, d=8
            ).as_bytes()
        except zstandard.ZstdError:  # the rows are too small or too alike to learn from
            return None

    def use(self, number: int, dictionary: bytes) -> None:
        """Pack with this dictionary from now on."""
        self.number = number
        learned = zstandard.ZstdCompressionDict(dictionary)
        learned.precompute_compress(level=_LEVEL)
        self._compressor = _compressor(learned)
        self._due = max(self._due, _SAMPLES)


def _compressor(dictionary: zstandard.ZstdCompressionDict | None) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(
        level=_LEVEL, dict_data=dictionary, write_checksum=True, write_dict_id=False
    )
