"""Voice notes as they are stored: mono Ogg/Opus of bounded length, without metadata. Of a video, its sound."""

from __future__ import annotations

import io

import av
import structlog

from bot.errors import MediaRefused
from bot.texts import text

MAX_SOUND_BYTES = 25 * 2**20
"""The limit of OpenAI's transcription API; Telegram's bots get 20 MB."""

MAX_SECONDS = 600.0
"""Length of a voice note: 10 minutes, some minutes of work for Whisper base on two cores."""

SAMPLE_RATE = 48_000
"""Hertz. Opus works at 48 kHz inside; Whisper takes 16 kHz out of it."""

BIT_RATE = 48_000
"""Bits per second: transparent for speech in mono (RFC 6716, section 2.1.1 suggests 28-40 kb/s for fullband speech)."""

log = structlog.get_logger(__name__)


def normalise_sound(name: str, data: bytes, demuxer: str) -> tuple[bytes, float]:
    """Decode with FFmpeg's `demuxer` and encode the first sound track anew. Blocking.

    Returns:
        Ogg/Opus bytes and the duration in seconds.

    Raises:
        MediaRefused: too large, too long (by the header, or counted while decoding where the header does not tell), damaged,
            or without sound.
    """
    if len(data) > MAX_SOUND_BYTES:
        size, limit = f"{len(data) / 2**20:.0f}", f"{MAX_SOUND_BYTES // 2**20}"
        raise MediaRefused(text("recording-too-large", name=name, size=size, limit=limit))
    try:
        with av.open(io.BytesIO(data), "r", format=demuxer, metadata_errors="replace") as source:
            track = _first_track(name, source)
            _check_length(name, _announced_seconds(source, track))
            sound, samples = _encode(name, source, track)
    except MediaRefused:
        raise
    except Exception as error:  # FFmpeg's errors are many, and PyAV adds its own
        log.info("recording refused", error=repr(error))
        raise MediaRefused(text("recording-damaged", name=name)) from error
    if not samples:
        raise MediaRefused(text("recording-empty", name=name))
    return sound, samples / SAMPLE_RATE


def _first_track(name: str, source: av.container.InputContainer) -> av.AudioStream:
    if not source.streams.audio:
        raise MediaRefused(text("no-sound", name=name))
    return source.streams.audio[0]


def _announced_seconds(source: av.container.InputContainer, track: av.AudioStream) -> float:
    """The duration in the header, 0 where there is none (browsers' WebM recordings)."""
    if track.duration is not None and track.time_base is not None:
        return float(track.duration * track.time_base)
    return source.duration / av.time_base if source.duration is not None else 0.0


def _check_length(name: str, seconds: float) -> None:
    limit = round(MAX_SECONDS / 60)
    if seconds > MAX_SECONDS + 60:
        raise MediaRefused(text("recording-too-long-minutes", name=name, minutes=round(seconds / 60), limit=limit))
    if seconds > MAX_SECONDS:
        raise MediaRefused(text("recording-too-long", name=name, limit=limit))


def _encode(name: str, source: av.container.InputContainer, track: av.AudioStream) -> tuple[bytes, int]:
    """Opus bytes and the number of samples. Bit-exact, so that the same recording makes the same file."""
    buffer = io.BytesIO()
    samples = 0
    with av.open(buffer, "w", format="ogg", options={"fflags": "+bitexact"}) as target:
        opus = target.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", options={"application": "voip"})
        opus.bit_rate = BIT_RATE
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        for frame in source.decode(track):
            for resampled in resampler.resample(frame):
                samples += resampled.samples
                target.mux(opus.encode(resampled))
            _check_length(name, samples / SAMPLE_RATE)
        for resampled in resampler.resample(None):
            samples += resampled.samples
            target.mux(opus.encode(resampled))
        target.mux(opus.encode(None))
    return buffer.getvalue(), samples
