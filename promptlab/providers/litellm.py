"""Every hosted model that litellm knows; litellm translates, and does nothing else for us."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import orjson

from promptlab.errors import FailureKind, MissingDependency, ProviderError, UserError
from promptlab.providers.addresses import environment_address
from promptlab.providers.allowance import Allowance, read_allowance
from promptlab.providers.base import Provider
from promptlab.providers.failures import Unreachable, from_status, is_filtered, scrub
from promptlab.providers.replies import status_of
from promptlab.types import Request, Response

__all__ = ["LiteLLMProvider", "environment_secrets", "provider_error", "quiet_litellm"]

_KINDS: dict[str, FailureKind] = {
    "Timeout": "timeout",
    "APIConnectionError": "connection",
    "APIResponseValidationError": "malformed",
    "JSONSchemaValidationError": "malformed",
    "AuthenticationError": "auth",
    "PermissionDeniedError": "auth",
    "NotFoundError": "not_found",
    "RateLimitError": "rate_limit",
    "BadRequestError": "bad_request",
    "UnprocessableEntityError": "bad_request",
}
_UNREACHABLE = {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError"}
_BROKEN = {
    "APIConnectionError",
    "ClientOSError",
    "ConnectionResetError",
    "ReadError",
    "RemoteProtocolError",
    "ServerDisconnectedError",
}
_NO_KEY = re.compile(r"missing credentials|missing [\w .]{0,40}api[ _]key", re.IGNORECASE)
"""Words of the clients where a key is not set at all; litellm calls that an error of the server, or
of the connection."""
_in_use: set[int] = set()


class LiteLLMProvider(Provider):
    """A hosted model, reached with the key in its provider's usual environment variable.

    Retries, caching and the dropping of parameters are switched off: a parameter that a model
    does not take is an error, because an experiment without it would be another experiment.

    Args:
        model: `provider/name` as litellm writes it.
        api_key: a key other than the usual variable's.
        key_name: variable that key comes from, for messages.
        timeout_s: seconds one attempt may take.

    Raises:
        MissingDependency: litellm is not installed.
        UserError: litellm knows no such provider.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        key_name: str | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        if find_spec("litellm") is None:
            raise MissingDependency("models of this provider", "hosted")
        self._litellm = quiet_litellm()
        self._model, self._timeout_s = model, timeout_s
        prefix = model.partition("/")[0]
        self.endpoint = environment_address(prefix)
        try:
            self._litellm.get_llm_provider(model)
        except Exception:
            raise UserError(
                f"no provider '{prefix}' is known for the model {model}; for an endpoint of your "
                "own write its address: {id: " + model + ', api_base: "http://.../v1"}'
            ) from None
        self._secrets = environment_secrets(api_key)
        self._fixed: dict[str, Any] = {
            "timeout": timeout_s,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": False,
            "caching": False,
            "no-log": True,
        }
        if api_key:
            self._fixed["api_key"] = api_key
        if self.endpoint:
            self._fixed["api_base"] = self.endpoint
        self._hints = {
            "auth": f"the key comes from the environment variable {key_name}"
            if key_name
            else f"set {self._key_names(prefix)} in the environment",
        }

    def _key_names(self, prefix: str) -> str:
        """The variables that are missing, as far as litellm knows."""
        names = self._litellm.validate_environment(self._model).get("missing_keys")
        return ", ".join(map(str, names)) if names else f"the key of {prefix}"

    async def ask(self, request: Request, *, shared_prefix: str = "") -> Response:
        """One call through litellm; see the base class."""
        if request.choices:
            raise ProviderError(
                "bad_request",
                "this provider does not give log-probabilities of given continuations; "
                "grade the choices by text (scoring: {choices: text})",
            )
        params = {name: value for name, value in request.params.items() if value is not None}
        if reserved := self._fixed.keys() & params.keys() | {"stream"} & params.keys():
            raise ProviderError("bad_request", f"'{min(reserved)}' is not a parameter to be set")
        chat = request.prompt is None
        _in_use.add(id(self))
        started = time.perf_counter()
        try:
            if chat:
                messages = [{"role": m.role, "content": m.content} for m in request.messages]
                reply = await self._litellm.acompletion(
                    model=self._model, messages=messages, **params, **self._fixed
                )
            else:
                reply = await self._litellm.atext_completion(
                    model=self._model, prompt=request.prompt, **params, **self._fixed
                )
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in {"litellm", "openai", "httpx"}:
                raise
            self.allowance = _allowance(_headers(error))
            return self._failed(error, round(time.perf_counter() - started, 4))
        hidden = getattr(reply, "_hidden_params", None) or {}
        self.allowance = _allowance(hidden.get("additional_headers") or {})
        return _response(
            reply, chat, round(time.perf_counter() - started, 4), round(time.time(), 3)
        )

    async def close(self) -> None:
        """Close litellm's connections, which its models share, after the last of them."""
        _in_use.discard(id(self))
        close = getattr(self._litellm, "close_litellm_async_clients", None)
        if close is not None and not _in_use:
            await close()
            self._litellm.in_memory_llm_clients_cache.flush_cache()

    def _failed(self, error: Exception, latency_s: float) -> Response:
        """A filtered response; raises the `ProviderError` of any other error."""
        if _is_filtered(error):
            return Response("filtered", latency_s=latency_s, created=round(time.time(), 3))
        raise provider_error(error, self._secrets, self._hints) from None


def _is_filtered(error: Exception) -> bool:
    """Whether a content filter refused the request, which is an answer of a kind."""
    return type(error).__name__ == "ContentPolicyViolationError" or is_filtered(_body(error))


def provider_error(
    error: Exception, secrets: Sequence[str], hints: Mapping[str, str]
) -> ProviderError:
    """What an exception of litellm, or of a client below it, means.

    Args:
        error: the exception.
        secrets: what must not be in the message.
        hints: what to do, by kind.
    """
    causes = _chain(error)
    words = scrub(" ".join(str(error).split()), secrets)[:400]
    if _NO_KEY.search(words):
        told = words.partition(" Traceback")[0]
        return ProviderError("auth", f"{told} ({hints['auth']})" if "auth" in hints else told)
    # litellm calls a lost connection an error of the server: what it came from is surer.
    if causes & _UNREACHABLE:
        return Unreachable(words)
    kind = next((k for c in type(error).__mro__ if (k := _KINDS.get(c.__name__))), None)
    if kind in {"timeout", "malformed", "connection"}:
        return ProviderError(kind, words)
    if causes & _BROKEN:
        return ProviderError("connection", words)
    status = getattr(error, "status_code", None)
    known = from_status(
        status if isinstance(status, int) and status >= 400 else 502,
        _body(error) or scrub(str(error), secrets).encode(),
        _headers(error),
        secrets=secrets,
        hints=hints,
    )
    if kind is not None and known.kind in {"server", "bad_request"}:
        return ProviderError(kind, known.message, retry_after=known.retry_after)
    return known


def environment_secrets(api_key: str | None) -> list[str]:
    """The key and every other key of the environment: some providers' messages hold them."""
    found = [v for n, v in os.environ.items() if n.endswith(("_KEY", "_TOKEN")) and v]
    return [api_key, *found] if api_key else found


def quiet_litellm() -> Any:
    """litellm, imported without a network and told to keep quiet."""
    # Without this it downloads its price list while it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = False
    litellm.num_retries = 0
    litellm.cache = None
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


def _response(reply: Any, chat: bool, latency_s: float, created: float) -> Response:
    try:
        choice = reply.choices[0]
        refusal = None
        if chat:
            text = choice.message.content
            refusal = getattr(choice.message, "refusal", None) or (
                getattr(choice.message, "provider_specific_fields", None) or {}
            ).get("refusal")
        else:
            text = choice.text
    except (AttributeError, IndexError, TypeError):
        raise ProviderError("malformed", "the reply has no choices with a message") from None
    text = text if text is not None else refusal or ""
    usage = getattr(reply, "usage", None)
    return Response(
        status=status_of(text, choice.finish_reason, refusal),
        text=text,
        finish_reason=choice.finish_reason,
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        completion_tokens=getattr(usage, "completion_tokens", None),
        served_model=getattr(reply, "model", None),
        fingerprint=getattr(reply, "system_fingerprint", None),
        latency_s=latency_s,
        created=created,
    )


def _body(error: Exception) -> bytes:
    """The error document the provider sent, as far as litellm hands it on."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and body.get("message"):
        return orjson.dumps({"error": body}, default=str)
    content = getattr(getattr(error, "response", None), "content", b"")
    return content if isinstance(content, bytes) else b""


def _allowance(headers: Mapping[str, str]) -> Allowance | None:
    limits = {
        name.lower().removeprefix("llm_provider-"): value
        for name, value in headers.items()
        if "ratelimit" in name
    }
    return read_allowance(limits) if limits else None


def _headers(error: Exception) -> dict[str, str]:
    headers = dict(getattr(getattr(error, "response", None), "headers", None) or {})
    return headers | dict(getattr(error, "litellm_response_headers", None) or {})


def _chain(error: BaseException | None) -> set[str]:
    """Names of the classes of an error and of what it came from."""
    names: set[str] = set()
    for _ in range(10):
        if error is None:
            break
        names.add(type(error).__name__)
        error = error.__cause__ or error.__context__
    return names
