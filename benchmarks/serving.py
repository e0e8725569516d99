"""How many tokens a second many people get together: the engine beside plain transformers.

    python -m benchmarks.serving > docs/results/serving.md

Peers, in one process, in turns, on the same weights and prompts: `generate` one request after the other, as the worker did
before; `generate` over one static batch, where everybody waits for everybody; transformers' own continuous batching. Prompts
are 64 tokens, answers 64, greedy, and nothing ends an answer early. The machine should be idle.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.generation import GenerationConfig

from benchmarks import pocket
from benchmarks.report import header, table
from model.engine import Engine
from model.mind import Prompt
from model.sampling import Sampling
from model.settings import available_cores

PROMPT, ANSWER = 64, 64
"""Tokens."""
CROWDS = (1, 4, 8, 16)
"""Requests that arrive at once."""


class Run(NamedTuple):
    seconds: float
    firsts: list[float]
    """Seconds until each request's first token; empty: not seen."""


def prompts(count: int, turn: int, vocabulary: int) -> list[list[int]]:
    """Others in every turn, so that nothing kept from before can answer."""
    chance = torch.Generator().manual_seed(turn)
    return torch.randint(100, vocabulary - 100, (count, PROMPT), generator=chance).tolist()


def one_by_one(model: PreTrainedModel, asked: list[list[int]]) -> Run:
    start = time.perf_counter()
    for ids in asked:
        generate(model, [ids])
    return Run(time.perf_counter() - start, [])


def static_batch(model: PreTrainedModel, asked: list[list[int]]) -> Run:
    start = time.perf_counter()
    generate(model, asked, tokens=1)
    first = time.perf_counter() - start
    start = time.perf_counter()
    generate(model, asked)
    return Run(time.perf_counter() - start, [first] * len(asked))


def generate(model: PreTrainedModel, asked: list[list[int]], tokens: int = ANSWER) -> None:
    ids = torch.tensor(asked)
    with torch.inference_mode():
        made: Any = model.generate(  # type: ignore[operator]
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            pad_token_id=0,
        )
    assert made.shape[1] == PROMPT + tokens


def continuous(model: PreTrainedModel, asked: list[list[int]]) -> Run:
    """transformers' own; its options but for the lengths are the defaults."""
    config = GenerationConfig(max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False, eos_token_id=-1, pad_token_id=0)
    start = time.perf_counter()
    done = model.generate_batch(inputs=asked, generation_config=config, progress_bar=False, persistent_manager=True)  # type: ignore[operator]
    seconds = time.perf_counter() - start
    assert all(len(one.generated_tokens) == ANSWER for one in done.values())
    return Run(seconds, [])


def ours(engine: Engine, asked: list[list[int]]) -> Run:
    async def ask(ids: list[int]) -> float:
        prompt = Prompt(torch.tensor([ids]), None, ())
        first = 0.0
        async with aclosing(engine.generate(prompt, Sampling(ANSWER))) as tokens:
            async for token in tokens:
                first = first or time.perf_counter() - start
                count = token.tokens
        assert count == ANSWER, count
        return first

    async def everybody() -> list[float]:
        return await asyncio.gather(*(ask(ids) for ids in asked))

    start = time.perf_counter()
    firsts = asyncio.run(everybody())
    return Run(time.perf_counter() - start, firsts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--without", nargs="*", default=[], help="peers to leave out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engines = []
    for precision in ("fp32", "int8"):
        mind = pocket.load(precision, options.threads)
        mind.default.writer.stop_token_ids = ()
        engines.append(Engine(mind, threads=options.threads))
    full, int8 = engines
    peer = AutoModelForCausalLM.from_pretrained(pocket.weights().language, dtype=torch.float32).eval()
    vocabulary = peer.config.vocab_size
    sides: dict[str, Callable[[list[list[int]]], Run]] = {
        "one by one": lambda asked: one_by_one(peer, asked[:2]),
        "static batch": lambda asked: static_batch(peer, asked),
        "transformers' continuous batching": lambda asked: continuous(peer, asked),
        "engine, fp32": lambda asked: ours(full, asked),
        "engine, int8": lambda asked: ours(int8, asked),
    }
    sides = {name: run for name, run in sides.items() if name not in options.without}
    rates: dict[tuple[str, int], list[float]] = {}
    firsts: dict[tuple[str, int], list[float]] = {}
    for turn in range(options.rounds + 1):
        for crowd in CROWDS:
            asked = prompts(crowd, turn * 100 + crowd, vocabulary)
            for name, run in sides.items():
                made = run(asked)
                answered = min(crowd, 2) if name == "one by one" else crowd
                if turn:  # the first round warms everything up
                    rates.setdefault((name, crowd), []).append(answered * ANSWER / made.seconds)
                    firsts.setdefault((name, crowd), []).extend(made.firsts)
                print(turn, crowd, name, f"{answered * ANSWER / made.seconds:.1f}", file=sys.stderr, flush=True)
    for engine in engines:
        engine.close()
    print(header("Many people at once", "torch", "transformers"))
    print(f"pocket, {options.threads} threads, {options.rounds} rounds, medians. Tokens a second of all together:\n")
    rows = [[name, *(f"{statistics.median(rates[name, crowd]):.1f}" for crowd in CROWDS)] for name in sides]
    for side, beside in (("engine, fp32", "one by one"), ("engine, int8", "one by one"), ("engine, int8", "engine, fp32")):
        if side in sides and beside in sides:
            pairs = (zip(rates[side, crowd], rates[beside, crowd], strict=True) for crowd in CROWDS)
            ratios = (statistics.median(ours / theirs for ours, theirs in each) for each in pairs)
            rows.append([f"{side} / {beside}", *(f"{ratio:.2f}" for ratio in ratios)])
    print(table(["", *(f"{crowd} at once" for crowd in CROWDS)], rows))
    print("\nSeconds until the first token, median and worst:\n")
    rows = [
        [name, *(f"{statistics.median(firsts[name, crowd]):.2f}, {max(firsts[name, crowd]):.2f}" for crowd in CROWDS)]
        for name in sides
        if firsts.get((name, CROWDS[0]))
    ]
    print(table(["", *(f"{crowd} at once" for crowd in CROWDS)], rows))


if __name__ == "__main__":
    main()
