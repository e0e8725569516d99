"""One chat completion, from what a client sent to the finished answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from model.attached import Attached
from model.audio import AudioError, AudioTooLong
from model.engine import Closed, OutOfMemory
from model.errors import bad_request, no_adapter, out_of_memory, queue_full, shutting_down, too_large, too_long
from model.inputs import MAX_IMAGES, MAX_RECORDINGS, decode_base64, picture
from model.mind import MOST_CHARACTERS_PER_TOKEN, Message, Prompt, PromptTooLong
from model.presets import PRESETS
from model.queue import QueueClosed, QueueFull
from model.sampling import Sampling
from model.schema import MAX_STOP_LENGTH, MAX_STOPS, AudioPart, ChatMessage, ChatRequest, ImagePart
from model.sight import Picture
from model.speech import Transcript, UnknownLanguage
from model.weights import WeightsError
from model.worker import Worker
from model.writing import Token

DEFAULT_ANSWER_TOKENS = 1024
"""Tokens of an answer when the client sets no limit: a small model that repeats itself must not fill the whole context."""

LEAST_ANSWER_TOKENS = 16
"""Tokens that must be left for an answer; a prompt that leaves less is too long, unless the client wants even less."""

SILENT = "(a recording without speech)"
"""Stands in a conversation where somebody sent a recording in which nobody speaks."""


@dataclass(frozen=True)
class Waiting:
    """Place in the queue; 1 is next."""

    position: int


@dataclass(frozen=True)
class Started:
    """Generation begins: who answers, and what was seen and heard."""

    adapter: str
    hints: tuple[str, ...]
    transcripts: tuple[Transcript, ...]


@dataclass(frozen=True)
class Finished:
    """The answer is complete. `timings` in seconds: queue, speech, vision, ocr, prefill, decode."""

    reason: Literal["stop", "length"]
    prompt_tokens: int
    answer_tokens: int
    timings: dict[str, float]


Event = Waiting | Started | Token | Finished


@dataclass
class Turn:
    """Answers one request. `key`: the conversation, for fairness."""

    worker: Worker
    request: ChatRequest
    key: str
    emit: Callable[[Event], None]
    transcripts: list[Transcript] = field(default_factory=list)
    timings: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("queue", "speech", "vision", "ocr", "prefill", "decode"), 0.0)
    )

    async def run(self) -> None:
        """Emits Waiting*, Started, Token*, Finished. Raises ApiError for what the client did wrong or when there is no room."""
        arrived = time.perf_counter()
        with admission():
            self.worker.queue.check()
        async with self._adapter() as attached:
            messages = await self._messages()
            pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
            with admission():
                for one in pictures:
                    await self.worker.open(one, attached, self.key)
                waited = time.perf_counter()
                async with self.worker.queue.slot(self.key, lambda position: self.emit(Waiting(position))):
                    self.timings["queue"] = time.perf_counter() - waited
                    prompt, sampling = await self._prompt(messages, pictures, attached)
                    self.emit(Started((prompt.attached or attached).name, prompt.hints, tuple(self.transcripts)))
                    await self._generate(prompt, sampling, arrived)

    @contextlib.asynccontextmanager
    async def _adapter(self) -> AsyncIterator[Attached]:
        """Who is asked."""
        preset, slash, name = (self.request.model or "").partition("/")
        ours = self.worker.settings.preset
        is_asked_for = slash and preset == ours
        if slash and preset in PRESETS and preset != ours:
            raise no_adapter(f"This worker serves {ours}, and no {preset}.", "model")
        async with contextlib.AsyncExitStack() as held:
            try:
                with admission():
                    attached = await held.enter_async_context(self.worker.parts.adapters.hold(name if is_asked_for else None))
            except WeightsError as error:
                raise no_adapter(str(error), "model") from error
            yield attached

    async def _prompt(
        self, messages: Sequence[Message], pictures: Sequence[Picture], attached: Attached
    ) -> tuple[Prompt, Sampling]:
        """One picture at a time, so that others' answers grow in between."""
        mind, engine = self.worker.parts.mind, self.worker.parts.engine
        for new in [one for one in pictures if not mind.has_seen(one, attached)]:
            self._took(await engine.compute(mind.look, new, attached))
        prompt, sampling = await engine.compute(self._encode, messages, attached)
        self._took(prompt.timings)
        return prompt, sampling

    def _took(self, seconds: Mapping[str, float]) -> None:
        for what, more in seconds.items():
            self.timings[what] += more

    async def _generate(self, prompt: Prompt, sampling: Sampling, arrived: float) -> None:
        metrics = self.worker.metrics
        read = prompt.input_ids.shape[-1]
        metrics.prompt_tokens.inc(read)
        written, started = 0, time.perf_counter()
        try:
            async with contextlib.aclosing(self.worker.parts.engine.generate(prompt, sampling)) as tokens:
                async for token in tokens:
                    written = token.tokens
                    self.emit(token)
                    if token.finish_reason:
                        self.timings |= {"prefill": token.prefill, "decode": token.decode}
                        self.emit(Finished(token.finish_reason, read, token.tokens, self.timings))
        finally:
            waited = started - arrived + self.timings["prefill"]
            metrics.answered(tokens=written, waited=waited, decode=self.timings["decode"])

    async def _messages(self) -> list[Message]:
        """The conversation as the mind takes it: recordings written down, pictures decoded."""
        self._check_amount([part for message in self.request.messages for part in _parts(message)])
        messages = [await self._message(message, f"messages.{at}") for at, message in enumerate(self.request.messages)]
        if messages[-1].role == "assistant":
            raise bad_request("The last message must be the user's.", param="messages")
        if messages[-1].parts == (SILENT,):
            raise bad_request("Nobody speaks in the recording.", code="no_speech", param="messages")
        if all(isinstance(part, str) and not part.strip() for part in messages[-1].parts):
            raise bad_request("The last message is empty.", code="empty_message", param="messages")
        return messages

    def _check_amount(self, parts: Sequence[str | ImagePart | AudioPart]) -> None:
        if sum(isinstance(part, ImagePart) for part in parts) > MAX_IMAGES:
            raise bad_request(f"A request can hold at most {MAX_IMAGES} pictures.", code="too_many_images", param="messages")
        if sum(isinstance(part, AudioPart) for part in parts) > MAX_RECORDINGS:
            message = f"A request can hold at most {MAX_RECORDINGS} recordings."
            raise bad_request(message, code="too_many_recordings", param="messages")
        characters = sum(len(part) for part in parts if isinstance(part, str))
        limit = self.worker.parts.mind.context_length * MOST_CHARACTERS_PER_TOKEN
        if characters > limit:
            raise too_long(characters, limit, "characters")

    async def _message(self, message: ChatMessage, where: str) -> Message:
        parts: list[str | Picture] = []
        for at, part in enumerate(_parts(message)):
            param = f"{where}.content.{at}"
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, ImagePart):
                parts.append(await asyncio.to_thread(picture, part.image_url.url, param))
            else:
                parts.append(await self._heard(part, param))
        role = "system" if message.role == "developer" else message.role
        return Message(role, tuple(parts), message.name)

    async def _heard(self, part: AudioPart, param: str) -> str:
        data = await asyncio.to_thread(decode_base64, part.input_audio.data, code="invalid_audio", param=param)
        started = time.perf_counter()
        transcript = await transcribe(self.worker, self.key, data, None, param)
        self.timings["speech"] += time.perf_counter() - started
        self.transcripts.append(transcript)
        return transcript.text or SILENT

    def _encode(self, messages: Sequence[Message], attached: Attached) -> tuple[Prompt, Sampling]:
        """Blocking. The answer gets what the client wants of what the context leaves: many ask for more than there is."""
        wanted = self.request.max_completion_tokens or self.request.max_tokens or DEFAULT_ANSWER_TOKENS
        try:
            least = min(wanted, LEAST_ANSWER_TOKENS)
            prompt = self.worker.parts.mind.encode(messages, max_new_tokens=least, attached=attached)
        except PromptTooLong as error:
            raise too_long(error.tokens, error.limit) from error
        room = self.worker.parts.mind.context_length - prompt.input_ids.shape[-1]
        return prompt, self._sampling(min(room, wanted))

    def _sampling(self, max_tokens: int) -> Sampling:
        request = self.request
        return Sampling(
            max_tokens=max_tokens,
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            stop=(*self.worker.parts.mind.preset.stop, *stop_strings(request)),
            seed=request.seed,
        )


async def transcribe(worker: Worker, key: str, data: bytes, language: str | None, param: str) -> Transcript:
    """Write down a recording when it is its turn. Raises ApiError."""
    with admission():
        async with worker.speech_queue.slot(key):
            try:
                transcript = await worker.parts.speech.transcribe(data, language)
            except AudioTooLong as error:
                raise too_large(str(error), code="invalid_audio", param=param) from error
            except AudioError as error:
                raise bad_request(str(error), code="invalid_audio", param=param) from error
            except UnknownLanguage as error:
                raise bad_request(str(error), param="language") from error
    worker.metrics.speech_seconds.inc(transcript.duration)
    return transcript


def stop_strings(request: ChatRequest) -> tuple[str, ...]:
    """The client's stop strings. Raises ApiError when there are too many, or one is too long."""
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    if len(stop) > MAX_STOPS or any(len(string) > MAX_STOP_LENGTH for string in stop):
        message = f"There can be at most {MAX_STOPS} stop strings of at most {MAX_STOP_LENGTH} characters."
        raise bad_request(message, param="stop")
    return stop


@contextlib.contextmanager
def admission() -> Iterator[None]:
    """Tell a client why there is no place for it, or no memory."""
    try:
        yield
    except QueueFull as error:
        raise queue_full() from error
    except (QueueClosed, Closed) as error:
        raise shutting_down() from error
    except OutOfMemory as error:
        raise out_of_memory() from error


def _parts(message: ChatMessage) -> Sequence[str | ImagePart | AudioPart]:
    if message.content is None or isinstance(message.content, str):
        return [message.content] if message.content else []
    return [part.text if part.type == "text" else part for part in message.content]
