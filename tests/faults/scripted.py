"""A scripted endpoint in a process of its own: `python scripted.py BEHAVIOUR`, port on stdout.

It ends when its standard input does. `GET /control?name=value` changes a setting and tells what
was counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fake_server import FakeServer, Reply, Seen, as_json, chat_reply, error_reply

Settings = dict[str, float]


def answer(seen: Seen, model: str | None = None, **headers: str) -> Reply:
    """An answer that belongs to its prompt and to no other."""
    text = f"about {seen.text.partition('Review ')[2].split(' ')[0]}"
    return as_json(chat_reply(text) | {"model": model or seen.body["model"]}, **headers)


def plain(seen: Seen, settings: Settings, answered: int) -> Reply:
    return answer(seen)


def other_model(seen: Seen, settings: Settings, answered: int) -> Reply:
    return answer(seen, model="smaller-model-3b")


def quota(seen: Seen, settings: Settings, answered: int) -> Reply:
    """After `credit` answers the account is empty."""
    if answered < settings.get("credit", 0):
        return answer(seen)
    said = error_reply("You exceeded your current quota, please check your plan and billing")
    said["error"]["code"] = said["error"]["type"] = "insufficient_quota"
    wait = settings.get("retry_after", 0)
    return as_json(said, 429, **({"Retry_After": f"{wait:g}"} if wait else {}))


def leaking(seen: Seen, settings: Settings, answered: int) -> Reply:
    """Repeats the key that it was sent wherever it can."""
    key = seen.headers["authorization"]
    status = int(settings.get("status", 0)) or (200, 400, 500)[len(seen.text.split("1")) % 3]
    if status == 200:
        return answer(seen, x_request_id=key, x_echo=key, openai_organization=key)
    words = f"no luck with {key}, that is {key.split()[-1]}"
    return as_json(error_reply(words, "odd"), status, x_echo=key, x_request_id=key)


BEHAVIOURS: dict[str, Callable[[Seen, Settings, int], Reply]] = {
    function.__name__: function for function in (plain, other_model, quota, leaking)
}


@dataclass(frozen=True)
class Endpoint:
    """The process as its test sees it."""

    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def control(self, **settings: float) -> dict[str, Any]:
        """Change settings; returns what was counted: `requests`, `ok`, `by_status`, `texts`."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = f"http://127.0.0.1:{self.port}/control?{urlencode(settings)}"
        with direct.open(url, timeout=10) as reply:
            counted: dict[str, Any] = json.loads(reply.read())
        return counted


@contextmanager
def endpoint(behaviour: str, **settings: float) -> Iterator[Endpoint]:
    """A scripted endpoint for as long as the block runs."""
    process = subprocess.Popen(
        [sys.executable, __file__, behaviour],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        there = Endpoint(int(process.stdout.readline()))
        there.control(**settings)
        yield there
    finally:
        process.communicate(timeout=30)


def main(behaviour: str) -> None:
    settings: Settings = {}
    statuses: Counter[str] = Counter()
    texts: Counter[str] = Counter()

    def handle(seen: Seen) -> Reply:
        parts = urlsplit(seen.path)
        if parts.path == "/control":
            settings.update({k: float(v) for k, v in parse_qsl(parts.query)})
            counted = {
                "requests": statuses.total(),
                "ok": statuses["200"],
                "by_status": statuses,
                "most_for_one": max(texts.values(), default=0),
            }
            return as_json(counted)
        reply = BEHAVIOURS[behaviour](seen, settings, statuses["200"])
        statuses[str(reply.status)] += 1
        texts[seen.text] += 1
        return Reply(reply.body, reply.status, reply.headers, settings.get("delay_s", 0.0))

    server = FakeServer(handle).start()
    print(server.port, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
