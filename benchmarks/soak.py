"""Hours of people: does the worker leak, get stuck, or leave anybody without an answer?

    python -m benchmarks.soak --requests 10000 --minutes 120 > docs/results/soak.md

A real `jnana serve`, asked by several people at once, in conversations of one to six turns: text, photos of all sizes (new ones
and ones that were seen), answers of 1 to 48 tokens, streamed or whole. One request in eight is given up after a random moment,
by closing the connection, and one in fifty is one that must be refused. Memory is
looked at every half minute, with and without the keys and values of earlier turns and answers, which come and go within a bound
of their own; the start is the median of the second tenth of the time, the end that of the last one.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import io
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx
import skimage.data
from PIL import Image

from benchmarks.report import header, resident, table
from tests.processes import free_port

PHOTOS = ("chelsea", "coffee", "rocket", "astronaut", "page", "camera")
SIZES = (16, 4000)
"""Pixels of a photo's longer side."""
GIVEN_UP, WRONG = 1 / 8, 1 / 50
LOOK_SECONDS = 30.0
ANSWER_SECONDS = 300.0
"""After which an answer counts as lost."""
QUESTIONS = ("What is this?", "And what colour is it?", "Tell me about the sea.", "Why?", "How many are there?", "Hello!")


class Soak:
    """What is asked, and what came of it."""

    def __init__(self, url: str, pid: int, *, seed: int) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.memory: list[tuple[float, float]] = []
        """MiB: of the process, and of keys and values therein."""
        self._client = httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS, limits=httpx.Limits(max_connections=None))
        self._pid = pid
        self._chance = random.Random(seed)  # noqa: S311
        self._seen: list[str] = []
        self._asked = 0

    async def run(self, requests: int, seconds: float, people: int) -> None:
        """Until so many requests, or for so long."""
        end = time.monotonic() + seconds
        looking = asyncio.create_task(self._look())

        async def person() -> None:
            while self._asked < requests and time.monotonic() < end:
                await self._conversation()

        await asyncio.gather(*(person() for _ in range(people)))
        looking.cancel()

    async def left_over(self) -> dict[str, Any]:
        """What the worker says once everybody is gone."""
        for _ in range(100):
            health: dict[str, Any] = (await self._client.get("/health")).json()
            if not health["busy"] and not health["queue"]:
                break
            await asyncio.sleep(0.1)
        return health

    async def _conversation(self) -> None:
        messages: list[dict[str, Any]] = []
        for _ in range(self._chance.randint(1, 6)):
            messages.append({"role": "user", "content": self._content()})
            self._asked += 1
            if self._asked % 200 == 0:
                print(self._asked, dict(self.outcomes), f"{self.memory[-1]} MiB", file=sys.stderr, flush=True)
            said = await self._ask(messages)
            if said is None:
                return
            messages.append({"role": "assistant", "content": said or "..."})

    def _content(self) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"type": "text", "text": self._chance.choice(QUESTIONS)}]
        if self._chance.random() < 0.3:
            parts.insert(0, {"type": "image_url", "image_url": {"url": self._photo()}})
        return parts

    def _photo(self) -> str:
        if self._seen and self._chance.random() < 0.3:
            return self._chance.choice(self._seen)
        image = Image.fromarray(getattr(skimage.data, self._chance.choice(PHOTOS))()).convert("RGB")
        image.putpixel((0, 0), (self._chance.randrange(256), self._chance.randrange(256), self._chance.randrange(256)))
        longer = int(SIZES[0] * (SIZES[1] / SIZES[0]) ** self._chance.random())
        image = image.resize((longer, max(8, longer * image.height // image.width)))
        buffer = io.BytesIO()
        image.save(buffer, self._chance.choice(("JPEG", "PNG", "WEBP")))
        self._seen = [*self._seen[-20:], "data:image/any;base64," + base64.b64encode(buffer.getvalue()).decode()]
        return self._seen[-1]

    async def _ask(self, messages: list[dict[str, Any]]) -> str | None:
        """The answer; None when there was none, which ends the conversation."""
        body = {"messages": messages, "max_tokens": self._chance.randint(1, 48), "temperature": self._chance.choice((0, 0.8))}
        if self._chance.random() < WRONG:
            body["messages"] = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,none"}}]}]
        patience = self._chance.expovariate(1 / 2) if self._chance.random() < GIVEN_UP else None
        ask = self._streamed if self._chance.random() < 0.5 else self._whole
        try:
            async with asyncio.timeout(ANSWER_SECONDS if patience is None else patience):
                status, said = await ask(body)
        except TimeoutError:
            self.outcomes["lost: no end" if patience is None else "given up"] += 1
            return None
        except (httpx.HTTPError, ValueError) as error:
            self.outcomes[f"lost: {type(error).__name__}"] += 1
            return None
        self.outcomes["answered" if status == 200 else f"refused: {said}"] += 1
        return said if status == 200 else None

    async def _whole(self, body: dict[str, Any]) -> tuple[int, str]:
        response = await self._client.post("/v1/chat/completions", json=body)
        return response.status_code, _said(response.status_code, response.json())

    async def _streamed(self, body: dict[str, Any]) -> tuple[int, str]:
        async with self._client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
            if response.status_code != 200:
                await response.aread()
                return response.status_code, _said(response.status_code, response.json())
            lines = [line async for line in response.aiter_lines() if line]
        if not lines or lines[-1] != "data: [DONE]":
            raise httpx.RemoteProtocolError("The stream ended in the middle.")
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1] if line.startswith("data: ")]
        return 200, "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])

    async def _look(self) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):  # a look less; what people ask is not lost without being counted
                metrics = (await self._client.get("/metrics")).text
                kept = next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith("jnana_kv_cache_bytes "))
                self.memory.append((round(resident(self._pid)), round(kept / 2**20)))
            await asyncio.sleep(LOOK_SECONDS)


def _said(status: int, body: Any) -> str:
    """An answer's text, or the code of a refusal."""
    if status == 200:
        return str(body["choices"][0]["message"]["content"])
    return f"{status} {body['error']['code']}"


def growth(memory: Sequence[float]) -> str:
    """From the median of the second tenth to that of the last one, MiB."""
    tenth = max(1, len(memory) // 10)
    early, late = (statistics.median(part) for part in (memory[tenth : 2 * tenth] or memory[:1], memory[-tenth:]))
    return f"{early:.0f} MiB, {late:.0f} MiB ({late / early - 1:+.1%})"


def along(memory: Sequence[tuple[float, float]]) -> list[list[str]]:
    """Medians of every tenth of the time, MiB: all of the process, keys and values, the rest."""
    rows = []
    for tenth in range(10):
        part = memory[len(memory) * tenth // 10 : len(memory) * (tenth + 1) // 10]
        if part:
            columns = zip(*((whole, kept, whole - kept) for whole, kept in part), strict=True)
            rows.append([f"{tenth + 1}", *(f"{statistics.median(column):.0f}" for column in columns)])
    return rows


async def soak(options: argparse.Namespace, port: int, pid: int) -> None:
    people = Soak(f"http://127.0.0.1:{port}", pid, seed=options.seed)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(600):
            if (await _health(client)).get("status") == "ready":
                break
            await asyncio.sleep(0.2)
        else:
            raise SystemExit("The worker did not become ready.")
    start = time.monotonic()
    await people.run(options.requests, options.minutes * 60, options.people)
    minutes = (time.monotonic() - start) / 60
    left = await people.left_over()
    asked = sum(people.outcomes.values())
    print(header("Soak", "torch", "transformers"))
    rows = [[what, str(count)] for what, count in sorted(people.outcomes.items())]
    rows += [
        ["asked, all together", str(asked)],
        ["minutes, people at once", f"{minutes:.0f}, {options.people}"],
        ["lost or stuck", str(sum(count for what, count in people.outcomes.items() if what.startswith("lost")))],
        ["busy, and waiting, once all were gone", f"{left['busy']}, {left['queue']}"],
        ["memory at the start, at the end", growth([whole for whole, _ in people.memory])],
        ["without keys and values", growth([whole - kept for whole, kept in people.memory])],
    ]
    print(table([f"pocket in {left['precision']}", ""], rows))
    print("\nMemory along the way, medians of every tenth of the time, MiB:\n")
    print(table(["tenth", "the process", "keys and values", "the rest"], along(people.memory)))


async def _health(client: httpx.AsyncClient) -> dict[str, Any]:
    try:
        health: dict[str, Any] = (await client.get("/health")).json()
    except httpx.HTTPError:
        return {}
    return health


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    port = free_port()
    env = {**os.environ, "MODEL_PORT": str(port), "LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "bot.cli", "serve"]
    worker = subprocess.Popen(command, env=env, stdout=2)  # to standard error: the table stands alone
    try:
        asyncio.run(soak(options, port, worker.pid))
    finally:
        worker.terminate()
        worker.wait(30)


if __name__ == "__main__":
    main()
