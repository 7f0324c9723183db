"""The batch API of an OpenAI-compatible endpoint, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from promptlab.errors import ProviderError
from promptlab.providers.batch_api import (
    CHAT,
    COMPLETION,
    BatchApi,
    RemoteBatch,
    read_batch,
    whole_lines,
)
from promptlab.providers.endpoint import Endpoint
from promptlab.providers.openai_compatible import request_body
from promptlab.types import Request

__all__ = ["HttpBatchApi"]

_SLOWEST_BYTES_PER_S = 50_000
_CONNECT_S = 10.0
_CHUNK = 1 << 18
_PAGE = 100
_MOST_PAGES = 50


class HttpBatchApi(BatchApi):
    """Batches of one model at an endpoint of one's own.

    Args:
        model: id as in the spec; what follows the first slash is the model's name there.
        api_base: address of the endpoint, up to and with `/v1`.
        api_key: the key, if the endpoint wants one.
        key_name: environment variable the key comes from, for messages.
        timeout_s: seconds one exchange may take.

    Raises:
        UserError: the address is not one, or holds a password.
    """

    def __init__(
        self,
        model: str,
        api_base: str,
        *,
        api_key: str | None = None,
        key_name: str = "OPENAI_API_KEY",
        timeout_s: float = 120.0,
    ) -> None:
        self._name = model.partition("/")[2]
        self._timeout_s = timeout_s
        self._there = Endpoint(
            api_base,
            api_key=api_key,
            key_name=key_name,
            not_there="does it have /files and /batches?",
            timeout_s=timeout_s,
        )
        self.secrets = self._there.secrets

    def request_line(self, key: str, request: Request) -> tuple[bytes, str]:
        """See the base class."""
        body, chat = request_body(request, self._name)
        url = CHAT if chat else COMPLETION
        return (
            orjson.dumps(
                {"custom_id": key, "method": "POST", "url": url, "body": orjson.Fragment(body)}
            ),
            url,
        )

    async def upload(self, file: Path) -> str:
        """See the base class."""
        size = file.stat().st_size
        with file.open("rb") as opened:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field("file", opened, filename=file.name, content_type="application/jsonl")
            payload = form()
            reply = await self._exchange(
                "POST",
                "files",
                data=payload,
                headers={"Content-Type": payload.content_type},
                timeout_s=self._timeout_s + size / _SLOWEST_BYTES_PER_S,
            )
        if not isinstance(reply, dict) or not isinstance(reply.get("id"), str):
            raise ProviderError("malformed", "the reply to the upload names no file")
        return str(reply["id"])

    async def create(
        self, file_id: str, *, url: str, window: str, metadata: Mapping[str, str]
    ) -> RemoteBatch:
        """See the base class."""
        body = {
            "input_file_id": file_id,
            "endpoint": url,
            "completion_window": window,
            "metadata": dict(metadata),
        }
        return self._batch(await self._exchange("POST", "batches", data=orjson.dumps(body)))

    async def look(self, batch_id: str) -> RemoteBatch:
        """See the base class."""
        return self._batch(await self._exchange("GET", f"batches/{quote(batch_id, safe='')}"))

    async def recent(self, since: float) -> AsyncIterator[RemoteBatch]:
        """See the base class."""
        after = ""
        for _ in range(_MOST_PAGES):
            page = await self._exchange("GET", f"batches?limit={_PAGE}{after}")
            listed = page.get("data") if isinstance(page, dict) else None
            if not isinstance(listed, list):
                raise ProviderError("malformed", "the reply is not a list of batches")
            batches = [self._batch(document) for document in listed]
            for batch in batches:
                yield batch
            if not batches or not page.get("has_more") or 0 < batches[-1].created < since:
                return
            after = f"&after={quote(batches[-1].id, safe='')}"

    async def lines(self, file_id: str) -> AsyncIterator[bytes]:
        """See the base class."""
        url = self._there.url(f"files/{quote(file_id, safe='')}/content")
        # However long it takes in all, something has to come now and then.
        limit = aiohttp.ClientTimeout(None, sock_connect=_CONNECT_S, sock_read=self._timeout_s)
        rest = b""
        try:
            async with self._there.session().get(url, timeout=limit) as reply:
                if reply.status != 200:
                    raise self._there.refused(reply.status, await reply.read(), dict(reply.headers))
                async for chunk in reply.content.iter_chunked(_CHUNK):
                    found, rest = whole_lines([chunk], rest)
                    for line in found:
                        yield line
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._there.lost(error) from None
        if rest.strip():
            yield rest

    async def close(self) -> None:
        """Close the connections."""
        await self._there.close()

    def _batch(self, document: Any) -> RemoteBatch:
        return read_batch(document, self.secrets)

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """One HTTP request; returns the parsed JSON of a good reply."""
        limit = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s, sock_connect=_CONNECT_S)
        try:
            async with self._there.session().request(
                method,
                self._there.url(path),
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=limit,
            ) as reply:
                raw = await reply.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._there.lost(error) from None
        if not 200 <= reply.status < 300:
            raise self._there.refused(reply.status, raw, dict(reply.headers))
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise ProviderError("malformed", "the reply is not JSON, or not all of it") from None
