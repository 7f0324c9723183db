"""The same work with nothing around it: aiohttp, SQLite, exact match, results as JSON lines.

python baseline.py URL ITEMS OUT CONCURRENCY
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import sys
from pathlib import Path

import aiohttp
import orjson

INSTRUCTION = "Instruction: Say whether the review is positive or negative."


async def main(url: str, items: str, out: str, concurrency: str) -> None:
    rows = [orjson.loads(line) for line in Path(items).read_bytes().splitlines()]
    bodies = [body(row["text"]) for row in rows]
    keys = [hashlib.sha256(one).hexdigest() for one in bodies]
    store = sqlite3.connect(Path(out) / "store.sqlite")
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("CREATE TABLE IF NOT EXISTS answers (key PRIMARY KEY, text) WITHOUT ROWID")
    answers = dict(store.execute("SELECT key, text FROM answers"))
    todo = iter([(k, b) for k, b in zip(keys, bodies, strict=True) if k not in answers])
    fresh: list[tuple[str, str]] = []

    async def worker(session: aiohttp.ClientSession) -> None:
        for key, one in todo:
            async with session.post(f"{url}/chat/completions", data=one) as reply:
                document = orjson.loads(await reply.read())
            answers[key] = document["choices"][0]["message"]["content"]
            fresh.append((key, answers[key]))
            if len(fresh) >= 500:
                store.executemany("INSERT INTO answers VALUES (?, ?)", fresh)
                store.commit()
                fresh.clear()

    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        await asyncio.gather(*(worker(session) for _ in range(int(concurrency))))
    store.executemany("INSERT INTO answers VALUES (?, ?)", fresh)
    store.commit()
    with (Path(out) / "results.jsonl").open("wb") as file:
        for key, row in zip(keys, rows, strict=True):
            score = float(answers[key].strip().lower() == row["label"])
            file.write(orjson.dumps({"key": key, "text": answers[key], "score": score}) + b"\n")


def body(text: str) -> bytes:
    content = f"{INSTRUCTION}\nInput: {text}\nAnswer:"
    messages = [{"role": "user", "content": content}]
    return orjson.dumps({"model": "bench", "messages": messages, "temperature": 0})


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
