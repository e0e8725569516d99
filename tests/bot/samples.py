"""Pictures and recordings, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 48), colour: Any = "red") -> Image.Image:
    return Image.new(mode, size, colour)


def photo(size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Many colours, so that it counts as a photo."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    pixels = np.stack([columns % 256, rows % 256, (rows + columns) % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG whose header announces side x side pixels; next to nothing follows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00" * 100)) + chunk(b"IEND", b"")


def sound(
    seconds: float = 1.0, format_name: str = "ogg", codec: str = "libopus", *, silent: bool = False, rate: int = 48_000
) -> bytes:
    """A tone (or silence) in any container that FFmpeg writes."""
    buffer = io.BytesIO()
    with av.open(
        buffer, "w", format=format_name, options={"movflags": "frag_keyframe"} if format_name == "mp4" else {}
    ) as target:
        stream = target.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        target.metadata["location"] = "+48.8584+002.2945/"
        samples = 0 if silent else 8000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
        waves = np.zeros(int(seconds * rate), np.int16) + np.asarray(samples, np.int16)
        frame = av.AudioFrame.from_ndarray(waves[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate, frame_size=size)
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            target.mux(stream.encode(resampled))
        target.mux(stream.encode(None))
    return buffer.getvalue()


def long_recording(seconds: int) -> bytes:
    """A FLAC file whose header announces `seconds` (STREAMINFO's last 36 bits before the checksum, RFC 9639); it holds one."""
    data = bytearray(sound(1.0, "flac", "flac"))
    fields = int.from_bytes(data[18:26], "big")
    data[18:26] = (fields >> 36 << 36 | seconds * 48_000).to_bytes(8, "big")
    return bytes(data)


def video(*, with_sound: bool) -> bytes:
    """One second of MP4."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as target:
        film = target.add_stream("mpeg4", rate=10)
        assert isinstance(film, av.VideoStream)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        speech = target.add_stream("aac", rate=16_000, layout="mono") if with_sound else None
        for _ in range(10):
            target.mux(film.encode(av.VideoFrame.from_image(picture())))
        target.mux(film.encode(None))
        if isinstance(speech, av.AudioStream):
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=16_000, frame_size=1024)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 0
            for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
                target.mux(speech.encode(resampled))
            target.mux(speech.encode(None))
    return buffer.getvalue()
