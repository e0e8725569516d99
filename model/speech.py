"""Voice notes to text: Whisper through faster-whisper, on a thread of its own so that answers being written do not stall."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment as WhisperSegment

from model.audio import SAMPLE_RATE, decode

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
    """A loaded Whisper. One recording at a time; `slots` tells how many may be given to it at once."""

    slots = 1

    def __init__(self, folder: Path, *, device: str, threads: int) -> None:
        """Load CTranslate2 weights from `folder`. Blocking, a second or two. `threads`: of the whole process, at least 1."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="speech")
        self._model, self.device = _load(folder, device, max(1, min(MAX_THREADS, threads // 2)))

    async def transcribe(self, data: bytes, language: str | None = None) -> Transcript:
        """Write down the recording `data` (ogg, mp3, m4a, wav, webm, mp4, flac, amr). `language` None: detected.

        Cancelling ends the work after the stretch of speech being written down. Raises AudioBroken, AudioTooLong,
        UnknownLanguage.
        """
        if language is not None and language not in self._model.supported_languages:
            raise UnknownLanguage(f"'{language}' is not a language code that the speech model knows, such as en or de.")
        cancelled = threading.Event()
        run = asyncio.get_running_loop().run_in_executor(self._thread, self._transcribe, data, language, cancelled)
        try:
            return await asyncio.shield(run)
        finally:
            cancelled.set()

    def close(self) -> None:
        """No further recordings; the thread ends after the running one."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _transcribe(self, data: bytes, language: str | None, cancelled: threading.Event) -> Transcript:
        samples = decode(data)
        duration = len(samples) / SAMPLE_RATE
        if cancelled.is_set():
            return Transcript("", "", duration, ())
        found, info = self._model.transcribe(
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
        segments: list[Segment] = []
        if info.duration_after_vad > 0:
            for segment in found:
                if cancelled.is_set():
                    break
                if not _dreamt(segment):
                    segments.append(_segment(segment))
        text = " ".join(segment.text for segment in segments)
        return Transcript(text, info.language if text else "", duration, tuple(segments))


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
