"""A small experiment in a folder of its own, run by child processes as a person would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
import yaml
from pandas.testing import assert_frame_equal

from promptlab.store import Store

TIMED = ["latency_s", "created", "attempts"]
"""Columns of the responses that differ from one run of a plan to the next."""

_CARD = {
    "name": "lab",
    "instruction": "Say whether the review is positive or negative.",
    "source": "made for these tests",
    "metrics": {"induction": "exact_match"},
    "data": {"loader": "dataset", "path": "items.jsonl", "input": "text", "target": "label"},
}
_PRIVATE = ("_API_KEY", "_TOKEN", "_BASE_URL", "_API_BASE")
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Ended:
    """A child that has ended by itself."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        return self.out + self.err


class Lab:
    """A spec, its task and its items; a store and run directories that nobody else uses.

    Two labs with the same items and the same endpoint have the same plan.
    """

    def __init__(self, folder: Path, api_base: str, items: int, **settings: Any) -> None:
        folder.mkdir()
        self.folder, self.items = folder, items
        self.runs, self.store = folder / "runs", folder / "cache" / "store.sqlite"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.endswith(_PRIVATE)},
            "PROMPTLAB_CACHE_DIR": str(self.store.parent),
            "PROMPTLAB_RUNS_DIR": str(self.runs),
        }
        self.spec = {
            "name": "lab",
            "models": [{"id": "openai/mock", "api_base": api_base}],
            "tasks": ["./task.yaml"],
            "conditions": ["original"],
            "items": "all",
            "concurrency": 16,
            "timeout_s": 60,
            **settings,
        }
        (folder / "task.yaml").write_text(yaml.safe_dump(_CARD))
        (folder / "items.jsonl").write_text(
            "".join(
                json.dumps({"text": f"Review {i} was written on day {i * 37}.", "label": "good"})
                + "\n"
                for i in range(items)
            )
        )
        self.children: list[subprocess.Popen[str]] = []

    @property
    def planned(self) -> int:
        return self.items * len(self.spec["conditions"]) * len(self.spec["models"])

    # --- running ----------------------------------------------------------------------------

    def start(
        self,
        *arguments: str,
        launcher: Sequence[str] = (sys.executable,),
        **environment: str,
    ) -> subprocess.Popen[str]:
        """`promptlab run` of the spec as it stands now; `launcher` is what runs `-m promptlab`."""
        (self.folder / "spec.yaml").write_text(yaml.safe_dump(self.spec))
        child = subprocess.Popen(
            [*launcher, "-m", "promptlab", "run", "spec.yaml", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.children.append(child)
        return child

    def run(self, *arguments: str, code: int | None = None, **more: Any) -> Ended:
        """`promptlab run` from start to end, without the analysis unless it is asked for."""
        given = arguments or ("--no-analysis",)
        ended = ending(self.start(*given, **more))
        if code is not None:
            assert ended.code == code, f"exit code {ended.code}, not {code}\n{ended.said}"
        return ended

    def clean_up(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.communicate()

    # --- what is on disk --------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The run directory; there must be just one."""
        (lock,) = self.runs.glob("*/lock.json")
        return lock.parent

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = orjson.loads((self.path / "status.json").read_bytes())
        return status

    def log(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in (self.path / "log.jsonl").read_bytes().splitlines()]

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.path / f"{name}.parquet")

    def keys(self) -> list[str]:
        """Keys of everything planned; none before there is a plan."""
        plans = sorted(self.runs.glob("*/plan.parquet"))
        return list(pd.read_parquet(plans[-1])["request_hash"]) if plans else []

    def stored(self) -> dict[str, tuple[str, str]]:
        """Status and text of every answer in the store, by key."""
        keys = self.keys()
        if not keys or not self.store.exists():
            return {}
        with Store(self.store) as store:
            found = store.get_many(keys)
        return {key: (answer.status, answer.text) for key, answer in found.items()}

    def failed_attempts(self) -> Counter[str]:
        """Failed attempts by kind, as the debug log tells them one by one."""
        return Counter(
            record["error"].partition(":")[0]
            for record in self.log()
            if record["event"] == "attempt failed"
        )

    def written(self) -> list[Path]:
        """Every file and folder that runs have made."""
        made = [self.store.parent, self.runs]
        return [*made, *(path for folder in made for path in folder.rglob("*"))]


def ending(child: subprocess.Popen[str], seconds: float = _PATIENCE_S) -> Ended:
    """Wait for a child; whatever happens, it prints no traceback."""
    began = time.monotonic()
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        pytest.fail(f"promptlab did not end within {seconds:.0f} s\n{out}{err}")
    ended = Ended(child.returncode, out, err, time.monotonic() - began)
    assert "Traceback" not in ended.said, ended.said
    return ended


def wait_until(
    condition: Callable[[], bool],
    child: subprocess.Popen[str] | None = None,
    seconds: float = _PATIENCE_S,
) -> bool:
    """Whether the condition came true before the child ended."""
    give_up = time.monotonic() + seconds
    while not condition():
        if child is not None and child.poll() is not None:
            return condition()
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.004)
    return True


def answers(table: pd.DataFrame) -> Mapping[str, tuple[str, str]]:
    """Status and text by key."""
    return {
        key: (str(status), text)
        for key, status, text in zip(
            table["request_hash"], table["status"], table["text"], strict=True
        )
    }


def assert_same_run(one: Lab, other: Lab) -> None:
    """Two labs came to the same answers: in their stores, their responses and their scores."""
    assert one.stored() == other.stored()
    assert_same_tables(one, other)


def assert_same_tables(one: Lab, other: Lab) -> None:
    """But for what tells of time."""
    assert_frame_equal(
        one.table("responses").drop(columns=TIMED), other.table("responses").drop(columns=TIMED)
    )
    assert_frame_equal(one.table("scores"), other.table("scores"))


MakeLab = Callable[..., Lab]
