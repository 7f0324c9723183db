"""Keys reach no file and no screen; nobody else can read what a run writes."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pandas as pd
import pytest
from lab import Lab, MakeLab, ending, wait_until
from scripted import endpoint

from promptlab.store import Store

OPENAI = "sk-planted-0123456789abcdefghij"
NAMED = "anotherPlantedSecretThatLooksLikeAWord"
_OPEN_UMASK = (
    "import os, sys; os.umask(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


@pytest.mark.parametrize(
    ("status", "arguments"),
    [(0, ["--analysis"]), (401, ["--no-analysis", "--json"])],
    ids=["200, 400 and 500", "401"],
)
def test_a_key_that_the_endpoint_repeats_is_nowhere(
    make_lab: MakeLab, status: int, arguments: list[str]
) -> None:
    with endpoint("leaking", status=status) as server:
        models = [
            {"id": "openai/named", "api_base": server.base_url, "api_key_env": "LAB_KEY"},
            {"id": "openai/litellm"},
            {"id": "openai/usual", "api_base": server.base_url},
            {"id": "openai/litellm", "name": "litellm, named", "api_key_env": "LAB_KEY"},
        ]
        lab = make_lab(
            server.base_url,
            items=15,
            conditions=["original", "EP02"],
            models=models if status else models[:2],  # a report on four of them takes its time
            max_attempts=2,
        )
        ended = lab.run(
            *arguments,
            code=3,
            OPENAI_API_KEY=OPENAI,
            LAB_KEY=NAMED,
            OPENAI_BASE_URL=server.base_url,
        )
        counted = server.control()
    if status:
        assert len(lab.status()["stopped"]) == 4
    else:
        assert set(counted["by_status"]) == {"200", "400", "500"}
        assert set(lab.status()["responses"]) == {"ok", "error"}
        errors = lab.table("responses")["error"].dropna()
        assert errors.str.contains(r"no luck with Bearer \*\*\*").all()  # the rest of it is kept
        assert (lab.path / "report" / "index.html").is_file()
    for text in (ended.said, *texts(lab)):
        assert OPENAI not in text
        assert NAMED not in text


def texts(lab: Lab) -> list[str]:
    """Everything that was written, also where it is compressed."""
    files = [path for path in lab.folder.rglob("*") if path.is_file()]
    found = [path.read_bytes().decode("latin-1") for path in files]
    tables = [path for path in files if path.suffix == ".parquet"]
    found += [pd.read_parquet(path).to_json() for path in tables]
    with Store(lab.store, "replay") as store:
        found.append(str(store.get_many(lab.keys())))
    assert len(tables) >= 4
    return found


def test_what_a_run_writes_is_for_the_user_alone(make_lab: MakeLab) -> None:
    with endpoint("plain", delay_s=0.02) as server:
        lab = make_lab(server.base_url, items=120, conditions=["original", "EP02"])
        child = lab.start("--analysis", launcher=(sys.executable, "-c", _OPEN_UMASK))
        wait_until(lambda: server.control()["requests"] > 100, child)
        names = {path.name for path in lab.written()}
        assert {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "log.jsonl"} <= names
        assert not open_to_others(lab)
        ended = ending(child)
        assert ended.code == 0, ended
    assert (lab.path / "report" / "index.html").is_file()
    assert len(lab.written()) > 20
    assert not open_to_others(lab)


def open_to_others(lab: Lab) -> list[str]:
    """Files and folders that more than the user can use."""
    found: list[Path] = []
    for path in lab.written():
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # it was written under a name for the time being
            continue
        if stat.S_IMODE(mode) & 0o077:
            found.append(path)
    return [str(path.relative_to(lab.folder)) for path in found]
