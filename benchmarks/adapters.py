"""What it costs that people who are answered at the same time have different adapters: in fp32 their passes take turns, in 8
bits they share them.

    python -m benchmarks.adapters > docs/results/adapters.md

Eight requests of pocket, 64 tokens in and 64 out, greedy: all with one adapter, and shared among two, four and eight. The
adapters are copies of the one that comes along, which is as much work as different ones would be. The machine should be idle.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from operator import truediv

import torch

from benchmarks import pocket
from benchmarks.report import header, table
from benchmarks.serving import ANSWER, prompts
from model.adapters import Adapter
from model.attached import Attached
from model.engine import Engine
from model.machine import available_cores
from model.mind import Prompt
from model.presets import get_preset
from model.sampling import Sampling
from model.settings import WorkerSettings
from model.shelf import chosen

REQUESTS = 8
SHARED = (1, 2, 4, 8)
"""Adapters that the requests are shared among."""


def tokens_a_second(engine: Engine, asked: Sequence[list[int]], adapters: Sequence[Attached]) -> float:
    """Of all together; request after request another adapter."""

    async def ask(ids: list[int], attached: Attached) -> int:
        prompt = Prompt(torch.tensor([ids]), None, (), attached=attached)
        async with aclosing(engine.generate(prompt, Sampling(ANSWER))) as tokens:
            return max([token.tokens async for token in tokens])

    async def everybody() -> list[int]:
        return await asyncio.gather(*(ask(ids, adapters[at % len(adapters)]) for at, ids in enumerate(asked)))

    start = time.perf_counter()
    written = sum(asyncio.run(everybody()))
    return written / (time.perf_counter() - start)


def measure(precision: str, threads: int, rounds: int) -> dict[int, list[float]]:
    """Tokens a second in each round, by how many adapters the requests are shared among."""
    folder = chosen("", get_preset("pocket"), WorkerSettings().home)
    assert folder is not None  # it comes along
    mind = pocket.load(precision, threads, adapter=folder)
    adapters = [mind.default, *(mind.attach(Adapter.open(folder)) for _ in range(max(SHARED) - 1))]
    for attached in adapters:
        attached.writer.stop_token_ids = ()
    vocabulary = len(mind.tokenizer)
    engine = Engine(mind)
    engine.choose_threads(threads)
    rates: dict[int, list[float]] = {shared: [] for shared in SHARED}
    for turn in range(rounds + 1):
        for shared in SHARED:
            rate = tokens_a_second(engine, prompts(REQUESTS, turn * 100 + shared, vocabulary), adapters[:shared])
            print(turn, precision, shared, f"{rate:.1f}", file=sys.stderr, flush=True)
            if turn:  # the first round warms everything up
                rates[shared].append(rate)
    engine.close()
    engine.join()
    return rates


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rows = []
    for precision in ("fp32", "int8"):
        rates = measure(precision, options.threads, options.rounds)
        rows.append([precision, *(f"{statistics.median(rates[shared]):.1f}" for shared in SHARED)])
        ratios = (statistics.median(map(truediv, rates[shared], rates[1])) for shared in SHARED)
        rows.append([f"{precision}, beside one adapter", *(f"{ratio:.2f}" for ratio in ratios)])
    print(header("Different adapters at the same time", "torch", "transformers", "peft"))
    print(
        f"pocket, {REQUESTS} requests at once, {options.threads} threads, {options.rounds} rounds, medians. Tokens a second:\n"
    )
    print(table(["adapters", *map(str, SHARED)], rows))


if __name__ == "__main__":
    main()
