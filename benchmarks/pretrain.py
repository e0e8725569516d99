"""Stage 0, tokens a second and MFU: our loop against plain transformers with its Trainer, in turns on the same tokens.

    python -m benchmarks.pretrain > docs/results/pretrain_speed.md                     # the pocket preset, two cores
    python -m benchmarks.pretrain --preset best --set fsdp=false --steps 12            # phi-2's size, one large GPU

Both train the same architecture from the same random weights with AdamW, in the same precision, on random tokens (which
ones changes no time). The first steps do not count. MFU divides by the card's dense bf16 peak, or by a CPU's measured matrix
product.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.report import header, table
from training.config import Pretrain, find, load
from training.flops import LanguageShape, training_flops
from training.hardware import fastest_precision, this_machine
from training.loop import Loop
from training.metrics import AnyMetric, Step
from training.mind_task import parameter_group
from training.pretrain import NextTokenLoss, new_model
from training.ranks import new_accelerator
from training.sampling import Order
from training.task import Batch, Examples, Facts, Written

UNCOUNTED = 2
"""Steps at the beginning: allocators and caches fill."""
ROUNDS = 2
"""Turns of each."""


class RandomTokens(Dataset[dict[str, torch.Tensor]]):
    """Implements `training.task.Examples` for our loop, and a Dataset for the Trainer."""

    def __init__(self, run: Pretrain, count: int) -> None:
        chance = torch.Generator().manual_seed(run.seed)
        shape = (count, run.sequence_length + 1)
        self._tokens = torch.randint(run.architecture.vocab_size, shape, generator=chance)
        self._length = run.sequence_length
        self.lengths: Sequence[int] = [run.sequence_length] * count

    def collate(self, examples: Sequence[int]) -> Batch:
        tokens = self._tokens[list(examples)]
        count = len(examples) * self._length
        return Batch({"tokens": tokens}, count, count, len(examples))

    def origin(self, example: int) -> str:
        return f"random tokens {example}"

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
        ids = self._tokens[at, : self._length]
        return {"input_ids": ids, "labels": ids}


class RandomText:
    """Implements `training.task.Task`: stage 0 without text."""

    order: Order = "random"
    fingerprint = "random"

    def __init__(self, run: Pretrain, device: torch.device) -> None:
        self.train: Examples = RandomTokens(run, run.batch.size * (run.steps or 1))
        self.validation: Examples = RandomTokens(run, 1)
        self._run = run
        self._model = new_model(run, device)
        self.module: nn.Module = NextTokenLoss(self._model)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return parameter_group(self._model, weight_decay=self._run.optimizer.weight_decay)

    def flops(self, batch: Batch) -> float:
        return flops(self._run, batch.tokens)

    def samples(self, count: int) -> Iterator[Written]:
        yield from ()

    def save(self, folder: Path, facts: Facts, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Nobody needs it."""


def flops(run: Pretrain, tokens: int) -> float:
    shape = LanguageShape.of_architecture(run.architecture)
    return training_flops(shape, tokens, run.sequence_length, tokens, frozen=False).model


def ours(run: Pretrain) -> list[float]:
    """Seconds of each step."""
    accelerator = new_accelerator(run)
    seconds: list[float] = []

    def listen(metric: AnyMetric) -> None:
        if isinstance(metric, Step):
            seconds.append(metric.seconds)

    with tempfile.TemporaryDirectory() as folder:
        Loop(run, RandomText(run, accelerator.device), Path(folder), accelerator, listen).train()
    accelerator.free_memory()
    return seconds


class Watch(TrainerCallback):
    """Seconds of each optimizer step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._began)


def plain(run: Pretrain) -> list[float]:
    """The same with transformers' Trainer as its guide has it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    watch = Watch()
    optimizer = run.optimizer
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=run.batch.micro,
            gradient_accumulation_steps=run.batch.size // run.batch.micro,
            max_steps=run.steps or 1,
            learning_rate=optimizer.lr,
            weight_decay=optimizer.weight_decay,
            adam_beta1=optimizer.betas[0],
            adam_beta2=optimizer.betas[1],
            max_grad_norm=optimizer.clip or 0.0,
            lr_scheduler_type="cosine",
            optim="adamw_torch_fused" if device.type == "cuda" else "adamw_torch",
            bf16=run.computes_in == "bf16",
            gradient_checkpointing=run.gradient_checkpointing,
            use_cpu=device.type == "cpu",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        data = RandomTokens(run, run.batch.size * (run.steps or 1))
        Trainer(model=new_model(run, device), args=arguments, train_dataset=data, callbacks=[watch]).train()
    return watch.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="pocket")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `jnana train` has it")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    quiet = ["checkpoints.every=1000000", "validation.every=1000000", "validation.samples=0", "optimizer.warmup_steps=1"]
    run = load(Pretrain, find("pretrain", chosen.preset), [*chosen.set, *quiet, f"steps={chosen.steps}"])
    run = run.settled(fastest_precision())
    machine = this_machine(precision=run.computes_in)
    tokens = run.batch.size * run.sequence_length
    ways = {"`jnana train pretrain`": ours, "transformers' Trainer": plain}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints
                seconds[name] += way(run)[UNCOUNTED:]
    print(header("Stage 0: tokens a second", "torch", "transformers", "accelerate"))
    architecture = run.architecture
    print(
        f"{architecture.num_hidden_layers} layers of {architecture.hidden_size}, steps of {tokens:,} tokens in sequences of "
        f"{run.sequence_length:,}, {run.computes_in}, {machine.name}; medians of {len(seconds[next(iter(ways))])} steps.\n"
    )
    rows = []
    for name, found in seconds.items():
        middle = statistics.median(found)
        mfu = flops(run, tokens) / middle / machine.peak_flops if machine.peak_flops else None
        rows.append([name, f"{tokens / middle:,.0f}", f"{middle:.2f}", "–" if mfu is None else f"{mfu:.1%}"])
    print(table(["", "tokens/s", "seconds a step", "MFU"], rows))
    if machine.peak_flops:
        print(f"\nMFU is of {machine.peak_flops / 1e9:,.0f} GFLOP/s ({machine.peak_source}).")


if __name__ == "__main__":
    main()
