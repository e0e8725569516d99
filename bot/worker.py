"""Client of the model API: the official OpenAI client, with our errors, our patience and the `jnana` extension.

Any server that speaks the same API works; what only our worker has (`/tokenize`, queue positions, hints) is optional.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import openai
import structlog

from bot.adapters import Adapters, listed
from bot.errors import TurnError, WorkerBusy, WorkerError, WorkerLost, WorkerRefused, WorkerUnreachable
from bot.memory import PICTURE_LEFT_OUT, PromptMessage, estimate_tokens
from bot.texts import Text, text
from bot.worker_errors import because, explain, lost, model_errors, still_loading

CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection, mostly on the same machine."""
SILENCE_TIMEOUT = 120.0
"""Seconds without a byte of a stream until the worker counts as lost; ours sends a comment every 10 s."""
HEALTH_TIMEOUT = 5.0
"""Seconds for small requests (health, models, tokenize)."""
ADAPTER_TIMEOUT = 120.0
"""Seconds for an adapter to be checked and loaded beside answers that go on."""
UNREACHABLE_PATIENCE = 180.0
"""Seconds to wait for somebody to listen: a worker that crashed is started again and imports torch meanwhile."""
BUSY_TRIES = 4
"""Requests sent to a worker whose queue is full, in all."""
LONGEST_WAIT = 15.0
"""Most seconds between two tries, whatever Retry-After says."""
RETRY_PAUSE = 0.5
"""Seconds between two tries when the server says nothing."""
DEFAULT_CONTEXT = 4096
"""Tokens, for servers that do not tell: the smallest context in common use (phi-2 has 2,048 and our worker tells it)."""
DEFAULT_PICTURE_TOKENS = 1024
"""Tokens of a picture, for servers that do not tell; LLaVA-1.5 uses 576, OpenAI's high detail 765 for a square."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the server says about its model: its id, tokens of a prompt with its answer, tokens of a picture (upper bound)."""

    model: str
    context_length: int
    picture_tokens: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript; `text` is "" when nobody speaks. `duration` in seconds."""

    text: str
    language: str
    duration: float


@dataclass(frozen=True, slots=True)
class Position:
    """Place in the worker's queue, 1 is next."""

    position: int


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Details:
    """What is known about an answer besides its text; sent when generation begins and, completed, at its end."""

    truncated: bool = False
    preset: str = ""
    adapter: str = ""
    hints: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


ChatEvent = Position | Piece | Details


class ModelClient:
    """One per model server.

    Args:
        base_url: with or without the final `/v1`.
        model: the wanted model's id; if the server does not have it, its first one is used.
        failure: why it is no use to ask or to wait (the supervisor gave up, or lets the worker rest), None while there is hope.
    """

    def __init__(
        self, base_url: str, api_key: str = "", *, model: str = "", failure: Callable[[], Text | str | None] = lambda: None
    ) -> None:
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._wanted = model
        self._failure = failure
        self._info: ModelInfo | None = None
        self._counts = True
        self._api = openai.AsyncOpenAI(
            base_url=f"{self._root}/v1",
            api_key=api_key or "none",
            max_retries=0,
            timeout=openai.Timeout(SILENCE_TIMEOUT, connect=CONNECT_TIMEOUT),
        )

    async def close(self) -> None:
        await self._api.close()

    def require_hope(self) -> None:
        """Raises WorkerError: it is no use to ask."""
        if (sentence := self._failure()) is not None:
            raise WorkerError(sentence)

    async def health(self) -> dict[str, Any]:
        """Our worker's `/health`, {"status": "ready"} of a server without it. Raises `WorkerError` if nobody answers."""
        try:
            with model_errors():
                answer = await self._api.get(f"{self._root}/health", cast_to=object, options={"timeout": HEALTH_TIMEOUT})
        except WorkerRefused:
            return {"status": "ready"}
        return answer if isinstance(answer, dict) else {"status": "ready"}

    async def look(self) -> bool:
        """Whether the server is still loading. Raises `WorkerError` when nobody answers, or our key is refused."""
        if (await self.health()).get("status") == "loading":
            return True
        with model_errors():
            await self._api.models.list(timeout=HEALTH_TIMEOUT)
        return False

    async def info(self) -> ModelInfo:
        """The model that will answer. Waits while the worker loads."""
        if self._info is None:
            page = await self._patiently(lambda: self._api.models.list(timeout=HEALTH_TIMEOUT), resend=True)
            models = {model.id: model.model_extra or {} for model in page.data}
            name = self._wanted if self._wanted in models else next(iter(models), self._wanted)
            extra = models.get(name, {})
            if self._wanted not in ("", name):
                log.warning("the model server has another model", wanted=self._wanted, used=name)
            self._info = ModelInfo(
                name,
                int(extra.get("max_model_len") or DEFAULT_CONTEXT),
                int(extra.get("image_tokens") or DEFAULT_PICTURE_TOKENS),
            )
        return self._info

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text in one request; estimated if the server cannot count."""
        if self._counts:
            try:
                answer: Any = await self._patiently(
                    lambda: self._api.post(
                        f"{self._root}/tokenize",
                        body={"input": list(texts)},
                        cast_to=object,
                        options={"timeout": HEALTH_TIMEOUT},
                    ),
                    resend=True,
                )
                return [int(count) for count in answer["counts"]]
            except (WorkerRefused, KeyError, TypeError, ValueError) as error:
                if not isinstance(error, WorkerRefused) or error.reason == "not_found":
                    self._counts = False
                    log.info("the model server does not count tokens, they are estimated")
        return [estimate_tokens(text) for text in texts]

    async def adapters(self) -> Adapters:
        """Which there are, where they come from, and which one answers. Raises WorkerRefused: it is no server of ours."""
        info = await self.info()
        page = await self._patiently(lambda: self._api.models.list(timeout=HEALTH_TIMEOUT), resend=True)
        there = listed({model.id: model.model_extra or {} for model in page.data}, info.model)
        if there is None:
            raise WorkerRefused("this server has no adapters")
        return there

    async def use_adapter(self, name: str) -> None:
        """Answer with it from now on. Raises WorkerRefused: it is not there, or does not fit."""
        await self._patiently(
            lambda: self._api.put(
                "/adapters/default", body={"name": name}, cast_to=object, options={"timeout": ADAPTER_TIMEOUT}
            )
        )

    async def load_adapter(self, name: str) -> None:
        """Have it ready, by as short an answer as there is. Raises WorkerRefused: it is not there, or does not fit."""
        info = await self.info()
        try:
            await self._patiently(
                lambda: self._api.chat.completions.create(
                    model=f"{info.model}/{name}",
                    messages=[{"role": "user", "content": "?"}],
                    max_tokens=1,
                    timeout=ADAPTER_TIMEOUT,
                )
            )
        except WorkerRefused as error:
            if not isinstance(error.__cause__, openai.APIError):
                raise
            raise WorkerRefused(because(error.__cause__), error.reason) from error

    async def transcribe(self, path: Path, mime: str, *, request_id: str) -> Heard:
        """What is said in a sound file. However long it takes: the caller has a timeout."""
        sound = await asyncio.to_thread(path.read_bytes)
        info = await self.info()
        answer = await self._patiently(
            lambda: self._api.audio.transcriptions.create(
                file=(path.name, sound, mime),
                model=info.model,
                response_format="verbose_json",
                extra_headers={"X-Request-Id": request_id},
                timeout=openai.Timeout(None, connect=CONNECT_TIMEOUT),
            )
        )
        return Heard(answer.text.strip(), str(answer.language or ""), float(answer.duration or 0))

    async def chat(
        self,
        messages: Sequence[PromptMessage],
        *,
        request_id: str,
        conversation: str,
        max_tokens: int,
        temperature: float,
        adapter: str = "",
    ) -> AsyncGenerator[ChatEvent]:
        """Stream an answer. `conversation` is the worker's key for fairness between conversations. `adapter`: by name; "" for
        the server's default.

        Raises:
            WorkerRefused: the server has no such adapter, it does not fit, or the request is wrong.
            WorkerLost: the stream broke off; what came so far is not the whole answer.
            WorkerError, PromptTooLong: see `worker_errors.explain`.
        """
        info = await self.info()
        body: Any = await asyncio.to_thread(lambda: [encode_message(message) for message in messages])
        stream = await self._patiently(
            lambda: self._api.chat.completions.create(
                model=f"{info.model}/{adapter}" if adapter else info.model,
                messages=body,
                max_tokens=max_tokens,
                temperature=temperature,
                stream=True,
                stream_options={"include_usage": True},
                prompt_cache_key=conversation,
                extra_headers={"X-Request-Id": request_id},
            )
        )
        reader = StreamReader()
        async with stream:
            try:
                with model_errors():
                    async for chunk in stream:
                        for event in reader.read(chunk):
                            yield event
                if not reader.ended:
                    raise lost()
            except WorkerLost:
                self._info = None
                raise
        yield reader.details()

    async def _patiently(self, request: Callable[[], Awaitable[T]], *, resend: bool = False) -> T:
        """Send a request, again while the worker loads, is started again or has a full queue. The caller has a timeout.

        `resend`: also when the connection broke after it was sent; for small requests that change nothing.
        """
        tries = 0
        deadline = time.monotonic() + UNREACHABLE_PATIENCE
        while True:
            self.require_hope()  # before it is sent: while running answers end nothing new begins
            try:
                return await request()
            except openai.APIError as error:
                wrong = explain(error)
                if resend and isinstance(wrong, WorkerLost):
                    wrong = WorkerUnreachable(text("model-lost"))
                tries += 1
                self._give_up(error, wrong, tries, deadline)
                await asyncio.sleep(min(retry_after(error), LONGEST_WAIT))

    def _give_up(self, error: openai.APIError, wrong: TurnError, tries: int, deadline: float) -> None:
        """Raise what went wrong if it is no use to try again."""
        if isinstance(wrong, WorkerUnreachable | WorkerLost):
            self._info = None
        if isinstance(wrong, WorkerBusy) and tries < BUSY_TRIES:
            return
        if isinstance(wrong, WorkerUnreachable) and (still_loading(error) or time.monotonic() < deadline):
            return
        raise wrong from error


class StreamReader:
    """Collects what the chunks of one stream say."""

    def __init__(self) -> None:
        self.ended = False
        self._finish = ""
        self._told: dict[str, Any] = {}
        self._tokens: tuple[int, int] | None = None

    def read(self, chunk: Any) -> list[ChatEvent]:
        """The events of one `ChatCompletionChunk`."""
        events: list[ChatEvent] = []
        told = (chunk.model_extra or {}).get("jnana")
        if isinstance(told, dict):
            self._told |= {key: value for key, value in told.items() if value is not None}
            waits = told.get("queue_position") is not None
            events.append(Position(int(told["queue_position"])) if waits else self.details())
        if chunk.usage is not None:
            self._tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices[:1]:
            if choice.delta is not None and choice.delta.content:
                events.append(Piece(choice.delta.content))
            if choice.finish_reason:
                self.ended = True
                self._finish = choice.finish_reason
        return events

    def details(self) -> Details:
        prompt, answer = self._tokens or (None, None)
        return Details(
            truncated=self._finish == "length",
            preset=str(self._told.get("preset", "")),
            adapter=str(self._told.get("adapter", "")),
            hints=tuple(str(hint) for hint in self._told.get("hints", ())),
            timings={str(stage): float(seconds) for stage, seconds in self._told.get("timings", {}).items()},
            prompt_tokens=prompt,
            answer_tokens=answer,
        )


def encode_message(message: PromptMessage) -> dict[str, Any]:
    """A message in OpenAI's shape, pictures read from disk into data: URIs. Blocking."""
    if not message.pictures:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = []
    for picture in message.pictures:
        try:
            encoded = base64.b64encode(picture.path.read_bytes()).decode()
        except OSError as error:  # deleted by hand: one picture less, not a conversation that fails for ever
            log.warning("stored picture cannot be read", path=str(picture.path), reason=error.strerror)
            parts.append({"type": "text", "text": PICTURE_LEFT_OUT})
            continue
        parts.append({"type": "image_url", "image_url": {"url": f"data:{picture.mime};base64,{encoded}"}})
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.text}]}


def retry_after(error: openai.APIError) -> float:
    """Seconds that the server asks to wait."""
    if isinstance(error, openai.APIStatusError):
        try:
            return max(float(error.response.headers.get("retry-after", RETRY_PAUSE)), 0.0)
        except ValueError:  # a date, which our worker does not send
            return RETRY_PAUSE
    return RETRY_PAUSE
