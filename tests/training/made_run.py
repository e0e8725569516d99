"""A run that nobody trained: the folder as the loop leaves it, with curves that look like real ones."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from pathlib import Path

import yaml

from training.config import STAGES, RunConfig, Stage
from training.metrics import FINISHED, End, Event, Sample, Start, Step, Validation
from training.runs import DataFile, Hardware, Parameters, RunFolder, RunInfo, Software

BEGAN = 1_795_600_000.0
"""When the made runs began, seconds since 1970."""

OPTIMIZER = {"lr": 1e-3, "warmup_steps": 20}
COMMON = {
    "checkpoints": {"every": 100},
    "validation": {"every": 100},
    "optimizer": OPTIMIZER,
    "batch": {"size": 32, "micro": 8},
}
ALIGN = {
    "stage": "align",
    "steps": 400,
    **COMMON,
    "model": "pocket",
    "max_length": 128,
    "template": "chat",
    "data": {
        "train": [{"format": "captions", "file": "captions/train.jsonl"}],
        "validation": [{"format": "captions", "file": "captions/validation.jsonl"}],
    },
}
PRETRAIN = {
    "stage": "pretrain",
    "steps": 525,
    **COMMON,
    "sequence_length": 128,
    "data": {"train": "shards/train", "validation": "shards/validation", "tokenizer": "phi-2"},
}


def config(stage: Stage = "align") -> RunConfig:
    return STAGES[stage].model_validate(PRETRAIN if stage == "pretrain" else ALIGN)


def info(stage: Stage = "align", name: str = "pocket", steps: int = 400, preset: str | None = None) -> RunInfo:
    return RunInfo(
        stage=stage,
        name=name,
        started=datetime.fromtimestamp(BEGAN, UTC),
        preset=preset,
        total_steps=steps,
        software=Software(
            jnana="0.1.0",
            git_commit="0123456789abcdef0123456789abcdef01234567",
            packages={"python": "3.11.2", "torch": "2.13.0"},
            command=f"jnana train {stage} {name}",
        ),
        hardware=Hardware(
            name="NVIDIA Made-up 1", peak_flops=3.12e14, peak_source="dense bf16, its data sheet", memory_bytes=2**36
        ),
        data=(
            DataFile(file="captions/train.jsonl", sha256="ab" * 32, records=12_345, licence="CC BY 4.0"),
            DataFile(file="captions/validation.jsonl", sha256="cd" * 32, records=512, use="validation"),
        ),
        parameters=Parameters(trained=1_234_567, all=140_000_000),
        fingerprint="f" * 64,
    )


def step(
    number: int, *, floor: float = 2.2, start: float = 9.0, noise: float = 0.15, seed: int = 1, tokens: int = 2048
) -> Step:
    chance = random.Random(1000 * seed + number)  # noqa: S311 - a curve, no secret
    seconds = 0.4 * (1 + 0.1 * chance.random()) * (6 if number == 1 else 1)
    return Step(
        step=number,
        time=BEGAN + 0.45 * number,
        loss=floor + (start - floor) * math.exp(-number / 60) + chance.gauss(0, noise),
        lr=1e-3 * min(1, number / 20) * (0.5 + 0.5 * math.cos(math.pi * number / 800)),
        grad_norm=0.6 + 12 * math.exp(-number / 8) + 0.2 * chance.random(),
        examples=32,
        tokens=tokens * number,
        answer_tokens=tokens * number // 8,
        seconds=seconds,
        data_seconds=0.02 * chance.random(),
        tokens_per_second=tokens / seconds,
        examples_per_second=32 / seconds,
        mfu=0.38 * 0.4 / seconds,
        memory_bytes=int(9.5e9 if number > 3 else 8e9),
    )


def make_run(
    folder: Path,
    *,
    stage: Stage = "align",
    name: str = "pocket",
    steps: int = 400,
    preset: str | None = None,
    pictures: tuple[Path, ...] = (),
    caption: str = "a red bus on a street",
    floor: float = 2.2,
    start: float = 9.0,
    seed: int = 1,
) -> Path:
    """A finished run that was killed and resumed halfway."""
    half = steps // 2
    with RunFolder.create(folder, config(stage), info(stage, name, steps, preset)) as run:
        run.append(Start(step=0, time=BEGAN))
        for number in range(1, steps + 1):
            if number == half + 1:
                run.append(Start(step=half, time=BEGAN + 0.45 * half, resumed_from=half, lost_seconds=14.5))
            run.append(step(number, floor=floor, start=start, seed=seed))
            if number % (steps // 4) == 0:
                loss = floor + 0.1 + (start - floor) * math.exp(-number / 60)
                by_bucket = {"up to 40 tokens": loss - 0.1, "41 to 96 tokens": loss + 0.2}
                run.append(Validation(step=number, loss=loss, by_bucket=by_bucket))
                for picture in pictures or (None,):
                    run.append(
                        Sample(
                            step=number,
                            image=str(picture) if picture else None,
                            prompt="What is in this photo?",
                            expected=caption,
                            answer=caption if number == steps else "a photo of a photo of a",
                        )
                    )
        run.append(
            Event(step=half, time=BEGAN + 0.45 * half, text="the newest checkpoint was damaged, the one before was taken")
        )
        run.append(End(step=steps, time=BEGAN + 0.45 * steps + 3, reason=FINISHED))
    return folder


def write_preset(path: Path, **changes: object) -> Path:
    """A configuration's file, as `made.ALIGN` but for `changes`."""
    path.write_text(yaml.safe_dump({**ALIGN, **changes}))
    return path
