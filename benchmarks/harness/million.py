"""A plan of a million requests: how soon it starts, what it holds in memory, how it resumes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness.measurements import MB, Bench, size_of
from harness.process import CommandFailed, measure
from harness.rows import Row
from harness.server import configure
from harness.work import CONCURRENCY, environment, promptlab_command, write_items

TASKS, MODELS, REQUESTS = 45, 10, 1_000_000
CONDITIONS = (
    "original",
    *(f"EP{i:02}" for i in range(1, 12)),
    *(f"NP{i:02}" for i in range(1, 11)),
)

_CARD = """\
name: task{number:02}
instruction: Say whether review {number} is positive or negative.
source: generated
metrics: {{induction: exact_match}}
data: {{loader: dataset, path: task{number:02}.jsonl, input: text, target: label}}
"""


def rows(bench: Bench, requests: int = REQUESTS) -> Iterator[Row]:
    """Start, answer and resume a plan of (a little over) that many requests."""
    folder = bench.folder / "million"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec, planned = lay_out(folder, requests, bench.server.base_url)
    configure(bench.server, words=20)
    first: list[float] = []
    looked = [0.0]

    def watch(seconds: float) -> None:
        if not first and seconds - looked[0] > 0.1:
            looked[0] = seconds
            if bench.server.stats()["requests"]:
                first.append(seconds)
                bench.say(f"first request after {seconds:.1f} s")

    run = partial(
        measure,
        promptlab_command(spec),
        folder=folder,
        printed=folder / "printed.txt",
        env=environment(folder),
    )
    asked = run(watch=watch)
    sent = int(bench.server.stats()["requests"])
    if sent != planned:
        raise CommandFailed(f"{sent:,} requests were sent of {planned:,}\n{asked.output}")
    bench.say(f"{planned:,} requests answered in {asked.wall_s:.0f} s")
    disk = (size_of(folder / "cache") + size_of(folder / "runs")) / planned
    bench.server.reset()
    resumed = run()
    if again := int(bench.server.stats()["requests"]):
        raise CommandFailed(f"the resumed run sent {again:,} requests that it had answers to")
    configure(bench.server)
    shutil.rmtree(folder)
    plan = f"{planned:,} requests"
    yield Row(f"{plan}: start to first request", first[0] if first else asked.wall_s, "s", 60)
    yield Row(f"{plan}: asked, peak memory", asked.peak_bytes / MB, "MB", 500)
    yield Row(f"{plan}: asked, cost", asked.cpu_s / planned * 1_000, "ms CPU/request")
    yield Row(f"{plan}: asked, rate", planned / asked.wall_s, "requests/s")
    yield Row(f"{plan}: on disk", disk, "bytes/answer", 600)
    yield Row(f"{plan}: resumed, all answered", resumed.wall_s, "s", 90)
    yield Row(f"{plan}: resumed, cost", resumed.cpu_s, "s CPU")
    yield Row(f"{plan}: resumed, peak memory", resumed.peak_bytes / MB, "MB", 500)


def lay_out(folder: Path, requests: int, url: str) -> tuple[Path, int]:
    """Task cards and a spec; returns the spec and the number of requests it plans."""
    cells = len(CONDITIONS) * MODELS
    items = -(-requests // cells)
    tasks = min(TASKS, items)
    start = 0
    for number in range(1, tasks + 1):
        size = items // tasks + (number <= items % tasks)
        (folder / f"task{number:02}.yaml").write_text(_CARD.format(number=number))
        write_items(folder / f"task{number:02}.jsonl", range(start, start + size))
        start += size
    models = [
        {"id": f"openai/model{n}", "name": f"model{n}", "api_base": url} for n in range(MODELS)
    ]
    spec = folder / "experiment.yaml"
    document = {
        "name": "million",
        "models": models,
        "tasks": [f"./task{number:02}.yaml" for number in range(1, tasks + 1)],
        "conditions": list(CONDITIONS),
        "items": "all",
        "concurrency": CONCURRENCY,
    }
    spec.write_text(json.dumps(document))  # JSON is YAML
    return spec, items * cells
