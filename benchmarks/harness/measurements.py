"""The measurements: each gives rows of the table."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from harness import work
from harness.process import CommandFailed, Usage, measure
from harness.rows import Row
from harness.server import configure
from harness.work import CONCURRENCY, Job, Program

MB = 1_000_000
Phase = Literal["cold", "replay"]
Say = Callable[[str], None]


@dataclass
class Bench:
    """Where and how much to measure."""

    server: Any
    folder: Path
    small: int
    large: int
    repeats: int
    say: Say
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Every single measurement, by name: what the rows were made of."""

    def job(self, name: str, items: int) -> Job:
        """A prepared job in a folder of its own."""
        job = Job(self.folder / name.replace(" ", "_"), items, self.server.base_url)
        job.prepare()
        return job

    def run(self, program: Program, job: Job, phase: Phase = "cold") -> Usage:
        """Run a program on a job, and check at the server that it did what it is measured for.

        Raises:
            CommandFailed: it failed, asked too little, or asked again what it had.
        """
        self.server.reset()
        used = measure(
            program.command(job),
            folder=program.folder or job.folder,
            printed=job.folder / "printed.txt",
            env=program.env(job),
        )
        asked = int(self.server.stats()["requests"])
        if phase == "cold" and asked < job.items:
            raise CommandFailed(
                f"{program.name} sent {asked} requests for {job.items} items\n{used.output}"
            )
        if phase == "replay" and asked and program.name.startswith("promptlab"):
            raise CommandFailed(f"{program.name} sent {asked} requests that it had answers to")
        self.say(
            f"{program.name}: {phase} {job.items:,} items: {used.cpu_s:.2f} s CPU, "
            f"{used.wall_s:.2f} s, {used.peak_bytes / MB:.0f} MB"
            + (f", {asked:,} asked again" if phase == "replay" and asked else "")
        )
        for what, value in (
            ("cpu_s", used.cpu_s),
            ("wall_s", used.wall_s),
            ("peak_mb", used.peak_bytes / MB),
        ):
            self.samples[f"{program.name}, {phase}, {job.items}, {what}"].append(round(value, 4))
        return used


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of a program, the least of all repeats, and the memory of the largest run."""

    small: int
    large: int
    cpu_s: dict[tuple[Phase, int], float]
    wall_s: dict[tuple[Phase, int], float]
    peak_bytes: int
    runs: Mapping[tuple[Phase, int], Sequence[Usage]]
    """Every run, in the order of the repeats."""

    def marginal_ms(self, phase: Phase) -> float:
        """CPU milliseconds of one more sample."""
        more = self.cpu_s[phase, self.large] - self.cpu_s[phase, self.small]
        return more / (self.large - self.small) * 1_000

    def repeated_ms(self, phase: Phase) -> list[float]:
        """The marginal cost of each repeat by itself."""
        pairs = zip(self.runs[phase, self.large], self.runs[phase, self.small], strict=True)
        return [(a.cpu_s - b.cpu_s) / (self.large - self.small) * 1_000 for a, b in pairs]

    def all_in_ms(self, phase: Phase, items: int) -> float:
        """CPU milliseconds of a sample with its share of the start."""
        return self.cpu_s[phase, items] / items * 1_000

    def intercept_s(self) -> float:
        """CPU seconds of a run of no samples, by the line through the two sizes."""
        return self.cpu_s["cold", self.small] - self.small * self.marginal_ms("cold") / 1_000


def costs(
    bench: Bench,
    programs: Sequence[Program],
    small: int,
    large: int,
    phases: Sequence[Phase] = ("cold", "replay"),
) -> dict[str, Cost]:
    """Cold and replay at one, few and many items; the programs take turns."""
    configure(bench.server)
    runs: dict[str, dict[tuple[Phase, int], list[Usage]]] = {p.name: {} for p in programs}
    if bench.repeats > 1:  # not counted: byte code and the page cache
        for program in programs:
            bench.run(program, bench.job(program.name, 1))
    for _ in range(bench.repeats):
        for items in (1, small, large):
            for program in programs:
                job = bench.job(program.name, items)
                for phase in phases:
                    used = bench.run(program, job, phase)
                    runs[program.name].setdefault((phase, items), []).append(used)
                shutil.rmtree(job.folder)
    return {name: _cost(small, large, found) for name, found in runs.items()}


def _cost(small: int, large: int, runs: Mapping[tuple[Phase, int], Sequence[Usage]]) -> Cost:
    return Cost(
        small,
        large,
        cpu_s={point: min(used.cpu_s for used in found) for point, found in runs.items()},
        wall_s={point: min(used.wall_s for used in found) for point, found in runs.items()},
        peak_bytes=max(used.peak_bytes for found in runs.values() for used in found),
        runs=runs,
    )


def cost_rows(cost: Cost) -> Iterator[Row]:
    """promptlab's own costs beside their targets."""
    small, large = cost.small, cost.large
    yield Row("start, one item", cost.cpu_s["cold", 1], "s CPU", 1.0)
    yield Row("start, intercept of the line", cost.intercept_s(), "s CPU", 1.0)
    target = 0.9 if small == 2_000 else None  # the share of the start depends on the size
    yield Row(
        f"cold, {small:,} items, all in", cost.all_in_ms("cold", small), "ms CPU/item", target
    )
    yield Row(f"cold, {large:,} items, all in", cost.all_in_ms("cold", large), "ms CPU/item")
    yield Row("cold, marginal", cost.marginal_ms("cold"), "ms CPU/item", 0.35)
    yield Row(f"replay, {small:,} items, all in", cost.all_in_ms("replay", small), "ms CPU/item")
    yield Row(f"replay, {large:,} items, all in", cost.all_in_ms("replay", large), "ms CPU/item")
    yield Row("replay, marginal", cost.marginal_ms("replay"), "ms CPU/item", 0.08)
    yield Row(f"peak memory, {large:,} items", cost.peak_bytes / MB, "MB", 200)


RATES = ((200, 0.5, 92), (50, 0.0, 90))
"""Latency in ms, spread of its logarithm, and the share of the ideal rate to reach, in percent."""


def rate_share(bench: Bench, program: Program, latency_ms: float, sigma: float) -> float:
    """Answers per second from first request to last answer, in percent of the ideal rate."""
    configure(bench.server, latency_ms=latency_ms, sigma=sigma)
    job = bench.job(program.name, bench.large)
    bench.run(program, job)
    stats = bench.server.stats()
    shutil.rmtree(job.folder)
    configure(bench.server)
    per_s: float = stats["ok"] / stats["span_s"]
    bench.say(
        f"{program.name}: latency {latency_ms:g} ms: {per_s:.0f} answers/s, "
        f"at most {stats['peak_inflight']} in flight"
    )
    return per_s / _ideal_rate(latency_ms) * 100


def _ideal_rate(latency_ms: float) -> float:
    return CONCURRENCY * 1_000 / latency_ms


def rate_rows(bench: Bench, program: Program) -> Iterator[Row]:
    """How much of what the latency allows is reached."""
    for latency_ms, sigma, target in RATES:
        share = rate_share(bench, program, latency_ms, sigma)
        what = f"rate at {latency_ms} ms" + (f", sigma {sigma:g}" if sigma else "")
        unit = f"% of {_ideal_rate(latency_ms):,.0f}/s"
        yield Row(what, share, unit, target, at_least=True)


def byte_rows(bench: Bench) -> Iterator[Row]:
    """What one answered request takes on disk, with answers of about 20 words."""
    program = work.promptlab()
    configure(bench.server, words=20)
    job = bench.job(program.name, bench.large)
    bench.run(program, job)
    configure(bench.server)
    store, runs = (size_of(job.folder / part) / bench.large for part in ("cache", "runs"))
    shutil.rmtree(job.folder)
    yield Row("on disk: the store", store, "bytes/answer")
    yield Row("on disk: the run directory", runs, "bytes/answer")
    yield Row("on disk, together", store + runs, "bytes/answer", 600)


def size_of(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def litellm_rows(bench: Bench, small: int, large: int) -> Iterator[Row]:
    """What promptlab adds to litellm's own cost: the difference within each repeat."""
    ours, alone = work.promptlab_through_litellm(), work.bare_litellm()
    found = costs(bench, (ours, alone), small, large, ("cold",))
    with_us, without = (found[p.name].repeated_ms("cold") for p in (ours, alone))
    added = [ours - alone for ours, alone in zip(with_us, without, strict=True)]
    yield Row("litellm alone, marginal", median(without), "ms CPU/item")
    yield Row("promptlab through litellm, marginal", median(with_us), "ms CPU/item")
    yield Row("promptlab on top of litellm", median(added), "ms CPU/item", 0.5)
