"""How one turn is answered: its files taken in, its voice notes heard, its prompt composed, the answer streamed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

import structlog

from bot.adapters import candidates
from bot.chat.base import Delta, IncomingFile, Notice, Queued, Restarted, Transcribed
from bot.errors import (
    EmptyAnswer,
    EmptyMessage,
    Interrupted,
    MediaRefused,
    NoSpeech,
    TurnError,
    TurnTimeout,
    WorkerLost,
    WorkerRefused,
)
from bot.media import MAX_FILE_BYTES, Media, MediaDecoder, clean_name
from bot.memory import PromptMessage, recall
from bot.running import LiveTurn
from bot.settings import Settings
from bot.store import AnswerRecord, RememberedTurn, Store, StoredVoice
from bot.texts import text
from bot.worker import Details, ModelClient, Piece, Position

FETCH_TIMEOUT = 60.0
"""Seconds to get one file from the platform."""

FETCHED_AT_ONCE = 4
"""Turns whose files are in memory at the same time, each file up to 25 MB."""

REMEMBERED_TURNS = 60
"""Turns that are looked at for a prompt. More than fit into small models' contexts (8,192 tokens), and quickly counted."""

OTHER_ANSWER_TEMPERATURE = 0.8
"""Least randomness of an answer that was asked for again: at 0 it would be the same one."""

log = structlog.get_logger(__name__)


class Answering:
    """Stateless but for the bounds on what happens at once."""

    def __init__(self, store: Store, client: ModelClient, settings: Settings, personas: Mapping[str, str]) -> None:
        self._store = store
        self._personas = personas
        self._client = client
        self._settings = settings
        self._decoder = MediaDecoder()
        self._fetching = asyncio.Semaphore(FETCHED_AT_ONCE)

    async def answer(self, live: LiveTurn, files: Sequence[IncomingFile]) -> AnswerRecord:
        """Everything from files to answer; events go to `live`. Raises `TurnError`."""
        if files:
            await self.take_in(live, files)
        elif live.stored.pending_files:
            raise Interrupted(text("files-did-not-arrive"))
        else:
            for sentence in live.stored.notices:
                live.emit(Notice(sentence))
        await live.is_next.wait()
        await self._store.begin(live.turn_id, live.request_id)
        try:
            async with asyncio.timeout(self._settings.turn_timeout):
                heard_in = await self._listen(live)
                answer = await self._ask(live) if live.stored.task == "answer" else await self._written_down(live)
                return replace(answer, timings=answer.timings | {"speech": heard_in}) if heard_in else answer
        except TimeoutError:
            limit = self._settings.turn_timeout
            if limit >= 120:
                raise TurnTimeout(text("took-too-long-minutes", minutes=round(limit / 60))) from None
            raise TurnTimeout(text("took-too-long-seconds", seconds=round(limit))) from None

    # --- Files ---

    async def take_in(self, live: LiveTurn, files: Sequence[IncomingFile]) -> None:
        """Store what can be used; a sentence for each file that cannot.

        If none can, that is the failure, whatever words came with it: they are about the files, and a model that is asked
        what it sees in a photo that is not there makes one up.
        """
        media: list[Media] = []
        refused: list[str] = []
        async with self._fetching:
            for file in files:
                try:
                    media.append(await self._decoder.decode(file.name, await fetch(file)))
                except MediaRefused as error:
                    log.info("file refused", reason=error.sentence)
                    refused.append(error.told(live.language))
        await self._store.take_in(live.turn_id, media, refused)
        if not media:
            raise MediaRefused(" ".join([*refused, *([text("ask-without").to(live.language)] if live.stored.text else [])]))
        for sentence in refused:
            live.emit(Notice(sentence))

    # --- Voice notes ---

    async def _listen(self, live: LiveTurn) -> float:
        """Write the voice notes down and say what was heard; the seconds that it took, 0 where nobody spoke."""
        began = time.perf_counter()
        silent: list[str] = []
        voices = await self._store.voices(live.turn_id)
        for voice in voices:
            try:
                heard, language = await self._transcript(live, voice)
            except WorkerRefused as error:
                log.warning("voice note refused", reason=error.reason)
                silent.append(text("cannot-listen", name=voice.name).to(live.language))
                continue
            if not heard:
                silent.append(text("no-speech", name=voice.name).to(live.language))
            elif live.stored.task == "answer":
                live.emit(Transcribed(heard, language))
        if silent:
            await self._say_silent(live, silent)
        return round(time.perf_counter() - began, 4) if voices else 0.0

    async def _say_silent(self, live: LiveTurn, silent: Sequence[str]) -> None:
        turns, _ = await self._store.remembered(live.turn_id, 0)
        if not _says_something(turns[-1]):
            raise NoSpeech(" ".join(silent))
        for sentence in silent:
            if sentence not in live.stored.notices:  # or else it was told before a restart
                await self._store.add_notice(live.turn_id, sentence)
                live.emit(Notice(sentence))

    async def _written_down(self, live: LiveTurn) -> AnswerRecord:
        """The transcripts are the answer."""
        heard = [voice.transcript for voice in await self._store.voices(live.turn_id) if voice.transcript]
        if not heard:
            raise NoSpeech(text("nothing-to-transcribe"))
        live.emit(Delta("\n\n".join(heard)))
        return AnswerRecord(live.text)

    async def _transcript(self, live: LiveTurn, voice: StoredVoice) -> tuple[str, str]:
        if voice.transcript is not None:
            return voice.transcript, voice.language
        try:
            heard = await self._client.transcribe(voice.path, "audio/ogg", request_id=live.request_id)
        except WorkerLost:
            log.warning("worker lost while listening, asking once more")
            heard = await self._client.transcribe(voice.path, "audio/ogg", request_id=live.request_id)
        await self._store.add_transcript(voice.attachment_id, heard.text, heard.language)
        return heard.text, heard.language

    # --- The answer ---

    async def _ask(self, live: LiveTurn) -> AnswerRecord:
        prompt = await self._prompt(live)
        try:
            details = await self._stream(live, prompt)
        except WorkerLost:
            log.warning("worker lost, asking once more", characters=len(live.text))
            live.emit(Restarted())
            try:
                details = await self._stream(live, prompt)
            except WorkerLost as error:
                raise WorkerLost(text("crashed-twice")) from error
        if not live.text.strip():
            raise EmptyAnswer(text("nothing-to-say"))
        return AnswerRecord(
            live.text,
            truncated=details.truncated,
            preset=details.preset,
            adapter=details.adapter,
            hints=details.hints,
            timings=details.timings,
            prompt_tokens=details.prompt_tokens,
            answer_tokens=details.answer_tokens,
        )

    async def _prompt(self, live: LiveTurn) -> list[PromptMessage]:
        turns, group = await self._store.remembered(live.turn_id, REMEMBERED_TURNS)
        if not _says_something(turns[-1]):  # asked again, but all its files were refused
            raise EmptyMessage(" ".join(live.stored.notices) or text("nothing-to-answer"))
        manner = await self._store.manner(live.address)
        if manner.memory_turns is not None:
            turns = turns[-1 - manner.memory_turns :]
        info = await self._client.info()
        limit = info.context_length - self._answer_tokens(info.context_length)
        if self._settings.memory_tokens:
            limit = min(limit, self._settings.memory_tokens)
        return await recall(
            self._personas.get(manner.persona) or self._settings.system_prompt,
            turns,
            group=group,
            limit=limit,
            picture_tokens=info.picture_tokens,
            count=self._client.count_tokens,
        )

    def _answer_tokens(self, context_length: int) -> int:
        """Tokens kept free for the answer: never more than half of what there is."""
        return min(self._settings.answer_tokens, context_length // 2)

    async def _stream(self, live: LiveTurn, prompt: Sequence[PromptMessage]) -> Details:
        """By the adapter that is chosen for the turn's community, or, should that be gone, by the next one that may."""
        *wanted, last = candidates(live.stored.conversation_id, *await self._store.choices_for(live.stored.community))
        for adapter in wanted:
            try:
                return await self._stream_by(adapter, live, prompt)
            except WorkerRefused as error:  # is it the request that is wrong, then the last one says so
                log.warning("adapter refused, another one is asked", adapter=adapter, reason=error.reason)
        return await self._stream_by(last, live, prompt)

    async def _stream_by(self, adapter: str, live: LiveTurn, prompt: Sequence[PromptMessage]) -> Details:
        temperature = self._settings.temperature
        stream = self._client.chat(
            prompt,
            request_id=live.request_id,
            conversation=str(live.stored.conversation_id),
            max_tokens=self._answer_tokens((await self._client.info()).context_length),
            temperature=max(temperature, OTHER_ANSWER_TEMPERATURE) if live.stored.answered else temperature,
            adapter=adapter,
        )
        details = Details()
        async with aclosing(stream):
            async for event in stream:
                if isinstance(event, Position):
                    live.emit(Queued(event.position))
                elif isinstance(event, Piece):
                    live.emit(Delta(event.text))
                else:
                    details = event
                    live.adapter = event.adapter
        return details


def _says_something(turn: RememberedTurn) -> bool:
    return bool(turn.text or turn.transcripts or turn.pictures or turn.documents)


async def fetch(file: IncomingFile) -> bytes:
    """The bytes of a file; its announced size is checked first, its real one by whoever decodes it.

    Raises:
        MediaRefused: too large or not to be had.
    """
    name = clean_name(file.name)
    limit = min(MAX_FILE_BYTES, file.limit or MAX_FILE_BYTES)
    if file.size is not None and file.size > limit:
        raise MediaRefused(text("file-too-large", name=name, size=f"{file.size / 2**20:.0f}", limit=limit // 2**20))
    try:
        async with asyncio.timeout(FETCH_TIMEOUT):
            return await file.fetch()
    except TurnError:
        raise
    except Exception as error:
        # Not the error itself: platforms put addresses with tokens into their messages.
        log.warning("file not fetched", error=type(error).__name__)
        raise MediaRefused(text("file-not-fetched", name=name)) from None
