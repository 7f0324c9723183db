"""What promptlab costs: processor time, memory, throughput and disk, beside its targets.

    python benchmarks/bench.py                          everything but the million, about 6 minutes
    python benchmarks/bench.py --quick                  small numbers: does it run at all?
    python benchmarks/bench.py --only cost              one part
    python benchmarks/bench.py --million                also a plan of 1,000,000 requests
    python benchmarks/bench.py --contender "mine=python mine.py {url} {items} {out}"

Every program runs as a whole process from start to results on disk, against a mock server on this
machine that answers at once (or after a set latency), 64 requests in flight. Processor time is
user plus system of the whole process tree; programs take turns, and the least of the repeats
counts, for what else runs here only ever adds. One MB is 10^6 bytes.

A contender is any command. It is split as a shell would, and these are replaced:
    {url}    endpoint, up to and with /v1      {items}        JSON lines with text and label
    {n}      number of items                   {out}          folder for all that it keeps
    {model}  name of the model                 {concurrency}  requests to keep in flight
    {python} this interpreter
It runs where this was started, must send a request for each item and exit with 0. The same command
is run again with the same {out}: that is its replay.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import million, work
from harness.measurements import (
    MB,
    RATES,
    Bench,
    Cost,
    byte_rows,
    cost_rows,
    costs,
    litellm_rows,
    rate_rows,
    rate_share,
)
from harness.process import CommandFailed
from harness.rows import HEAD, Row, Table, machine, short, table, write
from harness.server import NoServer, serving
from harness.work import Program

PARTS = ("cost", "rate", "disk", "litellm")
RESULTS = Path(__file__).resolve().parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the results; returns the exit code."""
    options = _options(arguments)
    try:
        programs = [_contender(given) for given in options.contender]
        with (
            serving() as server,
            tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder,
        ):
            bench = Bench(
                server,
                Path(folder),
                options.items[0],
                options.items[1],
                options.repeats,
                lambda text: print(f"  {text}", file=sys.stderr, flush=True),
            )
            return _measure(bench, options, programs)
    except (CommandFailed, NoServer, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _measure(bench: Bench, options: argparse.Namespace, programs: Sequence[Program]) -> int:
    rows: list[Row] = []
    cost: dict[str, Cost] = {}
    shares: dict[str, float] = {}
    # Contenders first: a mistake in a command shows at once.
    everyone = (*programs, work.baseline(), work.promptlab())
    if "cost" in options.only:
        cost = costs(bench, everyone, bench.small, bench.large)
        rows += cost_rows(cost["promptlab"])
        ratio = cost["promptlab"].marginal_ms("cold") / cost["baseline"].marginal_ms("cold")
        rows.append(Row("cold, marginal, beside the baseline script", ratio, "times"))
    if "rate" in options.only:
        rows += rate_rows(bench, work.promptlab())
        latency_ms, sigma, _ = RATES[-1]
        others = everyone[:-1] if programs else ()
        shares = {p.name: rate_share(bench, p, latency_ms, sigma) for p in others}
        shares["promptlab"] = rows[-1].value
    if "disk" in options.only:
        rows += byte_rows(bench)
    if "litellm" in options.only:
        rows += litellm_rows(bench, max(1, bench.small // 2), max(2, bench.large * 3 // 10))
    if options.million:
        rows += million.rows(bench, options.million)
    compared = _comparison(cost, shares) if cost else None
    about = machine()
    print(f"\n{about['processor']}, {about['cores']} cores, Python {about['python']}, ", end="")
    print(f"commit {about['commit']}\n")
    print(table(HEAD, [row.cells() for row in rows], markdown=False))
    if compared:
        print(f"\n{table(*compared, markdown=False)}")
    if options.results:
        command = shlex.join(["python", "benchmarks/bench.py", *(options.given)])
        path = write(options.results, about, rows, compared, bench.samples, command)
        print(f"\nwritten: {path}")
    return 0


def _comparison(cost: dict[str, Cost], shares: Mapping[str, float]) -> Table:
    one = cost["promptlab"]
    head = (
        "program",
        "start, s",
        f"cold {one.small:,}",
        "cold marginal",
        f"replay {one.small:,}",
        "replay marginal",
        "memory",
        f"wall {one.large:,}, s",
        "% of rate",
    )
    return head, [_compared(name, cost[name], shares.get(name)) for name in reversed(cost)]


def _compared(name: str, cost: Cost, share: float | None) -> tuple[str, ...]:
    numbers = (
        cost.cpu_s["cold", 1],
        cost.all_in_ms("cold", cost.small),
        cost.marginal_ms("cold"),
        cost.all_in_ms("replay", cost.small),
        cost.marginal_ms("replay"),
        cost.peak_bytes / MB,
        cost.wall_s["cold", cost.large],
    )
    return name, *map(short, numbers), "" if share is None else short(share)


def _contender(given: str) -> Program:
    name, sign, command = given.partition("=")
    if not (sign and name.strip() and command.strip()):
        raise ValueError(f"write --contender 'name=command with {{url}} {{items}}' (got '{given}')")
    return work.contender(name.strip(), command)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 and 1,000 items, once")
    parser.add_argument(
        "--items",
        nargs=2,
        type=int,
        metavar=("FEW", "MANY"),
        help="the two sizes that the marginal cost is the slope between (2000 20000)",
    )
    parser.add_argument("--repeats", type=int, help="how often each is run (3)")
    parser.add_argument(
        "--only",
        type=lambda text: tuple(text.split(",")),
        metavar="PART[,PART]",
        help=f"parts to measure: {', '.join(PARTS)}; or none, for the million alone",
    )
    parser.add_argument(
        "--million",
        nargs="?",
        type=int,
        const=million.REQUESTS,
        metavar="REQUESTS",
        help="also a plan of 45 tasks x 22 conditions x 10 models; takes long",
    )
    parser.add_argument(
        "--contender", action="append", default=[], metavar="NAME=COMMAND", help="see above"
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="folder for <machine>.md and .json (benchmarks/results for a whole run, else none)",
    )
    parser.add_argument("--folder", type=Path, help="where to work (the system's temporary folder)")
    options = parser.parse_args(arguments)
    options.given = list(sys.argv[1:] if arguments is None else arguments)
    whole = not (options.quick or options.only or options.items)
    options.items = options.items or ((100, 1_000) if options.quick else (2_000, 20_000))
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.only = options.only or PARTS
    if unknown := set(options.only) - {*PARTS, "none"}:
        parser.error(f"no part '{unknown.pop()}'; there are {', '.join(PARTS)}, none")
    if not 0 < options.items[0] < options.items[1]:
        parser.error("--items takes a small number and a larger one")
    if whole and options.results is None:
        options.results = RESULTS
    return options


if __name__ == "__main__":
    sys.exit(main())
