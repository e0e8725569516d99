"""Files: any picture or recording becomes a bounded one without metadata; everything else is refused by name."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pillow_heif
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from bot import picture as pictures
from bot import sound as sounds
from bot.errors import MediaRefused
from bot.media import MediaDecoder, clean_name, decode, sniff
from tests.bot.samples import encoded, huge_png, long_recording, photo, picture, sound, video


def opened(data: bytes, name: str = "photo.bin") -> Image.Image:
    media = decode(name, data)
    assert media.kind == "picture"
    image = Image.open(io.BytesIO(media.data))
    image.load()
    assert image.size == (media.width, media.height)
    assert image.mode == "RGB"
    return image


def heic() -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(photo()).save(buffer, quality=80)
    return buffer.getvalue()


def refusal(data: bytes, name: str = "thing.jpg") -> str:
    with pytest.raises(MediaRefused) as caught:
        decode(name, data)
    assert caught.value.sentence.startswith(f"{name}: ")
    return caught.value.sentence


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_every_picture_format_is_known_by_content(format_name: str) -> None:
    data = heic() if format_name == "HEIF" else encoded(photo(), format_name)
    assert sniff(data) == ("picture", format_name)
    assert opened(data, "wrong.txt").size == (320, 240)


@pytest.mark.parametrize(
    ("image", "format_name", "options", "expected"),
    [
        pytest.param(picture("CMYK", colour=(0, 255, 255, 0)), "JPEG", {}, (255, 0, 0), id="CMYK"),
        pytest.param(picture("I;16", colour=32768), "PNG", {}, (127, 127, 127), id="16-bit grey"),
        pytest.param(picture("F", colour=0.5), "TIFF", {}, (127, 127, 127), id="floating point"),
        pytest.param(picture("RGBA", colour=(255, 0, 0, 0)), "PNG", {}, (255, 255, 255), id="transparent"),
        pytest.param(picture("LA", colour=(0, 128)), "PNG", {}, (127, 127, 127), id="half-transparent grey"),
        pytest.param(picture("P", colour=0), "PNG", {"transparency": 0}, (255, 255, 255), id="palette with transparency"),
        pytest.param(picture("1", colour=1), "PNG", {}, (255, 255, 255), id="one bit"),
    ],
)
def test_unusual_colours_become_plain_rgb(
    image: Image.Image, format_name: str, options: dict[str, Any], expected: tuple[int, ...]
) -> None:
    found = opened(encoded(image, format_name, **options)).getpixel((10, 10))
    assert np.allclose(found, expected, atol=12), found


def test_of_an_animation_the_first_picture_counts() -> None:
    frames = [picture(colour="blue"), picture(colour="red")]
    assert opened(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).getpixel((5, 5)) == (0, 0, 255)


def test_large_photos_are_downscaled_and_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right
    assert opened(encoded(photo((4000, 2000)), "JPEG", exif=exif)).size == (800, 1600)


def test_the_place_where_a_photo_was_taken_is_dropped() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    exif[0x010F] = "Camera"
    kept = opened(encoded(photo(), "JPEG", exif=exif, comment=b"secret"))
    assert not kept.getexif()
    assert "comment" not in kept.info


def test_flat_drawings_stay_sharp_and_photos_small() -> None:
    assert decode("chart", encoded(picture(), "PNG")).mime == "image/png"
    assert decode("photo", encoded(photo(), "PNG")).mime == "image/jpeg"


def test_a_picture_of_fifty_thousand_pixels_squared_is_refused_by_its_header() -> None:
    assert "too many pixels" in refusal(huge_png(50_000))
    assert "9000 x 9000" in refusal(huge_png(9000))


def test_files_that_are_no_media_are_named_for_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "an SVG drawing" in refusal(b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>')
    assert "the text has 101 KB" in refusal(b"x" * (101 * 1024))
    assert "do not know" in refusal(b"x" * 5000 + b"\xff")
    assert "an empty file" in refusal(b"")
    assert "a PDF" in refusal(b"%PDF-1.7\x00")
    assert "do not know" in refusal(bytes(range(256)))
    monkeypatch.setattr(pictures, "MAX_PICTURE_BYTES", 100)
    assert "I can take 0 MB" in refusal(encoded(photo(), "PNG"))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIF"])
def test_truncated_pictures_are_refused(format_name: str) -> None:
    data = heic() if format_name == "HEIF" else encoded(photo(), format_name)
    assert "damaged or incomplete" in refusal(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("format_name", "codec"),
    [
        ("ogg", "libopus"), ("mp3", "libmp3lame"), ("mp4", "aac"), ("wav", "pcm_s16le"), ("webm", "libopus"), ("flac", "flac"),
        ("adts", "aac"), ("caf", "pcm_s16le"),
    ],
)  # fmt: skip
def test_every_sound_format_becomes_opus_without_metadata(format_name: str, codec: str) -> None:
    media = decode("voice", sound(1.0, format_name, codec))
    assert (media.kind, media.mime) == ("voice", "audio/ogg")
    assert media.duration == pytest.approx(1.0, abs=0.1)
    with av.open(io.BytesIO(media.data), "r") as container:
        assert "location" not in {**container.metadata, **container.streams.audio[0].metadata}
        heard = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    assert np.abs(heard).max() > 0.1
    assert b"48.8584" not in media.data


def test_the_same_recording_makes_the_same_file() -> None:
    data = sound(0.5)
    assert decode("a", data).data == decode("b", data).data


def test_of_a_video_its_sound_is_taken() -> None:
    assert decode("clip.mp4", video(with_sound=True)).kind == "voice"
    assert "no sound" in refusal(video(with_sound=False), "clip.mp4")


def test_three_hours_are_refused_by_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "_encode", lambda *_: pytest.fail("decoded"))
    assert "180 minutes long; I can listen to 10 minutes." in refusal(long_recording(3 * 3600), "talk.flac")


def test_length_is_counted_where_the_header_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "_announced_seconds", lambda *_: 0.0)
    monkeypatch.setattr(sounds, "MAX_SECONDS", 1.0)
    assert "too long" in refusal(sound(2.0), "voice")


def test_broken_recordings_are_refused() -> None:
    assert "damaged" in refusal(b"OggS" + b"\x01" * 500)
    assert "damaged" in refusal(sound()[:40])


async def test_decoding_does_not_block_the_loop_and_is_bounded() -> None:
    media = await MediaDecoder(at_once=1).decode("p", encoded(photo(), "PNG"))
    assert media.kind == "picture"


@given(st.text())
def test_names_are_short_and_printable(name: str) -> None:
    cleaned = clean_name(name)
    assert 0 < len(cleaned) <= 80
    assert cleaned.isprintable()
    assert "/" not in cleaned


HEADS = [
    b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00", b"OggS", b"ID3", b"fLaC", b"\x1aE\xdf\xa3",
    b"RIFF\x00\x00\x00\x00WEBP", b"RIFF\x00\x00\x00\x00WAVE", b"\x00\x00\x00\x1cftypheic", b"\x00\x00\x00\x1cftypisom",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else_happens(head: bytes, tail: bytes) -> None:
    """Random bytes are never a whole picture or recording; that they are text happens."""
    assume(sniff(head + tail)[0] != "text")
    with pytest.raises(MediaRefused):
        decode("garbage", head + tail)


@pytest.mark.parametrize("words", ["BMs are text files, too.\n", "naïve ✓\n" * 1000, "a,b\n1,2\n", "<p>hi</p>"])
def test_text_files_are_taken_as_they_are(words: str) -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        media = decode("notes.txt", words.encode(encoding))
        assert (media.kind, media.mime, media.data.decode()) == ("text", "text/plain", words)
