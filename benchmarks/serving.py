"""How many tokens a second many people get together: the engine beside plain transformers.

    python -m benchmarks.serving > docs/results/serving.md

Peers, in one process, in turns, on the same weights and prompts: `generate` one request after the other, as the worker did
before; `generate` over one static batch, where everybody waits for everybody; transformers' own continuous batching; llama.cpp,
with --gguf (benchmarks/llama.py says where it comes from). Prompts are 64 tokens, answers 64, greedy, and nothing ends an
answer early. Peers compute with all threads; `generate` and llama.cpp also with one. The machine should be idle.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.generation import ContinuousBatchingConfig, GenerationConfig

from benchmarks import pocket
from benchmarks.report import header, table
from model.engine import Engine
from model.machine import available_cores
from model.mind import Prompt
from model.sampling import Sampling
from model.threads import apart

PROMPT, ANSWER = 64, 64
"""Tokens."""
CROWDS = (1, 4, 8, 16)
"""Requests that arrive at once."""
ALONE = "one by one"


class Run(NamedTuple):
    seconds: float
    firsts: list[float]
    """Seconds until each request's first token; empty: not seen."""


Side = Callable[[list[list[int]]], Run]
"""Answers the prompts."""
Figures = dict[tuple[str, int], list[float]]
"""By side and crowd."""


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
    """transformers' own. It makes room for as many requests as the first call has, unless it is told."""
    room = ContinuousBatchingConfig(max_requests_per_batch=max(CROWDS))
    config = GenerationConfig(max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False, eos_token_id=-1, pad_token_id=0)
    start = time.perf_counter()
    done = model.generate_batch(  # type: ignore[operator]
        inputs=asked, generation_config=config, continuous_batching_config=room, progress_bar=False, persistent_manager=True
    )
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


def with_threads(threads: int, run: Side) -> Side:
    """In this process; the engines' threads choose for themselves."""

    def inside(asked: list[list[int]]) -> Run:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return run(asked)
        finally:
            torch.set_num_threads(before)

    return inside


def llama_cpp(gguf: Path, threads: int) -> Side:
    from benchmarks.llama import LlamaCpp  # installed by hand

    peer = LlamaCpp(gguf, threads, max(CROWDS))

    def run(asked: list[list[int]]) -> Run:
        start = time.perf_counter()
        said, first = peer.write(asked, ANSWER)
        seconds = time.perf_counter() - start
        assert all(len(answer) == ANSWER for answer in said)
        return Run(seconds, [first] * len(asked))

    return run


def own(precision: str, threads: int) -> Side:
    """Ours. A new engine each time: one that waits would keep a team of threads (model.threads.apart)."""
    mind = pocket.load(precision, threads)
    mind.default.writer.stop_token_ids = ()
    with closed(Engine(mind)) as first:
        first.choose_threads(threads)
        chosen = first._packed.threads

    def run(asked: list[list[int]]) -> Run:
        with closed(Engine(mind)) as engine:
            engine._packed.threads = chosen
            return ours(engine, asked)

    return run


@contextmanager
def closed(engine: Engine) -> Iterator[Engine]:
    """An engine whose thread has ended behind the block."""
    try:
        yield engine
    finally:
        engine.close()
        engine.join()


def measured(sides: Mapping[str, Side], rounds: int, vocabulary: int) -> tuple[Figures, Figures]:
    """Tokens a second of all together, and seconds until the first tokens, by side and crowd; in turns."""
    rates: Figures = {}
    firsts: Figures = {}
    for turn in range(rounds + 1):
        for crowd in CROWDS:
            asked = prompts(crowd, turn * 100 + crowd, vocabulary)
            for name, run in sides.items():
                few = asked[:2] if name.startswith(ALONE) else asked
                made = apart(run)(few)
                rate = len(few) * ANSWER / made.seconds
                if turn:  # the first round warms everything up
                    rates.setdefault((name, crowd), []).append(rate)
                    firsts.setdefault((name, crowd), []).extend(made.firsts)
                print(turn, crowd, name, f"{rate:.1f}", file=sys.stderr, flush=True)
    return rates, firsts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--without", nargs="*", default=[], help="peers to leave out")
    parser.add_argument("--gguf", type=Path, help="pocket's language model for llama.cpp")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engines = {precision: own(precision, options.threads) for precision in ("fp32", "int8")}
    peer = apart(AutoModelForCausalLM.from_pretrained)(pocket.weights().language, dtype=torch.float32).eval()
    sides: dict[str, Side] = {
        ALONE: lambda asked: one_by_one(peer, asked),
        f"{ALONE}, 1 thread": with_threads(1, lambda asked: one_by_one(peer, asked)),
        "static batch": lambda asked: static_batch(peer, asked),
        "transformers' continuous batching": lambda asked: continuous(peer, asked),
    }
    for threads in sorted({1, options.threads}) if options.gguf else ():
        sides[f"llama.cpp, 4 bits, threads: {threads}"] = llama_cpp(options.gguf, threads)
    sides |= {f"engine, {precision}": run for precision, run in engines.items()}
    sides = {name: run for name, run in sides.items() if name not in options.without}
    rates, firsts = measured(sides, options.rounds, peer.config.vocab_size)
    print(header("Many people at once", "torch", "transformers", *(["llama-cpp-python"] if options.gguf else [])))
    print(f"pocket, {options.threads} threads, {options.rounds} rounds, medians. Tokens a second of all together:\n")
    rows = [[name, *(f"{statistics.median(rates[name, crowd]):.1f}" for crowd in CROWDS)] for name in sides]
    for side, beside in itertools.combinations(reversed(sides), 2):
        if not side.startswith("engine"):
            break
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
