"""An OpenAI-compatible endpoint: its connections, and what goes wrong on them."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
from yarl import URL

from promptlab.errors import ProviderError
from promptlab.providers.addresses import checked_address, is_loopback
from promptlab.providers.failures import Unreachable, from_status, scrub

__all__ = ["Endpoint"]

_CONNECT_S = 10.0


class Endpoint:
    """Holds the key, which never shows up in a message, and opens connections as needed.

    Args:
        api_base: address of the endpoint, up to and with `/v1`.
        api_key: the key, if the endpoint wants one.
        key_name: environment variable the key comes from, for messages.
        not_there: what to do when the endpoint does not know what it is asked for.
        timeout_s: seconds one exchange may take, unless it says another limit.

    Raises:
        UserError: the address is not one, or holds a password.
    """

    def __init__(
        self,
        api_base: str,
        *,
        api_key: str | None = None,
        key_name: str = "OPENAI_API_KEY",
        not_there: str = "",
        timeout_s: float = 120.0,
    ) -> None:
        self.address = checked_address(api_base)
        self._key = api_key
        self.secrets = (api_key,) if api_key else ()
        self._timeout_s = timeout_s
        self._hints = {
            "auth": f"the key comes from the environment variable {key_name}"
            + ("" if api_key else ", which is not set"),
            "not_found": f"{self.address}: {not_there}",
        }
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def url(self, path: str) -> URL:
        """The address of something below the endpoint, such as `chat/completions`."""
        return URL(f"{self.address}/{path}")

    def session(self) -> aiohttp.ClientSession:
        """The open connections, for the running event loop."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Authorization": f"Bearer {self._key or 'none'}",
                    "Content-Type": "application/json",
                    "User-Agent": "promptlab",
                },
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout_s, sock_connect=min(_CONNECT_S, self._timeout_s)
                ),
                # What runs on this machine is never behind a proxy.
                trust_env=not is_loopback(self.address),
            )
        return self._session

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    def lost(self, error: Exception) -> ProviderError:
        """What an exception of the connection means."""
        words = scrub(str(error) or type(error).__name__, self.secrets)
        where = self.address
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unreachable(f"cannot connect to {where}: {words}; is the server running?")
        if isinstance(error, getattr(aiohttp, "ConnectionTimeoutError", ())):
            return Unreachable(f"no connection to {where} in {_CONNECT_S:g} s")
        if isinstance(error, TimeoutError):
            return ProviderError("timeout", f"no answer from {where} in {self._timeout_s:g} s")
        if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
            return ProviderError("malformed", f"the reply of {where} broke off: {words}")
        return ProviderError("connection", f"the connection to {where} broke: {words}")

    def refused(self, status: int, raw: bytes, headers: dict[str, str]) -> ProviderError:
        """What a reply with a status other than 200 means."""
        if 300 <= status < 400:
            raw = orjson.dumps(f"redirected to {headers.get('Location')}; use that as api_base")
        return from_status(status, raw, headers, secrets=self.secrets, hints=self._hints)
