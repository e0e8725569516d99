"""Bytes in, bounded and decoded media out. What a file is gets decided by its content, never by its name or MIME type."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Literal

from bot.errors import MediaRefused
from bot.picture import MAX_PICTURE_BYTES, normalise_picture
from bot.sound import MAX_SOUND_BYTES, normalise_sound
from bot.texts import text

MAX_FILE_BYTES = max(MAX_PICTURE_BYTES, MAX_SOUND_BYTES)
"""Files announced as larger are not even fetched."""

MAX_TEXT_FILE_BYTES = 100 * 1024
"""Text files go into the prompt as they are: this is more than the models' contexts take (8,192 tokens of 4 bytes)."""

MAX_FILES = 10
"""Files of one message: as many as Discord's composer and Telegram's albums take."""

DECODERS = 2
"""Files decoded at once, each in a thread: a picture may need 200 MB for a moment (picture.MAX_PIXELS)."""

NAME_LENGTH = 80
"""Characters of a file's name that are kept for people."""

SNIFFED_BYTES = 4096
"""Bytes that decide what a file is."""

PICTURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
"""First bytes of pictures, with Pillow's names."""

SOUNDS = {
    b"OggS": "ogg",
    b"ID3": "mp3",
    b"fLaC": "flac",
    b"\x1aE\xdf\xa3": "matroska",
    b"#!AMR": "amr",
    b"caff": "caf",
}
"""First bytes of recordings, with FFmpeg's names of their demuxers; Matroska's reads WebM, too. FFmpeg is never left to
guess: it would also know playlists, which name files and addresses."""

RIFF_SOUND, ISO_SOUND = "wav", "mov"
"""FFmpeg's demuxers for RIFF/WAVE, and for MP4, M4A, 3GP and QuickTime."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Major brands of pictures in ISO media files (ISO/IEC 23008-12, annexes B and D); all other brands hold sound or video."""

OTHERS = {b"%PDF": "pdf", b"PK\x03\x04": "zip", b"\x1f\x8b": "archive", b"MZ": "program"}
"""First bytes of what people send by mistake, with the kinds that the text `file-not-understood` knows."""


MediaKind = Literal["picture", "voice", "text"]


@dataclass(frozen=True, slots=True)
class Media:
    """A file fit for storing: a picture as JPEG or PNG, a voice note as Ogg/Opus, a text as UTF-8. Pixels, seconds; no
    metadata."""

    kind: MediaKind
    name: str
    data: bytes
    mime: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None


class MediaDecoder:
    """Decodes files in threads, a bounded number at once."""

    def __init__(self, at_once: int = DECODERS) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def decode(self, name: str, data: bytes) -> Media:
        """Raises `MediaRefused` with a sentence that names the file."""
        async with self._free:
            return await asyncio.to_thread(decode, name, data)


def decode(name: str, data: bytes) -> Media:
    """See `MediaDecoder.decode`. Blocking."""
    name = clean_name(name)
    kind, format_name = sniff(data)
    if kind == "picture":
        picture, mime, (width, height) = normalise_picture(name, data, format_name)
        return Media("picture", name, picture, mime, width=width, height=height)
    if kind == "voice":
        sound, duration = normalise_sound(name, data, format_name)
        return Media("voice", name, sound, "audio/ogg", duration=duration)
    if kind == "text":
        return Media("text", name, _plain_text(name, data).encode(), "text/plain")
    raise MediaRefused(text("file-not-understood", name=name, kind=format_name))


def sniff(data: bytes) -> tuple[MediaKind | Literal["other"], str]:
    """A picture (Pillow's name of its format), a voice note (FFmpeg's), a text, or a kind in `file-not-understood`."""
    head = data[:SNIFFED_BYTES]
    for magic, format_name in PICTURES.items():
        if head.startswith(magic) and not (magic == b"BM" and _is_text(head)):
            return "picture", format_name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "picture", "WEBP"
    if head[4:8] == b"ftyp":
        return _sniff_iso(head)
    if (demuxer := _demuxer(head)) is not None:
        return "voice", demuxer
    what = _describe(head)
    return ("text", what) if what == "text" else ("other", what)


def _plain_text(name: str, data: bytes) -> str:
    if len(data) > MAX_TEXT_FILE_BYTES:
        limit = MAX_TEXT_FILE_BYTES // 1024
        raise MediaRefused(text("text-file-too-large", name=name, size=f"{len(data) / 1024:.0f}", limit=limit))
    try:
        return data.decode("utf-8-sig").replace("\x00", "")
    except UnicodeDecodeError:
        raise MediaRefused(text("file-not-understood", name=name, kind="unknown")) from None


def clean_name(name: str) -> str:
    """A file's name for people: no folders, no control characters, not too long."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(character for character in last if character.isprintable()).strip()
    if len(printable) > NAME_LENGTH:
        printable = f"{printable[: NAME_LENGTH - 9]}…{printable[-8:]}"
    return printable or "file"


def _sniff_iso(head: bytes) -> tuple[Literal["picture", "voice"], str]:
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, min(int.from_bytes(head[:4], "big"), 64), 4))]
    if b"avif" in brands or brands[0] == b"avis":
        return "picture", "AVIF"
    if brands[0] in HEIF_BRANDS:
        return "picture", "HEIF"
    return "voice", ISO_SOUND


def _demuxer(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return RIFF_SOUND
    return next((demuxer for magic, demuxer in SOUNDS.items() if head.startswith(magic)), None) or _mpeg_audio(head)


def _mpeg_audio(head: bytes) -> str | None:
    """By frame headers: AAC in ADTS and MP3 (layers II and III) have no magic (ISO/IEC 13818-7, 11172-3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac"
    layer, version = head[1] >> 1 & 3, head[1] >> 3 & 3
    return "mp3" if layer in (1, 2) and version != 1 and head[2] >> 4 != 15 else None


def _describe(head: bytes) -> str:
    if not head:
        return "empty"
    for magic, what in OTHERS.items():
        if head.startswith(magic):
            return what
    if not _is_text(head):
        return "unknown"
    if b"<svg" in head:
        return "svg"
    return "text"


def _is_text(head: bytes) -> bool:
    head = head.removeprefix(BOM_UTF8)
    try:
        words = head.decode("utf-8", "ignore" if len(head) == SNIFFED_BYTES else "strict")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t\f" for character in words)
