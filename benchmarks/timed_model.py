"""The tests' fake worker in a process of its own, which notes when it is asked and when it has said its last token."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from tests.bot.fake_model import FakeModel

NUMBER = re.compile(rb"#(\d+)#")
"""How a question says which one it is; the last one in a request is the newest message's."""


class Shape(NamedTuple):
    """Answers of `pieces` tokens, `pause` seconds apart."""

    pieces: int
    pause: float


class Times(NamedTuple):
    """time.monotonic(), one clock for all processes of a machine, by the question's number."""

    asked: dict[int, float]
    ended: dict[int, float]


class TimedModel(FakeModel):
    """Keeps times instead of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.shape = Shape(1, 0)
        self.times = Times({}, {})

    async def _chat(self, request: Request) -> Response:
        number = int(NUMBER.findall(await request.body())[-1])
        self.times.asked[number] = time.monotonic()
        return StreamingResponse(self._tokens(number, self.shape), media_type="text/event-stream")

    async def _tokens(self, number: int, shape: Shape) -> AsyncIterator[str]:
        yield self._chunk(jnana={"hints": [], "transcripts": []})
        for index in range(shape.pieces):
            if index:
                await asyncio.sleep(shape.pause)
            if index == shape.pieces - 1:
                self.times.ended[number] = time.monotonic()
            yield self._chunk({"content": f"token {index} "})
        yield self._chunk({}, finish="stop")
        yield self._chunk(usage={"prompt_tokens": 7, "completion_tokens": shape.pieces, "total_tokens": 7 + shape.pieces})
        yield "data: [DONE]\n\n"

    async def _tokenize(self, request: Request) -> dict[str, object]:
        answer = await super()._tokenize(request)
        self.tokenized.clear()
        return answer


class ModelProcess:
    """The other end of the pipe."""

    def __init__(self, pid: int, pipe: Connection) -> None:
        self.pid = pid
        self._pipe = pipe
        self.url: str = pipe.recv()

    def answer_in(self, shape: Shape) -> None:
        self._pipe.send(shape)

    def take(self) -> Times:
        """What was noted since the last time."""
        self._pipe.send("take")
        times: Times = self._pipe.recv()
        return times


@contextmanager
def timed_model() -> Iterator[ModelProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield ModelProcess(process.pid, ours)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection) -> None:
    with TimedModel() as model:
        pipe.send(model.url)
        while True:
            order = pipe.recv()
            if isinstance(order, Shape):
                model.shape = order
            else:
                times, model.times = model.times, Times({}, {})
                pipe.send(times)
