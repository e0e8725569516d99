"""Whether answers go on while a voice note is written down, and what each costs the other.

    apt-get install pocketsphinx-testdata           # LibriVox recordings, BSD licence
    python -m benchmarks.beside_speech > docs/results/beside_speech.md

Pocket in 8 bits and its Whisper in one process, as the worker has them: answers of 64 tokens, one or eight at once, again and
again; a recording of 25 seconds, again and again; and both. A gap is the time between two tokens of one answer. In turns; the
machine should be idle.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import sys
import time
import wave
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import torch

from benchmarks import pocket
from benchmarks.report import header, table
from benchmarks.serving import ANSWER, prompts
from benchmarks.speech import DATA
from model.engine import Engine
from model.machine import available_cores
from model.mind import Prompt
from model.sampling import Sampling
from model.speech import Speech

CROWDS = (1, 8)


@dataclass
class Seen:
    """Of one turn."""

    seconds: float
    tokens: int = 0
    gaps: list[float] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)
    """Seconds that each recording took."""


def recording() -> bytes:
    """All LibriVox clips one behind the other, as a wave file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as whole:
        for path in sorted((DATA / "librivox").glob("*.wav")):
            with wave.open(str(path)) as clip:
                if whole.getnframes() == 0:
                    whole.setparams(clip.getparams())
                whole.writeframes(clip.readframes(clip.getnframes()))
    return out.getvalue()


async def together(engine: Engine, speech: Speech, crowd: int, sound: bytes | None, seconds: float, vocabulary: int) -> Seen:
    """For so long: `crowd` people who ask again and again, and one who talks. 0: nobody asks; None: nobody talks."""
    start = time.perf_counter()
    seen = Seen(seconds)

    async def ask(person: int) -> None:
        asked = prompts(1, person + int(start * 1000), vocabulary)[0]
        async with aclosing(engine.generate(Prompt(torch.tensor([asked]), None, ()), Sampling(ANSWER))) as tokens:
            last = 0.0
            async for _ in tokens:
                now = time.perf_counter()
                seen.tokens += 1
                seen.gaps += [now - last] if last else []
                last = now

    async def keep_asking(person: int) -> None:
        while time.perf_counter() - start < seconds:
            await ask(person)

    async def keep_talking(sound: bytes) -> None:
        while time.perf_counter() - start < seconds:
            begun = time.perf_counter()
            await speech.transcribe(sound, "en")
            seen.heard.append(time.perf_counter() - begun)

    await asyncio.gather(*(keep_asking(person) for person in range(crowd)), *([keep_talking(sound)] if sound else []))
    seen.seconds = time.perf_counter() - start
    return seen


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of each turn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args(arguments)
    mind = pocket.load("int8", options.threads)
    mind.default.writer.stop_token_ids = ()
    engine = Engine(mind)
    engine.choose_threads(options.threads)
    speech = Speech(pocket.weights().speech, device="cpu", threads=options.threads)
    sound = recording()
    kinds = [(0, True), *((crowd, talks) for crowd in CROWDS for talks in (False, True))]
    turns: dict[tuple[int, bool], list[Seen]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for crowd, talks in kinds:
            case = together(engine, speech, crowd, sound if talks else None, options.seconds, len(mind.tokenizer))
            turns[crowd, talks].append(asyncio.run(case))
            print(crowd, talks, turns[crowd, talks][-1].tokens, file=sys.stderr, flush=True)
    engine.close()
    speech.close()
    print(header("Answers and a voice note at once", "torch", "transformers", "faster-whisper", "ctranslate2"))
    print(f"{options.threads} threads, {options.rounds} rounds of {options.seconds:.0f} seconds:\n")
    rows = []
    for (crowd, talks), ones in turns.items():
        gaps = sorted(gap for one in ones for gap in one.gaps)
        heard = [seconds for one in ones for seconds in one.heard]
        rows.append(
            [
                f"{crowd} answers" if crowd else "no answers",
                "yes" if talks else "no",
                f"{sum(one.tokens for one in ones) / sum(one.seconds for one in ones):.1f}" if crowd else "",
                f"{statistics.median(gaps):.3f}, {gaps[int(len(gaps) * 0.99)]:.3f}, {gaps[-1]:.3f}" if gaps else "",
                f"{statistics.median(heard):.1f}" if heard else "",
            ]
        )
    print(table(["", "a voice note", "pieces/s", "gap: median, 99 %, longest (s)", "25 seconds of speech take (s)"], rows))


if __name__ == "__main__":
    main()
