"""A worker that listens on loopback inside the test, and clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import uvicorn

from model.server import create_app
from model.settings import WorkerSettings
from model.worker import Worker
from tests.model.fake_mind import FakeMind, fake_parts

PATIENCE = 20.0
"""Seconds until a test that waits for something gives up; busy machines are slow."""


class Running:
    """A worker that listens, and a client for it."""

    def __init__(self, worker: Worker, url: str) -> None:
        self.worker = worker
        self.url = url
        key = worker.settings.api_key.get_secret_value() or "none"
        self.openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self.http = httpx.AsyncClient(base_url=url)

    @property
    def mind(self) -> FakeMind:
        mind: Any = self.worker.parts.mind
        return mind

    async def ask(self, content: Any = "hello", **options: Any) -> Any:
        messages: Any = (
            content if isinstance(content, list) and "role" in content[0] else [{"role": "user", "content": content}]
        )
        return await self.openai.chat.completions.create(model="pocket", messages=messages, **{"max_tokens": 40, **options})

    async def wait_for_health(self, **expected: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not expected.items() <= (await self.health()).items():  # noqa: ASYNC110 - it happens in the server
                await asyncio.sleep(0.01)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside the block the mind does not get on with its answer."""
        self.mind.model.go.clear()
        try:
            yield
        finally:
            self.mind.model.go.set()

    async def health(self) -> dict[str, Any]:
        health: dict[str, Any] = (await self.http.get("/health")).json()
        return health


@contextlib.asynccontextmanager
async def running(loader: Any = fake_parts, *, load: bool = True, **settings: Any) -> AsyncIterator[Running]:
    worker = Worker(WorkerSettings(**settings), loader)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(worker), log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    if load:
        await worker.load()
    client = Running(worker, f"http://127.0.0.1:{listener.getsockname()[1]}")
    try:
        yield client
    finally:
        await client.openai.close()
        await client.http.aclose()
        server.should_exit = True
        await serving
        worker.close()
