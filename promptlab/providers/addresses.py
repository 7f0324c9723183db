"""Addresses of endpoints: part of every key and record, so they must hold no secret."""

from __future__ import annotations

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

from promptlab.errors import UserError
from promptlab.providers.failures import scrub

__all__ = [
    "checked_address",
    "environment_address",
    "is_loopback",
    "named_key",
    "provider_of",
    "variable_prefix",
]

_EXAMPLES = "local/smollm2-135m, openai/gpt-4o-mini or mock/echo"


def checked_address(api_base: str) -> str:
    """The address of an endpoint without a slash at its end.

    Raises:
        UserError: it is not an HTTP address, or holds a user name, a password or a query.
    """
    parts = urlsplit(api_base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UserError(
            f"'{scrub(api_base)}' is not the address of an endpoint; "
            "write for instance http://127.0.0.1:8000/v1"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            f"the address of the endpoint at {parts.hostname} holds a user name, a password or a "
            "query, and would be written into every record; put the key into an environment "
            "variable and name it in api_key_env"
        )
    return api_base.rstrip("/")


def is_loopback(address: str) -> bool:
    """Whether the address is this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def variable_prefix(provider: str) -> str:
    """A provider's name as environment variables begin with it: `my-host` gives `MY_HOST`."""
    return "".join(c if c.isalnum() else "_" for c in provider).upper()


def environment_address(provider: str) -> str | None:
    """The endpoint that `PROVIDER_BASE_URL` or `PROVIDER_API_BASE` names instead of the usual."""
    prefix = variable_prefix(provider)
    for variable in (f"{prefix}_BASE_URL", f"{prefix}_API_BASE"):
        if value := os.environ.get(variable):
            return checked_address(value)
    return None


def provider_of(model: str) -> str:
    """What stands before the first slash of a model's id.

    Raises:
        UserError: it is no model id.
    """
    prefix, slash, name = model.partition("/")
    if not (prefix and slash and name):
        raise UserError(f"'{model}' is not a model id; write provider/model, such as {_EXAMPLES}")
    return prefix


def named_key(variable: str | None, model: str) -> str | None:
    """The key in the environment variable that a spec names for a model; None if it names none.

    Raises:
        UserError: the variable is not set.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise UserError(
            f"the key of {model} should be in the environment variable {variable}, which is not "
            f"set; type: export {variable}=..."
        )
    return key
