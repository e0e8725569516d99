"""Voice notes to text: Whisper through faster-whisper, on a thread of its own so that answers being written do not stall."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment as WhisperSegment

from model.audio import SAMPLE_RATE, Samples, decode

log = structlog.get_logger(__name__)

MAX_THREADS = 4
"""CPU threads for one transcription: Whisper base gains little from more, and the language model needs the cores too."""

MIN_SILENCE_MS = 500
"""Milliseconds of silence that separate two stretches of speech."""

BEAM_SIZE = 5
"""Hypotheses followed, as in Whisper's reference implementation."""

NO_SPEECH_PROBABILITY = 0.6
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4
"""The three thresholds of Whisper's reference implementation (transcribe.py): text that is probably not speech, that the
model hardly believes in, or that repeats itself is what it dreams up over noise."""


ENCODED_FRAMES = 3000
"""Spectrogram frames that Whisper's encoder takes: 30 seconds (Radford et al. 2022, section 2.2)."""


class UnknownLanguage(ValueError):  # noqa: N818 - read as a condition where it is caught
    """The language asked for is not one that Whisper knows. The message is a sentence for people."""


@dataclass(frozen=True)
class Segment:
    """A stretch of speech; `start` and `end` in seconds of the recording."""

    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


@dataclass(frozen=True)
class Transcript:
    """What was said. `text` is "" when nobody spoke, and `language` (ISO 639-1) then too. `duration` in seconds."""

    text: str
    language: str
    duration: float
    segments: tuple[Segment, ...]


class Speech:
    """A loaded Whisper, shared by up to `slots` recordings at once: the shortest goes first, a stretch of speech at a time.

    Who has waited for as long as its recording takes to play comes before any new one, so that nobody waits for ever.
    """

    slots = 8

    def __init__(self, folder: Path, *, device: str, threads: int) -> None:
        """Load CTranslate2 weights from `folder`. Blocking, a second or two. `threads`: of the whole process, at least 1."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="speech")
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="sound")
        self._lock = _PriorityLock()
        self._model, self.device = _load(folder, device, max(1, min(MAX_THREADS, threads // 2)))

    async def transcribe(self, data: bytes, language: str | None = None) -> Transcript:
        """Write down the recording `data` (ogg, mp3, m4a, wav, webm, mp4, flac, amr). `language` None: detected.

        Cancelling ends the work after the stretch of speech being written down. Raises AudioBroken, AudioTooLong,
        UnknownLanguage.
        """
        if language is not None and language not in self._model.supported_languages:
            raise UnknownLanguage(f"'{language}' is not a language code that the speech model knows, such as en or de.")
        asked = time.monotonic()
        loop = asyncio.get_running_loop()
        samples = await loop.run_in_executor(self._decoding, decode, data)
        duration = len(samples) / SAMPLE_RATE
        recording = _Recording(self._model, samples, language)
        del samples  # ten minutes are 38 MB
        while not recording.done:
            async with self._lock.take(asked + duration):
                while not recording.done and not self._lock.is_wanted_below(asked + duration):
                    await loop.run_in_executor(self._thread, recording.go_on)
        text = " ".join(segment.text for segment in recording.segments)
        return Transcript(text, recording.language if text else "", duration, tuple(recording.segments))

    def close(self) -> None:
        """No further recordings; the threads end after the stretch that is being written down."""
        for thread in (self._thread, self._decoding):
            thread.shutdown(wait=False, cancel_futures=True)


class _Recording:
    """One that is being written down."""

    def __init__(self, model: WhisperModel, samples: Samples, language: str | None) -> None:
        self.segments: list[Segment] = []
        self.language = ""
        self.done = False
        self._stretches = self._listen(model, samples, language)

    def go_on(self) -> None:
        """Write down the next stretch. Blocking, about a second; the first one, which finds the voices, seconds."""
        segment = next(self._stretches, None)
        if segment is None:
            self.done = True
        elif not _dreamt(segment):
            self.segments.append(_segment(segment))

    def _listen(self, model: WhisperModel, samples: Samples, language: str | None) -> Iterator[WhisperSegment]:
        found, info = model.transcribe(
            samples,
            language=language,
            beam_size=BEAM_SIZE,
            vad_filter=True,
            vad_parameters={"min_silence_duration_ms": MIN_SILENCE_MS},
            condition_on_previous_text=False,
            compression_ratio_threshold=MAX_COMPRESSION_RATIO,
            log_prob_threshold=MIN_LOG_PROBABILITY,
            no_speech_threshold=NO_SPEECH_PROBABILITY,
        )
        del samples
        self.language = info.language
        if info.duration_after_vad > 0:
            yield from found


class _PriorityLock:
    """A lock that goes to whoever has the lowest number. All methods belong to one event loop."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    @contextlib.asynccontextmanager
    async def take(self, number: float) -> AsyncIterator[None]:
        """Hold the lock inside the block."""
        if self._taken:
            await self._wait(number)
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    def is_wanted_below(self, number: float) -> bool:
        """Whether somebody with a lower number waits for it."""
        return bool(self._waiting) and self._waiting[0][0] < number

    async def _wait(self, number: float) -> None:
        granted = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (number, self._count, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._pass_on()  # it was handed over in the very instant of the cancellation
            raise

    def _pass_on(self) -> None:
        self._taken = False
        while self._waiting:
            _, _, granted = heapq.heappop(self._waiting)
            if not granted.done():
                granted.set_result(None)
                self._taken = True
                return


def _load(folder: Path, device: str, threads: int) -> tuple[WhisperModel, str]:
    if device.startswith("cuda"):
        try:
            return _load_on_cuda(folder, int(device.partition(":")[2] or 0)), "cuda"
        except (RuntimeError, ValueError) as error:
            log.warning("speech_on_cpu", reason=str(error))
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads), "cpu"


def _load_on_cuda(folder: Path, index: int) -> WhisperModel:
    model = WhisperModel(str(folder), device="cuda", device_index=index, compute_type="float16")
    # CTranslate2 opens CUDA's libraries, which may not be there, when it first needs them: not with a person's voice note.
    model.encode(np.zeros((model.model.n_mels, ENCODED_FRAMES), dtype=np.float32))
    return model


def _dreamt(segment: WhisperSegment) -> bool:
    improbable = segment.avg_logprob < MIN_LOG_PROBABILITY or segment.compression_ratio > MAX_COMPRESSION_RATIO
    return bool(segment.no_speech_prob > NO_SPEECH_PROBABILITY and improbable)


def _segment(segment: WhisperSegment) -> Segment:
    return Segment(
        start=segment.start,
        end=segment.end,
        text=segment.text.strip(),
        avg_logprob=segment.avg_logprob,
        no_speech_prob=segment.no_speech_prob,
        compression_ratio=segment.compression_ratio,
    )
