"""The process that trains: watched, stopped, tried again, its last words told."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from bot.retraining import NoRoom, ProcessTrainer, TrainerError
from bot.retraining.trainer import NO_ROOM, Progress, progress_of
from bot.settings import Settings
from tests.bot.retraining import WORSE, write


def program(tmp_path: Path, body: str) -> tuple[str, str]:
    script = tmp_path / "train.py"
    script.write_text(f"import json, os, pathlib, signal, sys, time\nfolder = pathlib.Path(sys.argv[3])\n{body}")
    return sys.executable, str(script)


async def test_a_trainers_last_words_are_the_reason(settings: Settings, tmp_path: Path) -> None:
    command = program(tmp_path, "print('Looking', file=sys.stderr); print('The disk is full.', file=sys.stderr); sys.exit(1)")
    trainer = ProcessTrainer(settings, train=command)
    with pytest.raises(TrainerError, match=r"^The disk is full\.$"):
        await trainer.retrain(tmp_path, tmp_path / "run", "first", lambda progress: None)


async def test_a_killed_trainer_is_tried_again_and_then_a_failure(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.retraining.trainer.PAUSE", 0.01)
    body = "pathlib.Path(sys.argv[1], str(time.time())).touch(); os.kill(os.getpid(), signal.SIGKILL)"
    tries = tmp_path / "tries"
    tries.mkdir()
    trainer = ProcessTrainer(settings, train=program(tmp_path, body))
    with pytest.raises(TrainerError, match="exit code"):
        await trainer.retrain(tries, tmp_path / "run", "first", lambda progress: None)
    assert len(list(tries.iterdir())) == 3


async def test_a_trainer_that_judges_worse_is_no_failure(settings: Settings, tmp_path: Path) -> None:
    write(WORSE, tmp_path)
    trainer = ProcessTrainer(settings, train=program(tmp_path, "sys.exit(1)"))
    assert await trainer.retrain(tmp_path, tmp_path, "first", lambda progress: None) == WORSE


async def test_a_trainer_without_room_is_told_apart(settings: Settings, tmp_path: Path) -> None:
    """By its exit code: it is not tried again, and whoever can make room hears it."""
    body = f"print('9 GB are needed.', file=sys.stderr); sys.exit({NO_ROOM})"
    trainer = ProcessTrainer(settings, train=program(tmp_path, body))
    with pytest.raises(NoRoom, match=r"^9 GB are needed\.$"):
        await trainer.retrain(tmp_path, tmp_path / "run", "first", lambda progress: None)


async def test_a_cancelled_trainer_is_interrupted_and_gone(settings: Settings, tmp_path: Path) -> None:
    body = (
        "signal.signal(signal.SIGINT, lambda *_: (pathlib.Path(sys.argv[1], 'stopped').touch(), sys.exit(130)))\n"
        "pathlib.Path(sys.argv[1], 'started').touch()\ntime.sleep(60)"
    )
    trainer = ProcessTrainer(settings, train=program(tmp_path, body))
    task = asyncio.create_task(trainer.retrain(tmp_path, tmp_path / "run", "first", lambda progress: None))
    async with asyncio.timeout(20):
        while not (tmp_path / "started").exists():  # noqa: ASYNC110  # the process makes it
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (tmp_path / "stopped").exists()


def test_progress_is_read_from_what_a_run_writes(tmp_path: Path) -> None:
    assert progress_of(tmp_path) == Progress()
    (tmp_path / "run.json").write_text(json.dumps({"total_steps": 60}))
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"kind": "start", "step": 0}) + "\n")
    assert progress_of(tmp_path) == Progress(0, 60)
    steps = [{"kind": "step", "step": number, "loss": 1.0 / number, "seconds": 2.0} for number in (1, 2)]
    lines = [*(json.dumps(step) for step in steps), json.dumps(steps[0])[:20]]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert progress_of(tmp_path) == Progress(2, 60, 0.5, 116.0)
