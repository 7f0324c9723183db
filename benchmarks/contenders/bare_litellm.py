"""litellm's own client and nothing else: ask every item, write each answer as a JSON line.

python bare_litellm.py URL ITEMS OUT CONCURRENCY
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import litellm


async def main(url: str, items: str, out: str, concurrency: str) -> None:
    rows = iter([json.loads(line) for line in Path(items).read_text().splitlines()])
    with (Path(out) / "results.jsonl").open("w") as file:

        async def worker() -> None:
            for row in rows:
                reply = await litellm.acompletion(
                    model="openai/bench",
                    api_base=url,
                    messages=[{"role": "user", "content": row["text"]}],
                    temperature=0,
                    max_tokens=16,
                )
                text = reply.choices[0].message.content
                score = float(text == row["label"])
                file.write(json.dumps({"text": text, "score": score}) + "\n")

        await asyncio.gather(*(worker() for _ in range(int(concurrency))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
