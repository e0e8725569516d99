"""How long people wait for the first word: behind somebody's long text, and late in a long conversation with pictures.

    python -m benchmarks.first_token > docs/results/first_token.md

Follow-ups: a conversation of up to 30 turns with the answers that pocket gives, a photo in the first, fifth and ninth, asked
with earlier turns kept and with none kept (an engine that has no room for them); what the photos show is computed once in both.
The machine should be idle.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

import skimage.data
import torch
from PIL import Image

from benchmarks import pocket
from benchmarks.report import header, table
from model import engine as engines
from model.engine import Engine
from model.machine import available_cores
from model.mind import Message, Mind, Prompt
from model.sampling import Sampling
from model.sight import Picture

LONG, SHORT = 1500, 20
"""Tokens of the two prompts."""
BEFORE_SHORT = 0.05
"""Seconds after which the short question comes."""
TURNS = (1, 5, 10, 20, 30)
PHOTOS = {1: "chelsea", 5: "coffee", 9: "rocket"}
"""Turn and photo of scikit-image."""
ANSWER_TOKENS = 24
QUESTIONS = (
    "What is in this photo?",
    "What colour is it?",
    "Is it big or small?",
    "Tell me more about it.",
    "Where could it be?",
)


async def first_token(engine: Engine, prompt: Prompt, tokens: int = 8) -> tuple[float, str]:
    """Seconds until it comes, and the whole answer."""
    said = ""
    async with aclosing(engine.generate(prompt, Sampling(tokens))) as pieces:
        async for piece in pieces:
            said += piece.text
            seconds = piece.prefill  # told with the last one; text may come later than the token it is of
    return seconds, said


def words(count: int, seed: int) -> Prompt:
    """So many random tokens, which nobody asked before."""
    chance = torch.Generator().manual_seed(seed)
    return Prompt(torch.randint(100, 40_000, (1, count), generator=chance), None, ())


async def beside_long(engine: Engine, seed: int) -> tuple[float, float, float]:
    """First tokens of the short question alone, of the short one beside the long one, and of the long one."""
    alone, _ = await first_token(engine, words(SHORT, seed))
    long = asyncio.create_task(first_token(engine, words(LONG, seed + 1)))
    await asyncio.sleep(BEFORE_SHORT)
    short, _ = await first_token(engine, words(SHORT, seed + 2))
    return alone, short, (await long)[0]


def photo(name: str) -> Picture:
    pixels = getattr(skimage.data, name)()
    return Picture(name, lambda: Image.fromarray(pixels).convert("RGB"))


def question(turn: int) -> Message:
    parts: list[str | Picture] = [photo(PHOTOS[turn])] if turn in PHOTOS else []
    return Message("user", (*parts, f"{turn}. {QUESTIONS[turn % len(QUESTIONS)]}"))


async def follow_ups(mind: Mind, engine: Engine, answers: dict[int, str]) -> dict[int, tuple[int, float]]:
    """By turn: tokens of the prompt, and seconds until the first token of the answer, everything before asked in its turn.
    `answers`: those that the conversation goes on with; the first run fills it with its own."""
    found = {}
    messages: list[Message] = []
    for turn in range(1, max(TURNS) + 1):
        messages.append(question(turn))
        prompt = await engine.compute(partial(mind.encode, messages, max_new_tokens=ANSWER_TOKENS))
        seconds, said = await first_token(engine, prompt, ANSWER_TOKENS)
        messages.append(Message("assistant", (answers.setdefault(turn, said),)))
        found[turn] = (prompt.input_ids.shape[1], seconds)
    return found


def waiting(mind: Mind, threads: int, rounds: int) -> list[list[str]]:
    engine = Engine(mind)
    engine.choose_threads(threads)
    asyncio.run(beside_long(engine, 0))  # warm
    each = [asyncio.run(beside_long(engine, 10 * turn)) for turn in range(1, rounds + 1)]
    engine.close()
    names = (f"{SHORT} tokens alone", f"{SHORT} tokens, {LONG} before them", f"{LONG} tokens")
    return [
        [name, f"{statistics.median(times):.2f}", f"{max(times):.2f}"]
        for name, times in zip(names, zip(*each, strict=True), strict=True)
    ]


def growing(mind: Mind, threads: int, rounds: int) -> list[list[str]]:
    share = engines.FOR_PREFIXES
    sides: dict[bool, list[dict[int, tuple[int, float]]]] = {True: [], False: []}
    answers: dict[int, str] = {}
    for _ in range(rounds + 1):
        for kept, runs in sides.items():
            engines.FOR_PREFIXES = share if kept else 0
            engine = Engine(mind)
            engine.choose_threads(threads)
            runs.append(asyncio.run(follow_ups(mind, engine, answers)))
            engine.close()
            print("kept" if kept else "nothing kept", runs[-1][max(TURNS)], file=sys.stderr, flush=True)
    rows = []
    for turn in TURNS:
        tokens = sides[True][-1][turn][0]
        reused, anew = (statistics.median(run[turn][1] for run in sides[side][1:]) for side in (True, False))
        rows.append([str(turn), str(tokens), f"{reused:.3f}", f"{anew:.3f}", f"{anew / reused:.1f}"])
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--adapter", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args(arguments)
    mind = pocket.load(options.precision, options.threads, adapter=options.adapter, hints=True)
    print(header("Until the first token", "torch", "transformers"))
    print(f"pocket in {mind.precision}, {options.threads} threads, {options.rounds} rounds. Seconds:\n")
    print(table(["prompt", "median", "worst"], waiting(mind, options.threads, options.rounds)))
    print("\nFollow-up questions, medians, seconds:\n")
    head = ["turn", "tokens of the prompt", "earlier turns kept", "nothing kept", "times sooner"]
    print(table(head, growing(mind, options.threads, options.rounds)))


if __name__ == "__main__":
    main()
