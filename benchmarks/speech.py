"""Word error rate and real-time factor of the preset's Whisper on real speech, in a wave file and as a voice note.

    apt-get install pocketsphinx-testdata           # LibriVox and "cards" recordings with transcripts, BSD licence
    python -m benchmarks.speech > docs/results/speech.md

Word error rate: edit distance over words after lower-casing, dropping punctuation and spelling numbers out. Real-time factor:
seconds to transcribe over seconds of sound, one clip at a time, model already loaded, nothing else running.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import time
import wave
from pathlib import Path

import av

from benchmarks.report import header, table
from model.presets import get_preset
from model.settings import WorkerSettings
from model.speech import Speech
from model.weights import prepare

DATA = Path("/usr/share/pocketsphinx/test/data")
LINE = re.compile(r"<s>(?P<words>.*?)</s>\s*\((?P<name>[^)]+)\)")
SPELT = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
SAME = {"mr": "mister"} | {str(number): word for number, word in enumerate(SPELT)}


def words(text: str) -> list[str]:
    """Comparable words: lower case, no punctuation, digits and "mr." spelt out."""
    plain = re.sub(r"[^a-z0-9' ]+", " ", text.lower())
    return [SAME.get(word, word) for word in plain.split()]


def errors(reference: list[str], heard: list[str]) -> int:
    """Levenshtein distance over words."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, word in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (expected != word))
    return row[-1]


def as_voice_note(wav: bytes) -> bytes:
    """The clip as chat platforms send it: Opus at 24 kbit/s in Ogg."""
    out = io.BytesIO()
    with av.open(io.BytesIO(wav)) as source, av.open(out, "w", format="ogg") as sink:
        stream = sink.add_stream("libopus", rate=48_000, layout="mono", bit_rate=24_000)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        for frame in source.decode(audio=0):
            for part in resampler.resample(frame):
                sink.mux(stream.encode(part))
        for part in resampler.resample(None):
            sink.mux(stream.encode(part))
        sink.mux(stream.encode(None))
    return out.getvalue()


async def main() -> None:
    speech = Speech(
        prepare(get_preset("pocket"), WorkerSettings().home, lambda what, done, total: None).speech, device="cpu", threads=2
    )
    rows = []
    for folder, transcript in (("librivox", "librivox/transcription"), ("cards", "cards/cards.transcription")):
        clips = {m["name"]: words(m["words"]) for m in LINE.finditer((DATA / transcript).read_text())}
        for kind in ("wav", "ogg/opus 24 kbit/s"):
            wrong = total = 0
            seconds = spent = 0.0
            for name, reference in clips.items():
                wav = (DATA / folder / f"{name}.wav").read_bytes()
                with wave.open(io.BytesIO(wav)) as sound:
                    seconds += sound.getnframes() / sound.getframerate()
                audio = wav if kind == "wav" else as_voice_note(wav)
                start = time.perf_counter()
                heard = (await speech.transcribe(audio)).text
                spent += time.perf_counter() - start
                total += len(reference)
                wrong += errors(reference, words(heard))
                print(f"{folder} {kind} {name}: {heard}", file=sys.stderr)
            rate = f"{wrong}/{total} = {wrong / total:.1%}"
            rows.append([folder, kind, str(len(clips)), f"{seconds:.0f} s", rate, f"{spent / seconds:.2f}"])
    print(header("Speech: word error rate and real-time factor of `pocket`", "faster-whisper", "ctranslate2"))
    print(table(["recordings", "as", "clips", "sound", "word errors", "real-time factor"], rows))


if __name__ == "__main__":
    asyncio.run(main())
