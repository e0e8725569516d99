"""Bytes of a voice note to samples, bounded in time and memory, without trusting names or MIME types."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import av.error
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Hz: what Whisper listens to (Radford et al. 2022, section 2.2)."""

MAX_SECONDS = 600
"""Seconds of sound in one recording: the longest voice note people send, and about two minutes of work on two cores."""

Samples = npt.NDArray[np.float32]

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"OggS", "ogg"),
    (0, b"RIFF", "wav"),
    (0, b"\x1aE\xdf\xa3", "matroska"),  # webm too
    (4, b"ftyp", "mov"),  # mp4, m4a, 3gp too
    (0, b"fLaC", "flac"),
    (0, b"#!AMR", "amr"),
    (0, b"caff", "caf"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xfa", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"\xff\xe3", "mp3"),  # MPEG 2.5: 8 to 12 kHz
    (0, b"\xff\xe2", "mp3"),
)
"""(offset, magic bytes, FFmpeg demuxer). FFmpeg is never left to guess: it would also follow playlists to files and hosts."""


class AudioError(Exception):
    """A recording that cannot be heard. The message is a sentence for people."""


class AudioBroken(AudioError):  # noqa: N818 - read as conditions where they are caught
    """Not sound, or damaged beyond decoding."""


class AudioTooLong(AudioError):  # noqa: N818
    """Longer than MAX_SECONDS."""

    def __init__(self) -> None:
        super().__init__(f"The recording is longer than {MAX_SECONDS // 60} minutes.")


def decode(data: bytes) -> Samples:
    """The sound of `data` as mono samples in -1..1 at SAMPLE_RATE, shape (samples,). Blocking.

    Raises AudioBroken and AudioTooLong, the latter before decoding when the file tells its length, else as soon as the
    limit is passed: memory stays bounded whatever the file claims.
    """
    demuxer = _sniff(data)
    if demuxer is None:
        raise AudioBroken("The file is not a sound recording of a known format.")
    try:
        with av.open(io.BytesIO(data), mode="r", format=demuxer, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioBroken("The file has no sound.")
            if container.duration is not None and container.duration / av.time_base > MAX_SECONDS:
                raise AudioTooLong
            chunks = list(_bounded(_samples(container)))
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioBroken("The recording is damaged.") from error
    if not chunks:
        raise AudioBroken("The recording is damaged or empty.")
    return np.concatenate(chunks).astype(np.float32) / 32768.0


def _sniff(data: bytes) -> str | None:
    return next((demuxer for offset, magic, demuxer in SIGNATURES if data.startswith(magic, offset)), None)


def _samples(container: av.container.InputContainer) -> Iterator[npt.NDArray[np.int16]]:
    resampler = _Resampler()
    for packet in container.demux(audio=0):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue  # a damaged packet is a click in the recording, not its end
        for frame in frames:
            yield from resampler.resample(frame)
    yield from resampler.flush()


class _Resampler:
    """Any frames to mono at SAMPLE_RATE, also when their form changes in the middle (joined MP3s)."""

    def __init__(self) -> None:
        self._form: object = None
        self._inner: av.AudioResampler | None = None

    def resample(self, frame: av.AudioFrame) -> Iterator[npt.NDArray[np.int16]]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            yield from self.flush()
            self._form, self._inner = form, av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        frame.pts = None  # jumping time stamps would be filled with silence
        yield from self._samples(frame)

    def flush(self) -> Iterator[npt.NDArray[np.int16]]:
        yield from self._samples(None)

    def _samples(self, frame: av.AudioFrame | None) -> Iterator[npt.NDArray[np.int16]]:
        for resampled in self._inner.resample(frame) if self._inner else ():
            yield resampled.to_ndarray()[0]


def _bounded(chunks: Iterator[npt.NDArray[np.int16]]) -> Iterator[npt.NDArray[np.int16]]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MAX_SECONDS * SAMPLE_RATE:
            raise AudioTooLong
        yield chunk
