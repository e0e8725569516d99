"""Everything about the engine that needs a GPU, in one call: phi-2's size with random weights, in bf16 and in 4 bits.

    python -m benchmarks.gpu --json docs/results/gpu.json > docs/results/gpu.md    # minutes; 6 GB of disk, 12 GB of GPU memory
    python -m benchmarks.gpu --toy --device cpu                                    # a minute, to see that it runs

Speed does not depend on what weights say. Beside the engine: `generate` of transformers, one request after the other, and the
limit of the hardware, from bandwidth and matrix products measured in the same run: a step has to read all weights, and the keys
and values of every answer; a prompt has to be multiplied with all weights.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PhiConfig, PreTrainedModel

from benchmarks.phi2_size import phi2_config
from benchmarks.report import header, table
from model.batch import PROMPT_TOKENS
from model.engine import Engine
from model.mind import Prompt
from model.modeling import JnanaForConditionalGeneration
from model.presets import get_preset
from model.quantize import nf4
from model.recorded import Compute, CudaGraphs, Record
from model.sampling import Sampling
from model.vision import EfficientNetLiteConfig, EfficientNetLiteModel

CROWDS = (1, 8, 32)
STEPS = 64
"""Steps that are timed, with all answers being written."""


@dataclass(frozen=True)
class Row:
    """Tokens a second; `limit`: that the hardware allows."""

    precision: str
    crowd: int
    decode: float
    recorded: float
    """The same, played from CUDA graphs (MODEL_CUDA_GRAPHS), with what recording them took; 0: nothing was played."""
    decode_limit: float
    generate: float
    prefill: float
    prefill_limit: float
    memory: int
    """Bytes of the weights."""


@dataclass(frozen=True)
class Limits:
    """Of the hardware: bytes a second, and floating-point operations a second in bf16."""

    reads: float
    multiplies: float


class Noise:
    """A tokenizer that says nothing: what random weights write is not looked at."""

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "." * len(ids)


class RandomMind:
    """The fields of a mind that the engine uses."""

    def __init__(self, text: PreTrainedModel, device: torch.device) -> None:
        tower = EfficientNetLiteModel(EfficientNetLiteConfig())
        self.model = JnanaForConditionalGeneration.assemble(text, tower, None)
        self.preset = get_preset("phi2")
        self.tokenizer = Noise()
        self.stop_token_ids = ()
        self.device = device

    def switch_to(self, attached: None) -> None:
        """It has no adapters."""


def prompts(count: int, tokens: int, vocabulary: int, seed: int) -> list[torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return [torch.randint(0, vocabulary - 8, (1, tokens), generator=chance) for _ in range(count)]


async def crowd(engine: Engine, asked: list[torch.Tensor], device: torch.device, answer: int) -> tuple[float, float]:
    """(seconds until all have their first token, tokens a second while all of them are being written)."""
    times: list[list[float]] = [[] for _ in asked]

    async def ask(at: int) -> None:
        prompt = Prompt(asked[at].to(device), None, ())
        async with aclosing(engine.generate(prompt, Sampling(answer))) as pieces:
            async for _ in pieces:
                times[at].append(time.perf_counter())

    start = time.perf_counter()
    await asyncio.gather(*(ask(at) for at in range(len(asked))))
    begin, end = max(each[0] for each in times), min(each[-1] for each in times)
    written = sum(sum(begin < when <= end for when in each) for each in times)
    return begin - start, written / (end - begin)


def generate_rate(text: PreTrainedModel, ids: torch.Tensor) -> float:
    """Decoded tokens a second of one request."""
    text.set_attn_implementation("sdpa")

    def seconds(tokens: int) -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            text.generate(  # type: ignore[operator]
                ids, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=0, eos_token_id=None
            )
        return time.perf_counter() - start

    seconds(2)
    first = seconds(1)
    return STEPS / (seconds(STEPS + 1) - first)


def bandwidth(device: torch.device, size: int) -> float:
    """Bytes a second that are read and written by a copy of `size` bytes."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _fastest(lambda: target.copy_(source), device)


def products(device: torch.device, size: int) -> float:
    """Floating-point operations a second of a bf16 product of (size, size) matrices."""
    left = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    return 2 * size**3 / _fastest(lambda: left @ left, device)


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    found = []
    for _ in range(10):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return min(found[2:])


@contextlib.contextmanager
def loaded(config: PhiConfig, precision: str, device: torch.device) -> Iterator[PreTrainedModel]:
    """Random weights in a precision."""
    with torch.device(device):
        text = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if precision == "bf16":
        yield text.eval()
        return
    with tempfile.TemporaryDirectory() as folder:
        text.save_pretrained(folder)
        del text
        yield AutoModelForCausalLM.from_pretrained(folder, **nf4(device)).eval()


def measure(text: PreTrainedModel, precision: str, device: torch.device, context: int, limits: Limits) -> list[Row]:
    memory = sum(weight.numel() * weight.element_size() for weight in text.parameters())
    embedding, head = text.get_input_embeddings().weight, text.get_output_embeddings().weight
    read = memory - embedding.numel() * embedding.element_size()  # a step looks up one row of it an answer
    multiplied = text.num_parameters() - embedding.numel() - head.numel()  # num_parameters knows that bytes of 4 bits hold two
    config = text.config
    token_bytes = 2 * config.num_hidden_layers * config.hidden_size * 2  # keys and values, 16 bits
    (alone,) = prompts(1, context, config.vocab_size, 0)
    generated = generate_rate(text, alone.to(device))
    mind: Any = RandomMind(text, device)
    plain = _crowds(Engine(mind), context, config.vocab_size, device)
    record = Counting(device)
    played = _crowds(Engine(mind, record), context, config.vocab_size, device)
    rows = []
    for count, (first, decode), (_, recorded) in zip(CROWDS, plain, played, strict=True):
        step = (read + count * context * token_bytes) / limits.reads
        reading = limits.multiplies / (2 * multiplied)
        limit, recorded = count / step, recorded if record.played else 0.0
        rows.append(Row(precision, count, decode, recorded, limit, generated, count * context / first, reading, memory))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


class Counting:
    """Records, and counts what is played. On a CPU the same computation stands in for its recording."""

    def __init__(self, device: torch.device) -> None:
        self._record: Record = CudaGraphs(device) if device.type == "cuda" else lambda compute: compute
        self.played = 0

    def __call__(self, compute: Compute) -> Compute:
        recorded = self._record(compute)

        def play() -> torch.Tensor:
            self.played += 1
            return recorded()

        return play


def _crowds(engine: Engine, context: int, vocabulary: int, device: torch.device) -> list[tuple[float, float]]:
    """As `crowd`, for each of CROWDS."""
    engine.slots = max(CROWDS)
    asyncio.run(crowd(engine, prompts(2, context, vocabulary, 1), device, STEPS))  # warm
    found = []
    for count in CROWDS:
        answer = STEPS + -(-count * context // PROMPT_TOKENS)  # the first one still grows when the last prompt is read
        found.append(asyncio.run(crowd(engine, prompts(count, context, vocabulary, 2 + count), device, answer)))
    engine.close()
    engine.join()
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the next one counts what is free
    return found


def report(rows: list[Row], context: int) -> str:
    cells = [
        [
            row.precision,
            str(row.crowd),
            f"{row.decode:.1f}",
            f"{row.decode / row.decode_limit:.0%} of {row.decode_limit:.0f}",
            f"{row.recorded:.1f}" if row.recorded else "nothing played",
            f"{row.recorded / row.decode_limit:.0%}",
            f"{row.generate:.1f}",
            f"{row.decode / row.generate:.1f}",
            f"{row.prefill:.0f}",
            f"{row.prefill / row.prefill_limit:.0%} of {row.prefill_limit:.0f}",
            f"{row.memory / 1e9:.2f} GB",
        ]
        for row in rows
    ]
    head = [
        "weights",
        "at once",
        "decode",
        "of the limit",
        "recorded",
        "of it",
        "`generate`",
        "times",
        "prefill",
        "of the limit",
        "memory",
    ]
    return f"Context {context} tokens; tokens a second of all together.\n\n{table(head, cells)}"


def where_4_bits_pay(rows: list[Row]) -> str:
    """4 bits beside 16, by how many are answered at once."""
    full, small = ({row.crowd: row for row in rows if row.precision == name} for name in ("bf16", "nf4"))
    cells = []
    for crowd in CROWDS:
        one, other = full[crowd], small[crowd]
        ratios = [other.decode / one.decode, other.prefill / one.prefill, other.memory / one.memory]
        cells.append([str(crowd), *(f"{ratio:.2f}" for ratio in ratios)])
    return f"NF4 beside bf16:\n\n{table(['at once', 'decode', 'prefill', 'memory of the weights'], cells)}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--toy", action="store_true", help="a tiny model, to see that everything runs")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    config, context = (toy(), 64) if options.toy else (phi2_config(), 1024)
    torch.manual_seed(0)
    limits = Limits(bandwidth(device, 2**22 if options.toy else 2**31), products(device, 256 if options.toy else 8192))
    rows = []
    for precision in ("bf16", "nf4"):
        with loaded(config, precision, device) as text:
            rows += measure(text, precision, device, context, limits)
            del text
        if device.type == "cuda":
            torch.cuda.empty_cache()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"
    print(header("The engine on a GPU", "torch", "transformers", "bitsandbytes"))
    print(f"{name}: {limits.reads / 1e9:.0f} GB/s of copies, {limits.multiplies / 1e12:.2f} TFLOP/s of bf16 products.\n")
    print(f"{report(rows, context)}\n\n{where_4_bits_pay(rows)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def toy() -> PhiConfig:
    return PhiConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
    )


if __name__ == "__main__":
    main()
