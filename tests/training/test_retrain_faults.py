"""A retraining meets a kill and a full disk: real processes, started and watched as the bot does it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bot.retraining import ProcessTrainer, TrainerError
from bot.retraining.trainer import progress_of
from bot.settings import Settings
from model.files import sha256
from tests.model import tiny_home
from tests.processes import ROOT
from tests.training.test_lessons import taught
from training import checkpoint

torch.set_num_threads(1)

STEPS, EVERY = 12, 4
"""Of a run, and between two checkpoints."""
WEIGHTS = ("adapter_model.safetensors", "projector.safetensors")
PATIENCE = 300.0
"""Seconds on a busy machine; not a claim."""
Retrain = Callable[[Path], Awaitable[object]]


@pytest.fixture
def retrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Retrain:
    """Trains in the folder it is given, from an adapter of a tiny phi2."""
    for name, value in {"MODEL_DEVICE": "cpu", "MODEL_PRECISION": "fp32", "MODEL_OCR": "false"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("bot.retraining.trainer.LOOK_EVERY", 0.05)
    monkeypatch.setattr("bot.retraining.trainer.PAUSE", 0.1)
    monkeypatch.setattr("bot.retraining.resources.LAST", ())  # tests wait for it, people do not
    weights = tiny_home.prepared(tmp_path, max_position_embeddings=512)
    start = tiny_home.adapter(tmp_path / "start", weights, text_only="adapter")
    lessons = taught(tmp_path / "lessons")
    settings = Settings(jnana_home=tmp_path / "home", model_preset="phi2")
    (tmp_path / "home" / "attachments").symlink_to(lessons)
    command = (sys.executable, "-m", "tests.training.small_retrain", str(tmp_path), "train", "retrain")
    changes = ("--set", f"steps={STEPS}", "--set", f"checkpoints.every={EVERY}")
    trainer = ProcessTrainer(settings, train=(*command, *changes))

    async def begin(folder: Path) -> object:
        return await trainer.retrain(lessons, folder, str(start.folder), lambda progress: None)

    return begin


async def until_step(folder: Path, step: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while progress_of(folder).step < step:  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.02)


def lines_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def weights_of(folder: Path) -> list[str]:
    return [sha256(folder / "artefact" / name) for name in WEIGHTS]


async def test_a_killed_retraining_ends_with_the_weights_of_an_undisturbed_one(retrain: Retrain, tmp_path: Path) -> None:
    """SIGKILL at a random step; the bot starts it again, and it goes on from its last checkpoint."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    at = random.Random(seed).randint(1, STEPS - 1)  # noqa: S311
    print(f"killed after step {at}")
    await retrain(tmp_path / "whole")
    killed = tmp_path / "killed"
    running = asyncio.ensure_future(retrain(killed))
    await until_step(killed, at)
    os.kill(int((killed / ".lock").read_text()), signal.SIGKILL)
    await running
    resumed = lines_of(killed, "start")[-1]["resumed_from"] or 0
    assert resumed >= at - EVERY  # a step is told before its checkpoint is on disk
    assert weights_of(killed) == weights_of(tmp_path / "whole")


async def test_a_full_disk_is_a_sentence_and_with_room_it_goes_on(retrain: Retrain, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (tmp_path / "full").write_text("12000")  # bytes: room for figures, none for an optimizer
    with pytest.raises(TrainerError, match=r"^The disk with .*checkpoints is full: make room .* goes on from the last") as told:
        await retrain(folder)
    assert "\n" not in told.value.sentence
    assert checkpoint.newest(folder / "checkpoints") == EVERY
    assert progress_of(folder).step == 2 * EVERY
    (tmp_path / "full").unlink()
    await retrain(folder)
    steps = [
        line["step"] for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()) if line["kind"] == "step"
    ]
    assert steps == list(range(1, STEPS + 1))
    assert (folder / "verdict.json").exists()
