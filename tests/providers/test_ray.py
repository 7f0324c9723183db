"""A two-node Ray cluster on this machine; each test has its own workers on it."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fake_server import (
    Reply,
    Seen,
    as_json,
    chat_reply,
    error_reply,
    free_port,
    mock_server,
    serving,
)
from local_requests import MODEL, WORDS, prompt, request, scored

from promptlab.errors import (
    MissingData,
    PromptlabError,
    ProviderError,
    SpecError,
    UnknownName,
    UserError,
)
from promptlab.keys import request_hash
from promptlab.providers import Provider, describe, make_provider
from promptlab.providers._ray_pool import _refusal
from promptlab.providers._ray_worker import About, ModelSettings, Offer, Worker, this_version
from promptlab.providers.allowance import Allowance
from promptlab.providers.failures import Unreachable
from promptlab.providers.ray import RayWorkers
from promptlab.runner import Ask, Outcome, RunnerOptions, execute
from promptlab.store import Store
from promptlab.types import Message, Request, Response

# Not imported here: the environment of the cluster below must be set before.
if find_spec("ray") is None:
    pytest.skip("the extra 'ray' is not installed", allow_module_level=True)

PLANTED = "sk-planted-ray-0123456789abcdef"
QUICK = RunnerOptions(concurrency=16)


class TwoNodes:
    """The cluster. The tests' own process is the driver and belongs to the head node."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self._args: dict[str, Any] = {
            "num_cpus": 4,
            "object_store_memory": 80 * 1024 * 1024,
            "node_ip_address": "127.0.0.1",
            "temp_dir": str(folder / "ray"),
        }
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={
                **self._args,
                "include_dashboard": False,
                "dashboard_port": free_port(),
                "dashboard_agent_listen_port": free_port(),
            },
        )
        self._second: Any = None
        self._seen: set[int] = set()
        self.complete()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def complete(self) -> None:
        """Two nodes again, after one was killed."""
        if self._second is None:
            self._second = self._cluster.add_node(**self._args)

    def on_second(self, pids: set[int]) -> set[int]:
        """The processes that run on the second node."""
        parents = _parents()
        raylet = self._second.all_processes["raylet"][0].process.pid
        return {pid for pid in pids if parents.get(pid) == raylet}

    def kill_second(self, workers: set[int]) -> None:
        """End a node with its workers, as if its machine had lost its power."""
        self.living()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None

    def living(self) -> set[int]:
        """The cluster's processes that have been seen and live."""
        parents = _parents()
        for node in self._cluster.list_all_nodes():
            self._seen |= {p.process.pid for of in node.all_processes.values() for p in of}
        while more := {pid for pid, up in parents.items() if up in self._seen} - self._seen:
            self._seen |= more
        return self._seen & set(parents)

    def workers(self) -> list[int]:
        """The processes with workers in them, also those that nobody has noticed yet."""
        return [pid for pid in self.living() if _command(pid).startswith("ray::Worker")]

    def close(self) -> None:
        self.living()
        self._cluster.shutdown()
        left = _gone(self._seen)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left


def _parents() -> dict[int, int]:
    """Parent by process id, of all processes that have not ended."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                found[int(entry.name)] = int(fields[1])
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _gone(pids: set[int], within_s: float = 15.0) -> set[int]:
    """Those of the processes that have not ended in time."""
    give_up_at = time.monotonic() + within_s
    while left := pids & set(_parents()):
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.05)
    return left


@pytest.fixture(scope="session")
def cluster() -> Iterator[TwoNodes]:
    folder = Path(tempfile.mkdtemp(prefix="pl-ray-", dir="/tmp"))  # sockets need short paths
    (folder / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # all addresses are 127.0.0.1
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("PROMPTLAB_CACHE_DIR", str(folder / "cache"))
        patch.delenv("RAY_ADDRESS", raising=False)
        nodes = TwoNodes(folder)
        try:
            yield nodes
            assert not _holding(folder, PLANTED), "a key is on disk"
        finally:
            try:
                nodes.close()
            finally:
                shutil.rmtree(folder, ignore_errors=True)


class Started:
    """Makes workers; keeps what they logged."""

    def __init__(self, cluster: TwoNodes) -> None:
        self.cluster = cluster
        self.log: list[dict[str, Any]] = []
        self._made: list[RayWorkers] = []

    def __call__(self, **settings: Any) -> RayWorkers:
        settings = {"address": self.cluster.address, "on_log": self._record, **settings}
        self._made.append(RayWorkers(**settings))
        return self._made[-1]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.log if entry["event"] == event]

    @property
    def pids(self) -> set[int]:
        return {entry["pid"] for entry in self.of("worker ready")}

    def close(self) -> None:
        for workers in self._made:
            workers.close()
        assert not _gone(self.pids)

    def _record(self, entry: Mapping[str, Any]) -> None:
        self.log.append(dict(entry))


@pytest.fixture
def start(cluster: TwoNodes) -> Iterator[Started]:
    cluster.complete()
    started = Started(cluster)
    yield started
    started.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


def chat(text: str) -> Request:
    return Request("openai/m", messages=(Message("user", text),))


def asks(n: int, endpoint: str | None, model: str = "openai/m") -> list[Ask]:
    found = []
    for i in range(n):
        text = f"Instruction: Opposite.\n\nInput: word {i}\nAnswer: "
        asked = Request(
            model,
            messages=(Message("user", text),),
            params={"temperature": 0},
            endpoint=endpoint,
        )
        found.append(Ask("m", asked, request_hash(asked)))
    return found


def run(
    wanted: list[Ask], store: Store, provider: Provider, options: RunnerOptions = QUICK
) -> Outcome:
    return asyncio.run(
        execute({"m": wanted}, store=store, provider_for=lambda label: provider, options=options)
    )


def answers(store: Store, wanted: list[Ask]) -> dict[str, Response]:
    """What the store has, without what differs from one time to the next."""
    found = store.get_many([ask.hash for ask in wanted])
    return {key: replace(r, latency_s=None, created=None) for key, r in found.items()}


def ask_all(provider: Provider, requests: list[Request]) -> list[Response | BaseException]:
    async def all_of_them() -> list[Response | BaseException]:
        try:
            said = await asyncio.gather(*map(provider.ask, requests), return_exceptions=True)
        finally:
            await provider.close()
        return [
            replace(s, latency_s=None, created=None) if isinstance(s, Response) else s for s in said
        ]

    return asyncio.run(all_of_them())


def text_of(said: list[Response | BaseException]) -> list[str]:
    return [s.text if isinstance(s, Response) else str(s) for s in said]


def _holding(folder: Path, text: str) -> list[Path]:
    """Files below a folder with a text in them."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and text.encode() in path.read_bytes():
                found.append(path)
        except OSError:
            continue  # a socket, or gone meanwhile
    return found


# --- runs ---------------------------------------------------------------------------------------


def test_the_result_equals_the_single_process_runs(
    start: Started, store: Store, tmp_path: Path
) -> None:
    with mock_server(latency_ms=10, sigma=0.5, words=5, p429=0.03, retry_after=0.02) as server:
        wanted = asks(400, server.base_url)
        provider = start().provider("openai/m", api_base=server.base_url)
        by_worker: Counter[int] = Counter()
        call = provider._call

        async def counted(hand: Any, *rest: Any) -> Any:
            by_worker[hand.number] += 1
            return await call(hand, *rest)

        provider._call = counted  # type: ignore[method-assign]
        outcome = run(wanted, store, provider)
        spread = server.stats()
        server.reset()
        with Store(tmp_path / "other.sqlite") as other:
            alone = make_provider("openai/m", api_base=server.base_url)
            run(wanted, other, alone)
            assert answers(store, wanted) == answers(other, wanted)
    counts = outcome.models["m"]
    assert outcome.complete
    assert counts.answered == len(wanted)
    assert 0 < counts.failed_attempts["rate_limit"] == spread["e429"]
    assert counts.attempts == spread["requests"] == sum(by_worker.values())
    # One limiter for all workers, and each does its part.
    assert spread["peak_inflight"] <= QUICK.concurrency
    assert min(by_worker[1], by_worker[2]) > 0.3 * len(wanted)


def test_a_lost_worker_comes_back(start: Started) -> None:
    """Also with the provider it had, and one is enough to wait for."""

    def reply(seen: Seen) -> Reply:
        if "first" in seen.text and len(server.seen) == 1:
            os.kill(*start.pids, signal.SIGKILL)
            return Reply(reset=True)
        return as_json(chat_reply("yes"))

    with serving(reply) as server:
        provider = start(workers=1).provider("openai/m", api_base=server.base)
        asked = chat("first")
        assert text_of(ask_all(provider, [asked])) == ["yes"]
    assert [entry["event"] for entry in start.log] == [
        "worker ready",
        "worker lost",
        "worker ready",
    ]
    assert len(start.pids) == 2


def test_a_request_that_ends_workers_does_not_end_the_run(
    start: Started, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlab.providers.ray._MOST_LOSSES", 2)

    def reply(seen: Seen) -> Reply:
        if "word 7\n" in seen.text:
            for pid in start.cluster.workers():
                os.kill(pid, signal.SIGKILL)
        return as_json(chat_reply("yes"))

    with serving(reply) as server:
        wanted = asks(12, server.base)
        provider = start().provider("openai/m", api_base=server.base)
        outcome = run(wanted, store, provider, RunnerOptions(concurrency=1, max_attempts=1))
    assert outcome.models["m"].answered == 11
    (failure,) = outcome.failures.values()
    assert "2 Ray workers ended while they had this request" in str(failure.error)


def test_no_worker_left(start: Started) -> None:
    import ray

    asked = [Request("mock/echo", prompt="Input: a")]
    workers = start(workers=1, patience_s=0.5)
    provider = workers.provider("mock/echo")
    (hand,) = provider._pool.there()
    (pid,) = start.pids
    os.kill(pid, signal.SIGSTOP)
    try:
        provider._pool.lost(hand, "stopped")
        (said,) = ask_all(provider, asked)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert isinstance(said, ProviderError)
    assert (said.kind, said.retryable) == ("connection", True)
    assert said.message == "no Ray worker is left: none came back in 0.5 s"

    provider._pool._patience_s = 60.0
    assert text_of(ask_all(provider, asked)) == ["a"]
    ray.kill(hand.handle, no_restart=True)
    (said,) = ask_all(provider, asked)
    assert isinstance(said, ProviderError)
    assert said.message == "no Ray worker is left: all of them ended"


def test_a_worker_that_does_not_answer_is_left_alone_until_it_does(
    start: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlab.providers.ray._MARGIN_S", 0.5)
    with serving(as_json(chat_reply("yes"))) as server:
        provider = start(workers=1).provider("openai/m", api_base=server.base, timeout_s=0.5)
        asked = chat("a")
        (pid,) = start.pids

        async def ask_twice() -> Response:
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(
                    ProviderError, match=r"timeout: Ray worker 1 .*no answer in 1 s"
                ):
                    await provider.ask(asked)
            finally:
                os.kill(pid, signal.SIGCONT)
            return await provider.ask(asked)

        assert asyncio.run(ask_twice()).text == "yes"
    assert [e["event"] for e in start.log] == ["worker ready", "worker lost", "worker ready"]


# --- what is asked, and what comes back ---------------------------------------------------------


def test_errors_are_those_without_ray(start: Started) -> None:
    limits = {"x_ratelimit_remaining_requests": "7", "x_ratelimit_reset_requests": "6s"}
    replies = {
        "wait": as_json(error_reply("slow down"), 429, retry_after="7.5"),
        "key": as_json(error_reply("no such key"), 401),
        "broke": as_json(error_reply("x", "insufficient_quota"), 429),
        "wrong": as_json(error_reply("temperature"), 400),
        "torn": Reply(b'{"choices": [{"mess'),
        "empty": as_json(chat_reply("")),
        "long": as_json(chat_reply("and so", "length"), **limits),
    }
    requests = [chat(name) for name in replies]
    with serving(lambda seen: replies[seen.text]) as server:
        spread = start().provider("openai/m", api_base=server.base)
        alone = make_provider("openai/m", api_base=server.base)
        dead = f"http://127.0.0.1:{free_port()}/v1"
        got = ask_all(spread, requests)
        expected = ask_all(alone, requests)
        assert spread.allowance == Allowance(7, 6.0)
        got += ask_all(start().provider("openai/m", api_base=dead), requests[:1])
        expected += ask_all(make_provider("openai/m", api_base=dead), requests[:1])
    for ours, theirs in zip(got, expected, strict=True):
        assert type(ours) is type(theirs)
        if isinstance(theirs, ProviderError):
            assert str(ours) == str(theirs)
            assert vars(ours) == vars(theirs)
        else:
            assert ours == theirs
    assert isinstance(got[0], ProviderError)
    assert got[0].retry_after == 7.5
    assert isinstance(got[-1], Unreachable)


def test_a_mock_model_rehearses_being_right(start: Started) -> None:
    model = "mock/skilled?p=0.5"
    known: Callable[[Request], list[str]] = lambda request: [f"right {request.prompt}"]  # noqa: E731
    requests = [Request(model, prompt=f"Input: {i}") for i in range(40)]
    got = ask_all(start().provider(model, known=known), requests)
    assert got == ask_all(make_provider(model, known=known), requests)
    assert 5 < sum(text.startswith("right ") for text in text_of(got)) < 35


@pytest.mark.model
def test_each_worker_loads_its_own_copy_of_an_embedded_model(start: Started, smollm2: Path) -> None:
    requests = [request(prompt(word)) for word in WORDS[:3]]
    requests.append(scored(prompt("dog"), "dogs", "cat"))
    workers = start()
    provider = workers.provider(MODEL)
    assert (provider.endpoint, provider.scores_choices) == describe(MODEL)
    assert provider.max_concurrency == 2  # a thread for each of two workers
    expected = ask_all(make_provider(MODEL, threads=1), requests)
    assert ask_all(provider, requests) == expected
    relative = f"local/{os.path.relpath(smollm2)}"
    assert workers.provider(relative).endpoint == provider.endpoint


def test_two_models_share_the_workers(start: Started) -> None:
    workers = start()
    constant, echo = workers.provider("mock/constant:a"), workers.provider("mock/echo")
    asked = Request("mock/echo", prompt="Input: b")
    assert text_of(ask_all(constant, [asked])) == ["a"]
    assert text_of(ask_all(echo, [asked])) == ["b"]
    assert len(start.of("worker ready")) == 2


def test_a_cancelled_request_is_cancelled_in_the_worker(
    start: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watched(Worker):
        asking = 0

        async def ask(self, *args: Any) -> Any:
            self.asking += 1
            try:
                return await super().ask(*args)
            finally:
                self.asking -= 1

        async def is_asking(self) -> int:
            return self.asking

    monkeypatch.setattr("promptlab.providers._ray_pool.Worker", Watched)
    provider = start(workers=1).provider("mock/echo?latency_ms=60000")
    (hand,) = provider._pool.there()

    async def cancel() -> None:
        asking = asyncio.create_task(provider.ask(Request("mock/echo", prompt="a")))
        while not await hand.handle.is_asking.remote():
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while await hand.handle.is_asking.remote():
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(cancel(), 20))
    assert hand.busy == 0


def test_a_key_reaches_the_endpoint_and_no_file(
    start: Started, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    monkeypatch.setenv("MY_KEY", PLANTED + "-mine")

    def reply(seen: Seen) -> Reply:
        if "word 3\n" in seen.text:
            return as_json(error_reply(f"wrong key {PLANTED}"), 400)
        return as_json(chat_reply("yes"))

    with serving(reply) as server:
        wanted = asks(10, server.base)
        usual = start().provider("openai/m", api_base=server.base)
        named = start().provider("other/m", api_base=server.base, api_key_env="MY_KEY")
        assert PLANTED not in repr(usual._settings)
        outcome = run(wanted, store, usual)
        ask_all(named, [wanted[0].request])
        assert {s.headers["authorization"] for s in server.seen[:-1]} == {f"Bearer {PLANTED}"}
        assert server.seen[-1].headers["authorization"] == f"Bearer {PLANTED}-mine"
    assert "wrong key ***" in str(next(iter(outcome.failures.values())).error)
    store.close()
    start.close()
    assert _holding(start.cluster.folder, "Worker.ask")  # the logs are there and readable
    assert not _holding(start.cluster.folder, PLANTED)
    assert not _holding(tmp_path, PLANTED)
    assert PLANTED not in repr(start.log)


# --- the cluster --------------------------------------------------------------------------------


def test_the_cluster_is_found_and_left_as_it_was(
    start: Started, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import ray

    monkeypatch.setenv("RAY_ADDRESS", start.cluster.address)
    ended: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    try:
        with start(address="auto") as workers:
            assert not ray.is_initialized()
            provider = workers.provider("mock/echo")
            workers.check()
            assert ray.is_initialized()
            ask_all(provider, [Request("mock/echo", prompt="Input: a")])
            os.kill(os.getpid(), signal.SIGTERM)
        assert not ray.is_initialized()
        assert ended == [signal.SIGTERM]
        ray.init(start.cluster.address, log_to_driver=False, logging_level=50)
        with start() as workers:
            workers.provider("mock/echo")
        assert ray.is_initialized()  # whoever connected disconnects
        ray.shutdown()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"address": "127.0.0.1:PORT"}, "no Ray cluster answers at .*ray start --head"),
        ({"address": "ray://127.0.0.1:10001"}, "write the address as host:port"),
        ({"address": "somewhere"}, "'somewhere' is not the address of a Ray cluster"),
        ({"cpus": 64, "start_s": 0.5}, "each takes 64 CPUs .* free in all; .*cpus: 1"),
    ],
)
def test_no_workers_to_be_had(start: Started, settings: dict[str, Any], said: str) -> None:
    settings = {
        k: str(v).replace("PORT", str(free_port())) if k == "address" else v
        for k, v in settings.items()
    }
    workers = start(**settings)
    for attempt in (workers.provider, workers.provider, lambda model: workers.check()):
        with pytest.raises(UserError, match=said):
            attempt("mock/echo")


def test_no_cluster_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(address: str) -> str:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr("ray._private.services.canonicalize_bootstrap_address", nothing)
    with pytest.raises(UserError, match="no Ray cluster runs on this machine; type: ray start --h"):
        RayWorkers().provider("mock/echo")


def test_a_model_that_a_worker_cannot_make(start: Started) -> None:
    base = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(UserError, match=r"Ray worker 1 on .*: the key of .* variable NOT_SET"):
        start(workers=1).provider("openai/m", api_base=base, api_key_env="NOT_SET")


def test_other_weights_or_another_endpoint_are_refused(
    start: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = start()
    monkeypatch.setattr("promptlab.providers.ray.describe", lambda *_, **__: ("sha256:1", True))
    with pytest.raises(UserError, match=r"Ray worker 1 on .* would reach mock/echo at None"):
        workers.provider("mock/echo")


def test_another_promptlab_is_refused() -> None:
    assert _refusal(About("here", 1, this_version())) is None
    told = _refusal(About("there", 1, "0.0.1"))
    assert told is not None
    assert "on there has promptlab 0.0.1, this machine has" in told
    assert "pip install 'promptlab-experiments[ray]==" in told


# --- without a cluster --------------------------------------------------------------------------


def test_a_worker_asks_the_provider_it_made() -> None:
    async def course() -> None:
        worker = Worker()
        asked = Request("mock/skilled?p=1", prompt="Input: a")
        assert await worker.ask("m", asked, "", None) is None
        settings = ModelSettings("mock/skilled?p=1", rehearses=True)
        offers = await asyncio.gather(*(worker.prepare("m", settings) for _ in range(3)))
        assert offers == [Offer(None, True, None)] * 3
        for right in ("b", "c"):
            said = await worker.ask("m", asked, "", [right])
            assert said is not None
            assert (getattr(said[0], "text", ""), said[1]) == (right, None)
        await worker.end("m")
        assert await worker.ask("m", asked, "", None) is None
        assert isinstance(await worker.prepare("x", ModelSettings("mock/none")), UnknownName)

    asyncio.run(course())


@pytest.mark.parametrize(
    "error",
    [
        ProviderError("rate_limit", "slow down", retry_after=2.5),
        Unreachable("nothing listens"),
        UnknownName("task", "sun", ["sum"], hint="see the list"),
        SpecError("wrong", path="a.yaml", line=3, key="models"),
        MissingData("not here"),
    ],
)
def test_errors_travel_whole(error: PromptlabError) -> None:
    error.add_note("on the way")
    came = pickle.loads(pickle.dumps(error))
    assert type(came) is type(error)
    assert str(came) == str(error)
    assert vars(came) == vars(error)


# --- last, because the cluster takes its time to see that a node is gone ------------------------


def test_a_killed_node_costs_what_it_had_in_flight(start: Started, store: Store) -> None:
    wanted: list[Ask] = []
    killed: list[set[int]] = []

    def reply(seen: Seen) -> Reply:
        if len(server.seen) == 120:
            killed.append(start.cluster.on_second(start.pids))
            threading.Thread(target=start.cluster.kill_second, args=(killed[0],)).start()
        return replace(as_json(chat_reply(f"said {seen.text}")), delay_s=0.03)

    with serving(reply) as server:
        wanted += asks(300, server.base)
        provider = start().provider("openai/m", api_base=server.base)
        outcome = run(wanted, store, provider)
    assert len(killed[0]) == 1
    assert outcome.complete
    counts = outcome.models["m"]
    assert (counts.answered, counts.attempts, counts.failed_attempts) == (300, 300, {})
    assert {k: r.text for k, r in answers(store, wanted).items()} == {
        a.hash: f"said {a.request.messages[0].content}" for a in wanted
    }
    lost = start.of("worker lost")
    assert [entry["pid"] for entry in lost] == [*killed[0]]
    assert 0 < lost[0]["in_flight"] <= QUICK.concurrency
    assert len(server.seen) <= len(wanted) + lost[0]["in_flight"]
    assert max(Counter(seen.text for seen in server.seen).values()) <= 2
