"""The driver's connection to a Ray cluster: join, quietly; leave as it was found."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from promptlab.errors import MissingDependency, UserError

__all__ = ["Cluster"]

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would run the workers by `uv run` too, in a copy of the working folder.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray would end this process a minute after it lost the cluster.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "1000000",
}
_LOST = (
    "ActorUnschedulableError",
    "GetTimeoutError",
    "LocalRayletDiedError",
    "NodeDiedError",
    "ObjectLostError",
    "OutOfMemoryError",
    "RayActorError",
    "RaySystemError",
    "TaskCancelledError",
    "WorkerCrashedError",
)
_REACH_S = 5.0
_lock = threading.Lock()
_users = 0
"""How many `Cluster`s use the connection that one of them made; Ray has one for a process."""


class Cluster:
    """A Ray cluster, imported and joined when it is needed.

    Args:
        address: `host:port`, or `auto`.

    Attributes:
        errors: what Ray raises when a worker, or the machine below it, is lost.
        head: address of the cluster's head, once joined.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._ray: Any = None
        self._ours = False
        self._handler: Any = None
        self.errors: tuple[type[Exception], ...] = ()
        self.head = ""

    def join(self) -> Any:
        """Connect this process, unless it is connected; returns the module `ray`.

        Raises:
            MissingDependency: Ray is not installed here.
            UserError: no cluster at the address, or it does not take this process.
        """
        if find_spec("ray") is None:
            raise MissingDependency("runner: ray", "ray")
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        ray: Any = import_module("ray")
        self._ray = ray
        self.errors = tuple(getattr(ray.exceptions, name) for name in _LOST)
        global _users
        with _lock:
            if _users or not ray.is_initialized():
                if not _users:
                    self._connect(ray)
                self._ours = True
                _users += 1
        self.head = ray.get_runtime_context().gcs_address
        return ray

    def leave(self) -> None:
        """Disconnect, if the connection was made here and nobody else uses it."""
        global _users
        with _lock:
            if self._ours:
                self._ours = False
                _users -= 1
                if not _users:
                    self._ray.shutdown()
                    _hush(False)

    def settle(self) -> None:
        """Have SIGTERM handled as before again; works in the main thread only."""
        # Ray puts handlers of its own there while it connects, which print a stack or exit.
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
            self._handler = None

    def is_gone(self) -> bool:
        """Whether the cluster's head answers no more; may block for seconds."""
        place = _parsed(self.head)
        return place is not None and _unreachable(*place) is not None

    def kill(self, handle: Any) -> None:
        """End a worker for good."""
        with suppress(Exception):  # the cluster may be gone
            self._ray.kill(handle, no_restart=True)

    def cancel(self, ref: Any) -> None:
        """Tell a worker that nobody waits any more."""
        with suppress(Exception):  # likewise
            self._ray.cancel(ref)

    def get(self, ref: Any, timeout_s: float) -> Any:
        """What a worker answered; blocks.

        Raises:
            One of `errors`, or an error in the worker's code.
        """
        return self._ray.get(ref, timeout=timeout_s)

    def _connect(self, ray: Any) -> None:
        address = self._address
        if "://" in address:
            raise UserError(
                f"the Ray cluster's address '{address}' is one of Ray Client, which promptlab "
                "does not use; run promptlab on a machine of the cluster, and write the address "
                "as host:port (port 6379 unless the cluster was started with another) or auto"
            )
        self._reach(address)
        _hush(True)
        self._handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                configure_logging=True,
            )
        except Exception as error:
            _hush(False)
            words = " ".join(str(error).split())
            raise UserError(
                f"cannot join the Ray cluster ({address}): {words}; promptlab must run on a "
                "machine of the cluster, with its versions of Ray and Python and, if it wants "
                "one, its RAY_AUTH_TOKEN"
            ) from None

    def _reach(self, address: str) -> None:
        """Fail at once where Ray would try for minutes."""
        found = address
        with suppress(ImportError, AttributeError):
            services: Any = import_module("ray._private.services")
            try:
                found = services.canonicalize_bootstrap_address(address)
            except ConnectionError:
                raise UserError(
                    "no Ray cluster runs on this machine; type: ray start --head (and on other "
                    "machines: ray start --address=HOST:6379), or write the cluster's address "
                    "into the spec: runner: {ray: {address: 'HOST:6379'}}"
                ) from None
            except ValueError:
                pass
        if found == "auto":
            return
        place = _parsed(found)
        if place is None:
            raise UserError(
                f"'{address}' is not the address of a Ray cluster; write host:port or auto"
            )
        if problem := _unreachable(*place):
            raise UserError(
                f"no Ray cluster answers at {found} ({problem}); type there: ray start --head "
                "(and on other machines: ray start --address=HOST:6379), or write another "
                "address into the spec: runner: {ray: {address: 'HOST:6379'}}"
            )


def _parsed(address: str) -> tuple[str, int] | None:
    host, colon, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if colon and host and port.isdigit() else None


def _unreachable(host: str, port: int) -> str | None:
    """Why nothing answers there, if nothing does."""
    try:
        socket.create_connection((host, port), _REACH_S).close()
    except OSError as error:
        return str(error.strerror or error)
    return None


_printers: list[Any] = []


def _hush(on: bool) -> None:
    # Ray prints what its own processes report to standard output; no setting stops that.
    worker: Any = import_module("ray._private.worker")
    if on and hasattr(worker, "print_to_stdstream"):
        _printers.append(worker.print_to_stdstream)
        worker.print_to_stdstream = lambda *args, **kwargs: None
    elif _printers:
        worker.print_to_stdstream = _printers.pop()
