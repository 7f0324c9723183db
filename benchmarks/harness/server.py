"""The mock server of this folder on a free port, and proof that it is the one that answers."""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

PLAIN = {"latency_ms": 0, "sigma": 0, "words": 0, "seed": 0}
"""Settings of a server that answers at once."""


class NoServer(Exception):
    """The mock server cannot be built or started here."""


MockServer: Any = import_module("mock_server.mock_server").MockServer


@contextmanager
def serving() -> Iterator[Any]:
    """A mock server that answers at once, pinned to the first processor where that can be done.

    Raises:
        NoServer: there is no C compiler, or something else answers on its port.
    """
    if shutil.which("cc") is None:
        raise NoServer("the mock server is C and there is no compiler; install cc (gcc or clang)")
    core = min(os.sched_getaffinity(0)) if shutil.which("taskset") else None
    nonce = random.SystemRandom().randrange(1, 1_000_000)
    with MockServer(port=_free_port(), core=core, seed=nonce) as server:
        if server.p.poll() is not None or server.config()["seed"] != nonce:
            raise NoServer(f"port {server.port} is answered by a server that was not started here")
        configure(server)
        yield server


def configure(server: Any, **settings: float) -> None:
    """Forget all requests and take these settings, the plain ones where none is given."""
    server.config(**(PLAIN | settings))
    server.reset()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
