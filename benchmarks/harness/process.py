"""A command as a whole process: processor time, peak memory and wall time of it and its children.

Processor time is the kernel's own account of the ended process and of the children it waited for.
Memory is the high-water mark that the kernel keeps of the largest process, or, where several ran at
once, the peak of what they held together (PSS: what they share counts once), sampled every 20 ms.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLE_S = 0.02
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one command took."""

    cpu_s: float
    """User and system seconds."""
    wall_s: float
    peak_bytes: int
    code: int
    output: str
    """The end of what it printed."""


class CommandFailed(Exception):
    """A measured command that ended with an error: nothing of it can be compared."""


def measure(
    command: Sequence[str],
    *,
    folder: Path,
    printed: Path,
    env: Mapping[str, str],
    watch: Callable[[float], None] | None = None,
    allowed: Sequence[int] = (0,),
) -> Usage:
    """Run a command to its end.

    Args:
        command: program and arguments.
        folder: working folder.
        printed: file for what it prints.
        env: its whole environment.
        watch: called now and then with the seconds since the start.
        allowed: exit codes that are no failure.

    Raises:
        CommandFailed: it ended with another exit code.
    """
    with printed.open("wb") as file:
        started = time.monotonic()
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code, used, peak, wall = _until_it_ends(process.pid, started, watch)
            process.returncode = code
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    output = printed.read_text(errors="replace")[-2_000:]
    if code not in allowed:
        shown = " ".join(command)
        raise CommandFailed(f"exit code {code} of: {shown}\nin {folder}\n{output}")
    return Usage(used.ru_utime + used.ru_stime, wall, peak, code, output)


def _until_it_ends(
    pid: int, started: float, watch: Callable[[float], None] | None
) -> tuple[int, resource.struct_rusage, int, float]:
    peak = 0
    known: set[int] = set()
    with _wake_up(pid) as wait:
        while True:
            peak = max(peak, _resident_bytes(pid, known))
            if watch is not None:
                watch(time.monotonic() - started)
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                wall = time.monotonic() - started
                break
            wait(_SAMPLE_S)
    if not peak:
        # No /proc: the largest single process, as the kernel reports it (kB; bytes on macOS).
        peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return os.waitstatus_to_exitcode(status), used, peak, wall


@contextlib.contextmanager
def _wake_up(pid: int) -> Iterator[Callable[[float], object]]:
    """A wait that ends with the process, where the system has one."""
    if not hasattr(os, "pidfd_open"):
        yield time.sleep
        return
    handle = os.pidfd_open(pid)
    try:
        yield lambda seconds: select.select([handle], [], [], seconds)
    finally:
        os.close(handle)


def _resident_bytes(pid: int, known: set[int]) -> int:
    """High-water mark of the largest process of a tree, or what several hold together now.

    A process counts from the second sample on (`known` is kept up to date): until it runs a
    program of its own, a new one shows the memory of its parent a second time.
    """
    tree = set(_tree(pid))
    lasting = tree & known | {pid}
    known.clear()
    known.update(tree)
    high = max(_kb(one, "status", "VmHWM") for one in lasting)
    several = len(lasting) > 1
    together = sum(_kb(one, "smaps_rollup", "Pss") for one in lasting) if several else 0
    return max(high, together) * 1024


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in _listed(_PROC / str(pid) / "task"):
        with contextlib.suppress(OSError, ValueError):
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _kb(pid: int, file: str, name: str) -> int:
    """A figure of a process; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0
