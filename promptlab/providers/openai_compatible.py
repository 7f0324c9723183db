"""Any endpoint that speaks OpenAI's protocol, as lean as it gets.

vLLM, SGLang, TGI, llama-server, a litellm proxy and most hosted services do.
"""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import orjson

from promptlab.errors import ProviderError
from promptlab.providers.allowance import read_allowance
from promptlab.providers.base import Provider
from promptlab.providers.endpoint import Endpoint
from promptlab.providers.failures import is_filtered
from promptlab.providers.replies import read_reply
from promptlab.types import Request, Response

__all__ = ["OpenAICompatibleProvider", "request_body"]

_OURS = frozenset({"model", "messages", "prompt", "stream"})


class OpenAICompatibleProvider(Provider):
    """Chat for requests with messages, completion for requests with a prompt.

    Args:
        model: id as in the spec; what follows the first slash is the model's name there.
        api_base: address of the endpoint, up to and with `/v1`.
        api_key: the key, if the endpoint wants one; it never shows up in a message.
        key_name: environment variable the key comes from, for messages.
        timeout_s: seconds one attempt may take.

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
        self._name = model.partition("/")[2] or model
        self._there = Endpoint(
            api_base,
            api_key=api_key,
            key_name=key_name,
            not_there=f"check the address, and the model '{self._name}'",
            timeout_s=timeout_s,
        )
        self.endpoint = self._there.address
        self._chat = self._there.url("chat/completions")
        self._completion = self._there.url("completions")

    async def ask(self, request: Request, *, shared_prefix: str = "") -> Response:
        """One HTTP request; see the base class."""
        body, chat = request_body(request, self._name)
        session = self._there.session()
        started = time.perf_counter()
        try:
            async with session.post(
                self._chat if chat else self._completion, data=body, allow_redirects=False
            ) as reply:
                raw = await reply.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._there.lost(error) from None
        latency = round(time.perf_counter() - started, 4)
        created = round(time.time(), 3)
        self.allowance = read_allowance(reply.headers)
        if reply.status != 200:
            if reply.status == 400 and is_filtered(raw):
                return Response("filtered", latency_s=latency, created=created)
            raise self._there.refused(reply.status, raw, dict(reply.headers))
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise ProviderError("malformed", "the reply is not JSON, or not all of it") from None
        if isinstance(document, dict) and document.get("error") and "choices" not in document:
            raise self._error_with_status_200(document, raw, dict(reply.headers))
        return read_reply(document, chat=chat, latency_s=latency, created=created)

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        await self._there.close()

    def _error_with_status_200(
        self, document: dict[str, Any], raw: bytes, headers: dict[str, str]
    ) -> ProviderError:
        # Some gateways answer 200 and put the status of what is behind them into the body.
        inner = document["error"]
        code = inner.get("code") if isinstance(inner, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 502
        return self._there.refused(status, raw, headers)


def request_body(request: Request, name: str) -> tuple[bytes, bool]:
    """(JSON to send, whether it goes to chat) of a request.

    Args:
        request: what is asked.
        name: the model's name at the endpoint.

    Raises:
        ProviderError: `bad_request`, the protocol has no form for it.
    """
    if request.choices:
        raise ProviderError(
            "bad_request",
            "this endpoint does not give log-probabilities of given continuations; "
            "grade the choices by text (scoring: {choices: text})",
        )
    document: dict[str, Any] = {"model": name}
    chat = request.prompt is None
    if chat:
        document["messages"] = [{"role": m.role, "content": m.content} for m in request.messages]
    else:
        document["prompt"] = request.prompt
    for parameter, value in request.params.items():
        if parameter in _OURS:
            raise ProviderError("bad_request", f"'{parameter}' is not a parameter to be set")
        if value is not None:
            document[parameter] = value
    return orjson.dumps(document), chat
