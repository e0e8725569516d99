"""Real speech through the real Whisper, in every container people send; and files that are no speech at all."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from model import audio
from model.audio import AudioBroken, AudioTooLong, decode
from model.machine import available_cores
from model.presets import get_preset
from model.speech import MAX_THREADS, Segment, Speech, Transcript, UnknownLanguage, _dreamt, _PriorityLock
from model.weights import folder_of

VOICE = Path(__file__).parent.parent / "data" / "voice.ogg"
SAID = "he was not an ill disposed young man"

CONTAINERS = {
    "ogg": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "m4a": ("ipod", "aac", 44_100),
    "mp4": ("mp4", "aac", 44_100),
    "wav": ("wav", "pcm_s16le", 8_000),
    "flac": ("flac", "flac", 16_000),
    "aac": ("adts", "aac", 22_050),
}
"""Container, codec, Hz."""


def encoded(container: str, codec: str, rate: int, *, layout: str = "stereo", film: bool = False) -> bytes:
    """The clip in another form; `film` adds moving pictures."""
    buffer = io.BytesIO()
    with av.open(str(VOICE)) as source, av.open(buffer, "w", format=container) as target:
        if film:
            pictures = target.add_stream("mpeg4", rate=5)
            pictures.width = pictures.height = 32
        sound = target.add_stream(codec, rate=rate)
        sound.layout = layout
        resampler = av.AudioResampler(sound.format, layout, rate, frame_size=sound.codec_context.frame_size or 1024)
        for frame in [*source.decode(audio=0), None]:
            for resampled in resampler.resample(frame):
                target.mux(sound.encode(resampled))
        target.mux(sound.encode(None))
        if film:
            for _ in range(15):
                target.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
            target.mux(pictures.encode(None))
    return buffer.getvalue()


def wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(audio.SAMPLE_RATE)
        target.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def words(text: str) -> str:
    return " ".join("".join(letter if letter.isalpha() else " " for letter in text.lower()).split())


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_decodes_to_the_same_sound(name: str) -> None:
    samples = decode(encoded(*CONTAINERS[name]))
    original = decode(VOICE.read_bytes())
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) == pytest.approx(len(original), abs=audio.SAMPLE_RATE / 4)
    assert np.abs(samples).max() == pytest.approx(np.abs(original).max(), rel=0.5)


def test_the_sound_of_a_film_is_found() -> None:
    assert len(decode(encoded("mp4", "aac", 44_100, film=True))) / audio.SAMPLE_RATE == pytest.approx(3, abs=0.3)


def broken_files() -> dict[str, bytes]:
    whole = VOICE.read_bytes()
    silent_film = io.BytesIO()
    with av.open(silent_film, "w", format="mp4") as target:
        pictures = target.add_stream("mpeg4", rate=5)
        pictures.width = pictures.height = 32
        target.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        target.mux(pictures.encode(None))
    return {
        "empty": b"",
        "text": b"hello, I am a text file\n" * 100,
        "photo": b"\xff\xd8\xff\xe0" + bytes(1000),
        "first bytes only": whole[:40],
        "noise after a good start": whole[:4] + bytes(range(256)) * 50,
        "a film without sound": silent_film.getvalue(),
        "no samples": wav(np.zeros(0)),
    }


@pytest.mark.parametrize("data", broken_files().values(), ids=broken_files().keys())
def test_what_is_no_sound_is_said_to_be_so(data: bytes) -> None:
    with pytest.raises(AudioBroken) as refused:
        decode(data)
    assert str(refused.value).endswith(".")


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(np.ones(16_000)))
    for playlist in (f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n", f"ffconcat version 1.0\nfile '{secret}'\n"):
        with pytest.raises(AudioBroken):
            decode(playlist.encode())


def test_a_truncated_recording_gives_what_is_there() -> None:
    whole = encoded("ogg", "libopus", 48_000)
    assert 0 < len(decode(whole[: len(whole) * 2 // 3])) < len(decode(whole))


def test_a_long_recording_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    three_hours = wav(np.zeros(3 * 3600 * audio.SAMPLE_RATE, np.int16))

    def decoding(*_: object) -> Iterator[None]:
        pytest.fail("it was decoded")

    monkeypatch.setattr(audio, "_samples", decoding)
    with pytest.raises(AudioTooLong, match="10 minutes"):
        decode(three_hours)


def test_a_recording_that_hides_its_length_is_refused_once_it_passes_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 1)
    decoded = 0
    bounded = audio._samples

    def counting(container: av.container.InputContainer) -> Iterator[np.ndarray]:
        nonlocal decoded
        for chunk in bounded(container):
            decoded += len(chunk)
            yield chunk

    monkeypatch.setattr(audio, "_samples", counting)
    stream = encoded("adts", "aac", 22_050) * 50  # adts tells no length
    with pytest.raises(AudioTooLong):
        decode(stream)
    assert decoded < 10 * audio.SAMPLE_RATE


def test_what_whisper_dreams_up_over_noise_is_dropped() -> None:
    def dreamt(logprob: float, no_speech: float, compression: float) -> bool:
        return _dreamt(Segment(0, 1, "Thank you.", logprob, no_speech, compression))

    assert dreamt(-1.2, 0.7, 1.0)
    assert dreamt(-0.3, 0.7, 3.0)
    assert not dreamt(-1.2, 0.2, 1.0)
    assert not dreamt(-0.3, 0.9, 1.0)


@pytest.fixture(scope="module")
def speech(pocket_home: Path) -> Iterator[Speech]:
    speech = Speech(
        folder_of(get_preset("pocket"), pocket_home, "speech"), device="cpu", threads=min(MAX_THREADS, available_cores())
    )
    yield speech
    speech.close()


@pytest.mark.pocket
@pytest.mark.parametrize("name", ["ogg", "mp3", "m4a", "wav"])
async def test_a_voice_note_is_written_down(speech: Speech, name: str) -> None:
    heard = await speech.transcribe(encoded(*CONTAINERS[name]))
    assert words(heard.text) == SAID
    assert heard.language == "en"
    assert heard.duration == pytest.approx(3, abs=0.3)
    assert heard.segments[0].start < heard.segments[-1].end <= heard.duration + 0.5


@pytest.mark.pocket
async def test_nobody_speaks_in_silence_and_noise(speech: Speech) -> None:
    noise = np.random.default_rng(0).normal(0, 500, 4 * audio.SAMPLE_RATE)
    for samples in (np.zeros(100), np.zeros(audio.SAMPLE_RATE), noise):
        heard = await speech.transcribe(wav(samples))
        assert heard == Transcript("", "", len(samples) / audio.SAMPLE_RATE, ())


@pytest.mark.pocket
async def test_a_language_can_be_asked_for_if_whisper_knows_it(speech: Speech) -> None:
    heard = await speech.transcribe(VOICE.read_bytes(), "en")
    assert words(heard.text) == SAID
    with pytest.raises(UnknownLanguage, match="klingon"):
        await speech.transcribe(VOICE.read_bytes(), "klingon")


@pytest.mark.pocket
async def test_two_at_once_and_one_given_up_do_not_disturb_each_other(speech: Speech) -> None:
    given_up = asyncio.create_task(speech.transcribe(VOICE.read_bytes()))
    await asyncio.sleep(0)
    given_up.cancel()
    first, second = await asyncio.gather(*(speech.transcribe(VOICE.read_bytes()) for _ in range(2)))
    assert words(first.text) == words(second.text) == SAID
    assert given_up.cancelled()


@pytest.mark.pocket
async def test_a_short_note_does_not_wait_for_a_long_one(speech: Speech) -> None:
    clip = (decode(VOICE.read_bytes()) * 32767).astype(np.int16)
    pause = np.zeros(audio.SAMPLE_RATE, np.int16)
    finished: list[str] = []

    async def note(name: str, data: bytes) -> str:
        heard = await speech.transcribe(data, "en")
        finished.append(name)
        return words(heard.text)

    long = asyncio.create_task(note("long", wav(np.concatenate([clip, pause] * 3))))  # in two stretches
    while not speech._lock._taken:  # noqa: ASYNC110 - until it is being written down
        await asyncio.sleep(0.01)
    short = await note("short", VOICE.read_bytes())
    assert finished == ["short"]
    assert short == SAID
    assert (await long).startswith("he was not an")


async def test_who_has_waited_as_long_as_its_recording_takes_comes_before_new_ones() -> None:
    lock, order = _PriorityLock(), []

    async def recording(asked: float, duration: float) -> None:
        async with lock.take(asked + duration):
            order.append((asked, duration))
            await asyncio.sleep(0)

    asking = [(0, 100.0), (1, 600.0), (2, 5.0), (500, 200.0), (600, 5.0), (602, 5.0)]
    tasks = [asyncio.create_task(recording(*each)) for each in asking]
    await asyncio.sleep(0)
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [(0, 100.0), (2, 5.0), (1, 600.0), (600, 5.0), (602, 5.0)]
