"""No test reaches a provider, the user's folders or a network; cases come from the environment."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell: the children of tests would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is not a failure.
settings.register_profile("promptlab", deadline=None)
settings.load_profile("promptlab")

ROOT = Path(__file__).resolve().parent.parent
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


def case_path(variable: str, default: Path) -> Path:
    """Folder or file of cases: set and absent fails, unset and absent skips with the reason."""
    value = os.environ.get(variable)
    path = (ROOT / value).resolve() if value else default
    if not path.exists():
        if value:
            pytest.fail(f"{variable}={value}: no such file or folder")
        pytest.skip(f"{variable} is not set and {default} does not exist")
    return path


@pytest.fixture(scope="session")
def vectors_dir() -> Path:
    return case_path("PROMPTLAB_VECTORS", ROOT.parent / "shared" / "vectors")


@pytest.fixture(scope="session")
def suites_dir() -> Path:
    return case_path("PROMPTLAB_DATA_DIR", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def published_dir() -> Path:
    return case_path("PROMPTLAB_PUBLISHED", ROOT.parent / "shared" / "published")


@pytest.fixture(scope="session")
def golden_file() -> Path:
    return case_path("PROMPTLAB_GOLDEN", ROOT / "tests" / "golden" / "golden.json")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Weights in PROMPTLAB_MODELS_DIR, or else in the user's models folder; pulled when absent."""
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    from promptlab import models
    from promptlab.errors import UserError

    try:
        return models.pull("smollm2-135m")
    except UserError as error:
        if "cannot fetch" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store and the runs of a test are its own; no provider's key is visible."""
    monkeypatch.setenv("PROMPTLAB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PROMPTLAB_RUNS_DIR", str(tmp_path / "runs"))
    for key in _KEYS:
        monkeypatch.delenv(key, raising=False)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection beyond this machine is an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in _LOCAL:
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
