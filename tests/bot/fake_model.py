"""A fake of the model worker: a real HTTP server on loopback that says what a test has enqueued.

with FakeModel() as model:
    model.say("A cat", " on a mat.")           # the next chat answer, in pieces
    model.hear("What is this?", "en")          # the next transcript
    ... ModelClient(model.url) ...
    model.chats[0]["messages"]                 # what was asked
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse, Response, StreamingResponse

HELD_AT_MOST = 15.0
"""Seconds until an answer that nobody releases breaks off, so that a mistaken test does not wait for the client's patience."""


@dataclass
class Answer:
    """An enqueued chat answer. `hold`: wait for `release` after a piece; `pause`: that many seconds instead.
    `drop`: break the connection after the last one; `error`: send this code of an error instead of the end."""

    pieces: tuple[str, ...]
    finish: str = "stop"
    positions: tuple[int, ...] = ()
    hints: tuple[str, ...] = ()
    hold: bool = False
    pause: float = 0.0
    drop: bool = False
    error: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()

    async def wait_begun(self) -> None:
        """Until the first piece was sent."""
        assert await asyncio.to_thread(self.begun.wait, 10), "the fake was not asked for this answer"


@dataclass
class Failure:
    """An enqueued error of the API."""

    status: int
    code: str
    message: str = "enqueued failure"
    retry_after: str | None = None

    def response(self) -> Response:
        body = {"error": {"message": self.message, "type": "error", "param": None, "code": self.code}}
        return JSONResponse(body, self.status, {"Retry-After": self.retry_after} if self.retry_after else None)


class FakeModel:
    """See the module. Without anything enqueued, chats are answered "ok" and recordings hold "hello"."""

    def __init__(self, *, context_length: int = 8192, picture_tokens: int = 300, plain: bool = False, port: int = 0) -> None:
        self.context_length = context_length
        self.picture_tokens = picture_tokens
        self.plain = plain
        """Only what every OpenAI-compatible server has."""
        self.status: dict[str, Any] = {"status": "ready", "busy": False, "queue": 0, "preset": "fake", "device": "cpu"}
        self.adapter, self.adapters = "", ["none"]
        """Names of the one that answers and of those that there are; without the first, the server knows of none."""
        self.origins: dict[str, dict[str, Any]] = {}
        """What the list of models says of an adapter besides its name."""
        self.chats: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.recordings: list[bytes] = []
        self.tokenized: list[list[str]] = []
        self.uncounted: Failure | None = None
        """What who has tokens counted is told instead."""
        self._answers: deque[Answer | Failure] = deque()
        self._transcripts: deque[tuple[str, str] | Failure] = deque()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(self._app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and break all connections."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()

    # --- What tests enqueue ---

    def say(self, *pieces: str, **how: Any) -> Answer:
        answer = Answer(pieces, **how)
        self._answers.append(answer)
        return answer

    def fail(self, status: int, code: str = "server_error", **how: Any) -> None:
        self._answers.append(Failure(status, code, **how))

    def hear(self, text: str, language: str = "en") -> None:
        self._transcripts.append((text, language))

    def fail_hearing(self, status: int, code: str = "server_error", **how: Any) -> None:
        self._transcripts.append(Failure(status, code, **how))

    def prompt(self, number: int = -1) -> list[tuple[str, Any]]:
        """(role, content) of the messages of a chat request."""
        return [(message["role"], message["content"]) for message in self.chats[number]["messages"]]

    # --- The server ---

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.post("/v1/chat/completions")(self._chat)
        app.post("/v1/audio/transcriptions")(self._transcribe)
        app.get("/v1/models")(self._models)
        if not self.plain:
            app.get("/health")(self._health)
            app.post("/tokenize")(self._tokenize)
            app.put("/v1/adapters/default")(self._use)
        return app

    async def _health(self) -> dict[str, Any]:
        return self.status

    async def _models(self) -> dict[str, Any]:
        model: dict[str, Any] = {"id": "fake", "object": "model", "created": 0, "owned_by": "tests"}
        if not self.plain:
            model |= {"max_model_len": self.context_length, "image_tokens": self.picture_tokens}
        if not self.adapter:
            return {"object": "list", "data": [model]}
        others = [model | {"id": f"fake/{name}", "adapter": name} | self.origins.get(name, {}) for name in self.adapters]
        return {"object": "list", "data": [model | {"adapter": self.adapter}, *others]}

    async def _use(self, request: Request) -> dict[str, Any]:
        self.adapter = (await request.json())["name"]
        return {}

    async def _tokenize(self, request: Request) -> Any:
        """A word is a token."""
        if self.uncounted is not None:
            return self.uncounted.response()
        texts = (await request.json())["input"]
        self.tokenized.append(texts)
        return {"counts": [len(text.split()) for text in texts], "max_model_len": self.context_length}

    async def _transcribe(self, request: Request, file: UploadFile) -> Response:
        self.headers.append(dict(request.headers))
        self.recordings.append(await file.read())
        heard = self._transcripts.popleft() if self._transcripts else ("hello", "en")
        if isinstance(heard, Failure):
            return heard.response()
        text, language = heard
        return JSONResponse({"text": text, "language": language, "duration": 1.5, "segments": [], "task": "transcribe"})

    async def _chat(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        asked = await request.json()
        adapter = asked["model"].partition("/")[2] or self.adapter
        if adapter and adapter not in [self.adapter, *self.adapters]:
            return Failure(404, "model_not_found", f"There is no adapter '{adapter}'.").response()
        if not asked.get("stream"):
            if self._answers and isinstance(self._answers[0], Failure):
                return self._answers.popleft().response()  # type: ignore[union-attr]  # as just seen
            return JSONResponse({"id": "c", "object": "chat.completion", "created": 0, "model": "fake", "choices": []})
        self.chats.append(asked)
        answer = self._answers.popleft() if self._answers else Answer(("ok",))
        if isinstance(answer, Failure):
            return answer.response()
        return StreamingResponse(self._stream(answer, adapter or None), media_type="text/event-stream")

    async def _stream(self, answer: Answer, adapter: str | None) -> AsyncIterator[str]:
        for position in answer.positions:
            yield self._chunk(jnana={"queue_position": position})
        yield self._chunk(jnana={"hints": list(answer.hints), "transcripts": [], "adapter": adapter})
        try:
            for piece in answer.pieces:
                yield self._chunk({"content": piece})
                answer.begun.set()
                if answer.hold:
                    await _wait(answer.released)
                await asyncio.sleep(answer.pause)
        except asyncio.CancelledError:
            answer.cancelled.set()
            raise
        if answer.drop:
            raise ConnectionAbortedError("the worker dies here")
        if answer.error:
            yield f"data: {Failure(500, answer.error).response().body.decode()}\n\n"
            return
        words = sum(len(piece.split()) for piece in answer.pieces)
        end = {"preset": "fake", "hints": list(answer.hints), "timings": {"prefill": 0.25, "decode": 0.5}, "adapter": adapter}
        yield self._chunk({}, finish=answer.finish)
        yield self._chunk(usage={"prompt_tokens": 7, "completion_tokens": words, "total_tokens": 7 + words}, jnana=end)
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any] | None = None, *, finish: str | None = None, **extra: Any) -> str:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "fake", "choices": choices}
        if self.plain:
            extra.pop("jnana", None)
        return f"data: {json.dumps(chunk | extra)}\n\n"


async def _wait(event: threading.Event) -> None:
    async with asyncio.timeout(HELD_AT_MOST):
        while not event.is_set():  # noqa: ASYNC110  # set from the test's thread
            await asyncio.sleep(0.01)
