"""The work that every program is given, and how each of them is told to do it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CONCURRENCY = 64
MODEL = "bench"
CONTENDERS = Path(__file__).resolve().parent.parent / "contenders"

_CARD = """\
name: bench
instruction: Say whether the review is positive or negative.
source: generated
metrics: {induction: exact_match}
data: {loader: dataset, path: items.jsonl, input: text, target: label}
"""


@dataclass(frozen=True, slots=True)
class Job:
    """N different items, and a folder of its own to answer them in."""

    folder: Path
    items: int
    url: str
    """Address of the endpoint, up to and with `/v1`."""

    @property
    def item_file(self) -> Path:
        """JSON lines with `text` and `label`."""
        return self.folder / "items.jsonl"

    def prepare(self) -> None:
        """An empty folder with nothing but the items and the task card."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_items(self.item_file, range(self.items))
        (self.folder / "bench.yaml").write_text(_CARD)


def write_items(path: Path, numbers: range) -> None:
    """Items whose texts differ."""
    with path.open("w") as file:
        for i in numbers:
            text = (
                f"Review {i}: the plot of this film is thin, but the actors of scene {i % 97} "
                "carry it to the end."
            )
            label = ("positive", "negative")[i % 2]
            file.write(json.dumps({"text": text, "label": label}) + "\n")


@dataclass(frozen=True, slots=True)
class Program:
    """One of the programs that are compared."""

    name: str
    command: Callable[[Job], list[str]]
    """Its command line for a job; it may lay out files in the job's folder."""
    extra_env: Callable[[Job], Mapping[str, str]] = lambda job: {}
    folder: Path | None = None
    """Where it runs; in the job's folder unless given."""

    def env(self, job: Job) -> dict[str, str]:
        """An environment in which everything that is kept is kept in the job's folder."""
        return environment(job.folder) | dict(self.extra_env(job))


def environment(folder: Path) -> dict[str, str]:
    """This process's environment, with caches and outputs in a folder and no network."""
    return dict(os.environ) | {
        "PROMPTLAB_CACHE_DIR": str(folder / "cache"),
        "PROMPTLAB_RUNS_DIR": str(folder / "runs"),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": "none",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def promptlab_command(spec: Path) -> list[str]:
    """`promptlab run` without analysis, as the measurements take it."""
    return [sys.executable, "-m", "promptlab", "run", spec.name, "--no-analysis", "--quiet"]


def promptlab() -> Program:
    """promptlab on an OpenAI-compatible endpoint."""

    def command(job: Job) -> list[str]:
        model = {"id": f"openai/{MODEL}", "api_base": job.url}
        return promptlab_command(_spec(job, model))

    return Program("promptlab", command)


def promptlab_through_litellm() -> Program:
    """promptlab on the same endpoint, reached through litellm."""

    def command(job: Job) -> list[str]:
        return promptlab_command(_spec(job, {"id": f"openai/{MODEL}"}))

    return Program(
        "promptlab through litellm",
        command,
        lambda job: {"OPENAI_BASE_URL": job.url, "OPENAI_API_BASE": job.url},
    )


def _spec(job: Job, model: Mapping[str, str]) -> Path:
    spec = job.folder / "experiment.yaml"
    document = {
        "name": "bench",
        "models": [model],
        "tasks": ["./bench.yaml"],
        "conditions": ["original"],
        "items": "all",
        "concurrency": CONCURRENCY,
    }
    spec.write_text(json.dumps(document))  # JSON is YAML
    return spec


def contender(name: str, template: str) -> Program:
    """A program by a command with placeholders.

    `{url}` endpoint up to and with `/v1`, `{n}` number of items, `{items}` JSON lines with `text`
    and `label`, `{out}` a folder for everything it keeps, `{concurrency}` requests in flight,
    `{model}` name of the model, `{python}` this interpreter.

    Raises:
        ValueError: the command has an unknown placeholder.
    """

    def command(job: Job) -> list[str]:
        out = job.folder / "out"
        out.mkdir(exist_ok=True)
        known = {
            "url": job.url,
            "n": str(job.items),
            "items": str(job.item_file),
            "out": str(out),
            "concurrency": str(CONCURRENCY),
            "model": MODEL,
            "python": sys.executable,
        }
        try:
            return [part.format(**known) for part in shlex.split(template)]
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"the contender {name} has an unknown placeholder {error}; "
                f"there are {', '.join('{' + k + '}' for k in known)}"
            ) from None

    return Program(name, command, folder=Path.cwd())


def baseline() -> Program:
    """A short script of aiohttp and SQLite: what the work costs at the least in Python."""
    script = shlex.quote(str(CONTENDERS / "baseline.py"))
    return contender("baseline", f"{{python}} {script} {{url}} {{items}} {{out}} {{concurrency}}")


def bare_litellm() -> Program:
    """litellm's own client in a loop."""
    script = shlex.quote(str(CONTENDERS / "bare_litellm.py"))
    return contender(
        "litellm alone", f"{{python}} {script} {{url}} {{items}} {{out}} {{concurrency}}"
    )
