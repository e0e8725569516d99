"""A chat turn as a client receives it: whole, or as server-sent events while it grows."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from model.chat import Event, Finished, Started, Turn, Waiting
from model.errors import ApiError, internal, shutting_down
from model.schema import (
    AssistantMessage,
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    Choice,
    ChunkChoice,
    Delta,
    Jnana,
    TranscriptInfo,
    Usage,
)
from model.speech import Transcript
from model.worker import Worker
from model.writing import Token

log = structlog.get_logger(__name__)

KEEP_ALIVE_SECONDS = 10.0
"""Seconds of silence on a stream after which a comment is sent, so that nobody on the way takes it for dead."""


class Answer:
    """Runs a turn as a task of its own. `close` ends it, whatever became of the client."""

    def __init__(self, worker: Worker, request: ChatRequest, *, key: str, request_id: str) -> None:
        self._worker = worker
        self._request = request
        self._request_id = request_id
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        preset, asked = worker.settings.preset, request.model or ""
        self._model = asked if asked.startswith(f"{preset}/") else preset
        self._started = Started("", (), ())
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._first: Event | None = None
        self._finished = False
        self._task = asyncio.create_task(Turn(worker, request, key, self._events.put_nowait).run())
        self._task.add_done_callback(lambda _: self._events.put_nowait(None))
        worker.turns.add(self._task)
        self._task.add_done_callback(worker.turns.discard)

    async def close(self) -> None:
        """End the turn if it still runs. Its slot is free when this returns."""
        if not self._task.done() and not self._finished:
            self._worker.metrics.cancelled.inc()
            self._task.cancel()
        await asyncio.wait([self._task])

    async def whole(self) -> ChatCompletion:
        """The finished answer. Raises what the turn raises."""
        text: list[str] = []
        while True:
            event = await self._next()
            if isinstance(event, Started):
                self._started = event
            elif isinstance(event, Token):
                text.append(event.text)
            elif isinstance(event, Finished):
                return ChatCompletion(
                    id=self._id,
                    created=self._created,
                    model=self._model,
                    choices=[Choice(message=AssistantMessage(content="".join(text)), finish_reason=event.reason)],
                    usage=_usage(event),
                    jnana=self._summary(event),
                )

    async def begin(self) -> bool:
        """Wait (not for ever) for the first event: what is wrong with a request shows before it, and gets a proper status."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                self._first = await self._next()
        return True

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events. After the first byte errors can only be sent as an event of their own."""
        event = self._first
        try:
            while not isinstance(event, Finished):
                for chunk in self._chunks(event) if event else ():
                    yield _sse(chunk)
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        event = await self._next()
                except TimeoutError:
                    event = None
                    yield ": still working\n\n"
            for chunk in self._last_chunks(event):
                yield _sse(chunk)
            yield "data: [DONE]\n\n"
        except ApiError as error:
            yield f"data: {error.body().model_dump_json()}\n\n"
        except Exception:
            log.exception("answer_failed")
            yield f"data: {internal(self._request_id).body().model_dump_json()}\n\n"

    async def _next(self) -> Event:
        """The turn's next event, or what ended it."""
        event = await self._events.get()
        self._finished = isinstance(event, Finished)
        if event is not None:
            return event
        if self._task.cancelled():
            raise shutting_down()
        raise self._task.exception() or RuntimeError("a turn ended without an answer")

    def _chunks(self, event: Event) -> Iterator[ChatChunk]:
        if isinstance(event, Waiting):
            # An empty delta: clients look at the first choice of whatever comes.
            yield self._chunk([ChunkChoice(delta=Delta())], jnana=Jnana(queue_position=event.position))
        elif isinstance(event, Started):
            self._started = event
            heard = Jnana(hints=list(event.hints), transcripts=_transcripts(event.transcripts), adapter=event.adapter)
            yield self._chunk([ChunkChoice(delta=Delta(role="assistant", content=""))], jnana=heard)
        elif isinstance(event, Token) and event.text:
            yield self._chunk([ChunkChoice(delta=Delta(content=event.text))])

    def _last_chunks(self, finished: Finished) -> Iterator[ChatChunk]:
        summary = self._summary(finished)
        yield self._chunk([ChunkChoice(delta=Delta(), finish_reason=finished.reason)], jnana=summary)
        if self._request.stream_options and self._request.stream_options.include_usage:
            yield self._chunk([], jnana=summary, usage=_usage(finished))

    def _chunk(self, choices: list[ChunkChoice], *, jnana: Jnana | None = None, usage: Usage | None = None) -> ChatChunk:
        return ChatChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=choices,
            jnana=jnana,
            usage=usage,
        )

    def _summary(self, finished: Finished) -> Jnana:
        return Jnana(
            hints=list(self._started.hints),
            transcripts=_transcripts(self._started.transcripts),
            timings={stage: round(seconds, 4) for stage, seconds in finished.timings.items()},
            preset=self._worker.settings.preset,
            adapter=self._started.adapter,
        )


class EventStream(StreamingResponse):
    """Sends an answer's events, and ends its turn when the client goes away."""

    def __init__(self, answer: Answer) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(answer.stream(), media_type="text/event-stream", headers=headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.close()


def _sse(chunk: ChatChunk) -> str:
    return f"data: {chunk.model_dump_json(exclude_none=True)}\n\n"


def _usage(finished: Finished) -> Usage:
    return Usage(
        prompt_tokens=finished.prompt_tokens,
        completion_tokens=finished.answer_tokens,
        total_tokens=finished.prompt_tokens + finished.answer_tokens,
    )


def _transcripts(transcripts: tuple[Transcript, ...]) -> list[TranscriptInfo]:
    return [TranscriptInfo(text=heard.text, language=heard.language, duration=heard.duration) for heard in transcripts]
