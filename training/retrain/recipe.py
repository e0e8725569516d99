"""How a retraining learns: chosen by how much there is to learn and by the adapter that it starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model import lora
from model.adapters import Adapter
from model.presets import Preset
from training.config import Files, Instruct
from training.retrain.lessons import Lessons

BATCH = 16
REPLAY_PART = 0.3
"""Of what is trained on, at most: the other examples of a batch keep what was known (10 to 30 % is what the literature finds
enough)."""
PASSES = 7
"""Over few examples; a fact that one picture shows has to be met several times: the projector stays as it is, and what is
learnt has to outlast KEPT. With half of them six of twelve facts were learnt, with these all (docs/results/retraining.md)."""
LEAST_STEPS, MOST_STEPS = 60, 600
RATES = {"few": 3e-4, "many": 2e-4}
MANY = 200
"""Examples from which on the rate is the lower one."""
RANKS = {"few": 8, "many": 16}
"""Of LoRA, where there is none to go on from."""
KEPT = 0.1
"""Of the weights that it started from, mixed into those that were trained: of five questions in 150 that were forgotten three
came back, and of twelve facts one went (docs/results/retraining.md)."""
TARGETS = {
    "pocket": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "phi2": ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"),
}
MAX_LENGTH = {"pocket": 512, "phi2": 1024}
"""Tokens of an example, pictures included."""


def recipe(
    preset: Preset, start: Adapter, lessons: Lessons, files: Sequence[Files], *, on_gpu: bool, threads: int = 0
) -> Instruct:
    """The configuration of a stage 2 that learns these lessons on top of `start`, from `files`. `threads`: of the CPU, 0 for
    all cores."""
    size = "many" if lessons.trained >= MANY else "few"
    examples = lessons.trained / (1 - REPLAY_PART)
    steps = min(max(math.ceil(examples * PASSES / BATCH), LEAST_STEPS), MOST_STEPS)
    quantised = start.card.base.precision == "nf4" and start.lora is not None
    values: dict[str, Any] = {
        "stage": "instruct",
        "model": preset.name,
        "template": start.card.template.name,
        "start": str(start.folder.resolve()),
        "data": {"train": files, "validation": [learnt(lessons, lessons.held_out)]},
        "pictures": {"layer": start.card.tower.layer, "fit": start.card.tower.fit},
        "lora": _lora(preset, start, size),
        "quantize": "nf4" if quantised else None,
        "projector_lr": None,  # what it makes of pictures, colours above all, was forgotten with it
        "text_only": start.card.text_only,
        "keep_start": KEPT,
        "weigh": "examples",  # a replayed yes is as much as a sentence that is taught
        "order": "random",  # by length, what is taught and what is replayed would pull in steps of their own, in turns
        "max_length": MAX_LENGTH[preset.name],
        "steps": steps,
        "batch": {"size": BATCH, "micro": BATCH if preset.name == "pocket" else 2},
        "optimizer": {"lr": RATES[size], "min_lr": RATES[size] / 20, "warmup_steps": steps // 10},
        "checkpoints": {"every": 20},
        "validation": {"every": max(steps // 4, 1), "examples": 256, "samples": 0},
        "precision": "bf16" if on_gpu else "auto",
        "threads": threads,
        "gradient_checkpointing": preset.name != "pocket",
    }
    return Instruct.model_validate(values)


def times(trained: int, there: int) -> tuple[int, int]:
    """How often each of the `trained` examples that are new counts in an epoch, and each of those `there` that are replayed.

    All of these go along, for the same few over and over would be learnt by heart, and what is like them forgotten
    (docs/results/retraining.md); at most REPLAY_PART of an epoch is theirs, and 17 of a hundred at least."""
    wanted = trained * REPLAY_PART / (1 - REPLAY_PART)
    if wanted <= there:
        return math.ceil(there / wanted), 1
    return 1, int(wanted / there)


def learnt(lessons: Lessons, file: Path) -> Files:
    """A file of examples from these lessons."""
    licence = "the community's own, with their consent"
    return Files(format="llava", file=file, images=lessons.images, licence=licence)


def _lora(preset: Preset, start: Adapter, size: str) -> dict[str, Any]:
    """That of the adapter to go on from."""
    if start.lora is None:
        return {"rank": RANKS[size], "alpha": 2 * RANKS[size], "targets": TARGETS[preset.name]}
    config = lora.read_config(start.folder)
    return {
        "rank": config.r,
        "alpha": config.lora_alpha,
        "targets": sorted(config.target_modules),
        "rslora": config.use_rslora,
        "dora": config.use_dora,
    }
