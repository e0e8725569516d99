"""A retraining asks for the GPU's memory before it takes any, and takes it for one mind at a time."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from bot.retraining import trainer
from model.adapters import Adapter
from model.modeling import JnanaForConditionalGeneration
from model.presets import PHI2
from model.settings import WorkerSettings
from tests.training.test_lessons import taught
from tests.training.test_retrain import QUICK, current, lessons, small, weights
from training.cli import NO_ROOM, app
from training.errors import NoRoom
from training.retrain import recipe, run
from training.retrain.recipe import learnt
from training.retrain.room import require_room, served
from training.retrain.run import Retraining, retrain

__all__ = ["current", "small", "weights"]  # fixtures

CARD = 80 * 10**9


def gpu(monkeypatch: pytest.MonkeyPatch, **free: int) -> None:
    """A machine with GPUs that have so much memory free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[device.replace(":", "_")], CARD))


def test_a_gpu_that_others_hold_is_a_sentence(current: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = recipe.recipe(PHI2, current, lessons(100), [learnt(lessons(100), Path("train.jsonl"))], on_gpu=True)
    gpu(monkeypatch, cuda=10**9)
    with pytest.raises(NoRoom, match=r"^Training needs about \d+\.\d GB of the GPU's memory, and 1\.0 GB are free: "):
        require_room(configuration, PHI2, "auto")
    gpu(monkeypatch, cuda=CARD)
    require_room(configuration, PHI2, "auto")


def test_a_mind_as_it_is_served_needs_its_room_where_it_is_loaded(current: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = recipe.recipe(PHI2, current, lessons(100), [learnt(lessons(100), Path("train.jsonl"))], on_gpu=True)
    gpu(monkeypatch, cuda=CARD, cuda_1=10**9)
    require_room(configuration, PHI2, "cpu")
    with pytest.raises(NoRoom, match=f"about {served(configuration, PHI2) / 1e9:.1f} GB"):
        require_room(configuration, PHI2, "cuda:1")
    in_4_bits = configuration.model_copy(update={"quantize": "nf4"})
    assert served(in_4_bits, PHI2) < served(configuration, PHI2) / 2


def test_the_command_says_it_with_an_exit_code_of_its_own_before_it_loads_anything(
    current: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, cuda=10**9)
    monkeypatch.setattr(run, "_mind", lambda *_: pytest.fail("a mind was loaded"))
    ended = CliRunner().invoke(
        app,
        [
            "train",
            "retrain",
            str(taught(tmp_path / "lessons")),
            "--to",
            str(tmp_path / "run"),
            "--adapter",
            str(current.folder),
        ],
    )
    assert ended.exit_code == NO_ROOM == trainer.NO_ROOM
    assert ended.stderr.splitlines()[-1].startswith("Training needs about ")
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.usefixtures("small")
def test_what_was_trained_is_gone_when_it_is_judged(current: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else both would have to fit."""
    there: list[int] = []
    judged = run._judged

    def minds() -> int:
        return sum(type(one) is JnanaForConditionalGeneration for one in gc.get_objects())

    def counted(*all_of_it: Any) -> Any:
        there.append(minds())
        return judged(*all_of_it)

    before = minds()
    monkeypatch.setattr(run, "_judged", counted)
    retrain(Retraining(taught(tmp_path / "lessons"), PHI2, current.folder, tmp_path / "run", changes=QUICK), WorkerSettings())
    assert there == [before]
