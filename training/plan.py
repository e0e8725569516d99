"""What a run will cost on a named GPU before anything is spent, and what to change if it does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from training.config import Align, Instruct, MultimodalConfig, Pretrain, RunConfig
from training.errors import TrainingError
from training.flops import MINDS, Work, projector_flops, training_flops
from training.hardware import GPUS, Gpu
from training.memory import Item, language_shape, longest, memory, total, trained_parameters
from training.resume import may_change
from training.volume import Volume, volume

UTILISATION = 0.35
"""Of the peak, assumed until a run was measured; recomputation counts as work done here. Well-tuned language models reach 33 to
52 % (torchtitan's, nanochat's and lit-gpt's published runs); short sequences and small batches reach less."""

ANEW = "in another run folder, for a run goes on with the settings it began with"
"""Said of those that decide what is learnt (training/resume.py)."""

SHORTEST = 128
"""Tokens below which a shorter example is no longer proposed."""


@dataclass(frozen=True)
class Plan:
    run: RunConfig
    gpu: Gpu
    gpus: int
    items: tuple[Item, ...]
    """Bytes on each GPU."""
    volume: Volume
    work: Work
    """FLOPs of the whole run."""
    looking: float
    """FLOPs of the vision tower, once for every picture."""
    mfu: float
    """Share of the peak that the work of the model is done at."""
    measured: bool
    """Whether the MFU was given rather than assumed."""
    changes: tuple[str, ...] | None
    """`--set` that make it fit; empty: it fits as it is; None: nothing here does."""
    notes: tuple[str, ...]
    """What was assumed, and what does not suit the card."""

    @property
    def memory(self) -> float:
        return total(self.items)

    @property
    def trained(self) -> int:
        """Parameters that learn."""
        return trained_parameters(self.run)

    @property
    def seconds(self) -> float:
        peak = self.gpu.peak * self.gpus
        return self.work.model / (self.mfu * peak) + self.looking / (UTILISATION * self.gpu.peak)

    @property
    def cache_bytes(self) -> int:
        """Of vision features, on disk."""
        if not isinstance(self.run, MultimodalConfig):
            return 0
        return self.volume.pictures * MINDS[self.run.model].tower.feature_bytes


def plan(
    run: RunConfig,
    gpu: Gpu,
    gpus: int = 1,
    examples: int | None = None,
    tokens_per_example: float | None = None,
    mfu: float | None = None,
) -> Plan:
    """`examples` of an epoch and their length, where they are known better than from published files; `mfu` as measured.

    Raises TrainingError when the batch cannot be shared among the GPUs, or nothing says how many examples there are.
    """
    run = run.settled("bf16" if gpu.bf16 else "fp32")
    if run.batch.size % (run.batch.micro * gpus):
        raise TrainingError(
            f"batch.size ({run.batch.size}) must be a multiple of batch.micro ({run.batch.micro}) times the {gpus} GPUs."
        )
    amount = volume(run, examples, tokens_per_example)
    work = _work(run, amount)
    return Plan(
        run=run,
        gpu=gpu,
        gpus=gpus,
        items=memory(run, gpus),
        volume=amount,
        work=work,
        looking=amount.pictures * MINDS[run.model].tower.flops if isinstance(run, MultimodalConfig) else 0.0,
        mfu=mfu or UTILISATION * work.model / work.hardware,
        measured=mfu is not None,
        changes=fitting(run, gpu.memory, gpus),
        notes=(*_notes(run, gpu), *amount.assumptions),
    )


def fitting(run: RunConfig, room: float, gpus: int = 1) -> tuple[str, ...] | None:
    """The changes after which `run` fits into `room` bytes a GPU, those first that cost least; None: there are none."""
    extras: list[str] = []
    for change, easier in [("", run), *_extras(run, gpus)]:
        extras += [change] if change else []
        for micro in _smaller(run.batch.micro):
            candidate = _with_micro(easier, micro)
            if total(memory(candidate, gpus)) <= room:
                return tuple([f"batch.micro={micro}"] * (micro != run.batch.micro) + _last_of_each(extras))
    return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """torch.OutOfMemoryError on a GPU; a CPU's allocator raises a RuntimeError of no type of its own."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def out_of_memory(run: RunConfig, error: BaseException, gpus: int = 1) -> str:
    """The sentence that it becomes: which key to change first, in this very configuration."""
    asked = re.search(r"Tried to allocate ([\d.]+ [KMG]iB)", str(error))
    capacity = re.search(r"total capacity of ([\d.]+ [KMG]iB)", str(error))
    amount = f" ({asked[1]} more were asked for)" if asked else ""
    device = f"the GPU's {capacity[1]}" if capacity else "the memory"
    knob = _first_knob(run, gpus)
    return f"The run does not fit into {device}{amount}: {knob}. `jnana train plan` shows what takes how much."


def larger(run: RunConfig, gpus: int) -> str:
    """What to take where no setting helps."""
    return f"take a larger GPU, or {_several(gpus)}" if isinstance(run, Pretrain) else "take a larger GPU"


def _several(gpus: int) -> str:
    return f"{'several' if gpus == 1 else 'more'} GPUs with fsdp=true"


def _first_knob(run: RunConfig, gpus: int) -> str:
    if smaller := _smaller(run.batch.micro)[1:2]:
        return f"set batch.micro={smaller[0]} (it is {run.batch.micro}): the batch of {run.batch.size} stays, in more turns"
    extras = [change for change, _ in _extras(run, gpus)]
    if going_on := [change for change in extras if may_change(change)]:
        return f"set {going_on[0]}"
    if not isinstance(run, Pretrain) or extras[:1] == ["fsdp=true"]:
        return f"set {extras[0]} {ANEW}" if extras else larger(run, gpus)
    knob = f"set {extras[0]}, or take {_several(gpus)}," if extras else larger(run, gpus)
    return f"{knob} {ANEW}"


def _work(run: RunConfig, amount: Volume) -> Work:
    lora = run.lora if isinstance(run, Instruct) else None
    shape = language_shape(run)
    work = training_flops(
        shape,
        amount.all_tokens,
        amount.tokens,
        amount.examples * amount.answers,
        frozen=not isinstance(run, Pretrain),
        lora=shape.lora_parameters(lora.rank, lora.targets) if lora else 0,
        checkpointing=run.gradient_checkpointing,
    )
    if isinstance(run, Align) or (isinstance(run, Instruct) and run.projector_lr is not None):
        work += projector_flops(MINDS[run.model], amount.examples)
    return work


def _smaller(micro: int) -> list[int]:
    """Divisors, largest first: each divides the batch as well."""
    return [size for size in range(micro, 0, -1) if micro % size == 0]


def _with_micro(run: RunConfig, micro: int) -> RunConfig:
    return run.model_copy(update={"batch": run.batch.model_copy(update={"micro": micro})})


def _extras(run: RunConfig, gpus: int) -> Iterator[tuple[str, RunConfig]]:
    """Beyond smaller micro-batches, one on top of the other: what saves memory, in the order of what it costs."""
    if run.precision == "fp32":
        yield "precision=bf16", (run := run.model_copy(update={"precision": "bf16"}))
    if not run.gradient_checkpointing:
        yield "gradient_checkpointing=true", (run := run.model_copy(update={"gradient_checkpointing": True}))
    if gpus > 1 and isinstance(run, Pretrain) and not run.fsdp:
        yield "fsdp=true", (run := run.model_copy(update={"fsdp": True}))
    if isinstance(run, Instruct) and run.quantize is None:
        run = run.model_copy(update={"quantize": "nf4"})
        yield "quantize=nf4", run
    key = "sequence_length" if isinstance(run, Pretrain) else "max_length"
    while longest(run) // 2 >= SHORTEST:
        run = run.model_copy(update={key: longest(run) // 2})
        yield f"{key}={longest(run)}", run


def _last_of_each(changes: list[str]) -> list[str]:
    """A length that was halved twice is set once."""
    return list({change.partition("=")[0]: change for change in changes}.values())


def _notes(run: RunConfig, gpu: Gpu) -> Iterator[str]:
    if run.precision == "bf16" and gpu.bf16 is None:
        yield f"The {gpu.name} has no bf16: it would be emulated, slower than its fp16 peak says."
    if run.precision == "fp32":
        yield "precision is fp32: a GPU reaches its peak in bf16 only (precision=bf16)."
    if isinstance(run, MultimodalConfig) and run.language is not None:
        yield f"Counted with {run.model}'s own language model, not the one in {run.language}."
    if run.fsdp and isinstance(run, Instruct) and run.quantize:
        yield "fsdp does not divide nf4 weights: each GPU holds them whole."


def roomy(items: tuple[Item, ...]) -> str:
    """Names of the cards that `items` fit on."""
    fit = [gpu.name for gpu in sorted(GPUS, key=lambda gpu: gpu.memory) if gpu.memory >= total(items)]
    return ", ".join(fit) or "none in the table"
