"""The batch APIs of hosted providers that litellm reaches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from promptlab.errors import ProviderError
from promptlab.providers.addresses import environment_address
from promptlab.providers.batch_api import (
    CHAT,
    COMPLETION,
    BatchApi,
    RemoteBatch,
    read_batch,
    whole_lines,
)
from promptlab.providers.litellm import environment_secrets, provider_error, quiet_litellm
from promptlab.providers.openai_compatible import request_body
from promptlab.types import Request

__all__ = ["PROVIDERS", "LiteLLMBatchApi", "is_installed"]

PROVIDERS = ("openai", "azure", "vertex_ai", "xai")
"""Where litellm hands in, looks at, fetches and also lists batches; without a list, a batch whose
creation was cut off could not be found again and would be paid for twice."""

_TRANSLATED_LATER = frozenset({"vertex_ai"})
"""litellm turns the lines of these into the provider's form as it uploads them."""
_STREAMED = frozenset({"openai", "vertex_ai"})
_SLOWEST_BYTES_PER_S = 50_000
_CHUNK = 1 << 18
_PAGE = 100
_MOST_PAGES = 50
_CLIENTS = frozenset({"litellm", "openai", "httpx", "httpcore", "aiohttp"})


def is_installed() -> bool:
    """Whether litellm can be imported."""
    return find_spec("litellm") is not None


class LiteLLMBatchApi(BatchApi):
    """Batches of one hosted model, with the key in its provider's usual environment variable.

    Args:
        model: `provider/name` as litellm writes it.
        api_key: a key other than the usual variable's.
        key_name: variable that key comes from, for messages.
        timeout_s: seconds one exchange may take.

    Raises:
        UserError: the address in the environment is not one.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        key_name: str | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        self._provider, _, self._name = model.partition("/")
        self._litellm = quiet_litellm()
        self._timeout_s = timeout_s
        self.secrets = environment_secrets(api_key)
        variable = key_name or f"{self._provider.upper()}_API_KEY"
        self._hints = {"auth": f"the key comes from the environment variable {variable}"}
        self._fixed: dict[str, Any] = {
            "custom_llm_provider": self._provider,
            "timeout": timeout_s,
            # A creation that is tried again could be paid for twice: that is for us to decide.
            "max_retries": 0,
            "num_retries": 0,
            "no-log": True,
            # Else litellm fetches every answer once more, to add up its own costs.
            "litellm_metadata": {"batch_ignore_default_logging": True},
        }
        if api_key:
            self._fixed["api_key"] = api_key
        if address := environment_address(self._provider):
            self._fixed["api_base"] = address
        self._sent: dict[bytes, dict[str, Any]] = {}

    def request_line(self, key: str, request: Request) -> tuple[bytes, str]:
        """See the base class."""
        body, chat = request_body(request, self._name)
        if self._provider not in _TRANSLATED_LATER:
            document = orjson.loads(body)
            rest = {name: document[name] for name in document.keys() - request.params.keys()}
            body = orjson.dumps(rest | self._params(request))
        url = CHAT if chat else COMPLETION
        line = {"custom_id": key, "method": "POST", "url": url, "body": orjson.Fragment(body)}
        return orjson.dumps(line), url

    def _params(self, request: Request) -> dict[str, Any]:
        """The parameters as litellm sends them to this model, such as a limit's other name."""
        given = {name: value for name, value in request.params.items() if value is not None}
        known = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
        if known not in self._sent:
            try:
                sent = self._litellm.utils.get_optional_params(
                    model=self._name, custom_llm_provider=self._provider, **given
                )
            except Exception as error:
                raise self._failed(error) from None
            more = sent.pop("extra_body", None) or {}
            sent.pop("stream", None)
            self._sent[known] = {**sent, **more}
        return self._sent[known]

    async def upload(self, file: Path) -> str:
        """See the base class."""
        limit = self._timeout_s + file.stat().st_size / _SLOWEST_BYTES_PER_S
        with file.open("rb") as opened:
            reply = await self._call(
                self._litellm.acreate_file(
                    file=(file.name, opened, "application/jsonl"),
                    purpose="batch",
                    **self._fixed | {"timeout": limit},
                )
            )
        file_id = getattr(reply, "id", None)
        if not isinstance(file_id, str):
            raise ProviderError("malformed", "the reply to the upload names no file")
        return file_id

    async def create(
        self, file_id: str, *, url: str, window: str, metadata: Mapping[str, str]
    ) -> RemoteBatch:
        """See the base class."""
        reply = await self._call(
            self._litellm.acreate_batch(
                completion_window=window,
                endpoint=url,
                input_file_id=file_id,
                metadata=dict(metadata),
                **self._fixed,
            )
        )
        return self._batch(reply)

    async def look(self, batch_id: str) -> RemoteBatch:
        """See the base class."""
        return self._batch(
            await self._call(self._litellm.aretrieve_batch(batch_id=batch_id, **self._fixed))
        )

    async def recent(self, since: float) -> AsyncIterator[RemoteBatch]:
        """See the base class."""
        after, seen = None, set[str]()
        for _ in range(_MOST_PAGES):
            page = await self._call(
                self._litellm.alist_batches(after=after, limit=_PAGE, **self._fixed)
            )
            said = page if isinstance(page, dict) else vars(page)
            batches = [self._batch(item) for item in said.get("data") or ()]
            fresh = [batch for batch in batches if batch.id not in seen]
            for batch in fresh:
                yield batch
            # Some providers' lists have one page only, whatever they are asked for.
            if not fresh or said.get("has_more") is False or 0 < fresh[-1].created < since:
                return
            seen.update(batch.id for batch in fresh)
            after = fresh[-1].id

    async def lines(self, file_id: str) -> AsyncIterator[bytes]:
        """See the base class."""
        streamed = {"stream": True, "chunk_size": _CHUNK} if self._provider in _STREAMED else {}
        reply = await self._call(
            self._litellm.afile_content(file_id=file_id, **self._fixed, **streamed)
        )
        if not streamed:
            found, rest = whole_lines([reply.content], b"")
            for line in found:
                yield line
        else:
            rest = b""
            chunks = aiter(reply.stream_iterator)
            while (chunk := await self._call(anext(chunks, None))) is not None:
                found, rest = whole_lines([chunk], rest)
                for line in found:
                    yield line
        if rest.strip():
            yield rest

    def _batch(self, reply: Any) -> RemoteBatch:
        try:
            document = reply if isinstance(reply, dict) else reply.model_dump()
        except AttributeError:
            raise ProviderError("malformed", "the reply does not describe a batch") from None
        return read_batch(document, self.secrets)

    async def _call(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except Exception as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> ProviderError:
        package = type(error).__module__.partition(".")[0]
        if type(error).__name__ == "OpenAIError":  # not an answer: its client lacks a key
            return ProviderError("auth", f"{str(error)[:200]} ({self._hints['auth']})")
        if package in _CLIENTS:
            return provider_error(error, self.secrets, self._hints)
        if isinstance(error, ValueError):  # the reply is not what litellm takes it for
            return ProviderError("malformed", f"the reply cannot be read: {type(error).__name__}")
        raise error
